//! The workers: threads that accept, decide and forward.
//!
//! A request goes through the files in this order: `accept` (what is this connection?), `h1` or `h2` (the next request),
//! `request` with the stages `route`, `authorise`, `throttle`, and `forward` with `upload` and `download`; `reject` is what
//! else a client may get.
//! `hub` and `tunnel` are the other side: the connectors.

mod accept;
mod additions;
mod authorise;
mod bearer;
mod bounds;
mod challenge;
pub(crate) mod check;
mod client;
mod conditional;
pub mod context;
mod corporate;
pub mod counters;
mod download;
pub mod drain;
mod drain_watch;
mod exchange;
#[cfg(debug_assertions)]
mod fault;
mod forward;
mod h1;
mod h2;
mod hub;
mod pacer;
mod patience;
pub mod peers;
mod preflight;
pub(crate) mod recorder;
mod reject;
mod request;
mod resource;
mod route;
pub(crate) mod session;
mod sign_in;
mod sso;
#[cfg(test)]
mod tests;
mod throttle;
mod told;
mod traced;
mod tunnel;
mod upgraded;
mod upload;
mod websocket;

use std::cell::{Cell, RefCell, RefMut};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use postern_io::mailbox::{Receiver, Refused, Sender};
use postern_io::turn::{LoadProbe, publish_load};
use postern_io::{Listener, Runtime, RuntimeOptions, sleep, spawn};
use postern_tunnel::GoAwayReason;
use slab::Slab;

use crate::handover::SourceDrops;
use crate::limits::DRAIN_CHECK_INTERVAL;
use crate::published::{ConfigHandle, Published};
use crate::side::{SideSender, WorkerReport};
use accept::Target;
use context::{WorkerContext, WorkerLimits, WorkerListener, WorkerLoad};
use counters::WorkerCounters;
use drain::{Drain, DrainState};
use drain_watch::DrainWatch;
use hub::Hub;
use peers::{Peers, ToWorker};
use recorder::Recorder;
use throttle::InProgress;
use tunnel::{Health, Tunnel};

/// Runs one worker until it is told to end.
pub fn run(ctx: WorkerContext) {
    let options = RuntimeOptions { backend: ctx.io, seed: None, connects: false };
    let runtime = Runtime::new(options);
    let unclosed = ctx.gate.pass();
    let unrestricted = runtime.as_ref().ok().and_then(Runtime::restriction_warning);
    if ctx.index == 0 {
        ctx.side.report(WorkerReport::Warning { key: "gate", text: unclosed });
        ctx.side.report(WorkerReport::Warning { key: "ring", text: unrestricted });
    }
    let ended = runtime.and_then(|runtime| runtime.run(live(ctx)));
    if let Err(error) = ended {
        tracing::error!("the worker's engine failed: {error}");
    }
}

/// What all tasks of a worker share.
pub(crate) struct Worker {
    pub(crate) index: u16,
    pub(crate) workers: u16,
    pub(crate) generation: u32,
    pub(crate) side: SideSender,
    pub(crate) hub: Hub,
    pub(crate) recorder: Rc<Recorder>,
    pub(crate) in_progress: InProgress,
    pub(crate) drops: SourceDrops,
    /// Where heads for connectors are encoded.
    pub(crate) scratch: RefCell<Vec<u8>>,
    config: ConfigHandle,
    current: RefCell<Arc<Published>>,
    senders: Vec<Sender<ToWorker>>,
    drain: Drain,
    /// Who is to be woken when the process begins to drain.
    drain_watchers: RefCell<Slab<Waker>>,
    /// [`Published::access`] when requests in progress were last told to look whether they still may.
    reviewed: Cell<u64>,
    /// Draining, and nothing is left to finish.
    idle: Cell<bool>,
    load: WorkerLoad,
    open: Rc<Cell<usize>>,
    open_max: usize,
}

/// One connection's place among those a worker may hold.
pub(crate) struct Place {
    open: Rc<Cell<usize>>,
    counters: Arc<WorkerCounters>,
    /// Those that `steer` counted here.
    load: Option<WorkerLoad>,
}

