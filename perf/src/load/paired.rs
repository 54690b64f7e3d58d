//! Two closed loops that take turns within one run: while the connections of one side send, those of the other wait. A machine
//! that is fast now and slow a second later is so for both. Between turns every answer is awaited, so that each request's
//! CPU time falls in its own side's time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::Notify;

use super::answer::{Answer, answered};
use super::link::Link;
use super::tally::Tally;
use super::{MARGIN, Run, Target, request, start};
use crate::clock::Timer;
use crate::cpu::Watch;
use crate::rounds;

/// A turn is so long, or shorter where whole pairs of turns fill the time.
pub const SLICE: Duration = Duration::from_millis(100);
/// What a proxy does after its last answer, such as its records, belongs to that answer's side.
const SETTLE: Duration = Duration::from_millis(2);

/// One measurement of two sides.
pub struct PairPlan {
    pub sides: [(Target, Watch); 2],
    pub path: String,
    /// Of each side; they stay for all rounds.
    pub connections: usize,
    pub rounds: usize,
    /// Of each side, once.
    pub warmup: Duration,
    /// Of each side in each round.
    pub duration: Duration,
}

impl PairPlan {
    /// Runs it on this thread and tells `progress` of each round. Failed requests are counted; a target that cannot be reached,
    /// that does not answer, or that fails too often is an error.
    pub fn run(&self, progress: impl FnMut(usize, &[Run; 2])) -> Result<Vec<[Run; 2]>> {
        start(async {
            let sides = [0, 1].map(|index| Rc::new(Side::new(self, index)));
            let outcome = self.rounds(&sides, progress).await;
            for side in &sides {
                side.tally.cut_all();
            }
            outcome
        })
    }

    async fn rounds(&self, sides: &[Rc<Side>; 2], mut progress: impl FnMut(usize, &[Run; 2])) -> Result<Vec<[Run; 2]>> {
        for side in sides {
            let opening = tokio::time::timeout(MARGIN, side.open(self.connections)).await;
            opening.with_context(|| side.silence())?.with_context(|| format!("connect to {}", side.target.address))?;
        }
        let mut timer = Timer::new()?;
        for (turn, length) in turns(self.warmup) {
            sides[turn].turn(length, &mut timer).await?;
        }
        let mut found = Vec::with_capacity(self.rounds);
        for round in 0..self.rounds {
            for (turn, length) in turns(self.duration) {
                let tally = &sides[turn].tally;
                tally.begin();
                let outcome = sides[turn].turn(length, &mut timer).await;
                tally.pause();
                outcome?;
            }
            let runs = [sides[0].take()?, sides[1].take()?];
            progress(round, &runs);
            found.push(runs);
        }
        Ok(found)
    }
}

/// Whose turn it is and for how long, until each side had `duration`: an even number of turns, two at least, so that ABBA is whole.
fn turns(duration: Duration) -> impl Iterator<Item = (usize, Duration)> {
    let pairs = duration.as_nanos().div_ceil(2 * SLICE.as_nanos()).max(1);
    let count = u32::try_from(2 * pairs).unwrap_or(u32::MAX);
    rounds::turns(2 * count as usize).map(move |turn| (turn, duration / count))
}

/// One of the two, with what its connections share.
struct Side {
    target: Target,
    path: String,
    /// The target with the cookie that is shown now, and what its connections send.
    shown: RefCell<Target>,
    request: RefCell<Rc<[u8]>>,
    tally: Rc<Tally>,
    gate: Gate,
}

impl Side {
    fn new(plan: &PairPlan, index: usize) -> Side {
        let (target, watch) = &plan.sides[index];
        Side {
            target: target.clone(),
            path: plan.path.clone(),
            shown: RefCell::new(target.clone()),
            request: RefCell::new(request(target, &plan.path).into()),
            tally: Tally::new(watch.clone()),
            gate: Gate::default(),
        }
    }

    /// Connections first, so that no handshake is measured. Each waits at the gate, and ends with the ring.
    async fn open(self: &Rc<Self>, connections: usize) -> Result<()> {
        for _ in 0..connections {
            let link = self.link().await?;
            tokio_uring::spawn(Rc::clone(self).connection(link));
        }
        Ok(())
    }

    async fn link(&self) -> std::io::Result<Link> {
        let link = Link::open(&self.target).await?;
        self.tally.keep(link.socket());
        Ok(link)
    }

