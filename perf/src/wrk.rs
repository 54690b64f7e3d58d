//! Runs wrk and reads its report.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// One run's figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    pub requests: u64,
    pub per_second: f64,
    pub p50: String,
    pub p99: String,
}

/// Load on `url` with one thread and that many keep-alive connections. Any error is a failure of the run.
pub fn run(url: &str, connections: usize, seconds: u64) -> Result<Run> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--latency", "--timeout", "10s"])
        .args(["--connections", &connections.to_string(), "--duration", &format!("{seconds}s"), url])
        .output()
        .context("wrk")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    parse(&text)
}

fn parse(text: &str) -> Result<Run> {
    if let Some(errors) = text.lines().find(|line| line.contains("Socket errors") || line.contains("Non-2xx")) {
        bail!("wrk met errors: {}", errors.trim());
    }
    let word = |line: &str, index: usize| line.split_whitespace().nth(index).unwrap_or_default().to_owned();
    let line = |wanted: &str| text.lines().find(|line| line.contains(wanted)).unwrap_or_default();
    Ok(Run {
        requests: word(line(" requests in "), 0).parse().with_context(|| format!("no count in {text}"))?,
        per_second: word(line("Requests/sec:"), 1).parse().with_context(|| format!("no rate in {text}"))?,
        p50: word(line(" 50%"), 1),
        p99: word(line(" 99%"), 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 1s test\n  Latency Distribution\n     50%    1.05ms\n     99%    3.20ms\n  60234 requests in 1.00s, 14.01MB read\nRequests/sec:  60123.45\n";

    #[test]
    fn a_report_is_read_and_one_with_errors_refused() {
        let run = parse(REPORT).unwrap();
        assert_eq!((run.requests, run.p50.as_str(), run.p99.as_str()), (60234, "1.05ms", "3.20ms"));
        assert!(parse(&format!("{REPORT}  Non-2xx or 3xx responses: 12\n")).is_err());
    }
}
