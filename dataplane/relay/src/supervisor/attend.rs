//! Keeps a dataplane running and answers it, until told to end.

mod geoip;

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::process::ExitStatus;
use std::time::Duration;

use nix::unistd::getpid;
use postern_ebpf_loader::WorkerState;
use postern_service::failure::Failure;
use postern_service::notify;
use postern_service::signals::{AsyncSignals, Signal};
use tokio::time::{Instant, Interval, sleep_until, timeout};

use super::child::DataplaneProcess;
use super::control;
use super::listeners::Listeners;
use super::read_trust_anchor;
use super::restarts::Restarts;
use super::state_dir::StateDir;
use super::steering::Steering;
use super::user::DataplaneUser;
use crate::args::{ControlLink, LogFile, Options};
use crate::handover::DropRequests;
use crate::limits::{BOOTSTRAP_TIMEOUT, DRAIN_MARGIN, GEOIP_LOOK_INTERVAL, KERNEL_REPORT_INTERVAL, READY_TIMEOUT};
use crate::messages::{Bootstrap, ToDataplane, ToSupervisor};

use geoip::Databases;
pub(super) use geoip::check as check_geoip;

/// All that outlives a dataplane.
pub(super) struct Supervisor {
    options: Options,
    user: Option<DataplaneUser>,
    state_dir: StateDir,
    listeners: Listeners,
    steering: Steering,
    trust_anchor_pem: Option<String>,
    geoip: Databases,
    signals: AsyncSignals,
    generation: u32,
    was_ready: bool,
    watchdog: Watchdog,
}

/// How a dataplane's life ended.
enum Ending {
    /// As told.
    Asked,
    /// By itself.
    Unasked,
    /// It says that another one would fare no better.
    Fatal(String),
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<UnixStream>>>>;

impl Supervisor {
    pub(super) fn new(
        options: Options,
        user: Option<DataplaneUser>,
        state_dir: StateDir,
        listeners: Listeners,
        steering: Steering,
        trust_anchor_pem: Option<String>,
        signals: AsyncSignals,
    ) -> Self {
        let (generation, was_ready, watchdog) = (0, false, Watchdog::new());
        let geoip = Databases::new(&options.geoip);
        Self {
            options,
            user,
            state_dir,
            listeners,
            steering,
            trust_anchor_pem,
            geoip,
            signals,
            generation,
            was_ready,
            watchdog,
        }
    }

    /// Runs dataplanes until the end, then cleans up.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let outcome = self.keep_running().await;
        self.close();
        tracing::info!("ended");
        outcome
    }

    async fn keep_running(&mut self) -> anyhow::Result<()> {
        let mut restarts = Restarts::default();
        loop {
            self.generation += 1;
            let mut dataplane = DataplaneProcess::spawn(self.user.as_ref())
                .map_err(|error| Failure::new(format!("cannot start the dataplane: {error}")))?;
            let ending = self.attend(&dataplane).await;
            let (lived, status) = (dataplane.age(), dataplane.end());
            self.steering.tell(WorkerState::Draining);
            match ending {
                Ending::Asked => return Ok(()),
                Ending::Fatal(message) if !self.was_ready => return Err(Failure::new(message).into()),
                Ending::Fatal(message) => tracing::error!("the dataplane cannot start: {message}"),
                Ending::Unasked => tracing::error!(status = describe(status), ?lived, "the dataplane ended by itself"),
            }
            let pause = restarts.pause_after(lived);
            if !pause.is_zero() && self.told_to_end_within(pause).await {
                return Ok(());
            }
        }
    }

    async fn told_to_end_within(&mut self, pause: Duration) -> bool {
        tracing::warn!(?pause, "it ends again and again: the next start waits");
        let told = async {
            loop {
                tokio::select! {
                    signal = self.signals.next() => match signal {
                        Signal::Terminate | Signal::TerminateNow => return,
                        Signal::Reload | Signal::Upgrade => {}
                    },
                    // The pause is part of the work, and bounded.
                    () = self.watchdog.due() => notify::watchdog(),
                }
            }
        };
        timeout(pause, told).await.is_ok()
    }

