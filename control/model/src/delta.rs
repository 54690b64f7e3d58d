//! One change in the log. Its wire form lets an older relay skip what it does not need and refuse what it must not ignore.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::acme::{AcmeChallenge, AcmeRenewal};
use crate::assertion::AssertionKey;
use crate::config::{App, Certificate, Connector, Group, Relay, Tenant};
use crate::device::DeviceAuthority;
use crate::directory::{Assignment, Principal};
use crate::domain::{Domain, DomainName};
use crate::group_config::SignedGroupConfig;
use crate::identity::IdentityApp;
use crate::ids::{AppId, CertificateId, ConnectorId, GroupId, Name, PolicyId, RelayId, ServiceTokenId, TenantId};
use crate::limit::{Limit, LimitScope};
use crate::network::Network;
use crate::policy::Policy;
use crate::service_token::ServiceToken;
use crate::session::CookieKey;
use crate::vault::{Credential, Owner, VaultPublicKey};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Delta {
    /// Exactly one more than the entry before.
    pub version: u64,
    /// When control wrote it.
    pub at_unix_ms: u64,
    /// Whose change it is; `None` for relays.
    pub tenant: Option<TenantId>,
    /// The change.
    pub change: Change,
}

/// What changed. `Put` creates or replaces the whole object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A tenant was made or renamed.
    TenantPut(Tenant),
    /// An empty tenant was removed.
    TenantRemoved {
        /// Which.
        id: TenantId,
    },
    /// An application was published or changed.
    AppPut(App),
    /// An application is no longer published.
    AppRemoved {
        /// Which.
        id: AppId,
    },
    /// A connector group was made or renamed.
    GroupPut(Group),
    /// A connector group without applications and connectors was removed, with its signed configuration.
    GroupRemoved {
        /// Which.
        id: GroupId,
    },
    /// A connector enrolled or renewed with a new key.
    ConnectorPut(Connector),
    /// A connector may no longer connect; its tunnels are closed.
    ConnectorRemoved {
        /// Which.
        id: ConnectorId,
    },
    /// A relay was added or changed.
    RelayPut(Relay),
    /// A relay was removed.
    RelayRemoved {
        /// Which.
        id: RelayId,
    },
    /// A certificate was added or renewed.
    CertificatePut(Certificate),
    /// An unused certificate was removed.
    CertificateRemoved {
        /// Which.
        id: CertificateId,
    },
    /// A group's signed configuration; always newer than the one before.
    GroupConfigPut {
        /// Which group.
        group: GroupId,
        /// For its connectors, unread.
        config: SignedGroupConfig,
    },
    /// A group has no configuration any more.
    GroupConfigRemoved {
        /// Which group.
        group: GroupId,
    },
    /// A limit was set. Optional: a relay that knows no limits serves without.
    LimitPut(Limit),
    /// A limit is at its default again. An application's limits go with it, a tenant's too.
    LimitRemoved {
        /// Whose.
        tenant: TenantId,
        /// What it limited.
        scope: LimitScope,
    },
    /// A corporate network was named or changed. Optional: to a relay that knows none, nobody is in one.
    NetworkPut(Network),
    /// A network is no longer named.
    NetworkRemoved {
        /// Whose.
        tenant: TenantId,
        /// Which.
        name: Name,
    },
    /// Someone was assigned to an application, or differently. Optional: a relay that knows no users lets nobody in by it.
    AssignmentPut(Assignment),
    /// Someone is no longer assigned. An application's assignments go with it.
    AssignmentRemoved {
        /// To what.
        app: AppId,
        /// Who.
        principal: Principal,
    },
    /// A service token was made or changed. Not optional, as its removal is not: a relay that skipped one would go on letting
    /// through whom it should not. An application that is removed is taken out of tokens, a tenant's tokens go with it.
    ServiceTokenPut(ServiceToken),
    /// A service token was revoked.
    ServiceTokenRemoved {
        /// Which.
        id: ServiceTokenId,
    },
    /// Where people sign in. Optional, as its removal is: a relay that does not know lets nobody in by it.
    IdentityPut(IdentityApp),
    /// Nobody signs in any more; who is signed in stays so.
    IdentityRemoved {},
    /// The keys for cookies, all that count. Optional: without them no cookie opens.
    CookieKeysPut {
        /// At most [`crate::snapshot::COOKIE_KEYS_MAX`].
        keys: Vec<CookieKey>,
    },
    /// A policy was made or changed. Not optional, as its removal is not: a relay that skipped one would let pass what it should
    /// not. An application that is removed is taken out of policies, a tenant's policies go with it.
    PolicyPut(Policy),
    /// A policy was deleted.
    PolicyRemoved {
        /// Which.
        id: PolicyId,
    },
    /// The keys for signed assertions, all that count. Optional: without them none is signed.
    AssertionKeysPut {
        /// At most [`crate::assertion::ASSERTION_KEYS_MAX`].
        keys: Vec<AssertionKey>,
    },
    /// What a group's credentials are sealed to, made or replaced. Optional, as the next two are: relays have no use for them,
    /// and connectors get what is sealed for them in their signed configuration.
    VaultKeyPut {
        /// Which group.
        group: GroupId,
        /// Its connectors have the other half.
        key: VaultPublicKey,
    },
    /// A sealed credential was set. It goes with its application.
    CredentialPut(Credential),
    /// It is no longer there.
    CredentialRemoved {
        /// Of which application.
        app: AppId,
        /// Whose.
        owner: Owner,
    },
    /// Whose certificates count for devices: added, or another certificate. Optional, as its removal is: a relay that knows no
    /// devices asks for no certificates, so that nobody has a device there; and what a shown one counts for, control decides.
    DeviceAuthorityPut(DeviceAuthority),
    /// Its certificates count no more.
    DeviceAuthorityRemoved {
        /// Whose.
        tenant: TenantId,
        /// Which.
        name: Name,
    },
    /// What relays answer an authority that looks whose a host is. Optional, as the next five are: a relay that does not know it
    /// answers as it does anybody, and the authority issues nothing.
    AcmeChallengePut(AcmeChallenge),
    /// The authority has looked.
    AcmeChallengeRemoved {
        /// Whose certificate it was for.
        tenant: TenantId,
        /// Which.
        token: String,
    },
    /// A certificate is renewed by ACME. Control does that; it ends with the certificate.
    AcmeRenewalPut(AcmeRenewal),
    /// An operator looks after the certificate from now on.
    AcmeRenewalRemoved {
        /// Which.
        certificate: CertificateId,
    },
    /// A domain was added, or verified. Control looks at it when something is published; it goes with its tenant.
    DomainPut(Domain),
    /// A domain is a tenant's no more.
    DomainRemoved {
        /// Whose.
        tenant: TenantId,
        /// Which.
        name: DomainName,
    },
    /// A change of a newer control that says itself that it may be skipped.
    Skipped {
        /// Its kind, for the log.
        skipped: String,
    },
}

