//! One relay's link from `Hello` to its end: the same over TLS and over the Unix socket. Writes wait for the relay, bounded by a
//! timeout; what a slow relay misses stays in the log, so that nothing queues here.

pub(crate) mod admit;
pub(crate) mod asked;
pub(crate) mod dial;
mod enrolments;
mod farewell;
pub(crate) mod pin;
mod pipes;
mod sessions;
mod wire;

use std::rc::Rc;
use std::time::Duration;

use postern_model::Delta;
use postern_model::frame::{FrameInvalid, Frames};
use postern_model::link::{PONG_TIMEOUT_MS, PROTOCOL, TO_CONTROL_BYTES_MAX, ToControl, ToRelay, Welcome};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval_at, timeout};

use crate::authority::RELAY_RENEWAL;
use crate::clock::now_unix_ms;
use crate::control::Control;
use crate::enrol;
use crate::fleet::{Session, Signals, Stop};
use crate::limits::{DELTAS_AT_ONCE, LINK_OPEN_TIMEOUT, LINK_PING_INTERVAL};
use admit::{Admitted, Denied, Peer};
use asked::{Ask, Asked};
use enrolments::{Enrolments, too_many_enrolments};
use pipes::Pipes;
use sessions::InStep;
use wire::Wire;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkEnded {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// The relay closed it.
    #[error("the relay closed the link")]
    Closed,
    /// The relay says nothing, or does not read.
    #[error("the relay does not answer: no {0} in time")]
    Silent(&'static str),
    /// The relay sends what is no message of the link.
    #[error("the relay does not speak the link: {0}")]
    Misbehaved(#[from] FrameInvalid),
    /// Control does not want the relay.
    #[error("{0}")]
    Refused(String),
    /// The relay was removed, and was told so.
    #[error("{0}")]
    Removed(String),
    /// Something inside control.
    #[error("{0}")]
    Internal(String),
}

/// Serves a link until it ends. The caller has established who the peer is.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite>(
    control: Rc<Control>,
    stream: S,
    peer: Peer,
    mut shutdown: watch::Receiver<bool>,
) -> LinkEnded {
    let (reader, writer) = tokio::io::split(stream);
    let mut wire = Wire { reader, writer, frames: Frames::new(TO_CONTROL_BYTES_MAX) };
    let hello = match timeout(LINK_OPEN_TIMEOUT, wire.hello()).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(ended)) => return ended,
        Err(_) => return LinkEnded::Silent("Hello"),
    };
    let admitted = match admit::admit(&control, &peer, &hello) {
        Ok(admitted) => admitted,
        Err(denied) => return wire.refuse(denied).await,
    };
    let (session, signals) =
        control.fleet.borrow_mut().linked(admitted.relay.id, hello.software.clone(), hello.sessions);
    control.fleet.borrow_mut().clock(session, hello.time_unix_ms);
    let name = admitted.relay.name.clone();
    tracing::info!(relay = %name, software = hello.software, version = hello.last_version, "relay linked");
    warn_about_clock(&control, session, name.as_str());
    let agreed = hello.epoch == Some(control.epoch);
    let (pipes, piped) = Pipes::new(Rc::clone(&control));
    let mut link = Link {
        in_step: InStep::default(),
        pipes,
        control,
        wire,
        admitted,
        session,
        sent: if agreed { hello.last_version } else { NOTHING },
        agreed,
        snapshot_sent: 0,
        refused: false,
        pinged: 0,
        ponged: Instant::now(),
        enrolments: Enrolments::default(),
        asked: Asked::default(),
    };
    let ended = tokio::select! {
        ended = link.run(signals, piped) => ended,
        _ = shutdown.wait_for(|down| *down) => LinkEnded::Closed,
    };
    let _ = timeout(CLOSE_TIMEOUT, link.wire.writer.shutdown()).await;
    link.control.fleet.borrow_mut().unlinked(session, &ended.to_string());
    tracing::warn!(relay = %name, "link ended: {ended}");
    ended
}

