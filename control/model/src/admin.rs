//! The admin API: HTTP/1.1 with JSON bodies over control's Unix socket (default `STATE/admin.sock`).
//!
//! | request | body → answer |
//! |---|---|
//! | `POST /v1/init` | – → [`Initialised`] |
//! | `GET /v1/tenants` · `POST` | – → `List<TenantView>` · [`CreateNamed`] → [`TenantView`] |
//! | `GET /v1/tenants/T` · `DELETE` | – → [`TenantView`] · – → [`Changed`] |
//! | `PUT /v1/tenants/T/app-suffix` · `DELETE` | [`SetAppSuffix`] → [`Changed`] · – → [`Changed`] |
//! | `GET /v1/tenants/T/connector-groups` · `POST` | – → `List<GroupView>` · [`CreateNamed`] → [`GroupView`] |
//! | `GET /v1/tenants/T/connector-groups/G` · `DELETE` | – → [`GroupView`] · – → [`Changed`] |
//! | `POST /v1/tenants/T/connector-groups/G/tokens` | [`CreateToken`] → [`TokenIssued`] |
//! | `GET /v1/tenants/T/connectors` | – → `List<ConnectorView>` |
//! | `GET /v1/tenants/T/connectors/C` · `DELETE` | – → [`ConnectorView`] · – → [`Changed`] |
//! | `GET /v1/tenants/T/apps` · `POST` | – → `List<AppView>` · [`PublishApp`] → [`AppPublished`] |
//! | `GET /v1/tenants/T/apps/A` · `PATCH` · `DELETE` | – → [`AppView`] · [`SetApp`] → [`AppPublished`] · – → [`Changed`] |
//! | `GET /v1/tenants/T/certificates` · `POST` | – → `List<CertificateView>` · [`AddCertificate`] → [`CertificateAdded`] |
//! | `GET /v1/tenants/T/certificates/K` · `PUT` · `DELETE` | – → [`CertificateView`] · [`AddCertificate`] → [`CertificateAdded`] · – → [`Changed`] |
//! | `GET /v1/tenants/T/limits` · `PATCH` | – → `List<LimitView>` · [`SetLimit`] → [`LimitChanged`] |
//! | `DELETE /v1/tenants/T/limits/SCOPE` | – → [`Changed`]; SCOPE as in [`SetLimit::scope`], slashes included |
//! | `GET /v1/tenants/T/limiters` | – → [`LimitersView`] |
//! | `GET /v1/tenants/T/networks` | – → `List<NetworkView>` |
//! | `PUT /v1/tenants/T/networks/N` · `DELETE` | [`SetNetwork`] → [`Changed`] · – → [`Changed`] |
//! | `GET /v1/tenants/T/users[?after=LOGIN][&limit=N][&filter=TEXT]` | – → [`UsersPage`], by login name; TEXT is looked for in login, display name and mail |
//! | `POST /v1/tenants/T/users` | [`CreateUser`] → [`UserChanged`] |
//! | `GET /v1/tenants/T/users/U` · `PATCH` · `DELETE` | – → [`UserDetail`] · [`SetUser`] → [`UserChanged`] · – → [`Changed`] |
//! | `PUT /v1/tenants/T/users/U/password` | [`SetPassword`] → [`UserChanged`] |
//! | `GET /v1/tenants/T/users/U/factors` | [`FactorsView`] |
//! | `DELETE /v1/tenants/T/users/U/factors`, `…/factors/F` | [`Changed`]: all, or one; the user's sessions end |
//! | `GET /v1/tenants/T/user-groups` · `POST` | – → `List<UserGroupView>` · [`CreateUserGroup`] → [`UserGroupChanged`] |
//! | `GET /v1/tenants/T/user-groups/UG` · `PATCH` | – → [`UserGroupDetail`] · [`SetUserGroup`] → [`UserGroupChanged`] |
//! | `DELETE /v1/tenants/T/user-groups/UG[?force=true]` | – → [`Changed`]; `force`: its assignments and nestings go with it |
//! | `PATCH /v1/tenants/T/user-groups/UG/members` | [`ChangeMembers`] → [`UserGroupChanged`] |
//! | `POST /v1/tenants/T/membership-test` | [`TestMembership`] → [`MembershipTested`] |
//! | `GET /v1/tenants/T/assignments[?app=A][&expiring_s=N][&unused_s=N]` | – → `List<AssignmentView>`; `expiring_s`: those that end within so long; `unused_s`, 31 days at least: those that let nobody in for so long |
//! | `PUT /v1/tenants/T/assignments` | [`Assign`] → [`AssignmentChanged`] |
//! | `DELETE /v1/tenants/T/assignments/A/PRINCIPAL` | – → [`Changed`]; PRINCIPAL is `user/U`, `group/UG` or `everyone` |
//! | `GET /v1/tenants/T/access-requests[?all=true]` | – → `List<AccessRequestView>`, the newest first, at most a thousand; those that wait unless all are asked for |
//! | `POST /v1/tenants/T/access-requests/RQ/approve` · `…/deny` | [`DecideAccess`] → [`AccessDecided`] |
//! | `GET /v1/tenants/T/access-reviews[?all=true]` · `POST` | – → `List<AccessReviewView>`, the newest first; those that go on unless all are asked for · [`StartReview`] → [`AccessReviewChanged`] |
//! | `GET /v1/tenants/T/access-reviews/RV` | – → [`AccessReviewDetail`] |
//! | `POST /v1/tenants/T/access-reviews/RV/decide` · `…/finish` | [`DecideReview`] · [`FinishReview`] → [`AccessReviewChanged`] |
//! | `GET /v1/tenants/T/service-tokens` · `POST` | – → `List<ServiceTokenView>` · [`CreateServiceToken`] → [`ServiceTokenIssued`] |
//! | `GET /v1/tenants/T/service-tokens/S` · `PATCH` · `DELETE` | – → [`ServiceTokenView`] · [`SetServiceToken`] → [`ServiceTokenChanged`] · – → [`Changed`] |
//! | `POST /v1/tenants/T/service-tokens/S/rotate` | [`RotateServiceToken`] → [`ServiceTokenIssued`] |
//! | `GET /v1/tenants/T/vault` · `PUT` | – → `List<CredentialView>` · [`PutCredential`] → [`Changed`] |
//! | `POST /v1/tenants/T/vault/sealing` | [`AskSealing`] → [`Sealing`] |
//! | `DELETE /v1/tenants/T/vault/shared/A`, `…/vault/users/A/U` | – → [`Changed`] |
//! | `GET /v1/tenants/T/vault/keys/G` · `PUT` | – → [`VaultKeyView`] · [`SetVaultKey`] → [`Changed`] |
//! | `GET /v1/tenants/T/terms` · `POST` | – → `List<TermsView>` · [`CreateTerms`] → [`TermsChanged`] |
//! | `GET /v1/tenants/T/terms/NAME[?version=N]` · `PATCH` · `DELETE` | – → [`TermsView`] · [`UpdateTerms`] → [`TermsChanged`] · – → [`Changed`] |
//! | `GET /v1/tenants/T/terms/NAME/acceptances[?after=N]` | – → [`AcceptancesPage`], a thousand at once |
//! | `GET /v1/tenants/T/clients` · `POST` | – → `List<ClientView>` · [`AddClient`] → [`ClientChanged`] |
//! | `GET /v1/tenants/T/clients/OC` · `PATCH` · `DELETE` | – → [`ClientView`] · [`SetClient`] → [`ClientChanged`] · – → [`Changed`] |
//! | `POST /v1/tenants/T/clients/OC/rotate` | – → [`ClientChanged`] |
//! | `GET /v1/tenants/T/histograms[?app=A]` | – → [`crate::question::HistogramsView`] |
//! | `GET /v1/tenants/T/requests/ID` | – → [`crate::question::RequestView`] |
//! | `GET /v1/tenants/T/document` | – → [`crate::document::Document`] |
//! | `POST /v1/tenants/T/apply` | [`crate::document::Apply`] → [`crate::document::Applied`] |
//! | `GET /v1/tenants/T/sessions[?user=U]` | – → `List<SessionView>`, those that began last first, at most a thousand |
//! | `POST /v1/tenants/T/sessions/revoke` | [`RevokeSessions`] → [`SessionsEnded`] |
//! | `GET /v1/identity` · `PUT` · `DELETE` | – → [`IdentityView`] · [`PublishIdentity`] → [`IdentityPublished`] · – → [`Changed`] |
//! | `PUT /v1/identity/device-host` · `DELETE` | [`SetDeviceHost`] → [`IdentityPublished`] · – → [`Changed`] |
//! | `GET /v1/tenants/T/devices[?owner=U][&approval=A][&after=N]` | – → [`DevicesPage`], by their numbers; without `approval` all but those that were removed |
//! | `GET /v1/tenants/T/devices/D` · `PATCH` · `DELETE` | – → [`DeviceView`] · [`SetDevice`] → [`DeviceChanged`] · – → [`DeviceChanged`] |
//! | `POST /v1/tenants/T/devices/D/approve` · `…/block` | – → [`DeviceChanged`] |
//! | `GET /v1/tenants/T/device-settings` · `PATCH` | – → [`crate::device::DeviceSettings`] · [`SetDeviceSettings`] → [`crate::device::DeviceSettings`] |
//! | `GET /v1/tenants/T/device-authorities` · `POST` | – → `List<DeviceAuthorityView>` · [`AddDeviceAuthority`] → [`Changed`] |
//! | `DELETE /v1/tenants/T/device-authorities/NAME` | – → [`Changed`] |
//! | `POST /v1/tenants/T/certificates/order` · `POST …/certificates/K/renew` | [`RequestCertificate`] · – → [`CertificateAdded`], once the authority has issued it |
//! | `GET /v1/tenants/T/acme` · `PUT` · `DELETE` | – → [`AcmeView`] · [`SetAcme`] → [`AcmeView`] · – → [`Changed`] |
//! | `GET /v1/tenants/T/domains` · `POST` | – → `List<DomainView>` · [`AddDomain`] → [`DomainChanged`] |
//! | `DELETE /v1/tenants/T/domains/D` · `POST …/domains/D/verify` | – → [`Changed`] · – → [`DomainChanged`] |
//! | `GET /v1/relays` · `POST` | – → `List<RelayView>` · [`AddRelay`] → [`RelayView`] |
//! | `GET /v1/relays/R` · `DELETE` | – → [`RelayView`] · – → [`Changed`] |
//! | `GET /v1/status` | – → [`Status`] |
//! | `GET /v1/ready` | – → [`Ready`], 200 or 503 |
//! | `GET /v1/audit[?tenant=T][&actor=TEXT][&action=ACTION][&target=TEXT]` | – → `LogPage<AuditRecord>`; TEXT may stand anywhere in it; and what is said of pages below |
//! | `GET /v1/sign-ins[?tenant=T][&user=U][&app=A][&result=R][&session=ID][&request=ID]` | – → `LogPage<SignInRecord>`; R is a result or a code; U and A need `tenant` where they are names |
//! | `GET /v1/audit/verify[?expect=SEQ:HASH]` · `GET /v1/sign-ins/verify[…]` | – → [`Verified`] |
//! | `GET /v1/audit/head` | – → [`LogHeads`] |
//! | `POST /v1/link` | upgrade to [`crate::link`], for relays |
//!
//! T, G, A, C, K, R, S, U and UG are names or ids, percent-encoded (connectors, certificates and devices have ids only). Errors are [`Problem`] with `application/problem+json`.
//! Pages of the two logs take `since` and `until` (milliseconds since 1970), `limit`, and `before=SEQ` (newest first, the default) or `after=SEQ`
//! (oldest first). A daemon started on an empty state directory initialises itself; `POST /v1/init` is idempotent and says what there is.

