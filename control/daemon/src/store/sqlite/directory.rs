//! The directory's rows. Every question has an index, and every statement is prepared once.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::directory::{LoginName, Membership, User, UserGroup, UserKind};
use postern_model::ids::{Name, TenantId, UserGroupId, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, damaged, decode, devices, scim, signed, sync, terms, unsigned};
use crate::password::PasswordHash;
use crate::store::{Directory, DirectoryChange, GroupSize, Part, StoreError, UserQuery};

impl Directory for SqliteStore {
    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{USERS} WHERE tenant=? AND seq=?"))?;
        let row = find.query_row(params![id.tenant.0, id.seq], |row| Ok(read_user(row))).optional()?;
        row.transpose()
    }

    fn user_by_login(&mut self, tenant: TenantId, login: &LoginName) -> Result<Option<User>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{USERS} WHERE tenant=? AND login=?"))?;
        let row = find.query_row(params![tenant.0, login.as_str()], |row| Ok(read_user(row))).optional()?;
        row.transpose()
    }

    fn users(&mut self, query: &UserQuery) -> Result<Vec<User>, StoreError> {
        let select = format!(
            "{USERS} WHERE tenant=?1 AND login>?2 AND (?3 IS NULL OR login LIKE ?3 ESCAPE '\\'
            OR display_name LIKE ?3 ESCAPE '\\' OR mail LIKE ?3 ESCAPE '\\') ORDER BY login LIMIT ?4"
        );
        let after = query.after.as_ref().map_or("", LoginName::as_str);
        let arguments = params![query.tenant.0, after, query.filter.as_deref().map(like), query.limit];
        let mut select = self.connection.prepare_cached(&select)?;
        select.query_map(arguments, |row| Ok(read_user(row)))?.map(|row| row?).collect()
    }

    fn users_after(&mut self, tenant: TenantId, after: u32, limit: u32) -> Result<Vec<User>, StoreError> {
        let select = format!("{USERS} WHERE tenant=? AND seq>? ORDER BY seq LIMIT ?");
        let mut select = self.connection.prepare_cached(&select)?;
        select.query_map(params![tenant.0, after, limit], |row| Ok(read_user(row)))?.map(|row| row?).collect()
    }

    fn user_count(&mut self, tenant: TenantId) -> Result<u32, StoreError> {
        let mut count = self.connection.prepare_cached("SELECT count(*) FROM user WHERE tenant=?")?;
        Ok(count.query_row([tenant.0], |row| row.get(0))?)
    }

    fn logins_near(&mut self, tenant: TenantId, login: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        let near =
            "SELECT login FROM (SELECT login FROM user WHERE tenant=?1 AND login<?2 ORDER BY login DESC LIMIT ?3)
            UNION ALL SELECT login FROM (SELECT login FROM user WHERE tenant=?1 AND login>=?2 ORDER BY login LIMIT ?3)";
        let mut near = self.connection.prepare_cached(near)?;
        Ok(near.query_map(params![tenant.0, login, limit], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    fn user_groups(&mut self, tenant: TenantId) -> Result<Vec<UserGroup>, StoreError> {
        let mut select = self.connection.prepare_cached(&format!("{GROUPS} WHERE tenant=? ORDER BY name"))?;
        select.query_map([tenant.0], |row| Ok(read_group(row)))?.map(|row| row?).collect()
    }

    fn user_group(&mut self, tenant: TenantId, name: &Name) -> Result<Option<UserGroup>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{GROUPS} WHERE tenant=? AND name=?"))?;
        let row = find.query_row(params![tenant.0, name.as_str()], |row| Ok(read_group(row))).optional()?;
        row.transpose()
    }

    fn user_group_by_id(&mut self, id: UserGroupId) -> Result<Option<UserGroup>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{GROUPS} WHERE tenant=? AND seq=?"))?;
        let row = find.query_row(params![id.tenant.0, id.seq], |row| Ok(read_group(row))).optional()?;
        row.transpose()
    }

    fn nested(&mut self, tenant: TenantId) -> Result<Vec<(UserGroupId, UserGroupId)>, StoreError> {
        let select = "SELECT outer_grp, inner_grp FROM group_group WHERE tenant=?";
        let mut select = self.connection.prepare_cached(select)?;
        let id = |seq| UserGroupId::new(tenant, seq);
        let rows = select.query_map([tenant.0], |row| Ok((id(row.get(0)?), id(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn group_sizes(&mut self, tenant: TenantId) -> Result<BTreeMap<UserGroupId, GroupSize>, StoreError> {
        let count = "SELECT grp, 0, count(*) FROM group_user WHERE tenant=?1 GROUP BY grp
            UNION ALL SELECT outer_grp, 1, count(*) FROM group_group WHERE tenant=?1 GROUP BY outer_grp
            UNION ALL SELECT grp, 2, count(*) FROM group_owner WHERE tenant=?1 GROUP BY grp";
        let mut count = self.connection.prepare_cached(count)?;
        let mut rows = count.query([tenant.0])?;
        let mut sizes: BTreeMap<UserGroupId, GroupSize> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let size = sizes.entry(UserGroupId::new(tenant, row.get(0)?)).or_default();
            let part = match row.get::<_, u32>(1)? {
                0 => &mut size.users,
                1 => &mut size.groups,
                _ => &mut size.owners, // the three parts of the question above
            };
            *part = row.get(2)?;
        }
        Ok(sizes)
    }

    fn groups_with(&mut self, user: UserId) -> Result<BTreeSet<UserGroupId>, StoreError> {
        let rows = self.groups_with_each(user.tenant, user.seq, user.seq)?;
        Ok(rows.into_iter().map(|(_, group)| group).collect())
    }

    fn groups_owned(&mut self, user: UserId) -> Result<BTreeSet<UserGroupId>, StoreError> {
        let select = "SELECT grp FROM group_owner WHERE tenant=? AND user=?";
        let mut select = self.connection.prepare_cached(select)?;
        let rows =
            select.query_map(params![user.tenant.0, user.seq], |row| Ok(UserGroupId::new(user.tenant, row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn groups_with_each(
        &mut self,
        tenant: TenantId,
        first: u32,
        last: u32,
    ) -> Result<Vec<(UserId, UserGroupId)>, StoreError> {
        let select = "SELECT user, grp FROM group_user WHERE tenant=? AND user BETWEEN ? AND ? ORDER BY user";
        let mut select = self.connection.prepare_cached(select)?;
        let rows = select.query_map(params![tenant.0, first, last], |row| {
            Ok((UserId::new(tenant, row.get(0)?), UserGroupId::new(tenant, row.get(1)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn members(
        &mut self,
        group: UserGroupId,
        part: Part,
        limit: u32,
    ) -> Result<BTreeMap<LoginName, UserId>, StoreError> {
        let select = format!(
            "SELECT login, seq FROM {} JOIN user ON user.tenant=?1 AND user.seq=user
            WHERE grp=?2 AND {0}.tenant=?1 ORDER BY login LIMIT ?3",
            table(part)
        );
        let mut select = self.connection.prepare_cached(&select)?;
        let arguments = params![group.tenant.0, group.seq, limit];
        let rows = select.query_map(arguments, |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (login, seq) = row?;
            Ok((login.parse().map_err(damaged)?, UserId::new(group.tenant, seq)))
        })
        .collect()
    }

    fn password(&mut self, user: UserId) -> Result<Option<PasswordHash>, StoreError> {
        let find = "SELECT phc FROM user_password WHERE tenant=? AND user=?";
        let mut find = self.connection.prepare_cached(find)?;
        let phc = find.query_row(params![user.tenant.0, user.seq], |row| row.get(0)).optional()?;
        Ok(phc.map(PasswordHash::stored))
    }

    fn active_members(
        &mut self,
        tenant: TenantId,
        groups: &BTreeSet<UserGroupId>,
        now_unix: u64,
    ) -> Result<u32, StoreError> {
        let count =
            "SELECT count(*) FROM user WHERE tenant=?1 AND enabled AND (expires IS NULL OR expires>?2) AND seq IN
            (SELECT user FROM group_user WHERE tenant=?1 AND grp IN (SELECT value FROM json_each(?3)))";
        let mut count = self.connection.prepare_cached(count)?;
        let groups: Vec<u32> = groups.iter().map(|group| group.seq).collect();
        let groups = serde_json::to_string(&groups).map_err(damaged)?;
        Ok(count.query_row(params![tenant.0, signed(now_unix), groups], |row| row.get(0))?)
    }
}

/// One change, into the open transaction.
pub(super) fn write(transaction: &Connection, change: &DirectoryChange) -> Result<(), StoreError> {
    match change {
        DirectoryChange::UserPut(user) => put_user(transaction, user),
        DirectoryChange::UserRemoved(id) => {
            devices::remove_owner(transaction, *id)?;
            run(transaction, "DELETE FROM user WHERE tenant=? AND seq=?", id.tenant, &[id.seq])
        }
        DirectoryChange::PasswordPut(id, hash) => {
            let put = "INSERT INTO user_password VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET phc=excluded.phc";
            transaction.prepare_cached(put)?.execute(params![id.tenant.0, id.seq, hash.expose()])?;
            Ok(())
        }
        DirectoryChange::GroupPut(group) => put_group(transaction, group),
        DirectoryChange::GroupRemoved(id) => {
            run(transaction, "DELETE FROM user_group WHERE tenant=? AND seq=?", id.tenant, &[id.seq])
        }
        DirectoryChange::UserJoined(group, part, user) => {
            let join = format!("INSERT INTO {} VALUES (?, ?, ?) ON CONFLICT DO NOTHING", table(*part));
            run(transaction, &join, group.tenant, &[group.seq, user.seq])
        }
        DirectoryChange::UserLeft(group, part, user) => {
            let leave = format!("DELETE FROM {} WHERE tenant=? AND grp=? AND user=?", table(*part));
            run(transaction, &leave, group.tenant, &[group.seq, user.seq])
        }
        DirectoryChange::Nested(outer, inner) => {
            let nest = "INSERT INTO group_group VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
            run(transaction, nest, outer.tenant, &[outer.seq, inner.seq])
        }
        DirectoryChange::Unnested(outer, inner) => {
            let unnest = "DELETE FROM group_group WHERE tenant=? AND outer_grp=? AND inner_grp=?";
            run(transaction, unnest, outer.tenant, &[outer.seq, inner.seq])
        }
        DirectoryChange::GroupsRemoved(tenant) => {
            scim::remove_token(transaction, *tenant)?;
            sync::remove_all(transaction, *tenant)?;
            terms::remove_all(transaction, *tenant)?;
            devices::remove_all(transaction, *tenant)?;
            run(transaction, "DELETE FROM user_group WHERE tenant=?", *tenant, &[])
        }
        DirectoryChange::ScimTokenPut(token) => scim::put_token(transaction, token),
        DirectoryChange::ScimTokenRemoved(tenant) => scim::remove_token(transaction, *tenant),
        DirectoryChange::ExternalIdPut(user, external_id) => scim::put_user(transaction, *user, external_id.as_deref()),
        DirectoryChange::ScimGroupPut(group, display_name, external_id) => {
            scim::put_group(transaction, *group, display_name, external_id.as_deref())
        }
        DirectoryChange::Sync(change) => sync::write(transaction, change),
        DirectoryChange::Terms(change) => terms::write(transaction, change),
        DirectoryChange::Device(change) => devices::write(transaction, change),
    }
}

fn run(transaction: &Connection, statement: &str, tenant: TenantId, numbers: &[u32]) -> Result<(), StoreError> {
    let arguments = std::iter::once(tenant.0).chain(numbers.iter().copied());
    transaction.prepare_cached(statement)?.execute(rusqlite::params_from_iter(arguments))?;
    Ok(())
}

fn put_user(transaction: &Connection, user: &User) -> Result<(), StoreError> {
    let put = "INSERT INTO user VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, seq) DO UPDATE SET
        login=excluded.login, display_name=excluded.display_name, mail=excluded.mail, attributes=excluded.attributes,
        guest=excluded.guest, expires=excluded.expires, enabled=excluded.enabled, password_set=excluded.password_set";
    let attributes = serde_json::to_string(&user.attributes).map_err(damaged)?;
    let guest = match user.kind {
        UserKind::Member => false,
        UserKind::Guest { .. } => true,
    };
    transaction.prepare_cached(put)?.execute(params![
        user.id.tenant.0,
        user.id.seq,
        user.login.as_str(),
        user.display_name.as_str(),
        user.mail.as_ref().map(ToString::to_string),
        attributes,
        guest,
        user.kind.expires_unix().map(signed),
        user.enabled,
        signed(user.created_unix_ms),
        user.password_set_unix_ms.map(signed),
    ])?;
    Ok(())
}

fn put_group(transaction: &Connection, group: &UserGroup) -> Result<(), StoreError> {
    let put = "INSERT INTO user_group VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, seq) DO UPDATE SET
        name=excluded.name, description=excluded.description, rule=excluded.rule";
    transaction.prepare_cached(put)?.execute(params![
        group.id.tenant.0,
        group.id.seq,
        group.name.as_str(),
        group.description.as_str(),
        group.rule().map(ToString::to_string),
    ])?;
    Ok(())
}

pub(super) fn read_user(row: &Row<'_>) -> Result<User, StoreError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
    let expires_unix = row.get::<_, Option<i64>>(7)?.map(unsigned);
    let mail: Option<String> = row.get(4)?;
    Ok(User {
        id: UserId::new(TenantId(row.get(0)?), row.get(1)?),
        login: text(2)?.parse().map_err(damaged)?,
        display_name: text(3)?.parse().map_err(damaged)?,
        mail: mail.map(|mail| mail.parse().map_err(damaged)).transpose()?,
        attributes: decode(text(5)?)?,
        kind: if row.get(6)? { UserKind::Guest { expires_unix } } else { UserKind::Member },
        enabled: row.get(8)?,
        created_unix_ms: unsigned(row.get(9)?),
        password_set_unix_ms: row.get::<_, Option<i64>>(10)?.map(unsigned),
    })
}

fn read_group(row: &Row<'_>) -> Result<UserGroup, StoreError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
    let rule: Option<String> = row.get(4)?;
    Ok(UserGroup {
        id: UserGroupId::new(TenantId(row.get(0)?), row.get(1)?),
        name: text(2)?.parse().map_err(damaged)?,
        description: text(3)?.parse().map_err(damaged)?,
        membership: match rule {
            Some(rule) => Membership::Dynamic { rule: rule.parse().map_err(damaged)? },
            None => Membership::Assigned,
        },
    })
}

const fn table(part: Part) -> &'static str {
    match part {
        Part::Member => "group_user",
        Part::Owner => "group_owner",
    }
}

/// A pattern that finds the text anywhere, whatever signs are in it.
pub(super) fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern + "%"
}

pub(super) const USERS: &str =
    "SELECT tenant, seq, login, display_name, mail, attributes, guest, expires, enabled, created,
    password_set FROM user";
const GROUPS: &str = "SELECT tenant, seq, name, description, rule FROM user_group";