    /// From a dataplane's first instruction to its last.
    async fn attend(&mut self, dataplane: &DataplaneProcess) -> Ending {
        let (drops, drops_pipe) = self.drops_pipe().unzip();
        match timeout(BOOTSTRAP_TIMEOUT, self.bootstrap(dataplane, drops_pipe)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the dataplane could not be given its sockets"),
            Err(_) => tracing::error!("the dataplane does not take its sockets"),
        }
        let mut connecting: Option<Connecting> = None;
        let mut end_by: Option<Instant> = None;
        let ready_by = Instant::now() + READY_TIMEOUT;
        let mut is_ready = false;
        let mut reports = tokio::time::interval(KERNEL_REPORT_INTERVAL);
        let mut databases = tokio::time::interval(GEOIP_LOOK_INTERVAL);
        let mut is_alive = true;
        loop {
            tokio::select! {
                message = dataplane.receive() => match message {
                    Some(ToSupervisor::Ready) => {
                        (is_ready, is_alive) = (true, true);
                        self.ready();
                    }
                    Some(ToSupervisor::Alive) => is_alive = true,
                    Some(ToSupervisor::ConnectControl) => connecting = self.connect_control(),
                    Some(ToSupervisor::Fatal { message }) => return Ending::Fatal(message),
                    None if end_by.is_some() => return Ending::Asked,
                    None => return Ending::Unasked,
                },
                connected = settle(&mut connecting), if connecting.is_some() => answer_connected(dataplane, connected).await,
                signal = self.signals.next() => match signal {
                    Signal::Terminate => end_by = Some(self.drain(dataplane).await),
                    Signal::TerminateNow => return Ending::Asked,
                    Signal::Reload => self.reload(dataplane).await,
                    Signal::Upgrade => tracing::warn!("SIGUSR2: an upgrade in place is not yet available"),
                },
                () = sleep_until(end_by.unwrap_or_else(Instant::now)), if end_by.is_some() => {
                    tracing::warn!("the dataplane outlived the grace period and is killed");
                    return Ending::Asked;
                }
                () = sleep_until(ready_by), if !is_ready => {
                    tracing::error!("the dataplane does not become ready and is killed");
                    return Ending::Unasked;
                }
                sources = asked(drops.as_ref()) => self.steering.drop_sources(&sources),
                _ = databases.tick() => self.look_at_geoip(dataplane).await,
                _ = reports.tick() => if let Some(figures) = self.steering.report() {
                    tell(dataplane, &ToDataplane::Kernel(figures)).await;
                },
                // Until it is ready READY_TIMEOUT watches it; then it has to show life itself.
                () = self.watchdog.due() => if std::mem::take(&mut is_alive) || !is_ready || end_by.is_some() {
                    notify::watchdog();
                } else {
                    tracing::error!("a worker does not turn any more: systemd is not told that the relay is alive");
                },
            }
        }
    }

    /// Where BPF is on: the way on which the dataplane says which sources to drop.
    fn drops_pipe(&self) -> Option<(DropRequests, OwnedFd)> {
        if !self.steering.is_on() {
            return None;
        }
        DropRequests::pipe()
            .inspect_err(|error| tracing::warn!(%error, "sources that exceed will not be dropped in the kernel"))
            .ok()
    }

    async fn bootstrap(&mut self, dataplane: &DataplaneProcess, drops_pipe: Option<OwnedFd>) -> io::Result<()> {
        let load_map = self.steering.load_map();
        let geoip = self.geoip.open();
        let bootstrap = Bootstrap {
            supervisor_pid: getpid().as_raw().unsigned_abs(),
            generation: self.generation,
            workers: self.options.workers,
            name: self.options.name.clone(),
            state_dir: self.state_dir.path().to_owned(),
            io: self.options.io,
            listen: self.listeners.addresses(),
            admin: self.listeners.admin().is_some(),
            load_map: load_map.is_some(),
            slots: self.steering.slots(self.options.workers),
            ebpf: self.steering.describe(),
            warnings: self.steering.warnings(),
            drops: drops_pipe.is_some(),
            access_log: self.options.log.file(),
            log_fields: self.options.log.fields,
            geoip: geoip.iter().map(|(of, _)| *of).collect(),
            tls: self.options.tls,
            trust_anchor_pem: self.trust_anchor_pem.clone(),
        };
        let state_dir = self.state_dir.descriptor()?;
        let mut descriptors: Vec<BorrowedFd<'_>> = vec![state_dir.as_fd()];
        descriptors.extend(self.listeners.descriptors());
        let access_log = self.options.log.open()?;
        let geoip = geoip.iter().map(|(_, file)| file);
        let others = load_map.iter().chain(&drops_pipe).chain(&access_log).chain(geoip);
        descriptors.extend(others.map(|descriptor| descriptor.as_fd()));
        dataplane.bootstrap(bootstrap, &descriptors).await
    }

