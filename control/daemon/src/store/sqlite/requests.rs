//! The rows of access requests.

use postern_model::ids::{AccessRequestId, AppId, TenantId, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, damaged, signed, unsigned};
use crate::limits::DECIDED_REQUESTS_KEPT;
use crate::store::StoreError;
use crate::store::requests::{AccessRequest, Decision, RequestChange, RequestQuery, Requests};

impl Requests for SqliteStore {
    fn access_request(&mut self, id: AccessRequestId) -> Result<Option<AccessRequest>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{REQUESTS} WHERE tenant=? AND seq=?"))?;
        find.query_row(params![id.tenant.0, id.seq], |row| Ok(read(row))).optional()?.transpose()
    }

    fn access_requests(&mut self, query: &RequestQuery) -> Result<Vec<AccessRequest>, StoreError> {
        let select = format!(
            "{REQUESTS} WHERE tenant=?1 AND (?2 IS NULL OR user=?2) AND (NOT ?3 OR approved IS NULL)
             ORDER BY seq DESC LIMIT ?4"
        );
        let mut select = self.connection.prepare_cached(&select)?;
        let arguments = params![query.tenant.0, query.user.map(|user| user.seq), query.open, query.limit];
        select.query_map(arguments, |row| Ok(read(row)))?.map(|row| row?).collect()
    }

    fn access_requests_open(&mut self, tenant: TenantId, user: Option<UserId>) -> Result<u32, StoreError> {
        let count =
            "SELECT count(*) FROM access_request WHERE tenant=?1 AND (?2 IS NULL OR user=?2) AND approved IS NULL";
        let mut count = self.connection.prepare_cached(count)?;
        Ok(count.query_row(params![tenant.0, user.map(|user| user.seq)], |row| row.get(0))?)
    }
}

/// One change, into the open transaction.
pub(super) fn write(transaction: &Connection, change: &RequestChange) -> Result<(), StoreError> {
    match change {
        RequestChange::Asked(request) => {
            let forget =
                "DELETE FROM access_request WHERE tenant=?1 AND user=?2 AND approved IS NOT NULL AND seq NOT IN
                (SELECT seq FROM access_request WHERE tenant=?1 AND user=?2 AND approved IS NOT NULL
                 ORDER BY seq DESC LIMIT ?3)";
            let AccessRequest { id, user, app, justification, created_unix, decision } = &**request;
            transaction.execute(forget, params![user.tenant.0, user.seq, DECIDED_REQUESTS_KEPT])?;
            let put = "INSERT INTO access_request VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)";
            let row = params![id.tenant.0, id.seq, user.seq, app.seq, justification.as_str(), signed(*created_unix)];
            transaction.execute(put, row)?;
            decision.as_ref().map_or(Ok(()), |decision| decide(transaction, *id, decision))
        }
        RequestChange::Decided(id, decision) => decide(transaction, *id, decision),
        RequestChange::AppGone(app) => {
            let gone = "DELETE FROM access_request WHERE tenant=? AND app=?";
            transaction.execute(gone, params![app.tenant.0, app.seq])?;
            Ok(())
        }
    }
}

/// What was decided stays so.
fn decide(transaction: &Connection, id: AccessRequestId, decision: &Decision) -> Result<(), StoreError> {
    let decided = "UPDATE access_request SET approved=?3, decided_by=?4, decided=?5, note=?6
        WHERE tenant=?1 AND seq=?2 AND approved IS NULL";
    let Decision { approved, by, at_unix, note } = decision;
    let row = params![id.tenant.0, id.seq, approved, by, signed(*at_unix), note.as_str()];
    match transaction.execute(decided, row)? {
        1 => Ok(()),
        _ => Err(StoreError::Used(format!("the access request {id}"))), // no row has this key twice
    }
}

fn read(row: &Row<'_>) -> Result<AccessRequest, StoreError> {
    let tenant = TenantId(row.get(0)?);
    let line = |column: usize| -> Result<_, StoreError> {
        row.get_ref(column)?.as_str().map_err(damaged)?.parse().map_err(damaged)
    };
    let approved: Option<bool> = row.get(6)?;
    let decision = match approved {
        None => None,
        Some(approved) => Some(Decision { approved, by: row.get(7)?, at_unix: unsigned(row.get(8)?), note: line(9)? }),
    };
    Ok(AccessRequest {
        id: AccessRequestId::new(tenant, row.get(1)?),
        user: UserId::new(tenant, row.get(2)?),
        app: AppId::new(tenant, row.get(3)?),
        justification: line(4)?,
        created_unix: unsigned(row.get(5)?),
        decision,
    })
}

const REQUESTS: &str = "SELECT tenant, seq, user, app, justification, created, approved, decided_by, decided, note
    FROM access_request";
