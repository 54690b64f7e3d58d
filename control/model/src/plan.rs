//! The routing table: a snapshot parsed and checked as a whole. What is in a `Plan` can be served; lookups allocate nothing.

mod asking;
mod by_host;
mod plain;
mod tls;
mod warnings;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::app_url::{ExternalUrl, InternalUrl, UrlInvalid};
use crate::assertion::AssertionSigner;
use crate::config::{App, Preauth};
use crate::directory::{Assignment, Principal};
use crate::ids::{AppId, CertificateId, GroupId, Name, PolicyId, ServiceTokenId, TenantId};
use crate::limit::{self, PlannedLimit};
use crate::network::{Network, NetworkKey};
use crate::policy::{Policies, Policy};
use crate::service_token::ServiceToken;
use crate::session::{CookieSealer, Subject};
use crate::settings::{AppSettings, Mfa, SettingInvalid, TlsMin, check_preauth};
use crate::snapshot::{DeltaError, Snapshot};
pub use asking::PlannedIdentity;
use by_host::{ByHost, Fnv};
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

/// The applications of one external host, by path prefix.
#[derive(Debug, Default)]
pub struct HostRoutes {
    routes: HashMap<Box<str>, Arc<PlannedApp>, BuildHasherDefault<Fnv>>,
    /// Segments of the deepest prefix: no need to look further into a path.
    depth_max: usize,
    /// One of them is for TLS 1.3 alone: which one a connection is for, nobody knows while it begins.
    asks_tls13: bool,
}

/// An application that can be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedApp {
    /// Its id.
    pub id: AppId,
    /// Its name.
    pub name: Name,
    /// Its tenant.
    pub tenant: TenantId,
    /// Whose connectors reach it.
    pub group: GroupId,
    /// Where it is published.
    pub external: ExternalUrl,
    /// What the connector opens.
    pub internal: InternalUrl,
    /// What is asked before.
    pub preauth: Preauth,
    /// Name of the cookie that a session has here.
    pub cookie: Box<str>,
    /// Its settings.
    pub settings: AppSettings,
}

/// Why a snapshot cannot be served. Names the object, so that an operator finds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigInvalid {
    /// An external or internal URL.
    #[error("{app}: {error}")]
    Url {
        /// The application's name.
        app: Name,
        /// What is wrong.
        error: UrlInvalid,
    },
    /// An application that asks who its users are, at a plain URL.
    #[error(
        "{app}: {url} is plain text: with --preauth oidc users are known by cookies that travel by TLS alone; write https://"
    )]
    PlainText {
        /// The application's name.
        app: Name,
        /// Its external URL.
        url: String,
    },
    /// A setting.
    #[error("{app}: {error}")]
    Setting {
        /// The application's name.
        app: Name,
        /// What is wrong.
        error: SettingInvalid,
    },
    /// Two applications at the same place.
    #[error("{url} is already published as {other}")]
    Conflict {
        /// The later one.
        app: Name,
        /// Its external URL.
        url: String,
        /// Who has it.
        other: Name,
    },
    /// A certificate or key that cannot be read.
    #[error("certificate {id}: {reason}")]
    Certificate {
        /// Which.
        id: CertificateId,
        /// What is wrong.
        reason: &'static str,
    },
    /// It refers to something that is not there.
    #[error("{app}: {missing} does not exist")]
    Missing {
        /// The application's name.
        app: Name,
        /// What it refers to.
        missing: String,
    },
    /// The snapshot needs a newer version.
    #[error(transparent)]
    Snapshot(#[from] DeltaError),
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
            let certificate_decoded = Arc::new(PlannedCertificate::decode(certificate)?);
            for host in &certificate.hosts {
                plan.certificates.insert(host, Arc::clone(&certificate_decoded));
            }
            decoded.insert(*id, certificate_decoded);
        }
        // An application's own certificate wins over others that cover its host; the oldest application of a host decides.
        let plain = plain::hosts(snapshot);
        for app in snapshot.apps.values().rev() {
            plan.add_app(app, snapshot, &decoded, &plain)?;
        }
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
        fn doors(plan: &Plan) -> impl Iterator<Item = (AppId, &Name, &ExternalUrl, Preauth, Mfa)> {
            plan.apps.values().map(|app| (app.id, &app.name, &app.external, app.preauth, app.settings.mfa))
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
        let pattern = planned.external.host_pattern();
        if plain.contains(&pattern) {
            planned.settings.answers.hsts.yield_to_plain();
        }
        let planned = Arc::new(planned);
        let routes = self.hosts.entry(&pattern);
        if let Some(other) = routes.insert(Arc::clone(&planned)) {
            // Applications come newest first: the one that was there is the later one.
            let url = planned.external.to_string();
            return Err(ConfigInvalid::Conflict { app: other.name.clone(), url, other: app.name.clone() });
        }
        self.certificates.insert(&pattern, Arc::clone(certificate));
        self.asks_tls13 |= planned.settings.tls_min == TlsMin::Tls13;
        self.apps.insert(app.id, planned);
        Ok(())
    }
}

impl HostRoutes {
    /// The application for a path (without query): the longest prefix that ends at a segment boundary.
    #[must_use]
    pub fn route(&self, path: &str) -> Option<&Arc<PlannedApp>> {
        let mut found = self.routes.get("");
        let ends = path.bytes().enumerate().skip(1).filter(|(_, byte)| *byte == b'/');
        let ends = ends.map(|(at, _)| at).chain(std::iter::once(path.len()));
        for end in ends.take(self.depth_max) {
            found = path.get(..end).and_then(|prefix| self.routes.get(prefix)).or(found);
        }
        found
    }

    /// Adds an application; gives back who has the same prefix already.
    fn insert(&mut self, app: Arc<PlannedApp>) -> Option<Arc<PlannedApp>> {
        let path = &app.external.path;
        if let Some(other) = self.routes.get(path) {
            return Some(Arc::clone(other));
        }
        self.asks_tls13 |= app.settings.tls_min == TlsMin::Tls13;
        self.depth_max = self.depth_max.max(path.matches('/').count());
        self.routes.insert(path.clone(), app);
        None
    }
}

impl PlannedApp {
    /// Parses one application by itself; conflicts with others are found by [`Plan::build`].
    ///
    /// # Errors
    /// The first part that cannot be served.
    pub fn parse(app: &App) -> Result<Self, ConfigInvalid> {
        let url = |error| ConfigInvalid::Url { app: app.name.clone(), error };
        let settings = AppSettings::parse(&app.settings)
            .map_err(|error| ConfigInvalid::Setting { app: app.name.clone(), error })?;
        check_preauth(&app.settings, app.preauth)
            .map_err(|error| ConfigInvalid::Setting { app: app.name.clone(), error })?;
        let internal = InternalUrl::parse(&app.internal_url).map_err(url)?;
        let external = ExternalUrl::parse(&app.external_url).map_err(url)?;
        if app.preauth == Preauth::Oidc && !external.tls {
            return Err(ConfigInvalid::PlainText { app: app.name.clone(), url: external.to_string() });
        }
        settings
            .check_backend(internal.tls)
            .and_then(|()| settings.check_proxy(&internal))
            .and_then(|()| settings.check_preauth(app.preauth))
            .map_err(|error| ConfigInvalid::Setting { app: app.name.clone(), error })?;
        Ok(Self {
            id: app.id,
            name: app.name.clone(),
            tenant: app.id.tenant,
            group: app.group,
            external,
            internal,
            preauth: app.preauth,
            cookie: settings.answers.cookie.name(app.id).into(),
            settings,
        })
    }
}

#[cfg(test)]
mod tests;
