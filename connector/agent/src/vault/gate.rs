//! So that no account is locked by us: a credential that was not taken yet is tried by one request at a time, and one that was
//! refused is not tried for a while, longer each time. A credential that was set anew begins anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_io::mailbox::{Sender, mailbox};
use postern_io::time::timeout;
use postern_io::{Instant, now};
use postern_model::ids::AppId;
use postern_model::vault::{Owner, Sealed};

use super::Found;
use crate::failure::{Failed, Fault};

/// All credentials that were tried.
#[derive(Debug, Default)]
pub(crate) struct Gate(Arc<Mutex<Tried>>);

type Tried = HashMap<(AppId, Owner), Entry>;

#[derive(Debug)]
struct Entry {
    sealed: Sealed,
    phase: Phase,
    refusals: u32,
    /// Not tried before.
    held_until: Option<Instant>,
    waiting: Vec<Sender<()>>,
}

/// ```text
/// Unproven ──enter──▶ Trying ──good──▶ Good
///     ▲                 │ refused, unknown   │
///     └─────────────────┴──────refused───────┘
/// ```
/// Whoever tries and is refused has it held. Where it was good, that is so of a user's own, and the shared one is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unproven,
    Trying,
    Good,
}

/// The right to show a credential once.
#[derive(Debug)]
pub(crate) struct Pass {
    tried: Arc<Mutex<Tried>>,
    key: (AppId, Owner),
    sealed: Sealed,
    /// It is the one that tries.
    trying: bool,
}

impl Gate {
    /// Waits until it is this request's turn.
    pub(crate) async fn enter(&self, app: AppId, found: &Found) -> Result<Pass, Failed> {
        let deadline = now().after(PATIENCE);
        loop {
            let mut turn = match self.try_enter(app, found)? {
                Ok(pass) => return Ok(pass),
                Err(turn) => turn,
            };
            let left = deadline.since(now());
            if left.is_zero() || timeout(left, turn.recv()).await.is_err() {
                let busy = "another request is still trying the same credential";
                return Err(Failed::new(Fault::Overloaded, busy).unprocessed());
            }
        }
    }

    fn try_enter(&self, app: AppId, found: &Found) -> Result<Result<Pass, postern_io::mailbox::Receiver<()>>, Failed> {
        let key = (app, found.owner);
        let mut tried = lock(&self.0);
        if tried.len() >= TRIED_MAX && !tried.contains_key(&key) {
            forget(&mut tried)?;
        }
        let entry = tried.entry(key).or_insert_with(|| Entry::new(&found.sealed));
        if entry.sealed != found.sealed {
            *entry = Entry::new(&found.sealed);
        }
        if let Some(until) = entry.held_until.filter(|until| now() < *until) {
            let left = until.since(now()).as_secs() + 1;
            let detail =
                format!("the application refused the credential of {}; it is not tried for {left} s", found.owner);
            return Err(Failed::new(Fault::SsoCredentialRefused, detail));
        }
        let trying = match entry.phase {
            Phase::Good => false,
            Phase::Unproven => {
                entry.phase = Phase::Trying;
                true
            }
            Phase::Trying => {
                let (sender, turn) = mailbox(1);
                entry.waiting.push(sender);
                if entry.waiting.len() > WAITING_MAX {
                    return Err(
                        Failed::new(Fault::Overloaded, "too many requests wait for one credential").unprocessed()
                    );
                }
                return Ok(Err(turn));
            }
        };
        Ok(Ok(Pass { tried: Arc::clone(&self.0), key, sealed: found.sealed.clone(), trying }))
    }
}

impl Pass {
    /// The backend took it.
    pub(crate) fn good(&mut self) {
        if self.trying {
            self.decide(|entry| (entry.phase, entry.refusals, entry.held_until) = (Phase::Good, 0, None));
        }
    }

    /// Its answer says nothing of the credential: the next one tries, at once.
    pub(crate) fn unknown(&mut self) {
        if self.trying {
            self.decide(|entry| entry.phase = Phase::Unproven);
        }
    }

    /// The backend did not. Gives for how long it is not tried again.
    pub(crate) fn refused(&mut self) -> Duration {
        let is_doubt = self.key.1 == Owner::Shared && !self.trying;
        let mut held = Duration::ZERO;
        self.decide(|entry| {
            // Others' page may want another password: one user must not take from all what was good until now. The next one tries.
            if is_doubt {
                if entry.phase == Phase::Good {
                    entry.phase = Phase::Unproven;
                }
                held = entry.held_until.map_or(Duration::ZERO, |until| until.since(now()));
                return;
            }
            entry.phase = Phase::Unproven;
            // Requests that were under way together are one refusal.
            if entry.held_until.is_none_or(|until| now() >= until) {
                let long_ago = entry.held_until.is_some_and(|until| now().since(until) >= FORGOTTEN_AFTER);
                entry.refusals = if long_ago { 1 } else { entry.refusals.saturating_add(1) };
                let doubled = HELD_MIN.saturating_mul(1 << (entry.refusals - 1).min(16));
                entry.held_until = Some(now().after(doubled.min(HELD_MAX)));
            }
            held = entry.held_until.map_or(HELD_MIN, |until| until.since(now()));
        });
        held
    }

    fn decide(&mut self, decide: impl FnOnce(&mut Entry)) {
        self.trying = false;
        let mut tried = lock(&self.tried);
        // Another credential may have come meanwhile: it is not judged by this one.
        if let Some(entry) = tried.get_mut(&self.key).filter(|entry| entry.sealed == self.sealed) {
            decide(entry);
            entry.wake();
        }
    }
}

impl Drop for Pass {
    /// Nothing came of it: the next one tries.
    fn drop(&mut self) {
        self.unknown();
    }
}

impl Entry {
    fn new(sealed: &Sealed) -> Self {
        Self { sealed: sealed.clone(), phase: Phase::Unproven, refusals: 0, held_until: None, waiting: Vec::new() }
    }

    fn wake(&mut self) {
        // Who waited may have gone.
        self.waiting.drain(..).for_each(|waiting| drop(waiting.send(())));
    }
}

/// Makes room: what is good or was refused long ago. What is held stays, or it would be tried again at once.
fn forget(tried: &mut Tried) -> Result<(), Failed> {
    tried.retain(|_, entry| entry.phase == Phase::Trying || entry.held_until.is_some_and(|until| now() < until));
    if tried.len() < TRIED_MAX {
        return Ok(());
    }
    Err(Failed::new(Fault::Overloaded, "too many credentials were refused lately").unprocessed())
}

fn lock(tried: &Mutex<Tried>) -> MutexGuard<'_, Tried> {
    tried.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Credentials that are remembered: at about 300 bytes each 1.2 MB.
const TRIED_MAX: usize = 4_096;
/// Requests that wait for the one that tries.
const WAITING_MAX: usize = 256;
/// How long they do.
const PATIENCE: Duration = Duration::from_secs(10);
/// With the next doubling, five tries in half an hour: under what directories lock an account for.
pub(crate) const HELD_MIN: Duration = Duration::from_secs(60);
const HELD_MAX: Duration = Duration::from_secs(900);
/// After so long without a try, refusals are counted from the beginning.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1_800);
