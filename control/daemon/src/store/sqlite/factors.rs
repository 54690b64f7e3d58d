//! The rows of second factors.

use postern_model::ids::{TenantId, UserId};
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};
use zeroize::Zeroizing;

use super::{SqliteStore, damaged, signed, unsigned};
use crate::store::StoreError;
use crate::store::factors::{FactorChange, Factors, StoredFactors, StoredKey, StoredTotp, TotpSecret};

impl Factors for SqliteStore {
    fn factors(&mut self, user: UserId) -> Result<StoredFactors, StoreError> {
        let who = params![user.tenant.0, user.seq];
        let totp = "SELECT secret, step, created FROM user_totp WHERE tenant=? AND user=?";
        let totp = self.connection.prepare_cached(totp)?.query_row(who, |row| {
            let secret = TotpSecret(Zeroizing::new(row.get(0)?));
            Ok(StoredTotp { secret, step: unsigned(row.get(1)?), created_unix: unsigned(row.get(2)?) })
        });
        let totp = totp.optional()?;
        let keys = format!("{KEYS} WHERE tenant=? AND user=? ORDER BY created, credential");
        let mut keys = self.connection.prepare_cached(&keys)?;
        let keys = keys.query_map(who, |row| Ok(read_key(row)))?.map(|row| Ok(row??.1));
        let keys = keys.collect::<Result<_, StoreError>>()?;
        let recovery = "SELECT count(*) FROM user_recovery WHERE tenant=? AND user=?";
        let recovery = self.connection.prepare_cached(recovery)?.query_row(who, |row| row.get(0))?;
        Ok(StoredFactors { totp, keys, recovery })
    }

    fn key(&mut self, credential: &[u8]) -> Result<Option<(UserId, StoredKey)>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{KEYS} WHERE credential=?"))?;
        find.query_row([credential], |row| Ok(read_key(row))).optional()?.transpose()
    }

    fn has_recovery(&mut self, user: UserId, hash: &[u8; 32]) -> Result<bool, StoreError> {
        let find = "SELECT 1 FROM user_recovery WHERE tenant=? AND user=? AND hash=?";
        Ok(self.connection.prepare_cached(find)?.exists(params![user.tenant.0, user.seq, hash])?)
    }
}

/// One change, into the open transaction.
pub(super) fn write(transaction: &Connection, change: &FactorChange) -> Result<(), StoreError> {
    match change {
        FactorChange::TotpPut(user, totp) => {
            let put = "INSERT OR REPLACE INTO user_totp VALUES (?, ?, ?, ?, ?)";
            let StoredTotp { secret, step, created_unix } = totp;
            let row = params![user.tenant.0, user.seq, *secret.0, signed(*step), signed(*created_unix)];
            run(transaction, put, row).map(drop)
        }
        FactorChange::TotpUsed(user, step) => {
            let used = "UPDATE user_totp SET step=?3 WHERE tenant=?1 AND user=?2 AND step<?3";
            one(run(transaction, used, params![user.tenant.0, user.seq, signed(*step)])?, "a one-time password")
        }
        FactorChange::TotpRemoved(user) => {
            let remove = "DELETE FROM user_totp WHERE tenant=? AND user=?";
            run(transaction, remove, params![user.tenant.0, user.seq]).map(drop)
        }
        FactorChange::KeyPut(user, key) => put_key(transaction, *user, key),
        FactorChange::KeyUsed(credential, counter, at) => {
            let used =
                "UPDATE user_key SET counter=?2, used=?3 WHERE credential=?1 AND (counter<?2 OR counter=0 AND ?2=0)";
            one(run(transaction, used, params![credential, counter, signed(*at)])?, "a key")
        }
        FactorChange::KeyRemoved(user, credential) => {
            let remove = "DELETE FROM user_key WHERE tenant=? AND user=? AND credential=?";
            run(transaction, remove, params![user.tenant.0, user.seq, credential]).map(drop)
        }
        FactorChange::RecoveryPut(user, hashes) => {
            let clear = "DELETE FROM user_recovery WHERE tenant=? AND user=?";
            run(transaction, clear, params![user.tenant.0, user.seq])?;
            hashes.iter().try_for_each(|hash| {
                let put = "INSERT INTO user_recovery VALUES (?, ?, ?)";
                run(transaction, put, params![user.tenant.0, user.seq, hash]).map(drop)
            })
        }
        FactorChange::RecoveryUsed(user, hash) => {
            let used = "DELETE FROM user_recovery WHERE tenant=? AND user=? AND hash=?";
            one(run(transaction, used, params![user.tenant.0, user.seq, hash])?, "a recovery code")
        }
    }
}

fn put_key(transaction: &Connection, user: UserId, key: &StoredKey) -> Result<(), StoreError> {
    let put = "INSERT INTO user_key VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let row = params![
        key.credential,
        user.tenant.0,
        user.seq,
        key.public_key,
        key.counter,
        key.name.as_str(),
        signed(key.created_unix),
        signed(key.used_unix),
    ];
    run(transaction, put, row).map(drop)
}

fn run(transaction: &Connection, statement: &str, row: impl Params) -> Result<usize, StoreError> {
    Ok(transaction.prepare_cached(statement)?.execute(row)?)
}

/// What is good once is there once.
fn one(rows: usize, what: &str) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(StoreError::Used(what.into())) }
}

fn read_key(row: &Row<'_>) -> Result<(UserId, StoredKey), StoreError> {
    let name = row.get_ref(5)?.as_str().map_err(damaged)?.parse().map_err(damaged)?;
    let key = StoredKey {
        credential: row.get(0)?,
        public_key: row.get(3)?,
        counter: row.get(4)?,
        name,
        created_unix: unsigned(row.get(6)?),
        used_unix: unsigned(row.get(7)?),
    };
    Ok((UserId::new(TenantId(row.get(1)?), row.get(2)?), key))
}

const KEYS: &str = "SELECT credential, tenant, user, public_key, counter, name, created, used FROM user_key";
