//! One thread of the connector: its ring, its tunnels, its pools.

mod config_wait;
mod cpu;
mod links;
mod pools;
mod shared;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use postern_io::mailbox::{Receiver, Sender};
use postern_io::sync::Notify;
use postern_io::{now, sleep, spawn};
use postern_model::ids::AppId;
use postern_service::notify::Heartbeat;
use postern_tunnel::GoAwayReason;

use crate::backend::BackendTable;
use crate::dial::{self, Order, Report, TunnelId};
use crate::embed::BuiltIn;
use crate::farm::looking;
use crate::keeper::Offered;
use crate::limits::BACKEND_SWEEP;
use crate::pool::Pool;
use crate::resolve::{Names, Resolver};
use crate::tunnel::Tunnel;
use cpu::thread_cpu;
use pools::Leaving;

pub(crate) use shared::{Shared, SharedParts, Transport};

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum ToWorker {
    Dial(Order),
    /// Every configuration offered up to that one is decided on; the applications from now on, if they changed.
    Decided(Offered, Option<Arc<BackendTable>>),
    /// A tunnel that is not needed.
    Close(TunnelId),
    /// Take nothing new and return when nothing is left.
    Drain,
}

/// One thread.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) names: Names,
    index: usize,
    /// The backend that is this program itself.
    built_in: Option<BuiltIn>,
    table: RefCell<Option<Arc<BackendTable>>>,
    decided: Cell<Offered>,
    waiting_for_config: RefCell<HashMap<u64, Waker>>,
    waits_for_config: Cell<u64>,
    pools: RefCell<HashMap<AppId, Rc<Pool>>>,
    leaving: RefCell<HashMap<AppId, Leaving>>,
    tunnels: RefCell<HashMap<TunnelId, Dialled>>,
    scratch: RefCell<Vec<u8>>,
    draining: Cell<bool>,
    changed: Notify,
}

/// A dial, and the tunnel once it led to one.
struct Dialled {
    reports: Sender<Report>,
    tunnel: Option<Rc<Tunnel>>,
}

impl Worker {
    pub(crate) fn new(index: usize, shared: Arc<Shared>, resolver: Resolver, built_in: Option<BuiltIn>) -> Rc<Self> {
        Rc::new(Self {
            shared,
            names: Names::new(resolver),
            index,
            built_in,
            table: RefCell::default(),
            decided: Cell::default(),
            waiting_for_config: RefCell::default(),
            waits_for_config: Cell::default(),
            pools: RefCell::default(),
            leaving: RefCell::default(),
            tunnels: RefCell::default(),
            scratch: RefCell::default(),
            draining: Cell::new(false),
            changed: Notify::default(),
        })
    }

    /// Works until it was told to drain and nothing is left.
    pub(crate) async fn run(self: Rc<Self>, mut orders: Receiver<ToWorker>, heartbeat: Heartbeat) {
        spawn(Rc::clone(&self).housekeeping(heartbeat)).detach();
        loop {
            let order = poll_fn(|cx| {
                if let Poll::Ready(order) = orders.poll_recv(cx) {
                    return Poll::Ready(order);
                }
                if self.draining.get() && self.tunnels.borrow().is_empty() {
                    return Poll::Ready(None);
                }
                self.changed.register(cx);
                Poll::Pending
            });
            let Some(order) = order.await else { return };
            self.obey(order);
        }
    }

    fn obey(self: &Rc<Self>, order: ToWorker) {
        match order {
            ToWorker::Dial(order) => spawn(dial::carry_out(Rc::clone(self), order)).detach(),
            ToWorker::Decided(offered, table) => {
                if let Some(table) = table {
                    self.install(table, offered);
                }
                self.decided.set(self.decided.get().max(offered));
                self.waiting_for_config.take().into_values().for_each(Waker::wake);
            }
            ToWorker::Close(tunnel) => {
                if let Some(tunnel) = self.tunnel(tunnel) {
                    tunnel.drain(GoAwayReason::REPLACED);
                }
            }
            ToWorker::Drain => {
                self.draining.set(true);
                self.each_tunnel(|tunnel| tunnel.drain(GoAwayReason::SHUTDOWN));
                // Dials that lead to no tunnel any more.
                self.tunnels.borrow_mut().retain(|_, dialled| dialled.tunnel.is_some());
            }
        }
    }

