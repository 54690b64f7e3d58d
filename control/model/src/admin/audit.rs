//! The audit log and the sign-in log as control shows them: records, pages, and what `verify` found. A record's JSON form is
//! the export's line.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::chain::{Broken, ChainHash, Chained, Encoder, LogKind, Mark};
use crate::ids::{AppId, Name, RequestId, SessionId, TenantId, UserId};
use crate::session::AuthMethod;

/// One change, as the audit log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Number of the record.
    pub seq: u64,
    /// When.
    pub at_unix_ms: u64,
    /// Who: `uid 1000 (alice)`, `connector c1-3`, `control`.
    pub actor: String,
    /// What: `app.publish`.
    pub action: String,
    /// Whose; `None` for relays.
    pub tenant: Option<TenantId>,
    /// Which: `app crm (a1-7)`.
    pub target: String,
    /// What it was, short; without secrets.
    pub before: Option<String>,
    /// What it is now.
    pub after: Option<String>,
    /// Version of the log that holds the change; `None` when relays do not see it.
    pub version: Option<u64>,
    /// The hash of the record before.
    pub previous: ChainHash,
    /// SHA-256 of `previous` and the fields above: see [`crate::chain`].
    pub hash: ChainHash,
}

impl Chained for AuditRecord {
    const LOG: LogKind = LogKind::Audit;

    fn seq(&self) -> u64 {
        self.seq
    }

    fn place(&mut self, seq: u64, previous: ChainHash, hash: ChainHash) {
        (self.seq, self.previous, self.hash) = (seq, previous, hash);
    }

    fn previous(&self) -> ChainHash {
        self.previous
    }

    fn hash(&self) -> ChainHash {
        self.hash
    }

    fn encode(&self, encoder: &mut Encoder) {
        let Self { seq, at_unix_ms, actor, action, tenant, target, before, after, version, previous: _, hash: _ } =
            self;
        encoder.number(*seq);
        encoder.number(*at_unix_ms);
        encoder.text(actor);
        encoder.text(action);
        encoder.number_or_absent(tenant.map(|tenant| tenant.0.into()));
        encoder.text(target);
        encoder.text_or_absent(before.as_deref());
        encoder.text_or_absent(after.as_deref());
        encoder.number_or_absent(*version);
    }
}

/// One sign-in or attempt, as the sign-in log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInRecord {
    /// Number of the record.
    pub seq: u64,
    /// When.
    pub at_unix_ms: u64,
    /// At which tenant.
    pub tenant: TenantId,
    /// Who; `None` for a login that nobody has.
    pub user: Option<UserId>,
    /// What was typed or what an identity provider said.
    pub login: String,
    /// For which application; `None` where it was for none, as for the portal.
    pub app: Option<AppId>,
    /// What it was called then.
    pub app_name: Option<Name>,
    /// How it ended.
    pub result: SignInResult,
    /// Why, where it did not succeed: a stable code.
    pub code: Option<String>,
    /// What was proven and how.
    pub methods: BTreeSet<AuthMethod>,
    /// Which identity provider said so; `None`: the embedded directory.
    pub provider: Option<Name>,
    /// From which address.
    pub source: Option<IpAddr>,
    /// What the browser calls itself, cut.
    pub user_agent: Option<String>,
    /// ISO 3166-1 code of the country, where known.
    pub country: Option<String>,
    /// Number of the autonomous system, where known.
    pub asn: Option<u32>,
    /// On which device, where known.
    pub device: Option<String>,
    /// What it was then: `compliant`, `registered`.
    pub device_state: Option<String>,
    /// Policies that were looked at, and what each said.
    pub policies: Vec<PolicyApplied>,
    /// The session that began, or went on.
    pub session: Option<SessionId>,
    /// The request, as `postern explain` knows it.
    pub request: Option<RequestId>,
    /// The hash of the record before.
    pub previous: ChainHash,
    /// SHA-256 of `previous` and the fields above: see [`crate::chain`].
    pub hash: ChainHash,
}

/// How a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignInResult {
    /// Let in.
    Success,
    /// Not let in.
    Failure,
    /// Something more is asked for: another factor, terms, a device.
    Interrupted,
}

impl SignInResult {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A policy that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyApplied {
    /// What it was called then.
    pub policy: String,
    /// What it said: `allow`, `block`, `needs mfa`; of one that only reports `report-only: needs mfa`.
    pub outcome: String,
}

impl Chained for SignInRecord {
    const LOG: LogKind = LogKind::SignIn;

    fn seq(&self) -> u64 {
        self.seq
    }

    fn place(&mut self, seq: u64, previous: ChainHash, hash: ChainHash) {
        (self.seq, self.previous, self.hash) = (seq, previous, hash);
    }

    fn previous(&self) -> ChainHash {
        self.previous
    }

    fn hash(&self) -> ChainHash {
        self.hash
    }

    fn encode(&self, encoder: &mut Encoder) {
        encoder.number(self.seq);
        encoder.number(self.at_unix_ms);
        encoder.number(self.tenant.0.into());
        encoder.text_or_absent(self.user.map(|user| user.to_string()).as_deref());
        encoder.text(&self.login);
        encoder.text_or_absent(self.app.map(|app| app.to_string()).as_deref());
        encoder.text_or_absent(self.app_name.as_ref().map(Name::as_str));
        encoder.text(self.result.as_str());
        encoder.text_or_absent(self.code.as_deref());
        encoder.list(self.methods.len());
        self.methods.iter().for_each(|method| encoder.text(method.as_str()));
        encoder.text_or_absent(self.provider.as_ref().map(Name::as_str));
        encoder.text_or_absent(self.source.map(|source| source.to_string()).as_deref());
        encoder.text_or_absent(self.user_agent.as_deref());
        encoder.text_or_absent(self.country.as_deref());
        encoder.number_or_absent(self.asn.map(u64::from));
        encoder.text_or_absent(self.device.as_deref());
        encoder.text_or_absent(self.device_state.as_deref());
        encoder.list(self.policies.len());
        for PolicyApplied { policy, outcome } in &self.policies {
            encoder.text(policy);
            encoder.text(outcome);
        }
        encoder.text_or_absent(self.session.map(|session| session.to_string()).as_deref());
        encoder.text_or_absent(self.request.map(|request| request.to_string()).as_deref());
    }
}

/// A page of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPage<T> {
    /// The records, in the order that was asked for. There may be fewer than the limit, or none, with more to come.
    pub items: Vec<T>,
    /// What to give as `before` or `after` for the next page; `None` when there is nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportLine<T> {
    /// Which log.
    pub log: LogKind,
    /// How hashes are taken: [`crate::chain::ENCODING`].
    pub encoding: u8,
    /// The record.
    #[serde(flatten)]
    pub record: T,
}

/// Where both logs end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHeads {
    /// The audit log's last record.
    pub audit: Mark,
    /// The sign-in log's last record.
    pub sign_in: Mark,
}

/// What a look at a whole log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Which log.
    pub log: LogKind,
    /// Whether every record is there, in its place, as it was written, and what was expected is among them.
    pub intact: bool,
    /// Records that were found whole, up to the first that is not.
    pub records: u64,
    /// What the first one follows: the last record that retention removed, or the beginning.
    pub base: Mark,
    /// The last whole one.
    pub head: Mark,
    /// What is wrong first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// Records in a page unless `limit` says otherwise.
pub const AUDIT_LIMIT_DEFAULT: u32 = 100;
/// Most records in a page.
pub const AUDIT_LIMIT_MAX: u32 = 1_000;
