use std::io::Write as _;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use postern_model::ids::RequestId;
use postern_model::trace::{TracedBody, TracedVerdict};

fn fields(fields: &[(&str, &str)]) -> TracedHeaders {
    let mut headers = TracedHeaders::default();
    fields.iter().for_each(|(name, value)| headers.push(name, value));
    headers
}

fn entry() -> TraceEntry {
    let request = TracedRequest {
        method: "POST".into(),
        url: "https://wiki.example.com/x?q=a%20b&token=[redacted]".into(),
        protocol: "HTTP/2".into(),
        headers: fields(&[("cookie", "a=[redacted]; b=[redacted]"), ("content-type", "application/json")]),
        bytes: 2,
        body: Some(TracedBody::new(b"{}", false)),
    };
    let response = TracedResponse {
        status: 302,
        reason: "Found".into(),
        headers: fields(&[("set-cookie", "sid=[redacted]; Path=/"), ("location", "/y"), ("content-type", "text/html")]),
        bytes: 4,
        body: Some(TracedBody::new("<ä".as_bytes(), true)),
    };
    TraceEntry {
        request_id: RequestId(7),
        started_unix_ms: 1_767_225_600_123,
        request,
        response: Some(response),
        verdict: TracedVerdict { subject: Some("user/anna".into()), attempts: 1, ..TracedVerdict::default() },
        us: TracedTimes { tls: None, decided: 1_000, send: 2_000, wait: 3_500, receive: 500, backend: Some(3_000) },
    }
}

fn archive(entries: &[TraceEntry]) -> Value {
    let mut har = Har::default();
    entries.iter().for_each(|entry| har.add(entry));
    assert_eq!(har.len(), entries.len());
    let document = har.document(&json!({ "app": "wiki" })).unwrap();
    serde_json::from_slice(&document).unwrap()
}

/// Whether a member is of its type.
type Is = fn(&Value) -> bool;

/// The members that HAR 1.2 demands, of the types that it says.
fn check(value: &Value, members: &[(&str, Is)], what: &str) {
    for (name, is_right) in members {
        assert!(value.get(name).is_some_and(is_right), "{what}: {name} is not as HAR 1.2 says: {value:#}");
    }
}

/// HAR 1.2 (Jan Odvarko's specification), as far as it says must.
fn check_archive(archive: &Value) {
    let (text, number): (Is, Is) = (Value::is_string, Value::is_number);
    let (list, object): (Is, Is) = (Value::is_array, Value::is_object);
    let log = &archive["log"];
    check(log, &[("version", text), ("creator", object), ("entries", list)], "log");
    check(&log["creator"], &[("name", text), ("version", text)], "creator");
    assert_eq!(log["version"], "1.2");
    let pairs = |value: &Value, what: &str| {
        value.as_array().unwrap().iter().for_each(|pair| check(pair, &[("name", text), ("value", text)], what));
    };
    for entry in log["entries"].as_array().unwrap() {
        let members =
            [("startedDateTime", text), ("time", number), ("request", object), ("response", object), ("cache", object)];
        check(entry, &members, "entry");
        check(entry, &[("timings", object)], "entry");
        let date = entry["startedDateTime"].as_str().unwrap();
        assert!(OffsetDateTime::parse(date, &Rfc3339).is_ok(), "{date}");
        let (request, response) = (&entry["request"], &entry["response"]);
        let both = [
            ("httpVersion", text),
            ("cookies", list),
            ("headers", list),
            ("headersSize", number),
            ("bodySize", number),
        ];
        check(request, &[("method", text), ("url", text), ("queryString", list)], "request");
        check(
            response,
            &[("status", number), ("statusText", text), ("content", object), ("redirectURL", text)],
            "response",
        );
        for (message, what) in [(request, "request"), (response, "response")] {
            check(message, &both, what);
            pairs(&message["cookies"], "cookie");
            pairs(&message["headers"], "header");
        }
        pairs(&request["queryString"], "query");
        check(&response["content"], &[("size", number), ("mimeType", text)], "content");
        if let Some(data) = request.get("postData") {
            check(data, &[("mimeType", text), ("params", list), ("text", text)], "postData");
        }
        let timings = entry["timings"].as_object().unwrap();
        for name in ["send", "wait", "receive"] {
            assert!(timings[name].as_f64().unwrap() >= 0.0, "{name} is always known: {timings:?}");
        }
        let sum: f64 =
            timings.iter().filter(|(name, _)| *name != "ssl").map(|(_, ms)| ms.as_f64().unwrap().max(0.0)).sum();
        assert!((sum - entry["time"].as_f64().unwrap()).abs() < 0.001, "the time is the sum of all parts: {entry:#}");
    }
}

