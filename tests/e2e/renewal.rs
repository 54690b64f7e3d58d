//! A connector renews its certificate through the relay, and nobody notices.

use std::time::Duration;

use postern_tests::load::Load;
use postern_tests::origin::Origin;
use postern_tests::process::Process;
use postern_tests::world::{Options, START_TIMEOUT, World};

/// Renewed at half of it.
const LIFETIME: Duration = Duration::from_secs(16);

#[test]
fn a_connector_outlives_its_first_certificate() {
    let mut world = World::bare(Options { connectors: 1, ..Options::default() }).unwrap();
    let mut command = world.control_command();
    command.env("POSTERN_FAULT_CONNECTOR_CERTIFICATE_S", LIFETIME.as_secs().to_string());
    world.control = Some(Process::spawn("postern-control", command, &world.path("control.log")).unwrap());
    world.expect_within(START_TIMEOUT, "control answers", |world| world.cli(&["init"]).is_ok()).unwrap();
    world.start_relay().unwrap();
    let token = world.token("default").unwrap();
    world.start_connector(0, &token).unwrap();
    world.expect_within(START_TIMEOUT, "online", |world| world.connectors_online() == 1).unwrap();
    let enrolled = std::time::Instant::now();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let before = world.json(&["connector", "list"]).unwrap();

    let load = Load::start(&client, 4, "/bytes/1000", 1000);
    let renewed = world.connectors[0].logs_within(LIFETIME, "certificate renewed");
    assert!(renewed, "only debug builds of control issue short certificates\n{}", world.logs());
    std::thread::sleep((LIFETIME + Duration::from_secs(3)).saturating_sub(enrolled.elapsed()));
    let outcome = load.stop();
    assert!(outcome.right > 100, "{outcome:?}");
    assert_eq!((outcome.wrong, outcome.cut, outcome.failed), (0, 0, 0), "{outcome:?}\n{}", world.logs());
    let after = world.json(&["connector", "list"]).unwrap();
    assert_eq!(after["items"][0]["since_unix_ms"], before["items"][0]["since_unix_ms"], "the tunnels are the same");
    assert_ne!(after["items"][0]["key_sha256"], before["items"][0]["key_sha256"], "the key is not");

    // The first certificate has expired: new tunnels need a renewed one.
    let dataplane = world.dataplane().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(dataplane.cast_signed()), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    let serves = |_: &World| client.get("/bytes/3").is_ok_and(|answer| answer.status == 200);
    world.expect_within(START_TIMEOUT, "new tunnels", serves).unwrap();
}
