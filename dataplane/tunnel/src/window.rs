//! The receiving side of flow control: what the peer may still send on a stream, and when that grows.
//!
//! While a half is open `credit + unconsumed + returned = window`, and the windows' growth comes from one pool per tunnel.

use std::time::Duration;

use crate::limits::{
    BYTES_PER_US_MAX, CREDIT_STEP_MAX, FAR, FAR_GROWTH, FAR_SHARE, GROWTH_MIN, Limits, RTT_ASSUMED, RTT_FLOOR,
};

/// What windows may still grow by.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) free: u32,
    stream_window: u32,
    stream_window_max: u32,
}

impl Pool {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            free: limits.window_pool_bytes,
            stream_window: limits.stream_window,
            stream_window_max: limits.stream_window_max,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    size: u32,
    /// What the peer may still send.
    credit: u32,
    /// Handed to the application and not yet consumed by it.
    unconsumed: u32,
    /// Consumed and not yet told to the peer.
    returned: u32,
    /// Consumed since `since`; at a whole window growth is decided.
    epoch_bytes: u32,
    since: Duration,
    /// The least that lay unconsumed after any step since `since`.
    least: u32,
    /// What the window is still to shrink by: so much of what is consumed next is not returned.
    surplus: u32,
}

impl Window {
    pub(crate) fn new(pool: &Pool, now: Duration) -> Self {
        Self {
            size: pool.stream_window,
            credit: pool.stream_window,
            unconsumed: 0,
            returned: 0,
            epoch_bytes: 0,
            since: now,
            least: u32::MAX,
            surplus: 0,
        }
    }

    /// Grows a new stream's window before anything came, if the peer is far: by what the peer is to be told now, 0 for
    /// nothing. What is not used costs nothing but its share of the pool until the stream ends.
    pub(crate) fn anticipate(&mut self, pool: &mut Pool, rtt: Option<Duration>) -> u32 {
        if rtt.is_none_or(|rtt| rtt < FAR) {
            return 0;
        }
        let step = FAR_GROWTH.min(pool.free / FAR_SHARE).min(pool.stream_window_max - self.size);
        if step < GROWTH_MIN {
            return 0;
        }
        pool.free -= step;
        self.size += step;
        self.credit += step;
        step
    }

    pub(crate) fn credit(&self) -> u32 {
        self.credit
    }

    pub(crate) fn unconsumed(&self) -> u32 {
        self.unconsumed
    }

    /// Payload arrived; false if the peer had no credit for it.
    pub(crate) fn receive(&mut self, bytes: usize) -> bool {
        let Some(credit) = usize::try_from(self.credit).ok().and_then(|credit| credit.checked_sub(bytes)) else {
            return false;
        };
        self.credit = credit as u32;
        self.unconsumed += bytes as u32;
        true
    }

    /// The application consumed payload. True when the peer is due a CREDIT frame.
    pub(crate) fn consume(&mut self, bytes: usize, pool: &mut Pool, now: Duration, rtt: Option<Duration>) -> bool {
        assert!(bytes <= self.unconsumed as usize, "{bytes} bytes consumed where {} were handed out", self.unconsumed);
        let bytes = bytes as u32;
        self.unconsumed -= bytes;
        self.least = self.least.min(self.unconsumed);
        let kept = self.surplus.min(bytes);
        self.surplus -= kept;
        self.size -= kept;
        pool.free += kept;
        self.returned += bytes - kept;
        self.epoch_bytes = self.epoch_bytes.saturating_add(bytes);
        if self.epoch_bytes >= self.size {
            self.end_epoch(pool, now, rtt);
        }
        self.returned >= (self.size / 4).min(CREDIT_STEP_MAX)
    }

    /// A consumer that takes a whole window within two round trips and leaves little lying is held up by the window. Where
    /// more than a quarter always lies, the window is larger than the consumer needs: half of that goes back to the pool.
    fn end_epoch(&mut self, pool: &mut Pool, now: Duration, rtt: Option<Duration>) {
        let rtt = rtt.unwrap_or(RTT_ASSUMED).max(RTT_FLOOR);
        if now.saturating_sub(self.since) <= 2 * rtt && self.unconsumed <= self.size / 4 {
            self.surplus = 0;
            self.grow(pool, rtt);
        } else if self.least > self.size / 4 {
            self.surplus = (self.least / 2).min(self.size - pool.stream_window);
        }
        self.least = u32::MAX;
        self.since = now;
        self.epoch_bytes = 0;
    }

