//! What the relay knows of WebSocket (RFC 6455): the handshake that HTTP/2 leaves out.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use postern_http::{Known, RequestHead, ResponseHead};
use postern_io::random_u64;

/// A handshake in HTTP/1.1 on behalf of a client that speaks HTTP/2 (RFC 8441 §5.1).
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: String,
}

impl Handshake {
    /// Adds the key that HTTP/1.1 demands.
    pub(crate) fn offer(head: &mut RequestHead) -> Self {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&random_u64().to_be_bytes());
        nonce[8..].copy_from_slice(&random_u64().to_be_bytes());
        let key = BASE64.encode(nonce);
        let set = head.headers.set(Known::SecWebsocketKey, &key);
        assert!(set.is_ok(), "base64 is a field value");
        Self { accept: accept(&key) }
    }

    /// Whether the answer was made for this handshake.
    pub(crate) fn is_completed_by(&self, head: &ResponseHead) -> bool {
        let upgrade = head.headers.get(Known::Upgrade);
        head.status == 101
            && upgrade.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"))
            && head.headers.get(Known::SecWebsocketAccept) == Some(self.accept.as_bytes())
    }
}

/// RFC 6455 §4.2.2.
fn accept(key: &str) -> String {
    let joined = [key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, joined.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_the_rfcs_example() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
