//! Tickets of many users to many services: fetched on threads of their own, once for all who wait for the same, and held
//! until shortly before they expire. Whoever asks never waits in here: the answer comes by a call.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{FailureKind, KerberosFailure};
use crate::limits::{
    ASKED_MAX, FETCHES_WAITING, FETCHING_THREADS, PATIENCE, PRESENTING_THREADS, PRESENTS_WAITING, REFUSAL_REMEMBERED,
    TICKET_MARGIN, TICKET_REUSED_MAX, TICKETS_MAX,
};

/// Whose ticket, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// `anna@EXAMPLE.COM`, or an enterprise name with the realm that knows it: `anna@example.com@EXAMPLE.COM`.
    pub user: Arc<str>,
    /// `HTTP/app.example.com`, perhaps with `@REALM`.
    pub service: Arc<str>,
}

/// What to send in `Authorization: Negotiate`.
pub struct Negotiation {
    /// A SPNEGO token, good for one request.
    pub token: Vec<u8>,
    /// It comes from a ticket that was held already.
    pub from_held: bool,
    /// Looks at the service's answer.
    pub proof: Box<dyn Proof>,
}

impl fmt::Debug for Negotiation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiation").field("from_held", &self.from_held).finish_non_exhaustive()
    }
}

/// Mutual authentication: whether an answer comes from who the token was for.
pub trait Proof: Send {
    /// Looks at the SPNEGO token of an answer.
    ///
    /// # Errors
    /// It is not from the service.
    fn check(self: Box<Self>, answer: &[u8]) -> Result<(), KerberosFailure>;
}

/// Where an answer goes. Called once, on any thread.
pub struct Reply<T>(Box<dyn FnOnce(Result<T, KerberosFailure>) + Send>);

impl<T> Reply<T> {
    /// Calls `take` with the answer.
    pub fn to(take: impl FnOnce(Result<T, KerberosFailure>) + Send + 'static) -> Self {
        Self(Box::new(take))
    }

    /// Answers.
    pub fn send(self, answer: Result<T, KerberosFailure>) {
        (self.0)(answer);
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// Signs users on to services. Its calls return at once.
pub trait SignOn: Send + Sync {
    /// Asks for a token. `fresh`: not from a ticket that is held, for the service did not take it.
    fn negotiate(&self, wanted: Wanted, fresh: bool, reply: Reply<Negotiation>);
    /// Has a service's answer looked at.
    fn check(&self, proof: Box<dyn Proof>, answer: Vec<u8>, reply: Reply<()>);
}

/// Who gives tickets: a KDC, or in tests something that acts like one. Its calls may block.
pub trait Authority: Send + Sync + 'static {
    /// A ticket of one user to one service.
    type Ticket: Clone + Send + 'static;
    /// Fetches one, and says how long it is good.
    ///
    /// # Errors
    /// There is none.
    fn fetch(&self, wanted: &Wanted) -> Result<(Self::Ticket, Duration), KerberosFailure>;
    /// Makes a token of it.
    ///
    /// # Errors
    /// It cannot be used.
    fn present(&self, ticket: &Self::Ticket, wanted: &Wanted) -> Result<(Vec<u8>, Box<dyn Proof>), KerberosFailure>;
}

/// The tickets of one authority.
pub struct Tickets<A: Authority> {
    shared: Arc<Shared<A>>,
    fetches: SyncSender<Wanted>,
    presents: SyncSender<Job<A>>,
}

struct Shared<A: Authority> {
    authority: A,
    book: Mutex<Book<A::Ticket>>,
}

/// What is known, and who waits for more.
struct Book<T> {
    held: HashMap<Wanted, Held<T>>,
    asked: HashMap<Wanted, Vec<Asked>>,
}

/// The authority's last word, for as long as it counts.
struct Held<T> {
    word: Result<T, KerberosFailure>,
    until: Instant,
}

struct Asked {
    reply: Reply<Negotiation>,
    since: Instant,
}

/// What needs no authority.
enum Job<A: Authority> {
    Present { ticket: A::Ticket, wanted: Wanted, asked: Asked },
    Check { proof: Box<dyn Proof>, answer: Vec<u8>, reply: Reply<()> },
}

impl<A: Authority> Tickets<A> {
    /// Starts the threads. They end when this is dropped.
    ///
    /// # Errors
    /// No threads can be had.
    pub fn start(authority: A) -> io::Result<Self> {
        let book = Mutex::new(Book { held: HashMap::new(), asked: HashMap::new() });
        let shared = Arc::new(Shared { authority, book });
        let (fetches, to_fetch) = sync_channel(FETCHES_WAITING);
        let (presents, to_present) = sync_channel(PRESENTS_WAITING);
        let fetching = Arc::clone(&shared);
        threads("sso-fetch", FETCHING_THREADS, to_fetch, move |wanted| fetching.fetch(&wanted))?;
        let presenting = Arc::clone(&shared);
        threads("sso-present", PRESENTING_THREADS, to_present, move |job| presenting.work(job))?;
        Ok(Self { shared, fetches, presents })
    }
}

impl<A: Authority> SignOn for Tickets<A> {
    fn negotiate(&self, wanted: Wanted, fresh: bool, reply: Reply<Negotiation>) {
        let asked = Asked { reply, since: Instant::now() };
        let mut book = self.shared.book();
        match book.held.get(&wanted).filter(|held| !fresh && held.until > asked.since).map(|held| held.word.clone()) {
            Some(Ok(ticket)) => {
                drop(book);
                self.job(Job::Present { ticket, wanted, asked });
            }
            Some(Err(failure)) => {
                drop(book);
                asked.reply.send(Err(failure));
            }
            None => {
                let refused = book.wait(&wanted, asked, &self.fetches);
                drop(book);
                if let Some(asked) = refused {
                    asked.reply.send(Err(busy()));
                }
            }
        }
    }

