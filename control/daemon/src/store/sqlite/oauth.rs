//! The rows of the OpenID provider's clients.

use postern_model::ids::{ClientId, TenantId, UserId};
use postern_model::oauth::Scopes;
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use super::{SqliteStore, damaged, decode, signed, unsigned};
use crate::store::{ClientChange, Clients, StoreError, StoredClient, StoredGrant};

impl Clients for SqliteStore {
    fn client(&mut self, id: ClientId) -> Result<Option<StoredClient>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{CLIENTS} WHERE tenant=? AND seq=?"))?;
        find.query_row(params![id.tenant.0, id.seq], |row| Ok(read_client(row))).optional()?.transpose()
    }

    fn clients(&mut self, tenant: TenantId) -> Result<Vec<StoredClient>, StoreError> {
        let mut select = self.connection.prepare_cached(&format!("{CLIENTS} WHERE tenant=? ORDER BY name"))?;
        select.query_map([tenant.0], |row| Ok(read_client(row)))?.map(|row| row?).collect()
    }

    fn grants_of(&mut self, client: ClientId) -> Result<u32, StoreError> {
        let count = "SELECT count(*) FROM oauth_grant WHERE tenant=? AND client=?";
        let mut count = self.connection.prepare_cached(count)?;
        Ok(count.query_row(params![client.tenant.0, client.seq], |row| row.get(0))?)
    }

    fn grant(&mut self, id: &[u8; 16]) -> Result<Option<StoredGrant>, StoreError> {
        let find = "SELECT session, tenant, client, scopes, refresh, used FROM oauth_grant WHERE id=?";
        let mut find = self.connection.prepare_cached(find)?;
        find.query_row([id], |row| Ok(read_grant(*id, row))).optional()?.transpose()
    }

    fn consented(&mut self, user: UserId, client: ClientId) -> Result<Option<Scopes>, StoreError> {
        let find = "SELECT scopes FROM oauth_consent WHERE tenant=? AND user=? AND client=?";
        let mut find = self.connection.prepare_cached(find)?;
        let arguments = params![user.tenant.0, user.seq, client.seq];
        let text: Option<String> = find.query_row(arguments, |row| row.get(0)).optional()?;
        text.map(|text| text.parse().map_err(damaged)).transpose()
    }
}

/// One change, into the open transaction.
pub(super) fn write(transaction: &Connection, change: &ClientChange) -> Result<(), StoreError> {
    let run = |statement: &str, arguments: &[&dyn ToSql]| -> Result<usize, StoreError> {
        Ok(transaction.prepare_cached(statement)?.execute(arguments)?)
    };
    let of = |client: &ClientId| (client.tenant.0, client.seq);
    match change {
        ClientChange::Put(client) => {
            let put = "INSERT INTO oauth_client VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, seq) DO UPDATE SET
                settings=excluded.settings, secret=excluded.secret";
            let settings = serde_json::to_string(&client.settings).map_err(damaged)?;
            let (tenant, seq) = of(&client.id);
            run(put, params![tenant, seq, client.name.as_str(), settings, client.secret])?;
        }
        ClientChange::Removed(id) => {
            let (tenant, seq) = of(id);
            run("DELETE FROM oauth_client WHERE tenant=? AND seq=?", params![tenant, seq])?;
        }
        ClientChange::Granted(grant, kept) => granted(transaction, grant, *kept)?,
        ClientChange::Refreshed { id, from, to, at_unix } => {
            let refresh = "UPDATE oauth_grant SET refresh=?3, used=?4 WHERE id=?1 AND refresh=?2";
            if run(refresh, params![id, from, to, signed(*at_unix)])? != 1 {
                return Err(StoreError::Used("a refresh token".into()));
            }
        }
        ClientChange::GrantEnded(id) => drop(run("DELETE FROM oauth_grant WHERE id=?", params![id])?),
        ClientChange::GrantsEnded(client) => {
            let (tenant, seq) = of(client);
            run("DELETE FROM oauth_grant WHERE tenant=? AND client=?", params![tenant, seq])?;
        }
        ClientChange::Consented(user, client, scopes) => {
            let put = "INSERT INTO oauth_consent VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET scopes=excluded.scopes";
            run(put, params![user.tenant.0, user.seq, client.seq, scopes.to_string()])?;
        }
        ClientChange::ConsentsForgotten(client) => {
            let (tenant, seq) = of(client);
            run("DELETE FROM oauth_consent WHERE tenant=? AND client=?", params![tenant, seq])?;
        }
    }
    Ok(())
}

fn granted(transaction: &Connection, grant: &StoredGrant, kept: u32) -> Result<(), StoreError> {
    let session = grant.session.to_string();
    let full = "DELETE FROM oauth_grant WHERE session=?1 AND id NOT IN
        (SELECT id FROM oauth_grant WHERE session=?1 ORDER BY used DESC LIMIT ?2)";
    transaction.prepare_cached(full)?.execute(params![session, kept.saturating_sub(1)])?;
    let put = "INSERT INTO oauth_grant VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)";
    transaction.prepare_cached(put)?.execute(params![
        grant.id,
        session,
        grant.client.tenant.0,
        grant.client.seq,
        grant.scopes.to_string(),
        grant.refresh,
        signed(grant.used_unix),
    ])?;
    Ok(())
}

fn read_client(row: &Row<'_>) -> Result<StoredClient, StoreError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
    let secret: Option<Vec<u8>> = row.get(4)?;
    let secret = secret.map(|secret| secret.try_into().map_err(|_| StoreError::Damaged("a client's secret".into())));
    Ok(StoredClient {
        id: ClientId::new(TenantId(row.get(0)?), row.get(1)?),
        name: text(2)?.parse().map_err(damaged)?,
        settings: decode(text(3)?)?,
        secret: secret.transpose()?,
    })
}

fn read_grant(id: [u8; 16], row: &Row<'_>) -> Result<StoredGrant, StoreError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
    let refresh: Vec<u8> = row.get(4)?;
    Ok(StoredGrant {
        id,
        session: text(0)?.parse().map_err(damaged)?,
        client: ClientId::new(TenantId(row.get(1)?), row.get(2)?),
        scopes: text(3)?.parse().map_err(damaged)?,
        refresh: refresh.try_into().map_err(|_| StoreError::Damaged("a refresh token".into()))?,
        used_unix: unsigned(row.get(5)?),
    })
}

const CLIENTS: &str = "SELECT tenant, seq, name, settings, secret FROM oauth_client";