impl Change {
    /// Whose change it is; `None` for relays.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::TenantPut(tenant) => Some(tenant.id),
            Self::TenantRemoved { id } => Some(*id),
            Self::AppPut(app) => Some(app.id.tenant),
            Self::AppRemoved { id } => Some(id.tenant),
            Self::GroupPut(group) => Some(group.id.tenant),
            Self::GroupRemoved { id } => Some(id.tenant),
            Self::ConnectorPut(connector) => Some(connector.id.tenant),
            Self::ConnectorRemoved { id } => Some(id.tenant),
            Self::CertificatePut(certificate) => Some(certificate.id.tenant),
            Self::CertificateRemoved { id } => Some(id.tenant),
            Self::GroupConfigPut { group, .. }
            | Self::GroupConfigRemoved { group }
            | Self::VaultKeyPut { group, .. } => Some(group.tenant),
            Self::CredentialPut(credential) => Some(credential.purpose.app.tenant),
            Self::CredentialRemoved { app, .. } => Some(app.tenant),
            Self::LimitPut(limit) => Some(limit.tenant),
            Self::NetworkPut(network) => Some(network.tenant),
            Self::AssignmentPut(assignment) => Some(assignment.app.tenant),
            Self::AssignmentRemoved { app, .. } => Some(app.tenant),
            Self::ServiceTokenPut(token) => Some(token.id.tenant),
            Self::ServiceTokenRemoved { id } => Some(id.tenant),
            Self::PolicyPut(policy) => Some(policy.tenant()),
            Self::PolicyRemoved { id } => Some(id.tenant),
            Self::DeviceAuthorityPut(authority) => Some(authority.tenant),
            Self::AcmeChallengePut(challenge) => Some(challenge.tenant),
            Self::AcmeRenewalPut(AcmeRenewal { certificate, .. }) | Self::AcmeRenewalRemoved { certificate } => {
                Some(certificate.tenant)
            }
            Self::DomainPut(domain) => Some(domain.tenant),
            Self::LimitRemoved { tenant, .. }
            | Self::NetworkRemoved { tenant, .. }
            | Self::DeviceAuthorityRemoved { tenant, .. }
            | Self::AcmeChallengeRemoved { tenant, .. }
            | Self::DomainRemoved { tenant, .. } => Some(*tenant),
            Self::RelayPut(_)
            | Self::RelayRemoved { .. }
            | Self::IdentityPut(_)
            | Self::IdentityRemoved {}
            | Self::CookieKeysPut { .. }
            | Self::AssertionKeysPut { .. }
            | Self::Skipped { .. } => None,
        }
    }

    /// Whether a reader that does not know this kind of change may go on without it.
    const fn is_optional(&self) -> bool {
        matches!(
            self,
            Self::LimitPut(_)
                | Self::LimitRemoved { .. }
                | Self::NetworkPut(_)
                | Self::NetworkRemoved { .. }
                | Self::AssignmentPut(_)
                | Self::AssignmentRemoved { .. }
                | Self::IdentityPut(_)
                | Self::IdentityRemoved {}
                | Self::CookieKeysPut { .. }
                | Self::AssertionKeysPut { .. }
                | Self::VaultKeyPut { .. }
                | Self::CredentialPut(_)
                | Self::CredentialRemoved { .. }
                | Self::DeviceAuthorityPut(_)
                | Self::DeviceAuthorityRemoved { .. }
                | Self::AcmeChallengePut(_)
                | Self::AcmeChallengeRemoved { .. }
                | Self::AcmeRenewalPut(_)
                | Self::AcmeRenewalRemoved { .. }
                | Self::DomainPut(_)
                | Self::DomainRemoved { .. }
                | Self::Skipped { .. }
        )
    }
}

