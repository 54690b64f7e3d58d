//! Sessions that users have in applications which they are signed on to by a form: one for each session that they have with
//! Postern, so that whoever signs out and in again begins anew. One request signs on; others of the session wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_http::{Known, RequestHead, ResponseHead};
use postern_io::mailbox::{Receiver, Sender, mailbox};
use postern_io::time::timeout;
use postern_io::{Instant, now};
use postern_model::ids::{AppId, UserId};
use postern_model::vault::Sealed;
use postern_tunnel::SessionKey;

use super::Found;
use crate::failure::{Failed, Fault};
use crate::sso::form::jar::{Jar, name_of};

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    entries: HashMap<SessionOf, Entry>,
    /// Of the last sign-in. No two have the same, also where a session's entry went and came again.
    number: u64,
}

/// Whose session in which application. A relay that names another user or session gets another entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionOf {
    pub(crate) app: AppId,
    pub(crate) user: UserId,
    /// Relays of before do not name it: all sessions of the user are one then.
    pub(crate) session: Option<SessionKey>,
}

#[derive(Debug)]
struct Entry {
    /// What it was begun with, and where: with another credential or another backend it begins anew.
    sealed: Sealed,
    origin: String,
    jar: Jar,
    phase: Phase,
    /// Of its last sign-in; 0 before the first.
    number: u64,
    signed_on_at: Instant,
    used_at: Instant,
    /// What the last sign-in came to, if to nothing.
    failed: Option<(Instant, Failed)>,
    waiting: Vec<Sender<()>>,
}

/// ```text
/// Out ──enter──▶ Signing ──done──▶ In
///  ▲                │ failed, given up │
///  └────────────────┴─────ran out──────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Out,
    Signing,
    In,
}

/// What a request finds.
pub(crate) enum Entered {
    /// The user is signed on, by the sign-in of this number.
    In(u64),
    /// This request signs on.
    Turn(Turn),
}

/// The right, and the duty, to sign on.
#[derive(Debug)]
pub(crate) struct Turn {
    held: Arc<Mutex<Held>>,
    who: SessionOf,
    sealed: Sealed,
    decided: bool,
}

impl Sessions {
    /// Waits while another request signs on.
    pub(crate) async fn enter(&self, who: SessionOf, found: &Found, origin: &str) -> Result<Entered, Failed> {
        let deadline = now().after(PATIENCE);
        loop {
            let mut signed = match self.try_enter(who, found, origin)? {
                Ok(entered) => return Ok(entered),
                Err(signed) => signed,
            };
            let left = deadline.since(now());
            if left.is_zero() || timeout(left, signed.recv()).await.is_err() {
                let busy = "another request of the session is still signing on";
                return Err(Failed::new(Fault::Overloaded, busy).unprocessed());
            }
        }
    }

    fn try_enter(&self, who: SessionOf, found: &Found, origin: &str) -> Result<Result<Entered, Receiver<()>>, Failed> {
        let at = now();
        let mut held = lock(&self.0);
        if held.entries.len() >= SESSIONS_MAX && !held.entries.contains_key(&who) {
            make_room(&mut held.entries, at);
        }
        let entry = held.entries.entry(who).or_insert_with(|| Entry::new(&found.sealed, origin));
        if entry.sealed != found.sealed || entry.origin != origin {
            *entry = Entry::new(&found.sealed, origin);
        }
        entry.used_at = at;
        match entry.phase {
            Phase::In => return Ok(Ok(Entered::In(entry.number))),
            Phase::Out => {}
            Phase::Signing if entry.waiting.len() >= WAITING_MAX => {
                let busy = "too many requests of the session wait for a sign-in";
                return Err(Failed::new(Fault::Overloaded, busy).unprocessed());
            }
            Phase::Signing => {
                let (sender, signed) = mailbox(1);
                entry.waiting.push(sender);
                return Ok(Err(signed));
            }
        }
        if let Some((_, failed)) = entry.failed.as_ref().filter(|(when, _)| at.since(*when) < FAILED_FOR) {
            return Err(failed.clone());
        }
        entry.phase = Phase::Signing;
        let turn = Turn { held: Arc::clone(&self.0), who, sealed: found.sealed.clone(), decided: false };
        Ok(Ok(Entered::Turn(turn)))
    }

