//! Which tunnels to one relay there should be: one to each worker of its newest generation. A pure state machine:
//! reports and time in, dials out.

use std::time::Duration;

use postern_io::Instant;
use postern_model::ids::RelayId;

use crate::dial::TunnelId;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, RELAY_WORKERS_MAX, TUNNEL_GOOD_AFTER};

/// What a relay said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) relay: RelayId,
    pub(crate) generation: u32,
    pub(crate) workers: u16,
}

/// A tunnel to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dial {
    /// The server name: a hint to the relay, which worker should get it.
    pub(crate) server_name: String,
    /// Which of the connector's threads serves it, before wrapping around.
    pub(crate) thread: u16,
    pub(crate) place: Place,
}

/// What a dial is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// To learn what the relay is; any worker.
    Scout,
    Worker(u16),
}

/// What to do with a tunnel that came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    /// Its worker has a tunnel already.
    Close,
}

/// The tunnels to one relay.
///
/// Nothing known: one scout is dialled. It says relay, generation and workers; then each worker without a tunnel is
/// dialled. Something else said by a later tunnel (a new generation, a relay that was restarted) begins anew around that
/// tunnel. When the last tunnel is lost, all is forgotten: a scout again.
#[derive(Debug)]
pub(crate) struct Placement {
    known: Option<Known>,
    /// Worker of the first tunnel: the threads are counted from it, since the scout is served by thread 0.
    first: u16,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    state: State,
    /// Dials in a row that led to no good tunnel.
    failures: u32,
}

/// `Empty ─dial─▶ Dialling ─up─▶ Up ─lost─▶ Empty`; a failed dial goes back to `Empty`.
#[derive(Debug, Clone, Copy)]
enum State {
    Empty { due: Instant },
    Dialling { tunnel: TunnelId },
    Up { tunnel: TunnelId, since: Instant },
}

impl Placement {
    pub(crate) fn new(now: Instant) -> Self {
        Self { known: None, first: 0, slots: vec![Slot::empty(now)] }
    }

    /// The next dial that is due; it counts as begun, as `tunnel`.
    pub(crate) fn begin_dial(&mut self, now: Instant, tunnel: TunnelId) -> Option<Dial> {
        let index = self.slots.iter().position(|slot| slot.due().is_some_and(|due| due <= now))?;
        self.slots[index].state = State::Dialling { tunnel };
        let worker = u16::try_from(index).expect("slots are at most RELAY_WORKERS_MAX");
        Some(match self.known {
            None => Dial { server_name: String::from(ANY_WORKER), thread: 0, place: Place::Scout },
            Some(known) => Dial {
                server_name: format!("w{worker}-g{}.{}.{ANY_WORKER}", known.generation, known.relay),
                thread: (worker + known.workers - self.first % known.workers) % known.workers,
                place: Place::Worker(worker),
            },
        })
    }

