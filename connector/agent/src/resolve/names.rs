//! One worker's memory of names: an answer is good for a while, a failure for a shorter one. The resolver says no times to live, so
//! that they are the same for all names.
//!
//! ```text
//! nothing ──asked──▶ found ──30 s──▶ old ──asked again──▶ found
//!    └─────asked──▶ failed            └───fails: still used, for an hour; asked again every 3 s
//! ```

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use postern_io::sync::{OneReceiver, OneSender, oneshot};
use postern_io::{Instant, now, spawn, timeout};

use super::Resolver;
use crate::limits::{RESOLVED_FOR, RESOLVED_MAX, RESOLVED_OLD_FOR, RESOLVED_PATIENCE, UNRESOLVED_FOR};

/// Names and what is known of them.
#[derive(Debug, Clone)]
pub(crate) struct Names(Rc<Memory>);

#[derive(Debug)]
struct Memory {
    resolver: Resolver,
    known: RefCell<HashMap<Box<str>, Known>>,
    /// Names that are being asked for, and who waits for them.
    asking: RefCell<HashMap<Box<str>, Vec<OneSender<Answer>>>>,
    /// Of names that users choose; once there is one.
    chosen: OnceCell<Names>,
}

/// Addresses, or why there are none.
#[derive(Debug, Clone)]
struct Answer(Result<Rc<[IpAddr]>, Rc<str>>);

#[derive(Debug)]
struct Known {
    addresses: Rc<[IpAddr]>,
    /// The last answer but one.
    before: Rc<[IpAddr]>,
    /// Not to be asked for again until then.
    ask_at: Instant,
    /// However old they are, not longer.
    usable_until: Instant,
    /// Why it cannot be resolved now.
    failed: Option<Rc<str>>,
}

/// What is known at a moment.
enum Held {
    /// As good as new.
    Now(Answer),
    Old(Rc<[IpAddr]>),
    Nothing,
}

impl Names {
    pub(crate) fn new(resolver: Resolver) -> Self {
        let (known, asking) = (RefCell::default(), RefCell::default());
        Self(Rc::new(Memory { resolver, known, asking, chosen: OnceCell::new() }))
    }

    /// For names that users choose: a memory of its own, which they fill up alone.
    pub(crate) fn for_chosen(&self) -> Self {
        self.0.chosen.get_or_init(|| Self::new(self.0.resolver.for_chosen())).clone()
    }

    /// The resolver itself, for names that are not to be remembered.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.0.resolver
    }

    /// The addresses of `host`. Old ones where the resolver takes long or fails.
    pub(crate) async fn addresses(&self, host: &str) -> io::Result<Rc<[IpAddr]>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Rc::from([address]));
        }
        let answer = match self.0.held(host) {
            Held::Now(answer) => answer,
            // Whoever asked waits for it already.
            Held::Old(addresses) if self.0.is_asking(host) => return Ok(addresses),
            Held::Old(addresses) => match timeout(RESOLVED_PATIENCE, self.ask(host).recv()).await {
                Ok(Some(answer)) => answer,
                Ok(None) | Err(_) => return Ok(addresses),
            },
            Held::Nothing => {
                let answer = self.ask(host).recv().await;
                answer.ok_or_else(|| io::Error::other("the resolver ended"))?
            }
        };
        answer.0.map_err(|error| io::Error::other(&*error))
    }

    /// Has a name asked for again whose answer is old; nobody waits for it.
    pub(crate) fn refresh(&self, host: &str) {
        if matches!(self.0.held(host), Held::Old(_)) && !self.0.is_asking(host) {
            drop(self.ask(host));
        }
    }

    /// Whether the last two answers agree that the address is not `host`'s: some servers name only a part of many at a time. Never
    /// while it cannot be resolved.
    pub(crate) fn has_left(&self, host: &str, address: IpAddr) -> bool {
        self.0.known.borrow().get(host).is_some_and(|known| {
            known.failed.is_none() && !known.addresses.contains(&address) && !known.before.contains(&address)
        })
    }

    /// One question at a time for each name, by a task of its own: it ends although who asked does not wait for it.
    fn ask(&self, host: &str) -> OneReceiver<Answer> {
        let (sender, receiver) = oneshot();
        let mut asking = self.0.asking.borrow_mut();
        if let Some(waiting) = asking.get_mut(host) {
            waiting.retain(|other| !other.is_closed());
            waiting.push(sender);
            return receiver;
        }
        asking.insert(host.into(), vec![sender]);
        drop(asking);
        let (memory, host) = (Rc::clone(&self.0), Box::<str>::from(host));
        spawn(async move {
            let found = memory.resolver.look_up(&host).await;
            let answer = memory.answered(&host, found);
            let waiting = memory.asking.borrow_mut().remove(&host).unwrap_or_default();
            waiting.into_iter().for_each(|waiting| waiting.send(answer.clone()));
        })
        .detach();
        receiver
    }
}

