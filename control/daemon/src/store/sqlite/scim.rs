//! The rows of SCIM.

use std::collections::BTreeMap;

use postern_model::directory::User;
use postern_model::ids::{TenantId, UserGroupId, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::directory::{USERS, read_user};
use super::{SqliteStore, damaged, decode, signed, unsigned};
use crate::store::{Marks, ScimRows, ScimToken, StoreError};

impl ScimRows for SqliteStore {
    fn scim_token(&mut self, tenant: TenantId) -> Result<Option<ScimToken>, StoreError> {
        let find = "SELECT name, key, expires, created FROM scim_token WHERE tenant=?";
        let mut find = self.connection.prepare_cached(find)?;
        find.query_row([tenant.0], |row| Ok(read_token(tenant, row))).optional()?.transpose()
    }

    fn user_marks(&mut self, tenant: TenantId, first: u32, last: u32) -> Result<BTreeMap<UserId, Marks>, StoreError> {
        let select = "SELECT seq, external_id, NULL, version, changed FROM user
            LEFT JOIN scim_user ON scim_user.tenant=?1 AND scim_user.user=seq
            LEFT JOIN user_version ON user_version.tenant=?1 AND user_version.user=seq
            WHERE user.tenant=?1 AND seq BETWEEN ?2 AND ?3";
        let mut select = self.connection.prepare_cached(select)?;
        let rows = select.query_map(params![tenant.0, first, last], |row| {
            Ok((UserId::new(tenant, row.get(0)?), read_marks(row)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn group_marks(&mut self, tenant: TenantId) -> Result<BTreeMap<UserGroupId, Marks>, StoreError> {
        let select = "SELECT seq, external_id, display_name, version, changed FROM user_group
            LEFT JOIN scim_group ON scim_group.tenant=?1 AND scim_group.grp=seq
            LEFT JOIN group_version ON group_version.tenant=?1 AND group_version.grp=seq
            WHERE user_group.tenant=?1";
        let mut select = self.connection.prepare_cached(select)?;
        let rows = select.query_map([tenant.0], |row| Ok((UserGroupId::new(tenant, row.get(0)?), read_marks(row)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn users_called(&mut self, tenant: TenantId, external_id: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        let select = format!(
            "{USERS} WHERE tenant=?1 AND seq IN (SELECT user FROM scim_user WHERE tenant=?1 AND external_id=?2)
            ORDER BY seq LIMIT ?3"
        );
        let mut select = self.connection.prepare_cached(&select)?;
        select.query_map(params![tenant.0, external_id, limit], |row| Ok(read_user(row)))?.map(|row| row?).collect()
    }

    fn users_from(&mut self, tenant: TenantId, skip: u32, limit: u32) -> Result<Vec<User>, StoreError> {
        let select = format!("{USERS} WHERE tenant=? ORDER BY seq LIMIT ? OFFSET ?");
        let mut select = self.connection.prepare_cached(&select)?;
        select.query_map(params![tenant.0, limit, skip], |row| Ok(read_user(row)))?.map(|row| row?).collect()
    }
}

pub(super) fn put_token(transaction: &Connection, token: &ScimToken) -> Result<(), StoreError> {
    let key = serde_json::to_string(&token.key).map_err(damaged)?;
    transaction.prepare_cached("INSERT OR REPLACE INTO scim_token VALUES (?, ?, ?, ?, ?)")?.execute(params![
        token.tenant.0,
        token.name.as_str(),
        key,
        token.expires_unix.map(signed),
        signed(token.created_unix_ms),
    ])?;
    Ok(())
}

pub(super) fn remove_token(transaction: &Connection, tenant: TenantId) -> Result<(), StoreError> {
    transaction.prepare_cached("DELETE FROM scim_token WHERE tenant=?")?.execute([tenant.0])?;
    Ok(())
}

/// What the client calls a user; nothing, if it calls them nothing.
pub(super) fn put_user(transaction: &Connection, user: UserId, external_id: Option<&str>) -> Result<(), StoreError> {
    let Some(external_id) = external_id else {
        let remove = "DELETE FROM scim_user WHERE tenant=? AND user=?";
        transaction.prepare_cached(remove)?.execute(params![user.tenant.0, user.seq])?;
        return Ok(());
    };
    let put = "INSERT INTO scim_user VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET external_id=excluded.external_id";
    transaction.prepare_cached(put)?.execute(params![user.tenant.0, user.seq, external_id])?;
    Ok(())
}

/// What the client calls a group, and what people do.
pub(super) fn put_group(
    transaction: &Connection,
    group: UserGroupId,
    display_name: &str,
    external_id: Option<&str>,
) -> Result<(), StoreError> {
    let put = "INSERT INTO scim_group VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
        display_name=excluded.display_name, external_id=excluded.external_id";
    transaction.prepare_cached(put)?.execute(params![group.tenant.0, group.seq, display_name, external_id])?;
    Ok(())
}

fn read_token(tenant: TenantId, row: &Row<'_>) -> Result<ScimToken, StoreError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
    Ok(ScimToken {
        tenant,
        name: text(0)?.parse().map_err(damaged)?,
        key: decode(text(1)?)?,
        expires_unix: row.get::<_, Option<i64>>(2)?.map(unsigned),
        created_unix_ms: unsigned(row.get(3)?),
    })
}

fn read_marks(row: &Row<'_>) -> Result<Marks, rusqlite::Error> {
    Ok(Marks {
        external_id: row.get(1)?,
        display_name: row.get(2)?,
        version: row.get::<_, Option<i64>>(3)?.map_or(0, unsigned),
        changed_unix_ms: row.get::<_, Option<i64>>(4)?.map(unsigned),
    })
}