mod access;
mod access_request;
mod access_review;
mod acme;
mod audit;
mod certificate;
mod client;
mod device;
mod directory;
mod directory_sync;
mod identity;
mod limits;
mod logged;
pub mod path;
mod policy;
mod provider;
mod saml;
mod scim;
mod tenant;
mod terms;
mod vault;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::Preauth;
use crate::ids::{AppId, ConnectorId, GroupId, Name, RelayId, TenantId};
use crate::link::RelayStatus;
use crate::secret::SecretText;

pub use access::{
    CreateServiceToken, RotateServiceToken, SERVICE_TOKEN_TTL_S_DEFAULT, SERVICE_TOKEN_TTL_S_MAX, ServiceTokenChanged,
    ServiceTokenIssued, ServiceTokenView, SetServiceToken, Validity,
};
pub use access_request::{AccessDecided, AccessRequestView, DecideAccess, DecisionView, JUSTIFICATION_BYTES_MAX};
pub use access_review::{
    AccessReviewChanged, AccessReviewDetail, AccessReviewView, DecideReview, FinishReview, ReviewItemView, StartReview,
};
pub use acme::{AcmeView, AddDomain, DomainChanged, DomainView, RenewalView, RequestCertificate, SetAcme};
pub use audit::{
    AUDIT_LIMIT_DEFAULT, AUDIT_LIMIT_MAX, AuditRecord, ExportLine, LogHeads, LogPage, PolicyApplied, SignInRecord,
    SignInResult, Verified,
};
pub use certificate::{AddCertificate, CertificateAdded, CertificateView};
pub use client::{AddClient, ClientChanged, ClientView, SetClient};
pub use device::{
    AddDeviceAuthority, DeviceAuthorityView, DeviceChanged, DeviceView, DevicesPage, SetDevice, SetDeviceHost,
    SetDeviceSettings,
};
pub use directory::{
    Assign, AssignmentChanged, AssignmentView, ChangeMembers, CreateUser, CreateUserGroup, GroupOfUser,
    MEMBERS_SHOWN_MAX, Members, MembershipTested, SetPassword, SetUser, SetUserGroup, TestMembership,
    USERS_LIMIT_DEFAULT, USERS_LIMIT_MAX, UserChanged, UserDetail, UserGroupChanged, UserGroupDetail, UserGroupView,
    UsersPage,
};
pub use directory_sync::{AddSource, LastPass, RunAsked, RunSource, SetSource, SourceChanged, SourceView};
pub use identity::{
    FactorsView, IdentityPublished, IdentityView, PublishIdentity, RevokeSessions, SessionView, SessionsEnded,
};
pub use limits::{LimitChanged, LimitView, LimitersView, NetworkView, SetLimit, SetNetwork};
pub use logged::{AccessExplained, REPLAYED_MAX, Replay, Replayed, ReplayedRequest};
pub use policy::{CreatePolicy, PolicyChanged, PolicyView, SetPolicy, WhatIf, WhatIfAnswer};
pub use provider::{AddProvider, LinkUser, ProviderChanged, ProviderProbe, ProviderView, SetProvider};
pub use saml::{RotateSaml, SamlKeyView, SamlView};
pub use scim::{EnableScim, RotateScim, ScimIssued, ScimView};
pub use tenant::SetAppSuffix;
pub use terms::{AcceptanceView, AcceptancesPage, CreateTerms, TermsChanged, TermsView, UpdateTerms};
pub use vault::{AskSealing, CredentialView, PutCredential, Sealing, SetVaultKey, VaultKeyView};

