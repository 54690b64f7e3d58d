//! A byte stream over TCP, with or without TLS.
//!
//! Reading is asynchronous; writing is not: [`Stream::queue`] appends, and everything queued
//! during a loop turn is sealed into shared TLS records and sent at its end. Back-pressure is
//! [`Stream::writable`].

mod handshake;

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};

use crate::{
    core::with_core,
    executor::spawn,
    limits::{LINGER_MS, OUTPUT_HIGH_WATER_BYTES, SEGMENT_DIRECT_BYTES},
    output::OutBuf,
    socket::Socket,
    time::timeout,
    tls::Pump,
    turn::TurnEnd,
};

pub use crate::tls::TlsSummary;

/// A connected stream; clones share it. When the last clone is dropped, what was queued is still
/// sent (for at most [`LINGER_MS`]), then the connection closes.
#[derive(Clone)]
pub struct Stream(Rc<Handle>);

/// Counts the clones that users hold, apart from the engine's own references to `Inner`.
struct Handle {
    inner: Rc<Inner>,
}

struct Inner {
    socket: RefCell<Socket>,
    pump: RefCell<Option<Pump>>,
    plain_in: RefCell<BytesMut>,
    out: RefCell<Output>,
    dirty: Cell<bool>,
    failed: Cell<bool>,
    peer_closed: Cell<bool>,
    closing: Cell<Closing>,
    summary: RefCell<Rc<TlsSummary>>,
    writers: RefCell<Vec<Waker>>,
}

#[derive(Default)]
struct Output {
    /// Small pieces waiting to share a record; unused without TLS.
    plain: OutBuf,
    /// Bytes for the socket.
    wire: OutBuf,
}

/// `Open → Asked → Sealed → Done`: the end of the output waits behind the data; `Sealed` when
/// `close_notify` is queued, `Done` when FIN was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    Asked,
    Sealed,
    Done,
}

impl Stream {
    /// A stream without TLS.
    #[must_use]
    pub fn plain(socket: Socket) -> Self {
        Self::new(socket)
    }

    /// A plain stream whose first received bytes are already known.
    #[must_use]
    pub fn plain_with(mut socket: Socket, first: Vec<u8>) -> Self {
        socket.unread(first);
        Self::plain(socket)
    }

    fn new(socket: Socket) -> Self {
        Self(Rc::new(Handle {
            inner: Rc::new(Inner {
                socket: RefCell::new(socket),
                pump: RefCell::default(),
                plain_in: RefCell::new(BytesMut::new()),
                out: RefCell::new(Output::default()),
                dirty: Cell::new(false),
                failed: Cell::new(false),
                peer_closed: Cell::new(false),
                closing: Cell::new(Closing::Open),
                summary: RefCell::default(),
                writers: RefCell::new(Vec::new()),
            }),
        }))
    }

    /// The next bytes; empty at a clean end (end of stream without TLS, `close_notify` with it).
    ///
    /// # Errors
    /// `UnexpectedEof` when TLS was cut without `close_notify`; other failures of the connection.
    pub async fn read(&self) -> io::Result<Bytes> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    /// See [`Stream::read`].
    ///
    /// # Errors
    /// As [`Stream::read`].
    pub fn poll_read(&self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        self.0.inner.poll_read(cx)
    }

    /// Puts bytes that were read back in front.
    pub fn unread(&self, bytes: &[u8]) {
        let mut plain = self.0.inner.plain_in.borrow_mut();
        let rest = plain.split();
        plain.extend_from_slice(bytes);
        plain.extend_from_slice(&rest);
    }

    /// Appends `data` to the output. It is dropped when the connection has failed (the next read
    /// says so).
    pub fn queue(&self, data: &[u8]) {
        let inner = &self.0.inner;
        if inner.may_queue() {
            let mut out = inner.out.borrow_mut();
            if inner.pump.borrow().is_some() {
                out.plain.extend_from_slice(data);
            } else {
                out.wire.extend_from_slice(data);
            }
            inner.mark_dirty();
        }
    }

