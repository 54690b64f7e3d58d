//! The side thread's loop: one place where everything that is not a request happens, one thing at a time.

mod check;
mod files;
mod report;
mod sessions;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use anyhow::Context as _;
use postern_io::mailbox::Sender;
use postern_model::link::{ToControl, ToRelay};
use postern_model::question::Question;
use postern_service::metrics::Process;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use super::accept::Replayed;
use super::admin::{self, AdminView};
use super::disk::Folder;
use super::keeper::Keeper;
use super::link::{Duplex, Link, LinkEvent};
use super::metrics::Figures;
use super::pace::Pace;
use super::reception::Reception;
use super::sender::{self, SideReceiver, SideSender};
use super::status::{Constant, StatusBook};
use crate::args::{LogFile, open_in_state_dir};
use crate::handover::{AsyncChannel, Channel, Received};
use crate::limit;
use crate::limits::{
    CONTROL_HANDSHAKES_MAX, LINK_CLOSE_TIME, LINK_QUEUE_MAX, LOG_END_TIME, PULSE_INTERVAL, SESSIONS_SEEN_INTERVAL,
};
use crate::messages::{Bootstrap, Database, KernelFigures, ToDataplane, ToSupervisor};
use crate::published::ConfigHandle;
use crate::worker::drain::{Drain, DrainState};
use crate::worker::peers::ToWorker;
use crate::workers::Running;

/// What the side thread is made of.
pub(crate) struct SideParts<'a> {
    pub(crate) channel: Channel,
    pub(crate) admin: Option<TcpListener>,
    pub(crate) access_log: Option<OwnedFd>,
    pub(crate) geoip: Vec<(Database, OwnedFd)>,
    pub(crate) process: Process,
    pub(crate) warnings: Vec<String>,
    pub(crate) bootstrap: &'a Bootstrap,
}

/// The side thread before and while it runs.
pub(crate) struct Side {
    channel: Option<Channel>,
    admin: Option<TcpListener>,
    name: String,
    /// The supervisor can connect to control; otherwise control dials in.
    connects: bool,
    keeper: Keeper,
    drain: Drain,
    pub(super) receiver: SideReceiver,
    constant: Constant,
    book: StatusBook,
    view: Arc<AdminView>,
    reception: Reception,
    link: Option<Link>,
    links_opened: u64,
    /// Control has welcomed this relay on the present link.
    linked: bool,
    told_ready: bool,
    /// What the supervisor told last.
    kernel: KernelFigures,
    /// Why control was out of reach when last tried, so that each reason is logged once.
    unreachable: Option<String>,
    pace: Pace,
    /// The workers' mailboxes, once they run.
    workers: Vec<Sender<ToWorker>>,
}

/// Where the loop's own tasks send what they have.
struct Inboxes {
    events: mpsc::Sender<LinkEvent>,
    dialled: mpsc::Sender<TlsStream<Replayed>>,
}

impl Side {
    /// Loads everything from disk; no thread and no network yet.
    pub(crate) fn prepare(parts: SideParts<'_>) -> anyhow::Result<(Self, Vec<SideSender>)> {
        let SideParts { channel, admin, access_log, geoip, process, mut warnings, bootstrap } = parts;
        let (folder, anchor) = (Folder::here(&bootstrap.state_dir), bootstrap.trust_anchor_pem.as_deref());
        let (keeper, damage) = Keeper::load(folder, anchor, bootstrap.tls)?;
        warnings.extend(damage);
        let countries = Arc::clone(&keeper.handle().current().countries);
        warnings.extend(geoip.into_iter().filter_map(|(of, file)| files::read_database(&countries, of, file)));
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        warnings.extend(bootstrap.warnings.iter().cloned());
        tracing::info!(
            fingerprint = keeper.identity().fingerprint(),
            state_version = keeper.served_version(),
            "this relay's key"
        );
        let (mut senders, mut receiver) = sender::channel(bootstrap.workers);
        senders.iter_mut().for_each(|sender| sender.log_fields = bootstrap.log_fields);
        let access_log = match bootstrap.access_log {
            LogFile::InStateDir => {
                Some(open_in_state_dir().context("access.log in the state folder cannot be opened")?)
            }
            LogFile::Off | LogFile::Descriptor => access_log,
        };
        receiver.log.start(access_log).context("the access log's thread cannot be started")?;
        let (generation, workers, ebpf) = (bootstrap.generation, bootstrap.workers, bootstrap.ebpf.clone());
        let figures = Figures::new(&receiver, keeper.handle().clone(), process);
        let view = Arc::new(AdminView::new(figures));
        let side = Self {
            channel: Some(channel),
            admin,
            name: bootstrap.name.clone(),
            connects: bootstrap.trust_anchor_pem.is_none(),
            keeper,
            drain: Drain::default(),
            view,
            receiver,
            constant: Constant { generation, workers, ebpf, warnings },
            book: StatusBook::default(),
            reception: Reception::new(),
            link: None,
            links_opened: 0,
            linked: false,
            told_ready: false,
            kernel: KernelFigures::default(),
            unreachable: None,
            pace: Pace::new(Instant::now()),
            workers: Vec::new(),
        };
        Ok((side, senders))
    }

