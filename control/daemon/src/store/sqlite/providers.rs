//! The rows of providers.

use std::collections::BTreeSet;

use postern_model::ids::{Name, SessionId, TenantId, UserGroupId, UserId};
use postern_model::secret::SecretText;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, damaged, decode, kerberos};
use crate::store::{ProviderChange, ProviderSession, Providers, StoreError, StoredProvider};

impl Providers for SqliteStore {
    fn provider(&mut self, tenant: TenantId, name: &Name) -> Result<Option<StoredProvider>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{PROVIDERS} WHERE tenant=? AND name=?"))?;
        find.query_row(params![tenant.0, name.as_str()], |row| Ok(read(row))).optional()?.transpose()
    }

    fn providers(&mut self, tenant: Option<TenantId>) -> Result<Vec<StoredProvider>, StoreError> {
        let select = format!("{PROVIDERS} WHERE ?1 IS NULL OR tenant=?1 ORDER BY tenant, name");
        let mut select = self.connection.prepare_cached(&select)?;
        select.query_map([tenant.map(|tenant| tenant.0)], |row| Ok(read(row)))?.map(|row| row?).collect()
    }

    fn provider_secret(&mut self, tenant: TenantId, name: &Name) -> Result<Option<SecretText>, StoreError> {
        let find = "SELECT secret FROM provider_secret WHERE tenant=? AND provider=?";
        let mut find = self.connection.prepare_cached(find)?;
        let secret: Option<String> = find.query_row(params![tenant.0, name.as_str()], |row| row.get(0)).optional()?;
        Ok(secret.map(SecretText::new))
    }

    fn linked(&mut self, tenant: TenantId, provider: &Name, subject: &str) -> Result<Option<UserId>, StoreError> {
        let find = "SELECT user FROM provider_user WHERE tenant=? AND provider=? AND subject=?";
        let mut find = self.connection.prepare_cached(find)?;
        let seq = find.query_row(params![tenant.0, provider.as_str(), subject], |row| row.get(0)).optional()?;
        Ok(seq.map(|seq| UserId::new(tenant, seq)))
    }

    fn linked_count(&mut self, tenant: TenantId, provider: &Name) -> Result<u32, StoreError> {
        let count = "SELECT count(DISTINCT user) FROM provider_user WHERE tenant=? AND provider=?";
        let mut count = self.connection.prepare_cached(count)?;
        Ok(count.query_row(params![tenant.0, provider.as_str()], |row| row.get(0))?)
    }

    fn provider_groups(&mut self, user: UserId) -> Result<BTreeSet<(UserGroupId, Name)>, StoreError> {
        let select = "SELECT grp, provider FROM provider_member WHERE tenant=? AND user=?";
        let mut select = self.connection.prepare_cached(select)?;
        let rows =
            select.query_map(params![user.tenant.0, user.seq], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (group, provider) = row?;
            Ok((UserGroupId::new(user.tenant, group), provider.parse().map_err(damaged)?))
        })
        .collect()
    }

    fn sessions_of_provider(
        &mut self,
        tenant: TenantId,
        provider: &Name,
        subject: Option<&str>,
        sid: Option<&str>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let select = "SELECT session FROM session_provider WHERE tenant=?1 AND provider=?2
            AND (?3 IS NULL OR subject=?3) AND (?4 IS NULL OR sid=?4 OR (sid IS NULL AND ?3 IS NOT NULL))";
        let mut select = self.connection.prepare_cached(select)?;
        let arguments = params![tenant.0, provider.as_str(), subject, sid];
        let rows = select.query_map(arguments, |row| row.get::<_, String>(0))?;
        rows.map(|row| row?.parse().map_err(damaged)).collect()
    }
}

/// One change, into the open transaction.
pub(super) fn write(transaction: &Connection, change: &ProviderChange) -> Result<(), StoreError> {
    match change {
        ProviderChange::Put(provider) => put(transaction, provider),
        ProviderChange::SecretPut(tenant, name, secret) => {
            let put = "INSERT INTO provider_secret VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET secret=excluded.secret";
            run(transaction, put, params![tenant.0, name.as_str(), secret.expose()])
        }
        ProviderChange::Removed(tenant, name) => {
            // Whom another provider puts into the same group stays.
            let leave = "DELETE FROM group_user WHERE tenant=?1 AND (grp, user) IN
                (SELECT grp, user FROM provider_member WHERE tenant=?1 AND provider=?2)
                AND (grp, user) NOT IN (SELECT grp, user FROM provider_member WHERE tenant=?1 AND provider<>?2)";
            run(transaction, leave, params![tenant.0, name.as_str()])?;
            run(transaction, "DELETE FROM provider WHERE tenant=? AND name=?", params![tenant.0, name.as_str()])
        }
        ProviderChange::Linked(provider, subject, user) => {
            let link = "INSERT INTO provider_user VALUES (?, ?, ?, ?)";
            run(transaction, link, params![user.tenant.0, provider.as_str(), subject, user.seq])
        }
        ProviderChange::Unlinked(provider, subject, user) => {
            let unlink = "DELETE FROM provider_user WHERE tenant=? AND provider=? AND subject=? AND user=?";
            run(transaction, unlink, params![user.tenant.0, provider.as_str(), subject, user.seq])
        }
        ProviderChange::Kerberos(tenant, settings) => kerberos::write(transaction, *tenant, settings.as_deref()),
        ProviderChange::Claimed(group, user, provider) => {
            let claim = "INSERT INTO provider_member VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
            run(transaction, claim, params![user.tenant.0, group.seq, user.seq, provider.as_str()])
        }
        ProviderChange::Unclaimed(group, user, provider) => {
            let unclaim = "DELETE FROM provider_member WHERE tenant=? AND grp=? AND user=? AND provider=?";
            run(transaction, unclaim, params![user.tenant.0, group.seq, user.seq, provider.as_str()])
        }
    }
}

/// What a provider says about a session, into the open transaction.
pub(super) fn put_session(
    transaction: &Connection,
    session: SessionId,
    of: &ProviderSession,
) -> Result<(), StoreError> {
    let put = "INSERT OR REPLACE INTO session_provider VALUES (?, ?, ?, ?, ?)";
    run(transaction, put, params![session.to_string(), of.tenant.0, of.provider.as_str(), of.subject, of.sid])
}

fn put(transaction: &Connection, provider: &StoredProvider) -> Result<(), StoreError> {
    let put = "INSERT INTO provider VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
        settings=excluded.settings, groups=excluded.groups";
    let settings = serde_json::to_string(&provider.settings).map_err(damaged)?;
    let groups = serde_json::to_string(&provider.groups).map_err(damaged)?;
    run(transaction, put, params![provider.tenant.0, provider.name.as_str(), settings, groups])
}

fn run(transaction: &Connection, statement: &str, arguments: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
    transaction.prepare_cached(statement)?.execute(arguments)?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<StoredProvider, StoreError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
    Ok(StoredProvider {
        tenant: TenantId(row.get(0)?),
        name: text(1)?.parse().map_err(damaged)?,
        settings: decode(text(2)?)?,
        groups: decode(text(3)?)?,
    })
}

const PROVIDERS: &str = "SELECT tenant, name, settings, groups FROM provider";
