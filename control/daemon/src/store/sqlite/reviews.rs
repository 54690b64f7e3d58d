//! The rows of access reviews.

use postern_model::Change;
use postern_model::directory::Principal;
use postern_model::ids::{AccessReviewId, AppId, TenantId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, damaged, signed, unsigned};
use crate::limits::FINISHED_REVIEWS_KEPT;
use crate::store::reviews::{Counted, Review, ReviewChange, Reviews};
use crate::store::{Decision, StoreError};

impl Reviews for SqliteStore {
    fn review(&mut self, id: AccessReviewId) -> Result<Option<Counted>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{REVIEWS} WHERE tenant=? AND seq=?"))?;
        Ok(find.query_row(params![id.tenant.0, id.seq], read).optional()?)
    }

    fn reviews(&mut self, tenant: TenantId, open: bool, limit: u32) -> Result<Vec<Counted>, StoreError> {
        let select = format!("{REVIEWS} WHERE tenant=?1 AND (NOT ?2 OR finished IS NULL) ORDER BY seq DESC LIMIT ?3");
        let mut select = self.connection.prepare_cached(&select)?;
        Ok(select.query_map(params![tenant.0, open, limit], read)?.collect::<Result<_, _>>()?)
    }

    fn review_items(&mut self, id: AccessReviewId) -> Result<Vec<(Principal, Option<Decision>)>, StoreError> {
        let select = "SELECT principal, kept, decided_by, decided, note FROM access_review_item
            WHERE tenant=? AND review=? ORDER BY principal";
        let mut select = self.connection.prepare_cached(select)?;
        select.query_map(params![id.tenant.0, id.seq], |row| Ok(read_item(row)))?.map(|row| row?).collect()
    }
}

/// One change, into the open transaction.
pub(super) fn write(transaction: &Connection, change: &ReviewChange) -> Result<(), StoreError> {
    match change {
        ReviewChange::Started(review, principals) => {
            let Review { id, app, reviewers, by, created_unix, due_unix, finished_unix: _ } = &**review;
            let forget = "DELETE FROM access_review WHERE tenant=?1 AND finished IS NOT NULL AND seq NOT IN
                (SELECT seq FROM access_review WHERE tenant=?1 AND finished IS NOT NULL ORDER BY seq DESC LIMIT ?2)";
            transaction.execute(forget, params![id.tenant.0, FINISHED_REVIEWS_KEPT])?;
            let put = "INSERT INTO access_review VALUES (?, ?, ?, ?, ?, ?, ?, NULL)";
            let times = (signed(*created_unix), signed(*due_unix));
            transaction.execute(put, params![id.tenant.0, id.seq, app.seq, reviewers, by, times.0, times.1])?;
            let put = "INSERT INTO access_review_item VALUES (?, ?, ?, NULL, NULL, NULL, NULL)";
            let mut put = transaction.prepare_cached(put)?;
            for principal in principals {
                put.execute(params![id.tenant.0, id.seq, principal.to_string()])?;
            }
            Ok(())
        }
        ReviewChange::Decided(id, principal, decision) => {
            let decided = "UPDATE access_review_item SET kept=?4, decided_by=?5, decided=?6, note=?7
                WHERE tenant=?1 AND review=?2 AND principal=?3 AND kept IS NULL";
            let Decision { approved, by, at_unix, note } = decision;
            let key = (id.tenant.0, id.seq, principal.to_string());
            let row = params![key.0, key.1, key.2, approved, by, signed(*at_unix), note.as_str()];
            once(transaction.prepare_cached(decided)?.execute(row)?, *id)
        }
        ReviewChange::Finished(id, at_unix) => {
            let finished = "UPDATE access_review SET finished=?3 WHERE tenant=?1 AND seq=?2 AND finished IS NULL";
            once(transaction.execute(finished, params![id.tenant.0, id.seq, signed(*at_unix)])?, *id)
        }
    }
}

/// What there is nothing of any more is not reviewed.
pub(super) fn follow(transaction: &Connection, change: &Change) -> Result<(), StoreError> {
    if let Change::AppRemoved { id } = change {
        let gone = "DELETE FROM access_review WHERE tenant=? AND app=?";
        transaction.execute(gone, params![id.tenant.0, id.seq])?;
    }
    Ok(())
}

/// What was decided stays so.
fn once(rows: usize, id: AccessReviewId) -> Result<(), StoreError> {
    match rows {
        1 => Ok(()),
        _ => Err(StoreError::Used(format!("a decision of the access review {id}"))), // no row has this key twice
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Counted> {
    let tenant = TenantId(row.get(0)?);
    let finished: Option<i64> = row.get(7)?;
    let review = Review {
        id: AccessReviewId::new(tenant, row.get(1)?),
        app: AppId::new(tenant, row.get(2)?),
        reviewers: row.get(3)?,
        by: row.get(4)?,
        created_unix: unsigned(row.get(5)?),
        due_unix: unsigned(row.get(6)?),
        finished_unix: finished.map(unsigned),
    };
    Ok((review, row.get(8)?, row.get(9)?))
}

fn read_item(row: &Row<'_>) -> Result<(Principal, Option<Decision>), StoreError> {
    let principal = row.get_ref(0)?.as_str().map_err(damaged)?.parse().map_err(damaged)?;
    let approved: Option<bool> = row.get(1)?;
    let Some(approved) = approved else { return Ok((principal, None)) };
    let note = row.get_ref(4)?.as_str().map_err(damaged)?.parse().map_err(damaged)?;
    Ok((principal, Some(Decision { approved, by: row.get(2)?, at_unix: unsigned(row.get(3)?), note })))
}

const REVIEWS: &str = "SELECT tenant, seq, app, reviewers, started_by, created, due, finished,
    (SELECT count(*) FROM access_review_item i WHERE i.tenant=r.tenant AND i.review=r.seq),
    (SELECT count(*) FROM access_review_item i WHERE i.tenant=r.tenant AND i.review=r.seq AND i.kept IS NULL)
    FROM access_review r";
