//! What may pass is written anew: the application sees framing, host and fields of the connection as the product understood them,
//! whatever else the client wrote, and what comes behind it is the next request.

use postern_tests::recorder::Recorded;

use super::Scene;

/// Sends a request with another right behind it; gives what the application saw of the first.
fn passes(scene: &Scene, what: &str, bytes: &str) -> Recorded {
    let before = scene.recorder.requests().len();
    let mut connection = scene.client.connect().unwrap();
    let next = format!("GET /behind HTTP/1.1\r\nHost: {}\r\n\r\n", scene.client.host);
    connection.send(&[bytes.as_bytes(), next.as_bytes()].concat()).unwrap();
    for method in ["POST", "GET"] {
        let answer =
            connection.answer(method).unwrap_or_else(|error| panic!("{what}: {error:#}\n{}", scene.world.logs()));
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    }
    scene.serves_on(&mut connection, what);
    let mut requests = scene.saw(what, before, 3);
    assert_eq!(requests[1].line, "GET /behind HTTP/1.1", "{what}");
    requests.swap_remove(0)
}

#[test]
fn content_is_framed_anew() {
    let scene = Scene::start();
    let inner = scene.smuggled();
    let size = inner.len();
    let content =
        format!("{size:x};a=b;c=\"d;\\\"e\"\r\n{inner}\r\n0;f\r\nX-Sum: 1\r\nX-Postern-User: eve\r\nDate: x\r\n\r\n");
    let seen = passes(&scene, "chunks", &scene.post("Transfer-Encoding: \tCHUNKED \r\n", &content));
    assert_eq!(String::from_utf8_lossy(&seen.content), inner, "a request in content is content");
    assert_eq!((seen.all("transfer-encoding"), seen.all("content-length")), (vec!["chunked"], vec![]));
    assert_eq!(seen.trailers.join("\n").to_lowercase(), "x-sum: 1", "neither who asks nor what belongs into a head");
    assert!(!scene.recorder.saw(b";a=b"), "extensions end at the relay");

    let seen = passes(&scene, "zeros before a length", &scene.post("Content-Length: 005\r\n", "hello"));
    assert_eq!((seen.all("content-length"), seen.content.as_slice()), (vec!["5"], &b"hello"[..]));
    // Programs that read names as variables would take these for the others: nobody gets to see them.
    let lines = "Content-Length: 5\r\nTransfer_Encoding: chunked\r\nContent_Length: 0\r\nContent.Length: 9\r\n";
    let seen = passes(&scene, "names alike", &scene.post(lines, "0\r\n\r\n"));
    assert_eq!((seen.all("content-length"), seen.content.as_slice()), (vec!["5"], &b"0\r\n\r\n"[..]));
    for gone in ["transfer-encoding", "transfer_encoding", "content_length", "content.length"] {
        assert_eq!(seen.all(gone), [""; 0], "{gone}");
    }
}

#[test]
fn nobody_takes_framing_or_host_away_with_connection() {
    let scene = Scene::start();
    let lines = "Connection: X-Hop, Content-Length, Host, Transfer-Encoding, X-Forwarded-For, Cookie\r\nX-Hop: 1\r\n\
                 Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\n\
                 TE: gzip, trailers\r\nContent-Length: 5\r\n";
    let seen = passes(&scene, "fields named in Connection", &scene.post(lines, "hello"));
    assert_eq!((seen.all("content-length"), seen.content.as_slice()), (vec!["5"], &b"hello"[..]));
    assert_eq!(seen.all("host"), [scene.recorder.address().to_string()]);
    assert_eq!((seen.all("x-forwarded-for"), seen.all("te")), (vec!["127.0.0.1"], vec!["trailers"]));
    for gone in ["x-hop", "keep-alive", "proxy-connection", "proxy-authorization", "transfer-encoding"] {
        assert_eq!(seen.all(gone), [""; 0], "{gone}");
    }
}

#[test]
fn an_upgrade_that_would_carry_requests_is_not_offered() {
    let scene = Scene::start();
    let offers = [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: H2C\r\n",
        "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c-14\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: websocket\r\n",
    ];
    for offer in offers {
        let seen = passes(&scene, offer, &scene.post(&format!("{offer}Content-Length: 0\r\n"), ""));
        for gone in ["upgrade", "http2-settings"] {
            assert_eq!(seen.all(gone), [""; 0], "{offer}");
        }
    }
    // Content would be what the other protocol begins with.
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 5\r\n";
    let seen = passes(&scene, "an upgrade with content", &scene.post(lines, "hello"));
    assert_eq!((seen.all("upgrade"), seen.content.as_slice()), (vec![], &b"hello"[..]));
}

#[test]
fn targets_and_versions_come_in_one_form() {
    let scene = Scene::start();
    let host = &scene.client.host;
    let seen = passes(&scene, "absolute form", &format!("GET HTTPS://{host}/a?b HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(seen.line, "GET /a?b HTTP/1.1");
    assert_eq!(seen.all("host"), [scene.recorder.address().to_string()]);
    let seen = passes(&scene, "an empty line first", &format!("\r\nGET /a HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(seen.line, "GET /a HTTP/1.1");
    let old = format!("POST /a HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello");
    let seen = passes(&scene, "HTTP/1.0", &old);
    assert_eq!((seen.line.as_str(), seen.content.as_slice()), ("POST /a HTTP/1.1", &b"hello"[..]));
}

#[test]
fn whoever_expects_to_go_on_and_does_not_wait_loses_nothing() {
    let scene = Scene::start();
    // The application says nothing of it before all has come, and answers once.
    let seen = passes(&scene, "Expect", &scene.post("Expect: 100-Continue\r\nContent-Length: 5\r\n", "hello"));
    assert_eq!((seen.all("expect"), seen.content.as_slice()), (vec!["100-continue"], &b"hello"[..]));
    let seen =
        passes(&scene, "Expect without content", &scene.post("Expect: 100-continue\r\nContent-Length: 0\r\n", ""));
    assert_eq!(seen.all("expect"), [""; 0]);
}
