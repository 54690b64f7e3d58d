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

type Held = HashMap<SessionOf, Entry>;

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
    /// Counts its sign-ins.
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
    /// The user is signed on, for the so-many-th time.
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
        if held.len() >= SESSIONS_MAX && !held.contains_key(&who) {
            make_room(&mut held, at);
        }
        let entry = held.entry(who).or_insert_with(|| Entry::new(&found.sealed, origin));
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

    /// Puts the session's cookies beside the browser's own. Gives those of `shown` that the browser does not have so.
    pub(crate) fn put_cookies(&self, who: SessionOf, shown: &[Box<str>], head: &mut RequestHead) -> Vec<String> {
        let held = lock(&self.0);
        let Some(entry) = held.get(&who) else { return Vec::new() };
        let unlike = entry.jar.unlike(shown, now(), head.headers.get_all(Known::Cookie));
        let field = entry.jar.field(head.target.as_str(), now(), head.headers.get_all(Known::Cookie));
        head.headers.remove(Known::Cookie);
        if let Some(field) = field {
            // Neither a field of a head that was parsed nor one of a backend's holds what a field cannot.
            let set = head.headers.set(Known::Cookie, field.as_slice());
            debug_assert!(set.is_ok(), "parts of field values are one");
        }
        unlike
    }

    /// Keeps what an answer sets of the session's cookies, and takes it out.
    pub(crate) fn take_cookies(&self, who: SessionOf, number: u64, path: &str, head: &mut ResponseHead) {
        if !head.headers.contains(Known::SetCookie) {
            return;
        }
        let mut held = lock(&self.0);
        let Some(entry) = held.get_mut(&who) else { return };
        let (is_current, jar) = (entry.number == number, &mut entry.jar);
        head.headers.retain(|field| {
            let ours = field.known() == Some(Known::SetCookie) && jar.has(name_of(field.value()));
            // An answer to what was asked before a newer sign-in says nothing of that one.
            if ours && is_current {
                jar.keep(field.value(), path, now());
            }
            !ours
        });
    }

    /// The application says that the user is not signed on. False where another sign-in would not help: the last was just now.
    pub(crate) fn ran_out(&self, who: SessionOf, number: u64) -> bool {
        let mut held = lock(&self.0);
        let Some(entry) = held.get_mut(&who) else { return true };
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
    /// The user is signed on, for the so-many-th time.
    pub(crate) fn done(mut self, jar: Jar) -> u64 {
        let mut number = 0;
        self.decide(|entry| {
            (entry.jar, entry.phase, entry.failed) = (jar, Phase::In, None);
            entry.number += 1;
            entry.signed_on_at = now();
            number = entry.number;
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
        if let Some(entry) = held.get_mut(&self.who).filter(|entry| entry.sealed == self.sealed) {
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
fn make_room(held: &mut Held, at: Instant) {
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