async fn live(ctx: WorkerContext) {
    let WorkerContext {
        index,
        workers,
        generation,
        io,
        listeners,
        config,
        side,
        drain,
        load,
        limits,
        peers,
        drops,
        ..
    } = ctx;
    let Peers { senders, inbox } = peers;
    load.cell().started();
    publish_load(Box::new(Probe(load.clone())));
    let worker =
        Worker::new(WorkerParts { index, workers, generation, side, config, senders, drain, load, limits, drops });
    worker.wake_on_change();
    for WorkerListener { socket, protocol, .. } in listeners {
        match Listener::from_std(socket) {
            Ok(listener) => spawn(accept::accept_all(Rc::clone(&worker), listener, protocol)).detach(),
            Err(error) => return tracing::error!("a listener cannot be used: {error}"),
        }
    }
    spawn(Rc::clone(&worker).housekeep()).detach();
    worker.side.report(WorkerReport::Ready { io_backend: io.name() });
    #[cfg(debug_assertions)]
    fault::stall_if_told(index);
    worker.attend(inbox).await;
}

/// What a worker is made of.
pub(crate) struct WorkerParts {
    pub(crate) index: u16,
    pub(crate) workers: u16,
    pub(crate) generation: u32,
    pub(crate) side: SideSender,
    pub(crate) config: ConfigHandle,
    pub(crate) senders: Vec<Sender<ToWorker>>,
    pub(crate) drain: Drain,
    pub(crate) load: WorkerLoad,
    pub(crate) limits: WorkerLimits,
    pub(crate) drops: SourceDrops,
}

impl Worker {
    pub(crate) fn new(parts: WorkerParts) -> Rc<Self> {
        let WorkerParts { index, workers, generation, side, config, senders, drain, load, limits, drops } = parts;
        let (book, lane) = side.recording();
        let recorder = Recorder::new(book, lane, side.log_fields);
        Rc::new(Self {
            index,
            workers,
            generation,
            side,
            hub: Hub::default(),
            recorder,
            in_progress: InProgress::default(),
            drops,
            scratch: RefCell::default(),
            reviewed: Cell::new(config.current().access()),
            current: RefCell::new(config.current()),
            config,
            senders,
            drain,
            drain_watchers: RefCell::default(),
            idle: Cell::new(false),
            load,
            open: Rc::default(),
            open_max: limits.connections_max,
        })
    }

