//! Programs without a browser (RFC 8628): each shows a code, its user enters that in a browser elsewhere, signs in and agrees, and
//! the program asks until they have.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

use aws_lc_rs::rand;
use postern_model::identity::Step;
use postern_model::ids::{ClientId, SessionId};
use postern_model::oauth::{EnterCode, Scope, Scopes};

use super::client::{self, Asked};
use super::waiting::Waiting;
use super::{internal, issuer, refused, too_many};
use crate::clock::now_unix;
use crate::control::Control;
use crate::oauth::{self, OnDevice, Wanted, conditions};
use crate::sessions::secret_key;

/// Those that wait.
#[derive(Default)]
pub(crate) struct Devices {
    /// By what the program has.
    by_device: Waiting<Rc<Device>>,
    /// By what it shows, until somebody decided.
    by_user: Waiting<Rc<Device>>,
}

struct Device {
    client: ClientId,
    scopes: Scopes,
    state: Cell<State>,
    asked_unix: Cell<u64>,
    interval_s: Cell<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    Refused,
    Agreed(SessionId),
}

/// What a program that asks is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// There is none, or not any more.
    Over,
    /// It is another client's.
    Foreign,
    Pending,
    TooFast,
    Refused,
    Agreed(SessionId, Scopes),
}

impl Devices {
    pub(crate) fn keep(
        &mut self,
        (device_key, user_key): ([u8; 32], [u8; 32]),
        (client, scopes): (ClientId, Scopes),
        source: IpAddr,
        now_unix: u64,
    ) {
        let device = Rc::new(Device {
            client,
            scopes,
            state: Cell::new(State::Waits),
            asked_unix: Cell::new(0),
            interval_s: Cell::new(POLL_INTERVAL_S),
        });
        self.by_device.keep(device_key, source, Rc::clone(&device), now_unix);
        self.by_user.keep(user_key, source, device, now_unix);
    }

    fn entered(&self, user_key: &[u8; 32], now_unix: u64) -> Option<(ClientId, Scopes)> {
        let device = self.by_user.find(user_key, now_unix)?;
        Some((device.client, device.scopes.clone()))
    }

    /// What the user says counts once. False: it is too late.
    pub(super) fn decide(&mut self, user_key: &[u8; 32], session: Option<SessionId>, now_unix: u64) -> bool {
        let Some(device) = self.by_user.take_if_good(user_key, now_unix) else { return false };
        device.state.set(session.map_or(State::Refused, State::Agreed));
        true
    }

    /// A program asks. Whoever asks too often is to wait longer (RFC 8628 §3.5); what is decided is told once.
    pub(crate) fn poll(&mut self, device_key: &[u8; 32], client: ClientId, now_unix: u64) -> Polled {
        let Some(device) = self.by_device.find(device_key, now_unix).cloned() else { return Polled::Over };
        if device.client != client {
            return Polled::Foreign;
        }
        let too_fast = now_unix < device.asked_unix.replace(now_unix).saturating_add(device.interval_s.get());
        if too_fast {
            device.interval_s.set((device.interval_s.get() + POLL_INTERVAL_S).min(POLL_INTERVAL_S_MAX));
            return Polled::TooFast;
        }
        match device.state.get() {
            State::Waits => return Polled::Pending,
            State::Refused | State::Agreed(_) => drop(self.by_device.take_if_good(device_key, now_unix)),
        }
        match device.state.get() {
            State::Agreed(session) => Polled::Agreed(session, device.scopes.clone()),
            State::Waits | State::Refused => Polled::Refused,
        }
    }
}

/// Somebody entered a code in a browser.
pub(crate) fn enter_code(control: &Control, request: EnterCode) -> Step {
    let EnterCode { user_code, browser, client } = request;
    let now = now_unix();
    // Before it is looked at: guessing costs the same, whatever is typed.
    if let Err(wait_s) = control.sign_ins.borrow_mut().guesses.begin_of_source(client.address, now) {
        return Step::Refused(too_many(wait_s));
    }
    let wrong = || Step::Refused(refused("device-code-wrong", "The code is not right, or not any more."));
    let Some(user_code) = read_user_code(user_code.expose()) else { return wrong() };
    let key = secret_key(&user_code);
    let Some((of, scopes)) = control.sign_ins.borrow().devices.entered(&key, now) else { return wrong() };
    control.sign_ins.borrow_mut().guesses.succeeded_of_source(client.address);
    let Some(of) = oauth::known(control, &of.to_string()) else { return wrong() };
    let wanted = Wanted {
        client: of.id,
        conditions: conditions::conditions(control, &of, &scopes),
        scopes,
        nonce: String::new(),
        on_a_device: true,
        silent: false,
        ask_again: true,
        device: Some(OnDevice { user_code: shown(&user_code), key }),
    };
    let again = wanted.scopes.contains(&Scope::Devices);
    let redirect_uri = format!("{}/device/done", issuer(control));
    if !oauth::still_may(&of, &wanted, &redirect_uri) {
        return wrong();
    }
    let Some(app) = client::app_of(control, &wanted) else { return Step::Refused(internal()) };
    let asked = Asked {
        client: of,
        wanted,
        redirect_uri,
        state: String::new(),
        challenge: String::new(),
        again,
        max_age_s: None,
        app,
    };
    client::begin(control, asked, browser, &client)
}

