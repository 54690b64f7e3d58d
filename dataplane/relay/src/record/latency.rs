//! Latencies counted by one thread and read by others at any time: the cells of an `HdrHistogram` with two significant
//! digits, as relaxed atomics. A sample costs two loads, two stores and no lock; a reader may see a sample in the count
//! before it is in the sum, and never half of one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;
use postern_model::histogram::LATENCY_US_MAX;

/// One stage's latencies in µs. Empty it has 0.4 KiB; each doubling of the time in which there are samples adds 1 KiB.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    octaves: [OnceLock<Box<Octave>>; OCTAVES],
    sum_us: AtomicU64,
}

/// Counts of 128 equal steps: 0 to 127 µs, 128 to 255 µs, then always the next doubling.
#[derive(Debug)]
struct Octave([AtomicU64; STEPS]);

impl Latency {
    /// Counts a sample; longer ones than an hour as an hour. Only one thread may call it.
    pub(crate) fn record(&self, us: u64) {
        let us = us.min(LATENCY_US_MAX);
        let (octave, step) = place(us);
        let octave = self.octaves[octave].get_or_init(Octave::empty);
        bump(&octave.0[step], 1);
        bump(&self.sum_us, us);
    }

    /// Sum of all samples, µs.
    pub(crate) fn sum_us(&self) -> u64 {
        self.sum_us.load(Ordering::Relaxed)
    }

    /// Adds what was counted so far.
    pub(crate) fn add_to(&self, sum: &mut Histogram<u64>) {
        for (lowest_us, count) in self.counts() {
            // In range: it is the lowest of what was cut to the range.
            sum.saturating_record_n(lowest_us, count);
        }
    }

    /// Counts that are not 0, by the lowest µs counted there.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        let used = self.octaves.iter().enumerate().filter_map(|(nth, octave)| Some((nth, octave.get()?)));
        used.flat_map(|(nth, octave)| {
            let counts = octave.0.iter().enumerate();
            counts.filter_map(move |(step, count)| {
                let count = count.load(Ordering::Relaxed);
                (count > 0).then(|| (lowest_us(nth, step), count))
            })
        })
    }
}

impl Octave {
    fn empty() -> Box<Self> {
        Box::new(Self([const { AtomicU64::new(0) }; STEPS]))
    }
}

/// One writer: a plain load and store does what a locked addition would.
fn bump(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

/// From 256 µs on the step is a 128th of the power of two below.
fn place(us: u64) -> (usize, usize) {
    let shift = (u64::BITS - 1 - (us | 1).leading_zeros()).saturating_sub(STEP_BITS);
    let step = us >> shift;
    // Without a shift both octaves of the finest step.
    let octave = shift as usize + (step >> STEP_BITS) as usize;
    (octave, (step & (STEPS as u64 - 1)) as usize)
}

fn lowest_us(octave: usize, step: usize) -> u64 {
    match octave {
        0 => step as u64,
        _ => (STEPS as u64 + step as u64) << (octave - 1), // the others
    }
}

const STEP_BITS: u32 = 7;
const STEPS: usize = 1 << STEP_BITS;
/// 2^7 to 2^32 µs, and what is below.
const OCTAVES: usize = 26;

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use nix::time::{ClockId, clock_gettime};

    use postern_model::histogram::empty;
    use proptest::prelude::*;

    fn merged(latency: &Latency) -> Histogram<u64> {
        let mut sum = empty();
        latency.add_to(&mut sum);
        sum
    }

    proptest! {
        #[test]
        fn it_counts_as_hdrhistogram_does(samples in prop::collection::vec(prop_oneof![0..1000u64, 0..LATENCY_US_MAX, Just(LATENCY_US_MAX), any::<u64>()], 1..200)) {
            let (own, mut reference) = (Latency::default(), empty());
            for sample in &samples {
                own.record(*sample);
                reference.record((*sample).min(LATENCY_US_MAX)).unwrap();
            }
            let own_sum = merged(&own);
            prop_assert_eq!(own_sum.len(), samples.len() as u64);
            for quantile in [0.0, 0.25, 0.5, 0.9, 0.99, 1.0] {
                prop_assert_eq!(own_sum.value_at_quantile(quantile), reference.value_at_quantile(quantile));
            }
            prop_assert_eq!(own.sum_us(), samples.iter().map(|us| (*us).min(LATENCY_US_MAX)).fold(0, u64::wrapping_add));
        }

        #[test]
        fn a_sample_is_told_within_a_hundredth(us in 1..LATENCY_US_MAX) {
            let latency = Latency::default();
            latency.record(us);
            let told = merged(&latency).value_at_quantile(0.5);
            prop_assert!(told >= us && told as f64 <= us as f64 * 1.008 + 1.0, "{us} is told as {told}");
        }
    }

    #[test]
    fn readers_see_every_sample_of_a_writer_that_does_not_wait() {
        let latency = Arc::new(Latency::default());
        let writer = Arc::clone(&latency);
        let writing = thread::spawn(move || (0..200_000u64).for_each(|nth| writer.record(nth % 5_000)));
        let mut last = 0;
        while !writing.is_finished() {
            let seen = merged(&latency).len();
            assert!(seen >= last, "counts never go back");
            last = seen;
        }
        writing.join().unwrap();
        assert_eq!(merged(&latency).len(), 200_000);
    }

    /// Of this thread: others may keep the processor busy meanwhile.
    fn processor_time() -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
    }

    /// A request costs the relay 10 µs and more; all its samples together must stay below a hundredth of that. The bound
    /// is for an unoptimised build; `cargo test --release -- --nocapture` prints the figure that counts.
    #[test]
    fn recording_costs_next_to_nothing() {
        let stages: Vec<Latency> = (0..7).map(|_| Latency::default()).collect();
        let requests = 50_000u64;
        let quickest = (0..5).map(|_| {
            let started = processor_time();
            for nth in 0..requests {
                for (stage, latency) in stages.iter().enumerate() {
                    latency.record(black_box(nth.wrapping_mul(2_654_435_761) % 3_000 + stage as u64));
                }
            }
            (processor_time() - started).as_nanos() as f64 / requests as f64
        });
        let ns = quickest.fold(f64::INFINITY, f64::min);
        println!("seven samples: {ns:.1} ns");
        let most_ns = if cfg!(debug_assertions) { 4_000.0 } else { 100.0 };
        assert!(ns < most_ns, "the seven samples of a request take {ns:.0} ns");
    }
}
