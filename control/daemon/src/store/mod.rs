//! Where the state lives. One contract, one conformance suite; an acknowledged commit survives the process's end at any moment.

#[cfg(test)]
mod conformance;
mod devices;
mod directory;
pub(crate) mod factors;
mod kerberos;
mod oauth;
mod providers;
pub(crate) mod records;
mod requests;
mod reviews;
mod scim;
mod sessions;
pub(crate) mod sign_in;
mod sqlite;
mod sync;
mod terms;
mod uses;

use postern_model::admin::Pinned;
use postern_model::ids::{GroupId, RelayId, TenantId};
use postern_model::{Delta, Snapshot};

pub(crate) use devices::{DeviceChange, DeviceQuery, Devices};
pub(crate) use directory::{Directory, DirectoryChange, GroupSize, Part, UserQuery};
pub(crate) use factors::{FactorChange, Factors};
pub(crate) use kerberos::Kerberos;
pub(crate) use oauth::{ClientChange, Clients, StoredClient, StoredGrant};
pub(crate) use providers::{ProviderChange, ProviderSession, Providers, StoredProvider};
pub(crate) use records::{Cut, Records};
pub(crate) use requests::{AccessRequest, Decision, RequestChange, RequestQuery, Requests};
pub(crate) use reviews::{Counted, Review, ReviewChange, Reviews};
pub(crate) use scim::{Marks, ScimRows, ScimToken};
pub(crate) use sessions::{SessionChange, Sessions, StoredSession};
pub(crate) use sign_in::SignIn;
pub(crate) use sqlite::SqliteStore;
pub(crate) use sync::{StoredSource, SyncChange, SyncRows, SyncState};
pub(crate) use terms::{StoredTerms, Terms, TermsChange, TermsVersion};
pub(crate) use uses::{Used, Uses};

/// A place for the state. Every method is whole or without effect.
pub(crate) trait Store:
    Clients + Directory + Kerberos + Providers + Records + Requests + Reviews + ScimRows + Sessions + SyncRows + Uses
{
    /// The state as of the last commit; `None` when nothing was ever committed.
    fn load(&mut self) -> Result<Option<Loaded>, StoreError>;

    /// Writes deltas, everything beside them and the audit record in one transaction. Durable when it returns.
    /// Gives the bytes that the log grew by. What is staged is committed with it, and forgotten if that fails.
    fn commit(&mut self, commit: &Commit) -> Result<u64, StoreError>;

    /// Opens a stage: what is staged from now on is seen by questions and nowhere else, until a commit or [`Store::forget`].
    fn begin(&mut self) -> Result<(), StoreError>;

    /// Stages changes to the directory, then to providers.
    fn stage(&mut self, changes: &[DirectoryChange], providers: &[ProviderChange]) -> Result<(), StoreError>;

    /// Drops the stage, if one is open.
    fn forget(&mut self) -> Result<(), StoreError>;

    /// At most `limit` deltas after `version`, none when the log ends there; `None` when it no longer reaches back that far.
    fn deltas_after(&mut self, version: u64, limit: u32) -> Result<Option<Vec<Delta>>, StoreError>;

    /// The last number given out under a name, 0 when none was: an id is never used twice.
    fn counter(&mut self, name: &str) -> Result<u32, StoreError>;

    /// Makes `snapshot` the checkpoint and drops deltas before `keep_after`.
    fn checkpoint(&mut self, snapshot: &Snapshot, keep_after: u64) -> Result<(), StoreError>;

    /// A token by its id.
    fn token(&mut self, id: &str) -> Result<Option<TokenRecord>, StoreError>;

    /// Tokens of a group that are neither used nor expired.
    fn tokens_open(&mut self, group: GroupId, now_unix: u64) -> Result<u32, StoreError>;

    /// The keys that relays are known by.
    fn pins(&mut self) -> Result<Vec<(RelayId, Pin)>, StoreError>;

    /// What is shown as `store` in the status.
    fn describe(&self) -> String;

    /// How large the state is, where that can be said cheaply.
    fn bytes(&self) -> Option<u64>;
}

/// What is there at start.
pub(crate) struct Loaded {
    pub(crate) snapshot: Snapshot,
    pub(crate) initialised_unix_ms: u64,
    /// Bytes of the log since the checkpoint.
    pub(crate) log_bytes: u64,
}

/// One change: all of it is written, or nothing.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    pub(crate) deltas: Vec<Delta>,
    /// Last numbers given out: see [`Store::counter`].
    pub(crate) counters: Vec<(String, u32)>,
    pub(crate) tokens: Vec<TokenRecord>,
    /// Groups whose tokens go.
    pub(crate) tokens_removed: Vec<GroupId>,
    pub(crate) pins: Vec<(RelayId, Option<Pin>)>,
    pub(crate) directory: Vec<DirectoryChange>,
    pub(crate) providers: Vec<ProviderChange>,
    pub(crate) sessions: Vec<SessionChange>,
    pub(crate) clients: Vec<ClientChange>,
    pub(crate) factors: Vec<FactorChange>,
    pub(crate) requests: Vec<RequestChange>,
    pub(crate) used: Vec<Used>,
    pub(crate) reviews: Vec<ReviewChange>,
    pub(crate) audit: Vec<AuditEntry>,
    pub(crate) sign_ins: Vec<SignIn>,
    /// Logs whose oldest records are no longer kept.
    pub(crate) cuts: Vec<Cut>,
    pub(crate) at_unix_ms: u64,
}

/// An enrolment token as control keeps it: never its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRecord {
    pub(crate) id: String,
    /// SHA-256 of the secret.
    pub(crate) key: [u8; 32],
    pub(crate) group: GroupId,
    pub(crate) expires_unix: u64,
    /// The connector that used it and the SHA-256 of its key.
    pub(crate) used: Option<(postern_model::ids::ConnectorId, String)>,
}

/// The key a relay is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    /// SHA-256 of its SubjectPublicKeyInfo, hex.
    pub(crate) key_sha256: String,
    pub(crate) how: Pinned,
}

/// An audit record before it has a number and a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditEntry {
    pub(crate) actor: String,
    pub(crate) action: &'static str,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) target: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) version: Option<u64>,
}

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite says no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored cannot be read as what it should be.
    #[error("the stored state is damaged: {0}")]
    Damaged(String),
    /// Of what is good once, and came a second time.
    #[error("{0} was used already, or is not there")]
    Used(String),
    /// Written by a later version.
    #[error("the store has schema {found}, this version knows {known}: use a newer postern-control")]
    Newer {
        /// What is stored.
        found: i64,
        /// What this version writes.
        known: i64,
    },
}

impl StoreError {
    /// Whether the database itself failed, rather than what is stored in it being something else than it should be.
    pub(crate) fn is_of_the_database(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error().is_some(),
            Self::Damaged(_) | Self::Used(_) | Self::Newer { .. } => false,
        }
    }
}
