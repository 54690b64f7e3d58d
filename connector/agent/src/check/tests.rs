//! Each step that fails, against real sockets.

mod content;
mod kerberos;
mod members;
mod passwords;
mod proxied;
mod wire;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use postern_model::check::{CheckAsked, CheckStep, StepResult};

use super::*;
use crate::backend::tests::{app, config};

/// Serves each connection by `serve` on a port of its own; also counts them.
pub(super) fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (count, serve) = (Arc::new(AtomicUsize::new(0)), Arc::new(serve));
    let counting = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            counting.fetch_add(1, Ordering::SeqCst);
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    (port, count)
}

/// Reads a request's head.
pub(super) fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Answers each request with that.
pub(super) fn says(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    server(move |mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(answer.as_bytes());
    })
}

pub(super) fn backend_at(internal: &str, settings: &[(&str, &str)]) -> Arc<Backend> {
    let table = BackendTable::build(&config(1, vec![app(1, internal, settings)]), None);
    Arc::clone(table.apps.values().next().expect("the settings are good"))
}

pub(super) fn checked(backend: &Backend, keys: &Keys, sign_on: bool, login: Option<&str>) -> Vec<CheckStep> {
    let findings = Findings::default();
    steps(&findings, backend, None, keys, &CheckAsked { sign_on, login: login.map(str::to_owned) });
    findings.report(true).bounded().steps
}

/// The step of that name.
pub(super) fn of<'a>(steps: &'a [CheckStep], name: &str) -> &'a CheckStep {
    steps.iter().find(|step| step.step == name).unwrap_or_else(|| panic!("no step {name}: {steps:#?}"))
}

fn reached(internal: &str, settings: &[(&str, &str)]) -> Vec<CheckStep> {
    checked(&backend_at(internal, settings), &Keys::default(), false, None)
}

/// The last step of it, which failed, and says so with a cure.
#[track_caller]
pub(super) fn fails(steps: &[CheckStep], name: &str, seen: &str) {
    let step = of(steps, name);
    assert_eq!(step.result, StepResult::Fail, "{step:?}");
    assert!(step.seen.contains(seen), "{step:?}");
    assert!(!step.cure.is_empty(), "{step:?}");
}

#[test]
fn a_name_that_nobody_knows_ends_it() {
    let steps = reached("http://nowhere.invalid/", &[]);
    fails(&steps, "name", "nowhere.invalid cannot be resolved");
    assert_eq!(steps.len(), 1);
}

#[test]
fn a_closed_port_is_told_from_a_silent_network() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let steps = reached(&format!("http://127.0.0.1:{port}/"), &[]);
    fails(&steps, "connect", "refused");
    assert!(of(&steps, "connect").cure.contains("the port"));
    assert_eq!(steps.len(), 2);
}

#[test]
fn a_good_page_says_how_fast_it_was() {
    let (port, _) = says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    let steps = reached(&format!("http://127.0.0.1:{port}/"), &[]);
    let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(names, ["name", "connect", "http", "websocket"]);
    assert!(steps.iter().all(|step| step.result == StepResult::Ok), "{steps:?}");
    assert!(of(&steps, "http").seen.starts_with("HTTP/1.1 200, first byte after"), "{steps:?}");
}

#[test]
fn each_segment_is_looked_at() {
    let (port, _) = says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let own = format!("http://127.0.0.1:{port}/");
    let of_segments = |segments: String| {
        let steps = reached(&own, &[("segments", segments.as_str())]);
        of(&steps, "segments").clone()
    };
    let fine = format!("https://app1.example.com/x/=http://127.0.0.1:{port}/x/");
    let step = of_segments(format!("{fine},https://*.example.com/=http://*.corp/"));
    assert_eq!(
        (step.result, step.seen.starts_with("1 of 2 looked at; 1 with a wildcard")),
        (StepResult::Ok, true),
        "{step:?}"
    );
    let step = of_segments(format!("{fine},https://app1.example.com/y/=http://127.0.0.1:{closed}/"));
    assert_eq!(step.result, StepResult::Fail);
    assert!(step.seen.contains(&format!("http://127.0.0.1:{closed}/, connect: ")), "{step:?}");
    let mut wild = app(1, "http://*.corp/", &[("segments", &fine)]);
    wild.external_url = "https://*.apps.example.com/".into();
    let table = BackendTable::build(&config(1, vec![wild]), None);
    let steps = checked(table.apps.values().next().unwrap(), &Keys::default(), false, None);
    let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(names, ["config", "segments"]);
    assert!(of(&steps, "config").seen.contains("a wildcard"), "{steps:?}");
}

