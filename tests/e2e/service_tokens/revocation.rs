//! What ends when a token is taken back, how soon, and what goes on.

use std::time::{Duration, Instant};

use postern_tests::client::{Broken, Client, Connection};
use postern_tests::load::Load;
use postern_tests::origin::websocket::{frame, masked_frame};
use postern_tests::within;
use postern_tests::world::{START_TIMEOUT, World};

use super::{access, publish, scene, token};

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const POLICY_VIOLATION: [u8; 2] = 1008u16.to_be_bytes();

fn websocket(client: &Client) -> Connection {
    let (mut connection, _) = client.websocket("/ws", &[]).unwrap();
    connection.send(&masked_frame(TEXT, b"hello")).unwrap();
    assert_eq!(connection.exactly(7).unwrap(), frame(TEXT, b"hello"));
    connection
}

/// A download in its own thread; when it broke, if it did so visibly.
fn download(client: &Client, path: &str) -> std::thread::JoinHandle<Option<Instant>> {
    let mut connection = client.connect().unwrap();
    connection.send_head("GET", path, &[]).unwrap();
    let head = connection.head("GET").unwrap();
    assert_eq!(head.status, 200);
    std::thread::spawn(move || {
        // Slowly, so that there is always more to come.
        let outcome = connection.body(&head, |piece| {
            std::thread::sleep(Duration::from_micros(piece.len() as u64 / 10));
            true
        });
        let broken = outcome.err().is_some_and(|error| matches!(error.downcast_ref(), Some(Broken::Cut { .. })));
        broken.then(Instant::now)
    })
}

#[test]
fn a_revoked_tokens_requests_end_within_a_second_and_others_go_on() {
    let (world, origin, client) = scene();
    let revoked = client.bearing(&token(&world, "revoked", "app"));
    let other = client.bearing(&token(&world, "other", "app"));
    let load = Load::start(&other, 4, "/bytes/1000", 1000);
    let mut kept = websocket(&other);
    let mut told = websocket(&revoked);
    let stalled = download(&revoked, "/stall");
    let running = download(&revoked, &format!("/bytes/{}", 1u64 << 30));
    let mut waiting = revoked.connect().unwrap();
    waiting.send_head("GET", "/silent", &[]).unwrap();
    world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > 200).unwrap();

    access(&world, &["revoke", "revoked"]);
    let returned = Instant::now();
    let (rest, closed) = told.drain();
    let late = |at: Instant| at.saturating_duration_since(returned);
    assert!(late(Instant::now()) < Duration::from_secs(1), "the WebSocket ended after {:?}", returned.elapsed());
    assert_eq!((rest, closed), (frame(CLOSE, &POLICY_VIOLATION), true), "{}", world.logs());
    assert_eq!(waiting.answer("GET").unwrap().status, 401);
    for (what, download) in [("stalled", stalled), ("running", running)] {
        let ended = download.join().unwrap().unwrap_or_else(|| panic!("the {what} download looks complete"));
        assert!(late(ended) < Duration::from_secs(1), "the {what} download ended after {:?}", late(ended));
    }
    assert!(within(Duration::from_secs(3), || origin.goodbyes() == [1008]), "{:?}", origin.goodbyes());

    kept.send(&masked_frame(TEXT, b"still")).unwrap();
    assert_eq!(kept.exactly(7).unwrap(), frame(TEXT, b"still"));
    let outcome = load.stop();
    assert_eq!((outcome.wrong, outcome.cut, outcome.failed), (0, 0, 0), "{outcome:?}");
    let line = || std::fs::read_to_string(world.path("relay/access.log")).unwrap_or_default();
    let cut = |line: &str| line.contains("\"code\":\"access-revoked\"") && line.contains("service/revoked");
    assert!(within(Duration::from_secs(10), || line().lines().filter(|line| cut(line)).count() == 4), "{}", line());
}

