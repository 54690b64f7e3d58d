//! The state that relays serve, and the log of changes that leads to it. Version by version; a delta that does not fit is refused.

mod check;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::acme::{AcmeChallenge, AcmeRenewal, CHALLENGES_MAX};
use crate::assertion::{ASSERTION_KEYS_MAX, AssertionKey, AssertionSigner};
use crate::config::{App, Certificate, Connector, Group, Relay, Tenant};
pub use crate::delta::{Change, Delta};
use crate::device::{DeviceAuthority, DeviceAuthorityKey};
use crate::directory::{Assignment, AssignmentKey, Principal};
use crate::domain::{Domain, DomainKey};
use crate::group_config::SignedGroupConfig;
use crate::identity::IdentityApp;
use crate::ids::{
    AppId, CertificateId, ConnectorId, GroupId, Name, PolicyId, RelayId, ServiceTokenId, TenantId, UserId,
};
use crate::limit::{Limit, LimitKey};
use crate::network::{Network, NetworkKey};
use crate::policy::Policy;
use crate::service_token::ServiceToken;
use crate::session::{CookieKey, CookieSealer};
use crate::vault::{Credential, CredentialKey, Owner, VaultPublicKey};

/// Everything at one version of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of the last change in it; 0 is the empty state.
    pub version: u64,
    /// Names of features without which this state must not be served. A relay that misses one refuses it: see [`Snapshot::check_known`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requires: BTreeSet<String>,
    /// Tenants.
    #[serde(default)]
    pub tenants: BTreeMap<TenantId, Tenant>,
    /// Published applications.
    #[serde(default)]
    pub apps: BTreeMap<AppId, App>,
    /// Connector groups.
    #[serde(default)]
    pub groups: BTreeMap<GroupId, Group>,
    /// Enrolled connectors. One that is not here is not let in, whatever its certificate says.
    #[serde(default)]
    pub connectors: BTreeMap<ConnectorId, Connector>,
    /// Relays.
    #[serde(default)]
    pub relays: BTreeMap<RelayId, Relay>,
    /// Certificates of external hosts.
    #[serde(default)]
    pub certificates: BTreeMap<CertificateId, Certificate>,
    /// What each connector group may reach, signed.
    #[serde(default)]
    pub group_configs: BTreeMap<GroupId, SignedGroupConfig>,
    /// Limits that were set; see [`crate::limit::planned`] for all that hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<LimitKey, Limit>,
    /// Corporate networks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<NetworkKey, Network>,
    /// Who is assigned to which application. Users and groups themselves are not here: relays have no need of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assignments: BTreeMap<AssignmentKey, Assignment>,
    /// Service tokens. One that is not here lets nobody in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_tokens: BTreeMap<ServiceTokenId, ServiceToken>,
    /// Where people sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityApp>,
    /// Keys for cookies, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookie_keys: Vec<CookieKey>,
    /// Conditional access policies. Where there are any, `requires` names them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<PolicyId, Policy>,
    /// Keys for signed assertions, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertion_keys: Vec<AssertionKey>,
    /// What each connector group's credentials are sealed to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vault_keys: BTreeMap<GroupId, VaultPublicKey>,
    /// Sealed credentials. Only connectors of the group can read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<CredentialKey, Credential>,
    /// Whose certificates count for devices. Devices themselves are not here: relays have no need of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub device_authorities: BTreeMap<DeviceAuthorityKey, DeviceAuthority>,
    /// What relays answer authorities that look whose a host is, by token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acme_challenges: BTreeMap<String, AcmeChallenge>,
    /// Certificates that control renews by ACME. Relays have no need of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acme_renewals: BTreeMap<CertificateId, AcmeRenewal>,
    /// Domains of tenants. Relays have no need of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub domains: BTreeMap<DomainKey, Domain>,
}

/// Why a delta was refused. The snapshot is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// Not the next version.
    #[error("delta {found} does not follow version {held}")]
    NotNext {
        /// Version of the snapshot.
        held: u64,
        /// Version of the delta.
        found: u64,
    },
    /// It names something that is not there.
    #[error("{what} refers to {missing}, which does not exist")]
    Missing {
        /// What the change is about.
        what: String,
        /// What it needs.
        missing: String,
    },
    /// It removes something that is still needed.
    #[error("{what} is still used by {user}")]
    InUse {
        /// What was to be removed.
        what: String,
        /// What still refers to it.
        user: String,
    },
    /// It refers to something of another tenant.
    #[error("{what} and {other} belong to different tenants")]
    OtherTenant {
        /// What the change is about.
        what: String,
        /// What it refers to.
        other: String,
    },
    /// It is no challenge that can be answered.
    #[error("the challenge for {host} cannot be answered: {reason}")]
    Challenge {
        /// Whose it is.
        host: String,
        /// Why not.
        reason: &'static str,
    },
    /// The snapshot needs a newer relay.
    #[error("the state needs {0:?}, which this version does not know: upgrade")]
    UnknownRequirement(String),
}

