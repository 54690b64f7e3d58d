//! The percentile distribution in the text form that HdrHistogram's tools print and plot: times in ms.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// The file's text. `times` are µs and not empty.
pub(super) fn distribution(times: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for step in times.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        let (value, below) = (ms(step.value_iterated_to() as f64), step.quantile_iterated_to());
        count += step.count_since_last_iteration();
        // Writing to a string does not fail.
        let _ = match below < 1.0 {
            true => writeln!(text, "{value:>12.3} {below:>2.12} {count:>10} {:>14.2}", 1.0 / (1.0 - below)),
            false => writeln!(text, "{value:>12.3} {below:>2.12} {count:>10}"),
        };
    }
    let (mean, deviation, max) = (ms(times.mean()), ms(times.stdev()), ms(times.max() as f64));
    // Writing to a string does not fail.
    let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let _ = writeln!(text, "#[Max     = {max:>12.3}, Total count    = {:>12}]", times.len());
    let _ = writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", times.buckets(), SUB_BUCKETS);
    text
}

fn ms(us: f64) -> f64 {
    us / 1000.0
}

const TICKS_PER_HALF_DISTANCE: u32 = 5;
/// Of two significant digits.
const SUB_BUCKETS: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_plotters_read() {
        let mut times = postern_model::histogram::empty();
        (1..=1000u64).for_each(|ms| times.record(ms * 1000).unwrap());
        let text = distribution(&times);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect())
            .collect();
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]), "both rise");
        let median = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((median[0] - 500.0).abs() < 5.0 && (median[3] - 2.0).abs() < 0.1, "{median:?}");
        let last = rows.last().unwrap();
        assert_eq!((last[1], last[2], last.len()), (1.0, 1000.0, 3));
        assert!(text.contains("Total count    =         1000]"), "{text}");
        assert!(text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"), "{text}");
    }
}
