//! Proxies that answer in every way, told by hand and over real sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use postern_io::{Runtime, RuntimeOptions};
use postern_model::proxy::ProxyUrl;
use proptest::prelude::*;
use rustls::{ServerConnection, StreamOwned};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use super::asked::{ANSWER_BYTES_MAX, Asked};
use super::ring::Beyond;
use super::*;
use crate::resolve::{Names, Resolver};
use crate::tests::tls;

/// A proxy that is told this of who asks.
pub(crate) fn at(url: &str, authorization: Option<&str>) -> Proxy {
    let address = ProxyAddress::parse(url).unwrap();
    let who = authorization.map_or(Who::Nobody, |value| Who::Basic(Zeroizing::new(value.to_owned())));
    Proxy::new(address, who, None).unwrap()
}

/// One on the way to relays.
pub(crate) fn to_relays(proxy: Proxy) -> Proxies {
    let relays = ToRelays { proxy: Arc::new(proxy), except: NoProxy::default() };
    Proxies { relays: Some(relays), ..Proxies::default() }
}

const WHO: Option<&str> = Some("Basic YW5uYTpodW50ZXIy");

/// What is made of an answer that comes in one piece.
fn answered(proxy: &Proxy, answer: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
    Asked::begin(proxy, "relay.example", 443).unwrap().take(answer).map_err(|failed| failed.trouble)
}

#[test]
fn what_is_asked_names_the_host_and_who_asks() {
    let request = |proxy: &Proxy, host: &str| {
        let who = proxy.who.says().unwrap();
        let request = Asked::begin(proxy, host, 443).unwrap().request(who.as_deref().map(String::as_str));
        String::from_utf8(request.to_vec())
    };
    let known = request(&at("http://proxy:3128", WHO), "relay.example").unwrap();
    assert!(known.starts_with("CONNECT relay.example:443 HTTP/1.1\r\nHost: relay.example:443\r\n"), "{known}");
    assert!(known.ends_with("\r\nProxy-Authorization: Basic YW5uYTpodW50ZXIy\r\n\r\n"), "{known}");
    let unknown = request(&at("http://proxy:3128", None), "2001:db8::1").unwrap();
    assert!(unknown.starts_with("CONNECT [2001:db8::1]:443 HTTP/1.1\r\n") && !unknown.contains("Authorization"));
    let proxy = at("http://proxy:3128", WHO);
    assert!(!format!("{proxy:?} {:?}", to_relays(at("http://proxy:3128", WHO))).contains("YW5uYT"));
}

#[test]
fn a_2xx_connects_whatever_lengths_it_states() {
    let proxy = at("http://proxy:3128", None);
    for (answer, rest) in [
        ("HTTP/1.1 200 Connection established\r\n\r\n", ""),
        ("HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n", ""),
        ("HTTP/1.1 204 \r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n\x16\x03", "\x16\x03"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", "5\r\n"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nPRI", "PRI"),
    ] {
        assert_eq!(answered(&proxy, answer.as_bytes()), Ok(Some(rest.as_bytes().to_vec())), "{answer:?}");
    }
    assert_eq!(answered(&proxy, b"HTTP/1.1 200 OK\r\nVia: x\r\n"), Ok(None));
}

#[test]
fn others_are_told_apart() {
    let target = || String::from("relay.example:443");
    for (who, answer, trouble) in [
        (None, "HTTP/1.1 407 Who\r\n\r\n", Trouble::AsksWho),
        (WHO, "HTTP/1.1 407 Who\r\nContent-Length: 9\r\n\r\n<html>", Trouble::RefusesWho(407)),
        (WHO, "HTTP/1.0 401 Unauthorized\r\n\r\n", Trouble::RefusesWho(401)),
        (None, "HTTP/1.1 401 Unauthorized\r\n\r\n", Trouble::Refuses { target: target(), status: 401 }),
        (None, "HTTP/1.1 500 Unable to connect\r\n\r\n", Trouble::LeadsNowhere { target: target(), status: 500 }),
        (None, "HTTP/1.1 403 No\r\n\r\n", Trouble::Refuses { target: target(), status: 403 }),
        (
            None,
            "HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n",
            Trouble::Refuses { target: target(), status: 302 },
        ),
        (None, "HTTP/1.1 502 Bad\r\n\r\n", Trouble::LeadsNowhere { target: target(), status: 502 }),
        (None, "HTTP/1.1 504 Slow\r\n\r\n", Trouble::LeadsNowhere { target: target(), status: 504 }),
    ] {
        assert_eq!(answered(&at("http://proxy:3128", who), answer.as_bytes()), Err(trouble), "{answer}");
    }
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\x15\x03\x03\0\x02\x02\x32\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\nX: y\n\n",
        "HTTP/1.1 200 OK\r\nX y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "<html>\r\n\r\n",
    ] {
        let found = answered(&at("http://proxy:3128", None), garbage.as_bytes());
        assert!(matches!(found, Err(Trouble::NotHttp(_))), "{garbage:?}: {found:?}");
    }
}

