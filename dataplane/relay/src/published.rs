//! The configuration in force, as workers see it: built whole by the side thread, swapped atomically, never changed after.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use postern_model::group_config::SignedGroupConfig;
use postern_model::ids::{ConnectorId, GroupId, RelayId};
use postern_model::plan::Plan;
use rustls::ServerConfig;

use crate::countries::Countries;
use crate::limit::LimitTable;
use crate::network::NetworkTable;
use crate::sessions::SessionTable;
use crate::side::challenges::Challenges;
use crate::worker::session::OpenedFor;

/// One version of everything workers decide by.
pub struct Published {
    /// Counts publications from 1; 0 is "nothing yet". It is not the snapshot's version: certificates renew in between.
    pub sequence: u64,
    /// The version of the snapshot the plan was built from; 0 without one.
    pub version: u64,
    /// Counts the publications that changed what lets requests pass: applications, their pre-authentication, tokens, assignments.
    pub(crate) permits: u64,
    /// Who is signed in: the same table in every publication.
    pub(crate) sessions: Arc<SessionTable>,
    /// This relay's id, once control has given it one.
    pub relay: Option<RelayId>,
    /// Routes and certificates; empty without a snapshot.
    pub plan: Arc<Plan>,
    /// For clients: certificates by SNI out of the plan, TLS 1.3 and, unless `--tls modern`, 1.2, tickets. No client certificate.
    pub tls: Arc<ServerConfig>,
    /// The same for TLS 1.3 alone, where an application asks for that.
    pub(crate) tls13: Option<Arc<ServerConfig>>,
    /// For clients that show a device: the same certificates, a client certificate if they have one, no resumption. `None` where
    /// there is no host for it.
    pub(crate) devices_tls: Option<Arc<ServerConfig>>,
    /// For `postern-tunnel/1`: client certificate of the control CA required, TLS 1.3, no resumption. `None` until control
    /// has issued this relay's certificate: tunnels are then refused.
    pub tunnel_tls: Option<Arc<ServerConfig>>,
    /// What connectors of a group may serve, signed by control; sent to each of them in CONFIG frames.
    pub group_configs: BTreeMap<GroupId, Arc<SignedGroupConfig>>,
    /// The connectors control knows, with their group. The tunnels of one that is no longer here are cut.
    pub connectors: BTreeMap<ConnectorId, GroupId>,
    /// The limiters; those that stay are the same ones from one publication to the next.
    pub(crate) limits: Arc<LimitTable>,
    /// Where it matters where requests come from.
    pub(crate) networks: Arc<NetworkTable>,
    /// Which country they come from: the same object in every publication.
    pub(crate) countries: Arc<Countries>,
    /// What authorities of certificates are shown.
    pub(crate) challenges: Arc<Challenges>,
}

impl Published {
    /// Changes whenever what lets requests pass does, sessions included, and never becomes what it was.
    #[must_use]
    pub fn access(&self) -> u64 {
        self.permits + self.sessions.changes() + self.countries.changes()
    }

    /// By which configuration a client's connection begins, and what it is for from then on.
    pub(crate) fn client_door(&self, server_name: Option<String>) -> (Arc<ServerConfig>, OpenedFor) {
        if let Some(devices) = &self.devices_tls
            && let Some(name) = server_name.as_ref().filter(|name| self.plan.is_device_host(name))
        {
            return (Arc::clone(devices), OpenedFor::Devices(name.clone()));
        }
        let strict = self.tls13.as_ref().filter(|_| self.plan.needs_tls13(server_name.as_deref()));
        (Arc::clone(strict.unwrap_or(&self.tls)), OpenedFor::Applications(server_name))
    }

    /// Whether a tunnel of `connector`, enrolled in `group`, may exist.
    #[must_use]
    pub fn admits_connector(&self, connector: ConnectorId, group: GroupId) -> bool {
        self.connectors.get(&connector) == Some(&group)
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("sequence", &self.sequence)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Where workers find the configuration in force. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ConfigHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sequence: AtomicU64,
    current: Mutex<Arc<Published>>,
}

impl ConfigHandle {
    /// A handle whose first publication is `first`.
    #[must_use]
    pub fn new(first: Arc<Published>) -> Self {
        let sequence = AtomicU64::new(first.sequence);
        Self { shared: Arc::new(Shared { sequence, current: Mutex::new(first) }) }
    }

    /// The sequence number of what is in force: one atomic load. A worker compares it with the one it holds, and calls
    /// [`current`](Self::current) only when they differ.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.shared.sequence.load(Ordering::Acquire)
    }

    /// What is in force: a short lock and a reference count.
    #[must_use]
    pub fn current(&self) -> Arc<Published> {
        Arc::clone(&self.shared.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `next` in force: a worker that looks from here on sees it, and each looks at every handshake and every request. That
    /// is what control is told with `Applied`. Workers are woken by [`Drain::wake_all`](crate::worker::drain::Drain::wake_all).
    pub fn publish(&self, next: Arc<Published>) {
        let mut current = self.shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(next.sequence > current.sequence, "publications are made by one thread, in order");
        let sequence = next.sequence;
        *current = next;
        self.shared.sequence.store(sequence, Ordering::Release);
    }
}
