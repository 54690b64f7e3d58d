//! Memory stays where it is whatever the sizes and speeds, and who stalls holds up nobody else.

use std::time::{Duration, Instant};

use postern_tests::client::{Client, Connection};
use postern_tests::origin::Origin;
use postern_tests::pattern;
use postern_tests::world::World;

const GROWTH_KIB_MAX: u64 = 20 * 1024;
const MEGABYTE: u64 = 1_000_000;

/// Resident memory of relay and connector.
fn memory(world: &World) -> (u64, u64) {
    (world.relay.as_ref().unwrap().rss_kib(), world.connectors[0].rss_kib())
}

fn assert_grown_little(world: &World, before: (u64, u64), what: &str) {
    let after = memory(world);
    assert!(after.0 < before.0 + GROWTH_KIB_MAX, "{what}: relay {} → {} KiB", before.0, after.0);
    assert!(after.1 < before.1 + GROWTH_KIB_MAX, "{what}: connector {} → {} KiB", before.1, after.1);
}

fn warmed_up() -> (World, Origin, Client) {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap().timeout(Duration::from_secs(60));
    assert_eq!(client.get("/bytes/1000000").unwrap().body.len(), 1_000_000);
    (world, origin, client)
}

#[test]
fn a_stream_of_two_gib_grows_nothing() {
    let (world, _origin, client) = warmed_up();
    let before = memory(&world);
    let length = 2u64 << 30;
    let mut connection = client.connect().unwrap();
    connection.send_head("GET", &format!("/bytes/{length}"), &[]).unwrap();
    let head = connection.head("GET").unwrap();
    let mut received = 0;
    connection
        .body(&head, |piece| {
            assert!(pattern::matches(received, piece), "wrong bytes after {received}");
            received += piece.len() as u64;
            if received % (256 << 20) < piece.len() as u64 {
                assert_grown_little(&world, before, "on the way down");
            }
            true
        })
        .unwrap();
    assert_eq!(received, length);
    assert_grown_little(&world, before, "after 2 GiB");
}

#[test]
fn a_slow_reader_holds_the_application_back() {
    let (world, _origin, client) = warmed_up();
    let before = memory(&world);
    let mut connection = client.connect().unwrap();
    connection.send_head("GET", &format!("/bytes/{}", 1u64 << 30), &[]).unwrap();
    let head = connection.head("GET").unwrap();
    let begun = Instant::now();
    let mut received = 0;
    connection
        .body(&head, |piece| {
            assert!(pattern::matches(received, piece));
            received += piece.len() as u64;
            pace(begun, received);
            received < 6 * MEGABYTE
        })
        .unwrap();
    assert_grown_little(&world, before, "a reader at 1 MB/s");
}

#[test]
fn a_slow_application_holds_the_writer_back() {
    let (world, origin, client) = warmed_up();
    let before = memory(&world);
    // It reads nothing: what has been taken from the writer stands in buffers.
    let mut connection = client.timeout(Duration::from_secs(3)).connect().unwrap();
    connection.send_head("POST", "/ignore", &[("Content-Length", "1073741824")]).unwrap();
    let mut sent = 0;
    while connection.send(pattern::piece(sent, 64 * 1024)).is_ok() {
        sent += pattern::piece(sent, 64 * 1024).len() as u64;
        assert!(sent < 200 * MEGABYTE, "{sent} bytes were taken for an application that reads none");
    }
    assert_grown_little(&world, before, "a writer held back");
    assert!(origin.requests() > 0);
}

#[test]
fn a_slow_writer_arrives_as_it_writes() {
    let (world, origin, client) = warmed_up();
    let before = memory(&world);
    let mut connection = client.connect().unwrap();
    let length = 5 * MEGABYTE;
    connection.send_head("POST", "/count", &[("Content-Length", &length.to_string())]).unwrap();
    let (begun, mut sent) = (Instant::now(), 0);
    while sent < length {
        let piece = pattern::piece(sent, 10_000.min(usize::try_from(length - sent).unwrap()));
        connection.send(piece).unwrap();
        sent += piece.len() as u64;
        pace(begun, sent);
    }
    let behind = length - origin.received();
    assert!(behind < 200_000, "{behind} bytes of a slow writer are held back");
    assert_eq!(connection.answer("POST").unwrap().text(), length.to_string());
    assert_grown_little(&world, before, "a writer at 1 MB/s");
}

/// Waits until `done` bytes at 1 MB/s are due.
fn pace(begun: Instant, done: u64) {
    let due = Duration::from_micros(done);
    if let Some(early) = due.checked_sub(begun.elapsed()) {
        std::thread::sleep(early);
    }
}

#[test]
fn sixty_four_stalled_streams_do_not_slow_the_next() {
    let (world, _origin, client) = warmed_up();
    let alone = fetch_time(&client);
    let mut stalled: Vec<Connection> = Vec::new();
    for index in 0..64 {
        let mut connection = client.connect().unwrap();
        // Half of them stall in the application, half because nobody reads what it sends.
        let path = if index % 2 == 0 { "/stall" } else { "/bytes/100000000" };
        connection.send_head("GET", path, &[]).unwrap();
        connection.head("GET").unwrap();
        stalled.push(connection);
    }
    std::thread::sleep(Duration::from_secs(1));
    let beside = fetch_time(&client);
    assert!(
        beside < alone * 3 + Duration::from_millis(200),
        "alone {alone:?}, beside 64 stalled {beside:?}\n{}",
        world.logs()
    );
}

/// Of each stalled download the relay holds a window of the tunnel, which grew to 500 kB while the client's socket filled, and
/// 256 KiB of output and what came on top.
#[test]
fn a_stalled_download_holds_little() {
    const STALLED: u64 = 64;
    const HELD_KIB_MAX: u64 = 1024;
    let (world, _origin, client) = warmed_up();
    let before = memory(&world);
    let mut stalled: Vec<Connection> = (0..STALLED).map(|_| client.connect().unwrap()).collect();
    for connection in &mut stalled {
        connection.send_head("GET", "/bytes/100000000", &[]).unwrap();
        connection.head("GET").unwrap();
    }
    std::thread::sleep(Duration::from_secs(1));
    let (relay, connector) = memory(&world);
    let most = STALLED * HELD_KIB_MAX + GROWTH_KIB_MAX;
    assert!(relay < before.0 + most, "relay {} → {relay} KiB", before.0);
    assert!(connector < before.1 + most, "connector {} → {connector} KiB", before.1);
}

/// The median of several fetches of 1 MB.
fn fetch_time(client: &Client) -> Duration {
    let mut times: Vec<_> = (0..9)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(client.get("/bytes/1000000").unwrap().body.len(), 1_000_000);
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