#[test]
fn an_answer_without_end_is_cut() {
    let proxy = at("http://proxy:3128", None);
    let endless = |piece: &[u8], first: &[u8]| {
        let mut asked = Asked::begin(&proxy, "relay.example", 443).unwrap();
        let mut taken = asked.take(first).map(drop);
        let mut bytes = first.len();
        while taken.is_ok() {
            bytes += piece.len();
            assert!(bytes <= 2 * ANSWER_BYTES_MAX, "no end is seen");
            taken = asked.take(piece).map(drop);
        }
        taken.unwrap_err().trouble
    };
    assert!(matches!(endless(b"X-Filler: aaaaaaaaaaaaaaaa\r\n", b"HTTP/1.1 200 OK\r\n"), Trouble::NotHttp(_)));
    assert!(matches!(endless(&[b'a'; 1000], b""), Trouble::NotHttp(_)));
    assert_eq!(endless(b"HTTP/1.1 100 Continue\r\n\r\n", b""), Trouble::TooMuch);
}

#[test]
fn a_password_that_was_not_taken_rests() {
    let proxy = at("http://proxy:3128", WHO);
    assert_eq!(answered(&proxy, b"HTTP/1.1 407 Who\r\n\r\n"), Err(Trouble::RefusesWho(407)));
    let held = Asked::begin(&proxy, "relay.example", 443).map(drop).unwrap_err();
    assert!(held.trouble == Trouble::Held && held.to_string().contains("http://proxy:3128"), "{held}");
    let unknown = at("http://proxy:3128", None);
    assert_eq!(answered(&unknown, b"HTTP/1.1 407 Who\r\n\r\n"), Err(Trouble::AsksWho));
    assert!(Asked::begin(&unknown, "relay.example", 443).is_ok(), "there is no account to lock");
}

proptest! {
    #[test]
    fn no_answer_panics_and_pieces_are_the_same_as_the_whole(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "HTTP/1\\.[01] [1-5][0-9]{2}( [a-z]{0,9})?\r\n(([A-Z][a-z-]{0,8}|Content-Length): ?[a-z0-9]{0,9}\r\n){0,4}\r\n[ -~]{0,9}"
                .prop_map(String::into_bytes),
        ],
        piece in 1usize..20,
    ) {
        let proxy = at("http://proxy:3128", None);
        let whole = answered(&proxy, &bytes);
        let mut asked = Asked::begin(&proxy, "relay.example", 443).unwrap();
        let mut outcome = Ok(None);
        let mut fed = 0;
        for piece in bytes.chunks(piece) {
            fed += piece.len();
            outcome = asked.take(piece).map_err(|failed| failed.trouble);
            if !matches!(outcome, Ok(None)) {
                break;
            }
        }
        if let Ok(Some(rest)) = &mut outcome {
            rest.extend_from_slice(&bytes[fed..]);
        }
        prop_assert_eq!(outcome.ok(), whole.ok());
    }
}

/// A proxy on a port of its own that serves each connection by `serve`.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    port
}

/// Reads a head, answers, and gives back all that comes after it.
fn echoes(stream: &mut (impl Read + Write)) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nbeyond: ");
    let mut buffer = [0; 64];
    let bytes = stream.read(&mut buffer).unwrap_or(0);
    let _ = stream.write_all(&buffer[..bytes]);
    let _ = stream.flush();
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(1500)
}

