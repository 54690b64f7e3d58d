//! Which autonomous system an address is in, by the database of `--geoip-asn`, and whether it is an anonymiser's, by the lists of
//! `postern network`.

use std::net::IpAddr;
use std::path::Path;

use postern_model::ids::TenantId;
use postern_model::policy::Asn;
use postern_service::failure::Failure;
use postern_service::geoip;

use crate::control::Control;
use crate::watched::Watched;

/// A database, and where it came from.
pub(crate) struct Systems(Watched<geoip::Systems>);

impl Control {
    /// The autonomous system of an address; nothing, where there is no database.
    pub(crate) fn asn(&self, address: IpAddr) -> Option<Asn> {
        self.systems.as_ref().map(|systems| systems.of(address))
    }

    /// Whether a list of a tenant's has an address as an anonymiser's.
    pub(crate) fn is_anonymiser(&self, tenant: TenantId, address: IpAddr) -> bool {
        self.prepared().is_anonymiser(tenant, address)
    }
}

impl Systems {
    /// Reads the database.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        Watched::open("--geoip-asn", path, geoip::Systems::read).map(Self)
    }

    /// What is not known is [`Asn::UNKNOWN`].
    fn of(&self, address: IpAddr) -> Asn {
        self.0.current().asn(address).unwrap_or(Asn::UNKNOWN)
    }
}
