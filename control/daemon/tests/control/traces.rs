//! Requests that relays record while an operator looks: what control asks for, who gets it, and what the audit log says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_model::ids::RequestId;
use postern_model::question::{Answer, Question};
use postern_model::trace::{
    TraceAsked, TraceBegun, TraceCollected, TraceEntry, TraceTaken, TracedRequest, TracedTimes, TracedVerdict,
};
use serde_json::{Value, json};

use crate::questions::relay;
use crate::world::World;

const WIKI: &str = "/v1/tenants/default/apps/wiki/trace";

fn entry(nth: u128) -> TraceEntry {
    TraceEntry {
        request_id: RequestId(nth),
        started_unix_ms: 0,
        request: TracedRequest::default(),
        response: None,
        verdict: TracedVerdict::default(),
        us: TracedTimes::default(),
    }
}

/// A relay that has recorded one request whenever it is asked; what it was asked.
fn recording(world: &World, name: &str) -> Arc<Mutex<Vec<TraceAsked>>> {
    let seen: Arc<Mutex<Vec<TraceAsked>>> = Arc::default();
    let asked = Arc::clone(&seen);
    relay(world, name, move |question| {
        let Question::Trace { asked: wanted, .. } = question else { panic!("{question:?}") };
        let mut asked = asked.lock().unwrap();
        asked.push(wanted);
        let nth = asked.len();
        let entries = if nth > 1 { vec![entry(nth as u128)] } else { Vec::new() };
        Some(Answer::Trace { taken: TraceTaken { entries, begun: nth == 1, ..TraceTaken::default() } })
    });
    seen
}

fn audited(world: &World, action: &str) -> Vec<Value> {
    let log: Value = world.done("GET", &format!("/v1/audit?action={action}"), &Value::Null);
    log["items"].as_array().unwrap().clone()
}

#[test]
fn whoever_begins_a_trace_gets_what_relays_record_until_it_ends() {
    let world = World::start();
    world.publish("wiki", "https://wiki.localhost");
    let seen = recording(&world, "edge");
    let begun: TraceBegun = world.done("POST", WIKI, &json!({"for_ms": 60_000, "bodies": true}));
    assert_eq!((begun.relays, begun.warnings), (vec!["edge".into()], Vec::<String>::new()));
    let again = world.refused("POST", WIKI, &json!({"for_ms": 60_000}));
    assert!(again.0 == "limit-reached" && again.1.contains("wiki is traced already"), "{again:?}");
    let [record] = &audited(&world, "app.trace-begin")[..] else { panic!("one record: the refused one is none") };
    assert_eq!(record["target"], "app wiki");
    assert_eq!(record["after"], "for_s=60 bodies=yes");

    let path = format!("/v1/tenants/default/traces/{}", begun.trace);
    let some: TraceCollected = world.done("POST", &path, &json!({}));
    assert_eq!((some.entries.len(), some.over.as_deref()), (1, None));
    assert_eq!(audited(&world, "app.trace-end").len(), 0);
    let last: TraceCollected = world.done("POST", &path, &json!({"end": true}));
    assert_eq!((last.entries.len(), last.over.as_deref()), (1, Some("it was ended")));
    assert_eq!(world.refused("POST", &path, &json!({})).0, "not-found");
    let [record] = &audited(&world, "app.trace-end")[..] else { panic!("one record") };
    let after = record["after"].as_str().unwrap();
    assert!(after.starts_with("entries=2 dropped=0 lasted_s=") && after.ends_with(": it was ended"), "{after}");

    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|asked| asked.trace == begun.trace && asked.bodies && asked.user.is_none()), "{seen:?}");
    assert!(seen[1].left_ms > 50_000 && seen[2].left_ms == 0, "{seen:?}");
}

#[test]
fn what_cannot_be_traced_is_refused_and_not_recorded() {
    let world = World::start();
    world.publish("wiki", "https://wiki.localhost");
    for (body, code) in [
        (json!({"for_ms": 0}), "request-invalid"),
        (json!({"for_ms": 1_800_001}), "request-invalid"),
        (json!({"for_ms": 5_000, "user": "nobody"}), "not-found"),
        (json!({"for_ms": 5_000, "body": true}), "request-invalid"),
    ] {
        assert_eq!(world.refused("POST", WIKI, &body).0, code, "{body}");
    }
    assert_eq!(world.refused("POST", "/v1/tenants/default/apps/wikki/trace", &json!({"for_ms": 5_000})).0, "not-found");
    assert_eq!(world.refused("POST", "/v1/tenants/default/traces/x", &Value::Null).0, "not-found");
    assert_eq!(audited(&world, "app.trace-begin").len(), 0);
    let alone: TraceBegun = world.done("POST", WIKI, &json!({"for_ms": 5_000}));
    assert!(
        alone.relays.is_empty() && alone.warnings.iter().any(|line| line.contains("no relay records")),
        "{alone:?}"
    );
}

#[test]
fn one_that_nobody_asks_for_ends_and_is_recorded_as_ended() {
    let world = World::start();
    world.publish("wiki", "https://wiki.localhost");
    let begun: TraceBegun = world.done("POST", WIKI, &json!({"for_ms": 600_000}));
    let deadline = std::time::Instant::now() + Duration::from_secs(40);
    while audited(&world, "app.trace-end").is_empty() {
        assert!(std::time::Instant::now() < deadline, "{}", world.log_text());
        std::thread::sleep(Duration::from_millis(200));
    }
    let record = &audited(&world, "app.trace-end")[0];
    assert!(record["actor"] == "control" && record["after"].to_string().contains("nobody asked"), "{record}");
    assert_eq!(
        world.refused("POST", &format!("/v1/tenants/default/traces/{}", begun.trace), &json!({})).0,
        "not-found"
    );
    let _: TraceBegun = world.done("POST", WIKI, &json!({"for_ms": 5_000}));
}
