//! An application's own bounds of time and size, by the virtual clock.

use super::*;

/// What the fake application answers under `/limits/`: `head/N` with fields of N bytes, `begun` with the beginning of an answer.
pub(super) fn answer(connection: &mut Connection, stream: StreamId, path: &str) {
    let mut head = ResponseHead::new(200, BodyKind::Chunked);
    let bytes = path.strip_prefix("/limits/head/").map(|bytes| bytes.parse::<usize>().unwrap());
    if let Some(bytes) = bytes {
        head.headers.append("x-long", "a".repeat(bytes - "x-long: \r\n".len())).unwrap();
    }
    let mut encoded = Vec::new();
    head.encode(&mut encoded);
    connection.send_head(stream, &encoded, bytes.is_some()).unwrap();
    if bytes.is_none() {
        let _ = connection.send_data(stream, &mut Bytes::from_static(b"begun"), false).unwrap();
    }
}

/// Head and content.
type Answer = (ResponseHead, Vec<u8>);

/// Sends a request to an application with these settings; what came, and after how long.
fn asked(
    seed: u64,
    settings: &'static [(&'static str, &'static str)],
    request: String,
) -> (Result<Answer, String>, Duration, usize) {
    in_the_simulator(seed, async move {
        let worker = worker_with(settings);
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let mut client = Client::new().await;
        let begun = now();
        client.stream.queue(request.as_bytes());
        let answer = timeout(Duration::from_secs(1_000), client.response()).await.unwrap();
        let waited = now().since(begun);
        (answer, waited, tunnel.open_streams())
    })
}

fn refused(answer: Result<Answer, String>, status: u16, code: &str) {
    let (head, body) = answer.unwrap();
    let body = String::from_utf8(body).unwrap();
    assert_eq!(head.status, status, "{body}");
    assert!(body.contains(&format!("\"code\":\"{code}\"")), "{body}");
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n")
}

const SMALL: &[(&str, &str)] = &[("request_body_bytes_max", "1000")];

#[test]
fn content_that_is_stated_too_long_is_refused_before_anything_is_passed_on() {
    let post = |bytes: usize| {
        let content = "a".repeat(bytes);
        format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {bytes}\r\n\r\n{content}")
    };
    assert_eq!(asked(1, SMALL, post(1000)).0.unwrap().1.len(), 1000);
    let (answer, waited, open) = asked(2, SMALL, post(1001));
    refused(answer, 413, "request-body-too-large");
    assert_eq!(open, 0);
    assert!(waited < Duration::from_millis(100), "{waited:?}");
    // Whoever waits to be told to go on is told not to.
    let head = format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 5000\r\nexpect: 100-continue\r\n\r\n");
    refused(asked(3, SMALL, head).0, 413, "request-body-too-large");
}

#[test]
fn content_of_unstated_length_is_given_up_when_it_gets_too_long() {
    let chunked = |path: &str, chunks: usize| {
        let chunk = format!("1f4\r\n{}\r\n", "a".repeat(500)).repeat(chunks);
        format!("POST {path} HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n")
    };
    assert_eq!(asked(4, SMALL, chunked("/echo", 2)).0.unwrap().1.len(), 1000);
    refused(asked(5, SMALL, chunked("/deaf", 3)).0, 413, "request-body-too-large");
    let cut = in_the_simulator(6, async move {
        let worker = worker_with(SMALL);
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let whole = chunked("/echo", 3);
        // The last chunk comes when the answer has begun.
        let (first, rest) = whole.split_at(whole.len() - "1f4\r\n\r\n0\r\n\r\n".len() - 500);
        client.stream.queue(first.as_bytes());
        client.more().await.unwrap();
        client.stream.queue(rest.as_bytes());
        client.response().await
    });
    assert!(cut.is_err(), "an answer that had begun was presented as whole: {cut:?}");
}

