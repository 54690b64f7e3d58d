use super::*;
use postern_model::ids::RequestId;
use postern_model::trace::{TracedBody, TracedRequest, TracedTimes, TracedVerdict};

const APP: AppId = AppId::new(TenantId::DEFAULT, 1);
const ANNA: UserId = UserId::new(TenantId::DEFAULT, 1);
const BERT: UserId = UserId::new(TenantId::DEFAULT, 2);

fn question(trace: &str, left_ms: u64) -> TraceAsked {
    let bytes_max = TRACE_ANSWER_BYTES_MAX;
    TraceAsked { trace: trace.into(), app: APP, user: None, left_ms, bodies: true, bytes_max }
}

fn asked(traces: &Traces, question: &TraceAsked) -> TraceTaken {
    traces.asked(TenantId::DEFAULT, question)
}

fn entry(nth: u128, body: usize) -> TraceEntry {
    let body = Some(TracedBody::new(&vec![0; body], false));
    TraceEntry {
        request_id: RequestId(nth),
        started_unix_ms: 0,
        request: TracedRequest { body, ..TracedRequest::default() },
        response: None,
        verdict: TracedVerdict::default(),
        us: TracedTimes::default(),
    }
}

fn ids(taken: &TraceTaken) -> Vec<u128> {
    taken.entries.iter().map(|entry| entry.request_id.0).collect()
}

#[test]
fn what_was_recorded_is_handed_over_once_and_none_after_the_end() {
    let traces = Traces::default();
    assert!(!traces.is_on() && traces.of(APP, None).is_none());
    let begun = asked(&traces, &question("a", 60_000));
    assert!(begun.begun && !begun.refused && traces.is_on());
    let running = traces.of(APP, Some(ANNA)).unwrap();
    (1..=2).for_each(|nth| running.hand_over(entry(nth, 0), running.room()));
    let taken = asked(&traces, &question("a", 60_000));
    assert!((ids(&taken), taken.more, taken.begun) == (vec![1, 2], false, false), "{taken:?}");
    running.hand_over(entry(3, 0), running.room());
    let last = asked(&traces, &question("a", 0));
    assert_eq!((ids(&last), traces.is_on()), (vec![3], false));
    running.hand_over(entry(4, 0), running.room());
    assert_eq!(asked(&traces, &question("a", 0)), TraceTaken::default());
}

#[test]
fn other_applications_users_and_tenants_are_not_recorded() {
    let traces = Traces::default();
    asked(&traces, &TraceAsked { user: Some(ANNA), ..question("a", 60_000) });
    assert!(traces.of(APP, Some(ANNA)).is_some());
    assert!(traces.of(APP, Some(BERT)).is_none() && traces.of(APP, None).is_none());
    assert!(traces.of(AppId::new(TenantId::DEFAULT, 2), Some(ANNA)).is_none());
    assert!(traces.asked(TenantId(9), &question("b", 60_000)).refused, "another tenant's application");
    let write = traces.running.write().unwrap();
    assert!(traces.of(APP, Some(ANNA)).is_none(), "nobody waits");
    drop(write);
    let more = asked(&traces, &TraceAsked { user: Some(ANNA), ..question("a", 60_000) });
    assert_eq!(more.dropped, 1, "and what may be missing for that is told");
    assert!(traces.asked(TenantId(9), &question("a", 60_000)).refused, "and what was recorded of it");
}

#[test]
fn it_ends_by_itself_at_its_deadline_and_when_nobody_asks() {
    let traces = Traces::default();
    asked(&traces, &question("a", 1));
    std::thread::sleep(Duration::from_millis(5));
    assert!(traces.of(APP, None).is_none(), "its time is over, whoever swept");
    asked(&traces, &question("a", TRACE_TIME_MS_MAX));
    let running = traces.of(APP, None).unwrap();
    running.hand_over(entry(1, 0), running.room());
    let lease_ns = Duration::from_millis(TRACE_LEASE_MS).as_nanos() as u64;
    assert!(running.until_ns.load(Ordering::Relaxed) <= monotonic_ns() + lease_ns, "not without being asked again");
    traces.sweep_at(monotonic_ns() + lease_ns - 1_000_000_000);
    assert!(traces.is_on());
    traces.sweep_at(monotonic_ns() + lease_ns);
    assert!(!traces.is_on() && traces.of(APP, None).is_none());
    assert!(asked(&traces, &question("a", 1_000)).begun, "as after a restart");
}

