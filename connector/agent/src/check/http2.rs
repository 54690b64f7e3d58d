//! One GET over HTTP/2, on a connection that blocks: the library is asked again and again whether it has the answer, and in between
//! lets in what one read brings.

use std::cell::Cell;
use std::future::Future as _;
use std::io::{self, Read as _, Write as _};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use h2::client::Connection;
use h2::{Reason, RecvStream};
use postern_http::{Limits, Method, RequestHead, ResponseHead, Scheme, Version, h2 as heads};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http::{Got, TLS_ALERT, Trouble, Wire};
use crate::backend::Backend;
use crate::http2;
use crate::limits::ASKED_BYTES_MAX;

/// A wire behind the library's traits. It is read once for each permission: else the library would read until the answer is over,
/// and longer.
struct Blocking {
    wire: Box<dyn Wire>,
    reads: Rc<Reads>,
}

#[derive(Default)]
struct Reads {
    may_read: Cell<bool>,
    /// The first byte that came.
    first: Cell<Option<u8>>,
}

/// A connection in use.
struct Driven {
    connection: Connection<Blocking, Bytes>,
    reads: Rc<Reads>,
}

/// Sends `head` and reads the answer.
pub(super) fn get(wire: Box<dyn Wire>, backend: &Backend, head: &RequestHead, asked: Instant) -> Result<Got, Trouble> {
    let scheme = if backend.internal.tls { Scheme::Https } else { Scheme::Http };
    let request = heads::sent_request(head, scheme).map_err(|unfit| Trouble::NotHttp2(unfit.to_string()))?;
    let reads = Rc::new(Reads::default());
    let builder = http2::settings();
    let begun = pin!(builder.handshake::<_, Bytes>(Blocking { wire, reads: Rc::clone(&reads) }));
    // It writes, and waits for nothing.
    let Poll::Ready(begun) = begun.poll(&mut context()) else { return Err(Trouble::Slow) };
    let (mut handle, connection) = begun.map_err(|error| trouble(error, &reads))?;
    let mut driven = Driven { connection, reads };
    driven.until(|context| handle.poll_ready(context))?.map_err(|error| driven.trouble(error))?;
    let (mut response, _) = handle.send_request(request, true).map_err(|error| driven.trouble(error))?;
    let response = driven.until(|context| Pin::new(&mut response).poll(context))?;
    let first_byte = asked.elapsed();
    let (parts, mut body) = response.map_err(|error| driven.trouble(error))?.into_parts();
    let end = body.is_end_stream();
    let answer = heads::received_response(&parts, &Method::Get, end, &Limits::default()).map_err(Trouble::Malformed)?;
    let (content, cut) = content(&mut driven, &mut body)?;
    Ok(Got { head: ResponseHead { version: Version::Http2, ..answer }, content, cut, first_byte })
}

fn content(driven: &mut Driven, body: &mut RecvStream) -> Result<(Vec<u8>, bool), Trouble> {
    let mut content = Vec::new();
    loop {
        let data = match driven.until(|context| body.poll_data(context)) {
            Ok(Some(Ok(data))) => data,
            Ok(None) => return Ok((content, false)),
            // Some end a page so.
            Ok(Some(Err(error))) if error.reason() == Some(Reason::NO_ERROR) => return Ok((content, false)),
            Ok(Some(Err(error))) => return cut(content, driven.trouble(error)),
            Err(trouble) => return cut(content, trouble),
        };
        let room = ASKED_BYTES_MAX - content.len();
        content.extend_from_slice(&data[..data.len().min(room)]);
        if content.len() == ASKED_BYTES_MAX {
            return Ok((content, true));
        }
        // A stream that is over needs no window.
        let _ = body.flow_control().release_capacity(data.len());
    }
}

/// A page may have no end: a stream of events, a poll.
fn cut(content: Vec<u8>, trouble: Trouble) -> Result<(Vec<u8>, bool), Trouble> {
    if matches!(trouble, Trouble::Slow) { Ok((content, true)) } else { Err(trouble) }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Driven {
    /// Reads until something is ready. It ends when the wire's time is up, or the connection.
    fn until<T>(&mut self, mut ready: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Result<T, Trouble> {
        loop {
            if let Poll::Ready(value) = ready(&mut context()) {
                return Ok(value);
            }
            self.reads.may_read.set(true);
            if let Poll::Ready(ended) = Pin::new(&mut self.connection).poll(&mut context()) {
                return match (ready(&mut context()), ended) {
                    (Poll::Ready(value), _) => Ok(value),
                    (Poll::Pending, Err(error)) => Err(self.trouble(error)),
                    (Poll::Pending, Ok(())) => Err(Trouble::Ended),
                };
            }
        }
    }

    fn trouble(&self, error: h2::Error) -> Trouble {
        trouble(error, &self.reads)
    }
}

fn trouble(error: h2::Error, reads: &Reads) -> Trouble {
    match reads.first.get() {
        Some(TLS_ALERT) => Trouble::SpeaksTls,
        Some(HTTP1_ANSWER) => Trouble::SpeaksHttp1,
        Some(_) | None if error.is_io() => error.into_io().map_or(Trouble::Ended, Trouble::from),
        Some(_) | None => Trouble::NotHttp2(error.to_string()),
    }
}

impl AsyncRead for Blocking {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.reads.may_read.replace(false) {
            return Poll::Pending;
        }
        let mut piece = [0; PIECE_BYTES];
        let room = buffer.remaining().min(PIECE_BYTES);
        let bytes = self.wire.read(&mut piece[..room])?;
        if self.reads.first.get().is_none() {
            self.reads.first.set(piece[..bytes].first().copied());
        }
        buffer.put_slice(&piece[..bytes]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Blocking {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.wire.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.wire.flush())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.wire.flush())
    }
}

/// `HTTP/1.1 400 …`, which no frame of a server's first flight begins with.
const HTTP1_ANSWER: u8 = b'H';
const PIECE_BYTES: usize = 16 * 1024;
