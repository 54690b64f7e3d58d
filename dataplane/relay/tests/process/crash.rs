//! Processes that are killed, and told to end.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::relay::{Relay, eventually, exists, is_root, program_for_everybody};

#[test]
fn a_killed_dataplane_is_replaced_at_once_and_nobody_is_refused() {
    let relay = Relay::started();
    let stop = Arc::new(AtomicBool::new(false));
    let knocking = {
        let (stop, address) = (Arc::clone(&stop), relay.address);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                TcpStream::connect(address).expect("a connection during the gap waits in the queue");
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let mut pauses = Vec::new();
    for generation in 2..=4 {
        // Not the second crash within a second, after which the supervisor would wait.
        std::thread::sleep(Duration::from_millis(1100));
        let killed = relay.dataplane().unwrap();
        kill(killed, Signal::SIGKILL).unwrap();
        let since = Instant::now();
        eventually("somebody accepts", || relay.is_accepting());
        pauses.push(since.elapsed());
        eventually("the generation is the next", || relay.metric("postern_relay_generation") == Some(generation));
        assert_ne!(relay.dataplane(), Some(killed));
    }
    stop.store(true, Ordering::Relaxed);
    knocking.join().unwrap();
    // The quickest, since this machine may be busy with other tests; a pause that is built in would be in all of them.
    let quickest = pauses.iter().min().unwrap();
    assert!(*quickest < Duration::from_millis(200), "{pauses:?}");
}

/// A dataplane of another user than the supervisor's cannot even walk to the program and the state folder here.
#[test]
fn it_starts_in_a_folder_that_only_its_starter_can_enter() {
    let mut relay = Relay::new();
    let program = program_for_everybody(relay.folder.path());
    std::fs::set_permissions(relay.folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = std::process::Command::new(program);
    command.args(relay.command().get_args()).env("POSTERN_LOG_FORMAT", "text");
    relay.start_as(command);
    assert!(!relay.log().contains("without Landlock"), "{}", relay.log());
    let state = relay.folder.path().join("state/relay.key");
    assert!(state.exists(), "{}", relay.log());
}

#[test]
fn a_killed_supervisor_takes_its_dataplane_along_and_the_next_start_works() {
    let mut relay = Relay::started();
    let dataplane = relay.dataplane().unwrap();
    relay.signal(Signal::SIGKILL);
    relay.ended();
    eventually("the dataplane ends", || !exists(dataplane));
    relay.start();
}

#[test]
fn sigterm_ends_everything_and_frees_the_port() {
    let mut relay = Relay::started();
    let dataplane = relay.dataplane().unwrap();
    relay.signal(Signal::SIGTERM);
    let status = relay.ended();
    assert!(status.success(), "{status}\n{}", relay.log());
    assert!(!exists(dataplane));
    assert!(TcpStream::connect(relay.address).is_err());
}

#[test]
fn the_dataplane_leaves_a_terminals_signals_to_the_supervisor() {
    let relay = Relay::started();
    let dataplane = relay.dataplane().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR2] {
        kill(dataplane, signal).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(relay.dataplane(), Some(dataplane));
    assert!(exists(dataplane) && relay.is_accepting());
}

#[test]
fn started_without_privileges_it_serves_without_bpf_and_says_so() {
    let mut relay = Relay::new();
    let mut command = relay.command();
    if is_root() {
        let program = program_for_everybody(relay.folder.path());
        let usual = relay.command();
        command = std::process::Command::new(program);
        command.args(usual.get_args()).env("POSTERN_LOG_FORMAT", "text").uid(65534).gid(65534);
    }
    command.args(["--ebpf", "auto"]);
    relay.start_as(without_ebpf_off(&command));
    let log = relay.log();
    assert!(log.contains("kernel's hash") && log.contains("CAP_BPF"), "{log}");
}

/// The same command with the first `--ebpf off` taken out.
fn without_ebpf_off(command: &std::process::Command) -> std::process::Command {
    let mut words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let at = words.iter().position(|word| word == "off").unwrap();
    words.drain(at - 1..=at);
    let mut changed = std::process::Command::new(command.get_program());
    changed.args(words).env("POSTERN_LOG_FORMAT", "text").stdin(std::process::Stdio::null());
    if is_root() {
        changed.uid(65534).gid(65534);
    }
    changed
}

/// With BPF the start takes a while: a signal that comes meanwhile ends the relay as a later one would.
#[test]
fn told_to_end_during_its_start_it_leaves_nothing_in_the_kernel() {
    let name = format!("starting-{}", std::process::id());
    for delay_ms in (0..150).step_by(15) {
        let mut relay = Relay::new();
        let mut command = crate::relay::program();
        command.arg("--state-dir").arg(relay.folder.path().join("state"));
        command.arg("--control").arg(format!("unix:{}", relay.control_socket().display()));
        command.args(["--listen", &relay.address.to_string(), "--workers", "2", "--grace-period", "1"]);
        command.args(["--ebpf", "auto", "--name", &name]);
        relay.spawn(command);
        std::thread::sleep(Duration::from_millis(delay_ms));
        relay.signal(Signal::SIGTERM);
        relay.ended();
        let pins = std::fs::read_dir("/sys/fs/bpf/postern").into_iter().flatten().flatten();
        let left: Vec<_> = pins.filter(|pin| pin.file_name().to_string_lossy().starts_with(&name)).collect();
        assert!(left.is_empty(), "told after {delay_ms} ms: {left:?}\n{}", relay.log());
    }
}
