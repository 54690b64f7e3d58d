//! New connections are spread over the workers by the BPF program, and nothing of it stays behind.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use postern_tests::client::{Client, Connection};
use postern_tests::pass_over;
use postern_tests::world::{Options, START_TIMEOUT, World, free_address};

const WORKERS: usize = 8;
const IDLE: usize = 1000;
const TRIES: usize = 12;
/// The most loaded worker beside the mean.
const IMBALANCE_MAX: f64 = 1.05;

const PINS: &str = "/sys/fs/bpf/postern";

fn can_load_bpf() -> bool {
    nix::unistd::geteuid().is_root() && Path::new("/sys/fs/bpf").is_dir()
}

fn pins() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(PINS).to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            found.push(path.display().to_string());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn nothing_stays_pinned_after_a_stop() {
    if !can_load_bpf() {
        pass_over("loading BPF programs needs root");
        return;
    }
    let before = pins();
    let world = World::start(Options {
        connectors: 0,
        workers: 8,
        relay: vec!["--ebpf".into(), "require".into()],
        ..Options::default()
    })
    .unwrap();
    assert!(pins().len() > before.len(), "with --ebpf require maps are pinned under {PINS}");
    drop(world);
    assert_eq!(pins(), before);
}

#[test]
fn after_a_killed_supervisor_the_next_start_cleans_up() {
    if !can_load_bpf() {
        pass_over("loading BPF programs needs root");
        return;
    }
    let before = pins();
    let mut world =
        World::start(Options { connectors: 0, relay: vec!["--ebpf".into(), "require".into()], ..Options::default() })
            .unwrap();
    let running = pins();
    world.relay().kill();
    world.start_relay().unwrap();
    assert_eq!(pins().len(), running.len(), "{:?}", pins());
    drop(world);
    assert_eq!(pins(), before);
}

#[test]
fn a_thousand_idle_connections_are_spread_evenly_by_steer_only() {
    if !can_load_bpf() {
        pass_over("loading BPF programs needs root");
        return;
    }
    let steered = imbalance_of_idle_connections("require");
    // A hash may spread a thousand evenly by chance, about once in twenty; thrice in a row it does not.
    let mut hashed = 0.0_f64;
    for _ in 0..3 {
        hashed = hashed.max(imbalance_of_idle_connections("off"));
        if hashed > IMBALANCE_MAX {
            break;
        }
    }
    eprintln!("max/mean over {WORKERS} workers: steer {steered:.3}, the kernel's hash {hashed:.3}");
    assert!(steered <= IMBALANCE_MAX, "{steered:.3}");
    assert!(hashed > IMBALANCE_MAX, "the kernel's hash does as well ({hashed:.3}): this run proves nothing");
}

fn imbalance_of_idle_connections(ebpf: &str) -> f64 {
    let admin = free_address(Ipv4Addr::LOCALHOST).unwrap();
    let relay = vec!["--ebpf".into(), ebpf.into(), "--admin-listen".into(), admin.to_string()];
    let world = World::start(Options { connectors: 0, workers: WORKERS, relay, ..Options::default() }).unwrap();
    let client = published_without_connectors(&world);
    // Those that asked whether it is published are over, but may be counted for a moment.
    let none_counted = |_: &World| open_connections(admin).iter().sum::<i64>() == 0;
    world.expect_within(START_TIMEOUT, "no connection counted", none_counted).unwrap();
    let idle: Vec<Connection> = (0..IDLE).map(|_| client.connect().unwrap()).collect();
    let all_counted = |_: &World| open_connections(admin).iter().sum::<i64>() >= IDLE as i64;
    world.expect_within(START_TIMEOUT, "all connections counted", all_counted).unwrap();
    let added = open_connections(admin);
    drop(idle);
    assert_eq!(added.len(), WORKERS, "{added:?}");
    eprintln!("--ebpf {ebpf}: {added:?}");
    let mean = added.iter().sum::<i64>() as f64 / added.len() as f64;
    *added.iter().max().unwrap() as f64 / mean
}

#[test]
fn a_stalled_worker_gets_no_new_connection() {
    if !can_load_bpf() {
        pass_over("loading BPF programs needs root");
        return;
    }
    let steered = failed_beside_a_stalled_worker("require");
    let hashed = failed_beside_a_stalled_worker("off");
    eprintln!(
        "of {TRIES} connections beside a stalled worker, not answered: steer {steered}, the kernel's hash {hashed}"
    );
    assert_eq!(steered, 0);
    assert!(hashed > 0, "no worker was stalled: this run proves nothing");
}

/// How many handshakes of new connections are not answered while one worker of two spins: a core is left for the other.
fn failed_beside_a_stalled_worker(ebpf: &str) -> usize {
    let relay_environment = vec![("POSTERN_FAULT_STALL".to_owned(), "1:40".to_owned())];
    let relay = vec!["--ebpf".into(), ebpf.into()];
    let mut world = World::bare(Options { workers: 2, relay, relay_environment, ..Options::default() }).unwrap();
    world.start_control().unwrap();
    world.start_relay().unwrap();
    let stalled = world.relay().logs_within(START_TIMEOUT, "stalled on purpose");
    assert!(stalled, "only debug builds can be told to stall\n{}", world.logs());
    let client = published_without_connectors(&world);
    // A worker counts as stalled when a turn of its loop takes longer than 50 ms.
    std::thread::sleep(Duration::from_millis(300));
    let failed: Vec<_> =
        (0..TRIES).filter_map(|index| Some(format!("{index}: {:#}", client.connect().err()?))).collect();
    eprintln!("--ebpf {ebpf}: {failed:?}");
    failed.len()
}

/// Handshakes need no more than the relay's knowing the name.
fn published_without_connectors(world: &World) -> Client {
    let external = format!("https://app.example.test:{}/", world.relay_address.port());
    let publish = ["app", "publish", "app", "--external", &external, "--internal", "http://127.0.0.1:1/"];
    world.cli(&[&publish[..], &["--preauth", "passthrough"]].concat()).unwrap();
    let client = world.client("app.example.test").unwrap().timeout(Duration::from_millis(1500));
    world.expect_within(START_TIMEOUT, "the relay knows the name", |_| client.connect().is_ok()).unwrap();
    client
}

/// Open connections of each worker, as the relay's metrics say.
fn open_connections(admin: SocketAddr) -> Vec<i64> {
    let output =
        Command::new("curl").args(["--silent", "--fail", &format!("http://{admin}/metrics")]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| line.starts_with("postern_relay_connections_open{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect()
}
