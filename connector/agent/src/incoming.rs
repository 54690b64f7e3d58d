//! What the relay sent on one stream and the request's task has not taken yet. The tunnel's credit bounds it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::limits::PIECE_JOINED_BELOW;

/// The next thing of a request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Data(Bytes),
    /// The end, with trailers in the tunnel's form.
    Trailers(Bytes),
    End,
}

/// One stream's input, shared by the tunnel (which fills it) and the request's task (which empties it).
#[derive(Debug, Default)]
pub(crate) struct Incoming(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Bytes>,
    trailers: Option<Bytes>,
    ended: bool,
    taken: bool,
    waker: Option<Waker>,
}

impl Incoming {
    /// Adds payload. Small pieces that wait are joined: each would keep a whole receive buffer alive.
    pub(crate) fn push(&self, data: Bytes) {
        let mut state = self.0.borrow_mut();
        match state.pieces.back_mut() {
            Some(last) if last.len() + data.len() <= PIECE_JOINED_BELOW => {
                *last = join(std::mem::take(last), &data);
            }
            Some(_) | None if !data.is_empty() => state.pieces.push_back(data),
            Some(_) | None => {}
        }
        wake(&mut state);
    }

    /// The relay ended its half.
    pub(crate) fn end(&self, trailers: Option<Bytes>) {
        let mut state = self.0.borrow_mut();
        state.ended = true;
        state.trailers = trailers;
        wake(&mut state);
    }

    /// The relay ended its half, whether or not everything was taken.
    pub(crate) fn is_ended(&self) -> bool {
        self.0.borrow().ended
    }

    /// Payload or trailers were taken: the request cannot be sent a second time.
    pub(crate) fn is_taken(&self) -> bool {
        self.0.borrow().taken
    }

    /// The next piece.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Piece> {
        let mut state = self.0.borrow_mut();
        if let Some(data) = state.pieces.pop_front() {
            state.taken = true;
            return Poll::Ready(Piece::Data(data));
        }
        if let Some(trailers) = state.trailers.take() {
            state.taken = true;
            return Poll::Ready(Piece::Trailers(trailers));
        }
        if state.ended {
            return Poll::Ready(Piece::End);
        }
        register(&mut state, cx);
        Poll::Pending
    }

    /// Wakes the request's task at the next [`Incoming::wake`].
    pub(crate) fn register(&self, cx: &Context<'_>) {
        register(&mut self.0.borrow_mut(), cx);
    }

    /// There is room in the tunnel again.
    pub(crate) fn wake(&self) {
        wake(&mut self.0.borrow_mut());
    }
}

fn join(first: Bytes, second: &[u8]) -> Bytes {
    let mut joined = match first.try_into_mut() {
        Ok(own) if own.capacity() <= 2 * PIECE_JOINED_BELOW => own,
        Ok(large) => copied(&large),
        Err(shared) => copied(&shared),
    };
    joined.extend_from_slice(second);
    joined.freeze()
}

fn copied(bytes: &[u8]) -> BytesMut {
    let mut copy = BytesMut::with_capacity(PIECE_JOINED_BELOW);
    copy.extend_from_slice(bytes);
    copy
}

/// One task polls both halves of a request, so one waker is enough.
fn register(state: &mut State, cx: &Context<'_>) {
    if !state.waker.as_ref().is_some_and(|held| held.will_wake(cx.waker())) {
        state.waker = Some(cx.waker().clone());
    }
}

fn wake(state: &mut State) {
    if let Some(waker) = state.waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(incoming: &Incoming) -> Option<Piece> {
        match incoming.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(piece) => Some(piece),
            Poll::Pending => None,
        }
    }

    #[test]
    fn small_pieces_are_joined_and_large_ones_kept() {
        let incoming = Incoming::default();
        assert_eq!(next(&incoming), None);
        for byte in 0..100u8 {
            incoming.push(Bytes::from(vec![byte]));
        }
        let large = Bytes::from(vec![7; 5000]);
        incoming.push(large.clone());
        incoming.push(Bytes::new());
        incoming.end(Some(Bytes::from_static(b"t")));
        assert_eq!(next(&incoming), Some(Piece::Data((0..100u8).collect::<Vec<_>>().into())));
        assert_eq!(next(&incoming), Some(Piece::Data(large)));
        assert_eq!(next(&incoming), Some(Piece::Trailers(Bytes::from_static(b"t"))));
        assert_eq!(next(&incoming), Some(Piece::End));
        assert!(incoming.is_ended() && incoming.is_taken());
    }

    #[test]
    fn a_request_whose_trailers_are_gone_cannot_be_sent_again() {
        let incoming = Incoming::default();
        incoming.end(Some(Bytes::from_static(b"t")));
        assert!(!incoming.is_taken());
        assert_eq!(next(&incoming), Some(Piece::Trailers(Bytes::from_static(b"t"))));
        assert!(incoming.is_taken());
        let empty = Incoming::default();
        empty.end(None);
        assert_eq!(next(&empty), Some(Piece::End));
        assert!(!empty.is_taken(), "its end is there as often as it is asked for");
    }
}
