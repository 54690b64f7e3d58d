//! The program behind `cargo xtask perf`.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use postern_perf::counted::{self, Figures, baselines};
use postern_perf::lab::{Extent, Lab};
use postern_perf::machine::{self, Machine};
use postern_perf::outcome::Outcome;
use postern_perf::peers::{self, Kind};
use postern_perf::scenario::Scenario;
use postern_perf::summary::{self, Findings};
use postern_perf::{report, text};

/// Measures the whole chain, and with --peers others beside it. docs/perf.md explains method and scenarios.
#[derive(Parser)]
#[command(name = "cargo xtask perf")]
struct Arguments {
    /// What to measure; everything without
    scenarios: Vec<Scenario>,
    /// 3 rounds of 1 s: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// HAProxy, nginx and HAProxy→rathole in the same rounds
    #[arg(long)]
    peers: bool,
    /// Rounds; in each every side is measured once, or in short turns
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds per side and round
    #[arg(long)]
    seconds: Option<f64>,
    /// Where summary.json, report.html and .hgrm files go
    #[arg(long, default_value = "target/perf")]
    out: PathBuf,
    /// rathole's program; without it HAProxy→rathole is left out
    #[arg(long)]
    rathole: Option<PathBuf>,
    /// Only the counted figures, compared with the baselines: more than 5 % above one is a failure
    #[arg(long)]
    check_counted: bool,
    /// Only the counted figures, written to the baselines
    #[arg(long)]
    update_baselines: bool,
    /// The baselines' file
    #[arg(long, default_value = "perf/baselines.json")]
    baselines: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("perf: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False when something was measured and is not as it should be.
fn run(arguments: &Arguments) -> Result<bool> {
    let own_network = match machine::own_network() {
        Ok(()) => true,
        Err(error) => {
            eprintln!("perf: in the machine's own network: {error:#}");
            false
        }
    };
    machine::raise_descriptor_limit()?;
    let mut lab = Lab::open(extent(arguments))?;
    if arguments.check_counted || arguments.update_baselines {
        let figures = counted::measure(&mut lab)?;
        return conclude_counted(arguments, &figures);
    }
    let machine = Machine::look(own_network, &versions(arguments));
    let (outcomes, all_well) = scenarios(arguments, &mut lab);
    let findings = Findings { machine, command: command(), outcomes, counted: Figures::new() };
    write(&arguments.out, &findings)?;
    Ok(all_well)
}

/// One scenario that fails does not end the others.
fn scenarios(arguments: &Arguments, lab: &mut Lab) -> (Vec<Outcome>, bool) {
    let wanted =
        if arguments.scenarios.is_empty() { Scenario::value_variants() } else { arguments.scenarios.as_slice() };
    let (mut outcomes, mut all_well) = (Vec::new(), true);
    for scenario in wanted {
        eprintln!("{}", scenario.name());
        match scenario.run(lab) {
            Ok(found) => {
                for outcome in found {
                    print!("{}", text::table(&outcome));
                    all_well &= !outcome.failed;
                    outcomes.push(outcome);
                }
            }
            Err(error) => {
                eprintln!("perf: {}: {error:#}", scenario.name());
                let mut outcome = Outcome::new(scenario.name(), "Could not be measured", "", "");
                outcome.remarks.push(format!("{error:#}").lines().take(3).collect::<Vec<_>>().join(" "));
                outcome.failed = true;
                outcomes.push(outcome);
                all_well = false;
            }
        }
    }
    (outcomes, all_well)
}

fn write(folder: &Path, findings: &Findings) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot write {}", folder.display()))?;
    summary::write(folder, findings)?;
    let file = folder.join("report.html");
    std::fs::write(&file, report::html(findings)).with_context(|| file.display().to_string())?;
    eprintln!("\n{}", file.display());
    Ok(())
}

fn conclude_counted(arguments: &Arguments, figures: &Figures) -> Result<bool> {
    if arguments.update_baselines {
        baselines::write(&arguments.baselines, figures)?;
        eprintln!("written: {}", arguments.baselines.display());
        return Ok(true);
    }
    let comparisons = baselines::compare(figures, &baselines::read(&arguments.baselines)?);
    print!("{}", text::comparisons(&comparisons));
    Ok(!comparisons.iter().any(baselines::Comparison::is_failure))
}

fn extent(arguments: &Arguments) -> Extent {
    let seconds = arguments.seconds.unwrap_or(if arguments.quick { 1.0 } else { 3.0 });
    Extent {
        rounds: arguments.rounds.unwrap_or(if arguments.quick { 3 } else { 7 }).max(1),
        duration: Duration::from_secs_f64(seconds.clamp(0.1, 600.0)),
        warmup: Duration::from_millis(if arguments.quick { 200 } else { 500 }),
        peers: if arguments.peers { wanted_peers(arguments) } else { Vec::new() },
        is_quick: arguments.quick,
        rathole: arguments.rathole.clone(),
    }
}

fn wanted_peers(arguments: &Arguments) -> Vec<Kind> {
    let is_there = |kind: &Kind| *kind != Kind::HaproxyRathole || arguments.rathole.is_some();
    peers::ALL.iter().copied().filter(is_there).collect()
}

fn versions(arguments: &Arguments) -> Vec<(String, String)> {
    let mut versions = vec![("postern".to_owned(), machine::postern_version())];
    if arguments.peers {
        for (name, argument) in [("haproxy", "-v"), ("nginx", "-v"), ("openssl", "version")] {
            let said = peers::find(name).map_or("not found".into(), |program| machine::version(&program, argument));
            versions.push((name.into(), said));
        }
        if let Some(rathole) = &arguments.rathole {
            versions.push(("rathole".into(), machine::rathole_version(rathole)));
        }
    }
    versions
}

/// How to get this again.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut typed = Vec::new();
    let mut skip = false;
    for argument in arguments {
        // What the task that started this program added by itself.
        let own = matches!(argument.as_str(), "--rathole" | "--baselines" | "--out");
        if !own && !skip {
            typed.push(argument);
        }
        skip = own;
    }
    format!("cargo xtask perf {}", typed.join(" ")).trim_end().to_owned()
}
