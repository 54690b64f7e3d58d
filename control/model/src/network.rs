//! Named networks: corporate ones, from which an application's users could reach it without Postern, and lists of anonymisers,
//! from which anybody could be anybody.

use crate::ids::{Name, TenantId, name_in_tenant};
use crate::prefix::IpPrefix;

/// A named network of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Network {
    /// Whose.
    pub tenant: TenantId,
    /// Its name, unique in the tenant.
    pub name: Name,
    /// Its addresses as the relay sees them: usually those of its gateways to the internet.
    pub prefixes: Vec<IpPrefix>,
    /// It is a list of anonymisers, such as the exits of Tor: no corporate network, whoever signs in from it is a risk, and it may
    /// be large.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymiser: bool,
}

name_in_tenant!(
    /// A tenant's network by name. As text: `t1/hq`.
    NetworkKey
);

impl Network {
    /// Its place among all networks.
    #[must_use]
    pub fn key(&self) -> NetworkKey {
        NetworkKey { tenant: self.tenant, name: self.name.clone() }
    }
}

/// Networks of one tenant.
pub const NETWORKS_MAX: usize = 64;
/// Prefixes of one network: with [`NETWORKS_MAX`] at most 16,384 to look through, and only for applications that ask.
pub const PREFIXES_MAX: usize = 256;
/// Prefixes of one list of anonymisers: at most 5 MB of the state that relays get.
pub const ANONYMISER_PREFIXES_MAX: usize = 100_000;
/// Prefixes of all lists of all tenants.
pub const ANONYMISER_PREFIXES_TOTAL_MAX: usize = 250_000;
