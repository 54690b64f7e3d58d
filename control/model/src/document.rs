//! Configuration as code: what one tenant, and the relays, shall be. The CLI reads it from TOML and writes it as TOML;
//! control makes it so as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::config::Preauth;
use crate::device::DeviceSettings;
use crate::directory::{
    AttributeName, DESCRIPTION_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, Line, LoginName, MailAddress, Rule, VALUE_BYTES_MAX,
};
use crate::external::ProviderSettings;
use crate::ids::{Name, TenantId};
use crate::limit::{Allowance, Limit, LimitScope};
use crate::negotiate::KerberosSignIn;
use crate::oauth::ClientSettings;
use crate::policy::PolicyEntry;
use crate::prefix::IpPrefix;
use crate::secret::SecretText;
use crate::terms::{TERMS_TITLE_BYTES_MAX, TermsFormat, TermsText};

/// A tenant's configuration. What is in it is made exactly so; what is not stays as it is, unless it is pruned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Connector groups.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub connector_groups: BTreeSet<Name>,
    /// Relays that control dials. They serve every tenant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relays: BTreeMap<Name, RelayEntry>,
    /// Certificates that operators gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateEntry>,
    /// Applications.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub apps: BTreeMap<Name, AppEntry>,
    /// Limits that are set, by scope as people write it: `app/wiki`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, LimitEntry>,
    /// Corporate networks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<Name, Vec<IpPrefix>>,
    /// Lists of anonymisers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub anonymisers: BTreeMap<Name, Vec<IpPrefix>>,
    /// Whose Kerberos tickets sign users in, and where they are asked for; absent, it is as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kerberos: Option<KerberosSignIn>,
    /// Terms of use, as they are shown to whoever is asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<Name, TermsEntry>,
    /// Users, at most [`DOCUMENT_USERS_MAX`]; without passwords, which stay as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<LoginName, UserEntry>,
    /// Groups of users.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user_groups: BTreeMap<Name, UserGroupEntry>,
    /// External OpenID providers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<Name, ProviderEntry>,
    /// Clients of the OpenID provider; without secrets, which stay as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clients: BTreeMap<Name, ClientSettings>,
    /// Who is assigned to which application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assignments: Vec<AssignmentEntry>,
    /// Conditional access policies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<Name, PolicyEntry>,
    /// Authorities for devices that operators named; not the tenant's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub device_authorities: BTreeMap<Name, DeviceAuthorityEntry>,
    /// How users enrol devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_enrolment: Option<DeviceSettings>,
}

/// An authority whose certificates count for devices. Its certificate is no secret: it is exported whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceAuthorityEntry {
    /// The certificate that devices' certificates are signed with, PEM.
    pub certificate_pem: String,
    /// Whether its devices comply unless an operator says otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compliant: bool,
}

/// Terms of use. Another title or text is another version, which whoever accepted an earlier one that counts is not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsEntry {
    /// What users call them.
    pub title: Line<TERMS_TITLE_BYTES_MAX>,
    /// What they say.
    pub text: TermsText,
    /// How that is shown.
    #[serde(default)]
    pub format: TermsFormat,
    /// They are to be accepted again after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_s: Option<u32>,
}

/// A relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayEntry {
    /// `HOST:PORT` that control dials.
    pub address: String,
    /// SHA-256 of its key, hex; without it the key that is known, or the first seen, is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// A certificate: its files' content, or the fingerprint of one that control has already, for keys are never exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateEntry {
    /// SHA-256 of the leaf (DER), hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its names, for the reader.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Chain, PEM, leaf first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// Its key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pem: Option<SecretText>,
}

/// An application: settings that are absent are at their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppEntry {
    /// What users open.
    pub external_url: String,
    /// What connectors open.
    pub internal_url: String,
    /// What is asked before.
    pub preauth: Preauth,
    /// Its connector group; `default` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Name>,
    /// A certificate of its own: chain, PEM, leaf first. Without one, it shows one that covers its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// Its key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pem: Option<SecretText>,
    /// Settings other than their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

/// A limit: bounds that are absent are at their defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitEntry {
    /// Requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rps: Option<Allowance>,
    /// Requests let through at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// Requests in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conns: Option<Allowance>,
    /// Bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bps: Option<Allowance>,
}

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    /// What people call them.
    #[serde(default)]
    pub display_name: Line<DISPLAY_NAME_BYTES_MAX>,
    /// Where they get mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailAddress>,
    /// What rules ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttributeName, Line<VALUE_BYTES_MAX>>,
    /// Whether they do not belong to the organisation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
    /// When a guest's time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix: Option<u64>,
    /// Whether they may not sign in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

/// A group of users. Owners and members that are absent stay as they are, so that a file can leave them to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserGroupEntry {
    /// What it is for.
    #[serde(default)]
    pub description: Line<DESCRIPTION_BYTES_MAX>,
    /// Whoever this is true of is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<BTreeSet<LoginName>>,
    /// Who was put into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<BTreeSet<LoginName>>,
    /// What is nested in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<BTreeSet<Name>>,
}

/// An external OpenID provider. A secret that is absent stays as it is, for none is ever exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderEntry {
    /// Everything but secret and groups.
    pub settings: ProviderSettings,
    /// What proves to it that we are its client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretText>,
    /// By the provider's name for it, the group that its claim fills.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Name>,
}

/// An assignment: one of user, group and everyone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignmentEntry {
    /// The application.
    pub app: Name,
    /// A user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<LoginName>,
    /// A group of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Name>,
    /// Every user of the tenant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    /// What the application is told they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix: Option<u64>,
}

/// `POST /v1/tenants/T/apply`: makes a document so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// What shall be.
    pub document: Document,
    /// Whether what is absent is removed: the tenant's applications, connector groups (but `default`), limits, networks, given
    /// certificates, user groups and assignments; and, if the document names any, relays that control dials, users, external
    /// providers, clients, lists of anonymisers, terms of use, policies, and authorities for devices.
    #[serde(default)]
    pub prune: bool,
    /// Whether a tenant that does not exist is made; without it, it is not found: names are mistyped more often than made.
    #[serde(default)]
    pub create_tenant: bool,
    /// Only tell what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether a policy may lock everybody out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// What was, or would be, changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// One for each object that changes, in the order of the changes; none when all is so already.
    pub changes: Vec<ChangeView>,
    /// Whether this was only asked.
    pub dry_run: bool,
    /// Version of the log that holds the changes; the present one when nothing was changed.
    pub version: u64,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// One object's change, as the audit log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// What: `app.publish`.
    pub action: String,
    /// Which: `app crm (a1-7)`.
    pub target: String,
    /// What it is now.
    pub before: Option<String>,
    /// What it becomes.
    pub after: Option<String>,
}

impl LimitEntry {
    /// The limit of a scope.
    #[must_use]
    pub fn limit(&self, tenant: TenantId, scope: LimitScope) -> Limit {
        let Self { rps, burst, conns, bps } = *self;
        Limit { tenant, scope, rps, burst, conns, bps }
    }
}

impl From<&Limit> for LimitEntry {
    fn from(limit: &Limit) -> Self {
        Self { rps: limit.rps, burst: limit.burst, conns: limit.conns, bps: limit.bps }
    }
}

/// Largest document: 5,000 applications at 1 KiB, certificates, and users.
pub const APPLY_BYTES_MAX: usize = 16 << 20;
/// Users of a document: at about 300 bytes each 6 MB of it, and with what the audit log says of each 15 MB of control's memory.
pub const DOCUMENT_USERS_MAX: usize = 20_000;
