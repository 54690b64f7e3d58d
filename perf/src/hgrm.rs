//! Histograms as `.hgrm` files, which HdrHistogram's plotters read: value in milliseconds, percentile, count.

use std::fmt::Write;

use hdrhistogram::Histogram;

/// Steps per halving of the distance to 100 %.
const STEPS_PER_HALF: u32 = 5;
const NS_PER_MS: f64 = 1e6;

/// The text of a file, from nanoseconds.
pub fn text(histogram: &Histogram<u64>) -> String {
    let mut out = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for step in histogram.iter_quantiles(STEPS_PER_HALF) {
        count += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = step.value_iterated_to() as f64 / NS_PER_MS;
        // Writing to a string cannot fail.
        let _ = write!(out, "{value:>12.3} {quantile:>14.12} {count:>10}");
        let _ = if quantile < 1.0 { writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(out) };
    }
    let (mean, deviation) = (histogram.mean() / NS_PER_MS, histogram.stdev() / NS_PER_MS);
    let _ = writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let max = histogram.max() as f64 / NS_PER_MS;
    let _ = writeln!(out, "#[Max     = {max:>12.3}, Total count    = {:>12}]", histogram.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_rise_to_the_maximum() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1000, 60_000_000_000, 3).unwrap();
        for ms in 1..=100 {
            histogram.record(ms * 1_000_000).unwrap();
        }
        let text = text(&histogram);
        let values: Vec<f64> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert!(values.is_sorted(), "{text}");
        assert!((values.last().unwrap() - 100.0).abs() < 0.2, "{text}");
        assert!(text.contains("Total count    =          100"));
    }
}
