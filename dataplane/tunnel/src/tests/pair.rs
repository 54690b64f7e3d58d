//! A relay's and a connector's end of one tunnel, joined by two queues of bytes that tests may cut and hold.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use postern_model::ids::{AppId, ConnectorId, RelayId, RequestId, TenantId};

use crate::{
    Connection, Event, ExternalScheme, Hello, Identity, Limits, OpenMeta, Output, Role, StreamKind, TunnelError,
};

/// One end with the bytes that it has sent and the other has not read.
pub(crate) struct End {
    pub(crate) connection: Connection,
    pub(crate) sent: BytesMut,
    output: Output,
}

impl End {
    pub(crate) fn new(hello: &Hello, limits: Limits) -> Self {
        Self {
            connection: Connection::new(hello, limits, Duration::ZERO),
            sent: BytesMut::new(),
            output: Output::new(),
        }
    }

    /// The end of a turn.
    pub(crate) fn flush(&mut self) -> bool {
        let any = self.connection.poll_output(&mut self.output);
        assert_eq!(any, !self.output.is_empty());
        for segment in self.output.drain() {
            assert!(!segment.is_empty(), "no empty segments");
            self.sent.extend_from_slice(&segment);
        }
        any
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.connection.poll_event()).collect()
    }
}

pub(crate) struct Pair {
    pub(crate) relay: End,
    pub(crate) connector: End,
    pub(crate) now: Duration,
}

impl Pair {
    /// Both have exchanged HELLO.
    pub(crate) fn new(limits: Limits) -> Self {
        let mut pair = Self::before_hello(limits);
        pair.run();
        for end in [&mut pair.relay, &mut pair.connector] {
            let events = end.events();
            assert!(matches!(&events[..], [Event::Hello(_)]), "{events:?}");
        }
        pair
    }

    pub(crate) fn before_hello(limits: Limits) -> Self {
        Self {
            relay: End::new(&hello(Role::Relay), limits),
            connector: End::new(&hello(Role::Connector), limits),
            now: Duration::ZERO,
        }
    }

    pub(crate) fn end(&mut self, role: Role) -> &mut End {
        match role {
            Role::Relay => &mut self.relay,
            Role::Connector => &mut self.connector,
        }
    }

    /// Delivers at most `bytes` of what `from` has sent.
    pub(crate) fn deliver(&mut self, from: Role, bytes: usize) -> Result<bool, TunnelError> {
        let sent = &mut self.end(from).sent;
        let input = sent.split_to(bytes.min(sent.len())).freeze();
        if input.is_empty() {
            return Ok(false);
        }
        let now = self.now;
        let to = match from {
            Role::Relay => &mut self.connector,
            Role::Connector => &mut self.relay,
        };
        to.connection.handle_input(input, now).map(|()| true)
    }

    /// Flushes and delivers everything until both are silent.
    pub(crate) fn run(&mut self) {
        loop {
            let flushed = self.relay.flush() | self.connector.flush();
            let one = self.deliver(Role::Relay, usize::MAX).unwrap();
            let other = self.deliver(Role::Connector, usize::MAX).unwrap();
            if !flushed && !one && !other {
                return;
            }
        }
    }
}

pub(crate) fn hello(role: Role) -> Hello {
    let identity = match role {
        Role::Relay => Identity::Relay { relay: RelayId(3), generation: 1, workers: 2, worker: 1 },
        Role::Connector => Identity::Connector { connector: ConnectorId::new(TenantId(1), 9) },
    };
    Hello { identity, software: "postern-test 1".into(), has_keytab: false }
}

pub(crate) fn meta() -> OpenMeta {
    OpenMeta {
        app: AppId::new(TenantId(1), 7),
        request: RequestId(0xfeed),
        client: "192.0.2.1:40000".parse().unwrap(),
        scheme: ExternalScheme::Https,
        kind: StreamKind::Http,
        session: None,
        sso_login: None,
    }
}

/// Bytes that differ at every position, so that a shift or a swap is seen.
pub(crate) fn payload(from: usize, length: usize) -> Bytes {
    (from..from + length).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}