    /// Appends `data` to the output; long segments are sealed where they lie.
    pub fn queue_bytes(&self, data: &Bytes) {
        let inner = &self.0.inner;
        if data.len() < SEGMENT_DIRECT_BYTES || inner.pump.borrow().is_none() {
            return self.queue(data);
        }
        if inner.may_queue() {
            inner.mark_dirty();
            inner.seal_waiting();
            inner.seal(data);
        }
    }

    /// Bytes queued and not yet taken by the kernel.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.0.inner.queued_bytes()
    }

    /// Waits until the output is below [`OUTPUT_HIGH_WATER_BYTES`].
    ///
    /// # Errors
    /// The connection's failure.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_writable(cx)).await
    }

    /// See [`Stream::writable`].
    ///
    /// # Errors
    /// The connection's failure.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.inner.poll_below(cx, OUTPUT_HIGH_WATER_BYTES)
    }

    /// As [`Stream::poll_writable`], with a bound of the caller's.
    ///
    /// # Errors
    /// The connection's failure.
    pub fn poll_queued_below(&self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        self.0.inner.poll_below(cx, bytes)
    }

    /// Waits until the kernel has taken everything.
    ///
    /// # Errors
    /// The connection's failure.
    pub async fn flushed(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flushed(cx)).await
    }

    /// See [`Stream::flushed`].
    ///
    /// # Errors
    /// The connection's failure.
    pub fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.inner.poll_below(cx, 1)
    }

    /// Ends the output behind what is queued: `close_notify` with TLS, then FIN.
    pub fn finish(&self) {
        self.0.inner.ask_close();
    }

    /// Ends the output, waits until it left, then reads (and drops) what the peer still sends
    /// until it closes too, for at most `linger`: closing at once would answer late bytes with a
    /// reset, which can destroy the last answer in the peer's buffers.
    pub async fn close(self, linger: Duration) {
        self.finish();
        let _ = timeout(linger, async {
            self.flushed().await?;
            while !self.read().await?.is_empty() {}
            io::Result::Ok(())
        })
        .await;
    }

    /// Drops the connection now, whatever is queued; readers and writers fail.
    pub fn abort(&self) {
        self.0.inner.fail();
        self.0.inner.socket.borrow().abort();
        self.0.inner.socket.borrow().wake_reader();
    }

    /// What TLS negotiated; empty without TLS.
    #[must_use]
    pub fn tls(&self) -> Rc<TlsSummary> {
        Rc::clone(&self.0.inner.summary.borrow())
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({:?})", self.0.inner.socket.borrow())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let inner = Rc::clone(&self.inner);
        if inner.queued_bytes() == 0 || inner.failed.get() {
            return;
        }
        inner.ask_close();
        spawn(async move {
            let linger = Duration::from_millis(LINGER_MS);
            let sent = poll_fn(|cx| inner.poll_below(cx, 1));
            if timeout(linger, sent).await.is_err() {
                inner.fail();
                inner.socket.borrow().abort();
            }
        })
        .detach();
    }
}

impl Inner {
    fn is_established(&self) -> bool {
        self.pump.borrow().as_ref().is_none_or(Pump::is_established)
    }

    fn may_queue(&self) -> bool {
        !self.failed.get() && self.closing.get() == Closing::Open
    }

