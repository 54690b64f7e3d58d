//! An application that goes from one group's connectors to another's, and back, while it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use postern_tests::client::Client;
use postern_tests::load::Load;
use postern_tests::origin::Origin;
use postern_tests::world::{START_TIMEOUT, World};

const MOVES: usize = 12;
/// Longer than it takes from one move to the next.
const LONG: &str = "/wait/1500";

/// Long requests, one after the other on each of some connections, until they are told to stop. Gives how many went well.
fn long_requests(client: &Client, stop: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<Result<u64, String>>> {
    let one = |_| {
        let (client, stop) = (client.clone(), Arc::clone(stop));
        std::thread::spawn(move || {
            let mut done = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = client.get(LONG).map_err(|error| format!("{error:#}"))?;
                if answer.status != 200 {
                    return Err(format!("status {}: {}", answer.status, answer.text()));
                }
                done += 1;
            }
            Ok(done)
        })
    };
    (0..4).map(one).collect()
}

/// The same with content, which is not sent twice once any of it went out.
fn uploads(
    client: &Client,
    stop: &Arc<AtomicBool>,
    sent: &Arc<AtomicU64>,
) -> std::thread::JoinHandle<Result<(), String>> {
    let (client, stop, sent) = (client.clone(), Arc::clone(stop), Arc::clone(sent));
    std::thread::spawn(move || {
        let body = vec![7; 200_000];
        while !stop.load(Ordering::Relaxed) {
            let asked = client.connect().and_then(|mut open| open.request("POST", "/sha", &[], &body));
            let answer = asked.map_err(|error| format!("{error:#}"))?;
            if answer.status != 200 || !answer.text().contains("200000") {
                return Err(format!("status {}: {}", answer.status, answer.text()));
            }
            sent.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })
}

#[test]
fn no_request_is_lost_while_an_application_changes_its_group() {
    let mut world = World::usual().unwrap();
    world.cli(&["connector-group", "create", "second"]).unwrap();
    let token = world.token("second").unwrap();
    world.start_connector(1, &token).unwrap();
    world.expect_within(START_TIMEOUT, "both connectors online", |world| world.connectors_online() == 2).unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let load = Load::start(&client, 12, "/bytes/20000", 20_000);
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let long = long_requests(&client, &stop);
    let uploading = uploads(&client, &stop, &sent);
    for number in 0..MOVES {
        let before = load.right();
        world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > before + 200).unwrap();
        let group = if number % 2 == 0 { "second" } else { "default" };
        world.cli(&["app", "set", "app", "--group", group]).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    stop.store(true, Ordering::Relaxed);
    let outcome = load.stop();
    eprintln!("{MOVES} moves: {outcome:?}");
    assert_eq!((outcome.wrong, outcome.failed, outcome.cut), (0, 0, 0), "{outcome:?}\n{}", world.logs());
    for thread in long {
        let done =
            thread.join().unwrap().unwrap_or_else(|lost| panic!("a long request was lost: {lost}\n{}", world.logs()));
        assert!(done > 0);
    }
    uploading.join().unwrap().unwrap_or_else(|lost| panic!("an upload was lost: {lost}\n{}", world.logs()));
    assert!(sent.load(Ordering::Relaxed) > 0);
    // Each group had it for a while.
    for connector in 0..2 {
        let log = world.connectors[connector].log();
        assert!(log.matches("group config in force").count() >= MOVES / 2, "{log}");
    }
}
