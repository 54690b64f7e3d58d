//! Messages of real clients, messages built here, and broken ones.

use proptest::prelude::*;

use super::*;

/// Sent by `openssl s_client -servername app.example.com -alpn h2,http/1.1`.
const OPENSSL: &[u8] = include_bytes!("../../../../tests/fuzz/corpus/client-hello/openssl-tls13");
const OPENSSL_TLS12: &[u8] = include_bytes!("../../../../tests/fuzz/corpus/client-hello/openssl-tls12-no-sni");

fn parse(bytes: &[u8]) -> Result<Owned, ClientHelloInvalid> {
    match ClientHelloParser::new(CLIENT_HELLO_BYTES_MAX).advance(bytes) {
        Progress::Done(hello) => Ok(Owned::from(hello)),
        Progress::Invalid(invalid) => Err(invalid),
        Progress::Incomplete => panic!("incomplete"),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Owned {
    sni: Option<String>,
    alpn: Vec<Vec<u8>>,
    tls12: bool,
    tls13: bool,
}

impl From<ClientHello<'_>> for Owned {
    fn from(hello: ClientHello<'_>) -> Self {
        Self {
            sni: hello.sni.map(str::to_owned),
            alpn: hello.alpn.iter().map(<[u8]>::to_vec).collect(),
            tls12: hello.versions.offers(0x0303),
            tls13: hello.versions.offers_tls13(),
        }
    }
}

fn vec16(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes()[..], content].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vec16(body)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &vec16(&[&[0][..], &vec16(name)].concat()))
}

/// A message with these extensions, its handshake header included.
fn message(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(vec16(extensions));
    let length = (body.len() as u32).to_be_bytes();
    [&[1], &length[1..], &body].concat()
}

/// The message cut into records of these many bytes.
fn records(message: &[u8], bytes: usize) -> Vec<u8> {
    message.chunks(bytes).flat_map(|part| [&[22, 3, 1][..], &vec16(part)].concat()).collect()
}

fn with(extensions: &[u8]) -> Result<Owned, ClientHelloInvalid> {
    parse(&records(&message(extensions), 1 << 14))
}

fn malformed(field: &'static str) -> Result<Owned, ClientHelloInvalid> {
    Err(ClientHelloInvalid::Malformed { field })
}

#[test]
fn real_clients_are_understood() {
    let hello = parse(OPENSSL).unwrap();
    assert_eq!(hello.sni.as_deref(), Some("app.example.com"));
    assert_eq!(hello.alpn, [&b"h2"[..], b"http/1.1"]);
    assert!(hello.tls12 && hello.tls13);
    let hello = parse(OPENSSL_TLS12).unwrap();
    assert_eq!((hello.sni, hello.tls12, hello.tls13), (None, true, false));
}

#[test]
fn every_prefix_is_incomplete() {
    let mut parser = ClientHelloParser::new(CLIENT_HELLO_BYTES_MAX);
    for length in 0..OPENSSL.len() {
        assert_eq!(parser.advance(&OPENSSL[..length]), Progress::Incomplete);
    }
    assert!(matches!(parser.advance(OPENSSL), Progress::Done(_)));
}

#[test]
fn the_message_may_span_records_and_segments() {
    let whole = parse(OPENSSL).unwrap();
    for bytes in [1, 2, 3, 4, 5, 100, 338] {
        let split = records(&OPENSSL[5..], bytes);
        assert_eq!(parse(&split).as_ref(), Ok(&whole), "records of {bytes}");
        let mut parser = ClientHelloParser::new(CLIENT_HELLO_BYTES_MAX);
        for length in 0..split.len() {
            assert_eq!(parser.advance(&split[..length]), Progress::Incomplete);
        }
        let Progress::Done(hello) = parser.advance(&split) else {
            panic!("the message is whole");
        };
        assert_eq!(Owned::from(hello), whole);
    }
}

#[test]
fn early_data_after_it_does_not_matter() {
    let mut bytes = OPENSSL.to_vec();
    bytes.extend([23, 3, 3, 0, 2, 1, 2]);
    assert!(parse(&bytes).is_ok());
}

#[test]
fn plain_http_is_told_from_other_protocols() {
    for request in [&b"GET / HTTP/1.1\r\n"[..], b"POST /x", b"PRI * HTTP/2.0\r\n\r\n"] {
        assert_eq!(parse(request), Err(ClientHelloInvalid::PlainHttp));
    }
    let mut parser = ClientHelloParser::new(CLIENT_HELLO_BYTES_MAX);
    assert_eq!(parser.advance(b"GE"), Progress::Incomplete);
    assert_eq!(parser.advance(b"GET"), Progress::Incomplete);
    let not_tls = |first| Err(ClientHelloInvalid::NotTls { first });
    assert_eq!(parse(b"SSH-2.0-x\r\n"), not_tls(b'S'));
    assert_eq!(parse(b"GEX"), not_tls(b'G'));
    assert_eq!(parse(&[0x80, 0x2e, 1, 0, 2]), not_tls(0x80));
}