#[test]
fn one_that_ended_does_not_hide_the_next() {
    let traces = Traces::default();
    asked(&traces, &question("a", 1));
    std::thread::sleep(Duration::from_millis(5));
    asked(&traces, &question("b", 60_000));
    let running = traces.of(APP, None).unwrap();
    running.hand_over(entry(1, 0), running.room());
    assert_eq!(ids(&asked(&traces, &question("b", 60_000))), vec![1]);
}

#[test]
fn heads_in_progress_take_room_too() {
    let traces = Traces::default();
    asked(&traces, &question("a", 60_000));
    let running = traces.of(APP, None).unwrap();
    let size = usize::try_from(entry(1, 0).size()).unwrap();
    let mut heads: Vec<Room> = (0..).map_while(|nth| running.room_for(&entry(nth, 0))).collect();
    assert_eq!(heads.len(), TRACE_HELD_BYTES_MAX / size);
    assert_eq!(asked(&traces, &question("a", 60_000)).dropped, 1, "the one that found none");
    running.hand_over(entry(1, 0), heads.pop().unwrap());
    let taken = asked(&traces, &question("a", 60_000));
    assert_eq!((ids(&taken), taken.dropped), (vec![1], 1), "what it took is enough for it");
}

#[test]
fn memory_is_bounded_and_what_finds_no_room_is_counted() {
    let traces = Traces::default();
    asked(&traces, &question("a", 60_000));
    let running = traces.of(APP, None).unwrap();
    let mut in_progress = running.room();
    assert!(in_progress.take(TRACE_HELD_BYTES_MAX) && !in_progress.take(1) && !running.room().take(1));
    running.hand_over(entry(1, 0), running.room());
    drop(in_progress);
    let large = 64 << 10;
    let count = 2 * TRACE_HELD_BYTES_MAX / large;
    (0..count).for_each(|nth| running.hand_over(entry(nth as u128, large), running.room()));
    assert!(running.held.load(Ordering::Relaxed) <= TRACE_HELD_BYTES_MAX);
    let mut handed_over = 0;
    let taken = loop {
        let taken = asked(&traces, &question("a", 60_000));
        let bytes: u64 = taken.entries.iter().map(TraceEntry::size).sum();
        assert!(bytes <= TRACE_ANSWER_BYTES_MAX + entry(0, large).size());
        handed_over += taken.entries.len();
        if !taken.more {
            break taken;
        }
    };
    assert_eq!(handed_over as u64 + taken.dropped, 1 + count as u64);
    assert_eq!(running.held.load(Ordering::Relaxed), 0, "what was handed over takes no room");
    (0..=TRACE_QUEUE_MAX).for_each(|nth| running.hand_over(entry(nth as u128, 0), running.room()));
    assert_eq!(asked(&traces, &question("a", 60_000)).dropped, taken.dropped + 1, "the queue is bounded, too");
}

#[test]
fn as_many_as_may_run_and_no_more() {
    let traces = Traces::default();
    let of = |nth: usize| TraceAsked {
        app: AppId::new(TenantId::DEFAULT, u32::try_from(nth).unwrap()),
        ..question(&nth.to_string(), 60_000)
    };
    assert!((1..=TRACES_MAX).all(|nth| !asked(&traces, &of(nth)).refused));
    assert!(asked(&traces, &of(TRACES_MAX + 1)).refused);
    asked(&traces, &TraceAsked { left_ms: 0, ..of(1) });
    assert!(!asked(&traces, &of(TRACES_MAX + 1)).refused);
}