    fn ready(&mut self) {
        self.was_ready = true;
        self.steering.tell(WorkerState::Active);
        tracing::info!(generation = self.generation, "ready");
        notify::ready();
    }

    fn connect_control(&self) -> Option<Connecting> {
        match &self.options.control {
            ControlLink::Unix(path) => {
                let path = path.clone();
                Some(Box::pin(async move { control::connect(&path).await }))
            }
            ControlLink::TrustAnchor(_) => None, // control dials in; a dataplane that asks is confused
        }
    }

    async fn drain(&mut self, dataplane: &DataplaneProcess) -> Instant {
        let grace_period = self.options.grace_period;
        tracing::info!(?grace_period, "draining");
        notify::stopping();
        tell(dataplane, &ToDataplane::Drain { grace_period }).await;
        self.close();
        Instant::now() + grace_period + DRAIN_MARGIN
    }

    /// Leaves nothing in the kernel. The ports are refused once the dataplane has closed its descriptors, too.
    fn close(&mut self) {
        let steering = std::mem::replace(&mut self.steering, Steering::ended());
        steering.remove(&self.listeners);
        self.listeners.close();
    }

    async fn reload(&mut self, dataplane: &DataplaneProcess) {
        notify::reloading();
        match read_trust_anchor(&self.options.control) {
            Ok(trust_anchor_pem) => {
                self.trust_anchor_pem.clone_from(&trust_anchor_pem);
                tell(dataplane, &ToDataplane::Reload { trust_anchor_pem }).await;
            }
            Err(error) => tracing::error!("SIGHUP changes nothing: {error}"),
        }
        self.reopen_log(dataplane).await;
        self.look_at_geoip(dataplane).await;
        notify::ready();
    }

    async fn reopen_log(&self, dataplane: &DataplaneProcess) {
        if self.options.log.file() == LogFile::Off {
            return;
        }
        match self.options.log.open() {
            Ok(file) => {
                let descriptors: Vec<BorrowedFd<'_>> = file.iter().map(|file| file.as_fd()).collect();
                log_unsent(dataplane.send(&ToDataplane::AccessLog, &descriptors).await);
            }
            Err(error) => tracing::error!(%error, "the access log cannot be opened anew: the old file is written on"),
        }
    }
}

/// Never comes without BPF.
async fn asked(drops: Option<&DropRequests>) -> Vec<(IpAddr, Duration)> {
    match drops {
        Some(drops) => drops.receive().await,
        None => std::future::pending().await,
    }
}

/// When systemd is to be told that the relay is alive.
struct Watchdog(Option<Interval>);

impl Watchdog {
    fn new() -> Self {
        Self(notify::watchdog_interval().map(tokio::time::interval))
    }

    async fn due(&mut self) {
        match &mut self.0 {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await, // nobody watches
        }
    }
}

/// The attempt's outcome, after which there is none. Never comes when there is none.
async fn settle(connecting: &mut Option<Connecting>) -> io::Result<UnixStream> {
    let Some(attempt) = connecting else { return std::future::pending().await };
    let outcome = attempt.await;
    *connecting = None;
    outcome
}

async fn answer_connected(dataplane: &DataplaneProcess, connected: io::Result<UnixStream>) {
    let sent = match connected {
        Ok(stream) => dataplane.send(&ToDataplane::ControlConnected, &[stream.as_fd()]).await,
        Err(error) => dataplane.send(&ToDataplane::ControlUnreachable { reason: error.to_string() }, &[]).await,
    };
    log_unsent(sent);
}

async fn tell(dataplane: &DataplaneProcess, message: &ToDataplane) {
    log_unsent(dataplane.send(message, &[]).await);
}

/// Its end is noticed where messages are received.
fn log_unsent(sent: io::Result<()>) {
    if let Err(error) = sent {
        tracing::debug!(%error, "the dataplane was not told");
    }
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}