    /// The configuration in force.
    pub(crate) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.newest())
    }

    /// [`Published::access`] of what is in force: a few loads.
    pub(crate) fn access(&self) -> u64 {
        self.newest().access()
    }

    /// Whether it is the application that people sign in at.
    pub(crate) fn is_identity(&self, app: postern_model::ids::AppId) -> bool {
        self.newest().plan.identity().is_some_and(|identity| identity.app.id == app)
    }

    fn newest(&self) -> RefMut<'_, Arc<Published>> {
        let mut current = self.current.borrow_mut();
        if current.sequence != self.config.sequence() {
            *current = self.config.current();
        }
        current
    }

    pub(crate) fn counters(&self) -> &WorkerCounters {
        self.side.counters()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain.state() != DrainState::Running
    }

    /// Whether a tunnel's hint means another worker of this generation.
    pub(crate) fn is_elsewhere(&self, target: Target) -> bool {
        target.generation == self.generation && target.worker < self.workers && target.worker != self.index
    }

    pub(crate) fn send_to(&self, worker: u16, message: ToWorker) -> Result<(), Refused<ToWorker>> {
        self.senders[usize::from(worker)].send(message)
    }

    /// Counts a connection, unless there are too many. One that was moved here is counted by `steer` elsewhere.
    pub(crate) fn place(&self, moved: bool) -> Option<Place> {
        self.counters().connections_accepted.increment();
        let load = (!moved).then(|| self.load.clone());
        if self.open.get() >= self.open_max {
            if let Some(load) = load {
                load.cell().release(1);
            }
            return None;
        }
        self.open.set(self.open.get() + 1);
        self.counters().connections_open.increment();
        Some(Place { open: Rc::clone(&self.open), counters: Arc::clone(self.side.counters()), load })
    }

    /// Serves a tunnel to its end.
    pub(crate) async fn serve_tunnel(self: &Rc<Self>, tunnel: Rc<Tunnel>) {
        self.counters().tunnels_open.increment();
        self.hub.add(Rc::clone(&tunnel));
        let published = self.published();
        if let Some(config) = published.group_configs.get(&tunnel.group) {
            tunnel.send_config(config);
        }
        Rc::clone(&tunnel).run().await;
        self.hub.remove(&tunnel);
        self.counters().tunnels_open.decrement();
        self.report(&tunnel);
    }

    pub(crate) fn on_tunnel_changed(self: &Rc<Self>) -> Box<dyn Fn(&Tunnel)> {
        let worker: Weak<Self> = Rc::downgrade(self);
        Box::new(move |tunnel| {
            if let Some(worker) = worker.upgrade() {
                worker.report(tunnel);
            }
        })
    }

    fn report(&self, tunnel: &Tunnel) {
        let connector = tunnel.connector;
        if tunnel.health() == Health::Online {
            self.hub.replace_older(tunnel);
        }
        if tunnel.health() != Health::Gone {
            self.side.report(WorkerReport::Tunnel { connector, state: tunnel.state() });
        } else if !self.hub.has_other(tunnel) {
            self.side.report(WorkerReport::TunnelGone { connector });
        }
    }

    /// Takes what the other threads send, until it is told to end or nothing is left to finish.
    async fn attend(self: Rc<Self>, mut inbox: Receiver<ToWorker>) {
        let mut draining = false;
        while self.drain.state() != DrainState::Ended && !self.idle.get() {
            match inbox.recv().await {
                Some(ToWorker::Connection(moved)) => accept::take_moved(&self, moved),
                Some(ToWorker::Check(order)) => self.check(&order),
                Some(ToWorker::Look) => self.look(&mut draining),
                None => return,
            }
        }
    }

    fn wake_on_change(&self) {
        let own = self.senders[usize::from(self.index)].clone();
        self.drain.on_wake(move || {
            // A full mailbox has a reason to look in it already, or the next turn of housekeeping looks.
            let _ = own.send(ToWorker::Look);
        });
    }

    fn look(self: &Rc<Self>, draining: &mut bool) {
        let published = self.published();
        self.hub.reconfigure(&published);
        self.review();
        self.recorder.retain(|app| published.plan.app(app).is_some());
        if self.is_draining() && !std::mem::replace(draining, true) {
            for watcher in self.drain_watchers.borrow_mut().drain() {
                watcher.wake();
            }
            spawn(Rc::clone(self).end_when_idle()).detach();
        }
    }

    /// Has every request in progress look whether it still may be, when what lets requests pass has changed.
    fn review(&self) {
        let access = self.access();
        if self.reviewed.replace(access) != access {
            self.hub.wake_streams();
        }
    }

    /// Ends this worker when only tunnels are left; until then their connectors serve what was begun. Other workers may
    /// still have work.
    async fn end_when_idle(self: Rc<Self>) {
        loop {
            sleep(DRAIN_CHECK_INTERVAL).await;
            let tunnels = self.hub.tunnels();
            if self.open.get() <= tunnels.len() && tunnels.iter().all(|tunnel| tunnel.open_streams() == 0) {
                for tunnel in tunnels {
                    tunnel.go_away(GoAwayReason::SHUTDOWN);
                }
                sleep(DRAIN_CHECK_INTERVAL).await;
                self.idle.set(true);
                // A full mailbox has a reason to look in it already.
                let _ = self.send_to(self.index, ToWorker::Look);
                return;
            }
        }
    }

    /// Once a second: shows that this worker turns, corrects what `steer` counts, refreshes what `status` shows.
    async fn housekeep(self: Rc<Self>) {
        loop {
            sleep(Duration::from_secs(1)).await;
            self.side.beat();
            // Had the mailbox been full when it was told: nothing that was taken back lasts longer than this.
            self.review();
            self.load.cell().resync(self.open.get() as u64);
            self.recorder.flush();
            self.counters().requests_open.set(self.in_progress.count() as u64);
            self.hub.gauge(self.counters());
            for tunnel in self.hub.tunnels() {
                self.report(&tunnel);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
        self.counters.connections_open.decrement();
        if let Some(load) = &self.load {
            load.cell().release(1);
        }
    }
}

/// Tells `steer` when this worker works and when it waits.
struct Probe(WorkerLoad);

impl LoadProbe for Probe {
    fn busy(&self, now_ns: u64) {
        self.0.cell().set_busy(now_ns);
    }

    fn parked(&self) {
        self.0.cell().set_parked();
    }
}
