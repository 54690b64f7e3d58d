//! The routing table: a snapshot parsed and checked as a whole. What is in a `Plan` can be served; lookups allocate nothing.

mod app;
mod asking;
mod by_host;
mod invalid;
mod plain;
mod routes;
mod shown;
mod tls;
mod warnings;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::app_url::ExternalUrl;
use crate::assertion::AssertionSigner;
use crate::config::{App, Preauth};
use crate::directory::{Assignment, Principal};
use crate::host::covers;
use crate::ids::{AppId, CertificateId, GroupId, Name, PolicyId, ServiceTokenId, TenantId};
use crate::limit::{self, PlannedLimit};
use crate::network::{Network, NetworkKey};
use crate::policy::{Policies, Policy};
use crate::service_token::ServiceToken;
use crate::session::{CookieSealer, Subject};
use crate::settings::{Mfa, TlsMin};
use crate::snapshot::Snapshot;
pub use app::{Place, PlannedApp};
pub use asking::PlannedIdentity;
use by_host::ByHost;
pub use invalid::ConfigInvalid;
pub use routes::{HostRoutes, PlaceTable};
pub use tls::PlannedCertificate;

/// Everything a relay needs to route, looked up by host, path and SNI.
#[derive(Debug, Default)]
pub struct Plan {
    version: u64,
    hosts: ByHost<HostRoutes>,
    certificates: ByHost<Arc<PlannedCertificate>>,
    certificates_by_id: BTreeMap<CertificateId, Arc<PlannedCertificate>>,
    /// Whether any host is for TLS 1.3 alone.
    asks_tls13: bool,
    apps: BTreeMap<AppId, Arc<PlannedApp>>,
    limits: Vec<PlannedLimit>,
    networks: BTreeMap<TenantId, Vec<Network>>,
    service_tokens: BTreeMap<ServiceTokenId, Arc<ServiceToken>>,
    assignments: HashMap<AppId, BTreeMap<Principal, Arc<Assignment>>>,
    policies: Policies,
    /// What `policies` was made of.
    policies_from: (BTreeMap<PolicyId, Policy>, BTreeMap<NetworkKey, Network>),
    identity: Option<PlannedIdentity>,
    device_authorities: Vec<CertificateDer<'static>>,
    directory_sync: BTreeSet<GroupId>,
    /// Numbers of the keys for cookies and for assertions, and when each was made.
    keys_from: [BTreeSet<(u32, u64)>; 2],
    cookies: Arc<CookieSealer>,
    assertions: AssertionSigner,
}

impl Plan {
    /// Parses and checks a snapshot as a whole.
    ///
    /// # Errors
    /// The first thing found that cannot be served.
    pub fn build(snapshot: &Snapshot) -> Result<Self, ConfigInvalid> {
        snapshot.check_known()?;
        let mut plan = Self { version: snapshot.version, ..Self::default() };
        let mut decoded = BTreeMap::new();
        for (id, certificate) in &snapshot.certificates {
            decoded.insert(*id, Arc::new(PlannedCertificate::decode(certificate)?));
        }
        // An application's own certificate wins over others that cover its host; the oldest application of a host decides.
        let plain = plain::hosts(snapshot);
        for app in snapshot.apps.values().rev() {
            plan.add_app(app, snapshot, &decoded, &plain)?;
        }
        plan.add_certificates(snapshot, &decoded);
        plan.certificates_by_id = decoded;
        plan.limits = limit::planned(snapshot);
        // No application is reached by way of an anonymiser.
        for network in snapshot.networks.values().filter(|network| !network.anonymiser) {
            plan.networks.entry(network.tenant).or_default().push(network.clone());
        }
        let tokens = snapshot.service_tokens.iter().map(|(id, token)| (*id, Arc::new(token.clone())));
        plan.service_tokens = tokens.collect();
        for assignment in snapshot.assignments.values() {
            let of_app = plan.assignments.entry(assignment.app).or_default();
            of_app.insert(assignment.principal, Arc::new(assignment.clone()));
        }
        plan.policies = Policies::of(snapshot);
        // Networks matter to what passes only where policies name them.
        if !snapshot.policies.is_empty() {
            plan.policies_from = (snapshot.policies.clone(), snapshot.networks.clone());
        }
        plan.note_who_asks(snapshot)?;
        plan.add_own_names(snapshot);
        plan.keys_from = [
            snapshot.cookie_keys.iter().map(|key| (key.id, key.created_unix)).collect(),
            snapshot.assertion_keys.iter().map(|key| (key.id, key.created_unix)).collect(),
        ];
        // Checked when the keys came.
        plan.cookies = Arc::new(CookieSealer::new(&snapshot.cookie_keys).unwrap_or_default());
        plan.assertions = AssertionSigner::new(&snapshot.assertion_keys).unwrap_or_default();
        Ok(plan)
    }

    /// Version of the snapshot it was built from.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The routes of a host (no port, any case): exact host first, then the longest wildcard.
    #[must_use]
    pub fn host(&self, host: &str) -> Option<&HostRoutes> {
        self.hosts.find(host, usize::MAX)
    }

    /// The certificate for a server name. A wildcard covers one label, as clients see it (RFC 9525 §6.3).
    #[must_use]
    pub fn certificate(&self, server_name: &str) -> Option<&Arc<PlannedCertificate>> {
        self.certificates.find(server_name, 1)
    }

    /// An application by id.
    #[must_use]
    pub fn app(&self, id: AppId) -> Option<&Arc<PlannedApp>> {
        self.apps.get(&id)
    }

    /// All applications, by id.
    pub fn apps(&self) -> impl Iterator<Item = &Arc<PlannedApp>> {
        self.apps.values()
    }