    /// A closed loop with a gate in it. What failed is opened again, in this side's own time.
    async fn connection(self: Rc<Self>, link: Link) {
        let mut link = Some(link);
        while !self.tally.is_over() {
            self.gate.enter().await;
            if let Err(error) = self.exchange(&mut link).await {
                link = None;
                self.tally.failed(&error);
            }
            self.gate.leave();
        }
    }

    async fn exchange(&self, link: &mut Option<Link>) -> std::io::Result<()> {
        let link = match link {
            Some(link) => link,
            None => link.insert(self.link().await?),
        };
        let begun = Instant::now();
        let request = Rc::clone(&self.request.borrow());
        let answer = answered(link, &request).await?;
        self.tally.answered(begun.elapsed(), answer.content());
        self.renew(&answer);
        Ok(())
    }

    /// As browsers do: what an answer sets of what was shown, all connections show from then on. A session's cookie is
    /// renewed after a minute, and then with every answer until the new one is shown.
    fn renew(&self, answer: &Answer) {
        let mut shown = self.shown.borrow_mut();
        let Some(cookie) = shown.cookie.as_deref().and_then(|cookie| answer.renewed(cookie)) else { return };
        shown.cookie = Some(cookie);
        self.request.replace(request(&shown, &self.path).into());
    }

    /// Lets its connections send for so long and waits for all answers.
    async fn turn(&self, length: Duration, timer: &mut Timer) -> Result<()> {
        self.gate.open();
        let outcome = timer.until(Instant::now() + length).await;
        self.gate.close();
        outcome?;
        tokio::time::timeout(MARGIN, self.gate.drained()).await.with_context(|| self.silence())?;
        timer.until(Instant::now() + SETTLE).await?;
        if self.tally.is_over() {
            bail!("{}: too many requests failed: {}", self.target.address, self.tally.first_failure());
        }
        Ok(())
    }

    fn take(&self) -> Result<Run> {
        self.tally.take().with_context(|| self.target.address.to_string())
    }

    fn silence(&self) -> String {
        format!("{} did not answer within {} s", self.target.address, MARGIN.as_secs())
    }
}

/// Lets connections through while it is open, and knows when the last of them is back.
#[derive(Default)]
struct Gate {
    is_open: Cell<bool>,
    under_way: Cell<usize>,
    opened: Notify,
    returned: Notify,
}

impl Gate {
    fn open(&self) {
        self.is_open.set(true);
        self.opened.notify_waiters();
    }

    fn close(&self) {
        self.is_open.set(false);
    }

    async fn enter(&self) {
        while !self.is_open.get() {
            self.opened.notified().await;
        }
        self.under_way.set(self.under_way.get() + 1);
    }

    fn leave(&self) {
        self.under_way.set(self.under_way.get() - 1);
        if self.under_way.get() == 0 {
            self.returned.notify_one();
        }
    }