    /// When the next dial is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.slots.iter().filter_map(Slot::due).min()
    }

    /// A tunnel came up and its relay introduced itself.
    pub(crate) fn up(&mut self, tunnel: TunnelId, said: Known, worker: u16, now: Instant) -> Verdict {
        if self.known != Some(said) {
            self.begin_anew(said, worker, now);
        }
        let Some(wanted) = self.slots.get_mut(usize::from(worker)) else { return Verdict::Close };
        match wanted.state {
            State::Up { tunnel: other, .. } if other != tunnel => {
                // The relay could not follow the hint: this dial was in vain.
                self.ended(tunnel, now, BACKOFF_MAX);
                Verdict::Close
            }
            State::Up { .. } => Verdict::Keep,
            State::Empty { .. } | State::Dialling { .. } => {
                wanted.state = State::Up { tunnel, since: now };
                self.free_others(tunnel, worker, now);
                Verdict::Keep
            }
        }
    }

    fn begin_anew(&mut self, said: Known, worker: u16, now: Instant) {
        self.known = Some(said);
        self.first = worker;
        let workers = said.workers.min(RELAY_WORKERS_MAX);
        self.slots = (0..workers).map(|_| Slot::empty(now)).collect();
    }

    /// The tunnel was dialled for another worker: that one is still without.
    fn free_others(&mut self, tunnel: TunnelId, worker: u16, now: Instant) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if index != usize::from(worker) && slot.tunnel() == Some(tunnel) {
                slot.state = State::Empty { due: now.after(BACKOFF_MIN) };
            }
        }
    }

    /// A dial failed, or a tunnel ended or will end soon. `jitter` picks the wait: a random time, wrapped to what is due.
    pub(crate) fn ended(&mut self, tunnel: TunnelId, now: Instant, jitter: Duration) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.tunnel() == Some(tunnel)) else { return };
        let was_good = matches!(slot.state, State::Up { since, .. } if now.since(since) >= TUNNEL_GOOD_AFTER);
        slot.failures = if was_good { 0 } else { slot.failures.saturating_add(1) };
        let wait = wait(slot.failures, jitter);
        slot.state = State::Empty { due: now.after(wait) };
        if self.slots.iter().all(|slot| slot.due().is_some()) {
            // Nothing is up or on its way: what was known may be known no longer.
            let failures = self.slots.iter().map(|slot| slot.failures).min().unwrap_or_default();
            self.known = None;
            self.slots = vec![Slot { state: State::Empty { due: now.after(wait) }, failures }];
        }
    }

    /// The relay announced a new generation over a living tunnel.
    pub(crate) fn announced(&mut self, generation: u32, workers: u16, now: Instant) {
        let Some(known) = self.known else { return };
        let said = Known { generation, workers, ..known };
        if said != known {
            self.begin_anew(said, 0, now);
        }
    }

    /// Tunnels to the newest generation.
    pub(crate) fn tunnels_up(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot.state, State::Up { .. })).count()
    }

    /// Whether every worker has one.
    pub(crate) fn is_complete(&self) -> bool {
        self.known.is_some() && self.tunnels_up() == self.slots.len()
    }
}

impl Slot {
    fn empty(due: Instant) -> Self {
        Self { state: State::Empty { due }, failures: 0 }
    }

    fn due(&self) -> Option<Instant> {
        match self.state {
            State::Empty { due } => Some(due),
            State::Dialling { .. } | State::Up { .. } => None,
        }
    }

    fn tunnel(&self) -> Option<TunnelId> {
        match self.state {
            State::Empty { .. } => None,
            State::Dialling { tunnel } | State::Up { tunnel, .. } => Some(tunnel),
        }
    }
}

/// After a good tunnel almost none, so that a relay whose dataplane was restarted is back at once; then doubling, each
/// wait between half and all of it.
fn wait(failures: u32, jitter: Duration) -> Duration {
    let longest =
        (BACKOFF_MIN * 2u32.saturating_pow(failures.min(16))).min(BACKOFF_MAX) / if failures == 0 { 4 } else { 1 };
    let half = longest / 2;
    half + Duration::from_nanos((jitter.as_nanos() % (half.as_nanos().max(1))) as u64)
}

