//! A request's body, from the tunnel to the backend. Credit goes back to the relay when the backend's socket took the bytes.

use std::future::poll_fn;
use std::task::Poll;

use postern_http::Headers;
use postern_http::h1::{BodyEncoder, LengthMismatch};
use postern_io::Stream;

use super::silence::Silence;
use super::{Exchange, REQUEST_LIMITS};
use crate::failure::{Failed, Fault};
use crate::incoming::Piece;

impl Exchange {
    pub(super) async fn upload(
        &self,
        backend: &Stream,
        mut encoder: BodyEncoder,
        silence: &Silence,
    ) -> Result<(), Failed> {
        loop {
            let piece = self.next_piece(silence).await;
            let (trailers, bytes) = match &piece {
                Piece::Data(data) => (None, data.len()),
                Piece::Trailers(encoded) => {
                    (Some(Headers::decode(encoded, &REQUEST_LIMITS).map_err(Failed::malformed_request)?), 0)
                }
                Piece::End => (None, 0),
            };
            let Piece::Data(data) = piece else {
                self.queue(backend, |scratch| encoder.end(trailers.as_ref(), scratch))?;
                return Ok(());
            };
            self.queue(backend, |scratch| encoder.begin(bytes, scratch))?;
            backend.queue_bytes(&data);
            self.queue(backend, |scratch| {
                encoder.close(bytes, scratch);
                Ok(())
            })?;
            drop(data);
            backend.writable().await.map_err(|error| Failed::using(&error))?;
            silence.broken();
            self.record.sent(bytes);
            self.tunnel.consumed(self.stream, bytes);
        }
    }

    pub(super) async fn next_piece(&self, silence: &Silence) -> Piece {
        let piece = poll_fn(|cx| {
            let piece = self.incoming.poll_next(cx);
            silence.client_owes(piece.is_pending());
            if let Poll::Ready(Piece::End) = &piece {
                silence.broken();
            }
            piece
        });
        piece.await
    }

    fn queue(
        &self,
        backend: &Stream,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), LengthMismatch>,
    ) -> Result<(), Failed> {
        let written = self.tunnel.worker.with_scratch(|scratch| {
            let written = write(scratch);
            if !scratch.is_empty() {
                backend.queue(scratch);
            }
            written
        });
        written.map_err(|mismatch| Failed::new(Fault::ClientBroken, mismatch.to_string()))
    }
}
