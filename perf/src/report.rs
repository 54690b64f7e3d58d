//! Rounds, their ratios and what is said of them.

use std::time::Duration;

use crate::wrk::Run;

/// One side's figures in one round.
#[derive(Debug, Clone)]
pub struct Side {
    pub cpu: Duration,
    pub run: Run,
}

impl Side {
    pub fn us_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.run.requests.max(1) as f64
    }
}

/// Both sides, one after the other.
#[derive(Debug, Clone)]
pub struct Round {
    pub postern: Side,
    pub peer: Side,
}

impl Round {
    pub fn ratio(&self) -> f64 {
        self.postern.us_per_request() / self.peer.us_per_request()
    }
}

/// The middle of the values; 0 for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A line per round and the medians.
pub fn text(rounds: &[Round]) -> String {
    let mut out = String::from(
        "round  postern µs/req  haproxy µs/req  ratio   postern rps (p50, p99)        haproxy rps (p50, p99)\n",
    );
    for (index, round) in rounds.iter().enumerate() {
        let (postern, peer) = (&round.postern, &round.peer);
        out.push_str(&format!(
            "{:>5}  {:>14.1}  {:>14.1}  {:>5.2}   {:>7.0} ({}, {})   {:>7.0} ({}, {})\n",
            index + 1,
            postern.us_per_request(),
            peer.us_per_request(),
            round.ratio(),
            postern.run.per_second,
            postern.run.p50,
            postern.run.p99,
            peer.run.per_second,
            peer.run.p50,
            peer.run.p99,
        ));
    }
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    out.push_str(&format!(
        "median {:>14.1}  {:>14.1}  {:>5.2}\n",
        of(|round| round.postern.us_per_request()),
        of(|round| round.peer.us_per_request()),
        of(Round::ratio),
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_taken_per_round_and_its_median_said() {
        let side =
            |us: u64| Side { cpu: Duration::from_micros(us * 100), run: Run { requests: 100, ..Run::default() } };
        let round = |postern, peer| Round { postern: side(postern), peer: side(peer) };
        let rounds = [round(10, 10), round(30, 20), round(40, 10)];
        assert!(text(&rounds).lines().last().unwrap().ends_with("1.50"));
    }
}
