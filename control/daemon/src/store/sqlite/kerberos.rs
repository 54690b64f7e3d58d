//! The rows of signing in by Kerberos.

use postern_model::directory::User;
use postern_model::ids::TenantId;
use postern_model::negotiate::{KerberosSignIn, Sought};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::directory::{USERS, read_user};
use super::{SqliteStore, damaged, decode};
use crate::store::{Directory as _, Kerberos, StoreError};

impl Kerberos for SqliteStore {
    fn kerberos(&mut self, tenant: TenantId) -> Result<Option<KerberosSignIn>, StoreError> {
        let mut find = self.connection.prepare_cached("SELECT settings FROM kerberos_sign_in WHERE tenant=?")?;
        let settings: Option<String> = find.query_row([tenant.0], |row| row.get(0)).optional()?;
        settings.as_deref().map(decode).transpose()
    }

    fn users_sought(&mut self, tenant: TenantId, sought: &Sought) -> Result<Vec<User>, StoreError> {
        let (condition, name) = match sought {
            Sought::Login(login) => return Ok(self.user_by_login(tenant, login)?.into_iter().collect()),
            // What follows `@` in order is `A`.
            Sought::UserPart(part) => ("(login=?2 OR (login>?2||'@' AND login<?2||'A'))", part),
            Sought::Attribute(attribute, name) => (by_attribute(attribute)?, name),
        };
        let mut find = self.connection.prepare_cached(&format!("{USERS} WHERE tenant=?1 AND {condition} LIMIT 2"))?;
        find.query_map(params![tenant.0, name], |row| Ok(read_user(row)))?.map(|row| row?).collect()
    }
}

/// As the indexes are written, which are used then.
fn by_attribute(attribute: &str) -> Result<&'static str, StoreError> {
    match attribute {
        "onprem_upn" => Ok("lower(json_extract(attributes, '$.onprem_upn'))=?2"),
        "sam_account_name" => Ok("lower(json_extract(attributes, '$.sam_account_name'))=?2"),
        other => Err(damaged(format!("nobody is found by the attribute {other}"))),
    }
}

/// What is set from now on, into the open transaction.
pub(super) fn write(
    transaction: &Connection,
    tenant: TenantId,
    settings: Option<&KerberosSignIn>,
) -> Result<(), StoreError> {
    let Some(settings) = settings else {
        transaction.prepare_cached("DELETE FROM kerberos_sign_in WHERE tenant=?")?.execute([tenant.0])?;
        return Ok(());
    };
    let put = "INSERT INTO kerberos_sign_in VALUES (?, ?) ON CONFLICT DO UPDATE SET settings=excluded.settings";
    let settings = serde_json::to_string(settings).map_err(damaged)?;
    transaction.prepare_cached(put)?.execute(params![tenant.0, settings])?;
    Ok(())
}
