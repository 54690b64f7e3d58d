//! One request's side of a tunnel stream: what the tunnel's reader leaves for the request's task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Waker};

use bytes::Bytes;
use postern_tunnel::Cancel;

/// What happened on a stream.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    Informational(Bytes),
    Head {
        head: Bytes,
        end: bool,
        backend_us: Option<u32>,
    },
    Upgraded {
        head: Bytes,
        backend_us: Option<u32>,
    },
    Data {
        data: Bytes,
        end: bool,
    },
    Trailers(Bytes),
    Cancelled(Cancel),
    /// The tunnel is gone. `sent_nothing`: no byte of the request had left.
    Lost {
        sent_nothing: bool,
    },
    /// The connector answers no probes: time to look elsewhere, if that is safe.
    Suspect,
}

/// The queue between tunnel and request. The tunnel's flow control bounds it.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    events: RefCell<VecDeque<StreamEvent>>,
    waker: RefCell<Option<Waker>>,
    writable: Cell<bool>,
}

impl Exchange {
    pub(crate) fn push(&self, event: StreamEvent) {
        self.events.borrow_mut().push_back(event);
        self.wake();
    }

    /// The tunnel takes payload again.
    pub(crate) fn set_writable(&self) {
        self.writable.set(true);
        self.wake();
    }

    /// Its request's task looks around.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Bytes of payload in what comes next, if it is payload.
    pub(crate) fn next_payload(&self) -> Option<usize> {
        match self.events.borrow().front()? {
            StreamEvent::Data { data, .. } => Some(data.len()),
            StreamEvent::Informational(_)
            | StreamEvent::Head { .. }
            | StreamEvent::Upgraded { .. }
            | StreamEvent::Trailers(_)
            | StreamEvent::Cancelled(_)
            | StreamEvent::Lost { .. }
            | StreamEvent::Suspect => None,
        }
    }

    pub(crate) fn pop(&self) -> Option<StreamEvent> {
        self.events.borrow_mut().pop_front()
    }

    /// The task to wake for the next event.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}
