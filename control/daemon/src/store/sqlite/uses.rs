//! The rows that say when assignments were used.

use std::collections::BTreeMap;

use postern_model::Change;
use postern_model::directory::Principal;
use postern_model::ids::{AppId, TenantId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SqliteStore, damaged, signed, unsigned};
use crate::store::StoreError;
use crate::store::uses::{Used, Uses};

impl Uses for SqliteStore {
    fn assignment_used(&mut self, app: AppId, principal: Principal) -> Result<Option<u64>, StoreError> {
        let find = "SELECT used FROM assignment_use WHERE tenant=? AND app=? AND principal=?";
        let mut find = self.connection.prepare_cached(find)?;
        let key = params![app.tenant.0, app.seq, principal.to_string()];
        Ok(find.query_row(key, |row| row.get(0)).optional()?.map(unsigned))
    }

    fn assignments_used(&mut self, tenant: TenantId) -> Result<BTreeMap<(AppId, Principal), u64>, StoreError> {
        let select = "SELECT app, principal, used FROM assignment_use WHERE tenant=?";
        let mut select = self.connection.prepare_cached(select)?;
        let mut rows = select.query([tenant.0])?;
        let mut used = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let principal = row.get_ref(1)?.as_str().map_err(damaged)?.parse().map_err(damaged)?;
            used.insert((AppId::new(tenant, row.get(0)?), principal), unsigned(row.get(2)?));
        }
        Ok(used)
    }
}

/// One use, into the open transaction.
pub(super) fn write(transaction: &Connection, used: &Used) -> Result<(), StoreError> {
    let put = "INSERT INTO assignment_use VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET used=excluded.used";
    let Used { app, principal, at_unix } = used;
    let row = params![app.tenant.0, app.seq, principal.to_string(), signed(*at_unix)];
    transaction.prepare_cached(put)?.execute(row)?;
    Ok(())
}

/// What goes with a change of the configuration: an assignment that is made again was not used yet.
pub(super) fn follow(transaction: &Connection, change: &Change) -> Result<(), StoreError> {
    if let Change::AssignmentRemoved { app, principal } = change {
        let gone = "DELETE FROM assignment_use WHERE tenant=? AND app=? AND principal=?";
        let key = params![app.tenant.0, app.seq, principal.to_string()];
        transaction.prepare_cached(gone)?.execute(key)?;
    }
    if let Change::AppRemoved { id } = change {
        let gone = "DELETE FROM assignment_use WHERE tenant=? AND app=?";
        transaction.prepare_cached(gone)?.execute(params![id.tenant.0, id.seq])?;
    }
    Ok(())
}