    fn poll_read(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            {
                let mut plain = self.plain_in.borrow_mut();
                if !plain.is_empty() {
                    return Poll::Ready(Ok(plain.split().freeze()));
                }
            }
            if self.peer_closed.get() {
                return Poll::Ready(Ok(Bytes::new()));
            }
            let Poll::Ready(received) = self.socket.borrow_mut().poll_recv(cx) else {
                // Idle: no buffer is held until bytes arrive.
                self.plain_in.replace(BytesMut::new());
                return Poll::Pending;
            };
            match received? {
                Some(mut chunk) => self.feed(&mut chunk)?,
                None if self.pump.borrow().is_some() => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                None => self.peer_closed.set(true),
            }
        }
    }

    fn feed(self: &Rc<Self>, chunk: &mut [u8]) -> io::Result<()> {
        let mut pump = self.pump.borrow_mut();
        let Some(pump) = pump.as_mut() else {
            self.plain_in.borrow_mut().extend_from_slice(chunk);
            return Ok(());
        };
        let mut out = self.out.borrow_mut();
        let result = pump.feed(chunk, &mut self.plain_in.borrow_mut(), &mut out.wire);
        self.peer_closed.set(pump.is_peer_closed());
        let answer = !out.wire.is_empty();
        drop(out);
        if answer {
            self.mark_dirty();
        }
        result.map_err(|failure| {
            self.fail();
            failure.into()
        })
    }

    fn queued_bytes(&self) -> usize {
        let out = self.out.borrow();
        out.plain.len() + out.wire.len() + self.socket.borrow().bytes_in_flight()
    }

    fn poll_below(&self, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<()>> {
        if self.failed.get() {
            return Poll::Ready(Err(self.failure()));
        }
        if self.queued_bytes() < limit {
            return Poll::Ready(Ok(()));
        }
        let mut writers = self.writers.borrow_mut();
        if !writers.iter().any(|waker| waker.will_wake(cx.waker())) {
            writers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn failure(&self) -> io::Error {
        self.socket
            .borrow()
            .send_error()
            .map_or_else(|| io::ErrorKind::ConnectionAborted.into(), io::Error::from_raw_os_error)
    }

    fn fail(&self) {
        self.failed.set(true);
        self.wake_writers();
    }

    fn wake_writers(&self) {
        for waker in self.writers.take() {
            waker.wake();
        }
    }

    fn mark_dirty(self: &Rc<Self>) {
        if !self.dirty.replace(true) {
            let output: Rc<dyn TurnEnd> = Rc::clone(self) as Rc<dyn TurnEnd>;
            with_core(|core| core.outputs.borrow_mut().push(output));
        }
    }

    fn ask_close(self: &Rc<Self>) {
        if self.closing.get() == Closing::Open {
            self.closing.set(Closing::Asked);
            self.mark_dirty();
        }
    }

    /// Seals the small pieces collected so far.
    fn seal_waiting(&self) {
        let mut plain = std::mem::take(&mut self.out.borrow_mut().plain);
        if !plain.is_empty() {
            self.seal(plain.as_slice());
        }
        plain.clear();
        with_core(|core| core.spares.borrow_mut().put(plain));
    }

    fn seal(&self, data: &[u8]) {
        let mut out = self.out.borrow_mut();
        let mut pump = self.pump.borrow_mut();
        let sealed = match pump.as_mut() {
            Some(pump) => pump.seal(data, &mut out.wire),
            None => Ok(()),
        };
        drop((out, pump));
        if sealed.is_err() {
            self.fail();
        }
    }

    fn close_output(&self) {
        self.closing.set(Closing::Sealed);
        let mut out = self.out.borrow_mut();
        let mut pump = self.pump.borrow_mut();
        if let Some(pump) = pump.as_mut() {
            // A failure here means that nothing can be sent any more: FIN says it all.
            let _ = pump.close(&mut out.wire);
        }
    }

    /// Prepares what is queued and hands it to the kernel unless a send is on its way.
    fn send_queued(self: &Rc<Self>) {
        let socket = self.socket.borrow();
        if socket.send_error().is_some() {
            self.fail();
            socket.wake_reader();
            return;
        }
        if self.is_established() && self.pump.borrow().is_some() {
            self.seal_waiting();
        }
        if socket.send_in_flight() {
            return;
        }
        if self.closing.get() == Closing::Asked {
            self.close_output();
        }
        if self.out.borrow().wire.is_empty() {
            if self.closing.get() == Closing::Sealed {
                self.closing.set(Closing::Done);
                socket.shutdown_write();
            }
            return;
        }
        let wire = std::mem::take(&mut self.out.borrow_mut().wire);
        socket.send(wire, Rc::clone(self) as Rc<dyn TurnEnd>);
    }
}

impl TurnEnd for Inner {
    fn turn_end(self: Rc<Self>) {
        self.dirty.set(false);
        if !self.failed.get() || !self.out.borrow().wire.is_empty() {
            self.send_queued();
        }
        if self.queued_bytes() < OUTPUT_HIGH_WATER_BYTES {
            self.wake_writers();
        }
    }
}