    /// Doubles, but to no more than the fastest stream fills in a round trip, since all of it lies here when the consumer
    /// stalls, and to a quarter of what the pool would have without it: some is always left for a newcomer.
    fn grow(&mut self, pool: &mut Pool, rtt: Duration) {
        let filled = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).saturating_mul(BYTES_PER_US_MAX);
        let room = pool.stream_window_max.min(filled).saturating_sub(self.size);
        let grown = self.size - pool.stream_window;
        let share = ((pool.free + grown) / 4).saturating_sub(grown);
        let step = self.size.min(room).min(share);
        if step == 0 || step < GROWTH_MIN.min(room) {
            return;
        }
        pool.free -= step;
        self.size += step;
        self.returned += step;
    }

    /// What the peer is to be told now.
    pub(crate) fn take_returned(&mut self) -> u32 {
        let returned = std::mem::take(&mut self.returned);
        self.credit += returned;
        returned
    }

    /// Gives the growth back. The peer sends nothing more, or what it sends is not kept.
    pub(crate) fn close(&mut self, pool: &mut Pool) {
        pool.free += self.size - pool.stream_window;
        self.size = pool.stream_window;
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    #[cfg(test)]
    pub(crate) fn returned(&self) -> u32 {
        self.returned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Option<Duration> = Some(Duration::from_millis(40));

    /// Fills and consumes whole windows, one per `step`; returns the size after it.
    fn run(window: &mut Window, pool: &mut Pool, step: Duration, rounds: u32) -> u32 {
        let mut now = window.since;
        for _ in 0..rounds {
            now += step;
            let bytes = window.credit() as usize;
            assert!(window.receive(bytes));
            window.consume(bytes, pool, now, RTT);
            window.take_returned();
        }
        window.size()
    }

    #[test]
    fn a_window_that_holds_the_sender_up_grows_to_100_ms_at_1_gbit() {
        let mut pool = Pool::new(&Limits::default());
        let mut window = Window::new(&pool, Duration::ZERO);
        let size = run(&mut window, &mut pool, Duration::from_millis(40), 20);
        assert_eq!(size, 12_500_000);
        assert_eq!(pool.free, (64 << 20) - (12_500_000 - 65_536));
        window.close(&mut pool);
        assert_eq!(pool.free, 64 << 20);
    }

    #[test]
    fn far_streams_begin_with_more_and_many_of_them_with_less() {
        let mut pool = Pool::new(&Limits::default());
        let mut near = Window::new(&pool, Duration::ZERO);
        assert_eq!(near.anticipate(&mut pool, Some(Duration::from_millis(4))), 0);
        assert_eq!(near.anticipate(&mut pool, None), 0, "nothing is known");
        let mut windows: Vec<Window> = (0..1024).map(|_| Window::new(&pool, Duration::ZERO)).collect();
        let steps: Vec<u32> = windows.iter_mut().map(|window| window.anticipate(&mut pool, RTT)).collect();
        assert_eq!((steps[0], windows[0].credit()), (1 << 20, (1 << 20) + 65_536));
        assert!(steps.is_sorted_by(|a, b| a >= b) && steps.contains(&0), "{steps:?}");
        assert_eq!(pool.free + steps.iter().sum::<u32>(), 64 << 20);
        windows.iter_mut().for_each(|window| window.close(&mut pool));
        assert_eq!(pool.free, 64 << 20);
    }

    #[test]
    fn a_slow_stream_keeps_its_first_window() {
        let mut pool = Pool::new(&Limits::default());
        let mut window = Window::new(&pool, Duration::ZERO);
        let size = run(&mut window, &mut pool, Duration::from_millis(81), 20);
        assert_eq!(size, 65_536);
    }

    #[test]
    fn a_consumer_that_lags_does_not_grow_its_window() {
        let mut pool = Pool::new(&Limits::default());
        let mut window = Window::new(&pool, Duration::ZERO);
        assert!(window.receive(65_536));
        for _ in 0..100 {
            window.consume(16_384, &mut pool, Duration::ZERO, RTT);
            let more = window.take_returned();
            assert!(window.receive(more as usize));
        }
        assert_eq!(window.size(), 65_536, "three quarters always lie there");
    }

    #[test]
    fn a_window_shrinks_when_its_consumer_falls_behind() {
        let mut pool = Pool::new(&Limits::default());
        let mut window = Window::new(&pool, Duration::ZERO);
        run(&mut window, &mut pool, Duration::ZERO, 20);
        assert!(window.size() > 12_000_000);
        let credit = window.credit();
        assert!(window.receive(credit as usize));
        let mut now = Duration::ZERO;
        for _ in 0..20_000 {
            now += Duration::from_millis(16);
            window.consume(16_384, &mut pool, now, RTT);
            let more = window.take_returned();
            assert!(window.receive(window.credit() as usize), "{more}");
        }
        assert!(window.size() < 200_000, "{}", window.size());
        assert_eq!(pool.free, (64 << 20) - (window.size() - 65_536), "what it gave up is the pool's again");
    }

    #[test]
    fn a_window_grows_to_what_the_fastest_stream_fills_in_a_round_trip() {
        for (rtt, expected) in [(Duration::from_micros(50), 500_000), (Duration::from_millis(3), 1_500_000)] {
            let mut pool = Pool::new(&Limits::default());
            let mut window = Window::new(&pool, Duration::ZERO);
            for _ in 0..20 {
                let bytes = window.credit();
                assert!(window.receive(bytes as usize));
                window.consume(bytes as usize, &mut pool, Duration::ZERO, Some(rtt));
                window.take_returned();
            }
            assert_eq!(window.size(), expected);
        }
    }

    #[test]
    fn greedy_streams_leave_some_of_the_pool_to_the_next() {
        let mut pool = Pool::new(&Limits::default());
        let mut sizes = Vec::new();
        for _ in 0..16 {
            let mut window = Window::new(&pool, Duration::ZERO);
            sizes.push(run(&mut window, &mut pool, Duration::ZERO, 20));
        }
        assert!(sizes.iter().take(4).all(|size| *size > 7_000_000), "{sizes:?}");
        assert!(sizes.iter().all(|size| *size > 200_000), "{sizes:?}");
        let grown: u32 = sizes.iter().map(|size| size - 65_536).sum();
        assert_eq!(grown + pool.free, 64 << 20);
    }

    #[test]
    fn more_than_the_credit_is_noticed() {
        let pool = Pool::new(&Limits::default());
        let mut window = Window::new(&pool, Duration::ZERO);
        assert!(window.receive(65_536));
        assert!(!window.receive(1));
    }

    #[test]
    #[should_panic(expected = "2 bytes consumed where 1 were handed out")]
    fn consuming_what_never_came_is_a_bug_of_the_caller() {
        let mut pool = Pool::new(&Limits::default());
        let mut window = Window::new(&pool, Duration::ZERO);
        window.receive(1);
        window.consume(2, &mut pool, Duration::ZERO, None);
    }
}
