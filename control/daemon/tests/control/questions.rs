//! Figures that only relays have: asked of all of them, added up, and told who is missing.

use std::thread;
use std::time::{Duration, Instant};

use postern_model::histogram;
use postern_model::link::{ToControl, ToRelay};
use postern_model::question::{Answer, HistogramReport, HistogramsView, Question, RequestView, Stage};
use rcgen::KeyPair;
use serde_json::Value;

use crate::peer::Relay;
use crate::world::World;

/// Links a relay that answers each question by `answer`, until control closes the link.
pub(crate) fn relay(
    world: &World,
    name: &str,
    answer: impl Fn(Question) -> Option<Answer> + Send + 'static,
) -> thread::JoinHandle<()> {
    let mut relay = Relay::connect(&world.socket());
    relay.hello(name, &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    thread::spawn(move || {
        while let Some(message) = relay.next() {
            if let ToRelay::Ask { id, question } = message
                && let Some(answer) = answer(question)
            {
                relay.send(&ToControl::Answer { id, answer });
            }
        }
    })
}

fn samples(us: &[u64]) -> Vec<HistogramReport> {
    let mut sum = histogram::empty();
    us.iter().for_each(|us| sum.record(*us).unwrap());
    vec![HistogramReport::new(None, Stage::Total, &sum, us.iter().sum())]
}

#[test]
fn histograms_of_all_relays_are_added_up() {
    let world = World::start();
    world.publish("wiki", "https://wiki.localhost");
    for (name, us) in [("one", [100, 200]), ("two", [300, 4_000_000])] {
        relay(&world, name, move |question| {
            assert!(matches!(question, Question::Histograms { app: Some(_), .. }), "{question:?}");
            Some(Answer::Histograms { items: samples(&us) })
        });
    }
    let view: HistogramsView = world.done("GET", "/v1/tenants/default/histograms?app=wiki", &Value::Null);
    assert_eq!((view.relays, view.warnings), (vec!["one".into(), "two".into()], Vec::<String>::new()));
    assert_eq!((view.items.len(), view.items[0].count, view.items[0].sum_us), (1, 4, 4_000_600));
    let sum = view.items[0].histogram().unwrap();
    assert_eq!((sum.value_at_quantile(0.25), sum.value_at_quantile(0.5)), (100, 200));
    assert!(sum.max().abs_diff(4_000_000) < 40_000);
    assert_eq!(world.refused("GET", "/v1/tenants/default/histograms?app=wikki", &Value::Null).0, "not-found");
    assert_eq!(world.refused("GET", "/v1/tenants/default/histograms?ap=wiki", &Value::Null).0, "request-invalid");
}

#[test]
fn relays_that_do_not_answer_are_named_and_waited_for_two_seconds_at_most() {
    let world = World::start();
    relay(&world, "good", |_| Some(Answer::Histograms { items: samples(&[7]) }));
    relay(&world, "mute", |_| None);
    relay(&world, "old", |_| Some(Answer::Unknown));
    let damaged = HistogramReport { v2: "AAAA".into(), ..samples(&[7]).remove(0) };
    relay(&world, "liar", move |_| Some(Answer::Histograms { items: vec![damaged.clone()] }));
    let asked = Instant::now();
    let view: HistogramsView = world.done("GET", "/v1/tenants/default/histograms", &Value::Null);
    assert!(asked.elapsed() < Duration::from_millis(2_900), "{:?}", asked.elapsed());
    assert_eq!((view.relays, view.items[0].count), (vec!["good".into()], 1));
    for name in ["mute", "old", "liar"] {
        assert!(view.warnings.iter().any(|warning| warning.contains(name)), "{name} is not named: {:?}", view.warnings);
    }
}

#[test]
fn a_request_is_found_at_the_relay_that_served_it() {
    let world = World::start();
    let id = "00000000000000000000000000abcdef";
    let record = format!(
        r#"{{"time":"2026-01-01T00:00:00.000Z","request_id":"{id}","client":"192.0.2.1:9","method":"GET","host":"h","path":"/","protocol":"HTTP/1.1","bytes_in":0,"bytes_out":0}}"#
    );
    relay(&world, "other", |_| Some(Answer::Request { record: None }));
    relay(&world, "right", move |question| {
        let Question::Request { id, .. } = question else { panic!("{question:?}") };
        let record = (id.0 == 0x00ab_cdef).then(|| serde_json::from_str(&record).unwrap());
        Some(Answer::Request { record })
    });
    let view: RequestView = world.done("GET", &format!("/v1/tenants/default/requests/{id}"), &Value::Null);
    assert_eq!((view.relay.as_str(), view.record.client.as_str()), ("right", "192.0.2.1:9"));
    let unknown = world.refused("GET", &format!("/v1/tenants/default/requests/{}", "1".repeat(32)), &Value::Null);
    assert_eq!(unknown.0, "not-found");
    assert_eq!(world.refused("GET", "/v1/tenants/default/requests/xyz", &Value::Null).0, "request-invalid");
}