impl Snapshot {
    /// Applies the next change.
    ///
    /// # Errors
    /// When the version is not exactly the next or the change does not fit; `self` is unchanged then.
    pub fn apply(&mut self, delta: &Delta) -> Result<(), DeltaError> {
        if self.version.checked_add(1) != Some(delta.version) {
            return Err(DeltaError::NotNext { held: self.version, found: delta.version });
        }
        self.check(&delta.change)?;
        self.store(&delta.change);
        self.version = delta.version;
        Ok(())
    }

    /// Refuses a state that needs something this version does not know.
    ///
    /// # Errors
    /// Names the first unknown requirement.
    pub fn check_known(&self) -> Result<(), DeltaError> {
        match self.requires.iter().find(|name| !KNOWN_REQUIREMENTS.contains(&name.as_str())) {
            Some(name) => Err(DeltaError::UnknownRequirement(name.clone())),
            None => Ok(()),
        }
    }

    /// Takes out all that lets requests pass by right, so that applications that ask who it is let nobody in.
    pub fn bar(&mut self) {
        // Whoever adds a field decides here whether it lets somebody in.
        let Self {
            service_tokens,
            version: _,
            requires: _,
            tenants: _,
            apps: _,
            groups: _,
            connectors: _,
            relays: _,
            certificates: _,
            group_configs: _,
            limits: _,
            networks: _,
            assignments: _,
            identity,
            cookie_keys,
            policies: _,
            assertion_keys,
            vault_keys: _,
            credentials: _,
            // A certificate of theirs lets nobody in by itself: control decides what it counts for, and then there are sessions.
            device_authorities: _,
            acme_challenges: _,
            acme_renewals: _,
            domains: _,
        } = self;
        service_tokens.clear();
        // Without the keys no cookie opens, and nobody is sent to sign in.
        cookie_keys.clear();
        // Whoever is let in no more is not vouched for either.
        assertion_keys.clear();
        *identity = None;
    }

    /// The applications of a group.
    pub fn apps_of(&self, group: GroupId) -> impl Iterator<Item = &App> {
        self.apps.values().filter(move |app| app.group == group)
    }

    /// The assignments of an application, those that decide first in front.
    pub fn assignments_of(&self, app: AppId) -> impl Iterator<Item = &Assignment> {
        let first = AssignmentKey { app, principal: Principal::User(UserId::new(app.tenant, 0)) };
        let last = AssignmentKey { app, principal: Principal::Everyone };
        self.assignments.range(first..=last).map(|(_, assignment)| assignment)
    }

    /// The credentials of an application.
    pub fn credentials_of(&self, app: AppId) -> impl Iterator<Item = &Credential> {
        let first = CredentialKey { app, owner: Owner::User(UserId::new(app.tenant, 0)) };
        let last = CredentialKey { app, owner: Owner::Shared };
        self.credentials.range(first..=last).map(|(_, credential)| credential)
    }