#[test]
fn what_hangs_drips_or_floods_is_bounded() {
    let slow = [("backend_timeout_ms", "1000")];
    let (silent, _) = server(|stream| {
        thread::sleep(Duration::from_secs(5));
        drop(stream);
    });
    fails(&reached(&format!("http://127.0.0.1:{silent}/"), &slow), "http", "no answer in time");
    let (dripping, _) = server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x: y\r\n").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let begun = std::time::Instant::now();
    fails(&reached(&format!("http://127.0.0.1:{dripping}/"), &slow), "http", "no answer in time");
    assert!(begun.elapsed() < Duration::from_secs(3), "each byte would prolong it");
    let (huge_head, _) = server(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ");
        while stream.write_all(&[b'y'; 4096]).is_ok() {}
    });
    fails(&reached(&format!("http://127.0.0.1:{huge_head}/"), &[]), "http", "not HTTP");
    let (huge, _) = server(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'y'; 4096]).is_ok() {}
    });
    let steps = reached(&format!("http://127.0.0.1:{huge}/"), &[]);
    assert!(of(&steps, "http").seen.contains("a long page"), "{steps:?}");
}

#[test]
fn what_is_no_http_is_named() {
    let (port, _) = says("SSH-2.0-OpenSSH_9.7\r\n");
    fails(&reached(&format!("http://127.0.0.1:{port}/"), &[]), "http", "not HTTP");
    let (port, _) = server(drop);
    fails(&reached(&format!("http://127.0.0.1:{port}/"), &[]), "http", "");
    let (port, _) = says("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
    fails(&reached(&format!("http://127.0.0.1:{port}/"), &[]), "http", "503");
}

#[test]
fn redirects_within_are_followed_and_those_away_are_not() {
    let (elsewhere, asked) = says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let (port, _) = server(move |mut stream| {
        let head = read_head(&mut stream);
        let to = if head.starts_with("GET /base/ ") {
            "/base/in".into()
        } else {
            format!("http://127.0.0.1:{elsewhere}/base/")
        };
        let _ = write!(stream, "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    });
    let steps = reached(&format!("http://127.0.0.1:{port}/base/"), &[]);
    let http = of(&steps, "http");
    assert_eq!(http.result, StepResult::Warn);
    assert!(http.seen.starts_with("302 to /base/in, HTTP/1.1 302"), "{http:?}");
    assert!(http.seen.ends_with(&format!("leads to http://127.0.0.1:{elsewhere}/base/")), "{http:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "an application leads its connector nowhere");
    let (circle, _) = says("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n");
    fails(&reached(&format!("http://127.0.0.1:{circle}/"), &[]), "http", "redirects");
}

#[test]
fn what_the_application_asks_leads_to_a_method() {
    let challenges = [
        ("HTTP/1.1 401 U\r\nwww-authenticate: Negotiate\r\ncontent-length: 0\r\n\r\n", "sso=kerberos"),
        ("HTTP/1.1 401 U\r\nwww-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\n\r\n", "sso=basic"),
        ("HTTP/1.1 401 U\r\nwww-authenticate: NTLM\r\ncontent-length: 0\r\n\r\n", "NTLM alone"),
        ("HTTP/1.1 401 U\r\nwww-authenticate: Digest realm=\"x\"\r\ncontent-length: 0\r\n\r\n", "no method"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 56\r\n\r\n<form action=/login><input type=password name=pw></form> ",
            "sso=form",
        ),
        ("HTTP/1.1 302 F\r\nlocation: https://idp.example/?SAMLRequest=x\r\ncontent-length: 0\r\n\r\n", "sso=saml"),
    ];
    for (answer, suggestion) in challenges {
        let (port, _) = says(answer);
        let backend = backend_at(&format!("http://127.0.0.1:{port}/"), &[]);
        let steps = checked(&backend, &Keys::default(), true, None);
        let step = of(&steps, "challenge");
        assert!(step.cure.contains(suggestion), "{step:?}");
        let without = checked(&backend, &Keys::default(), false, None);
        assert!(without.iter().all(|step| step.step != "challenge"), "--no-sso");
    }
}

/// A relay that was taken over names a configured application, and another address beside it.
#[test]
fn what_is_fetched_is_what_is_configured_whatever_was_asked() {
    let (made_up, nobody) = says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let (port, asked) = says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let backend = backend_at(&format!("http://127.0.0.1:{port}/"), &[]);
    let url = format!("http://127.0.0.1:{made_up}/");
    let question = serde_json::json!({
        "sign_on": true, "login": url, "url": url, "internal_url": url, "address": url, "host": format!("127.0.0.1:{made_up}"),
    });
    let question: CheckAsked = serde_json::from_value(question).unwrap();
    let findings = Findings::default();
    steps(&findings, &backend, None, &Keys::default(), &question);
    let (asked, nobody) = (asked.load(Ordering::SeqCst), nobody.load(Ordering::SeqCst));
    assert_eq!((asked, nobody), (2, 0), "for its page, and for a WebSocket");
}

#[test]
fn few_checks_run_at_once() {
    let checks = Checks::new(None);
    let places: Vec<_> = (0..CHECKS_MAX).map(|_| checks.place().unwrap()).collect();
    assert!(checks.place().is_none());
    drop(places);
    assert!(checks.place().is_some());
}

/// A relay that was taken over could have one after the other.
#[test]
fn checks_of_one_application_wait_for_each_other() {
    let at = |s: u64| postern_io::Instant::from_nanos(s * 1_000_000_000);
    let app = |seq| AppId::new(postern_model::ids::TenantId::DEFAULT, seq);
    let checks = Checks::new(None);
    assert_eq!(checks.turn(app(1), at(100)), at(100));
    assert_eq!(checks.turn(app(1), at(101)), at(103));
    assert_eq!(checks.turn(app(1), at(101)), at(106), "all of them");
    assert_eq!(checks.turn(app(2), at(101)), at(101), "others do not");
    assert_eq!(checks.turn(app(1), at(109)), at(109));
    assert_eq!(checks.began.lock().unwrap().len(), 1, "what was long ago is forgotten");
}

#[test]
fn an_application_gets_its_cookies_back_on_the_way() {
    let (port, _) = server(move |mut stream| {
        let head = read_head(&mut stream);
        let has = |cookie: &str| head.lines().any(|line| line.to_ascii_lowercase() == cookie);
        let answer = if head.starts_with("GET / ") && head.contains("cookie: ") {
            if has("cookie: sid=1") { "200 OK\r\ncontent-length: 0" } else { "500 Another\r\ncontent-length: 0" }
        } else if head.starts_with("GET / ") {
            "302 F\r\nlocation: /in\r\nset-cookie: sid=1; HttpOnly; Path=/\r\nset-cookie: in=2; Path=/in\r\ncontent-length: 0"
        } else if has("cookie: in=2; sid=1") {
            "302 F\r\nlocation: /\r\ncontent-length: 0"
        } else {
            "500 None\r\ncontent-length: 0"
        };
        let _ = write!(stream, "HTTP/1.1 {answer}\r\n\r\n");
    });
    let steps = reached(&format!("http://127.0.0.1:{port}/"), &[]);
    let http = of(&steps, "http");
    assert!(http.seen.starts_with("302 to /in, 302 to /, HTTP/1.1 200"), "{http:?}");
    assert!(!format!("{steps:?}").contains("sid"), "nobody is shown one: {steps:?}");
}

#[test]
fn how_long_was_waited_is_said_where_requests_wait_longer() {
    let steps = |settings: &[(&str, &str)]| {
        let backend = backend_at("http://127.0.0.1:1/", settings);
        reach::waited(&backend)
    };
    let words = steps(&[("backend_timeout_ms", "75000")]);
    assert_eq!(words, "within the 8 s that a check waits; requests wait 75000 ms (backend_timeout_ms)");
    assert_eq!(steps(&[("backend_timeout_ms", "8000")]), "within 8000 ms (backend_timeout_ms)");
}

/// A server's side of one exchange over HTTP/2, with prior knowledge; gives the frames of the request.
pub(super) fn answer_http2(stream: &mut (impl std::io::Read + std::io::Write)) -> Vec<u8> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).unwrap();
    assert!(preface.starts_with(b"PRI * HTTP/2.0"));
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == HEADERS {
            // :status 200, and "hi".
            let answer = [0, 0, 1, HEADERS, 4, 0, 0, 0, 1, 0x88, 0, 0, 2, 0, 1, 0, 0, 0, 1, b'h', b'i'];
            stream.write_all(&answer).unwrap();
            stream.flush().unwrap();
            return payload;
        }
    }
}

const HEADERS: u8 = 1;

#[test]
fn http2_with_prior_knowledge_is_spoken() {
    let (port, _) = server(|mut stream| {
        answer_http2(&mut stream);
        let _ = stream.read(&mut [0; 1024]);
    });
    let h2c = [("backend_http", "h2c"), ("backend_timeout_ms", "2000")];
    let steps = reached(&format!("http://127.0.0.1:{port}/"), &h2c);
    assert!(of(&steps, "http").seen.starts_with("HTTP/2 200, first byte after"), "{steps:?}");
    let (port, _) = says("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    let steps = reached(&format!("http://127.0.0.1:{port}/"), &h2c);
    fails(&steps, "http", "it answers in HTTP/1.1");
    assert!(of(&steps, "http").cure.contains("backend_http=1.1"), "{steps:?}");
    let (port, _) = server(|_| thread::sleep(Duration::from_secs(5)));
    fails(&reached(&format!("http://127.0.0.1:{port}/"), &h2c), "http", "no answer in time: none within 2000 ms");
    let (port, _) = server(drop);
    fails(&reached(&format!("http://127.0.0.1:{port}/"), &h2c), "http", "");
}
