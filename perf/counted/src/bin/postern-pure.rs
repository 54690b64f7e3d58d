//! Repeats one piece of pure work, for callgrind to count its instructions: `postern-pure WORK REPETITIONS`.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use postern_http::h1::{RequestParser, ResponseContext, ResponseParser, encode_request, encode_response};
use postern_http::{Method, RequestHead, ResponseHead, Version};
use postern_model::ids::{AppId, ConnectorId, RelayId, RequestId, TenantId};
use postern_tunnel::client_hello::{ClientHelloParser, Progress};
use postern_tunnel::{Connection, Event, ExternalScheme, Hello, Identity, OpenMeta, Output, StreamKind};

/// As a browser sends it.
const REQUEST: &[u8] = b"GET /reports/2024/q3?sort=name&page=2 HTTP/1.1\r\nHost: app.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://app.example.com/reports\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nConnection: keep-alive\r\n\r\n";
/// As an application answers it.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 06 Jan 2025 10:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 100\r\nCache-Control: private, no-cache\r\n\
    Vary: Accept-Encoding\r\nSet-Cookie: seen=1; Path=/; HttpOnly; Secure; SameSite=Lax\r\n\r\n";
const CLIENT_HELLO: &[u8] = include_bytes!("../../../../tests/fuzz/corpus/client-hello/openssl-tls13");
const CLIENT_HELLO_BYTES_MAX: usize = 16 * 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("postern-pure: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, repetitions] = arguments.as_slice() else { bail!("usage: postern-pure WORK REPETITIONS") };
    let repetitions = repetitions.parse().context("REPETITIONS")?;
    match work.as_str() {
        "http-request-head" => request_heads(repetitions),
        "http-response-head" => response_heads(repetitions),
        "tunnel-exchange" => exchanges(repetitions),
        "client-hello" => client_hellos(repetitions),
        other => bail!("no work is called {other}"),
    }
}

/// A request's head on its way: parsed, sealed for the tunnel, opened, written for the backend.
fn request_heads(repetitions: u64) -> Result<()> {
    let limits = postern_http::Limits::default();
    let mut parser = RequestParser::new(limits);
    let mut opened = RequestHead::default();
    let (mut sealed, mut written) = (Vec::new(), Vec::new());
    for _ in 0..repetitions {
        sealed.clear();
        written.clear();
        let (head, _) = parser.parse(black_box(REQUEST))?.context("the head is whole")?;
        head.encode(&mut sealed);
        opened.decode_again(black_box(&sealed), &limits)?;
        encode_request(&opened, &mut written);
        black_box(&written);
        parser.recycle(head);
    }
    Ok(())
}

/// The same with an answer's head, the other way.
fn response_heads(repetitions: u64) -> Result<()> {
    let limits = postern_http::Limits::default();
    let mut parser = ResponseParser::new(limits);
    let mut opened = ResponseHead::default();
    let (mut sealed, mut written) = (Vec::new(), Vec::new());
    for _ in 0..repetitions {
        sealed.clear();
        written.clear();
        let (head, _) = parser.parse(black_box(RESPONSE), &Method::Get, false)?.context("the head is whole")?;
        head.encode(&mut sealed);
        opened.decode_again(black_box(&sealed), &limits)?;
        let context = ResponseContext { method: &Method::Get, version: Version::Http11, keep_alive: true };
        encode_response(&opened, context, &mut written);
        black_box(&written);
        parser.recycle(head);
    }
    Ok(())
}

fn client_hellos(repetitions: u64) -> Result<()> {
    for _ in 0..repetitions {
        let mut parser = ClientHelloParser::new(CLIENT_HELLO_BYTES_MAX);
        ensure!(matches!(parser.advance(black_box(CLIENT_HELLO)), Progress::Done(_)), "no ClientHello");
    }
    Ok(())
}

/// One request and its answer of 100 bytes through both ends of a tunnel.
fn exchanges(repetitions: u64) -> Result<()> {
    let mut tunnel = Tunnel::new()?;
    for number in 0..repetitions {
        tunnel.exchange(number)?;
    }
    Ok(())
}

struct Tunnel {
    relay: Connection,
    connector: Connection,
    output: Output,
    now: Duration,
    body: Bytes,
}

const HEAD: &[u8] = &[b'h'; 160];

impl Tunnel {
    fn new() -> Result<Tunnel> {
        let relay = Identity::Relay { relay: RelayId(1), generation: 1, workers: 1, worker: 0 };
        let connector = Identity::Connector { connector: ConnectorId { tenant: TenantId(1), seq: 1 } };
        let end = |identity| {
            let hello = Hello { identity, software: "postern-pure".into(), has_keytab: false };
            Connection::new(&hello, postern_tunnel::Limits::default(), Duration::ZERO)
        };
        let mut tunnel = Tunnel {
            relay: end(relay),
            connector: end(connector),
            output: Output::new(),
            now: Duration::ZERO,
            body: Bytes::from_static(&[b'b'; 100]),
        };
        tunnel.carry(true)?;
        tunnel.carry(false)?;
        while tunnel.relay.poll_event().is_some() || tunnel.connector.poll_event().is_some() {}
        Ok(tunnel)
    }

    /// What one end has to say, joined as a record of TLS would, to the other.
    fn carry(&mut self, to_connector: bool) -> Result<()> {
        let (from, to) =
            if to_connector { (&mut self.relay, &mut self.connector) } else { (&mut self.connector, &mut self.relay) };
        while from.poll_output(&mut self.output) {}
        let mut joined = BytesMut::with_capacity(self.output.bytes());
        for segment in self.output.drain() {
            joined.extend_from_slice(&segment);
        }
        to.handle_input(joined.freeze(), self.now)?;
        Ok(())
    }

    fn exchange(&mut self, number: u64) -> Result<()> {
        self.now += Duration::from_micros(50);
        let meta = OpenMeta {
            app: AppId { tenant: TenantId(1), seq: 1 },
            request: RequestId(u128::from(number)),
            client: ([192, 0, 2, 1], 50_000).into(),
            scheme: ExternalScheme::Https,
            kind: StreamKind::Http,
            session: None,
            sso_login: None,
        };
        self.relay.open(&meta, HEAD, true)?;
        self.carry(true)?;
        let Some(Event::Open { stream, .. }) = self.connector.poll_event() else { bail!("no stream was opened") };
        self.connector.send_head(stream, HEAD, false)?;
        let sent = self.connector.send_data(stream, &mut self.body.clone(), true)?;
        let _ = black_box(sent);
        self.carry(false)?;
        let mut received = 0;
        while let Some(event) = self.relay.poll_event() {
            if let Event::Data { stream, data, .. } = event {
                received += data.len();
                self.relay.consumed(stream, data.len());
            }
        }
        ensure!(received == self.body.len(), "{received} bytes came back");
        Ok(())
    }
}
