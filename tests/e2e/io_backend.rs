//! Where io_uring is refused: epoll serves instead, and whoever looks is told.

use std::process::Command;
use std::time::Duration;

use postern_tests::origin::Origin;
use postern_tests::pattern;
use postern_tests::process::Process;
use postern_tests::world::{Options, World};

fn denied() -> Options {
    Options { denies_io_uring: true, ..Options::default() }
}

/// The relay's status as control has it.
fn relay(world: &World) -> serde_json::Value {
    let list = world.json(&["relay", "list"]).unwrap();
    list["items"][0].clone()
}

fn ends(name: &str, command: Command, world: &World) -> (Option<i32>, String) {
    let mut process = Process::spawn(name, command, &world.path(&format!("{name}-refused.log"))).unwrap();
    let status = process.wait(Duration::from_secs(10)).expect("it ends by itself");
    (status.code(), process.log())
}

#[test]
fn without_io_uring_epoll_serves_and_status_and_log_say_so() {
    let mut world = World::start(denied()).unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let answer = client.get("/bytes/300000").unwrap();
    assert!(answer.status == 200 && answer.body == pattern::bytes(300_000));

    let told = relay(&world).to_string();
    assert!(told.contains("\"io_backend\":\"epoll\""), "{told}");
    let shown = world.cli_output(&["status"]).unwrap();
    let shown = format!("{}{}", String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    for text in [told, shown, world.relay().log(), world.connectors[0].log()] {
        for words in ["--io auto", "io_uring cannot be used", "epoll is used instead"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let warnings = world.connectors[0].log().matches("epoll is used instead").count();
    assert_eq!(warnings, 1, "{}", world.connectors[0].log());
}

#[test]
fn a_ring_that_was_asked_for_and_is_refused_ends_the_start() {
    let uring = ["--io".to_owned(), "uring".to_owned()];
    let options = Options { connectors: 0, relay: uring.to_vec(), connector: uring.to_vec(), ..denied() };
    let mut world = World::bare(options).unwrap();
    world.start_control().unwrap();
    let (code, log) = ends("postern-relay", world.relay_command(), &world);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("io-backend-unavailable") && log.contains("--io uring"), "{log}");
    let (code, log) = ends("postern-connector", world.connector_command(0), &world);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("io-backend-unavailable") && log.contains("--io uring"), "{log}");
}

#[test]
fn epoll_that_was_asked_for_is_no_warning() {
    let epoll = ["--io".to_owned(), "epoll".to_owned()];
    let world =
        World::start(Options { relay: epoll.to_vec(), connector: epoll.to_vec(), ..Options::default() }).unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    assert_eq!(client.get("/bytes/5").unwrap().body, pattern::bytes(5));
    let told = relay(&world).to_string();
    assert!(told.contains("\"io_backend\":\"epoll\"") && !told.contains("io_uring"), "{told}");
    assert!(!world.connectors[0].log().contains("io_uring"), "{}", world.connectors[0].log());
}
