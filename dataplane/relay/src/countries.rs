//! Which country and which autonomous system an address is in, by the databases of `--geoip` and `--geoip-asn`: for all workers,
//! replaced while they look. Without one nothing is known of what it would say.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use postern_model::policy::{Asn, Country};
use postern_service::geoip::{Geoip, Systems};

/// The databases in force.
#[derive(Debug, Default)]
pub(crate) struct Countries {
    database: RwLock<Option<Arc<Geoip>>>,
    systems: RwLock<Option<Arc<Systems>>>,
    /// Counts the databases: with another one requests in progress may be let in no more.
    changes: AtomicU64,
}

impl Countries {
    /// See [`Countries::changes`].
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(crate) fn replace(&self, database: Geoip) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(database));
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn replace_systems(&self, database: Systems) {
        *self.systems.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(database));
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// What is not known is [`Asn::UNKNOWN`].
    pub(crate) fn asn(&self, address: IpAddr) -> Asn {
        let database = self.systems.read().unwrap_or_else(PoisonError::into_inner).clone();
        database.and_then(|database| database.asn(address)).unwrap_or(Asn::UNKNOWN)
    }

    /// What is not known is [`Country::UNKNOWN`].
    pub(crate) fn of(&self, address: IpAddr) -> Country {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner).clone();
        database.and_then(|database| database.country(address)).unwrap_or(Country::UNKNOWN)
    }
}
