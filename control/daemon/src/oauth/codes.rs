//! What clients have in progress: codes, good once and for a minute, and questions that users have not answered yet.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_model::ids::{ClientId, SessionId};

use super::Wanted;
use crate::limits::{CLIENT_CODES_MAX, CODE_KEPT_S, CODE_S, CONSENT_S};
use crate::sessions::secret_key;

/// All of it. Gone after a restart: people begin anew.
#[derive(Default)]
pub(crate) struct InProgress {
    codes: Kept<Code>,
    consents: Kept<Arrived>,
}

/// Someone who is signed in and comes for a client.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) session: SessionId,
    pub(crate) wanted: Rc<Wanted>,
    pub(crate) redirect_uri: String,
    pub(crate) state: String,
    pub(crate) challenge: String,
}

struct Code {
    arrived: Arrived,
    given_unix: u64,
    used: bool,
}

/// What became of a code.
#[derive(Debug)]
pub(super) enum Redeemed {
    Good(Arrived),
    Again(SessionId),
    Unknown,
}

/// What a client brings.
#[derive(Clone, Copy)]
pub(super) struct Redeem<'a> {
    pub(super) client: ClientId,
    pub(super) code: &'a str,
    pub(super) verifier: &'a str,
    pub(super) redirect_uri: &'a str,
}

impl InProgress {
    pub(crate) fn keep_code(&mut self, key: [u8; 32], arrived: Arrived, now_unix: u64) {
        let code = Code { arrived, given_unix: now_unix, used: false };
        self.codes.keep((key, code.arrived.session), code, now_unix, CODE_KEPT_S);
    }

    /// One attempt uses it up, whatever comes of it.
    pub(super) fn redeem(&mut self, request: &Redeem<'_>, now_unix: u64) -> Redeemed {
        let Some(code) = self.codes.all.get_mut(&secret_key(request.code)) else { return Redeemed::Unknown };
        if std::mem::replace(&mut code.used, true) {
            return Redeemed::Again(code.arrived.session);
        }
        let Arrived { wanted, redirect_uri, challenge, .. } = &code.arrived;
        let is_same = (wanted.client, redirect_uri.as_str()) == (request.client, request.redirect_uri);
        let in_time = now_unix < code.given_unix + CODE_S;
        match is_same && in_time && is_proven(challenge, request.verifier) {
            true => Redeemed::Good(code.arrived.clone()),
            false => Redeemed::Unknown,
        }
    }

    pub(crate) fn keep_consent(&mut self, key: [u8; 32], arrived: Arrived, now_unix: u64) {
        self.consents.keep((key, arrived.session), arrived, now_unix, CONSENT_S);
    }

    /// A question is answered once.
    pub(crate) fn take_consent(&mut self, key: &[u8; 32], now_unix: u64) -> Option<Arrived> {
        self.consents.forget_old(now_unix, CONSENT_S);
        self.consents.all.remove(key)
    }
}

/// RFC 7636 §4.6; a verifier has 43 to 128 characters.
fn is_proven(challenge: &str, verifier: &str) -> bool {
    if !(43..=128).contains(&verifier.len()) {
        return false;
    }
    let made = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    constant_time::verify_slices_are_equal(made.as_bytes(), challenge.as_bytes()).is_ok()
}

/// Things by their secret's hash. Old ones go; when there are too many, the oldest of whichever session has most: nobody pushes
/// others out.
struct Kept<T> {
    all: BTreeMap<[u8; 32], T>,
    in_order: VecDeque<([u8; 32], SessionId, u64)>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), in_order: VecDeque::new() }
    }
}

impl<T> Kept<T> {
    fn keep(&mut self, (key, session): ([u8; 32], SessionId), value: T, now_unix: u64, kept_s: u64) {
        self.forget_old(now_unix, kept_s);
        if self.in_order.len() >= CLIENT_CODES_MAX {
            self.make_room();
        }
        self.in_order.push_back((key, session, now_unix));
        self.all.insert(key, value);
    }

    fn forget_old(&mut self, now_unix: u64, kept_s: u64) {
        while let Some((oldest, _, at)) = self.in_order.front()
            && at + kept_s <= now_unix
        {
            self.all.remove(oldest);
            self.in_order.pop_front();
        }
    }