/// How a delta is written: the change stays a JSON value until its kind is known to be known.
#[derive(Serialize, Deserialize)]
struct Wire {
    version: u64,
    at_unix_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    change: Value,
    /// Set by the writer on changes that an older reader may skip.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
}

impl TryFrom<Wire> for Delta {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let Wire { version, at_unix_ms, tenant, change, optional } = wire;
        let kind = change.get("kind").and_then(Value::as_str).unwrap_or_default();
        let change = if KINDS.contains(&kind) {
            Change::deserialize(&change).map_err(|error| format!("change {version}: {error}"))?
        } else if optional {
            Change::Skipped { skipped: kind.chars().take(64).collect() }
        } else {
            return Err(format!("change {version} is of kind {kind:?}, which this version does not know: upgrade"));
        };
        Ok(Self { version, at_unix_ms, tenant, change })
    }
}

impl From<Delta> for Wire {
    fn from(delta: Delta) -> Self {
        let optional = delta.change.is_optional();
        // A change is plain data with text keys: it always has a JSON form.
        let change = serde_json::to_value(&delta.change).unwrap_or_default();
        Self { version: delta.version, at_unix_ms: delta.at_unix_ms, tenant: delta.tenant, change, optional }
    }
}

/// The kinds this version knows.
const KINDS: &[&str] = &[
    "tenant_put",
    "tenant_removed",
    "app_put",
    "app_removed",
    "group_put",
    "group_removed",
    "connector_put",
    "connector_removed",
    "relay_put",
    "relay_removed",
    "certificate_put",
    "certificate_removed",
    "group_config_put",
    "group_config_removed",
    "limit_put",
    "limit_removed",
    "network_put",
    "network_removed",
    "assignment_put",
    "assignment_removed",
    "service_token_put",
    "service_token_removed",
    "identity_put",
    "identity_removed",
    "cookie_keys_put",
    "policy_put",
    "policy_removed",
    "assertion_keys_put",
    "vault_key_put",
    "credential_put",
    "credential_removed",
    "device_authority_put",
    "device_authority_removed",
    "acme_challenge_put",
    "acme_challenge_removed",
    "acme_renewal_put",
    "acme_renewal_removed",
    "domain_put",
    "domain_removed",
];
