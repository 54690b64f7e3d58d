//! The connection under the h2 library, with an eye on what passes.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use postern_io::duplex::Duplex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ledger::Ledger;

/// A connection whose frames are entered in a [`Ledger`]. Once that has a verdict nothing more is read.
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
        let before = buf.filled().len();
        if self.ledger.borrow().verdict().is_none() {
            let read = Pin::new(&mut self.io).poll_read(cx, buf);
            let mut ledger = self.ledger.borrow_mut();
            ledger.receive(&buf.filled()[before..]);
            if ledger.verdict().is_none() {
                return read;
            }
            buf.set_filled(before);
        }
        // Whoever polls the connection looks at the ledger next.
        Poll::Pending
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
