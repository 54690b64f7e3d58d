//! Latency histograms as they travel: `HdrHistogram` with two significant digits, 1 µs to one hour, so that a percentile read
//! from it is at most 0.8 % above the time that was measured.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};

use crate::ids::AppId;
use crate::question::{HistogramReport, Stage};

/// The longest time that is told apart from longer ones: one hour, in µs.
pub const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Significant decimal digits of a time.
pub const SIGNIFICANT_DIGITS: u8 = 2;

/// What is no histogram of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HistogramInvalid {
    /// Its bounds or precision differ, or it is of another format.
    #[error("the histogram is not of format V2 with {SIGNIFICANT_DIGITS} digits up to {LATENCY_US_MAX} µs")]
    Layout,
    /// It says so, but what follows is something else.
    #[error("the histogram is damaged")]
    Damaged,
}

/// A histogram without samples.
#[must_use]
pub fn empty() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("the bounds are constants and valid: {error}"),
    }
}

impl HistogramReport {
    /// A report of a histogram; `sum_us` is the sum of its samples before they were rounded.
    #[must_use]
    pub fn new(app: Option<AppId>, stage: Stage, histogram: &Histogram<u64>, sum_us: u64) -> Self {
        let mut bytes = Vec::new();
        // Writing to memory does not fail, and its length fits.
        let _ = V2Serializer::new().serialize(histogram, &mut bytes);
        Self { app, stage, count: histogram.len(), sum_us, v2: STANDARD.encode(bytes) }
    }

    /// The histogram in it.
    ///
    /// # Errors
    /// When it is none, or larger than ours are.
    pub fn histogram(&self) -> Result<Histogram<u64>, HistogramInvalid> {
        let bytes = STANDARD.decode(&self.v2).map_err(|_| HistogramInvalid::Damaged)?;
        if bytes.len() > ENCODED_BYTES_MAX || bytes.get(..4) != Some(&COOKIE_V2) || bytes.get(8..32) != Some(&LAYOUT) {
            return Err(HistogramInvalid::Layout);
        }
        Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|_| HistogramInvalid::Damaged)
    }
}

/// Reports of several relays as one for each stage, in the stages' order; `app` is what they are said to be about.
///
/// # Errors
/// When one of them holds no histogram of ours.
pub fn merged<'a>(
    app: Option<AppId>,
    reports: impl IntoIterator<Item = &'a HistogramReport>,
) -> Result<Vec<HistogramReport>, HistogramInvalid> {
    let mut sums: [Option<(Histogram<u64>, u64)>; Stage::ALL.len()] = [const { None }; Stage::ALL.len()];
    for report in reports {
        let (sum, sum_us) = sums[report.stage.index()].get_or_insert_with(|| (empty(), 0));
        sum.add(report.histogram()?).map_err(|_| HistogramInvalid::Layout)?;
        *sum_us = sum_us.saturating_add(report.sum_us);
    }
    let of_stages = Stage::ALL.into_iter().zip(&sums);
    Ok(of_stages
        .filter_map(|(stage, sum)| sum.as_ref().map(|(sum, sum_us)| HistogramReport::new(app, stage, sum, *sum_us)))
        .collect())
}

/// V2 of `HdrHistogram`, uncompressed, with counts as ZigZag LEB128.
const COOKIE_V2: [u8; 4] = [0x1c, 0x84, 0x93, 0x13];
/// What follows cookie and length: index offset 0, two digits, from 1, to an hour.
const LAYOUT: [u8; 24] =
    [0, 0, 0, 0, 0, 0, 0, SIGNIFICANT_DIGITS, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xd6, 0x93, 0xa4, 0x00];
/// 40 bytes of header and 3,328 counts of at most 9 bytes.
const ENCODED_BYTES_MAX: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(samples: &[u64]) -> HistogramReport {
        let mut histogram = empty();
        for sample in samples {
            histogram.saturating_record(*sample);
        }
        HistogramReport::new(None, Stage::Total, &histogram, samples.iter().sum())
    }

    #[test]
    fn what_is_no_histogram_is_refused_before_memory_is_taken_for_it() {
        let good = report(&[5, 900]);
        let bytes = STANDARD.decode(&good.v2).unwrap();
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = bytes.clone();
            change(&mut bytes);
            HistogramReport { v2: STANDARD.encode(bytes), ..good.clone() }.histogram()
        };
        assert!(with(&|_| ()).is_ok());
        assert_eq!(with(&|bytes| bytes[15] = 5).unwrap_err(), HistogramInvalid::Layout, "five digits take 50 MB");
        assert_eq!(with(&|bytes| bytes[24] = 0x7f).unwrap_err(), HistogramInvalid::Layout);
        assert_eq!(with(&|bytes| bytes[3] = 0x14).unwrap_err(), HistogramInvalid::Layout);
        assert_eq!(with(&|bytes| bytes.truncate(41)).unwrap_err(), HistogramInvalid::Damaged);
        assert_eq!(with(&|bytes| bytes.clear()).unwrap_err(), HistogramInvalid::Layout);
    }

    proptest! {
        #[test]
        fn reports_add_up(first in prop::collection::vec(0..LATENCY_US_MAX, 0..50), second in prop::collection::vec(0..10_000u64, 1..50)) {
            let sum = merged(None, [&report(&first), &report(&second)]).unwrap();
            let both = report(&[first, second].concat());
            prop_assert_eq!(sum.as_slice(), std::slice::from_ref(&both));
            prop_assert_eq!(sum[0].histogram().unwrap(), both.histogram().unwrap());
        }

        #[test]
        fn damage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut encoded = STANDARD.decode(report(&[1]).v2).unwrap();
            encoded.truncate(40);
            encoded.extend(bytes);
            let _ = HistogramReport { v2: STANDARD.encode(encoded), ..report(&[]) }.histogram();
        }
    }
}