    /// Every limit that holds: of each tenant, each application, and what else was set.
    #[must_use]
    pub fn limits(&self) -> &[PlannedLimit] {
        &self.limits
    }

    /// A tenant's corporate networks, by name.
    #[must_use]
    pub fn networks(&self, tenant: TenantId) -> &[Network] {
        self.networks.get(&tenant).map_or(&[], Vec::as_slice)
    }

    /// A service token by id.
    #[must_use]
    pub fn service_token(&self, id: ServiceTokenId) -> Option<&Arc<ServiceToken>> {
        self.service_tokens.get(&id)
    }

    /// Conditional access.
    #[must_use]
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// What seals and opens cookies.
    #[must_use]
    pub const fn cookies(&self) -> &Arc<CookieSealer> {
        &self.cookies
    }

    /// What signs assertions.
    #[must_use]
    pub const fn assertions(&self) -> &AssertionSigner {
        &self.assertions
    }

    /// The assignment that lets a user into an application, if one does: as [`crate::directory::assigned`] decides.
    #[must_use]
    pub fn assigned(&self, app: AppId, subject: &Subject, now_unix: u64) -> Option<&Arc<Assignment>> {
        let is_over = subject.expires_unix.is_some_and(|end| end <= now_unix);
        let of_app = self.assignments.get(&app).filter(|_| !is_over && subject.id.tenant == app.tenant)?;
        let groups = subject.groups.keys().copied().map(Principal::Group);
        let principals = [Principal::User(subject.id)].into_iter().chain(groups).chain([Principal::Everyone]);
        let mut found = principals.filter_map(|principal| of_app.get(&principal));
        found.find(|assignment| assignment.is_current(now_unix))
    }

    /// Whether both let the same requests pass: the same applications ask for the same at the same addresses, the same tokens are
    /// good, the same keys open cookies and verify tokens, the same people are assigned, and the same policies hold. What
    /// connections remember counts for as long as this does: with other keys all of it is verified anew.
    #[must_use]
    pub fn permits_as(&self, other: &Self) -> bool {
        fn doors(plan: &Plan) -> impl Iterator<Item = (AppId, &Name, Vec<&ExternalUrl>, Preauth, Mfa)> {
            plan.apps.values().map(|app| {
                let places = app.places.iter().map(|place| &place.external).collect();
                (app.id, &app.name, places, app.preauth, app.settings.mfa)
            })
        }
        doors(self).eq(doors(other))
            && self.issuer() == other.issuer()
            && self.keys_from == other.keys_from
            && self.service_tokens == other.service_tokens
            && self.assignments == other.assignments
            && self.policies_from == other.policies_from
    }

    fn add_app(
        &mut self,
        app: &App,
        snapshot: &Snapshot,
        certificates: &BTreeMap<CertificateId, Arc<PlannedCertificate>>,
        plain: &BTreeSet<String>,
    ) -> Result<(), ConfigInvalid> {
        let missing = |missing: String| ConfigInvalid::Missing { app: app.name.clone(), missing };
        if !snapshot.groups.contains_key(&app.group) {
            return Err(missing(app.group.to_string()));
        }
        let certificate = certificates.get(&app.certificate);
        let certificate = certificate.ok_or_else(|| missing(app.certificate.to_string()))?;
        let mut planned = PlannedApp::parse(app)?;
        let suffix = snapshot.tenants.get(&planned.tenant).and_then(|tenant| tenant.app_suffix.as_deref());
        let is_identity = snapshot.identity.as_ref().is_some_and(|identity| identity.app == app.id);
        // People sign in at one host alone: their keys are good nowhere else.
        let own_name = suffix.filter(|_| !is_identity).and_then(|suffix| planned.own_name(suffix));
        let published = planned.places.len();
        if own_name.is_some() {
            planned.places = planned.places.iter().cloned().chain(own_name).collect();
        }
        let hosts = snapshot.certificates.get(&app.certificate).map_or(&[][..], |it| it.hosts.as_slice());
        for (at, place) in planned.places.iter().enumerate().take(published) {
            let pattern = place.external.host_pattern();
            let mut found = planned.found_at(place);
            if plain.contains(&pattern) {
                found.settings.answers.hsts.yield_to_plain();
            }
            let found = Arc::new(found);
            if let Some(other) = self.hosts.entry(&pattern).insert(Arc::clone(&found)) {
                // Applications come newest first: the one that was there is the later one.
                let url = place.external.to_string();
                return Err(ConfigInvalid::Conflict { app: other.name.clone(), url, other: app.name.clone() });
            }
            // Other names may have certificates of their own.
            if at == 0 || covers(hosts, &pattern) {
                self.certificates.insert(&pattern, Arc::clone(certificate));
            }
            if at == 0 {
                self.apps.insert(app.id, found);
            }
        }
        self.asks_tls13 |= planned.settings.tls_min == TlsMin::Tls13;
        Ok(())
    }

    /// Adds `NAME.SUFFIX` of those that have it. What is published at such a host by its URL has it instead.
    fn add_own_names(&mut self, snapshot: &Snapshot) {
        for app in self.apps.values() {
            let suffix = snapshot.tenants.get(&app.tenant).and_then(|tenant| tenant.app_suffix.as_deref());
            let place = suffix.and_then(|suffix| app.own_name(suffix));
            let Some(place) = place.filter(|place| app.place(&place.external).is_some()) else { continue };
            if self.hosts.find(&place.external.host, usize::MAX).is_none() {
                let found = Arc::new(app.found_at(&place));
                self.hosts.entry(&place.external.host).insert(found);
            }
        }
    }
}

#[cfg(test)]
mod tests;
