//! A relay that knows sessions and carries bytes, and an identity process behind it, as tests play them.

#![expect(clippy::wildcard_enum_match_arm, reason = "the other messages do not concern a test")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::enrol::Enrolled;
use postern_model::ids::SessionId;
use postern_model::link::{Call, Hello, PIPE_BYTES_MAX, Reply, ToControl, ToRelay};
use postern_model::session::SessionRecord;
use rcgen::KeyPair;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::peer::{Relay, hello};
use crate::world::World;

/// A relay that knows sessions, and what control said to it that was not waited for.
pub(crate) struct Linked {
    pub(crate) relay: Relay<UnixStream>,
    pub(crate) others: Vec<ToRelay>,
    pipes: u64,
}

impl Linked {
    pub(crate) fn link(world: &World, name: &str) -> Self {
        let mut relay = Relay::connect(&world.socket());
        let key = KeyPair::generate().unwrap();
        relay.send(&ToControl::Hello(Hello { sessions: true, ..hello(name, &key, 0) }));
        relay.welcomed();
        // Whoever changes something need not wait for this relay.
        relay.send(&ToControl::Applied { version: u64::MAX });
        relay.send(&ToControl::SessionsApplied { n: u64::MAX });
        Self { relay, others: Vec::new(), pipes: 0 }
    }

    /// The next message of a kind; others are kept.
    pub(crate) fn wait_for<T>(&mut self, wanted: impl Fn(&ToRelay) -> Option<T>) -> T {
        loop {
            let message = self.relay.next().expect("the link is there");
            match wanted(&message) {
                Some(found) => return found,
                None => self.others.push(message),
            }
        }
    }

    pub(crate) fn call(&mut self, call: Call) -> Reply {
        self.relay.send(&ToControl::Call { id: 7, call });
        self.wait_for(|message| match message {
            ToRelay::Reply { id: 7, reply } => Some(reply.clone()),
            _ => None,
        })
    }

    /// What the relay is told of sessions next: the number, and what ended.
    pub(crate) fn sessions(&mut self) -> (u64, Vec<SessionId>) {
        self.wait_for(|message| match message {
            ToRelay::Sessions { n, ended, .. } => Some((*n, ended.clone())),
            _ => None,
        })
    }

    pub(crate) fn holds(&mut self, held: &[&SessionRecord], last: bool) {
        let held = held.iter().map(|record| (record.id, record.digest())).collect();
        self.relay.send(&ToControl::SessionsHeld { held, last });
    }

    pub(crate) fn open_pipe(&mut self) -> u64 {
        self.pipes += 1;
        self.relay.send(&ToControl::PipeOpened { pipe: self.pipes, connector: "c1-1".parse().unwrap() });
        self.pipes
    }

    /// An identity process's connection to control.
    pub(crate) fn pipe(&mut self, (enrolled, key): &(Enrolled, KeyPair)) -> Identity<'_> {
        let id = self.open_pipe();
        let ca = CertificateDer::from_pem_slice(enrolled.ca_pem.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(ca).unwrap();
        let chain = CertificateDer::pem_slice_iter(enrolled.certificate_pem.as_bytes()).map(Result::unwrap).collect();
        let own = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let config = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = config.with_client_auth_cert(chain, own).unwrap();
        let name = ServerName::try_from(postern_model::link::CONTROL_NAME).unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        Identity(StreamOwned::new(session, Pipe { linked: self, id, received: Vec::new(), closed: false }))
    }
}

/// A pipe's bytes.
pub(crate) struct Pipe<'a> {
    linked: &'a mut Linked,
    id: u64,
    received: Vec<u8>,
    closed: bool,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.received.is_empty() && !self.closed {
            let ours = self.id;
            let bytes = self.linked.wait_for(|message| match message {
                ToRelay::PipeData { pipe, data } if *pipe == ours => Some(Some(STANDARD.decode(data).unwrap())),
                ToRelay::PipeClosed { pipe } if *pipe == ours => Some(None),
                _ => None,
            });
            self.closed = bytes.is_none();
            self.received = bytes.unwrap_or_default();
        }
        let length = self.received.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.received[..length]);
        self.received.drain(..length);
        Ok(length)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let piece = &bytes[..bytes.len().min(PIPE_BYTES_MAX)];
        self.linked.relay.send(&ToControl::PipeData { pipe: self.id, data: STANDARD.encode(piece) });
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) struct Identity<'a>(StreamOwned<ClientConnection, Pipe<'a>>);

impl Identity<'_> {
    /// Status and answer.
    pub(crate) fn ask(&mut self, path: &str, question: &Value) -> (u16, Value) {
        self.say(path, question).unwrap();
        self.answer().unwrap()
    }

    pub(crate) fn say(&mut self, path: &str, question: &Value) -> std::io::Result<()> {
        let body = question.to_string();
        write!(self.0, "POST {path} HTTP/1.1\r\nHost: control\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        self.0.flush()
    }

    pub(crate) fn answer(&mut self) -> std::io::Result<(u16, Value)> {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            text.push(byte[0]);
        }
        let head = String::from_utf8(text).unwrap().to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}
