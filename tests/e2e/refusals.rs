//! What a client gets when there is no answer: a status that says whose fault it is, a stable code, a request id.

use std::time::{Duration, Instant};

use postern_tests::client::Answer;
use postern_tests::origin::Origin;
use postern_tests::world::{START_TIMEOUT, World, free_address};

fn assert_refusal(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let json: serde_json::Value =
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no problem+json: {}", answer.text()));
    assert_eq!(answer.header("content-type").unwrap().split(';').next(), Some("application/problem+json"));
    assert_eq!(json["code"], code, "{json}");
    let id = json["request_id"].as_str().unwrap_or_default();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{json}");
}

const JSON: &[(&str, &str)] = &[("Accept", "application/json")];

#[test]
fn unknown_hosts_and_paths() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let sni = client.host.split(':').next().unwrap().to_owned();
    let unknown = client.for_host("nobody.example.test");
    let answer = unknown.connect_as(&sni).unwrap().request("GET", "/", JSON, b"").unwrap();
    assert_refusal(&answer, 421, "host-unknown");

    let external = format!("https://part.example.test:{}/inside/", world.relay_address.port());
    world
        .cli(&[
            "app",
            "publish",
            "part",
            "--external",
            &external,
            "--internal",
            &origin.url(),
            "--preauth",
            "passthrough",
        ])
        .unwrap();
    let part = client.for_host(&format!("part.example.test:{}", world.relay_address.port()));
    // Every worker, and there are several: until it knows the application it does not know the host either.
    let known = |_: &World| {
        (0..16).all(|_| {
            let answer = part.connect().and_then(|mut connection| connection.request("GET", "/inside/", JSON, b""));
            answer.is_ok_and(|answer| answer.status != 421)
        })
    };
    world.expect_within(START_TIMEOUT, "every worker to know the application", known).unwrap();
    let outside = part.connect().unwrap().request("GET", "/outside", JSON, b"").unwrap();
    assert_refusal(&outside, 404, "path-unpublished");
    let beside = part.connect().unwrap().request("GET", "/insider", JSON, b"").unwrap();
    assert_refusal(&beside, 404, "path-unpublished");
}

#[test]
fn no_connector() {
    let mut world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    world.connectors.clear();
    let refused = |_: &World| client.get("/").is_ok_and(|answer| answer.status == 503);
    world.expect_within(Duration::from_secs(5), "503", refused).unwrap();
    let answer = client.connect().unwrap().request("GET", "/", JSON, b"").unwrap();
    assert_refusal(&answer, 503, "connector-unavailable");
    assert!(answer.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()));
    let page = client.connect().unwrap().request("GET", "/", &[("Accept", "text/html")], b"").unwrap();
    assert!(page.header("content-type").unwrap().starts_with("text/html"), "{page:?}");
    assert!(page.text().contains("connector-unavailable"), "{}", page.text());
}

#[test]
fn applications_that_refuse_break_and_keep_silent() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let nobody = free_address(std::net::Ipv4Addr::LOCALHOST).unwrap();
    let refusing = world.publish("refusing", &format!("http://{nobody}/")).unwrap();
    let answer = refusing.connect().unwrap().request("GET", "/", JSON, b"").unwrap();
    assert_refusal(&answer, 502, "backend-refused");

    let broken = world.publish_with("broken", &origin.url(), &["--set", "backend_timeout_ms=1000"]).unwrap();
    for path in ["/garbage", "/vanish"] {
        let answer = broken.connect().unwrap().request("POST", path, JSON, b"x").unwrap();
        assert_refusal(&answer, 502, "backend-broken");
    }
    let begun = Instant::now();
    let answer = broken.connect().unwrap().request("GET", "/silent", JSON, b"").unwrap();
    assert_refusal(&answer, 504, "backend-timeout");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());

    // Cut in the middle of an answer: visibly, never presented as complete.
    let error = broken.get("/short").unwrap_err();
    assert!(error.to_string().contains("cut"), "{error:#}");
}

#[test]
fn codes_are_explained() {
    let world = World::bare(postern_tests::world::Options::default()).unwrap();
    let said = world.cli(&["explain", "connector-unavailable"]).unwrap();
    assert!(said.contains("503") && said.contains("onnector"), "{said}");
    assert!(!world.cli_output(&["explain", "no-such-code"]).unwrap().status.success());
}
