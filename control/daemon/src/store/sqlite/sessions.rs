//! The rows of sessions.

use postern_model::ids::{DeviceId, SessionId, TenantId, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, damaged, decode, signed, unsigned};
use crate::store::{SessionChange, Sessions, StoreError, StoredSession};

impl Sessions for SqliteStore {
    fn session(&mut self, id: SessionId) -> Result<Option<StoredSession>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{SESSIONS} WHERE id=?"))?;
        find.query_row([id.to_string()], |row| Ok(read(row))).optional()?.transpose()
    }

    fn session_of_browser(&mut self, browser: &[u8; 32]) -> Result<Option<StoredSession>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{SESSIONS} WHERE browser=?"))?;
        find.query_row([browser], |row| Ok(read(row))).optional()?.transpose()
    }

    fn sessions(
        &mut self,
        tenant: TenantId,
        user: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredSession>, StoreError> {
        let select =
            format!("{SESSIONS} WHERE tenant=?1 AND (?2 IS NULL OR user=?2) ORDER BY created DESC, id LIMIT ?3");
        let mut select = self.connection.prepare_cached(&select)?;
        let arguments = params![tenant.0, user.map(|user| user.seq), limit];
        select.query_map(arguments, |row| Ok(read(row)))?.map(|row| row?).collect()
    }

    fn session_users(&mut self) -> Result<Vec<(SessionId, UserId, Option<DeviceId>)>, StoreError> {
        let mut select = self.connection.prepare("SELECT id, tenant, user, device FROM session")?;
        let rows = select.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, TenantId(row.get(1)?), row.get(2)?, row.get::<_, Option<u32>>(3)?))
        })?;
        rows.map(|row| {
            let (id, tenant, user, device) = row?;
            let device = device.map(|seq| DeviceId::new(tenant, seq));
            Ok((id.parse().map_err(damaged)?, UserId::new(tenant, user), device))
        })
        .collect()
    }

    fn sessions_over(&mut self, now_unix: u64, limit: u32) -> Result<Vec<SessionId>, StoreError> {
        let select = "SELECT id FROM session WHERE expires<=?1 OR seen+idle<=?1 LIMIT ?2";
        let mut select = self.connection.prepare_cached(select)?;
        let rows = select.query_map(params![signed(now_unix), limit], |row| row.get::<_, String>(0))?;
        rows.map(|row| row?.parse().map_err(damaged)).collect()
    }
}

/// One change, into the open transaction.
pub(super) fn write(transaction: &Connection, change: &SessionChange) -> Result<(), StoreError> {
    match change {
        SessionChange::Put(session) => put(transaction, session)?,
        SessionChange::Removed(id) => {
            transaction.prepare_cached("DELETE FROM session WHERE id=?")?.execute([id.to_string()])?;
        }
        SessionChange::OfProvider(id, of) => super::providers::put_session(transaction, *id, of)?,
        SessionChange::Inherits(id, replaced) => {
            let inherit = "UPDATE session_provider SET session=? WHERE session=?";
            transaction.prepare_cached(inherit)?.execute([id.to_string(), replaced.to_string()])?;
        }
        SessionChange::Seen(id, at) => {
            let seen = "UPDATE session SET seen=?2 WHERE id=?1 AND seen<?2";
            transaction.prepare_cached(seen)?.execute(params![id.to_string(), signed(*at)])?;
        }
    }
    Ok(())
}

fn put(transaction: &Connection, session: &StoredSession) -> Result<(), StoreError> {
    let put = "INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let methods = serde_json::to_string(&session.methods).map_err(damaged)?;
    transaction.prepare_cached(put)?.execute(params![
        session.id.to_string(),
        session.user.tenant.0,
        session.user.seq,
        session.browser,
        signed(session.created_unix),
        signed(session.authenticated_unix),
        methods,
        session.provider.as_ref().map(ToString::to_string),
        session.source.map(|source| source.to_string()),
        session.user_agent,
        signed(session.expires_unix),
        session.idle_s,
        session.persistent,
        signed(session.seen_unix),
        session.risk.as_str(),
        session.device.map(|device| device.seq),
        session.claimed_device.as_str(),
    ])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<StoredSession, StoreError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
    let browser: Vec<u8> = row.get(3)?;
    let provider: Option<String> = row.get(7)?;
    let source: Option<String> = row.get(8)?;
    let tenant = TenantId(row.get(1)?);
    let device: Option<u32> = row.get(15)?;
    Ok(StoredSession {
        id: text(0)?.parse().map_err(damaged)?,
        user: UserId::new(tenant, row.get(2)?),
        browser: browser.try_into().map_err(|_| StoreError::Damaged("a session's browser".into()))?,
        created_unix: unsigned(row.get(4)?),
        authenticated_unix: unsigned(row.get(5)?),
        methods: decode(text(6)?)?,
        provider: provider.map(|name| name.parse().map_err(damaged)).transpose()?,
        source: source.map(|source| source.parse().map_err(damaged)).transpose()?,
        user_agent: row.get(9)?,
        expires_unix: unsigned(row.get(10)?),
        idle_s: row.get(11)?,
        persistent: row.get(12)?,
        seen_unix: unsigned(row.get(13)?),
        risk: text(14)?.parse().map_err(damaged)?,
        device: device.map(|seq| DeviceId::new(tenant, seq)),
        claimed_device: text(16)?.parse().map_err(damaged)?,
    })
}

const SESSIONS: &str =
    "SELECT id, tenant, user, browser, created, authenticated, methods, provider, source, user_agent,
    expires, idle, persistent, seen, risk, device, claimed_device FROM session";
