//! Instructions of the pure crates, by callgrind: the difference between many repetitions and few, so that starting up
//! cancels out.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Figures;

/// The program beside this one that repeats one thing, and what it can repeat.
pub const PROGRAM: &str = "postern-pure";
const WORK: &[&str] = &["http-request-head", "http-response-head", "tunnel-exchange", "client-hello"];
const FEW: u64 = 200;
const MANY: u64 = 1200;

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    for work in WORK {
        let (few, many) = (collected(work, FEW)?, collected(work, MANY)?);
        let each = many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
        figures.insert(format!("instructions/{work}"), each);
    }
    Ok(())
}

fn collected(work: &str, repetitions: u64) -> Result<u64> {
    let program = std::env::current_exe()?.with_file_name(PROGRAM);
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = valgrind.arg(&program).args([work, &repetitions.to_string()]).output().context("valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    match parse(&text) {
        Some(count) if output.status.success() => Ok(count),
        _ => bail!("valgrind {} {work}: {text}", program.display()),
    }
}

fn parse(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.split(':').next_back()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn callgrinds_sum_is_found() {
        let text = "==1== Callgrind, a call-graph\n==1== \n==1== Events    : Ir\n==1== Collected : 123456\n==1== \n";
        assert_eq!(super::parse(text), Some(123_456));
    }
}