    pub(crate) fn config(&self) -> ConfigHandle {
        self.keeper.handle().clone()
    }

    pub(crate) fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// Runs until the supervisor ends, or all workers have after they were told to.
    pub(crate) fn run(mut self, running: Running) -> anyhow::Result<()> {
        self.workers = running.senders().to_vec();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async {
            let channel = self.channel.take().context("the side thread runs once")?;
            let channel = AsyncChannel::new(channel)?;
            if let Some(listener) = self.admin.take() {
                tokio::spawn(admin::serve(tokio::net::TcpListener::from_std(listener)?, Arc::clone(&self.view)));
            }
            tokio::spawn(limit::keep_sampling(self.config()));
            self.run_loop(&channel, running).await
        })
    }

    async fn run_loop(&mut self, channel: &AsyncChannel, mut running: Running) -> anyhow::Result<()> {
        let (events, mut happened) = mpsc::channel(LINK_QUEUE_MAX);
        let (dialled, mut arrived) = mpsc::channel(CONTROL_HANDSHAKES_MAX);
        let inboxes = Inboxes { events, dialled };
        if self.connects {
            self.pace.connect_now();
        }
        self.until_told(channel, &mut running, &inboxes, (&mut happened, &mut arrived)).await?;
        if self.link.is_some() {
            self.close_link();
            // The link says goodbye; or it does not, and control notices anyway.
            let _ = timeout(LINK_CLOSE_TIME, happened.recv()).await;
        }
        self.receiver.log.end(LOG_END_TIME);
        Ok(())
    }

    async fn until_told(
        &mut self,
        channel: &AsyncChannel,
        running: &mut Running,
        inboxes: &Inboxes,
        (happened, arrived): (&mut mpsc::Receiver<LinkEvent>, &mut mpsc::Receiver<TlsStream<Replayed>>),
    ) -> anyhow::Result<()> {
        let mut batch = Vec::new();
        let mut pulse = interval(PULSE_INTERVAL);
        let mut used = interval(SESSIONS_SEEN_INTERVAL);
        loop {
            tokio::select! {
                message = channel.receive() => match message? {
                    Some(message) => self.on_supervisor(message, inboxes)?,
                    None => return Ok(()), // it has ended
                },
                _ = happened.recv_many(&mut batch, LINK_QUEUE_MAX) => self.on_link_events(&mut batch),
                Some(stream) = arrived.recv() => self.open_link(stream, inboxes),
                Some(connection) = self.receiver.connections.recv() => self.reception.admit(connection, &self.keeper, &inboxes.dialled),
                () = self.receiver.reports.changed() => self.on_reports(channel).await?,
                () = sleep_until(self.pace.next()) => self.on_time(channel).await?,
                _ = pulse.tick() => if self.receiver.pulse.is_felt() {
                    channel.send(&ToSupervisor::Alive, &[]).await?;
                },
                _ = used.tick() => self.tell_of_use(),
                () = running.all_ended() => return Ok(()), // one that ends unasked takes the process with it
            }
            if self.pace.ended(Instant::now()) {
                tracing::warn!("workers did not end in time");
                return Ok(());
            }
        }
    }

    fn on_supervisor(&mut self, received: Received<ToDataplane>, inboxes: &Inboxes) -> anyhow::Result<()> {
        match received.message {
            ToDataplane::ControlConnected => {
                let descriptor =
                    received.descriptors.into_iter().next().context("a connection comes with its descriptor")?;
                let stream = tokio::net::UnixStream::from_std(UnixStream::from(descriptor))?;
                self.open_link(stream, inboxes);
            }
            ToDataplane::ControlUnreachable { reason } => self.control_unreachable(reason),
            ToDataplane::Reload { trust_anchor_pem } => self.reload(trust_anchor_pem),
            ToDataplane::Kernel(figures) => self.kernel = figures,
            ToDataplane::AccessLog => self.reopen_log(received.descriptors),
            ToDataplane::Geoip(of) => self.replace_database(of, received.descriptors),
            ToDataplane::Drain { grace_period } => {
                self.drain.advance(DrainState::Draining);
                self.pace.end_in(grace_period);
                self.pace.status_soon();
            }
            ToDataplane::Bootstrap(_) | ToDataplane::Descriptors => anyhow::bail!("a second bootstrap"),
        }
        Ok(())
    }

    fn control_unreachable(&mut self, reason: String) {
        if self.unreachable.as_ref() != Some(&reason) {
            let serving = self.keeper.served_version();
            tracing::warn!(reason, serving, "control is out of reach; this relay serves what it has and tries again");
            self.unreachable = Some(reason);
        }
        self.pace.connect_later();
    }

    /// The newest link counts: control that was restarted dials again before the old link's end is noticed.
    fn open_link(&mut self, stream: impl Duplex, inboxes: &Inboxes) {
        let hello = self.keeper.hello(&self.name, self.constant.generation, self.constant.workers, report::unix_ms());
        let hello = match hello {
            Ok(hello) => hello,
            Err(error) => return tracing::error!("the link cannot be opened: {error:#}"),
        };
        self.close_link();
        self.links_opened += 1;
        let link = Link::open(self.links_opened, stream, inboxes.events.clone());
        link.send(ToControl::Hello(hello));
        self.link = Some(link);
        self.pace.connected();
    }

    fn close_link(&mut self) {
        self.link = None;
        self.linked = false;
        self.link_desks(None);
        self.pace.status_soon();
    }

    /// As many as there are: a thousand changes at once are checked, published and saved once.
    fn on_link_events(&mut self, batch: &mut Vec<LinkEvent>) {
        for event in batch.drain(..) {
            let current = self.link.as_ref().map(Link::number);
            match event {
                LinkEvent::Message(number, message) if Some(number) == current => self.on_message(*message),
                LinkEvent::Closed(number, reason) if Some(number) == current => self.on_closed(&reason),
                LinkEvent::Message(..) | LinkEvent::Closed(..) => {} // of a link that was replaced
            }
        }
        let before = self.keeper.handle().sequence();
        let answer = self.keeper.settle();
        if answer.is_some() || self.keeper.handle().sequence() != before {
            self.pace.status_soon();
            self.drain.wake_all();
        }
        answer.into_iter().for_each(|answer| self.tell_control(answer));
    }

    fn on_message(&mut self, message: ToRelay) {
        match message {
            ToRelay::Welcome(welcome) => self.on_welcome(&welcome),
            ToRelay::Snapshot(snapshot) => self.keeper.snapshot(*snapshot),
            ToRelay::Delta(delta) => {
                if let Some(refusal) = self.keeper.delta(&delta) {
                    tracing::error!(?refusal, "a change from control does not follow; asking for the whole state");
                    self.tell_control(refusal);
                    self.close_link();
                    self.reconnect();
                }
            }
            ToRelay::EnrolReply { id, body } => self.reception.desk().reply(id, body),
            ToRelay::Reply { id, reply } => self.on_reply(id, &reply),
            ToRelay::Sessions { n, changed, ended } => {
                self.sessions().change(&changed, &ended, report::since_1970());
                self.drain.wake_all();
                if n > 0 {
                    self.tell_control(ToControl::SessionsApplied { n });
                }
            }
            ToRelay::PipeData { pipe, data } => self.reception.pipes().data(pipe, &data),
            ToRelay::PipeClosed { pipe } => self.reception.pipes().closed(pipe),
            ToRelay::Ask { id, question: Question::Check { app, connector, asked, .. } } => {
                self.check(id, app, connector, &asked);
            }
            ToRelay::Ask { id, question } => {
                let answer = self.answer(&question);
                self.tell_control(ToControl::Answer { id, answer });
            }
            ToRelay::Ping { n } => self.tell_control(ToControl::Pong { n }),
            ToRelay::Refused { reason, removed } => self.keeper.refused(&reason, removed),
            ToRelay::Unknown => {} // of a newer control
        }
    }

    fn on_welcome(&mut self, welcome: &postern_model::link::Welcome) {
        match self.keeper.welcome(welcome) {
            Ok(()) => {
                tracing::info!(relay = %welcome.relay_id, name = welcome.relay_name, "linked to control");
                self.linked = true;
                self.unreachable = None;
                self.pace.welcomed();
                self.link_desks(self.link.as_ref().map(Link::sender));
                // First how long they were used without control: else it takes them for idle.
                self.tell_of_use();
                self.tell_of_sessions();
                self.drain.wake_all();
            }
            Err(error) => {
                tracing::error!("control's welcome is refused: {error:#}");
                self.close_link();
                self.reconnect();
            }
        }
        self.pace.status_soon();
    }

    fn on_closed(&mut self, reason: &str) {
        let serving = self.keeper.served_version();
        tracing::warn!(reason, serving, "the link to control ended; this relay serves on");
        self.close_link();
        self.reconnect();
    }

    fn reconnect(&mut self) {
        if self.connects {
            self.pace.connect_later();
        }
    }

    fn tell_control(&mut self, message: ToControl) {
        if let Some(link) = &self.link
            && !link.send(message)
        {
            tracing::warn!("control does not read what this relay sends; the link is closed");
            self.close_link();
            self.reconnect();
        }
    }

    async fn on_reports(&mut self, channel: &AsyncChannel) -> anyhow::Result<()> {
        self.pace.status_soon();
        let accepting = self.receiver.reports.states().iter().all(|worker| worker.io_backend.is_some());
        if accepting && !self.told_ready {
            self.told_ready = true;
            channel.send(&ToSupervisor::Ready, &[]).await?;
        }
        Ok(())
    }

    async fn on_time(&mut self, channel: &AsyncChannel) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.pace.connect_is_due(now) {
            channel.send(&ToSupervisor::ConnectControl, &[]).await?;
        }
        if self.pace.grace_is_over(now) {
            self.drain.advance(DrainState::Ended);
        }
        if self.pace.status_is_due(now) {
            self.keeper.save_again(now.into_std()).into_iter().for_each(|applied| self.tell_control(applied));
            self.send_status();
        }
        Ok(())
    }
}
