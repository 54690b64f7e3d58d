//! After an upgrade: bytes both ways, each direction until its sender ends it.

use bytes::Bytes;
use postern_io::Stream;
use postern_io::sync::join;
use std::future::poll_fn;

use super::Exchange;
use crate::failure::Failed;
use crate::incoming::Piece;
use crate::pool::BackendConnection;

impl Exchange {
    pub(super) async fn raw(&self, backend: &mut BackendConnection) -> Result<(), Failed> {
        let early = backend.inbox.take();
        let (up, down) = join(self.raw_up(&backend.stream), self.raw_down(&backend.stream, early)).await;
        up.and(down)
    }

    async fn raw_up(&self, backend: &Stream) -> Result<(), Failed> {
        loop {
            let Piece::Data(data) = poll_fn(|cx| self.incoming.poll_next(cx)).await else {
                backend.finish();
                return Ok(());
            };
            backend.queue_bytes(&data);
            backend.writable().await.map_err(|error| Failed::using(&error))?;
            self.record.sent(data.len());
            self.tunnel.consumed(self.stream, data.len());
        }
    }

    async fn raw_down(&self, backend: &Stream, early: Bytes) -> Result<(), Failed> {
        if !early.is_empty() {
            self.send(early, false).await?;
        }
        loop {
            let data = backend.read().await.map_err(|error| Failed::using(&error))?;
            if data.is_empty() {
                return self.tunnel.end(self.stream).map_err(Failed::sending);
            }
            self.send(data, false).await?;
        }
    }
}