#[test]
fn records_are_checked_before_their_content_is_there() {
    assert_eq!(parse(&[21, 3, 1]), Err(ClientHelloInvalid::NotHandshake { kind: 21 }));
    let version = ClientHelloInvalid::RecordVersion { major: 2, minor: 0 };
    assert_eq!(parse(&[22, 2, 0, 0, 9]), Err(version));
    for length in [0_usize, 16_385] {
        let [high, low] = (length as u16).to_be_bytes();
        let bytes = [22, 3, 1, high, low];
        assert_eq!(parse(&bytes), Err(ClientHelloInvalid::RecordLength { length }));
    }
    let mut second = records(&OPENSSL[5..105], 100);
    second.extend([23, 3, 3, 0, 1]);
    assert_eq!(parse(&second), Err(ClientHelloInvalid::NotHandshake { kind: 23 }));
}

#[test]
fn only_a_client_hello_of_bounded_length_is_read() {
    let not_hello = ClientHelloInvalid::NotClientHello { kind: 2 };
    assert_eq!(parse(&[22, 3, 1, 0, 9, 2]), Err(not_hello));
    let long = ClientHelloInvalid::TooLong { length: 16_388, max: 16_384 };
    assert_eq!(parse(&[22, 3, 1, 0, 9, 1, 0, 0x40, 0]), Err(long));
    let trickle = records(&[&[1, 0, 0x3f, 0][..], &[0; 10_000]].concat(), 1);
    assert!(matches!(parse(&trickle), Err(ClientHelloInvalid::TooLong { .. })));
    let mut trailing = message(&[]);
    trailing.extend([0, 0]);
    let expected = Err(ClientHelloInvalid::Trailing { bytes: 2 });
    assert_eq!(parse(&records(&trailing, 1 << 14)), expected);
    assert_eq!(parse(&records(&trailing, 1 << 14)[..9]), expected, "known from the lengths");
}

#[test]
fn extensions_are_optional() {
    let mut bare = message(&[]);
    bare.truncate(bare.len() - 2);
    let length = (bare.len() - 4) as u8;
    bare[3] = length;
    let hello = parse(&records(&bare, 1 << 14)).unwrap();
    assert_eq!(hello, with(&[]).unwrap());
    assert_eq!((hello.sni, hello.tls12, hello.tls13), (None, true, false));
}

#[test]
fn names_are_host_names() {
    let name = |name: &[u8]| with(&sni(name)).map(|hello| hello.sni);
    for good in ["a", "App.Example.COM", "w0-g1.r1.tunnel.postern.internal", "x_y.de"] {
        assert_eq!(name(good.as_bytes()), Ok(Some(good.to_owned())));
    }
    let long = [&b"a.".repeat(126)[..], b"aa"].concat();
    assert_eq!(long.len(), 254);
    for bad in [&b""[..], b"a..b", b".a", b"a.", b"a b", b"a\0", b"\xff", &[b'a'; 64], &long, b"[::1]"] {
        assert_eq!(name(bad), Err(ClientHelloInvalid::Malformed { field: "server name" }), "{bad:?}");
    }
}

#[test]
fn extensions_come_once_and_whole() {
    let twice = [sni(b"a"), sni(b"b")].concat();
    assert_eq!(with(&twice), malformed("server name"));
    let two_names = extension(0, &vec16(&[0, 0, 1, b'a', 0, 0, 1, b'b']));
    assert_eq!(with(&two_names), malformed("server name"));
    assert_eq!(with(&extension(0, &[])), malformed("server name"));
    assert_eq!(with(&extension(16, &vec16(&[]))), malformed("alpn"));
    assert_eq!(with(&extension(16, &vec16(&[0]))), malformed("alpn"));
    assert_eq!(with(&extension(16, &vec16(&[3, b'h', b'2']))), malformed("alpn"));
    assert_eq!(with(&extension(16, &[&vec16(&[2, b'h', b'2'])[..], &[0]].concat())), malformed("alpn"));
    assert_eq!(with(&extension(43, &[3, 3, 4, 3])), malformed("supported versions"));
    assert_eq!(with(&extension(43, &[0])), malformed("supported versions"));
    assert_eq!(with(&[0, 0, 0, 9, 1]), malformed("extension"));
    assert_eq!(with(&[0]), malformed("extension type"));
    let unknown = [extension(0xfafa, &[1]), extension(0xfafa, &[1])].concat();
    assert!(with(&unknown).is_ok(), "what is not read is not judged");
}

#[test]
fn fixed_fields_are_checked() {
    let change = |at: usize, value: u8| {
        let mut message = message(&[]);
        message[at] = value;
        parse(&records(&message, 1 << 14))
    };
    assert_eq!(change(4, 2), malformed("version"));
    assert_eq!(change(38, 33), malformed("session id"));
    assert_eq!(change(40, 3), malformed("cipher suites"));
    assert_eq!(change(43, 0), malformed("compression methods"));
}

proptest! {
    #[test]
    fn cuts_and_damage_never_confuse(
        record_bytes in 1_usize..400,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in 0_usize..700,
    ) {
        let mut bytes = records(&OPENSSL[5..], record_bytes);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(length.max(1));
        crate::fuzz::client_hello(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::client_hello(&bytes);
        let mut framed = vec![22, 3, 1, 1, 44, 1, 0, 1, 40];
        framed.extend(bytes);
        crate::fuzz::client_hello(&framed);
    }
}
