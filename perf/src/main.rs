//! `cargo run --release -p postern-perf`: CPU per request of the whole chain beside HAProxy's TLS proxy alone.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use postern_perf::report::{Round, Side};
use postern_perf::{cpu, peers, report, wrk};
use postern_tests::certificate::{self, Certificate};
use postern_tests::process::Process;
use postern_tests::world::{Options, START_TIMEOUT, World};

const PROXY_CORE: usize = 0;
const LOAD_CORE: usize = 1;

/// CPU-µs per request of relay + connector + control beside HAProxy: 100-byte answers over keep-alive TLS.
#[derive(Parser)]
struct Arguments {
    /// Rounds; each measures both sides, in alternating order
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds per side and round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Fail when the median ratio is above this
    #[arg(long)]
    at_most: Option<f64>,
    /// Further arguments for the relay
    #[arg(long, allow_hyphen_values = true)]
    relay_argument: Vec<String>,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("perf: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<bool> {
    cpu::pin(PROXY_CORE)?;
    let options = Options {
        workers: 1,
        relay: arguments.relay_argument.clone(),
        connector: vec!["--workers".into(), "1".into()],
        ..Options::default()
    };
    let world = World::start(options)?;
    let leaf = certificate::self_signed(world.folder(), "localhost")?;
    cpu::pin(LOAD_CORE)?;
    let (_origin, origin) = peers::origin(world.folder())?;
    cpu::pin(PROXY_CORE)?;
    let (haproxy, peer) = peers::haproxy(world.folder(), &leaf, origin)?;
    cpu::pin(LOAD_CORE)?;
    let urls = Urls {
        postern: format!("https://localhost:{}/", world.relay_address.port()),
        peer: format!("https://localhost:{}/", peer.port()),
    };
    publish(&world, &leaf, &urls.postern, &format!("http://{origin}/"))?;
    let mut rounds = Vec::new();
    for index in 0..=arguments.rounds {
        let round = round(arguments, &world, &haproxy, &urls, index % 2 == 0)?;
        // The first one warms up.
        if index > 0 {
            eprintln!("round {index}: {:.2}", round.ratio());
            rounds.push(round);
        }
    }
    print!("{}", report::text(&rounds));
    let ratio = report::median(rounds.iter().map(Round::ratio).collect());
    Ok(arguments.at_most.is_none_or(|limit| ratio <= limit))
}

struct Urls {
    postern: String,
    peer: String,
}

fn publish(world: &World, leaf: &Certificate, external: &str, internal: &str) -> Result<()> {
    let (certificate, key) = (leaf.certificate.display().to_string(), leaf.key.display().to_string());
    let what = ["app", "publish", "perf", "--external", external, "--internal", internal, "--preauth", "passthrough"];
    let files = ["--cert", certificate.as_str(), "--key", key.as_str()];
    world.cli(&[&what[..], &files[..]].concat())?;
    let answers = |_: &World| wrk::run(external, 1, 1).is_ok_and(|run| run.requests > 0);
    world.expect_within(START_TIMEOUT, "the chain answers", answers)
}

fn round(arguments: &Arguments, world: &World, haproxy: &Process, urls: &Urls, postern_first: bool) -> Result<Round> {
    let processes = world.control.iter().chain(&world.relay).chain(&world.connectors);
    let postern: Vec<u32> = processes.flat_map(Process::tree).collect();
    if postern_first {
        let first = side(arguments, &urls.postern, &postern)?;
        let second = side(arguments, &urls.peer, &haproxy.tree())?;
        return Ok(Round { postern: first, peer: second });
    }
    let first = side(arguments, &urls.peer, &haproxy.tree())?;
    let second = side(arguments, &urls.postern, &postern)?;
    Ok(Round { postern: second, peer: first })
}

fn side(arguments: &Arguments, url: &str, pids: &[u32]) -> Result<Side> {
    let before = cpu::time(pids);
    let run = wrk::run(url, arguments.connections, arguments.seconds)?;
    Ok(Side { cpu: cpu::time(pids).saturating_sub(before), run })
}
