//! Tickets of an authority that counts what it is asked and answers when it is told to.

use std::sync::Condvar;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// Gives tickets to all but `nobody`, once its gate is open.
struct Counting {
    fetched: AtomicUsize,
    gate: (Mutex<bool>, Condvar),
    lifetime: Duration,
}

struct Taken;

impl Proof for Taken {
    fn check(self: Box<Self>, answer: &[u8]) -> Result<(), KerberosFailure> {
        let unproven = KerberosFailure::without_code(FailureKind::PeerUnproven, "another");
        if answer == b"it is me" { Ok(()) } else { Err(unproven) }
    }
}

impl Authority for Arc<Counting> {
    type Ticket = usize;

    fn fetch(&self, wanted: &Wanted) -> Result<(usize, Duration), KerberosFailure> {
        let number = self.fetched.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.gate.0.lock().unwrap();
        while !*open {
            open = self.gate.1.wait(open).unwrap();
        }
        if &*wanted.user == "nobody" {
            return Err(KerberosFailure::of_status(0x96c7_3a06, "not found"));
        }
        Ok((number, self.lifetime))
    }

    fn present(&self, ticket: &usize, wanted: &Wanted) -> Result<(Vec<u8>, Box<dyn Proof>), KerberosFailure> {
        Ok((format!("{}:{ticket}", wanted.user).into_bytes(), Box::new(Taken)))
    }
}

struct World {
    authority: Arc<Counting>,
    tickets: Tickets<Arc<Counting>>,
}

impl World {
    fn new(open: bool, lifetime: Duration) -> Self {
        let gate = (Mutex::new(open), Condvar::new());
        let authority = Arc::new(Counting { fetched: AtomicUsize::new(0), gate, lifetime });
        Self { tickets: Tickets::start(Arc::clone(&authority)).unwrap(), authority }
    }

    fn ask(&self, user: &str, fresh: bool) -> Receiver<Result<Negotiation, KerberosFailure>> {
        let (sender, receiver) = channel();
        let wanted = Wanted { user: user.into(), service: "HTTP/app.test@TEST".into() };
        self.tickets.negotiate(wanted, fresh, Reply::to(move |answer| drop(sender.send(answer))));
        receiver
    }

    fn token(&self, user: &str, fresh: bool) -> (String, bool) {
        let negotiation = self.ask(user, fresh).recv().unwrap().unwrap();
        (String::from_utf8(negotiation.token).unwrap(), negotiation.from_held)
    }

    fn open(&self) {
        *self.authority.gate.0.lock().unwrap() = true;
        self.authority.gate.1.notify_all();
    }

    fn fetched(&self) -> usize {
        self.authority.fetched.load(Ordering::Relaxed)
    }
}

const LONG: Duration = Duration::from_secs(36_000);

#[test]
fn a_ticket_is_fetched_once_and_tokens_are_made_of_it() {
    let world = World::new(true, LONG);
    assert_eq!(world.token("anna", false), ("anna:1".into(), false));
    assert_eq!(world.token("anna", false), ("anna:1".into(), true));
    assert_eq!(world.token("bob", false), ("bob:2".into(), false), "users do not share tickets");
    assert_eq!(world.token("anna", true), ("anna:3".into(), false), "asked for a fresh one");
    assert_eq!(world.token("anna", false), ("anna:3".into(), true));
}

#[test]
fn a_ticket_about_to_expire_is_not_used_again() {
    let world = World::new(true, TICKET_MARGIN);
    assert_eq!(world.token("anna", false), ("anna:1".into(), false));
    assert_eq!(world.token("anna", false), ("anna:2".into(), false));
}

#[test]
fn many_requests_at_once_ask_the_kdc_once() {
    let world = World::new(false, LONG);
    let answers: Vec<_> = (0..50).map(|_| world.ask("anna", false)).collect();
    world.open();
    for answer in answers {
        assert_eq!(answer.recv().unwrap().unwrap().token, b"anna:1");
    }
    assert_eq!(world.fetched(), 1);
}

#[test]
fn a_refusal_is_remembered_for_a_while() {
    let world = World::new(true, LONG);
    for _ in 0..10 {
        let failure = world.ask("nobody", false).recv().unwrap().unwrap_err();
        assert_eq!((failure.kind, failure.code), (FailureKind::UserUnknown, Some(6)));
    }
    assert_eq!(world.fetched(), 1);
}

#[test]
fn a_kdc_that_hangs_holds_up_neither_held_tickets_nor_who_asks() {
    let world = World::new(true, LONG);
    assert_eq!(world.token("anna", false).0, "anna:1");
    *world.authority.gate.0.lock().unwrap() = false;
    // The threads, the queue, and more than that.
    let waiting: Vec<_> =
        (0..FETCHING_THREADS + FETCHES_WAITING + 50).map(|n| world.ask(&format!("user{n}"), false)).collect();
    assert_eq!(world.token("anna", false), ("anna:1".into(), true));
    let busy = waiting
        .iter()
        .filter(|answer| {
            answer.try_recv().is_ok_and(|answer| answer.is_err_and(|failure| failure.kind == FailureKind::Busy))
        })
        .count();
    assert!((50..=50 + FETCHING_THREADS).contains(&busy), "{busy}");
    world.open();
}

#[test]
fn who_waits_for_the_same_is_bounded() {
    let world = World::new(false, LONG);
    let waiting: Vec<_> = (0..ASKED_MAX).map(|_| world.ask("anna", false)).collect();
    let refused = world.ask("anna", false).recv().unwrap().unwrap_err();
    assert_eq!(refused.kind, FailureKind::Busy);
    world.open();
    assert!(waiting.into_iter().all(|answer| answer.recv().unwrap().is_ok()));
}

#[test]
fn what_is_held_is_bounded() {
    let mut book = Book { held: HashMap::new(), asked: HashMap::new() };
    let now = Instant::now();
    for number in 0..TICKETS_MAX as u64 + 10 {
        let wanted = Wanted { user: number.to_string().into(), service: "s".into() };
        book.hold(&wanted, Held { word: Ok(number), until: now + LONG + Duration::from_secs(number) });
    }
    assert_eq!(book.held.len(), TICKETS_MAX);
    let first = Wanted { user: "0".into(), service: "s".into() };
    assert!(!book.held.contains_key(&first), "the one that expires first makes room");
}

#[test]
fn a_services_answer_is_looked_at() {
    let world = World::new(true, LONG);
    for (answer, good) in [(b"it is me".as_slice(), true), (b"", false)] {
        let negotiation = world.ask("anna", false).recv().unwrap().unwrap();
        let (sender, receiver) = channel();
        let reply = Reply::to(move |checked: Result<(), KerberosFailure>| drop(sender.send(checked)));
        world.tickets.check(negotiation.proof, answer.to_vec(), reply);
        assert_eq!(receiver.recv().unwrap().is_ok(), good);
    }
}
