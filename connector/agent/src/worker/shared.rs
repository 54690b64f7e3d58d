//! What all threads of the connector share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use postern_io::mailbox::Sender;
use postern_model::ids::ConnectorId;
use postern_service::notify;
use postern_sso::SignOn;
use postern_tunnel::Status;

use super::ToWorker;
use crate::backend::BackendTable;
use crate::check::Checks;
use crate::counters::Counters;
use crate::farm::Farm;
use crate::identity::Identity;
use crate::keeper::Offered;
use crate::proxy::Proxies;
use crate::transactions::TransactionLog;
use crate::vault::Vault;

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
    pub(super) workers: Vec<Sender<ToWorker>>,
    offer: Box<dyn Fn(Bytes) -> Offered + Send + Sync>,
    config_version: AtomicU64,
    farms: Mutex<Vec<Arc<Farm>>>,
    pub(super) loads_permille: Vec<AtomicU16>,
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
            farms: Mutex::default(),
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
            let farms = table.apps.values().filter_map(|backend| backend.farm.clone()).collect();
            *self.farms.lock().unwrap_or_else(PoisonError::into_inner) = farms;
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

    /// Applications of the configuration in force that are at several places.
    pub(crate) fn farms(&self) -> Vec<Arc<Farm>> {
        self.farms.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What relays are told.
    pub(crate) fn status(&self) -> Status {
        Status {
            config_version: self.config_version(),
            load_permille: self.loads_permille.iter().map(|load| load.load(Ordering::Relaxed)).max().unwrap_or(0),
            backends_down: u16::try_from(self.farms().iter().map(|farm| farm.members_down()).sum::<usize>())
                .unwrap_or(u16::MAX),
            requests: u32::try_from(self.counters.requests.value()).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("connector", &self.connector).finish_non_exhaustive()
    }
}