/// An error, RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// Stable, what `postern explain CODE` knows: `app-url-conflict`.
    pub code: String,
    /// What kind of problem, short.
    pub title: String,
    /// What exactly, and what to do: one line.
    pub detail: String,
    /// The HTTP status.
    pub status: u16,
    /// Which part of what was asked for it is about, where that is known; from `apply` as the document's keys:
    /// `app.wiki`, `app.wiki.settings.backend_http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl Problem {
    /// Says which part it is about; what was said already is a part of that one.
    #[must_use]
    pub fn about(mut self, part: impl Into<String>) -> Self {
        let part = part.into();
        self.pointer = Some(match self.pointer {
            Some(inner) => format!("{part}.{inner}"),
            None => part,
        });
        self
    }
}

/// A list, so that paging can be added to each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
}

/// Something was changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Version of the log that holds the change.
    pub version: u64,
    /// What an operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What `init` found or made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Initialised {
    /// The state directory.
    pub state_dir: String,
    /// Trust anchor for relays (`--trust-anchor`): the control CA's certificate.
    pub ca_file: String,
    /// SHA-256 of that certificate (DER), hex.
    pub ca_sha256: String,
    /// Certificate of the CA that signs applications published without a certificate: for users' browsers, if wanted.
    pub web_ca_file: String,
    /// SHA-256 of that certificate (DER), hex.
    pub web_ca_sha256: String,
    /// The tenant made.
    pub tenant: Name,
    /// The connector group made.
    pub group: Name,
    /// When it was initialised.
    pub initialised_unix_ms: u64,
    /// Whether this very daemon made it at its start.
    pub fresh: bool,
}

