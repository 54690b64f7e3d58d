//! Every daemon tells systemd that it is up, and that it is alive for only as long as it is.

use std::time::Duration;

use postern_tests::notify::NotifySocket;
use postern_tests::process::Process;
use postern_tests::world::{Options, START_TIMEOUT, World, write_secret};

/// Half of it is how often daemons tell. Their loops show life every second, the relay looks at them every two.
const WATCHDOG: Duration = Duration::from_secs(6);
const READY: &str = "READY=1";
const ALIVE: &str = "WATCHDOG=1";

fn socket(world: &World, name: &str) -> NotifySocket {
    NotifySocket::bind(&world.path(name)).unwrap()
}

fn expect_alive(socket: &NotifySocket, who: &str, world: &World) {
    assert!(socket.is_told_within(START_TIMEOUT, READY), "{who} is not ready\n{}", world.logs());
    for _ in 0..3 {
        assert!(socket.is_told_within(2 * WATCHDOG, ALIVE), "{who} is not alive\n{}", world.logs());
    }
}

#[test]
fn every_daemon_is_ready_and_alive() {
    let mut world = World::bare(Options::default()).unwrap();
    let (control, relay, connector) =
        (socket(&world, "n-control"), socket(&world, "n-relay"), socket(&world, "n-connector"));
    let command = control.watch(world.control_command(), WATCHDOG);
    world.control = Some(Process::spawn("postern-control", command, &world.path("control.log")).unwrap());
    world.expect_within(START_TIMEOUT, "control answers", |world| world.cli(&["init"]).is_ok()).unwrap();
    let command = relay.watch(world.relay_command(), WATCHDOG);
    world.relay = Some(Process::spawn("postern-relay", command, &world.path("relay.log")).unwrap());
    write_secret(&world.path("token-0"), &world.token("default").unwrap()).unwrap();
    let command = connector.watch(world.connector_command(0), WATCHDOG);
    world.connectors.push(Process::spawn("postern-connector", command, &world.path("connector-0.log")).unwrap());
    expect_alive(&control, "control", &world);
    expect_alive(&relay, "the relay", &world);
    expect_alive(&connector, "the connector", &world);
}

#[test]
fn a_relay_with_a_stuck_worker_is_not_alive() {
    let relay_environment = vec![("POSTERN_FAULT_STALL".to_owned(), "1:60".to_owned())];
    let mut world = World::bare(Options { workers: 2, relay_environment, ..Options::default() }).unwrap();
    world.start_control().unwrap();
    let socket = socket(&world, "n-relay");
    let command = socket.watch(world.relay_command(), WATCHDOG);
    world.relay = Some(Process::spawn("postern-relay", command, &world.path("relay.log")).unwrap());
    assert!(socket.is_told_within(START_TIMEOUT, READY), "{}", world.logs());
    let stalled = world.relay().logs_within(START_TIMEOUT, "stalled on purpose");
    assert!(stalled, "only debug builds can be told to stall\n{}", world.logs());
    // What the worker did before may still be told once.
    std::thread::sleep(WATCHDOG);
    socket.forget().unwrap();
    assert!(!socket.is_told_within(2 * WATCHDOG, ALIVE), "{}", world.logs());
    assert!(world.relay().is_alive(), "systemd decides what becomes of it");
    world.relay().kill();
}