struct Link<R, W> {
    /// With the sessions that the relay holds.
    in_step: InStep,
    pipes: Pipes,
    control: Rc<Control>,
    wire: Wire<R, W>,
    admitted: Admitted,
    session: Session,
    /// Version that the relay has, or will have once it read what was written.
    sent: u64,
    /// What the relay serves is of this control's epoch: until then its versions say nothing here.
    agreed: bool,
    /// Version of the last snapshot sent; 0 when there was none.
    snapshot_sent: u64,
    /// The relay refused what was sent and holds an older version.
    refused: bool,
    pinged: u64,
    ponged: Instant,
    enrolments: Enrolments,
    asked: Asked,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Link<R, W> {
    async fn run(&mut self, signals: Signals, piped: mpsc::Receiver<ToRelay>) -> LinkEnded {
        match self.try_run(signals, piped).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn try_run(
        &mut self,
        signals: Signals,
        mut piped: mpsc::Receiver<ToRelay>,
    ) -> Result<std::convert::Infallible, LinkEnded> {
        let Signals { mut stopped, mut asks, sessions_news } = signals;
        let mut versions = self.control.versions();
        self.welcome().await?;
        self.catch_up().await?;
        let mut pings = interval_at(Instant::now() + LINK_PING_INTERVAL, LINK_PING_INTERVAL);
        let mut renewals = interval_at(Instant::now() + RELAY_RENEWAL, RELAY_RENEWAL);
        loop {
            tokio::select! {
                message = self.wire.receive() => self.handle(message?).await?,
                _ = versions.changed() => self.catch_up().await?,
                () = sessions_news.notified() => self.tell_of_sessions().await?,
                Some(message) = piped.recv() => self.wire.send(&message).await?,
                _ = pings.tick() => self.ping().await?,
                _ = renewals.tick() => self.welcome().await?,
                Some(ask) = asks.recv() => self.ask(ask).await?,
                stop = &mut stopped => {
                    let denied = match stop {
                        Ok(Stop::Removed(reason)) => Denied { reason, removed: true },
                        Ok(Stop::Replaced) => Denied::because("another link of the same relay took over"),
                        Err(_) => Denied::because("control forgot this link"),
                    };
                    return Err(self.wire.refuse(denied).await);
                }
            }
        }
    }

    async fn welcome(&mut self) -> Result<(), LinkEnded> {
        let Admitted { relay, key } = &self.admitted;
        let certificate = self.control.authority.issue_relay(relay.id, key);
        let welcome = Welcome {
            protocol: PROTOCOL,
            relay_id: relay.id,
            relay_name: relay.name.to_string(),
            ca_pem: self.control.authority.ca_pem().to_owned(),
            certificate_pem: certificate.map_err(|error| LinkEnded::Internal(error.to_string()))?,
            server_time_unix_ms: now_unix_ms(),
            epoch: Some(self.control.epoch),
        };
        self.wire.send(&ToRelay::Welcome(welcome)).await
    }

    /// Sends what the relay misses: deltas while the log has them and the relay's version is of this epoch, else the
    /// snapshot. After a refusal deltas fit no more and the snapshot is sent, but never the same one twice.
    async fn catch_up(&mut self) -> Result<(), LinkEnded> {
        loop {
            let newest = {
                let snapshot = self.control.snapshot();
                // It was removed, and will be told so: of what came after that it gets nothing, new keys among it.
                if !snapshot.relays.contains_key(&self.admitted.relay.id) {
                    return Ok(());
                }
                snapshot.version
            };
            if self.refused && self.snapshot_sent != newest {
                self.send_snapshot().await?;
            } else if self.refused || self.sent == newest {
                return Ok(());
            } else {
                let deltas = self.control.deltas_after(self.sent, DELTAS_AT_ONCE);
                match deltas.map_err(|error| LinkEnded::Internal(error.to_string()))? {
                    Some(deltas) => self.send_deltas(deltas).await?,
                    None => self.send_snapshot().await?,
                }
            }
        }
    }

    async fn send_deltas(&mut self, deltas: Vec<Delta>) -> Result<(), LinkEnded> {
        for delta in deltas {
            let version = delta.version;
            self.wire.send(&ToRelay::Delta(Box::new(delta))).await?;
            self.sent = version;
        }
        Ok(())
    }

    async fn send_snapshot(&mut self) -> Result<(), LinkEnded> {
        let encoded = self.control.encoded_snapshot(self.refused);
        let (version, message) = encoded.map_err(|error| LinkEnded::Internal(error.to_string()))?;
        self.wire.write(&message).await?;
        (self.sent, self.snapshot_sent, self.refused) = (version, version, false);
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), LinkEnded> {
        if self.ponged.elapsed() > Duration::from_millis(PONG_TIMEOUT_MS) {
            return Err(LinkEnded::Silent("Pong"));
        }
        self.pinged += 1;
        self.wire.send(&ToRelay::Ping { n: self.pinged }).await
    }

    async fn ask(&mut self, ask: Ask) -> Result<(), LinkEnded> {
        let question = ask.question.clone();
        let id = self.asked.asked(ask);
        self.wire.send(&ToRelay::Ask { id, question }).await
    }

    /// Some at a time: others get their turn in between.
    async fn tell_of_sessions(&mut self) -> Result<(), LinkEnded> {
        while let Some(message) = self.in_step.news(&self.control, self.session) {
            self.wire.send(&message).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn handle(&mut self, message: ToControl) -> Result<(), LinkEnded> {
        // Whatever comes shows that the relay lives.
        self.ponged = Instant::now();
        let name = self.admitted.relay.name.as_str();
        match message {
            ToControl::Applied { version } => {
                self.agreed = true; // it applies nothing but what this link brought
                self.control.fleet.borrow_mut().applied(self.session, version);
            }
            ToControl::Rejected { version, reason } => {
                tracing::error!(
                    relay = name,
                    version,
                    "the relay refused a version and serves the one before: {reason}"
                );
                self.refused = true;
                self.control.fleet.borrow_mut().rejected(self.session, version, reason);
                self.catch_up().await?;
            }
            ToControl::Status(mut status) => {
                if !self.agreed {
                    status.applied_version = NOTHING;
                }
                self.control.fleet.borrow_mut().reported(self.session, status);
            }
            ToControl::EnrolRequest { id, body } => {
                let body = match self.enrolments.allow(Instant::now()) {
                    true => enrol::answer(&self.control, name, &body),
                    false => too_many_enrolments(),
                };
                self.wire.send(&ToRelay::EnrolReply { id, body }).await?;
            }
            ToControl::Answer { id, answer } => self.asked.answered(id, answer),
            ToControl::Call { id, call } => {
                let reply = sessions::answer(&self.control, &call);
                self.wire.send(&ToRelay::Reply { id, reply }).await?;
            }
            ToControl::SessionsHeld { held, last } => {
                let message = self.in_step.held(&self.control, self.session, &held, last);
                self.wire.send(&message).await?;
                self.tell_of_sessions().await?;
            }
            ToControl::SessionsSeen { seen } => {
                if let Err(problem) = crate::sessions::seen(&self.control, &seen) {
                    tracing::warn!(relay = name, "the last use of sessions could not be written: {}", problem.detail);
                }
            }
            ToControl::SessionsApplied { n } => self.control.fleet.borrow_mut().sessions_applied(self.session, n),
            ToControl::PipeOpened { pipe, connector } => {
                tracing::debug!(relay = name, pipe, %connector, "an identity process came");
                if !self.pipes.opened(pipe) {
                    self.wire.send(&ToRelay::PipeClosed { pipe }).await?;
                }
            }
            ToControl::PipeData { pipe, data } => {
                if !self.pipes.data(pipe, &data) {
                    self.wire.send(&ToRelay::PipeClosed { pipe }).await?;
                }
            }
            ToControl::PipeClosed { pipe } => self.pipes.closed(pipe),
            ToControl::Hello(_) | ToControl::Pong { .. } | ToControl::Unknown => {}
        }
        Ok(())
    }
}

fn warn_about_clock(control: &Control, session: Session, name: &str) {
    let fleet = control.fleet.borrow();
    if let Some(warning) = fleet.relay(session.relay).and_then(|link| link.clock_warning(name)) {
        tracing::warn!("{warning}");
    }
}

/// The version before all versions.
const NOTHING: u64 = 0;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