/// Makes a tenant or a connector group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateNamed {
    /// Its name.
    pub name: Name,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantView {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: Name,
    /// Published applications.
    pub apps: u32,
    /// Connector groups.
    pub groups: u32,
    /// Enrolled connectors.
    pub connectors: u32,
    /// Users of its directory.
    #[serde(default)]
    pub users: u32,
    /// Its applications are at `NAME.SUFFIX`, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_suffix: Option<String>,
}

/// A connector group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Its id.
    pub id: GroupId,
    /// Its name.
    pub name: Name,
    /// Names of its applications.
    pub apps: Vec<Name>,
    /// Enrolled connectors.
    pub connectors: u32,
    /// Those online at some relay.
    pub connectors_online: u32,
    /// Tokens neither used nor expired.
    pub tokens_open: u32,
}

/// Makes an enrolment token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Validity; [`TOKEN_TTL_S_DEFAULT`] unless given, at most [`TOKEN_TTL_S_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
}

/// An enrolment token. Shown once, never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// Names it in the audit log.
    pub id: String,
    /// The text for the connector's `--token-file`.
    pub token: SecretText,
    /// The group.
    pub group: Name,
    /// End of validity, seconds.
    pub expires_unix: u64,
}

/// A connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorView {
    /// Its id.
    pub id: ConnectorId,
    /// Its group's name.
    pub group: Name,
    /// Online at one relay or more: a probe went through its tunnel and came back.
    pub online: bool,
    /// Since when that is so; 0 when no relay reported it.
    pub since_unix_ms: u64,
    /// Program and version, as it said last; empty when no relay reported it.
    pub software: String,
    /// When it enrolled.
    pub enrolled_unix_ms: u64,
    /// SHA-256 of its key's SubjectPublicKeyInfo, hex.
    pub key_sha256: String,
    /// Its tunnels by relay.
    pub relays: Vec<ConnectorAtRelay>,
}

