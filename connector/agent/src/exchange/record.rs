//! What is remembered of one request for counters and the transaction log; written once, whatever the outcome.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use postern_http::RequestHead;
use postern_io::{Instant, now};
use postern_model::ids::{AppId, RequestId};
use postern_tunnel::OpenMeta;

use crate::failure::{Failed, Fault};
use crate::limits::TRANSACTION_PATH_BYTES;
use crate::transactions::Transaction;
use crate::tunnel::Tunnel;

/// Of one request. Dropped before [`Record::done`] or [`Record::failed`] it counts as cancelled.
pub(super) struct Record {
    tunnel: Rc<Tunnel>,
    app: AppId,
    request: RequestId,
    began: Instant,
    connected: Cell<Option<Instant>>,
    first_byte: Cell<Option<Instant>>,
    status: Cell<Option<u16>>,
    reused: Cell<bool>,
    sent: Cell<u64>,
    received: Cell<u64>,
    outcome: RefCell<Outcome>,
    /// Method and path, only if somebody wants them.
    asked: RefCell<(String, String)>,
}

enum Outcome {
    Open,
    Done,
    Failed(Failed),
}

impl Record {
    pub(super) fn begin(tunnel: &Rc<Tunnel>, meta: &OpenMeta) -> Self {
        let counters = &tunnel.worker.shared.counters;
        counters.requests.increment();
        counters.requests_total.increment();
        Self {
            tunnel: Rc::clone(tunnel),
            app: meta.app,
            request: meta.request,
            began: now(),
            connected: Cell::new(None),
            first_byte: Cell::new(None),
            status: Cell::new(None),
            reused: Cell::new(false),
            sent: Cell::new(0),
            received: Cell::new(0),
            outcome: RefCell::new(Outcome::Open),
            asked: RefCell::default(),
        }
    }

    pub(super) fn request(&self, head: &RequestHead) {
        if self.tunnel.worker.shared.transactions.is_on() {
            let path = head.target.path();
            let path = &path[..path.floor_char_boundary(TRANSACTION_PATH_BYTES)];
            self.asked.replace((head.method.as_str().to_owned(), path.to_owned()));
        }
    }

    pub(super) fn connected(&self, reused: bool) {
        self.connected.set(Some(now()));
        self.reused.set(reused);
        if !reused {
            self.tunnel.worker.shared.counters.backend_connections.increment();
        }
    }

    pub(super) fn answered(&self, status: u16) {
        self.first_byte.set(Some(now()));
        self.status.set(Some(status));
    }

    /// From the OPEN until the answer's head was here; what came in between was the backend's doing.
    pub(super) fn backend_time(&self) -> Duration {
        self.first_byte.get().unwrap_or_default().since(self.began)
    }

    /// Of the request's body, to the backend.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// Of the answer's body, from the backend.
    pub(super) fn received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }

    pub(super) fn done(&self) {
        self.outcome.replace(Outcome::Done);
    }

    pub(super) fn failed(&self, failed: Failed) {
        self.outcome.replace(Outcome::Failed(failed));
    }

    fn since_began_ms(&self, at: Instant) -> f64 {
        (at.since(self.began).as_micros() as f64) / 1000.0
    }

    fn transaction(&self, failed: Option<Failed>) -> Transaction {
        let (method, path) = self.asked.take();
        let ms = |at: Option<Instant>| at.map(|at| self.since_began_ms(at));
        Transaction {
            time: SystemTime::now(),
            request: self.request,
            app: self.app,
            relay: self.tunnel.relay(),
            method,
            path,
            status: self.status.get(),
            code: failed.as_ref().map(|failed| failed.fault.code()),
            detail: failed.map(|failed| failed.detail).unwrap_or_default(),
            request_bytes: self.sent.get(),
            response_bytes: self.received.get(),
            connect_ms: ms(self.connected.get()),
            first_byte_ms: ms(self.first_byte.get()),
            total_ms: self.since_began_ms(now()),
            reused: self.reused.get(),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let shared = &self.tunnel.worker.shared;
        let counters = &shared.counters;
        counters.requests.decrement();
        counters.request_bytes.add(self.sent.get());
        counters.response_bytes.add(self.received.get());
        let failed = match self.outcome.replace(Outcome::Done) {
            Outcome::Done => None,
            Outcome::Open => Some(Failed::new(Fault::Cancelled, "")),
            Outcome::Failed(failed) => Some(failed),
        };
        if let Some(failed) = &failed {
            counters.failed(failed.fault);
            tracing::trace!(request = %self.request, code = failed.fault.code(), detail = failed.detail, "no whole answer");
        }
        if shared.transactions.is_on() {
            shared.transactions.write(self.transaction(failed));
        }
    }
}
