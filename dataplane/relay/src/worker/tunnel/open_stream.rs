//! A request's stream on a tunnel.

use std::rc::Rc;

use postern_tunnel::{Cancel, StreamId};

use super::Tunnel;
use crate::worker::exchange::{Exchange, StreamEvent};

/// A request's stream: cancelled when dropped before both halves ended.
pub(crate) struct OpenStream {
    pub(crate) tunnel: Rc<Tunnel>,
    pub(crate) id: StreamId,
    pub(crate) exchange: Rc<Exchange>,
}

impl OpenStream {
    /// Ends the stream both ways.
    pub(crate) fn cancel(&self, cancel: &Cancel) {
        self.tunnel.with(|connection| connection.cancel(self.id, cancel));
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let tunnel = &self.tunnel;
        tunnel.open.set(tunnel.open.get() - 1);
        if let Some(slot) = tunnel.exchanges.borrow_mut().get_mut(self.id.slot())
            && slot.as_ref().is_some_and(|(id, _)| *id == self.id)
        {
            *slot = None;
        }
        // Payload that the request never looked at: the window is the tunnel's, not the request's.
        while let Some(event) = self.exchange.pop() {
            if let StreamEvent::Data { data, .. } = event {
                tunnel.with(|connection| connection.consumed(self.id, data.len()));
            }
        }
    }
}
