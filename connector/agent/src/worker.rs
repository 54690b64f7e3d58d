//! One thread of the connector: its ring, its tunnels, its pools; and what all threads share.

mod config_wait;
mod cpu;
mod links;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;
use postern_io::mailbox::{Receiver, Sender};
use postern_io::sync::Notify;
use postern_io::time::timeout;
use postern_io::{now, sleep, spawn};
use postern_model::ids::{AppId, ConnectorId};
use postern_service::notify::{self, Heartbeat};
use postern_sso::SignOn;
use postern_tunnel::{GoAwayReason, Status};

use crate::backend::BackendTable;
use crate::check::Checks;
use crate::counters::Counters;
use crate::dial::{self, Order, Report, TunnelId};
use crate::embed::BuiltIn;
use crate::identity::Identity;
use crate::keeper::Offered;
use crate::limits::{BACKEND_SWEEP, CONFIG_PATIENCE};
use crate::pool::Pool;
use crate::proxy::Proxies;
use crate::resolve::{Names, Resolver};
use crate::transactions::TransactionLog;
use crate::tunnel::Tunnel;
use crate::vault::Vault;
use config_wait::ConfigWait;
use cpu::thread_cpu;

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

/// How tunnels are secured.
#[derive(Debug, Clone)]
pub(crate) enum Transport {
    Tls(Arc<Identity>),
    /// In the simulator.
    #[cfg_attr(not(test), expect(dead_code, reason = "the simulator's tests speak it"))]
    Null(ConnectorId),
}

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) counters: Arc<Counters>,
    pub(crate) transactions: TransactionLog,
    pub(crate) sign_on: Option<Arc<dyn SignOn>>,
    pub(crate) vault: Option<Arc<Vault>>,
    pub(crate) checks: Checks,
    pub(crate) proxies: Proxies,
    connector: ConnectorId,
    transport: Mutex<Transport>,
    workers: Vec<Sender<ToWorker>>,
    offer: Box<dyn Fn(Bytes) -> Offered + Send + Sync>,
    config_version: AtomicU64,
    loads_permille: Vec<AtomicU16>,
    draining: AtomicBool,
    ready: AtomicBool,
}

/// What [`Shared`] is made of.
pub(crate) struct SharedParts {
    pub(crate) counters: Arc<Counters>,
    pub(crate) transactions: TransactionLog,
    pub(crate) sign_on: Option<Arc<dyn SignOn>>,
    pub(crate) vault: Option<Arc<Vault>>,
    pub(crate) checks: Checks,
    pub(crate) proxies: Proxies,
    pub(crate) connector: ConnectorId,
    pub(crate) transport: Transport,
    pub(crate) workers: Vec<Sender<ToWorker>>,
    /// Takes a signed group configuration as it came; must not block.
    pub(crate) offer: Box<dyn Fn(Bytes) -> Offered + Send + Sync>,
}

impl Shared {
    pub(crate) fn new(parts: SharedParts) -> Arc<Self> {
        Arc::new(Self {
            counters: parts.counters,
            transactions: parts.transactions,
            sign_on: parts.sign_on,
            vault: parts.vault,
            checks: parts.checks,
            proxies: parts.proxies,
            connector: parts.connector,
            transport: Mutex::new(parts.transport),
            loads_permille: parts.workers.iter().map(|_| AtomicU16::new(0)).collect(),
            workers: parts.workers,
            offer: parts.offer,
            config_version: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            ready: AtomicBool::new(false),
        })
    }

