//! How a connector comes in, and how it does not.

use std::time::Duration;

use postern_tests::process::Process;
use postern_tests::world::{Options, START_TIMEOUT, World, free_address, write_secret};

const FAIL_TIMEOUT: Duration = Duration::from_secs(15);

fn world_without_connectors() -> World {
    World::start(Options { connectors: 0, ..Options::default() }).unwrap()
}

/// Starts a connector that must give up: its exit status and what it said.
fn refused(world: &World, index: usize, token: &str) -> (Option<i32>, String) {
    write_secret(&world.path(&format!("token-{index}")), token).unwrap();
    let log = world.path(&format!("refused-{index}.log"));
    let mut process = Process::spawn("postern-connector", world.connector_command(index), &log).unwrap();
    let status = process.wait(FAIL_TIMEOUT);
    (status.and_then(|status| status.code()), process.log())
}

#[test]
fn a_token_works_once_and_the_enrolled_connector_for_good() {
    let mut world = world_without_connectors();
    let token = world.token("default").unwrap();
    world.start_connector(0, &token).unwrap();
    world.expect_within(START_TIMEOUT, "online", |world| world.connectors_online() == 1).unwrap();

    let (status, said) = refused(&world, 7, &token);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("token-used"), "{said}");

    world.restart_connector(0).unwrap();
    world.expect_within(START_TIMEOUT, "offline, then online", |world| world.connectors_online() == 1).unwrap();
}

#[test]
fn tokens_that_are_wrong_are_refused_with_a_reason() {
    let world = world_without_connectors();
    let (status, said) = refused(&world, 1, "nonsense");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("token-invalid"), "{said}");

    let short = world.json(&["connector", "token", "--group", "default", "--ttl", "1s"]).unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    let (status, said) = refused(&world, 2, short["token"].as_str().unwrap());
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("token-expired"), "{said}");
}

#[test]
fn a_token_of_another_installation_is_refused() {
    let token = world_without_connectors().token("default").unwrap();
    let world = world_without_connectors();
    let (status, said) = refused(&world, 1, &token);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("token-wrong-ca") || said.contains("tls-inspected"), "{said}");
}

#[test]
fn a_connector_waits_for_a_relay_that_is_not_there_yet() {
    let mut world = world_without_connectors();
    let token = world.token("default").unwrap();
    let nowhere = free_address(std::net::Ipv4Addr::LOCALHOST).unwrap();
    let relay = world.relay_address;
    world.connectors_dial(nowhere);
    world.start_connector(0, &token).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(world.connectors[0].is_alive(), "{}", world.logs());
    // The relay appears where the connector dials.
    let cut = postern_tests::cut::Cut::at(nowhere, relay).unwrap();
    world.expect_within(START_TIMEOUT, "online", |world| world.connectors_online() == 1).unwrap();
    drop(cut);
}

#[test]
fn a_removed_connector_is_cut_off() {
    let world = World::usual().unwrap();
    let list = world.json(&["connector", "list"]).unwrap();
    let id = list["items"][0]["id"].as_str().or(list[0]["id"].as_str()).unwrap().to_owned();
    world.cli(&["connector", "remove", &id]).unwrap();
    world.expect_within(Duration::from_secs(5), "no connector left", |world| world.connectors_online() == 0).unwrap();
}
