//! The supervisor keeps the listeners: a crash of the process that serves them is a short pause, never a refusal.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use postern_tests::origin::Origin;
use postern_tests::process::{exists, signal_pid};
use postern_tests::within;
use postern_tests::world::{Options, START_TIMEOUT, World};

#[test]
fn a_killed_dataplane_is_replaced_within_200_ms_and_no_connection_refused() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap().timeout(Duration::from_secs(5));
    let (stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let knocking = {
        let (stop, refused, address) = (Arc::clone(&stop), Arc::clone(&refused), world.relay_address);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        })
    };
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let old = world.dataplane().unwrap();
        let killed = Instant::now();
        signal_pid(old, Signal::SIGKILL);
        assert!(within(Duration::from_secs(2), || !exists(old)));
        // A handshake completes: somebody accepts and serves.
        assert!(within(Duration::from_secs(5), || client.connect().is_ok()), "{}", world.logs());
        pauses.push(killed.elapsed());
        let serves = |_: &World| client.get("/bytes/3").is_ok_and(|answer| answer.status == 200);
        world.expect_within(START_TIMEOUT, "serves again", serves).unwrap();
        assert_ne!(world.dataplane(), Some(old));
    }
    stop.store(true, Ordering::Relaxed);
    knocking.join().unwrap();
    eprintln!("pauses: {pauses:?}");
    assert_eq!(refused.load(Ordering::Relaxed), 0);
    pauses.sort();
    assert!(pauses[1] < Duration::from_millis(200), "{pauses:?}");
}

#[test]
fn stopping_the_relay_ends_its_dataplane() {
    let mut world = World::start(Options { connectors: 0, ..Options::default() }).unwrap();
    let dataplane = world.dataplane().unwrap();
    let status = world.relay().terminate(Duration::from_secs(10)).expect("it ends within its grace period");
    assert!(status.success(), "{status}");
    assert!(within(Duration::from_secs(2), || !exists(dataplane)));
}

#[test]
fn a_killed_supervisor_takes_its_dataplane_along() {
    let mut world = World::usual().unwrap();
    let dataplane = world.dataplane().unwrap();
    world.relay().kill();
    assert!(within(Duration::from_secs(5), || !exists(dataplane)), "the dataplane outlives its supervisor");
    world.start_relay().unwrap();
    world.expect_within(START_TIMEOUT, "the connector comes back", |world| world.connectors_online() == 1).unwrap();
}
