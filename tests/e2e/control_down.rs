//! Control is never on the path of a request.

use std::time::Duration;

use postern_tests::load::Load;
use postern_tests::origin::Origin;
use postern_tests::world::{START_TIMEOUT, World};

#[test]
fn killing_control_under_load_fails_nothing() {
    let mut world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let load = Load::start(&client, 8, "/bytes/1000", 1000);
    world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > 200).unwrap();
    world.control().kill();
    let before = load.right();
    world.expect_within(START_TIMEOUT, "load flows on", |_| load.right() > before + 1000).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let outcome = load.stop();
    assert_eq!((outcome.wrong, outcome.cut, outcome.failed), (0, 0, 0), "{outcome:?}\n{}", world.logs());

    world.start_control().unwrap();
    world
        .expect_within(START_TIMEOUT, "the connector is online at control again", |world| {
            world.connectors_online() == 1
        })
        .unwrap();
    let other = world.publish("other", &origin.url()).unwrap();
    assert_eq!(other.get("/bytes/3").unwrap().status, 200);
}

#[test]
fn a_relay_started_without_control_serves_its_last_good_state() {
    let mut world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    assert_eq!(client.get("/bytes/3").unwrap().status, 200);
    world.control().kill();
    world.relay = None;
    world.start_relay().unwrap();
    let serves = |_: &World| client.get("/bytes/3").is_ok_and(|answer| answer.status == 200);
    world.expect_within(START_TIMEOUT, "serves without control", serves).unwrap();
}

#[test]
fn an_acknowledged_change_survives_kill() {
    let mut world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    for index in 0..5 {
        let (name, external) = (format!("app{index}"), format!("https://app{index}.example.test/"));
        world
            .cli(&[
                "app",
                "publish",
                &name,
                "--external",
                &external,
                "--internal",
                &origin.url(),
                "--preauth",
                "passthrough",
            ])
            .unwrap();
        world.control().kill();
        world.start_control().unwrap();
        assert!(world.cli(&["app", "list"]).unwrap().contains(&name));
    }
}
