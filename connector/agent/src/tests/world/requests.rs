//! Requests as a relay forwards them.

use std::time::Duration;

use bytes::Bytes;
use postern_http::{Authority, BodyKind, Method, PathRules, RequestHead, Target};

use super::FakeTunnel;
use crate::worker::{Shared, ToWorker};

/// A GET as a relay forwards it.
pub(in crate::tests) fn get(target: &str) -> RequestHead {
    request(Method::Get, target, BodyKind::None)
}

pub(in crate::tests) fn request(method: Method, target: &str, body: BodyKind) -> RequestHead {
    let target = Target::parse(target.as_bytes(), &method, PathRules::default()).unwrap();
    RequestHead { body, ..RequestHead::new(method, Authority::parse(b"app1.example.com").unwrap(), target) }
}

/// Bytes that differ at every position a mix-up could move them to.
pub(in crate::tests) fn pattern(len: usize) -> Bytes {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 11) as u8).collect::<Vec<_>>().into()
}

/// Sends a GET and expects 200.
pub(in crate::tests) async fn fetch(tunnel: &FakeTunnel) -> Vec<u8> {
    let stream = tunnel.open(&get("/"), true);
    let (head, end) = tunnel.head(stream).await;
    assert_eq!(head.status, 200);
    if end { Vec::new() } else { tunnel.body(stream, Duration::ZERO).await }
}

/// Drains the connector and waits until its worker has returned its tunnels.
pub(in crate::tests) fn drain(shared: &Shared) {
    shared.drain();
    let _ = shared.send(0, ToWorker::Drain);
}