#[test]
fn an_archive_is_as_har_demands() {
    let gone = TraceEntry { response: None, started_unix_ms: 1, ..entry() };
    let with_tls = TraceEntry { us: TracedTimes { tls: Some(9_000), ..entry().us }, ..entry() };
    let archive = archive(&[entry(), gone, with_tls]);
    check_archive(&archive);
    let entries = archive["log"]["entries"].as_array().unwrap();
    assert_eq!(entries[0]["response"]["status"], 0, "in the order of time");
    assert_eq!(entries[0]["response"]["_error"], "request-cancelled");
    let one = &entries[1];
    assert_eq!(one["startedDateTime"], "2026-01-01T00:00:00.123Z");
    assert_eq!(one["time"], 7.0);
    assert_eq!(
        one["request"]["queryString"],
        json!([{"name": "q", "value": "a b"}, {"name": "token", "value": "[redacted]"}])
    );
    assert_eq!(one["request"]["cookies"].as_array().unwrap().len(), 2);
    assert_eq!(one["request"]["postData"]["text"], "{}");
    assert_eq!(one["response"]["cookies"], json!([{"name": "sid", "value": "[redacted]"}]));
    assert_eq!((&one["response"]["redirectURL"], &one["response"]["content"]["size"]), (&json!("/y"), &json!(4)));
    assert_eq!(one["response"]["content"]["text"], "<ä");
    assert_eq!((&one["timings"]["connect"], &one["timings"]["dns"]), (&json!(-1.0), &json!(-1.0)));
    assert_eq!((&one["_postern"]["subject"], &one["_postern"]["backend_ms"]), (&json!("user/anna"), &json!(3.0)));
    assert_eq!((&entries[2]["timings"]["ssl"], &entries[2]["time"]), (&json!(9.0), &json!(16.0)));
}

/// What an answer in this coding is shown as.
fn shown(coding: &str, kind: &str, bytes: &[u8], cut: bool) -> Value {
    let headers = fields(&[("content-encoding", coding), ("content-type", kind)]);
    let response = TracedResponse {
        status: 200,
        headers,
        bytes: bytes.len() as u64,
        body: Some(TracedBody::new(bytes, cut)),
        ..TracedResponse::default()
    };
    let archive = archive(&[TraceEntry { response: Some(response), ..entry() }]);
    check_archive(&archive);
    archive["log"]["entries"][0]["response"]["content"].clone()
}

fn coded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
            encoder.write_all(bytes).unwrap();
            encoder.into_inner()
        }
        "zstd" => zstd::stream::encode_all(bytes, 3).unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn content_comes_out_of_its_coding_without_the_secrets_in_it() {
    let json = br#"{"access_token":"s3cret","user":"anna"}"#;
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let content = shown(coding, "application/json", &coded(coding, json), false);
        let expected = r#"{"access_token":"[redacted]","user":"anna"}"#;
        assert_eq!((&content["text"], &content["size"]), (&json!(expected), &json!(expected.len())), "{coding}");
        assert_eq!(content.get("comment"), None);
        // Too large for a record: what there is of it is shown.
        let large: Vec<u8> =
            (0..100_000_u32).flat_map(|nth| nth.wrapping_mul(2_654_435_761).to_string().into_bytes()).collect();
        let whole = coded(coding, &large);
        let content = shown(coding, "text/plain", &whole[..whole.len() / 2], true);
        let text = content["text"].as_str().unwrap();
        assert!(content.get("encoding").is_none() && text.len() > 10_000, "{coding}: {}", text.len());
        assert!(large.starts_with(text.as_bytes()) && content["comment"].is_string(), "{coding}");
    }
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(b"raw").unwrap();
    assert_eq!(shown("deflate", "text/plain", &raw.finish().unwrap(), false)["text"], "raw");
}

