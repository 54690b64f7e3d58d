use super::*;
use postern_model::config::Preauth;
use postern_model::ids::RequestId;
use postern_model::trace::{TracedRequest, TracedTimes, TracedVerdict};

fn app(name: &str, id: &str) -> App {
    App {
        id: id.parse().unwrap(),
        name: name.parse().unwrap(),
        group: "g1-1".parse().unwrap(),
        external_url: format!("https://{name}.test/"),
        internal_url: "http://backend/".into(),
        preauth: Preauth::Passthrough,
        certificate: "k1-1".parse().unwrap(),
        settings: BTreeMap::new(),
    }
}

fn wanted(for_ms: u64) -> BeginTrace {
    BeginTrace { user: None, for_ms, bodies: false }
}

fn trace(name: &str, id: &str) -> Trace {
    Trace::new(&app(name, id), None, &wanted(60_000), "uid 7".into())
}

fn entries(count: usize) -> Vec<TraceEntry> {
    let entry = TraceEntry {
        request_id: RequestId(7),
        started_unix_ms: 0,
        request: TracedRequest::default(),
        response: None,
        verdict: TracedVerdict::default(),
        us: TracedTimes::default(),
    };
    vec![entry; count]
}

fn taken(counted: &mut Counted, relay: &str, taken: TraceTaken) -> TraceCollected {
    let mut collected = TraceCollected::default();
    counted.take(vec![(relay.into(), Answer::Trace { taken })], &mut collected);
    collected
}

#[test]
fn the_time_is_bounded_and_where_passwords_are_entered_is_not_traced() {
    let of = |name: &str, for_ms| check(&app(name, "a1-1"), &wanted(for_ms)).map_err(|problem| problem.detail);
    assert!(of("wiki", TRACE_TIME_MS_MIN).is_ok() && of("wiki", TRACE_TIME_MS_MAX).is_ok());
    for for_ms in [0, TRACE_TIME_MS_MIN - 1, TRACE_TIME_MS_MAX + 1, u64::MAX] {
        assert_eq!(of("wiki", for_ms).unwrap_err(), "a trace goes on for 1s to 30m");
    }
    assert!(of("postern-identity", 5_000).unwrap_err().contains("passwords"));
}

#[test]
fn an_application_is_traced_once_and_by_whoever_began() {
    let mut traces = Traces::default();
    traces.0.insert("x".into(), trace("wiki", "a1-1"));
    let again = traces.check_room(&trace("wiki", "a1-1")).unwrap_err();
    assert!(again.code == "limit-reached" && again.detail.contains("by uid 7"), "{again:?}");
    assert!(traces.check_room(&trace("crm", "a1-2")).is_ok());
    assert!(traces.find("x", TenantId::DEFAULT, "uid 7").is_ok());
    for (id, tenant, by) in [("y", 1, "uid 7"), ("x", 2, "uid 7"), ("x", 1, "uid 8")] {
        assert_eq!(traces.find(id, TenantId(tenant), by).err().map(|problem| problem.code), Some("not-found".into()));
    }
    for nth in 2..=TRACES_MAX {
        traces.0.insert(nth.to_string(), trace("other", &format!("a1-{nth}")));
    }
    assert_eq!(traces.check_room(&trace("crm", "a1-100")).unwrap_err().code, "limit-reached");
}

#[tokio::test(start_paused = true)]
async fn it_ends_by_its_time_by_its_bounds_and_when_nobody_asks() {
    let mut one = trace("wiki", "a1-1");
    one.look(false, true, Instant::now());
    assert_eq!(one.over, None);
    let later = Instant::now() + Duration::from_secs(60);
    one.look(false, true, later);
    assert_eq!(one.over, Some("its time is over"));
    let of = |end, is_there| {
        let mut trace = trace("wiki", "a1-1");
        trace.look(end, is_there, Instant::now());
        trace.over
    };
    assert_eq!(
        (of(true, true), of(false, false)),
        (Some("it was ended"), Some("the application is published no more"))
    );
    let mut full = trace("wiki", "a1-1");
    let all = TraceTaken { entries: entries(TRACE_ENTRIES_MAX as usize + 1), ..TraceTaken::default() };
    let collected = taken(&mut full.counted, "edge", all);
    assert_eq!((collected.entries.len(), collected.dropped), (TRACE_ENTRIES_MAX as usize, 1));
    full.look(false, true, Instant::now());
    assert!(full.over.is_some_and(|why| why.contains("as many requests")));

    let mut traces = Traces::default();
    traces.0.insert("x".into(), trace("wiki", "a1-1"));
    let lease = Duration::from_millis(TRACE_LEASE_MS);
    assert_eq!(traces.left_alone(Instant::now() + lease).len(), 0);
    assert_eq!(traces.left_alone(Instant::now() + lease + Duration::from_millis(1)).len(), 1);
    assert!(traces.0.is_empty());
}

#[test]
fn what_is_missing_is_told_and_counted_across_restarts() {
    let mut counted = Counted::default();
    let begun = TraceTaken { begun: true, ..TraceTaken::default() };
    assert_eq!(taken(&mut counted, "edge", begun.clone()).warnings, Vec::<String>::new());
    let dropped = |dropped| TraceTaken { dropped, more: true, entries: entries(1), ..TraceTaken::default() };
    let collected = taken(&mut counted, "edge", dropped(3));
    assert_eq!((collected.dropped, collected.more, collected.entries.len()), (3, true, 1));
    assert_eq!(taken(&mut counted, "edge", dropped(4)).dropped, 4, "since it began there");
    let anew = taken(&mut counted, "edge", begun);
    assert!(anew.dropped == 4 && anew.warnings[0].contains("edge was started anew"), "{anew:?}");
    assert_eq!(taken(&mut counted, "edge", dropped(2)).dropped, 6);
    let refused = taken(&mut counted, "full", TraceTaken { refused: true, ..TraceTaken::default() });
    assert!(refused.warnings[0].contains("full runs as many"), "{refused:?}");
    let mut odd = TraceCollected::default();
    counted.take(vec![("odd".into(), Answer::Request { record: None })], &mut odd);
    assert!(odd.warnings[0].contains("odd answers with what is no trace"), "{odd:?}");
}

#[tokio::test]
async fn what_was_recorded_is_handed_over_though_its_end_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let control = crate::testing::control(folder.path());
    let tenant = crate::identity::default_tenant(&control.snapshot()).unwrap();
    let own = Trace::new(&app("wiki", "a1-1"), None, &wanted(60_000), Actor::Control.to_string());
    control.traces.borrow_mut().0.insert("x".into(), own);
    let full = "CREATE TRIGGER no_room BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END";
    rusqlite::Connection::open(folder.path().join("control.db")).unwrap().execute_batch(full).unwrap();
    let collected = collect(&control, &Actor::Control, &tenant, "x", CollectTrace { end: true }).await.unwrap();
    assert_eq!(collected.over.as_deref(), Some("it was ended"));
    assert!(collected.warnings.iter().any(|warning| warning.contains("audit log")), "{collected:?}");
    assert!(control.traces.borrow().0.is_empty());
}
