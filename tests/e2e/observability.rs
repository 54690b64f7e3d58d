//! What operators see: a line and a sample for every request, percentiles that agree with clients, metrics that exist.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use postern_tests::origin::Origin;
use postern_tests::within;
use postern_tests::world::{Options, World, free_address};
use serde_json::Value;

/// All lines of the relay's access log so far.
fn lines(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(world.path("relay/access.log")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// The line of the only request for this path.
fn line(world: &World, path: &str) -> Value {
    let find = || lines(world).into_iter().filter(|line| line["path"] == path).collect::<Vec<_>>();
    assert!(within(Duration::from_secs(10), || find().len() == 1), "{path}: {:?}", find());
    find().remove(0)
}

/// Of a stage of an application, as the CLI says.
fn stage(world: &World, app: &str, stage: &str) -> Value {
    let document = world.json(&["histogram", app]).unwrap();
    let stages = document["stages"].as_array().unwrap();
    stages.iter().find(|measured| measured["stage"] == stage).cloned().unwrap_or(Value::Null)
}

fn count(world: &World, app: &str, name: &str) -> u64 {
    stage(world, app, name)["count"].as_u64().unwrap_or(0)
}

#[test]
fn every_request_leaves_a_line_and_a_sample_whatever_became_of_it() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let before = count(&world, "app/app", "total");

    let mut connection = client.connect().unwrap();
    assert_eq!(connection.get("/bytes/5000?secret=1").unwrap().status, 200);
    assert_eq!(connection.get("/wait/60").unwrap().status, 200);
    let mut gone = client.connect().unwrap();
    gone.send_head("GET", "/silent", &[]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    drop(gone);
    assert_eq!(client.get("/vanish").unwrap().status, 502);
    let mut curl = Command::new("curl");
    curl.args(world.curl("app.example.test")).args(["--http2", "-sf", "--data", "hello"]);
    let url = format!("https://app.example.test:{}/echo", world.relay_address.port());
    assert_eq!(curl.arg(url).output().unwrap().stdout, b"hello");

    let whole = line(&world, "/bytes/5000");
    assert_eq!((&whole["status"], &whole["bytes_out"], &whole["bytes_in"]), (&200.into(), &5000.into(), &0.into()));
    assert_eq!((&whole["app_name"], &whole["tenant"], &whole["method"]), (&"app".into(), &"t1".into(), &"GET".into()));
    assert_eq!(
        (&whole["protocol"], &whole["tls"], &whole["connector"]),
        (&"HTTP/1.1".into(), &"TLSv1.3".into(), &"c1-1".into())
    );
    assert!(whole.get("code").is_none() && !whole.to_string().contains("secret"), "{whole}");
    assert!(whole["us"]["tls"].as_u64().unwrap() > 0, "the connection's first request: {whole}");

    let slow = line(&world, "/wait/60");
    let us = |name: &str| slow["us"][name].as_u64().unwrap_or_else(|| panic!("{name}: {slow}"));
    assert!(slow["us"].get("tls").is_none(), "{slow}");
    assert!(us("backend") >= 60_000 && us("total") >= us("first_byte") && us("first_byte") >= us("backend"), "{slow}");
    assert!(us("queue") + us("policy") + us("tunnel") + us("backend") <= us("total") + 4, "parts of the whole: {slow}");

    let left = line(&world, "/silent");
    assert_eq!((&left["code"], &left["culprit"]), (&"request-cancelled".into(), &"client".into()));
    assert!(left.get("status").is_none() && left["us"].get("first_byte").is_none(), "{left}");
    let failed = line(&world, "/vanish");
    assert_eq!(
        (&failed["code"], &failed["culprit"], &failed["status"]),
        (&"backend-broken".into(), &"backend".into(), &502.into())
    );
    let second = line(&world, "/echo");
    assert_eq!(
        (&second["protocol"], &second["method"], &second["bytes_in"]),
        (&"HTTP/2".into(), &"POST".into(), &5.into())
    );
    assert_eq!(count(&world, "app/app", "total") - before, 5);

    let id = failed["request_id"].as_str().unwrap();
    let explained = world.cli(&["explain", id]).unwrap();
    for part in ["backend-broken", "GET https://app.example.test", "/vanish", "Cure:"] {
        assert!(explained.contains(part), "{part} is missing: {explained}");
    }
    let unknown = world.cli(&["explain", &"0".repeat(32)]).unwrap_err().to_string();
    assert!(unknown.contains("that a relay remembers"), "{unknown}");
    world.cli(&["tenant", "create", "other"]).unwrap();
    assert!(world.cli(&["explain", id, "--tenant", "other"]).is_err(), "another tenant's request");
}

#[test]
fn percentiles_agree_with_the_clients_own() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let app = "app/app";
    assert_eq!(client.get("/").unwrap().status, 200);
    let before = world.json(&["histogram", app]).unwrap();
    assert!(before["stages"].as_array().is_some_and(|stages| stages.len() >= 5), "{before}");
    world.cli(&["app", "unpublish", "app"]).unwrap();
    // A new application counts from nothing.
    let client = world.publish("app2", &origin.url()).unwrap().timeout(Duration::from_secs(20));
    let probes = count(&world, "app/app2", "total");
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let client = client.clone();
            std::thread::spawn(move || {
                let mut connection = client.connect().unwrap();
                (0..REQUESTS).map(|nth| timed(&mut connection, thread, nth)).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut own: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    own.sort_unstable();
    let told = stage(&world, "app/app2", "total");
    assert_eq!(told["count"].as_u64().unwrap() - probes, own.len() as u64);
    // The publication's probes are quick: percentiles of all are those of the slow ones, further down.
    let rank = |quantile: f64| {
        let of_all = quantile * (own.len() as u64 + probes) as f64;
        own[(of_all.ceil() as usize).saturating_sub(1 + probes as usize).min(own.len() - 1)]
    };
    for (name, quantile) in [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99)] {
        let (told, own) = (told[name].as_u64().unwrap(), rank(quantile));
        let tolerance = own / 50 + 20;
        assert!(told.abs_diff(own) <= tolerance, "{name}: {told} µs, the client's own {own} µs");
    }
    let file = world.path("app.hgrm");
    world.cli(&["histogram", "app/app2", "--export", file.to_str().unwrap()]).unwrap();
    assert!(std::fs::read_to_string(file).unwrap().contains("#[Max     ="));
}

const THREADS: u64 = 8;
const REQUESTS: u64 = 30;

/// What one request takes as its client sees it, µs: 80 to 400 ms, so that a busy machine's own delays are small against it.
fn timed(connection: &mut postern_tests::client::Connection, thread: u64, nth: u64) -> u64 {
    let wait = 80 + (thread * REQUESTS + nth) * 53 % 320;
    let begun = Instant::now();
    assert_eq!(connection.get(&format!("/wait/{wait}")).unwrap().status, 200);
    u64::try_from(begun.elapsed().as_micros()).unwrap()
}

#[test]
fn the_log_is_reopened_when_it_was_moved_away() {
    let mut world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    assert_eq!(client.get("/one").unwrap().status, 200);
    line(&world, "/one");
    std::fs::rename(world.path("relay/access.log"), world.path("relay/access.log.1")).unwrap();
    world.relay().signal(nix::sys::signal::Signal::SIGHUP);
    assert!(within(Duration::from_secs(10), || world.path("relay/access.log").exists()), "{}", world.logs());
    assert_eq!(client.get("/two").unwrap().status, 200);
    line(&world, "/two");
    assert!(!std::fs::read_to_string(world.path("relay/access.log.1")).unwrap().contains("/two"));
}

#[test]
fn dashboard_and_alerts_name_metrics_that_exist() {
    let admin: Vec<SocketAddr> = (0..3).map(|_| free_address(Ipv4Addr::LOCALHOST).unwrap()).collect();
    let listen = |nth: usize| vec!["--admin-listen".to_owned(), admin[nth].to_string()];
    let options = Options { control: listen(0), relay: listen(1), connector: listen(2), ..Options::default() };
    let world = World::start(options).unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    // Members of farms are counted where there are any.
    world.publish_with("farm", &origin.url(), &["--set", "backend_farm=http://127.0.0.1:1"]).unwrap();
    world.cli(&["throttle", "set", "app/app", "--rps", "1", "--burst", "1"]).unwrap();
    let refused = || client.get("/").is_ok_and(|answer| answer.status == 429);
    assert!(within(Duration::from_secs(10), refused), "{}", world.logs());
    let exported = || -> BTreeSet<String> { admin.iter().flat_map(|admin| families(*admin)).collect() };
    // Relay and control tell of each other within seconds.
    assert!(within(Duration::from_secs(15), || exported().contains("postern_control_relay_version")));
    let exported = exported();
    for (file, text) in [
        ("postern.json", include_str!("../../packaging/grafana/postern.json")),
        ("postern.rules.yml", include_str!("../../packaging/prometheus/postern.rules.yml")),
        ("observability.md", include_str!("../../docs/observability.md")),
    ] {
        let named = named(text);
        assert!(named.len() > 10, "{file} names {named:?}");
        let missing: Vec<_> = named.difference(&exported).collect();
        assert!(missing.is_empty(), "{file} names what nobody exports: {missing:?}");
    }
    let documented = named(include_str!("../../docs/observability.md"));
    let missing: Vec<_> = exported.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/observability.md does not name {missing:?}");
    let dashboard: Value = serde_json::from_str(include_str!("../../packaging/grafana/postern.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 30);
}

/// The names of all families with a sample.
fn families(admin: SocketAddr) -> BTreeSet<String> {
    let output = Command::new("curl").args(["-sf", &format!("http://{admin}/metrics")]).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    let typed = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: BTreeSet<String> = typed.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let has_sample = |name: &String| page.lines().any(|line| line.starts_with(name.as_str()));
    names.into_iter().filter(has_sample).collect()
}

/// Every metric that a text names; recorded ones have colons in their names.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let words = text.split(|letter| !is_part(letter)).filter(|word| !word.contains(':'));
    let metrics = words.filter(|word| word.starts_with("postern_") && !word.ends_with('_'));
    let families =
        metrics.map(|name| ["_bucket", "_sum", "_count"].iter().fold(name, |name, end| name.trim_end_matches(end)));
    families.map(str::to_owned).collect()
}