/// A connector at one relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorAtRelay {
    /// The relay's name.
    pub relay: Name,
    /// Whether it is online there.
    pub online: bool,
    /// Tunnels open.
    pub tunnels: u32,
    /// Last probe's round trip.
    pub rtt_us: u32,
}

/// Publishes an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishApp {
    /// Its name, unique in the tenant.
    pub name: Name,
    /// `https://HOST[:PORT][/PATH/]`; HOST may begin with `*.`.
    pub external_url: String,
    /// `http://` or `https://`.
    pub internal_url: String,
    /// No default.
    pub preauth: Preauth,
    /// Connector group, name or id; `default` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Certificate chain (`--cert`), PEM, in any order; together with `key_pem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// Its key (`--key`), PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pem: Option<SecretText>,
    /// `--set k=v`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

/// Changes an application; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetApp {
    /// New external URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// New internal URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_url: Option<String>,
    /// New pre-authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preauth: Option<Preauth>,
    /// New connector group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// New certificate chain, together with `key_pem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pem: Option<SecretText>,
    /// Settings to set; `null` returns one to its default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Option<String>>,
}

/// An application after it was published or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppPublished {
    /// The application.
    pub app: AppView,
    /// Version of the log that holds the change.
    pub version: u64,
    /// What an operator should know: a plain-http backend, no connector online.
    pub warnings: Vec<String>,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppView {
    /// Its id.
    pub id: AppId,
    /// Its name.
    pub name: Name,
    /// What users open.
    pub external_url: String,
    /// What connectors open.
    pub internal_url: String,
    /// `NAME.SUFFIX`, what names of the operator's own are to be aliases (CNAME) of. None without a suffix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cname_target: Option<String>,
    /// What is asked before.
    pub preauth: Preauth,
    /// Its connector group's name.
    pub group: Name,
    /// Connectors of that group online.
    pub connectors_online: u32,
    /// The certificate shown for its host.
    pub certificate: CertificateView,
    /// Settings other than their defaults.
    pub settings: BTreeMap<String, String>,
    /// Requests that came from corporate networks since the relays' start, where `corporate_network` asks to count them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub corporate_requests: BTreeMap<String, u64>,
}