#[test]
fn every_way_to_take_a_permission_back_ends_what_it_let_in() {
    let (world, origin, client) = scene();
    let ways: [&[&str]; 4] = [
        &["access", "token", "disable", "t1"],
        &["access", "token", "rotate", "t2"],
        &["access", "token", "set", "t3", "--app", "second"],
        &["access", "token", "set", "t4", "--ttl", "2s"],
    ];
    publish(&world, &origin, "second");
    for (nth, way) in ways.iter().enumerate() {
        let client = client.bearing(&token(&world, &format!("t{}", nth + 1), "app"));
        let download = download(&client, "/stall");
        world.cli(way).unwrap();
        let returned = Instant::now();
        let ended = download.join().unwrap().unwrap_or_else(|| panic!("{way:?}: it looks complete"));
        let allowed = Duration::from_secs(if nth == 3 { 3 } else { 1 });
        assert!(ended.saturating_duration_since(returned) < allowed, "{way:?}: {:?}", ended - returned);
    }
    let last = client.bearing(&token(&world, "last", "app"));
    let known = download(&last, "/stall");
    world.cli(&["app", "unpublish", "app"]).unwrap();
    let returned = Instant::now();
    let ended = known.join().unwrap().expect("it looks complete");
    assert!(ended.saturating_duration_since(returned) < Duration::from_secs(1));
}

#[test]
fn a_change_under_load_loses_no_request_that_is_permitted() {
    let (world, origin, client) = scene();
    let client = client.bearing(&token(&world, "worker", "app"));
    let load = Load::start(&client, 8, "/bytes/1000", 1000);
    world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > 200).unwrap();
    publish(&world, &origin, "other");
    for nth in 0..6 {
        let name = format!("t{nth}");
        token(&world, &name, "other");
        access(&world, &["rotate", &name]);
        access(&world, &["set", "worker", "--ttl", "1d"]);
        world.cli(&["app", "set", "app", "--set", &format!("backend_timeout_ms={}", 70_000 + nth)]).unwrap();
        access(&world, &["revoke", &name]);
    }
    world.cli(&["app", "set", "app", "--preauth", "passthrough"]).unwrap();
    world.cli(&["app", "set", "app", "--preauth", "oidc"]).unwrap();
    let outcome = load.stop();
    assert_eq!((outcome.wrong, outcome.cut, outcome.failed), (0, 0, 0), "{outcome:?}\n{}", world.logs());
}

fn status(client: &Client) -> u16 {
    client.get("/bytes/3").map_or(0, |answer| answer.status)
}

#[test]
fn what_was_revoked_stays_revoked_whatever_is_killed() {
    let (mut world, _origin, client) = scene();
    let good = client.bearing(&token(&world, "good", "app"));
    let revoked = client.bearing(&token(&world, "revoked", "app"));
    assert_eq!((status(&good), status(&revoked)), (200, 200));
    access(&world, &["revoke", "revoked"]);
    world.control().kill();
    world.relay = None;
    world.start_relay().unwrap();
    let serves = |_: &World| status(&good) == 200;
    world.expect_within(START_TIMEOUT, "the relay serves without control", serves).unwrap();
    assert_eq!(status(&revoked), 401, "a relay alone enforces what it knew");
    assert_eq!(status(&client), 401);

    world.start_control().unwrap();
    assert!(!access(&world, &["list"]).contains("revoked"));
    world.expect_within(START_TIMEOUT, "the relay is linked", |world| world.connectors_online() == 1).unwrap();
    assert_eq!((status(&good), status(&revoked)), (200, 401));
}

#[test]
fn a_revocation_that_a_relay_cannot_save_is_in_force_and_not_confirmed() {
    let (world, _origin, client) = scene();
    let client = client.bearing(&token(&world, "backup", "app"));
    assert_eq!(client.connect().unwrap().get("/bytes/3").unwrap().status, 200);
    let obstacle = world.path("relay/state.sealed.new");
    std::fs::create_dir(&obstacle).unwrap();
    let said = world.cli_output(&["access", "token", "revoke", "backup"]).unwrap();
    let warned = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && warned.contains("has not confirmed this change yet"), "{warned}");
    assert_eq!(client.connect().unwrap().get("/bytes/3").unwrap().status, 401);
    let warnings = |world: &World| world.json(&["status"]).unwrap()["warnings"].to_string();
    assert!(warnings(&world).contains("cannot be saved"), "{}", warnings(&world));

    std::fs::remove_dir(&obstacle).unwrap();
    let is_saved = |world: &World| !warnings(world).contains("cannot be saved");
    world.expect_within(START_TIMEOUT, "it is saved", is_saved).unwrap();
    let said = world.cli_output(&["throttle", "set", "source", "--rps", "1000"]).unwrap();
    assert!(!String::from_utf8_lossy(&said.stderr).contains("not confirmed"));
}
