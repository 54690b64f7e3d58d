//! Applications that a proxy leads to.

use rustls::{ServerConnection, StreamOwned};

use super::*;
use crate::proxy::{Proxies, Way};
use crate::tests::tls;

fn through(port: u16, internal: &str, more: &[(&str, &str)]) -> Vec<CheckStep> {
    let url = format!("http://127.0.0.1:{port}");
    let backend = backend_at(internal, &[more, &[("backend_proxy", url.as_str())]].concat());
    let keys = Keys { way: Proxies::default().way(backend.proxy.as_ref()), ..Keys::default() };
    checked(&backend, &keys, false, None)
}

#[test]
fn the_proxy_takes_the_place_of_name_and_connection() {
    let (port, count) = server(|mut stream| {
        assert!(read_head(&mut stream).starts_with("CONNECT crm.corp:8080 HTTP/1.1\r\n"));
        let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    });
    let steps = through(port, "http://crm.corp:8080/", &[]);
    let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(names, ["proxy", "http", "websocket"]);
    assert!(steps.iter().all(|step| step.result == StepResult::Ok), "{steps:?}");
    let seen = format!("the proxy http://127.0.0.1:{port} connects to crm.corp:8080");
    assert_eq!(of(&steps, "proxy").seen, seen);
    assert_eq!(count.load(Ordering::SeqCst), 2, "the WebSocket is offered by the same way");
}

#[test]
fn members_and_segments_are_looked_at_through_it_too() {
    let (port, _) = server(|mut stream| {
        let head = read_head(&mut stream);
        assert!(head.starts_with("CONNECT "), "{head}");
        let answer = if head.contains("gone.corp") { "502 Bad Gateway" } else { "200 Connection established" };
        let _ = stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes());
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    });
    let farm = ("backend_farm", "http://crm2.corp,http://gone.corp");
    let segments = ("segments", "https://app1.example.com/api/=http://api.corp:8080/");
    let steps = through(port, "http://crm.corp/", &[farm, segments]);
    let members = of(&steps, "members");
    assert_eq!(members.result, StepResult::Fail, "{members:?}");
    for seen in ["http://crm2.corp/: http ", "http://gone.corp/: proxy ", "no connection to gone.corp:80 (502)"] {
        assert!(members.seen.contains(seen), "{members:?}");
    }
    let segments = of(&steps, "segments");
    assert_eq!((segments.result, segments.seen.as_str()), (StepResult::Ok, "1 of 1 looked at"));
}

#[test]
fn tls_is_spoken_with_the_application_not_with_the_proxy() {
    let (config, pem) = tls::server(&["crm.corp"], 4000);
    let config = Arc::new(config);
    let (port, _) = server(move |mut stream| {
        assert!(read_head(&mut stream).starts_with("CONNECT crm.corp:443 HTTP/1.1\r\n"));
        let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.flush();
    });
    let steps = through(port, "https://crm.corp/", &[("backend_ca", pem.as_str())]);
    assert!(of(&steps, "tls").result == StepResult::Ok && of(&steps, "http").result == StepResult::Ok, "{steps:?}");
    fails(&through(port, "https://crm.corp/", &[]), "tls", "crm.corp");
}

#[test]
fn what_is_wrong_with_the_proxy_is_told_with_a_cure() {
    for (answer, words) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "refuses CONNECT crm.corp:80 with 403"),
        ("HTTP/1.1 407 Who\r\n\r\n", "wants a user name"),
        ("HTTP/1.1 503 Down\r\n\r\n", "has no connection to crm.corp:80 (503)"),
        ("SSH-2.0-x\r\n\r\n", "not HTTP"),
    ] {
        let (port, _) = says(answer);
        let steps = through(port, "http://crm.corp/", &[]);
        fails(&steps, "proxy", words);
        assert_eq!(steps.len(), 1, "{steps:?}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fails(&through(closed, "http://crm.corp/", &[]), "proxy", "cannot be reached");
}

#[test]
fn a_proxy_that_is_not_known_here_is_named() {
    let backend = backend_at("http://crm.corp/", &[("backend_proxy", "corp")]);
    let way = Proxies::default().way(backend.proxy.as_ref());
    assert!(matches!(way, Way::Unknown(_)));
    let steps = checked(&backend, &Keys { way, ..Keys::default() }, false, None);
    fails(&steps, "proxy", "--backend-proxy corp=URL");
    assert_eq!(steps.len(), 1);
}