/// Adds a relay for control to dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddRelay {
    /// Its name, unique.
    pub name: Name,
    /// `HOST:PORT`.
    pub address: String,
    /// SHA-256 of its key's SubjectPublicKeyInfo, hex, as its log says at start; without it the first key seen is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// A relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayView {
    /// Its id.
    pub id: RelayId,
    /// Its name.
    pub name: Name,
    /// What control dials; `None` for one that comes to the Unix socket.
    pub address: Option<String>,
    /// SHA-256 of its key's SubjectPublicKeyInfo, hex; `None` until first seen.
    pub fingerprint: Option<String>,
    /// How that key came to be trusted.
    pub pinned: Pinned,
    /// Whether the link is up now.
    pub connected: bool,
    /// Since when that is so.
    pub since_unix_ms: u64,
    /// Program and version; empty until first linked.
    pub software: String,
    /// Last report, if there is one since control started.
    pub status: Option<RelayStatus>,
    /// Why the link is down or the last version was refused.
    pub problem: Option<String>,
}

/// How a relay's key came to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pinned {
    /// Not seen and not given yet.
    No,
    /// Given with `--fingerprint`.
    Given,
    /// Taken at the first connection.
    FirstUse,
    /// It came through the Unix socket with an allowed uid.
    Socket,
}

/// The whole at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Program and version.
    pub software: String,
    /// Version of the log.
    pub version: u64,
    /// When the daemon started.
    pub started_unix_ms: u64,
    /// Where the state is: `sqlite:/var/lib/…`.
    pub store: String,
    /// Tenants.
    pub tenants: u32,
    /// Published applications.
    pub apps: u32,
    /// Connector groups.
    pub groups: u32,
    /// Enrolled connectors.
    pub connectors: u32,
    /// Those online at some relay.
    pub connectors_online: u32,
    /// Relays.
    pub relays: Vec<RelayView>,
    /// What an operator should know: a relay behind, a clock that is off, a certificate near its end.
    pub warnings: Vec<String>,
    /// Groups with applications of which exactly one connector is online; those of other tenants than the first with their tenant's
    /// name in front.
    #[serde(default)]
    pub groups_on_one_connector: Vec<String>,
}

/// Whether requests can be served now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Every relay is linked and serves the last version, and every group with applications has a connector online.
    pub ready: bool,
    /// What is missing.
    pub missing: Vec<String>,
}

/// Name of the socket in the state directory.
pub const SOCKET_NAME: &str = "admin.sock";
/// Largest request body: a certificate chain, its key and a backend CA.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
/// One hour.
pub const TOKEN_TTL_S_DEFAULT: u64 = 3_600;
/// Thirty days.
pub const TOKEN_TTL_S_MAX: u64 = 30 * 86_400;
