//! [`Stream`] as `AsyncRead + AsyncWrite`, for libraries that speak those (h2).
//!
//! After `Pending` a caller may offer different bytes to `poll_write`; over completion I/O an
//! adapter that keeps "the write in progress" would then corrupt the stream. This one takes
//! ownership of the bytes at once and answers `Ready(n)`; `Pending` only when the queue is full.
//! What was taken leaves at the end of the turn, so `poll_flush` has nothing to wait for: a caller
//! that waited would be woken by every send.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;

/// Bytes taken by one `poll_write` at most, so that one call cannot overrun the queue's bound.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// A [`Stream`] behind tokio's traits.
#[derive(Debug)]
pub struct Duplex {
    stream: Stream,
    unread: Bytes,
}

impl Duplex {
    /// Wraps `stream`.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self { stream, unread: Bytes::new() }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            match self.stream.poll_read(cx) {
                Poll::Ready(Ok(bytes)) => self.unread = bytes,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let n = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..n]);
        self.unread.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.stream.poll_writable(cx) {
            Poll::Ready(Ok(())) => {
                let n = data.len().min(WRITE_BYTES_MAX);
                self.stream.queue(&data[..n]);
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.finish();
        self.stream.poll_flushed(cx)
    }
}
