//! The two logs that nobody may rewrite, in the store: the audit log and the sign-in log, each a hash chain. Records are added
//! by commits, asked for span by span, and removed from the oldest on by retention only.

use postern_model::admin::{AuditRecord, SignInRecord, SignInResult};
use postern_model::chain::{LogKind, Mark};
use postern_model::ids::{AppId, RequestId, SessionId, TenantId, UserId};

use super::StoreError;

/// What can be asked about the logs.
pub(crate) trait Records {
    /// Where a log begins and ends.
    fn chain(&mut self, log: LogKind) -> Result<Chain, StoreError>;

    /// Audit records in a span that pass a filter.
    fn audit(&mut self, filter: &AuditFilter, span: Span) -> Result<Vec<AuditRecord>, StoreError>;

    /// Sign-in records in a span that pass a filter.
    fn sign_ins(&mut self, filter: &SignInFilter, span: Span) -> Result<Vec<SignInRecord>, StoreError>;

    /// The numbers of the first record from `since` on and of the last one before `until`: what is within is between them,
    /// as long as the clock was not set back meanwhile. `None` when there is none.
    fn between(&mut self, log: LogKind, times: Times) -> Result<Option<(u64, u64)>, StoreError>;

    /// Of the next `limit` records behind `after`, the last one of those at the front that are all older than `before_unix_ms`.
    fn older(&mut self, log: LogKind, after: u64, before_unix_ms: u64, limit: u32) -> Result<Option<Mark>, StoreError>;

    /// Deletes at most `limit` records that are no part of the log any more, for they are not behind its base. Gives how many.
    fn sweep(&mut self, log: LogKind, limit: u32) -> Result<u32, StoreError>;
}

/// Where a log begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The last record that was removed; records are behind it.
    pub(crate) base: Mark,
    /// The last record.
    pub(crate) head: Mark,
}

/// Numbers from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) order: Order,
    pub(crate) limit: u32,
}

/// In which order records come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

/// Times in milliseconds, the second one excluded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) since: Option<u64>,
    pub(crate) until: Option<u64>,
}

/// Which audit records.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditFilter {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) action: Option<String>,
    /// Has this in it, whatever its case (of ASCII letters).
    pub(crate) actor: Option<String>,
    /// The same.
    pub(crate) target: Option<String>,
    pub(crate) times: Times,
}

/// Which sign-in records.
#[derive(Debug, Clone, Default)]
pub(crate) struct SignInFilter {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) user: Option<WhoSignedIn>,
    pub(crate) app: Option<AppId>,
    pub(crate) result: Option<ResultFilter>,
    pub(crate) session: Option<SessionId>,
    pub(crate) request: Option<RequestId>,
    pub(crate) times: Times,
}

/// Who.
#[derive(Debug, Clone)]
pub(crate) enum WhoSignedIn {
    /// This user, whatever was typed.
    User(UserId),
    /// Whoever typed this: nobody is called so, or no longer.
    Login(String),
}

/// How it ended.
#[derive(Debug, Clone)]
pub(crate) enum ResultFilter {
    Result(SignInResult),
    Code(String),
}

/// Up to here, a log's oldest records are no longer part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) log: LogKind,
    pub(crate) base: Mark,
}
