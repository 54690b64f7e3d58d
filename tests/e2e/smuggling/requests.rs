//! Requests of HTTP/1.1 that two programs could read in two ways: each is refused, and its connection closed.

use super::Scene;

/// What it is, its bytes, and the status that refuses it.
type Attack = (&'static str, String, u16);

impl Scene {
    /// Sends each attack with a request hidden behind it, on a connection of its own.
    fn refuses(&self, attacks: Vec<Attack>) {
        for (what, bytes, status) in attacks {
            let before = self.recorder.requests().len();
            let mut connection = self.client.connect().unwrap();
            connection.send(&[bytes.as_bytes(), self.smuggled().as_bytes()].concat()).unwrap();
            let answer = connection.answer("POST");
            let answer = answer.unwrap_or_else(|error| panic!("{what}: {error:#}\n{}", self.world.logs()));
            assert_eq!(answer.status, status, "{what}: {}", answer.text());
            let (rest, closed) = connection.drain();
            assert!(closed && rest.is_empty(), "{what}: {:?}", String::from_utf8_lossy(&rest));
            self.saw(what, before, 0);
        }
        self.serves("after all of them");
    }
}

#[test]
fn lengths_and_codings_that_contradict_each_other() {
    let scene = Scene::start();
    let with = |lines: &str| scene.post(lines, "0\r\n\r\n");
    let mut attacks = vec![
        ("CL.TE", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
        ("TE.CL", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400),
        ("TE in HTTP/1.0", with("Transfer-Encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0"), 400),
        ("two lengths", with("Content-Length: 5\r\nContent-Length: 0\r\n"), 400),
        ("two equal lengths", with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400),
        ("two codings", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 400),
        ("a coding behind a bare LF", with("X: a\nTransfer-Encoding: chunked\r\n"), 400),
        ("a coding behind a bare CR", with("X: a\rTransfer-Encoding: chunked\r\n"), 400),
        ("a folded coding", with("Transfer-Encoding:\r\n chunked\r\n"), 400),
        ("a coding in the second line", with("X: a\r\n Transfer-Encoding: chunked\r\n"), 400),
        ("a coding in the first line", with(" Transfer-Encoding: chunked\r\n"), 400),
        ("a space before the colon", with("Transfer-Encoding : chunked\r\n"), 400),
        ("a tab before the colon", with("Content-Length\t: 5\r\n"), 400),
        ("NUL in the name", with("Transfer-Encoding\0: chunked\r\n"), 400),
    ];
    for length in
        ["5, 5", "+5", "-1", "0x5", "5 5", "5.0", "1e1", "", "18446744073709551616", "\u{ff15}", "5;", "\"5\""]
    {
        attacks.push(("an odd length", with(&format!("Content-Length: {length}\r\n")), 400));
    }
    for coding in ["chunked, identity", "gzip, chunked", "chunked, chunked", "chunked;q=1", "\"chunked\"", ", chunked"]
    {
        attacks.push(("an odd coding", with(&format!("Transfer-Encoding: {coding}\r\n")), 400));
    }
    for coding in ["\x0bchunked", "chunked\x0c", "chunked\0", "\x7fchunked", "chun ked", "\u{a0}chunked", ""] {
        attacks.push(("an obscured coding", with(&format!("Transfer-Encoding: {coding}\r\n")), 400));
    }
    // RFC 9112 §6.1: what cannot be decoded is not implemented.
    for coding in ["xchunked", "identity", "gzip", "chunked-false"] {
        attacks.push(("an unknown coding", with(&format!("Transfer-Encoding: {coding}\r\n")), 501));
    }
    scene.refuses(attacks);
}

#[test]
fn chunks_that_are_not_as_they_should_be() {
    let scene = Scene::start();
    let chunked = |content: &str| scene.post("Transfer-Encoding: chunked\r\n", content);
    let mut attacks = Vec::new();
    let sizes = ["5 ", " 5", "5\t", "+5", "-5", "0x5", "5_", "", "g", "00000000000000005", "ffffffffffffffff5"];
    for size in sizes {
        attacks.push(("an odd size", chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n")), 400));
    }
    let long = format!("a={}", "b".repeat(300));
    for extension in ["", " a", "a b", "a=", "a= b", "a=\"b", "=b", "a\0", "a=b;", &long] {
        attacks.push(("an odd extension", chunked(&format!("5;{extension}\r\nhello\r\n0\r\n\r\n")), 400));
    }
    for content in [
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5\rXhello\r\n0\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "3\r\nhello\r\n0\r\n\r\n",
        "7\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n\r\n",
    ] {
        attacks.push(("odd ends of lines", chunked(content), 400));
    }
    for trailer in
        ["Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil.example", "Connection: close", "Trailer: x"]
    {
        attacks.push(("framing in a trailer", chunked(&format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n")), 400));
    }
    for trailer in [" folded", "X : a", "X: a\nY: b", "X: \0", "no colon", ": a"] {
        attacks.push(("an odd trailer", chunked(&format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n")), 400));
    }
    let long = "X: y\r\n".repeat(2_000);
    attacks.push(("trailers without end", chunked(&format!("5\r\nhello\r\n0\r\n{long}\r\n")), 431));
    scene.refuses(attacks);
}

#[test]
fn request_lines_and_targets_that_say_two_things() {
    let scene = Scene::start();
    let host = scene.client.host.clone();
    let line = |line: &str| format!("{line}\r\nHost: {host}\r\n\r\n");
    let mut attacks = vec![
        ("HTTP/0.9", "GET /attack\r\n".to_owned(), 400),
        ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        ("HTTP/2.0", line("GET /attack HTTP/2.0"), 505),
        ("HTTP/1.2", line("GET /attack HTTP/1.2"), 505),
        ("a bare LF", format!("GET /attack HTTP/1.1\nHost: {host}\n\n"), 400),
        ("a bare CR", format!("GET /attack HTTP/1.1\rHost: {host}\r\r"), 400),
        ("two empty lines first", format!("\r\n\r\n{}", line("GET /attack HTTP/1.1")), 400),
        ("another CONNECT", line("CONNECT evil.example:443 HTTP/1.1"), 400),
        ("CONNECT to a path", line("CONNECT /attack HTTP/1.1"), 400),
        ("another host in the target", line("GET http://evil.example/attack HTTP/1.1"), 400),
        ("a user in the target", line(&format!("GET http://eve@{host}/attack HTTP/1.1")), 400),
        ("another scheme", line(&format!("GET ftp://{host}/attack HTTP/1.1")), 400),
        ("a target that is too long", line(&format!("GET /{} HTTP/1.1", "x".repeat(9_000))), 414),
    ];
    for odd in [
        "get  /a HTTP/1.1",
        "GET\t/a HTTP/1.1",
        " GET /a HTTP/1.1",
        "GET /a HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET /a http/1.1",
    ] {
        attacks.push(("an odd request line", line(odd), 400));
    }
    for method in ["GE(T", "G\0ET", "G\u{e4}T", "GET:", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"] {
        attacks.push(("an odd method", line(&format!("{method} /attack HTTP/1.1")), 400));
    }
    let targets = [
        "*",
        "attack",
        "/a#b",
        "/a\\b",
        "/a%5cb",
        "/a%00",
        "/a%0d%0aX:1",
        "/a%2fb",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/..;/b",
    ];
    for target in targets.into_iter().chain(["/a\x01", "/a\x7f", "/\u{e4}", "/a%", "/a%u0041", "/a?\u{e4}", "/<a>"]) {
        attacks.push(("an odd target", line(&format!("GET {target} HTTP/1.1")), 400));
    }
    scene.refuses(attacks);
}

#[test]
fn fields_that_are_none_and_hosts_that_are_two() {
    let scene = Scene::start();
    let host = scene.client.host.clone();
    let get = |lines: &str| format!("GET /attack HTTP/1.1\r\n{lines}\r\n");
    let with = |lines: &str| get(&format!("Host: {host}\r\n{lines}"));
    let mut attacks = vec![
        ("no host", get(""), 400),
        ("two hosts", with("Host: evil.example\r\n"), 400),
        ("two equal hosts", with(&format!("Host: {host}\r\n")), 400),
        ("a second host that is hidden", with("X: a\r\n Host: evil.example\r\n"), 400),
        ("no list of tokens in Connection", with("Connection: close x\r\n"), 400),
        ("another expectation", with("Expect: 200-ok\r\n"), 417),
        ("two expectations", with("Expect: 100-continue\r\nExpect: 100-continue\r\n"), 417),
        ("a name that is too long", with(&format!("{}: x\r\n", "n".repeat(300))), 431),
        ("too many fields", with(&"X: y\r\n".repeat(200)), 431),
        ("a head that is too large", with(&format!("X: {}\r\n", "y".repeat(40_000))), 431),
    ];
    for odd in
        ["", "a b", "a,b", "a@b", "a/b", "a:", "a:0", "[::1", "a%2eb", "http://a", "\u{e4}", "a\\b", "a?b", "a\tb"]
    {
        attacks.push(("an odd host", get(&format!("Host: {odd}\r\n")), 400));
    }
    for odd in [
        "X",
        ": a",
        "X : a",
        "X[1]: a",
        "\"X\": a",
        "X\u{e4}: a",
        "X\0: a",
        "X: a\0",
        "X: a\x1b",
        "X: a\x7f",
        "X: a\x08",
    ] {
        attacks.push(("an odd field", with(&format!("{odd}\r\n")), 400));
    }
    for odd in ["X: a\r\n folded\r\n", "X: a\r\n\tfolded\r\n", "X: a\n", "X: a\r\r\n", "X: a\rY: b\r\n"] {
        attacks.push(("odd ends of lines", with(odd), 400));
    }
    scene.refuses(attacks);
}

#[test]
fn another_applications_host_behind_this_ones_connection() {
    let scene = Scene::start();
    let before = scene.recorder.requests().len();
    let mut connection = scene.client.connect().unwrap();
    // Where the message ends is known: these are refused one by one.
    for host in ["evil.example", "127.0.0.1", "app.example.test.", &scene.recorder.address().to_string()] {
        connection.send(format!("GET /attack HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
        let answer = connection.answer("GET").unwrap();
        assert_eq!(answer.status, 421, "{host}: {}", answer.text());
    }
    let own = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", scene.client.host);
    connection.send(own.as_bytes()).unwrap();
    assert_eq!(connection.answer("POST").unwrap().status, 404, "a CONNECT to the application itself is no path of it");
    let asterisk = format!("OPTIONS * HTTP/1.1\r\nHost: {}\r\n\r\n", scene.client.host);
    connection.send(asterisk.as_bytes()).unwrap();
    assert_eq!(connection.answer("OPTIONS").unwrap().status, 404);
    connection.send_head("TRACE", "/attack", &[]).unwrap();
    assert_eq!(connection.answer("TRACE").unwrap().status, 405);
    scene.saw("other hosts", before, 0);
    scene.serves_on(&mut connection, "after other hosts");
}