    fn store(&mut self, change: &Change) {
        match change {
            Change::TenantPut(tenant) => put(&mut self.tenants, tenant.id, tenant),
            Change::TenantRemoved { id } => self.remove_tenant(*id),
            Change::GroupPut(group) => put(&mut self.groups, group.id, group),
            Change::GroupRemoved { id } => self.remove_group(*id),
            Change::AppPut(app) => put(&mut self.apps, app.id, app),
            Change::AppRemoved { id } => self.remove_app(*id),
            Change::ConnectorPut(connector) => put(&mut self.connectors, connector.id, connector),
            Change::ConnectorRemoved { id } => drop(self.connectors.remove(id)),
            Change::RelayPut(relay) => put(&mut self.relays, relay.id, relay),
            Change::RelayRemoved { id } => drop(self.relays.remove(id)),
            Change::CertificatePut(certificate) => {
                put(&mut self.certificates, certificate.id, certificate);
            }
            Change::CertificateRemoved { id } => {
                self.certificates.remove(id);
                self.acme_renewals.remove(id);
            }
            Change::GroupConfigPut { group, config } => put(&mut self.group_configs, *group, config),
            Change::GroupConfigRemoved { group } => drop(self.group_configs.remove(group)),
            Change::LimitPut(limit) => put(&mut self.limits, limit.key(), limit),
            Change::LimitRemoved { tenant, scope } => {
                self.limits.remove(&LimitKey { tenant: *tenant, scope: scope.clone() });
            }
            Change::NetworkPut(network) => put(&mut self.networks, network.key(), network),
            Change::NetworkRemoved { tenant, name } => {
                self.networks.remove(&NetworkKey { tenant: *tenant, name: name.clone() });
            }
            Change::AssignmentPut(assignment) => put(&mut self.assignments, assignment.key(), assignment),
            Change::AssignmentRemoved { app, principal } => {
                self.assignments.remove(&AssignmentKey { app: *app, principal: *principal });
            }
            Change::ServiceTokenPut(token) => put(&mut self.service_tokens, token.id, token),
            Change::ServiceTokenRemoved { id } => drop(self.service_tokens.remove(id)),
            Change::IdentityPut(identity) => self.identity = Some(identity.clone()),
            Change::IdentityRemoved {} => self.identity = None,
            Change::CookieKeysPut { keys } => self.cookie_keys.clone_from(keys),
            Change::AssertionKeysPut { keys } => self.assertion_keys.clone_from(keys),
            Change::VaultKeyPut { group, key } => put(&mut self.vault_keys, *group, key),
            Change::CredentialPut(credential) => put(&mut self.credentials, credential.key(), credential),
            Change::CredentialRemoved { app, owner } => {
                self.credentials.remove(&CredentialKey { app: *app, owner: *owner });
            }
            Change::PolicyPut(policy) => {
                put(&mut self.policies, policy.id, policy);
                self.note_policies();
            }
            Change::PolicyRemoved { id } => {
                self.policies.remove(id);
                self.note_policies();
            }
            Change::DeviceAuthorityPut(authority) => put(&mut self.device_authorities, authority.key(), authority),
            Change::DeviceAuthorityRemoved { tenant, name } => {
                self.device_authorities.remove(&DeviceAuthorityKey { tenant: *tenant, name: name.clone() });
            }
            Change::AcmeChallengePut(challenge) => put(&mut self.acme_challenges, challenge.token.clone(), challenge),
            Change::AcmeChallengeRemoved { token, .. } => drop(self.acme_challenges.remove(token)),
            Change::AcmeRenewalPut(renewal) => put(&mut self.acme_renewals, renewal.certificate, renewal),
            Change::AcmeRenewalRemoved { certificate } => drop(self.acme_renewals.remove(certificate)),
            Change::DomainPut(domain) => put(&mut self.domains, domain.key(), domain),
            Change::DomainRemoved { tenant, name } => {
                self.domains.remove(&DomainKey { tenant: *tenant, name: name.clone() });
            }
            Change::Skipped { .. } => {}
        }
    }

    fn remove_tenant(&mut self, id: TenantId) {
        self.tenants.remove(&id);
        self.limits.retain(|key, _| key.tenant != id);
        self.networks.retain(|key, _| key.tenant != id);
        self.service_tokens.retain(|token, _| token.tenant != id);
        self.policies.retain(|policy, _| policy.tenant != id);
        self.device_authorities.retain(|key, _| key.tenant != id);
        self.acme_challenges.retain(|_, challenge| challenge.tenant != id);
        self.domains.retain(|key, _| key.tenant != id);
        self.note_policies();
    }

    fn remove_group(&mut self, id: GroupId) {
        self.groups.remove(&id);
        self.group_configs.remove(&id);
        self.vault_keys.remove(&id);
    }

    fn remove_app(&mut self, id: AppId) {
        self.apps.remove(&id);
        self.limits.retain(|key, _| key.scope.app() != Some(id));
        self.assignments.retain(|key, _| key.app != id);
        self.credentials.retain(|key, _| key.app != id);
        for token in self.service_tokens.values_mut() {
            token.apps.remove(&id);
        }
        for policy in self.policies.values_mut() {
            if let Some(without) = policy.without_app(id) {
                *policy = without;
            }
        }
    }

    /// A relay that knows no policies must not serve a state that has some.
    fn note_policies(&mut self) {
        if self.policies.is_empty() {
            self.requires.remove(POLICIES);
        } else {
            self.requires.insert(POLICIES.to_owned());
        }
    }
}

fn put<K: Ord, V: Clone>(map: &mut BTreeMap<K, V>, key: K, value: &V) {
    map.insert(key, value.clone());
}

/// Keys for cookies at a time: with a new one every week they reach back further than any session.
pub const COOKIE_KEYS_MAX: usize = 8;
const POLICIES: &str = "policies";
/// What a snapshot's `requires` may name. The base is understood by every version.
const KNOWN_REQUIREMENTS: &[&str] = &[POLICIES];

#[cfg(test)]
mod tests;
