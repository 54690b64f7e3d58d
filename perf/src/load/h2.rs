//! Closed loop over HTTP/2 by the h2 crate. It wants a byte stream that is polled, while the ring owns buffers until an
//! operation completes: so bytes are taken over at once in `poll_write`, and two tasks per connection move them.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use ::h2::client::{self, SendRequest};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::Request;
use rustls::ClientConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio_uring::net::TcpStream;

use super::Plan;
use super::link::{self, Link};
use super::tally::Tally;

/// Bytes taken over and not yet sent, above which h2 has to wait.
const OUTGOING_MAX: usize = 256 * 1024;
/// Bytes received and not yet taken by h2, above which nothing more is read.
const INCOMING_MAX: usize = 256 * 1024;
/// As browsers have them.
const STREAM_WINDOW: u32 = 6 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 15 * 1024 * 1024;

pub(super) async fn run(plan: &Plan, streams: usize, tally: &Rc<Tally>) -> Result<()> {
    let mut tasks = Vec::new();
    for _ in 0..plan.connections {
        let sender = connect(plan, tally).await?;
        for _ in 0..streams {
            tasks.push(tokio_uring::spawn(stream(plan.clone(), sender.clone(), Rc::clone(tally))));
        }
    }
    tally.conduct(plan).await?;
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn connect(plan: &Plan, tally: &Rc<Tally>) -> Result<SendRequest<Bytes>> {
    let link = Link::open(&plan.target).await.context("connect")?;
    tally.keep(link.socket());
    if link.protocol() != Some(b"h2") {
        bail!("HTTP/2 was not negotiated: the server chose {}", protocol_name(&link));
    }
    let (socket, tls) = link.into_parts().context("HTTP/2 is spoken over TLS here")?;
    let stream = Pumped::start(socket, tls);
    let mut builder = client::Builder::new();
    builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW).enable_push(false);
    let (sender, connection) = builder.handshake(stream).await.context("HTTP/2 handshake")?;
    let tally = Rc::clone(tally);
    tokio_uring::spawn(async move {
        if let Err(error) = connection.await {
            tally.failed(&error);
        }
    });
    Ok(sender)
}

fn protocol_name(link: &Link) -> String {
    link.protocol().map_or("nothing".into(), |name| String::from_utf8_lossy(name).into_owned())
}

async fn stream(plan: Plan, sender: SendRequest<Bytes>, tally: Rc<Tally>) {
    let url = format!("https://{}{}", plan.target.host, plan.path);
    while !tally.is_over() {
        let begun = Instant::now();
        match exchange(&url, sender.clone()).await {
            Ok(content) => tally.answered(begun.elapsed(), content),
            Err(error) => tally.failed(&format!("{error:#}")),
        }
    }
}

async fn exchange(url: &str, sender: SendRequest<Bytes>) -> Result<u64> {
    let mut sender = sender.ready().await?;
    let request = Request::get(url).header("user-agent", "postern-perf").header("accept", "*/*").body(())?;
    let (answer, _) = sender.send_request(request, true)?;
    let answer = answer.await?;
    if answer.status() != 200 {
        bail!("status {}", answer.status());
    }
    let mut body = answer.into_body();
    let mut content = 0;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        content += piece.len() as u64;
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok(content)
}

/// A connection as h2 wants it, its bytes moved by two tasks on the ring.
struct Pumped(Rc<Shared>);

struct Shared {
    socket: Rc<TcpStream>,
    tls: RefCell<ClientConnection>,
    /// Decrypted, from `taken` on not yet taken by h2.
    incoming: RefCell<Vec<u8>>,
    taken: Cell<usize>,
    outgoing: RefCell<Vec<u8>>,
    ended: RefCell<Option<io::ErrorKind>>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
    to_send: Notify,
    room: Notify,
}

impl Pumped {
    fn start(socket: Rc<TcpStream>, tls: Box<ClientConnection>) -> Pumped {
        let shared = Rc::new(Shared {
            socket,
            tls: RefCell::new(*tls),
            incoming: RefCell::default(),
            taken: Cell::new(0),
            outgoing: RefCell::default(),
            ended: RefCell::default(),
            reader: RefCell::default(),
            writer: RefCell::default(),
            to_send: Notify::new(),
            room: Notify::new(),
        });
        tokio_uring::spawn(Shared::pump(Rc::clone(&shared), true));
        tokio_uring::spawn(Shared::pump(Rc::clone(&shared), false));
        Pumped(shared)
    }
}

impl Shared {
    async fn pump(self: Rc<Self>, inward: bool) {
        let outcome = if inward { self.pump_in().await } else { self.pump_out().await };
        if let Err(error) = outcome {
            *self.ended.borrow_mut() = Some(error.kind());
        }
        wake(&self.reader);
        wake(&self.writer);
        self.to_send.notify_one();
    }

    async fn pump_in(&self) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(link::READ_BYTES);
        loop {
            while self.incoming.borrow().len() - self.taken.get() > INCOMING_MAX {
                self.room.notified().await;
            }
            buffer.clear();
            let (read, filled) = self.socket.read(buffer).await;
            buffer = filled;
            let count = read?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut incoming = self.incoming.borrow_mut();
            link::decrypt(&mut self.tls.borrow_mut(), &buffer[..count], &mut |piece| {
                incoming.extend_from_slice(piece);
                Ok(())
            })?;
            drop(incoming);
            wake(&self.reader);
        }
    }

    async fn pump_out(&self) -> io::Result<()> {
        loop {
            let sealed = std::mem::take(&mut *self.outgoing.borrow_mut());
            if sealed.is_empty() {
                if let Some(kind) = *self.ended.borrow() {
                    return Err(kind.into());
                }
                self.to_send.notified().await;
                continue;
            }
            self.socket.write_all(sealed).await.0?;
            wake(&self.writer);
        }
    }

    fn ended(&self) -> Option<io::Error> {
        self.ended.borrow().map(io::Error::from)
    }
}

fn wake(waker: &RefCell<Option<Waker>>) {
    let waker = waker.borrow_mut().take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl AsyncRead for Pumped {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let shared = &self.0;
        let mut incoming = shared.incoming.borrow_mut();
        let left = &incoming[shared.taken.get()..];
        if left.is_empty() {
            if let Some(error) = shared.ended() {
                return Poll::Ready(Err(error));
            }
            *shared.reader.borrow_mut() = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        shared.taken.set(shared.taken.get() + count);
        if shared.taken.get() == incoming.len() {
            incoming.clear();
            shared.taken.set(0);
        }
        shared.room.notify_one();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pumped {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        use std::io::Write;
        let shared = &self.0;
        if let Some(error) = shared.ended() {
            return Poll::Ready(Err(error));
        }
        let mut outgoing = shared.outgoing.borrow_mut();
        if outgoing.len() > OUTGOING_MAX {
            *shared.writer.borrow_mut() = Some(context.waker().clone());
            return Poll::Pending;
        }
        let mut tls = shared.tls.borrow_mut();
        let count = tls.writer().write(bytes)?;
        while tls.wants_write() {
            tls.write_tls(&mut *outgoing)?;
        }
        shared.to_send.notify_one();
        Poll::Ready(Ok(count))
    }

    /// What was written is sent in any case, with whatever else this turn brings.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.ended().map_or(Ok(()), Err))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.socket.shutdown(std::net::Shutdown::Write))
    }
}
