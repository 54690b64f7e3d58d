//! What the relay asks of the kernel under load: ring operations, and few of them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use postern_tests::load::Load;
use postern_tests::origin::Origin;
use postern_tests::world::{START_TIMEOUT, World};
use postern_tests::{pass_over, programs};

/// Of the requests; what timers, logs and the side thread need.
const OTHER_CALLS_PER_REQUEST_MAX: f64 = 0.05;

#[test]
fn under_load_there_is_less_than_one_system_call_per_request() {
    if !nix::unistd::geteuid().is_root() {
        pass_over("strace needs to be root to trace a process that is no child");
        return;
    }
    if programs::denies_io_uring() {
        eprintln!("nothing to see here where io_uring is refused");
        return;
    }
    let world = World::usual().unwrap();
    let status = world.json(&["relay", "list"]).unwrap().to_string();
    if !status.contains("\"io_backend\":\"uring\"") {
        pass_over(&format!("io_uring is not available here: {status}"));
        return;
    }
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let load = Load::start(&client, 64, "/bytes/100", 100);
    world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > 500).unwrap();

    let (before, calls) = (load.right(), trace(world.dataplane().unwrap(), Duration::from_secs(5)));
    let requests = load.right() - before;
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome:?}");
    eprintln!("{requests} requests: {calls:?}");
    assert!(requests > 500, "too slow under strace to mean anything: {requests}");
    let enters = calls.get("io_uring_enter").copied().unwrap_or(0);
    assert!(enters > 0 && enters < requests, "{enters} io_uring_enter for {requests} requests");
    let others: u64 = calls.iter().filter(|(name, _)| name.as_str() != "io_uring_enter").map(|(_, count)| count).sum();
    let share = others as f64 / requests as f64;
    assert!(share < OTHER_CALLS_PER_REQUEST_MAX, "{share:.3} other calls per request: {calls:?}");
}

/// Calls by name, of all threads of a process.
fn trace(pid: u32, time: Duration) -> BTreeMap<String, u64> {
    let seconds = time.as_secs().to_string();
    let output = Command::new("timeout")
        .args(["--signal=INT", &seconds, "strace", "-f", "-c", "-U", "calls,name", "-p", &pid.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut calls = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some(Ok(count)), Some(name)) = (words.next().map(str::parse), words.next())
            && name != "total"
        {
            calls.insert(name.to_owned(), count);
        }
    }
    assert!(!calls.is_empty(), "strace said: {text}");
    calls
}