    /// Puts the session's cookies beside the browser's own. Gives those of `shown` that the browser does not have so. Without the
    /// sign-in of that number nobody knows which of the browser's are its own.
    pub(crate) fn put_cookies(
        &self,
        (who, number): (SessionOf, u64),
        shown: &[Box<str>],
        head: &mut RequestHead,
    ) -> Result<Vec<String>, Failed> {
        let held = lock(&self.0);
        let Some(entry) = held.entries.get(&who).filter(|entry| entry.number == number) else {
            let anew = "the user's session in the application began anew meanwhile";
            return Err(Failed::new(Fault::Overloaded, anew).unprocessed());
        };
        let unlike = entry.jar.unlike(shown, now(), head.headers.get_all(Known::Cookie));
        let field = entry.jar.field(head.target.as_str(), now(), head.headers.get_all(Known::Cookie));
        head.headers.remove(Known::Cookie);
        if let Some(field) = field {
            // Neither a field of a head that was parsed nor one of a backend's holds what a field cannot.
            let set = head.headers.set(Known::Cookie, field.as_slice());
            debug_assert!(set.is_ok(), "parts of field values are one");
        }
        Ok(unlike)
    }

    /// Keeps what an answer sets of the session's cookies, and takes it out. An answer to what was asked before a newer sign-in says
    /// nothing of that one, and which of its cookies were the session's nobody knows any more: all go.
    pub(crate) fn take_cookies(&self, who: SessionOf, number: u64, path: &str, head: &mut ResponseHead) {
        if !head.headers.contains(Known::SetCookie) {
            return;
        }
        let mut held = lock(&self.0);
        let Some(entry) = held.entries.get_mut(&who).filter(|entry| entry.number == number) else {
            head.headers.remove(Known::SetCookie);
            return;
        };
        let jar = &mut entry.jar;
        head.headers.retain(|field| {
            let ours = field.known() == Some(Known::SetCookie) && jar.has(name_of(field.value()));
            if ours {
                jar.keep(field.value(), path, now());
            }
            !ours
        });
    }

    /// The application says that the user is not signed on. False where another sign-in would not help: the last was just now.
    pub(crate) fn ran_out(&self, who: SessionOf, number: u64) -> bool {
        let mut held = lock(&self.0);
        let Some(entry) = held.entries.get_mut(&who) else { return true };
        if entry.number == number && entry.phase == Phase::In {
            if now().since(entry.signed_on_at) < AGAIN_AFTER {
                return false;
            }
            entry.phase = Phase::Out;
        }
        true
    }
}

impl Turn {
    /// The user is signed on. Gives the number of the sign-in.
    pub(crate) fn done(mut self, jar: Jar) -> u64 {
        let number = {
            let mut held = lock(&self.held);
            held.number += 1;
            held.number
        };
        self.decide(|entry| {
            (entry.jar, entry.phase, entry.failed) = (jar, Phase::In, None);
            (entry.number, entry.signed_on_at) = (number, now());
        });
        number
    }

    /// It came to nothing, and would now for the others that wait.
    pub(crate) fn failed(mut self, failed: &Failed) {
        self.decide(|entry| (entry.phase, entry.failed) = (Phase::Out, Some((now(), failed.clone()))));
    }

    fn decide(&mut self, decide: impl FnOnce(&mut Entry)) {
        self.decided = true;
        let mut held = lock(&self.held);
        // It may have begun anew with another credential meanwhile.
        if let Some(entry) = held.entries.get_mut(&self.who).filter(|entry| entry.sealed == self.sealed) {
            decide(entry);
            // Who waited may have gone.
            entry.waiting.drain(..).for_each(|waiting| drop(waiting.send(())));
        }
    }
}

impl Drop for Turn {
    /// Nothing came of it: the next one signs on.
    fn drop(&mut self) {
        if !self.decided {
            self.decide(|entry| entry.phase = Phase::Out);
        }
    }
}

impl Entry {
    fn new(sealed: &Sealed, origin: &str) -> Self {
        Self {
            sealed: sealed.clone(),
            origin: origin.to_owned(),
            jar: Jar::default(),
            phase: Phase::Out,
            number: 0,
            signed_on_at: now(),
            used_at: now(),
            failed: None,
            waiting: Vec::new(),
        }
    }
}