/// A new code; the error: there is no randomness.
pub(crate) fn make_user_code() -> Result<String, aws_lc_rs::error::Unspecified> {
    let mut code = String::new();
    while code.len() < USER_CODE_LETTERS {
        let mut byte = [0];
        rand::fill(&mut byte)?;
        // Above it some letters would come more often.
        let fair = u8::MAX - u8::MAX % LETTERS.len() as u8;
        if byte[0] < fair {
            code.push(LETTERS[usize::from(byte[0]) % LETTERS.len()].into());
        }
    }
    Ok(code)
}

/// In two groups, as people read it.
pub(crate) fn shown(user_code: &str) -> String {
    let (first, second) = user_code.split_at(USER_CODE_LETTERS / 2);
    format!("{first}-{second}")
}

/// However it was typed; `None`: no code looks so.
fn read_user_code(typed: &str) -> Option<String> {
    let letters = typed.chars().filter(|letter| !matches!(letter, ' ' | '-')).take(USER_CODE_LETTERS + 1);
    let code: String = letters.map(|letter| letter.to_ascii_uppercase()).collect();
    let is_one = code.len() == USER_CODE_LETTERS && code.bytes().all(|letter| LETTERS.contains(&letter));
    is_one.then_some(code)
}

/// RFC 8628 §6.1: no vowels, so that no words come of it, and nothing that looks like another letter.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// 34 bits: with as many guesses as a source has, and no more than 10,000 codes at once, nobody finds one before it is over.
const USER_CODE_LETTERS: usize = 8;
/// How often a program may ask.
pub(crate) const POLL_INTERVAL_S: u64 = 5;
const POLL_INTERVAL_S_MAX: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::ids::TenantId;

    const CLIENT: ClientId = ClientId::new(TenantId::DEFAULT, 1);
    const DEVICE: [u8; 32] = [1; 32];
    const USER: [u8; 32] = [2; 32];

    fn kept() -> Devices {
        let mut devices = Devices::default();
        let wants = (CLIENT, "app:wiki".parse().unwrap());
        devices.keep((DEVICE, USER), wants, IpAddr::from([192, 0, 2, 1]), 100);
        devices
    }

    #[test]
    fn what_the_user_decides_is_told_once() {
        let mut devices = kept();
        assert_eq!(devices.poll(&DEVICE, CLIENT, 100), Polled::Pending);
        assert!(devices.decide(&USER, Some(SessionId(7)), 101));
        assert!(!devices.decide(&USER, None, 101), "once");
        assert_eq!(devices.poll(&DEVICE, ClientId::new(TenantId::DEFAULT, 2), 105), Polled::Foreign);
        assert_eq!(devices.poll(&DEVICE, CLIENT, 105), Polled::Agreed(SessionId(7), "app:wiki".parse().unwrap()));
        assert_eq!(devices.poll(&DEVICE, CLIENT, 110), Polled::Over);
        let mut devices = kept();
        assert!(devices.decide(&USER, None, 101));
        assert_eq!(devices.poll(&DEVICE, CLIENT, 105), Polled::Refused);
        assert_eq!(devices.poll(&USER, CLIENT, 110), Polled::Over, "what is shown is not what is kept");
    }

    #[test]
    fn who_asks_too_often_waits_longer_and_in_the_end_it_is_over() {
        let mut devices = kept();
        assert_eq!(devices.poll(&DEVICE, CLIENT, 100), Polled::Pending);
        assert_eq!(devices.poll(&DEVICE, CLIENT, 104), Polled::TooFast);
        assert_eq!(devices.poll(&DEVICE, CLIENT, 109), Polled::TooFast, "ten seconds now");
        assert!(devices.decide(&USER, Some(SessionId(7)), 110));
        assert_eq!(devices.poll(&DEVICE, CLIENT, 111), Polled::TooFast, "also when it is decided");
        let over = 100 + crate::limits::FLOW_S;
        assert_eq!(devices.poll(&DEVICE, CLIENT, over), Polled::Over);
        assert!(!kept().decide(&USER, Some(SessionId(7)), over));
    }

    #[test]
    fn a_code_is_read_however_it_was_typed() {
        let code = make_user_code().unwrap();
        for typed in [code.clone(), shown(&code), format!(" {} ", shown(&code).to_lowercase())] {
            assert_eq!(read_user_code(&typed).as_ref(), Some(&code), "{typed}");
        }
        for typed in ["", "BCDF", "BCDF-GHJA", "BCDF-GHJKL", "BCDF_GHJK", "ÄÄÄÄÄÄÄÄ"] {
            assert_eq!(read_user_code(typed), None, "{typed}");
        }
    }
}
