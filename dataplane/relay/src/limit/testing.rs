//! Plans for the tests of this folder.

use postern_model::ids::TenantId;
use postern_model::limit::{Allowance, Limit, LimitScope, PlannedLimit, planned};
use postern_model::snapshot::Snapshot;

/// A limit on sources, which has no defaults.
pub(crate) fn plan(rps: Option<u64>, burst: Option<u64>, conns: Option<u64>, bps: Option<u64>) -> PlannedLimit {
    let limit = Limit {
        rps: rps.map(Allowance::At),
        burst,
        conns: conns.map(Allowance::At),
        bps: bps.map(Allowance::At),
        ..Limit::new(TenantId(1), LimitScope::Source { app: None })
    };
    let mut snapshot = Snapshot::default();
    snapshot.limits.insert(limit.key(), limit);
    planned(&snapshot).remove(0)
}
