//! What the requests of a tunnel send on their streams; it leaves at the end of the turn.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use postern_tunnel::{Cancel, CheckAnswer, SendError, Sent, StreamId};

use super::Tunnel;
use crate::incoming::Incoming;

impl Tunnel {
    /// Says what a check found.
    pub(crate) fn answer_check(self: &Rc<Self>, answer: &CheckAnswer) {
        self.connection.borrow_mut().answer_check(answer);
        self.flush();
    }

    /// States how long the backend took for its answer's head, which is sent next.
    pub(crate) fn send_timing(self: &Rc<Self>, stream: StreamId, backend: Duration) -> Result<(), SendError> {
        let us = u32::try_from(backend.as_micros()).unwrap_or(u32::MAX);
        self.connection.borrow_mut().send_timing(stream, us)
    }

    /// Sends an answer's head.
    pub(crate) fn send_head(self: &Rc<Self>, stream: StreamId, head: &[u8], end: bool) -> Result<(), SendError> {
        self.flush();
        self.connection.borrow_mut().send_head(stream, head, end)
    }

    /// Sends an interim answer.
    pub(crate) fn send_informational(self: &Rc<Self>, stream: StreamId, head: &[u8]) -> Result<(), SendError> {
        self.flush();
        self.connection.borrow_mut().send_informational(stream, head)
    }

    /// Sends the head after which both directions carry bytes only.
    pub(crate) fn send_upgrade(self: &Rc<Self>, stream: StreamId, head: &[u8]) -> Result<(), SendError> {
        self.flush();
        self.connection.borrow_mut().send_upgrade(stream, head)
    }

    /// Sends trailers, and with them the end.
    pub(crate) fn send_trailers(self: &Rc<Self>, stream: StreamId, trailers: &[u8]) -> Result<(), SendError> {
        self.flush();
        self.connection.borrow_mut().send_trailers(stream, trailers)
    }

    /// Ends the answer.
    pub(crate) fn end(self: &Rc<Self>, stream: StreamId) -> Result<(), SendError> {
        self.flush();
        self.connection.borrow_mut().end(stream)
    }

    /// Sends all of `data`, as fast as the relay takes it.
    pub(crate) fn poll_send(
        self: &Rc<Self>,
        stream: StreamId,
        data: &mut Bytes,
        end: bool,
        (incoming, cx): (&Incoming, &Context<'_>),
    ) -> Poll<Result<(), SendError>> {
        let sent = self.connection.borrow_mut().send_data(stream, data, end);
        self.flush();
        match sent {
            Ok(Sent::All) => Poll::Ready(Ok(())),
            Ok(Sent::Partly) => {
                incoming.register(cx);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// `bytes` of the request's body are with the backend.
    pub(crate) fn consumed(self: &Rc<Self>, stream: StreamId, bytes: usize) {
        let mut connection = self.connection.borrow_mut();
        connection.consumed(stream, bytes);
        if connection.has_output() {
            self.flush();
        }
    }

    /// Ends a stream both ways.
    pub(crate) fn cancel(self: &Rc<Self>, stream: StreamId, cancel: &Cancel) {
        self.connection.borrow_mut().cancel(stream, cancel);
        self.flush();
    }
}