#[test]
fn what_expands_without_end_is_shown_up_to_a_bound() {
    for coding in ["gzip", "br", "zstd"] {
        let bomb = coded(coding, &vec![b'a'; 20 << 20]);
        assert!(bomb.len() < 64 << 10, "{}", bomb.len());
        let content = shown(coding, "text/plain", &bomb, false);
        assert_eq!(content["text"].as_str().unwrap().len(), 256 << 10, "{coding}");
        assert!(content["comment"].is_string());
    }
}

#[test]
fn what_is_decoded_in_all_is_bounded() {
    let answered = |coding: &str| {
        let bytes = if coding.is_empty() { b"plain".to_vec() } else { coded(coding, b"plain") };
        let response = TracedResponse {
            headers: fields(&[("content-encoding", coding), ("content-type", "text/plain")]),
            body: Some(TracedBody::new(&bytes, false)),
            ..TracedResponse::default()
        };
        TraceEntry { response: Some(response), ..entry() }
    };
    // Behind the first there is room for one byte yet, behind the second for none.
    let mut har = Har { decoded: content::DECODED_BYTES_IN_ALL_MAX - 6, ..Har::default() };
    ["gzip", "br", "zstd", ""].iter().for_each(|coding| har.add(&answered(coding)));
    assert_eq!(har.decoded, content::DECODED_BYTES_IN_ALL_MAX + 4);
    let archive: Value = serde_json::from_slice(&har.document(&json!({})).unwrap()).unwrap();
    let shown = |nth: usize| &archive["log"]["entries"][nth]["response"]["content"];
    for nth in [0, 1, 3] {
        assert_eq!((&shown(nth)["text"], shown(nth).get("comment")), (&json!("plain"), None), "{nth}");
    }
    let comment = shown(2)["comment"].as_str().unwrap();
    assert!(comment.contains("so much was decoded already") && shown(2).get("text").is_none(), "{}", shown(2));
}

#[test]
fn what_is_no_text_is_base64() {
    let bytes = [0, 159, 146, 150];
    let content = shown("", "image/png", &bytes, false);
    assert_eq!((&content["encoding"], &content["text"]), (&json!("base64"), &json!(STANDARD.encode(bytes))));
}

#[test]
fn what_is_in_no_coding_that_is_known_is_not_shown() {
    let json = br#"{"access_token":"s3cret"}"#;
    for coding in ["compress", "utf-8", "none", "aws-chunked", "gzip", "zstd", "gzip, gzip"] {
        let content = shown(coding, "application/json", json, false);
        let comment = content["comment"].as_str().unwrap();
        assert!(comment.starts_with("not shown: its coding, "), "{coding}: {comment}");
        assert!(content.get("text").is_none() && content.get("encoding").is_none(), "{coding}: {content}");
    }
}

#[test]
fn what_was_withheld_says_why() {
    let body = Some(TracedBody::withheld("its coding hides its secrets"));
    let request = TracedRequest { body, ..entry().request };
    let archive = archive(&[TraceEntry { request, ..entry() }]);
    check_archive(&archive);
    let data = &archive["log"]["entries"][0]["request"]["postData"];
    assert_eq!((&data["text"], &data["comment"]), (&json!(""), &json!("not recorded: its coding hides its secrets")));
}