#[test]
fn heads_are_bounded_in_number_and_bytes_of_fields() {
    const FEW: &[(&str, &str)] = &[("request_headers_max", "3")];
    const SHORT: &[(&str, &str)] = &[("request_header_bytes_max", "256")];
    // Host is no field of these.
    let three = "a: 1\r\nb: 2\r\nc: 3\r\n";
    assert_eq!(asked(7, FEW, get("/name", three)).0.unwrap().0.status, 200);
    refused(asked(8, FEW, get("/name", &format!("{three}d: 4\r\n"))).0, 431, "request-headers-too-many");
    let of = |bytes: usize| format!("x: {}\r\n", "a".repeat(bytes - 5));
    assert_eq!(asked(9, SHORT, get("/name", &of(256))).0.unwrap().0.status, 200);
    refused(asked(10, SHORT, get("/name", &of(257))).0, 431, "request-headers-too-large");
}

#[test]
fn an_answers_head_is_bounded_too() {
    const SHORT: &[(&str, &str)] = &[("response_header_bytes_max", "1Ki")];
    assert_eq!(asked(11, SHORT, get("/limits/head/1024", "")).0.unwrap().0.status, 200);
    let (answer, _, open) = asked(12, SHORT, get("/limits/head/1025", ""));
    refused(answer, 502, "backend-headers-too-large");
    assert_eq!(open, 0);
    assert_eq!(asked(13, &[], get("/limits/head/30000", "")).0.unwrap().0.status, 200);
}

#[test]
fn an_exchange_ends_with_its_time_in_all() {
    const TOTAL: &[(&str, &str)] = &[("total_timeout", "20s")];
    let (answer, waited, open) = asked(14, TOTAL, get("/slow", ""));
    refused(answer, 504, "total-timeout");
    assert_eq!((waited.as_secs(), open), (20, 0));
    let (answer, waited, _) = asked(15, TOTAL, get("/limits/begun", ""));
    assert!(answer.is_err(), "an answer that is cut is not whole: {answer:?}");
    assert_eq!(waited.as_secs(), 20);
}

#[test]
fn movement_does_not_prolong_it() {
    const TOTAL: &[(&str, &str)] = &[("total_timeout", "20s")];
    in_the_simulator(16, async {
        let worker = worker_with(TOTAL);
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let begun = now();
        let stream = client.stream.clone();
        stream.queue(format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 1000\r\n\r\n").as_bytes());
        let sender = spawn(async move {
            for _ in 0..100 {
                stream.queue(b"a");
                sleep(Duration::from_secs(1)).await;
            }
        });
        assert!(client.response().await.is_err());
        assert_eq!(now().since(begun).as_secs(), 20);
        drop(sender);
    });
}

#[test]
fn what_was_upgraded_has_times_of_its_own() {
    const TOTAL: &[(&str, &str)] =
        &[("total_timeout", "20s"), ("idle_timeout", "5s"), ("request_body_bytes_max", "10")];
    in_the_simulator(17, async {
        let worker = worker_with(TOTAL);
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = websockets::opened_with("").await;
        for _ in 0..4 {
            sleep(Duration::from_secs(30)).await;
            websockets::echoed(
                &client,
                &[0x81, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
            )
            .await;
        }
    });
}

/// A connector that has nothing to say is not waited for much longer than the application would be.
#[test]
fn the_relay_waits_a_little_longer_than_the_connector_does() {
    for (seed, settings, path, seconds) in [
        (18, &[("backend_timeout_ms", "long")] as &'static [(&str, &str)], "/slow", 190),
        (19, &[("header_timeout", "2s")], "/slow", 12),
        (20, &[("header_timeout", "5m")], "/slow", 310),
        (21, &[("idle_timeout", "3s")], "/limits/begun", 13),
        (22, &[("connect_timeout_ms", "15s")], "/slow", 105),
    ] {
        let (answer, waited, _) = asked(seed, settings, get(path, ""));
        assert_eq!(waited.as_secs(), seconds, "{settings:?}");
        if path == "/slow" {
            refused(answer, 504, "backend-timeout");
        } else {
            assert!(answer.is_err(), "{answer:?}");
        }
    }
}

#[test]
fn a_client_that_stops_sending_is_not_given_the_time_for_the_answers_head() {
    const LONG: &[(&str, &str)] = &[("header_timeout", "1h")];
    let head = format!("POST /deaf HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 10\r\n\r\nabc");
    let (answer, waited, _) = asked(23, LONG, head);
    refused(answer, 408, "request-timeout");
    assert_eq!(waited.as_secs(), 85);
}
