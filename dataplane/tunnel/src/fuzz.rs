//! What the fuzz targets run, here so that the corpus is replayed by an ordinary test as well.

use std::time::Duration;

use bytes::Bytes;
use postern_model::ids::{AppId, ConnectorId, RelayId, RequestId, TenantId};

use crate::client_hello::{CLIENT_HELLO_BYTES_MAX, ClientHelloParser, Progress};
use crate::{
    Cancel, CancelCode, Connection, Culprit, Event, ExternalScheme, Hello, Identity, Limits, OpenMeta, Output, Role,
    SsoLogin, StreamKind,
};

/// The first byte chooses role and how the rest is cut; the rest is what a peer sends after its HELLO.
pub fn connection(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let (role, peer) = if choice & 1 == 0 { (Role::Connector, Role::Relay) } else { (Role::Relay, Role::Connector) };
    let mut end = Connection::new(&hello(role), Limits::default(), Duration::ZERO);
    meet(&mut end, peer);
    if role == Role::Relay {
        open_some(&mut end);
    }
    let mut output = Output::new();
    for (turn, part) in data.chunks(1 + usize::from(choice >> 1) * 7).enumerate() {
        let now = Duration::from_millis(turn as u64);
        let failed = end.handle_input(Bytes::copy_from_slice(part), now).is_err();
        while let Some(event) = end.poll_event() {
            react(&mut end, event);
        }
        end.poll_output(&mut output);
        output.drain().for_each(drop);
        let usage = end.usage();
        let held_max = Limits::default().received_bytes_max();
        assert!(usage.received_bytes <= held_max, "more is held than the limits say");
        if failed {
            return;
        }
    }
}

fn meet(end: &mut Connection, peer: Role) {
    let mut other = Connection::new(&hello(peer), Limits::default(), Duration::ZERO);
    let mut output = Output::new();
    other.poll_output(&mut output);
    for segment in output.drain() {
        let met = end.handle_input(segment, Duration::ZERO);
        assert!(met.is_ok(), "our own HELLO is understood");
    }
}

fn open_some(relay: &mut Connection) {
    for (kind, end) in [(StreamKind::Http, true), (StreamKind::Http, false), (StreamKind::Raw, false)] {
        let meta = OpenMeta {
            app: AppId::new(TenantId(1), 7),
            request: RequestId(1),
            client: ([192, 0, 2, 1], 40_000).into(),
            scheme: ExternalScheme::Https,
            kind,
            session: None,
            sso_login: SsoLogin::new("anna@EXAMPLE.COM").filter(|_| end),
        };
        let opened = relay.open(&meta, b"GET /", end);
        assert!(opened.is_ok(), "the first streams fit");
    }
}

/// A lively owner: answers, consumes half of what comes, cancels some. Errors are races that random input brings about.
fn react(end: &mut Connection, event: Event) {
    match event {
        Event::Open { stream, head, .. } => {
            let _ = end.send_informational(stream, b"103");
            let _ = end.send_timing(stream, 7);
            let _ = end.send_head(stream, b"200", head.len() % 3 == 0);
            let _ = end.send_data(stream, &mut Bytes::from(vec![0; 10_000]), head.len() % 3 == 1);
        }
        Event::Data { stream, data, .. } => {
            end.consumed(stream, data.len() / 2);
            if data.len() % 7 == 6 {
                end.cancel(stream, &Cancel::new(Culprit::Client, CancelCode::GONE));
            }
        }
        Event::Writable { stream } | Event::Head { stream, .. } => {
            let _ = end.send_data(stream, &mut Bytes::from(vec![0; 100_000]), false);
        }
        Event::Upgraded { stream, .. } | Event::Trailers { stream, .. } => {
            let _ = end.end(stream);
        }
        Event::Hello(_)
        | Event::Informational { .. }
        | Event::Cancelled { .. }
        | Event::Stopped { .. }
        | Event::Config(_)
        | Event::Revoke(_)
        | Event::LaneRequest(_)
        | Event::Generation(_)
        | Event::GoAway(_)
        | Event::Status(_)
        | Event::Check(_)
        | Event::CheckAnswer(_)
        | Event::ProbeReply(_) => {}
    }
}

fn hello(role: Role) -> Hello {
    let identity = match role {
        Role::Relay => Identity::Relay { relay: RelayId(1), generation: 1, workers: 1, worker: 0 },
        Role::Connector => Identity::Connector { connector: ConnectorId::new(TenantId(1), 1) },
    };
    Hello { identity, software: "fuzz".into(), has_keytab: false }
}

/// The bytes as the beginning of a connection: at once and in growing pieces, which must come to the same.
pub fn client_hello(data: &[u8]) {
    let mut at_once = ClientHelloParser::new(CLIENT_HELLO_BYTES_MAX);
    let whole = at_once.advance(data);
    let mut parser = ClientHelloParser::new(CLIENT_HELLO_BYTES_MAX);
    for length in 0..data.len() {
        match parser.advance(&data[..length]) {
            Progress::Incomplete => {}
            early @ (Progress::Done(_) | Progress::Invalid(_)) => {
                agree(&early, &whole);
                return;
            }
        }
    }
    agree(&parser.advance(data), &whole);
}

/// An error may name another length when it is found earlier.
fn agree(early: &Progress<'_>, whole: &Progress<'_>) {
    match (early, whole) {
        (Progress::Invalid(_), Progress::Invalid(_)) => {}
        _ => assert_eq!(early, whole, "cuts do not matter"),
    }
}
