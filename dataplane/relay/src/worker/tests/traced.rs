//! What is recorded of requests that an operator wants to see.

use postern_model::identity::IdentityApp;
use postern_model::ids::{AppId, UserId};
use postern_model::trace::{TRACE_BODY_BYTES_MAX, TraceAsked, TraceEntry, TraceTaken};

use super::websockets::{echoed, opened_with};
use super::*;

const APP: AppId = AppId::new(TenantId::DEFAULT, 1);

fn question(bodies: bool) -> TraceAsked {
    TraceAsked { trace: "a".into(), app: APP, user: None, left_ms: 60_000, bodies, bytes_max: u64::MAX }
}

fn asked(worker: &Worker, question: &TraceAsked) -> TraceTaken {
    worker.side.traces().asked(TenantId::DEFAULT, question)
}

/// What was recorded of one request: nothing else was.
fn only(worker: &Worker, question: &TraceAsked) -> TraceEntry {
    let mut taken = asked(worker, question);
    assert_eq!((taken.entries.len(), taken.dropped), (1, 0), "{taken:?}");
    taken.entries.remove(0)
}

fn body(entry: &TraceEntry) -> (String, String) {
    let text = |body: &Option<postern_model::trace::TracedBody>| {
        body.as_ref().map_or_else(String::new, |body| String::from_utf8(body.bytes()).unwrap())
    };
    (text(&entry.request.body), text(&entry.response.as_ref().unwrap().body))
}

/// Signs in by a form whose answer is the form.
async fn signed_in(client: &mut Client) {
    let content = "login=anna&password=s3cret";
    let fields = "content-type: application/x-www-form-urlencoded\r\ncookie: sid=s3cret\r\nauthorization: Bearer s3cret\r\nx-remote-user: s3cret\r\n";
    let length = content.len();
    let head =
        format!("POST /echo?token=s3cret&q=1 HTTP/1.1\r\nhost: {HOST}\r\n{fields}content-length: {length}\r\n\r\n");
    client.stream.queue(format!("{head}{content}").as_bytes());
    assert_eq!(client.response().await.unwrap().1, content.as_bytes(), "what is recorded is passed on as it was");
}

#[test]
fn a_request_is_recorded_as_it_came_but_for_its_secrets() {
    for bodies in [false, true] {
        in_the_simulator(90, async move {
            let worker = worker();
            serve_clients(&worker);
            connect(&worker, 1).await;
            let mut client = Client::new().await;
            signed_in(&mut client).await;
            assert!(asked(&worker, &question(bodies)).entries.is_empty(), "nobody wanted to see it");
            signed_in(&mut client).await;
            let entry = only(&worker, &question(bodies));
            assert!(!serde_json::to_string(&entry).unwrap().contains("s3cret"), "{entry:?}");
            assert_eq!(entry.request.url, format!("https://{HOST}/echo?token=[redacted]&q=1"));
            assert_eq!((&*entry.request.method, &*entry.request.protocol), ("POST", "HTTP/1.1"));
            for (name, value) in [
                ("host", HOST),
                ("cookie", "sid=[redacted]"),
                ("authorization", "Bearer [redacted]"),
                ("x-remote-user", "[redacted]"),
                ("content-length", "26"),
            ] {
                assert_eq!(entry.request.headers.get(name), Some(value));
            }
            let response = entry.response.as_ref().unwrap();
            assert_eq!((response.status, &*response.reason), (200, "OK"));
            assert_eq!((entry.request.bytes, response.bytes), (26, 26));
            let verdict = &entry.verdict;
            assert_eq!((verdict.connector, verdict.attempts), (Some(ConnectorId::new(TenantId::DEFAULT, 1)), 1));
            assert_eq!((&verdict.code, &verdict.subject), (&None, &None));
            // The answer says not what it is, and is read as a form, too.
            let form = "login=anna&password=[redacted]".to_owned();
            let expected = if bodies { (form.clone(), form) } else { Default::default() };
            assert_eq!(body(&entry), expected);
        });
    }
}

#[test]
fn content_is_recorded_up_to_its_bound_and_passed_on_whole() {
    in_the_simulator(91, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        asked(&worker, &question(true));
        let mut client = Client::new().await;
        client.get("/zeros/5000000");
        assert_eq!(client.response().await.unwrap().1.len(), 5_000_000);
        let entry = only(&worker, &question(true));
        let response = entry.response.unwrap();
        assert_eq!(response.bytes, 5_000_000);
        let body = response.body.unwrap();
        assert_eq!((body.bytes().len(), body.cut), (TRACE_BODY_BYTES_MAX, true));
    });
}

#[test]
fn what_the_relay_answers_itself_is_recorded_with_the_reason() {
    in_the_simulator(92, async {
        let worker = worker_asking([]);
        serve_clients(&worker);
        asked(&worker, &question(true));
        let mut client = Client::new().await;
        client.get("/name");
        assert_eq!(client.response().await.unwrap().0.status, 401);
        let entry = only(&worker, &question(true));
        assert_eq!(entry.verdict.code.as_deref(), Some("sign-in-required"));
        assert_eq!((entry.verdict.connector, entry.verdict.attempts), (None, 0));
        assert_eq!(entry.response.as_ref().unwrap().status, 401);
        assert!(body(&entry).1.contains("sign-in-required"), "{entry:?}");
        // Whoever is asked for is known, or it is not theirs.
        asked(&worker, &TraceAsked { left_ms: 0, ..question(true) });
        let annas = TraceAsked { user: Some(UserId::new(TenantId::DEFAULT, 1)), ..question(true) };
        asked(&worker, &annas);
        client.get("/name");
        client.response().await.unwrap();
        assert!(asked(&worker, &annas).entries.is_empty());
    });
}

#[test]
fn where_passwords_are_entered_nothing_is_recorded_whatever_control_asks() {
    in_the_simulator(98, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        asked(&worker, &question(true));
        let mut client = Client::new().await;
        for is_identity in [false, true, false] {
            publish(&worker, |snapshot| {
                let identity = IdentityApp { app: APP, group: GroupId::DEFAULT, device_host: None };
                snapshot.identity = is_identity.then_some(identity);
            });
            client.get("/name");
            client.response().await.unwrap();
            let taken = asked(&worker, &question(true));
            assert!(!taken.begun && !taken.refused, "the trace goes on");
            assert_eq!((taken.entries.len(), taken.dropped), (usize::from(!is_identity), 0), "{taken:?}");
        }
    });
}

#[test]
fn a_websocket_is_recorded_when_it_opens_and_nothing_that_it_says() {
    in_the_simulator(93, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        asked(&worker, &question(true));
        let client = opened_with("").await;
        let entry = only(&worker, &question(true));
        assert_eq!(entry.response.as_ref().unwrap().status, 101);
        echoed(&client, &[0x81, 2, b'h', b'i']).await;
        drop(client);
        sleep(Duration::from_secs(3)).await;
        assert!(asked(&worker, &question(true)).entries.is_empty(), "once");
    });
}

#[test]
fn who_goes_away_leaves_a_request_without_an_answer() {
    in_the_simulator(94, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        asked(&worker, &question(false));
        let client = Client::new().await;
        client.get("/slow");
        sleep(Duration::from_secs(1)).await;
        drop(client);
        sleep(Duration::from_millis(100)).await;
        let entry = only(&worker, &question(false));
        assert_eq!((entry.response, entry.verdict.code.as_deref()), (None, Some("request-cancelled")));
        assert!(entry.us.wait >= 1_000_000, "{:?}", entry.us);
    });
}
