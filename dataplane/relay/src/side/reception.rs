//! Takes the connections that workers hand over: proves who is there, a bounded number at a time, and passes on.

use std::sync::Arc;

use postern_model::ids::ConnectorId;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::accept::{Replayed, accept};
use super::enrol::{self, EnrolDesk};
use super::keeper::Keeper;
use super::pipes::{self, Pipes};
use super::sender::{HandOver, HandOverKind};
use super::shares::{NoSlot, Shares};
use crate::limits::{
    CONTROL_HANDSHAKE_TIMEOUT, CONTROL_HANDSHAKES_MAX, ENROLMENT_TIMEOUT, ENROLMENTS_MAX, ENROLMENTS_PER_SOURCE_MAX,
    PIPE_HANDSHAKE_TIMEOUT,
};
use crate::peer;
use crate::published::Published;

/// The connections in their handshake, and the enrolments in progress.
#[derive(Debug)]
pub(crate) struct Reception {
    desk: Arc<EnrolDesk>,
    pipes: Arc<Pipes>,
    enrolments: Shares,
    handshakes: Arc<Semaphore>,
}

impl Reception {
    pub(crate) fn new() -> Self {
        Self {
            desk: Arc::default(),
            pipes: Arc::default(),
            enrolments: Shares::new(ENROLMENTS_MAX, ENROLMENTS_PER_SOURCE_MAX),
            handshakes: Arc::new(Semaphore::new(CONTROL_HANDSHAKES_MAX)),
        }
    }

    /// Where enrolments meet control's replies.
    pub(crate) fn desk(&self) -> &EnrolDesk {
        &self.desk
    }

    /// Identity processes on their way to control.
    pub(crate) fn pipes(&self) -> &Pipes {
        &self.pipes
    }

    /// Starts what the connection is for, or closes it. Links of control come out of `dialled`.
    pub(crate) fn admit(&self, connection: HandOver, keeper: &Keeper, dialled: &mpsc::Sender<TlsStream<Replayed>>) {
        match connection.kind {
            HandOverKind::Enrol => self.enrol(connection, keeper),
            HandOverKind::Identity => self.pipe(connection, keeper),
            HandOverKind::Control => self.admit_control(connection, keeper, dialled.clone()),
        }
    }

    fn enrol(&self, connection: HandOver, keeper: &Keeper) {
        let Some(config) = keeper.enrolment_tls() else {
            return tracing::debug!("an enrolment before control has issued this relay's certificate");
        };
        let slot = match self.enrolments.take(connection.peer.ip()) {
            Ok(slot) => slot,
            Err(NoSlot::AllTaken) => return tracing::warn!("too many enrolments at a time; one was closed"),
            Err(NoSlot::ShareTaken) => {
                return tracing::debug!(peer = %connection.peer, "too many enrolments at a time from one address; one was closed");
            }
        };
        let desk = Arc::clone(&self.desk);
        tokio::spawn(async move {
            let _slot = slot;
            let served = async { enrol::serve(accept(connection, config).await?, desk).await };
            match timeout(ENROLMENT_TIMEOUT, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "an enrolment failed"),
                Err(_) => tracing::debug!("an enrolment took too long"),
            }
        });
    }

    fn pipe(&self, connection: HandOver, keeper: &Keeper) {
        let Some(config) = keeper.pipe_tls() else {
            return tracing::debug!("an identity process before control has issued this relay's certificate");
        };
        let Ok(slot) = Arc::clone(&self.handshakes).try_acquire_owned() else {
            return tracing::debug!("too many handshakes of control and identity processes");
        };
        let (pipes, published) = (Arc::clone(&self.pipes), keeper.handle().current());
        tokio::spawn(async move {
            let stream = match timeout(PIPE_HANDSHAKE_TIMEOUT, accept(connection, config)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%error, "an identity process's handshake failed"),
                Err(_) => return tracing::debug!("an identity process's handshake took too long"),
            };
            drop(slot);
            let Some(connector) = may_ask(&stream, &published) else {
                return tracing::warn!(
                    "a connector that neither serves sign-in pages nor reads a directory wanted to speak with control"
                );
            };
            if let Err(error) = pipes::serve(stream, connector, pipes).await {
                tracing::debug!(%connector, %error, "an identity process's connection ended");
            }
        });
    }

    fn admit_control(&self, connection: HandOver, keeper: &Keeper, dialled: mpsc::Sender<TlsStream<Replayed>>) {
        let Some(config) = keeper.control_tls() else {
            return tracing::debug!("this relay connects to control itself; a control that dials in is not admitted");
        };
        let Ok(slot) = Arc::clone(&self.handshakes).try_acquire_owned() else {
            return tracing::debug!("too many control links in their handshake");
        };
        tokio::spawn(async move {
            let _slot = slot;
            match timeout(CONTROL_HANDSHAKE_TIMEOUT, accept(connection, config)).await {
                Ok(Ok(stream)) if is_control(&stream) => drop(dialled.send(stream).await),
                Ok(Ok(_)) => {
                    tracing::warn!("a certificate of the control CA that is not control's own wanted to be control");
                }
                Ok(Err(error)) => tracing::debug!(%error, "a control link's handshake failed"),
                Err(_) => tracing::debug!("a control link's handshake took too long"),
            }
        });
    }
}

/// Who it is, if it is an identity process, or one that reads a directory, by its certificate. Control looks once more itself.
fn may_ask(stream: &TlsStream<Replayed>, published: &Published) -> Option<ConnectorId> {
    let leaf = stream.get_ref().1.peer_certificates()?.first()?;
    let (connector, group) = peer::connector(leaf)?;
    let is_identity = published.plan.identity().is_some_and(|identity| identity.group == group);
    let is_source = published.plan.is_directory_sync(group);
    ((is_identity || is_source) && published.admits_connector(connector, group)).then_some(connector)
}

fn is_control(stream: &TlsStream<Replayed>) -> bool {
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    leaf.is_some_and(peer::is_control)
}