/// The name that every worker answers to, and the domain of those of single workers.
const ANY_WORKER: &str = "tunnel.postern.internal";

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known { relay: RelayId(3), generation: 7, workers: 3 };

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    fn dial(placement: &mut Placement, ms: u64, tunnel: u64) -> Option<Dial> {
        placement.begin_dial(at(ms), TunnelId(tunnel))
    }

    /// Three workers, all up: tunnels 1 (worker 1, the scout), 2 (worker 0), 3 (worker 2).
    fn complete() -> Placement {
        let mut placement = Placement::new(at(0));
        assert_eq!(dial(&mut placement, 0, 1).unwrap().place, Place::Scout);
        assert_eq!(dial(&mut placement, 0, 9), None, "one scout only");
        assert_eq!(placement.up(TunnelId(1), KNOWN, 1, at(1)), Verdict::Keep);
        let second = dial(&mut placement, 1, 2).unwrap();
        assert_eq!((second.server_name.as_str(), second.thread), ("w0-g7.r3.tunnel.postern.internal", 2));
        let third = dial(&mut placement, 1, 3).unwrap();
        assert_eq!((third.server_name.as_str(), third.thread), ("w2-g7.r3.tunnel.postern.internal", 1));
        assert_eq!(placement.up(TunnelId(2), KNOWN, 0, at(2)), Verdict::Keep);
        assert_eq!(placement.up(TunnelId(3), KNOWN, 2, at(2)), Verdict::Keep);
        assert!(placement.is_complete() && placement.next_due().is_none());
        placement
    }

    #[test]
    fn a_lost_tunnel_is_dialled_again_at_its_place() {
        let mut placement = complete();
        placement.ended(TunnelId(3), at(60_000), Duration::ZERO);
        let due = placement.next_due().unwrap();
        assert!(due.since(at(60_000)) <= Duration::from_millis(13), "{:?}", due.since(at(60_000)));
        assert_eq!(placement.begin_dial(due, TunnelId(4)).unwrap().place, Place::Worker(2));
        assert_eq!(placement.tunnels_up(), 2);
    }

    #[test]
    fn waits_grow_and_are_jittered_and_bounded() {
        let mut placement = Placement::new(at(0));
        let mut now = at(0);
        let mut waits = Vec::new();
        for tunnel in 0..12 {
            placement.begin_dial(now, TunnelId(tunnel)).unwrap();
            placement.ended(TunnelId(tunnel), now, Duration::from_nanos(tunnel * 777_777));
            let due = placement.next_due().unwrap();
            waits.push(due.since(now));
            now = due;
        }
        assert!(waits[0] >= Duration::from_millis(50) && waits[0] <= Duration::from_millis(100), "{waits:?}");
        assert!(waits[11] >= BACKOFF_MAX / 2 && waits.iter().all(|wait| *wait <= BACKOFF_MAX), "{waits:?}");
    }

    #[test]
    fn when_all_is_lost_a_scout_asks_anew() {
        let mut placement = complete();
        for tunnel in 1..=3 {
            placement.ended(TunnelId(tunnel), at(60_000), Duration::ZERO);
        }
        let scout = dial(&mut placement, 60_100, 4).unwrap();
        assert_eq!((scout.place, scout.server_name.as_str()), (Place::Scout, "tunnel.postern.internal"));
        // The relay was restarted with other workers but the same generation number.
        let other = Known { workers: 1, ..KNOWN };
        assert_eq!(placement.up(TunnelId(4), other, 0, at(60_200)), Verdict::Keep);
        assert!(placement.is_complete());
    }

    #[test]
    fn a_new_generation_is_dialled_while_the_old_one_still_serves() {
        let mut placement = complete();
        placement.announced(8, 2, at(60_000));
        for tunnel in [4, 5] {
            let dial = dial(&mut placement, 60_000, tunnel).unwrap();
            assert!(dial.server_name.contains("-g8."), "{dial:?}");
        }
        placement.ended(TunnelId(1), at(60_001), Duration::ZERO);
        assert_eq!(placement.next_due(), None, "old tunnels are not replaced");
    }

    #[test]
    fn a_hint_that_was_not_followed_is_no_second_tunnel_to_one_worker() {
        let mut placement = complete();
        placement.ended(TunnelId(3), at(60_000), Duration::ZERO);
        dial(&mut placement, 61_000, 4).unwrap();
        assert_eq!(placement.up(TunnelId(4), KNOWN, 0, at(61_001)), Verdict::Close);
        assert!(placement.next_due().is_some(), "worker 2 is still without");
        // To another one that is also without, it is welcome.
        placement.ended(TunnelId(1), at(70_000), Duration::ZERO);
        dial(&mut placement, 80_000, 5).unwrap();
        let mine = placement.slots.iter().position(|slot| slot.tunnel() == Some(TunnelId(5))).unwrap();
        let other = 3 - u16::try_from(mine).unwrap();
        assert_eq!(placement.up(TunnelId(5), KNOWN, other, at(80_001)), Verdict::Keep);
        assert_eq!(placement.tunnels_up(), 2);
        assert!(placement.next_due().is_some());
    }
}