    pub(crate) fn connector(&self) -> ConnectorId {
        self.connector
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The renewed identity, for tunnels from now on.
    pub(crate) fn renewed(&self, identity: Arc<Identity>) {
        *self.transport.lock().unwrap_or_else(PoisonError::into_inner) = Transport::Tls(identity);
    }

    pub(crate) fn offer_config(&self, config: Bytes) -> Offered {
        (self.offer)(config)
    }

    /// Tells every worker that a configuration was decided on, and the applications from now on if it changed them.
    pub(crate) fn decided(&self, offered: Offered, table: Option<&Arc<BackendTable>>) {
        if let Some(table) = table {
            self.config_version.store(table.version, Ordering::Relaxed);
        }
        self.send_all(|| ToWorker::Decided(offered, table.cloned()));
    }

    /// Queues for the worker with that number, wrapped around. False when it cannot take it.
    pub(crate) fn send(&self, worker: u16, message: ToWorker) -> bool {
        self.workers[usize::from(worker) % self.workers.len()].send(message).is_ok()
    }

    pub(crate) fn send_all(&self, message: impl Fn() -> ToWorker) {
        for worker in &self.workers {
            if worker.send(message()).is_err() {
                tracing::error!("a worker's mailbox is full");
            }
        }
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.send_all(|| ToWorker::Drain);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// A tunnel is up: the service is.
    pub(crate) fn has_tunnel(&self) {
        if !self.ready.swap(true, Ordering::Relaxed) {
            notify::ready();
        }
    }

    pub(crate) fn config_version(&self) -> u64 {
        self.config_version.load(Ordering::Relaxed)
    }

    /// What relays are told.
    pub(crate) fn status(&self) -> Status {
        Status {
            config_version: self.config_version(),
            load_permille: self.loads_permille.iter().map(|load| load.load(Ordering::Relaxed)).max().unwrap_or(0),
            backends_down: 0,
            requests: u32::try_from(self.counters.requests.value()).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("connector", &self.connector).finish_non_exhaustive()
    }
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
                    self.install(table);
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
    fn install(self: &Rc<Self>, table: Arc<BackendTable>) {
        let same =
            |app: &AppId, pool: &mut Rc<Pool>| table.apps.get(app).is_some_and(|new| Arc::ptr_eq(new, &pool.backend));
        self.pools.borrow_mut().retain(same);
        self.table.replace(Some(table));
        self.each_tunnel(Tunnel::report_status);
    }

    fn each_tunnel(&self, act: impl Fn(&Rc<Tunnel>)) {
        let tunnels: Vec<Rc<Tunnel>> =
            self.tunnels.borrow().values().filter_map(|dialled| dialled.tunnel.clone()).collect();
        tunnels.iter().for_each(act);
    }

    /// The connections to an application's backend, by the configuration that came before the request: deciding on it
    /// takes the keeper's thread a few milliseconds, and a long one may even arrive after what was opened behind it. None
    /// when no configuration names the application in time.
    pub(crate) async fn pool_after(&self, offered: Offered, app: AppId) -> Option<Rc<Pool>> {
        let decided = || self.pool(app).filter(|_| self.decided.get() >= offered);
        if let Some(pool) = decided() {
            return Some(pool);
        }
        let waiting = ConfigWait::begin(self);
        let waited = poll_fn(|cx| match decided() {
            Some(pool) => Poll::Ready(pool),
            None => {
                waiting.register(cx.waker());
                Poll::Pending
            }
        });
        timeout(CONFIG_PATIENCE, waited).await.ok().or_else(|| self.pool(app))
    }

    /// The connections to an application's backend; none when no configuration names it.
    pub(crate) fn pool(&self, app: AppId) -> Option<Rc<Pool>> {
        if let Some(pool) = self.pools.borrow().get(&app) {
            return Some(Rc::clone(pool));
        }
        let backend = Arc::clone(self.table.borrow().as_ref()?.apps.get(&app)?);
        let counters = Arc::clone(&self.shared.counters);
        let way = self.shared.proxies.way(backend.proxy.as_ref());
        let pool = Pool::new(backend, way, self.shared.workers.len(), counters, self.built_in.clone());
        self.pools.borrow_mut().insert(app, Rc::clone(&pool));
        Some(pool)
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