    /// Pools of backends that did not change stay; the others close when their last request is done.
    fn install(self: &Rc<Self>, table: Arc<BackendTable>, offered: Offered) {
        self.keep_leaving(&table, offered);
        let same =
            |app: &AppId, pool: &mut Rc<Pool>| table.apps.get(app).is_some_and(|new| Arc::ptr_eq(new, &pool.backend));
        self.pools.borrow_mut().retain(same);
        self.table.replace(Some(Arc::clone(&table)));
        if self.index == 0 {
            looking::begin(self, &table);
        }
        self.each_tunnel(Tunnel::report_status);
    }

    fn each_tunnel(&self, act: impl Fn(&Rc<Tunnel>)) {
        let tunnels: Vec<Rc<Tunnel>> =
            self.tunnels.borrow().values().filter_map(|dialled| dialled.tunnel.clone()).collect();
        tunnels.iter().for_each(act);
    }

    /// The configuration in force.
    pub(crate) fn table(&self) -> Option<Arc<BackendTable>> {
        self.table.borrow().clone()
    }

    #[cfg(test)]
    pub(crate) fn waiting_for_config(&self) -> usize {
        self.waiting_for_config.borrow().len()
    }

    /// Runs `write` with an empty buffer whose memory is kept.
    pub(crate) fn with_scratch<T>(&self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut scratch = self.scratch.take();
        scratch.clear();
        let result = write(&mut scratch);
        if scratch.capacity() <= SCRATCH_KEPT_BYTES {
            self.scratch.replace(scratch);
        }
        result
    }

    /// A dial began.
    pub(crate) fn expect(&self, tunnel: TunnelId, reports: Sender<Report>) {
        self.tunnels.borrow_mut().insert(tunnel, Dialled { reports, tunnel: None });
    }

    /// It led to a tunnel.
    pub(crate) fn add(&self, id: TunnelId, tunnel: Rc<Tunnel>) {
        if let Some(dialled) = self.tunnels.borrow_mut().get_mut(&id) {
            dialled.tunnel = Some(tunnel);
        }
    }

    /// It is over.
    pub(crate) fn remove(&self, id: TunnelId) {
        let removed = self.tunnels.borrow_mut().remove(&id);
        drop(removed);
        self.changed.notify();
    }

    fn tunnel(&self, id: TunnelId) -> Option<Rc<Tunnel>> {
        self.tunnels.borrow().get(&id)?.tunnel.clone()
    }

    /// Tells the task that keeps the relay's tunnels.
    pub(crate) fn report(&self, id: TunnelId, report: Report) {
        let reports = self.tunnels.borrow().get(&id).map(|dialled| dialled.reports.clone());
        if reports.is_some_and(|reports| reports.send(report).is_err()) {
            tracing::error!("the dialler's mailbox is full");
        }
    }

    /// Looks at idle connections, measures the thread, and proves to systemd that it turns.
    async fn housekeeping(self: Rc<Self>, heartbeat: Heartbeat) {
        let mut last = (now(), thread_cpu());
        loop {
            sleep(BACKEND_SWEEP).await;
            let pools: Vec<Rc<Pool>> = self.pools.borrow().values().cloned().collect();
            pools.iter().for_each(|pool| pool.sweep());
            self.forget_leaving();
            let this = (now(), thread_cpu());
            let permille = (this.1 - last.1).as_millis() * 1000 / this.0.since(last.0).as_millis().max(1);
            let permille = u16::try_from(permille.min(1000)).unwrap_or(1000) / 50 * 50;
            self.shared.loads_permille[self.index].store(permille, Ordering::Relaxed);
            last = this;
            heartbeat.beat();
        }
    }
}

/// A larger buffer, after a burst, is not kept.
const SCRATCH_KEPT_BYTES: usize = 128 * 1024;