fn heard(wire: &mut dyn crate::timed::Wire) -> String {
    wire.write_all(b"hello").unwrap();
    wire.flush().unwrap();
    let mut heard = [0; 13];
    wire.read_exact(&mut heard).unwrap();
    String::from_utf8(heard.to_vec()).unwrap()
}

#[test]
fn what_comes_behind_the_answer_is_for_who_asked() {
    let port = server(|mut stream| echoes(&mut stream));
    let proxy = at(&format!("http://127.0.0.1:{port}"), None);
    let mut wire = blocking::connect(&proxy, "relay.example", 443, soon()).unwrap();
    assert_eq!(heard(&mut *wire), "beyond: hello");
}

#[tokio::test]
async fn programs_on_tokio_go_the_same_way() {
    let port = server(|mut stream| echoes(&mut stream));
    let proxy = at(&format!("http://127.0.0.1:{port}"), WHO);
    let mut carrier = runtime::connect(&proxy, "relay.example", 443).await.unwrap();
    carrier.write_all(b"hello").await.unwrap();
    let mut heard = [0; 13];
    carrier.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"beyond: hello");
}

/// One that speaks TLS, and the certificate of its authority.
fn in_tls() -> (ProxyAddress, String) {
    let (config, pem) = tls::server(&["127.0.0.1"], 4000);
    let config = Arc::new(config);
    let port = server(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        echoes(&mut StreamOwned::new(connection, stream));
    });
    (ProxyUrl::parse(&format!("https://127.0.0.1:{port}")).unwrap().address, pem)
}

/// With TLS to come within, and without.
#[test]
fn a_ring_goes_through_a_proxy_in_tls() {
    let (address, pem) = in_tls();
    for tls in [true, false] {
        let roots = crate::backend::own_roots(&pem).unwrap();
        let proxy = Proxy::new(address.clone(), Who::Nobody, Some(&roots)).unwrap();
        let heard = Runtime::new(RuntimeOptions::default()).unwrap().run(async move {
            let names = Names::new(Resolver::none());
            let beyond = Beyond { host: "relay.example", port: 443, tls };
            let stream = ring::connect(&proxy, &names, beyond, Duration::from_secs(10)).await.unwrap();
            assert_eq!(stream.tls().version.is_none(), tls, "TLS begins on what is plain");
            stream.queue(b"hello");
            let mut heard = Vec::new();
            while heard.len() < 13 {
                let bytes = stream.read().await.unwrap();
                assert!(!bytes.is_empty(), "{heard:?}");
                heard.extend_from_slice(&bytes);
            }
            heard
        });
        assert_eq!(heard.unwrap(), b"beyond: hello");
    }
}

#[test]
fn a_proxy_in_tls_must_be_who_it_says() {
    let (address, pem) = in_tls();
    let roots = crate::backend::own_roots(&pem).unwrap();
    let trusted = Proxy::new(address.clone(), Who::Nobody, Some(&roots)).unwrap();
    let mut wire = blocking::connect(&trusted, "relay.example", 443, soon()).unwrap();
    assert_eq!(heard(&mut *wire), "beyond: hello");
    let (_, other) = tls::server(&["127.0.0.1"], 4000);
    let roots = crate::backend::own_roots(&other).unwrap();
    let stranger = Proxy::new(address, Who::Nobody, Some(&roots)).unwrap();
    let failed = blocking::connect(&stranger, "relay.example", 443, soon()).map(drop).unwrap_err();
    assert!(matches!(failed.trouble, Trouble::Tls(_)), "{failed}");
}

#[test]
fn one_that_is_silent_drips_or_is_gone_is_given_up_in_time() {
    let drips = server(|mut stream| {
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    });
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let ends = server(drop);
    for (port, trouble) in
        [(drips, Trouble::Slow), (silent.local_addr().unwrap().port(), Trouble::Slow), (ends, Trouble::Ended)]
    {
        let begun = Instant::now();
        let proxy = at(&format!("http://127.0.0.1:{port}"), None);
        let failed = blocking::connect(&proxy, "relay.example", 443, soon()).map(drop).unwrap_err();
        assert_eq!(failed.trouble, trouble, "{failed}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{failed}");
    }
    let failed = blocking::connect(&at(&format!("http://127.0.0.1:{closed}"), None), "r", 443, soon()).map(drop);
    assert!(matches!(failed.unwrap_err().trouble, Trouble::Unreachable(_)));
}
