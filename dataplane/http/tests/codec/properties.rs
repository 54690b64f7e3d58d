//! Properties over generated and mutated messages; the invariants themselves stand in `entries`.

use crate::entries;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Lines that are often valid together and often not.
fn request_text() -> impl Strategy<Value = Vec<u8>> {
    let start = select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a/b?c=d HTTP/1.1\r\n",
        "PROPFIND /x%20y HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "GET http://a/ HTTP/1.1\r\n",
        "OPTIONS http://a HTTP/1.1\r\n",
        "CONNECT a:1 HTTP/1.1\r\n",
        "GET /a%2fb HTTP/1.1\r\n",
        "\r\nGET /;x/..a HTTP/1.1\r\n",
    ]);
    let line = select(vec![
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close, x\r\n",
        "Connection: upgrade\r\n",
        "Upgrade: websocket\r\n",
        "TE: trailers\r\n",
        "Expect: 100-continue\r\n",
        "Accept:*/*  \r\n",
        "Cookie: a=b\r\n",
        "X: y\t\u{e4}\r\n",
        "x-empty:\r\n",
        "Via: 1.1 z\r\n",
    ]);
    let host = select(vec!["Host: a\r\n", "Host: A:1\r\n", "HOST: [::1]\r\n", ""]);
    let rest =
        select(vec!["", "hello", "5\r\nhello\r\n0\r\n\r\n", "1\r\na\r\n0\r\nx: y\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"]);
    (start, host, vec(line, 0..6), rest)
        .prop_map(|(start, host, lines, rest)| [start, host, &lines.concat(), "\r\n", rest].concat().into_bytes())
}

fn response_text() -> impl Strategy<Value = Vec<u8>> {
    let start = select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 200\r\n",
        "HTTP/1.1 204 Nothing\r\n",
        "HTTP/1.1 304 Not Modified\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n",
        "HTTP/1.1 103 Early Hints\r\n",
        "HTTP/1.1 426 X\r\n",
    ]);
    let line = select(vec![
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: keep-alive\r\n",
        "Connection: upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Set-Cookie: a=b\r\n",
        "Server: x\r\n",
        "X:\r\n",
    ]);
    let rest = select(vec!["", "hello", "5\r\nhello\r\n0\r\n\r\n", "0\r\nx: y\r\n\r\n"]);
    (0u8..8, start, vec(line, 0..5), rest).prop_map(|(choice, start, lines, rest)| {
        [&[choice], start.as_bytes(), lines.concat().as_bytes(), b"\r\n", rest.as_bytes()].concat()
    })
}

fn chunked_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "5\r\nhello\r\n",
        "1;a=b\r\nx\r\n",
        "00a;q=\"\\\"\"\r\n0123456789\r\n",
        "0\r\n\r\n",
        "0\r\nx: y\r\ndate: z\r\n\r\n",
        "0\r\nhost: y\r\n\r\n",
        "2\r\nabc\r\n",
        "3 \r\nabc\r\n",
    ]);
    vec(piece, 0..5).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Fields that nobody but Postern may say, in many spellings, beside others.
fn field_lines() -> impl Strategy<Value = Vec<u8>> {
    let name = select(vec![
        "X-Forwarded-For",
        "x_forwarded_host",
        "X-Postern-User",
        "x.postern.mail",
        "Remote_User",
        "Client-Cert",
        "Content_Length",
        "Proxy",
        "X-App-Id",
        "x-apps",
        "Cookie",
        "Set-Cookie",
    ]);
    let value = select(vec![
        "1",
        "a=b; postern-session-own=x",
        "Postern-Session-other=y",
        "=postern-flow=z; Path=/",
        "",
        "k=v",
    ]);
    vec((name, value), 0..8).prop_map(|lines| {
        lines.iter().flat_map(|(name, value)| [*name, ":", value, "\n"]).collect::<String>().into_bytes()
    })
}

/// The text, or the text with one byte changed, removed or doubled.
fn mutated(text: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), select(b"\r\n\t\0 :;,/.%\\0".to_vec())];
    (text, any::<prop::sample::Index>(), byte, 0u8..6).prop_map(|(mut text, at, byte, how)| {
        if !text.is_empty() {
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => drop(text.remove(at)),
                2 => text.insert(at, byte),
                3 => text.truncate(at),
                _ => {}
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn requests_hold_the_invariants(text in mutated(request_text())) {
        entries::request(&text);
    }

    #[test]
    fn responses_hold_the_invariants(text in mutated(response_text())) {
        entries::response(&text);
    }

    #[test]
    fn chunked_content_holds_the_invariants(text in mutated(chunked_text())) {
        entries::chunked(&text);
    }

    #[test]
    fn heads_from_the_tunnel_hold_the_invariants(text in request_text(), at: prop::sample::Index, byte: u8, change: bool) {
        let parsed = postern_http::h1::RequestParser::new(Default::default()).parse(&text);
        if let Ok(Some((head, _))) = parsed {
            let mut bytes = Vec::new();
            head.encode(&mut bytes);
            if change {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            entries::wire(&bytes);
        }
    }

    #[test]
    fn fields_of_ours_hold_the_invariants(text in mutated(field_lines())) {
        entries::ours::ours(&text);
    }

    #[test]
    fn any_bytes_hold_the_invariants(bytes in vec(any::<u8>(), 0..200)) {
        entries::request(&bytes);
        entries::response(&bytes);
        entries::chunked(&bytes);
        entries::wire(&bytes);
    }
}
