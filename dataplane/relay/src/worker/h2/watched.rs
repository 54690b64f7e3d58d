//! The connection under the h2 library, with an eye on what passes.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use postern_io::duplex::Duplex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ledger::Ledger;

/// A connection whose frames are entered in a [`Ledger`]. Once that is overdrawn nothing more is read.
pub(super) struct Watched {
    io: Duplex,
    ledger: Rc<RefCell<Ledger>>,
}

impl Watched {
    pub(super) fn new(io: Duplex, ledger: Rc<RefCell<Ledger>>) -> Self {
        Self { io, ledger }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ledger.borrow().is_overdrawn() {
            // Whoever polls the connection looks at the ledger next.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.ledger.borrow_mut().receive(&buf.filled()[before..]);
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, data);
        if let Poll::Ready(Ok(bytes)) = written {
            self.ledger.borrow_mut().send(&data[..bytes]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