    async fn drained(&self) {
        while self.under_way.get() > 0 {
            self.returned.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const WORK: Duration = Duration::from_millis(1);

    /// What two servers saw together.
    #[derive(Debug, Default)]
    struct Seen {
        requests: [u64; 2],
        under_way: [usize; 2],
        /// Whose requests came after whose.
        order: Vec<usize>,
        overlaps: usize,
    }

    impl Seen {
        fn came(&mut self, side: usize) {
            self.requests[side] += 1;
            self.under_way[side] += 1;
            self.overlaps += self.under_way[1 - side];
            if self.order.last() != Some(&side) {
                self.order.push(side);
            }
        }
    }

    /// A server that closes a connection after so many answers.
    fn serve(side: usize, answers: usize, seen: &Arc<Mutex<Seen>>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::clone(seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, seen) = (stream.unwrap(), Arc::clone(&seen));
                std::thread::spawn(move || answer(stream, side, answers, &seen));
            }
        });
        address
    }

    fn answer(mut stream: TcpStream, side: usize, answers: usize, seen: &Mutex<Seen>) {
        for _ in 0..answers {
            let mut head = [0; 1024];
            if !matches!(stream.read(&mut head), Ok(1..)) {
                return;
            }
            seen.lock().unwrap().came(side);
            // Long enough that a request of the other side would be seen meanwhile.
            std::thread::sleep(WORK);
            // Before the answer: who has it may let the other side go on.
            seen.lock().unwrap().under_way[side] -= 1;
            if stream.write_all(ANSWER).is_err() {
                return;
            }
        }
    }

    /// A server that renews an old cookie, and keeps what was shown.
    fn renew(shown: &Arc<Mutex<Vec<String>>>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Arc::clone(shown);
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                let head = String::from_utf8_lossy(&buffer[..length]);
                let cookie = head.lines().find_map(|line| line.strip_prefix("Cookie: ")).unwrap_or_default();
                let set = if cookie.ends_with("s=old") { "Set-Cookie: s=new; Path=/\r\n" } else { "" };
                shown.lock().unwrap().push(cookie.to_owned());
                let answer = format!("HTTP/1.1 200 OK\r\n{set}Content-Length: 2\r\n\r\nok");
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        address
    }

    fn plan(addresses: [SocketAddr; 2], connections: usize) -> PairPlan {
        let side = |address| {
            let name = "localhost".to_owned();
            let target = Target { address, name: name.clone(), host: name, tls: None, cookie: None };
            (target, Watch { parts: Vec::new(), core: 0 })
        };
        PairPlan {
            sides: addresses.map(side),
            path: "/".into(),
            connections,
            rounds: 2,
            warmup: Duration::from_millis(20),
            duration: Duration::from_millis(40),
        }
    }

    #[test]
    fn turns_fill_the_time_of_each_side_and_are_even() {
        for (duration_ms, count, length_us) in [(3000, 30, 100_000), (250, 4, 62_500), (10, 2, 5_000)] {
            let turns: Vec<_> = turns(Duration::from_millis(duration_ms)).collect();
            for side in 0..2 {
                assert_eq!(turns.iter().filter(|(turn, _)| *turn == side).count(), count);
            }
            assert!(turns.iter().all(|(_, length)| *length == Duration::from_micros(length_us)), "{turns:?}");
        }
    }

    #[test]
    fn sides_are_asked_in_turns_and_never_at_once() {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let addresses = [0, 1].map(|side| serve(side, usize::MAX, &seen));
        let mut told = Vec::new();
        let rounds = plan(addresses, 4).run(|round, _| told.push(round)).unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.overlaps, 0, "{seen:?}");
        // The warm-up and two rounds, each ABBA.
        assert_eq!(seen.order, [0, 1, 0, 1, 0, 1, 0]);
        assert_eq!((told, rounds.len()), (vec![0, 1], 2));
        for side in 0..2 {
            let requests: u64 = rounds.iter().map(|runs| runs[side].requests).sum();
            assert!(requests < seen.requests[side], "the warm-up does not count: {requests} of {seen:?}");
            for run in rounds.iter().map(|runs| &runs[side]) {
                assert_eq!((run.failed, run.bytes, run.latency.len()), (0, 2 * run.requests, run.requests));
                assert!(run.requests > 0 && run.usage.elapsed >= WORK);
            }
        }
    }

    #[test]
    fn a_connection_that_fails_is_counted_and_opened_again() {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let addresses = [serve(0, 1, &seen), serve(1, usize::MAX, &seen)];
        for [failing, sound] in plan(addresses, 1).run(|_, _| ()).unwrap() {
            assert!(failing.requests > 0 && failing.failed > 0, "{:?}", failing.failures);
            assert_eq!(sound.failed, 0);
        }
    }

    #[test]
    fn a_cookie_that_is_renewed_is_shown_from_then_on() {
        let (seen, shown) = (Arc::default(), Arc::default());
        let mut plan = plan([renew(&shown), serve(1, usize::MAX, &seen)], 1);
        plan.sides[0].0.cookie = Some("a=1; s=old".into());
        assert!(plan.run(|_, _| ()).is_ok());
        let shown = shown.lock().unwrap();
        assert_eq!(shown[0], "a=1; s=old");
        assert!(shown.len() > 1 && shown[1..].iter().all(|cookie| cookie == "a=1; s=new"), "{:?}", shown.get(1));
    }

    #[test]
    fn a_side_that_is_not_there_is_an_error() {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let error = plan([serve(0, usize::MAX, &seen), gone], 1).run(|_, _| ()).unwrap_err();
        assert!(error.to_string().contains(&gone.to_string()), "{error:#}");
    }
}