    fn make_room(&mut self) {
        let mut counts: BTreeMap<SessionId, usize> = BTreeMap::new();
        for (_, session, _) in &self.in_order {
            *counts.entry(*session).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(session, _)| session);
        let at = self.in_order.iter().position(|(_, session, _)| Some(*session) == most);
        if let Some((key, ..)) = at.and_then(|at| self.in_order.remove(at)) {
            self.all.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::ids::TenantId;

    const CLIENT: ClientId = ClientId::new(TenantId::DEFAULT, 1);
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const BACK: &str = "https://app.example.com/back";
    const RIGHT: Redeem<'_> = Redeem { client: CLIENT, code: "code", verifier: VERIFIER, redirect_uri: BACK };

    fn kept(challenge: &str) -> InProgress {
        let wanted = Wanted {
            client: CLIENT,
            scopes: "openid".parse().unwrap(),
            conditions: Vec::new(),
            nonce: String::new(),
            on_a_device: false,
            silent: false,
            ask_again: false,
            device: None,
        };
        let mut progress = InProgress::default();
        let arrived = Arrived {
            session: SessionId(7),
            wanted: Rc::new(wanted),
            redirect_uri: BACK.into(),
            state: String::new(),
            challenge: challenge.into(),
        };
        progress.keep_code(secret_key("code"), arrived, 100);
        progress
    }

    fn is_good(redeemed: &Redeemed) -> bool {
        matches!(redeemed, Redeemed::Good(_))
    }

    #[test]
    fn a_code_is_good_once_for_whom_it_was_made() {
        assert!(is_good(&kept(CHALLENGE).redeem(&RIGHT, 101)));
        let mut twice = kept(CHALLENGE);
        assert!(is_good(&twice.redeem(&RIGHT, 101)));
        assert!(matches!(twice.redeem(&RIGHT, 102), Redeemed::Again(SessionId(7))));
        for wrong in [
            Redeem { code: "coda", ..RIGHT },
            Redeem { client: ClientId::new(TenantId::DEFAULT, 2), ..RIGHT },
            Redeem { client: ClientId::new(TenantId(2), 1), ..RIGHT },
            Redeem { redirect_uri: "https://app.example.com/back/", ..RIGHT },
            Redeem { redirect_uri: "", ..RIGHT },
            Redeem { verifier: "", ..RIGHT },
            Redeem { verifier: CHALLENGE, ..RIGHT },
        ] {
            assert!(matches!(kept(CHALLENGE).redeem(&wrong, 101), Redeemed::Unknown));
        }
        assert!(matches!(kept(CHALLENGE).redeem(&RIGHT, 100 + CODE_S), Redeemed::Unknown));
    }

    #[test]
    fn a_challenge_is_no_verifier() {
        // PKCE downgraded to `plain`: the verifier would be the challenge itself.
        let plain = Redeem { verifier: VERIFIER, ..RIGHT };
        assert!(matches!(kept(VERIFIER).redeem(&plain, 101), Redeemed::Unknown));
        let empty = Redeem { verifier: "", ..RIGHT };
        assert!(matches!(kept("").redeem(&empty, 101), Redeemed::Unknown));
    }

    #[test]
    fn what_is_old_or_too_much_goes() {
        let mut progress = kept(CHALLENGE);
        for n in 0..CLIENT_CODES_MAX {
            let Redeemed::Good(arrived) = kept(CHALLENGE).redeem(&RIGHT, 101) else { panic!("good") };
            progress.keep_code(secret_key(&n.to_string()), arrived, 101);
        }
        assert!(progress.codes.all.len() <= CLIENT_CODES_MAX);
        assert!(matches!(progress.redeem(&RIGHT, 101), Redeemed::Unknown), "the oldest went");
    }

    #[test]
    fn whoever_has_most_loses_theirs() {
        let mut progress = kept(CHALLENGE);
        for n in 0..CLIENT_CODES_MAX + 100 {
            let Redeemed::Good(arrived) = kept(CHALLENGE).redeem(&RIGHT, 101) else { panic!("good") };
            progress.keep_code(secret_key(&n.to_string()), Arrived { session: SessionId(8), ..arrived }, 101);
        }
        assert!(progress.codes.all.len() <= CLIENT_CODES_MAX);
        assert!(is_good(&progress.redeem(&RIGHT, 101)), "another session's code is still there");
    }
}
