//! TLS in every wrong way.

use rustls::{ServerConnection, StreamOwned};

use super::*;
use crate::tests::tls;

/// An authority's PEM, and the port of a server that shows a certificate which it issued for `name` until `year`.
fn tls_server(name: &str, year: i32) -> (String, u16) {
    speaking(name, year, &[])
}

/// The same, with versions of HTTP to choose from; without any it knows nothing of ALPN.
fn speaking(name: &str, year: i32, alpn: &[&[u8]]) -> (String, u16) {
    let (mut config, pem) = tls::server(&[name], year);
    config.alpn_protocols = alpn.iter().map(|version| version.to_vec()).collect();
    let config = Arc::new(config);
    let (port, _) = server(move |mut stream| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        let is_http2 = connection.alpn_protocol() == Some(b"h2");
        let mut stream = StreamOwned::new(connection, stream);
        if is_http2 {
            answer_http2(&mut stream);
            let _ = stream.read(&mut [0; 1024]);
            return;
        }
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.flush();
    });
    (pem, port)
}

fn at(port: u16) -> String {
    format!("https://127.0.0.1:{port}/")
}

#[test]
fn a_certificate_is_verified_as_for_requests() {
    let (pem, port) = tls_server("127.0.0.1", 2100);
    let steps = reached(&at(port), &[("backend_ca", &pem)]);
    assert_eq!(of(&steps, "tls").result, StepResult::Ok, "{steps:?}");
    assert_eq!(of(&steps, "http").result, StepResult::Ok, "{steps:?}");
    let (other, _) = tls_server("127.0.0.1", 2100);
    let untrusted = reached(&at(port), &[("backend_ca", &other)]);
    fails(&untrusted, "tls", "");
    assert!(of(&untrusted, "tls").cure.contains("backend_ca"), "{untrusted:?}");
    assert_eq!(untrusted.len(), 3, "nothing is sent to whom is not trusted");
    let unverified = reached(&at(port), &[("backend_tls_verify", "false")]);
    assert_eq!(of(&unverified, "tls").result, StepResult::Warn);
    assert!(of(&unverified, "tls").seen.contains("not verified"));
}

/// What the check says is what requests will see.
#[test]
fn the_version_of_http_is_the_one_that_requests_speak() {
    let https = |alpn: &[&[u8]], version: &str| {
        let (pem, port) = speaking("127.0.0.1", 2100, alpn);
        reached(&at(port), &[("backend_ca", &pem), ("backend_http", version)])
    };
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    for (alpn, version, spoken) in [
        (both, "auto", "HTTP/2 200"),
        (both, "2", "HTTP/2 200"),
        (both, "1.1", "HTTP/1.1 200"),
        (&[b"h2"], "2", "HTTP/2 200"),
        (&[b"http/1.1"], "auto", "HTTP/1.1 200"),
        (&[], "auto", "HTTP/1.1 200"),
    ] {
        let steps = https(alpn, version);
        assert!(of(&steps, "http").seen.starts_with(spoken), "{alpn:?} {version}: {steps:?}");
        assert_eq!(of(&steps, "tls").seen.contains(", h2, "), spoken == "HTTP/2 200", "{steps:?}");
    }
    for alpn in [&[][..], &[b"http/1.1".as_slice()]] {
        let steps = https(alpn, "2");
        fails(&steps, "tls", "");
        assert!(steps.iter().all(|step| step.step != "http"), "{steps:?}");
    }
}

#[test]
fn expired_and_other_names_are_told_apart() {
    let (pem, port) = tls_server("127.0.0.1", 2020);
    let expired = reached(&at(port), &[("backend_ca", &pem)]);
    fails(&expired, "tls", "expired");
    assert!(of(&expired, "tls").cure.contains("renew"), "{expired:?}");
    let (pem, port) = tls_server("other.example", 2100);
    let named = reached(&at(port), &[("backend_ca", &pem)]);
    fails(&named, "tls", "other.example");
    assert!(of(&named, "tls").cure.contains("name"), "{named:?}");
}

#[test]
fn plain_and_tls_mixed_up_are_named() {
    let (port, _) = server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        thread::sleep(Duration::from_millis(200));
    });
    let steps = reached(&at(port), &[("backend_tls_verify", "false")]);
    fails(&steps, "tls", "");
    assert!(of(&steps, "tls").cure.contains("plain HTTP"), "{steps:?}");
    let (_, port) = tls_server("127.0.0.1", 2100);
    let steps = reached(&format!("http://127.0.0.1:{port}/"), &[]);
    fails(&steps, "http", "TLS");
    assert!(of(&steps, "http").cure.contains("https://"), "{steps:?}");
}