    fn check(&self, proof: Box<dyn Proof>, answer: Vec<u8>, reply: Reply<()>) {
        self.job(Job::Check { proof, answer, reply });
    }
}

impl<A: Authority> Tickets<A> {
    fn job(&self, job: Job<A>) {
        let Err(refused) = self.presents.try_send(job) else { return };
        match refused {
            std::sync::mpsc::TrySendError::Full(job) | std::sync::mpsc::TrySendError::Disconnected(job) => match job {
                Job::Present { asked, .. } => asked.reply.send(Err(busy())),
                Job::Check { reply, .. } => reply.send(Err(busy())),
            },
        }
    }
}

impl<T> Book<T> {
    /// Waits with the others for the same, or has it fetched. Gives back who cannot wait.
    fn wait(&mut self, wanted: &Wanted, asked: Asked, fetches: &SyncSender<Wanted>) -> Option<Asked> {
        if let Some(waiting) = self.asked.get_mut(wanted) {
            if waiting.len() >= ASKED_MAX {
                return Some(asked);
            }
            waiting.push(asked);
            return None;
        }
        if fetches.try_send(wanted.clone()).is_err() {
            return Some(asked);
        }
        self.asked.insert(wanted.clone(), vec![asked]);
        None
    }

    fn hold(&mut self, wanted: &Wanted, held: Held<T>) {
        if self.held.len() >= TICKETS_MAX && !self.held.contains_key(wanted) {
            let now = Instant::now();
            self.held.retain(|_, held| held.until > now);
            if self.held.len() >= TICKETS_MAX
                && let Some(first) =
                    self.held.iter().min_by_key(|(_, held)| held.until).map(|(wanted, _)| wanted.clone())
            {
                self.held.remove(&first);
            }
        }
        self.held.insert(wanted.clone(), held);
    }
}

impl<A: Authority> Shared<A> {
    fn book(&self) -> MutexGuard<'_, Book<A::Ticket>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the authority, unless all who wanted that have given up.
    fn fetch(&self, wanted: &Wanted) {
        {
            let mut book = self.book();
            let in_time = book.asked.get(wanted).is_some_and(|asked| asked.iter().any(Asked::is_in_time));
            if !in_time {
                let late = book.asked.remove(wanted).unwrap_or_default();
                drop(book);
                late.into_iter().for_each(Asked::too_late);
                return;
            }
        }
        let fetched = self.authority.fetch(wanted);
        let now = Instant::now();
        let held = match &fetched {
            Ok((ticket, lifetime)) => {
                let until = now + lifetime.saturating_sub(TICKET_MARGIN).min(TICKET_REUSED_MAX);
                Held { word: Ok(ticket.clone()), until }
            }
            Err(failure) => {
                tracing::warn!(spn = %wanted.service, "no Kerberos ticket: {failure}");
                Held { word: Err(failure.clone()), until: now + REFUSAL_REMEMBERED }
            }
        };
        let asked = {
            let mut book = self.book();
            book.hold(wanted, held);
            book.asked.remove(wanted).unwrap_or_default()
        };
        for asked in asked {
            match &fetched {
                Ok((ticket, _)) => self.present(ticket, wanted, asked, false),
                Err(failure) => asked.reply.send(Err(failure.clone())),
            }
        }
    }

    fn work(&self, job: Job<A>) {
        match job {
            Job::Present { ticket, wanted, asked } => self.present(&ticket, &wanted, asked, true),
            Job::Check { proof, answer, reply } => reply.send(proof.check(&answer)),
        }
    }

    fn present(&self, ticket: &A::Ticket, wanted: &Wanted, asked: Asked, from_held: bool) {
        if !asked.is_in_time() {
            return asked.too_late();
        }
        let presented = self.authority.present(ticket, wanted);
        asked.reply.send(presented.map(|(token, proof)| Negotiation { token, from_held, proof }));
    }
}

impl Asked {
    fn is_in_time(&self) -> bool {
        self.since.elapsed() < PATIENCE
    }

    fn too_late(self) {
        self.reply.send(Err(KerberosFailure::without_code(FailureKind::TooSlow, "the KDC took too long")));
    }
}

fn busy() -> KerberosFailure {
    KerberosFailure::without_code(FailureKind::Busy, "too many requests wait for tickets already")
}

/// Threads that do what comes until nothing can come any more.
fn threads<T: Send + 'static>(
    name: &str,
    count: usize,
    jobs: Receiver<T>,
    work: impl Fn(T) + Send + Sync + 'static,
) -> io::Result<()> {
    let (jobs, work) = (Arc::new(Mutex::new(jobs)), Arc::new(work));
    for _ in 0..count {
        let (jobs, work) = (Arc::clone(&jobs), Arc::clone(&work));
        thread::Builder::new().name(name.into()).spawn(move || {
            loop {
                let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(job) = next else { return };
                work(job);
            }
        })?;
    }
    Ok(())
}

impl<A: Authority> fmt::Debug for Tickets<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