impl Memory {
    fn is_asking(&self, host: &str) -> bool {
        self.asking.borrow().contains_key(host)
    }

    fn held(&self, host: &str) -> Held {
        let (known, at) = (self.known.borrow(), now());
        match known.get(host) {
            Some(known) if at < known.ask_at => Held::Now(known.answer(at)),
            Some(known) if known.is_usable(at) => Held::Old(Rc::clone(&known.addresses)),
            Some(_) | None => Held::Nothing,
        }
    }

    fn answered(&self, host: &str, found: io::Result<Vec<IpAddr>>) -> Answer {
        let (mut known, at) = (self.known.borrow_mut(), now());
        let held = known.remove(host);
        let next = match found {
            Ok(found) => Known::found(host, found.into(), held, at),
            Err(error) => Known::failed(host, &error, held, at),
        };
        let answer = next.answer(at);
        // Failures go first: what has addresses is some backend, and what has none may be anything that was asked for.
        if known.len() >= RESOLVED_MAX {
            known.retain(|_, other| other.is_usable(at));
        }
        if known.len() >= RESOLVED_MAX {
            known.retain(|_, other| at < other.ask_at);
        }
        if known.len() < RESOLVED_MAX {
            known.insert(host.into(), next);
        }
        answer
    }
}

impl Known {
    fn found(host: &str, addresses: Rc<[IpAddr]>, held: Option<Self>, at: Instant) -> Self {
        let was_failing = held.as_ref().is_some_and(|held| held.failed.is_some());
        if was_failing {
            tracing::info!(host, "the name can be resolved again");
        }
        let before = held.map(|held| held.addresses).filter(|before| !before.is_empty());
        let before = before.unwrap_or_else(|| Rc::clone(&addresses));
        let (ask_at, usable_until) = (at.after(RESOLVED_FOR), at.after(RESOLVED_OLD_FOR));
        Self { addresses, before, ask_at, usable_until, failed: None }
    }

    fn failed(host: &str, error: &io::Error, held: Option<Self>, at: Instant) -> Self {
        let failed = Some(Rc::from(error.to_string()));
        let ask_at = at.after(UNRESOLVED_FOR);
        match held {
            Some(held) if held.is_usable(at) => {
                if held.failed.is_none() {
                    tracing::warn!(host, %error, "the name cannot be resolved now; its last addresses are used");
                }
                Self { ask_at, failed, ..held }
            }
            Some(_) | None => {
                let none: Rc<[IpAddr]> = Rc::from([]);
                Self { addresses: Rc::clone(&none), before: none, ask_at, usable_until: at, failed }
            }
        }
    }

    fn is_usable(&self, at: Instant) -> bool {
        !self.addresses.is_empty() && at < self.usable_until
    }

    fn answer(&self, at: Instant) -> Answer {
        match &self.failed {
            Some(error) if !self.is_usable(at) => Answer(Err(Rc::clone(error))),
            Some(_) | None => Answer(Ok(Rc::clone(&self.addresses))),
        }
    }
}
