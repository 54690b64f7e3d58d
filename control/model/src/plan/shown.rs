//! Which certificate a host shows. That of the application there comes first; of all others only those of the tenant whose
//! host it is, and of these the best. Anybody can have a certificate that says a host's name; only one tenant has the host.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Plan, PlannedApp, PlannedCertificate};
use crate::config::{Certificate, CertificateOrigin};
use crate::ids::{AppId, CertificateId, TenantId};
use crate::snapshot::Snapshot;

impl Plan {
    /// Adds certificates where no application said which one is shown.
    pub(super) fn add_certificates(
        &mut self,
        snapshot: &Snapshot,
        decoded: &BTreeMap<CertificateId, Arc<PlannedCertificate>>,
    ) {
        let Self { apps, certificates, .. } = self;
        let owners = Owners::of(apps, snapshot);
        let mut best: Vec<&Certificate> = snapshot.certificates.values().collect();
        best.sort_unstable_by_key(|certificate| Reverse(rank(certificate)));
        let mut by_tenant = HashMap::new();
        for &certificate in &best {
            for (wildcard, name) in certificate.hosts.iter().map(|host| split(host)) {
                by_tenant.entry((certificate.id.tenant, wildcard, name)).or_insert(certificate);
            }
        }
        // Somebody's host shows one of that tenant's, also where another tenant's wildcard is around.
        for (wildcard, name, tenant) in owners.all() {
            let same = by_tenant.get(&(tenant, wildcard, name));
            let below = name.split_once('.').filter(|_| !wildcard).map(|(_, below)| below);
            let around = below.and_then(|below| by_tenant.get(&(tenant, true, below)));
            let found = same.into_iter().chain(around).max_by_key(|certificate| rank(certificate));
            if let Some(found) = found.and_then(|certificate| decoded.get(&certificate.id)) {
                certificates.insert_vacant(wildcard, name, Arc::clone(found));
            }
        }
        for certificate in best {
            let Some(found) = decoded.get(&certificate.id) else { continue };
            let hosts = certificate.hosts.iter().map(|host| split(host));
            for (wildcard, name) in hosts.filter(|host| !owners.is_foreign(certificate.id.tenant, *host)) {
                certificates.insert_vacant(wildcard, name, Arc::clone(found));
            }
        }
    }
}

/// Whose hosts are.
struct Owners<'a> {
    exact: HashMap<&'a str, TenantId>,
    /// By what follows `*.`.
    wildcards: HashMap<&'a str, TenantId>,
}

impl<'a> Owners<'a> {
    fn of(apps: &'a BTreeMap<AppId, Arc<PlannedApp>>, snapshot: &'a Snapshot) -> Self {
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        for app in apps.values() {
            for url in app.places.iter().map(|place| &place.external) {
                let same = if url.wildcard { &mut wildcards } else { &mut exact };
                same.entry(&*url.host).or_insert(app.tenant);
            }
        }
        for tenant in snapshot.tenants.values() {
            if let Some(suffix) = tenant.app_suffix.as_deref() {
                wildcards.entry(suffix).or_insert(tenant.id);
            }
        }
        if let Some(identity) = &snapshot.identity
            && let Some(host) = &identity.device_host
        {
            exact.entry(host.as_str()).or_insert(identity.app.tenant);
        }
        Self { exact, wildcards }
    }

    fn all(&self) -> impl Iterator<Item = (bool, &'a str, TenantId)> {
        let exact = self.exact.iter().map(|(name, tenant)| (false, *name, *tenant));
        exact.chain(self.wildcards.iter().map(|(name, tenant)| (true, *name, *tenant)))
    }

    /// Whether another tenant has it, or all that is around it: of wildcards that meet, the longest one decides.
    fn is_foreign(&self, tenant: TenantId, (wildcard, name): (bool, &str)) -> bool {
        let same = if wildcard { self.wildcards.get(name) } else { self.exact.get(name) };
        let around = || name.match_indices('.').find_map(|(at, _)| self.wildcards.get(&name[at + 1..]));
        same.or_else(around).is_some_and(|owner| *owner != tenant)
    }
}

/// The better one is more.
fn rank(certificate: &Certificate) -> (bool, bool, u64, CertificateId) {
    let is_given = certificate.origin == CertificateOrigin::Given;
    (certificate.revoked_unix.is_none(), is_given, certificate.not_after_unix, certificate.id)
}

/// Whether it is a wildcard, and the name without that.
fn split(host: &str) -> (bool, &str) {
    host.strip_prefix("*.").map_or((false, host), |name| (true, name))
}
