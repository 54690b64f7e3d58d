//! `cargo xtask perf`: builds the programs and the measuring one, gets the peers, and lets it measure.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::{self, Needs, Package};
use crate::{shell, test};

/// Built from crates.io once, into the target folder.
const RATHOLE_VERSION: &str = "=0.5.0";

const fn program(name: &'static str, debian: &'static str) -> Package {
    Package { needs: Needs::Program(name), debian }
}

/// Certificates, and a network namespace of one's own.
const TOOLS: &[Package] = &[program("openssl", "openssl"), program("ip", "iproute2")];
/// What rathole's TLS is built on, and the peers that Debian has.
const PEERS: &[Package] = &[
    program("haproxy", "haproxy"),
    program("nginx", "nginx-light"),
    program("pkg-config", "pkg-config"),
    Package { needs: Needs::File("/usr/include/openssl/ssl.h"), debian: "libssl-dev" },
];

/// Measures Postern, beside others with --peers. docs/perf.md explains method and scenarios.
#[derive(Default, clap::Args)]
pub(crate) struct Perf {
    /// What to measure, as `--help` of the program behind lists it; everything without
    scenarios: Vec<String>,
    /// 3 rounds of 1 s: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// HAProxy, nginx and HAProxy→rathole in the same rounds; what is missing is installed when run as root
    #[arg(long)]
    peers: bool,
    /// Rounds; in each every side is measured once, or in short turns
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Seconds per side and round
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Where summary.json, report.html and .hgrm files go
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Use the programs in this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// Only the counted figures (system calls, allocations, copies, instructions), compared with perf/baselines.json
    #[arg(long, conflicts_with_all = ["scenarios", "peers"])]
    check_counted: bool,
    /// Only the counted figures, written to perf/baselines.json
    #[arg(long, conflicts_with_all = ["scenarios", "peers", "check_counted"])]
    update_baselines: bool,
}

pub(crate) fn run(arguments: &Perf) -> Result<()> {
    let counting = arguments.check_counted || arguments.update_baselines;
    prepare(arguments, counting)?;
    let programs = match &arguments.programs {
        Some(folder) => folder.canonicalize().with_context(|| folder.display().to_string())?,
        // Relay and connector are counted as builds of their own; the others only have to run.
        None if counting => build_programs("dev")?,
        None => build_programs("release")?,
    };
    let measuring = build_measuring(counting)?;
    let mut command = Command::new(measuring.join("postern-perf"));
    command.env("POSTERN_TEST_PROGRAMS", programs);
    if arguments.peers {
        command.arg("--rathole").arg(rathole()?);
    }
    forward(arguments, &mut command);
    shell::run(&mut command)
}

fn prepare(arguments: &Perf, counting: bool) -> Result<()> {
    let mut wanted = vec![packages::BUILD, TOOLS];
    if arguments.peers {
        wanted.push(PEERS);
    }
    if counting {
        wanted.push(packages::COUNTING);
    }
    packages::ensure(&wanted)
}

fn build_programs(profile: &str) -> Result<PathBuf> {
    eprintln!("── build the programs");
    shell::run(&mut test::build(profile))?;
    Ok(shell::target_dir().join(if profile == "dev" { "debug" } else { profile }))
}

/// The counted figures against their baselines, as part of the tests.
pub(crate) fn check_counted() -> Result<()> {
    run(&Perf { check_counted: true, ..Perf::default() })
}

/// What measures, and the builds that count. Only to count, it is built with what the tests have built already.
fn build_measuring(counting: bool) -> Result<PathBuf> {
    eprintln!("── build what measures");
    let mut command = shell::cargo();
    command.args(["build", "--locked", "--package", "postern-perf", "--package", "postern-counted"]);
    if counting {
        command.arg("--config").arg(shell::root().join("perf/counted/profile.toml"));
    } else {
        command.arg("--release");
    }
    shell::run(&mut command)?;
    Ok(shell::target_dir().join(if counting { "debug" } else { "release" }))
}

fn forward(arguments: &Perf, command: &mut Command) {
    command.args(&arguments.scenarios);
    let flags = [
        ("--quick", arguments.quick),
        ("--peers", arguments.peers),
        ("--check-counted", arguments.check_counted),
        ("--update-baselines", arguments.update_baselines),
    ];
    command.args(flags.iter().filter(|(_, wanted)| *wanted).map(|(flag, _)| flag));
    if let Some(rounds) = arguments.rounds {
        command.arg("--rounds").arg(rounds.to_string());
    }
    if let Some(seconds) = arguments.seconds {
        command.arg("--seconds").arg(seconds.to_string());
    }
    let out = arguments.out.clone().unwrap_or_else(|| shell::target_dir().join("perf"));
    command.arg("--out").arg(out).arg("--baselines").arg(shell::root().join("perf/baselines.json"));
}

/// Without `--locked`: the versions that its lock file names do not compile with today's compiler (`time`).
fn rathole() -> Result<PathBuf> {
    let folder = shell::target_dir().join("peers");
    let program = folder.join("bin/rathole");
    if !program.is_file() {
        eprintln!("── build rathole, once: a few minutes");
        install_rathole(&folder)?;
    }
    Ok(program)
}

fn install_rathole(folder: &Path) -> Result<()> {
    let mut install = shell::cargo();
    install.args(["install", "--quiet", "rathole", "--version", RATHOLE_VERSION]);
    install.args(["--no-default-features", "--features", "server,client,tls", "--root"]).arg(folder);
    // Outside the repository's target folder: its flags and locks are not this program's business.
    install.current_dir("/").env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    shell::run(&mut install)
}
