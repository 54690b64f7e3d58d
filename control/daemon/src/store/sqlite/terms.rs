//! The rows of terms of use.

use postern_model::directory::Line;
use postern_model::ids::{Name, TenantId, UserId};
use postern_model::terms::{AcceptedTerms, TermsText};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, damaged, signed, unsigned};
use crate::store::StoreError;
use crate::store::terms::{Acceptance, StoredTerms, Terms, TermsChange, TermsVersion};

impl Terms for SqliteStore {
    fn terms(&mut self, tenant: TenantId) -> Result<Vec<StoredTerms>, StoreError> {
        let select = "SELECT tenant, name, version, again_from, every FROM terms WHERE tenant=? ORDER BY name";
        let mut select = self.connection.prepare_cached(select)?;
        select.query_map([tenant.0], |row| Ok(read(row)))?.map(|row| row?).collect()
    }

    fn terms_version(
        &mut self,
        tenant: TenantId,
        name: &Name,
        version: Option<u32>,
    ) -> Result<Option<(StoredTerms, TermsVersion)>, StoreError> {
        let find = "SELECT t.tenant, t.name, t.version, t.again_from, t.every, v.version, v.title, v.format, v.body, v.made
            FROM terms t JOIN terms_version v ON v.tenant=t.tenant AND v.name=t.name AND v.version=coalesce(?3, t.version)
            WHERE t.tenant=?1 AND t.name=?2";
        let mut find = self.connection.prepare_cached(find)?;
        let found = find.query_row(params![tenant.0, name.as_str(), version], |row| {
            Ok(read(row).and_then(|terms| Ok((terms, read_version(row)?))))
        });
        found.optional()?.transpose()
    }

    fn accepted_terms(&mut self, user: UserId) -> Result<AcceptedTerms, StoreError> {
        let select = "SELECT t.tenant, t.name, t.version, t.again_from, t.every, max(a.accepted)
            FROM terms_accepted a JOIN terms t ON t.tenant=a.tenant AND t.name=a.name
            WHERE a.tenant=? AND a.user=? AND a.version>=t.again_from GROUP BY t.name";
        let mut select = self.connection.prepare_cached(select)?;
        let rows = select.query_map(params![user.tenant.0, user.seq], |row| Ok((read(row), row.get::<_, i64>(5)?)))?;
        let mut accepted = AcceptedTerms::default();
        for row in rows {
            let (terms, at) = row?;
            let terms = terms?;
            let until = terms.until(unsigned(at));
            accepted.insert(terms.name, until);
        }
        Ok(accepted)
    }

    fn accepted_once(&mut self, user: UserId, name: &Name) -> Result<bool, StoreError> {
        let find = "SELECT 1 FROM terms_accepted WHERE tenant=? AND user=? AND name=?";
        Ok(self.connection.prepare_cached(find)?.exists(params![user.tenant.0, user.seq, name.as_str()])?)
    }

    fn acceptances(
        &mut self,
        tenant: TenantId,
        name: &Name,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Acceptance>, StoreError> {
        // All versions of a user are on one page: the limit is of users.
        let select = "SELECT a.user, u.login, a.version, a.accepted FROM terms_accepted a
            JOIN user u ON u.tenant=a.tenant AND u.seq=a.user
            WHERE a.tenant=?1 AND a.name=?2 AND a.user IN
                (SELECT DISTINCT user FROM terms_accepted WHERE tenant=?1 AND name=?2 AND user>?3 ORDER BY user LIMIT ?4)
            ORDER BY a.user, a.version";
        let mut select = self.connection.prepare_cached(select)?;
        let rows = select.query_map(params![tenant.0, name.as_str(), after, limit], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get::<_, i64>(3)?))
        })?;
        rows.map(|row| {
            let (seq, login, version, at) = row?;
            let login = login.parse().map_err(damaged)?;
            Ok(Acceptance { user: UserId::new(tenant, seq), login, version, accepted_unix: unsigned(at) })
        })
        .collect()
    }
}

/// One change, into the open transaction.
pub(super) fn write(transaction: &Connection, change: &TermsChange) -> Result<(), StoreError> {
    match change {
        TermsChange::Put(terms, version) => {
            let put = "INSERT INTO terms VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, name) DO UPDATE SET
                version=excluded.version, again_from=excluded.again_from, every=excluded.every";
            let StoredTerms { tenant, name, version: newest, again_from, every_s } = terms;
            let row = params![tenant.0, name.as_str(), newest, again_from, every_s];
            transaction.prepare_cached(put)?.execute(row)?;
            if let Some(text) = version {
                let put = "INSERT INTO terms_version VALUES (?, ?, ?, ?, ?, ?, ?)";
                let (format, made) = (text.format.as_str(), signed(text.made_unix));
                let (title, body) = (text.title.as_str(), text.text.as_str());
                let row = params![tenant.0, name.as_str(), text.version, title, format, body, made];
                transaction.prepare_cached(put)?.execute(row)?;
            }
        }
        TermsChange::Removed(tenant, name) => {
            let remove = "DELETE FROM terms WHERE tenant=? AND name=?";
            transaction.prepare_cached(remove)?.execute(params![tenant.0, name.as_str()])?;
        }
        TermsChange::Accepted(user, name, version, at) => {
            let put = "INSERT INTO terms_accepted VALUES (?, ?, ?, ?, ?)
                ON CONFLICT DO UPDATE SET accepted=excluded.accepted";
            let row = params![user.tenant.0, user.seq, name.as_str(), version, signed(*at)];
            transaction.prepare_cached(put)?.execute(row)?;
        }
    }
    Ok(())
}

/// A tenant is gone.
pub(super) fn remove_all(transaction: &Connection, tenant: TenantId) -> Result<(), StoreError> {
    transaction.prepare_cached("DELETE FROM terms WHERE tenant=?")?.execute([tenant.0])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<StoredTerms, StoreError> {
    Ok(StoredTerms {
        tenant: TenantId(row.get(0)?),
        name: row.get_ref(1)?.as_str().map_err(damaged)?.parse().map_err(damaged)?,
        version: row.get(2)?,
        again_from: row.get(3)?,
        every_s: row.get(4)?,
    })
}

fn read_version(row: &Row<'_>) -> Result<TermsVersion, StoreError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
    Ok(TermsVersion {
        version: row.get(5)?,
        title: text(6)?.parse::<Line<_>>().map_err(damaged)?,
        format: text(7)?.parse().map_err(damaged)?,
        text: TermsText::try_from(text(8)?.to_owned()).map_err(damaged)?,
        made_unix: unsigned(row.get(9)?),
    })
}
