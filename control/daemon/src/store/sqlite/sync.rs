//! The rows of directory synchronisation.

use postern_model::directory_sync::{Digest, KnownObject, Member, ObjectId, ObjectKind};
use postern_model::ids::{GroupId, Name, TenantId, UserGroupId, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, damaged, decode};
use crate::store::{StoreError, StoredSource, SyncChange, SyncRows, SyncState};

impl SyncRows for SqliteStore {
    fn sync_sources(&mut self, tenant: Option<TenantId>) -> Result<Vec<StoredSource>, StoreError> {
        let select =
            "SELECT tenant, name, grp, settings FROM sync_source WHERE ?1 IS NULL OR tenant=?1 ORDER BY tenant, name";
        let mut select = self.connection.prepare_cached(select)?;
        let rows = select.query_map([tenant.map(|tenant| tenant.0)], |row| Ok(read_source(row)))?;
        rows.map(|row| row?).collect()
    }

    fn sync_known(
        &mut self,
        (tenant, source): (TenantId, &Name),
        kind: ObjectKind,
        after: Option<&ObjectId>,
        limit: usize,
    ) -> Result<Vec<KnownObject>, StoreError> {
        let select = match kind {
            ObjectKind::User => {
                "SELECT object, CASE WHEN coalesce(v.version,0)=s.version THEN digest ELSE '' END, state
                FROM sync_user s LEFT JOIN user_version v ON v.tenant=s.tenant AND v.user=s.user
                WHERE s.tenant=?1 AND source=?2 AND object>?3 ORDER BY object LIMIT ?4"
            }
            ObjectKind::Group => {
                "SELECT object, CASE WHEN coalesce(v.version,0)=s.version THEN digest ELSE '' END, 0
                FROM sync_group s LEFT JOIN group_version v ON v.tenant=s.tenant AND v.grp=s.grp
                WHERE s.tenant=?1 AND source=?2 AND object>?3 ORDER BY object LIMIT ?4"
            }
        };
        let mut select = self.connection.prepare_cached(select)?;
        let after = after.map_or("", ObjectId::as_str);
        let mut rows = select.query(params![tenant.0, source.as_str(), after, count(limit)])?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
            items.push(KnownObject {
                id: text(0)?.parse().map_err(damaged)?,
                digest: text(1)?.parse().map_err(damaged)?,
                gone: state(row.get(2)?).is_gone(),
            });
        }
        Ok(items)
    }

    fn sync_user(
        &mut self,
        (tenant, source): (TenantId, &Name),
        object: &ObjectId,
    ) -> Result<Option<(UserId, SyncState)>, StoreError> {
        let find = "SELECT user, state FROM sync_user WHERE tenant=? AND source=? AND object=?";
        let mut find = self.connection.prepare_cached(find)?;
        let found = find.query_row(params![tenant.0, source.as_str(), object.as_str()], |row| {
            Ok((UserId::new(tenant, row.get(0)?), state(row.get(1)?)))
        });
        Ok(found.optional()?)
    }

    fn sync_group(
        &mut self,
        (tenant, source): (TenantId, &Name),
        object: &ObjectId,
    ) -> Result<Option<UserGroupId>, StoreError> {
        let find = "SELECT grp FROM sync_group WHERE tenant=? AND source=? AND object=?";
        let mut find = self.connection.prepare_cached(find)?;
        let found = find.query_row(params![tenant.0, source.as_str(), object.as_str()], |row| row.get(0));
        Ok(found.optional()?.map(|seq| UserGroupId::new(tenant, seq)))
    }

    fn sync_counts(&mut self, (tenant, source): (TenantId, &Name)) -> Result<(u32, u32), StoreError> {
        let count = "SELECT (SELECT count(*) FROM sync_user WHERE tenant=?1 AND source=?2 AND state NOT IN (2, 3)),
            (SELECT count(*) FROM sync_group WHERE tenant=?1 AND source=?2)";
        let mut count = self.connection.prepare_cached(count)?;
        Ok(count.query_row(params![tenant.0, source.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    fn sync_members(
        &mut self,
        (tenant, source): (TenantId, &Name),
        group: UserGroupId,
        after: Option<&Member>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let select = "SELECT kind, object FROM (
            SELECT 0 AS kind, object FROM group_user g JOIN sync_user s ON s.tenant=g.tenant AND s.user=g.user
                WHERE g.tenant=?1 AND g.grp=?2 AND source=?3
            UNION ALL SELECT 1, object FROM group_group g JOIN sync_group s ON s.tenant=g.tenant AND s.grp=g.inner_grp
                WHERE g.tenant=?1 AND g.outer_grp=?2 AND source=?3)
            WHERE (kind, object)>(?4, ?5) ORDER BY kind, object LIMIT ?6";
        let (kind, object) = after.map_or((0, ""), |member| {
            let kind = match member.kind {
                ObjectKind::User => 0,
                ObjectKind::Group => 1,
            };
            (kind, member.id.as_str())
        });
        let mut select = self.connection.prepare_cached(select)?;
        let mut rows = select.query(params![tenant.0, group.seq, source.as_str(), kind, object, count(limit)])?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            let kind = if row.get::<_, u32>(0)? == 0 { ObjectKind::User } else { ObjectKind::Group };
            items.push(Member { kind, id: row.get_ref(1)?.as_str().map_err(damaged)?.parse().map_err(damaged)? });
        }
        Ok(items)
    }

    fn sync_state_of(&mut self, user: UserId) -> Result<Option<SyncState>, StoreError> {
        let find = "SELECT state FROM sync_user WHERE tenant=? AND user=?";
        let mut find = self.connection.prepare_cached(find)?;
        Ok(find.query_row(params![user.tenant.0, user.seq], |row| Ok(state(row.get(0)?))).optional()?)
    }

    fn sync_source_of(&mut self, user: UserId) -> Result<Option<Name>, StoreError> {
        let find = "SELECT source FROM sync_user WHERE tenant=? AND user=?";
        let mut find = self.connection.prepare_cached(find)?;
        let found: Option<String> = find.query_row(params![user.tenant.0, user.seq], |row| row.get(0)).optional()?;
        found.map(|name| name.parse().map_err(damaged)).transpose()
    }
}

/// One change, into the open transaction.
pub(super) fn write(transaction: &Connection, change: &SyncChange) -> Result<(), StoreError> {
    match change {
        SyncChange::Put(source) => {
            let put = "INSERT INTO sync_source VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
                grp=excluded.grp, settings=excluded.settings";
            let settings = serde_json::to_string(&source.settings).map_err(damaged)?;
            let arguments = params![source.tenant.0, source.name.as_str(), source.group.seq, settings];
            transaction.prepare_cached(put)?.execute(arguments)?;
        }
        SyncChange::Removed(tenant, name) => {
            let remove = "DELETE FROM sync_source WHERE tenant=? AND name=?";
            transaction.prepare_cached(remove)?.execute(params![tenant.0, name.as_str()])?;
        }
        SyncChange::User(source, object, user, digest, state) => {
            let put = "INSERT INTO sync_user VALUES (?1, ?2, ?3, ?4, ?5,
                coalesce((SELECT version FROM user_version WHERE tenant=?1 AND user=?4), 0), ?6)
                ON CONFLICT DO UPDATE SET digest=excluded.digest, version=excluded.version, state=excluded.state";
            let (tenant, user) = (user.tenant.0, user.seq);
            let arguments =
                params![tenant, source.as_str(), object.as_str(), user, Digest::as_str(digest), number(*state)];
            transaction.prepare_cached(put)?.execute(arguments)?;
        }
        SyncChange::State(user, state) => {
            let set = "UPDATE sync_user SET state=? WHERE tenant=? AND user=?";
            transaction.prepare_cached(set)?.execute(params![number(*state), user.tenant.0, user.seq])?;
        }
        SyncChange::Group(source, object, group, digest) => {
            let put = "INSERT INTO sync_group VALUES (?1, ?2, ?3, ?4, ?5,
                coalesce((SELECT version FROM group_version WHERE tenant=?1 AND grp=?4), 0))
                ON CONFLICT DO UPDATE SET digest=excluded.digest, version=excluded.version";
            let (tenant, group) = (group.tenant.0, group.seq);
            let arguments = params![tenant, source.as_str(), object.as_str(), group, Digest::as_str(digest)];
            transaction.prepare_cached(put)?.execute(arguments)?;
        }
    }
    Ok(())
}

/// All sources of a tenant that goes.
pub(super) fn remove_all(transaction: &Connection, tenant: TenantId) -> Result<(), StoreError> {
    transaction.prepare_cached("DELETE FROM sync_source WHERE tenant=?")?.execute([tenant.0])?;
    Ok(())
}

fn read_source(row: &Row<'_>) -> Result<StoredSource, StoreError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
    let tenant = TenantId(row.get(0)?);
    Ok(StoredSource {
        tenant,
        name: text(1)?.parse().map_err(damaged)?,
        group: GroupId::new(tenant, row.get(2)?),
        settings: decode(text(3)?)?,
    })
}

const fn number(state: SyncState) -> u32 {
    match state {
        SyncState::Present => 0,
        SyncState::Disabled => 1,
        SyncState::Gone => 2,
        SyncState::GoneHeld => 3,
    }
}

const fn state(number: u32) -> SyncState {
    match number {
        1 => SyncState::Disabled,
        2 => SyncState::Gone,
        3 => SyncState::GoneHeld,
        _ => SyncState::Present, // nothing else is written
    }
}

fn count(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