/// What was not used for long goes, and if that is nothing, what was used longest ago: its user is signed on again.
fn make_room(held: &mut HashMap<SessionOf, Entry>, at: Instant) {
    held.retain(|_, entry| entry.phase == Phase::Signing || at.since(entry.used_at) < IDLE_MAX);
    if held.len() < SESSIONS_MAX {
        return;
    }
    let idle = held.iter().filter(|(_, entry)| entry.phase != Phase::Signing);
    let longest = idle.min_by_key(|(_, entry)| entry.used_at).map(|(who, _)| *who);
    if let Some(longest) = longest {
        held.remove(&longest);
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sessions in applications: with five cookies of 200 bytes each about 2 KB, 20 MB.
const SESSIONS_MAX: usize = 10_000;
/// A session that was not used for so long is over.
const IDLE_MAX: Duration = Duration::from_secs(12 * 3_600);
/// Requests that wait for the one that signs on.
const WAITING_MAX: usize = 256;
/// How long they do: two requests to the backend.
const PATIENCE: Duration = Duration::from_secs(60);
/// A sign-in that came to nothing is not tried again at once for each picture of a page.
const FAILED_FOR: Duration = Duration::from_secs(5);
/// An application that takes the password and then says that nobody is signed on is not asked again and again.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use postern_http::{Authority, BodyKind, Method, PathRules, Target};
    use postern_io::{BackendKind, Runtime, RuntimeOptions};
    use postern_model::ids::TenantId;
    use postern_model::secret::SecretText;
    use postern_model::vault::{Login, Owner, Purpose, VaultKeyPair};

    const ORIGIN: &str = "http://app";

    fn who() -> SessionOf {
        let tenant = TenantId::DEFAULT;
        SessionOf { app: AppId::new(tenant, 1), user: UserId::new(tenant, 7), session: None }
    }

    /// Each time another one.
    fn found() -> Found {
        let SessionOf { app, user, .. } = who();
        let (owner, text) = (Owner::User(user), |text: &str| SecretText::new(text.into()));
        let login = Arc::new(Login::new(text("anna"), text("hunter2")).unwrap());
        let purpose = Purpose { app, owner, origin: ORIGIN.into() };
        let sealed = VaultKeyPair::generate().unwrap().public.seal(&login, &purpose).unwrap();
        Found { user, owner, login, sealed }
    }

    async fn signed_on(sessions: &Sessions, found: &Found) -> u64 {
        let Ok(Entered::Turn(turn)) = sessions.enter(who(), found, ORIGIN).await else {
            panic!("is signed on already")
        };
        let mut jar = Jar::default();
        jar.keep(b"sid=1", "/", now());
        turn.done(jar)
    }

    fn asks() -> RequestHead {
        let target = Target::parse(b"/", &Method::Get, PathRules::default()).unwrap();
        let mut head = RequestHead::new(Method::Get, Authority::parse(b"app").unwrap(), target);
        head.headers.append(Known::Cookie, "lang=de; sid=forged").unwrap();
        head
    }

    /// What is left of `sid` and `lang` in an answer.
    fn left(sessions: &Sessions, number: u64) -> usize {
        let mut head = ResponseHead::new(200, BodyKind::Length(0));
        head.headers.append(Known::SetCookie, "sid=2").unwrap();
        head.headers.append(Known::SetCookie, "lang=en").unwrap();
        sessions.take_cookies(who(), number, "/", &mut head);
        head.headers.get_all(Known::SetCookie).count()
    }

    /// An entry may go while a request is on its way, to make room or for another credential, and come again.
    #[test]
    fn cookies_are_of_one_sign_in_and_of_no_other() {
        let options = RuntimeOptions { backend: BackendKind::Sim, seed: Some(1), ..RuntimeOptions::default() };
        let test = async {
            let sessions = Sessions::default();
            let put = |number| sessions.put_cookies((who(), number), &[], &mut asks());
            let first = signed_on(&sessions, &found()).await;
            assert_eq!(put(first).unwrap(), [""; 0]);
            assert_eq!(left(&sessions, first), 1, "the application's own passes");
            lock(&sessions.0).entries.clear();
            assert!(put(first).unwrap_err().unprocessed, "the browser's own are not passed on");
            assert_eq!(left(&sessions, first), 0);
            let second = signed_on(&sessions, &found()).await;
            assert_ne!(first, second);
            assert!(put(first).is_err() && put(second).is_ok());
            assert_eq!((left(&sessions, first), left(&sessions, second)), (0, 1));
            // Another credential came while it was signed on: what came of that is nobody's.
            lock(&sessions.0).entries.clear();
            let Ok(Entered::Turn(turn)) = sessions.enter(who(), &found(), ORIGIN).await else { panic!("signed on") };
            let _next = sessions.enter(who(), &found(), ORIGIN).await;
            let third = turn.done(Jar::default());
            assert!(put(third).is_err());
        };
        Runtime::new(options).unwrap().run(test).unwrap();
    }
}
