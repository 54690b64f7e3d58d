//! The rows of devices.

use postern_model::device::{Approval, Compliance, Device, DeviceSettings, OWN_AUTHORITY};
use postern_model::ids::{DeviceId, TenantId, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, damaged, decode, signed, unsigned};
use crate::store::{DeviceChange, DeviceQuery, Devices, StoreError};

impl Devices for SqliteStore {
    fn device(&mut self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{DEVICES} WHERE tenant=? AND seq=?"))?;
        find.query_row(params![id.tenant.0, id.seq], |row| Ok(read(row))).optional()?.transpose()
    }

    fn devices_of_key(&mut self, tenant: TenantId, sha256: &str) -> Result<Vec<Device>, StoreError> {
        let mut find = self.connection.prepare_cached(&of_key())?;
        find.query_map(params![tenant.0, sha256], |row| Ok(read(row)))?.map(|row| row?).collect()
    }

    fn devices(&mut self, query: &DeviceQuery) -> Result<Vec<Device>, StoreError> {
        let mut select = self.connection.prepare_cached(&listed(query.owner.is_some()))?;
        let (owner, approval) = (query.owner.map(|owner| owner.seq), query.approval.map(Approval::as_str));
        let arguments = params![query.tenant.0, query.after, owner, approval, query.limit];
        select.query_map(arguments, |row| Ok(read(row)))?.map(|row| row?).collect()
    }

    fn device_count(&mut self, tenant: TenantId, owner: Option<UserId>) -> Result<u32, StoreError> {
        let mut count = self.connection.prepare_cached(&counted(owner.is_some()))?;
        Ok(count.query_row(params![tenant.0, owner.map(|owner| owner.seq)], |row| row.get(0))?)
    }

    fn devices_remembered(&mut self, tenant: TenantId) -> Result<u32, StoreError> {
        let count = "SELECT count(*) FROM device WHERE tenant=? AND approval='removed'";
        Ok(self.connection.prepare_cached(count)?.query_row([tenant.0], |row| row.get(0))?)
    }

    fn devices_over(&mut self, after_unix: u64, until_unix: u64) -> Result<Vec<DeviceId>, StoreError> {
        let select = "SELECT tenant, seq FROM
            (SELECT tenant, seq FROM device WHERE expires>?1 AND expires<=?2
            UNION SELECT tenant, seq FROM device WHERE compliant_until>?1 AND compliant_until<=?2) AS past
            WHERE EXISTS (SELECT 1 FROM session WHERE session.tenant=past.tenant AND session.device=past.seq)";
        let mut select = self.connection.prepare_cached(select)?;
        let rows = select.query_map(params![signed(after_unix), signed(until_unix)], |row| {
            Ok(DeviceId::new(TenantId(row.get(0)?), row.get(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn device_settings(&mut self, tenant: TenantId) -> Result<DeviceSettings, StoreError> {
        let mut find = self.connection.prepare_cached("SELECT settings FROM device_settings WHERE tenant=?")?;
        let settings: Option<String> = find.query_row([tenant.0], |row| row.get(0)).optional()?;
        settings.as_deref().map_or(Ok(DeviceSettings::default()), decode)
    }
}

// Which index is said, for by itself a tenant's devices would be read one after the other: nothing tells the planner how many those
// are.

fn of_key() -> String {
    format!("{DEVICES} INDEXED BY device_key WHERE tenant=? AND key=? ORDER BY seq")
}

/// Some of a tenant's, or of a user's.
fn listed(of_user: bool) -> String {
    let owned = if of_user { "INDEXED BY device_owner WHERE owner=?3" } else { "WHERE ?3 IS NULL" };
    format!(
        "{DEVICES} {owned} AND tenant=?1 AND seq>?2
        AND coalesce(approval=?4, approval<>'removed') ORDER BY seq LIMIT ?5"
    )
}

/// As many as there are of a tenant, or of a user.
fn counted(of_user: bool) -> String {
    let owned = if of_user { "device_owner WHERE owner=?2" } else { "device_approval WHERE ?2 IS NULL" };
    format!("SELECT count(*) FROM device INDEXED BY {owned} AND tenant=?1 AND approval<>'removed'")
}

/// One change, into the open transaction.
pub(super) fn write(transaction: &Connection, change: &DeviceChange) -> Result<(), StoreError> {
    match change {
        DeviceChange::Put(device) => put(transaction, device),
        DeviceChange::Seen(id, at) => {
            let seen = "UPDATE device SET seen=?3 WHERE tenant=?1 AND seq=?2 AND (seen IS NULL OR seen<?3)";
            run(transaction, seen, params![id.tenant.0, id.seq, signed(*at)])
        }
        DeviceChange::Removed(id) => {
            run(transaction, "DELETE FROM device WHERE tenant=? AND seq=?", params![id.tenant.0, id.seq])
        }
        DeviceChange::AuthorityRemoved(tenant, name) => {
            let unsaid = if name.as_str() == OWN_AUTHORITY { "approval<>'blocked'" } else { UNSAID };
            let remove = format!("DELETE FROM device WHERE tenant=? AND authority=? AND {unsaid}");
            run(transaction, &remove, params![tenant.0, name.as_str()])
        }
        DeviceChange::CertificatesEnded(tenant, name, at) => {
            let end = "UPDATE device SET expires=min(expires, ?3) WHERE tenant=?1 AND authority=?2";
            run(transaction, end, params![tenant.0, name.as_str(), signed(*at)])
        }
        DeviceChange::Expired(before) => {
            let expired = format!("expires<? AND authority<>? AND {UNSAID} LIMIT ?");
            let remove =
                format!("DELETE FROM device WHERE (tenant, seq) IN (SELECT tenant, seq FROM device WHERE {expired})");
            run(transaction, &remove, params![signed(*before), OWN_AUTHORITY, EXPIRED_AT_ONCE])
        }
        DeviceChange::SettingsPut(tenant, settings) => {
            let put = "INSERT INTO device_settings VALUES (?, ?) ON CONFLICT DO UPDATE SET settings=excluded.settings";
            let settings = serde_json::to_string(settings).map_err(damaged)?;
            run(transaction, put, params![tenant.0, settings])
        }
    }
}

/// A user goes, and their devices with them. One of another authority is remembered as removed: at the next sight of its
/// certificate it would come back, and be everybody's then.
pub(super) fn remove_owner(transaction: &Connection, user: UserId) -> Result<(), StoreError> {
    let remember = "UPDATE device SET approval='removed', owner=NULL WHERE tenant=? AND owner=? AND authority<>?";
    run(transaction, remember, params![user.tenant.0, user.seq, OWN_AUTHORITY])?;
    run(transaction, "DELETE FROM device WHERE tenant=? AND owner=?", params![user.tenant.0, user.seq])
}

/// A tenant is gone.
pub(super) fn remove_all(transaction: &Connection, tenant: TenantId) -> Result<(), StoreError> {
    run(transaction, "DELETE FROM device WHERE tenant=?", params![tenant.0])?;
    run(transaction, "DELETE FROM device_settings WHERE tenant=?", params![tenant.0])
}

fn put(transaction: &Connection, device: &Device) -> Result<(), StoreError> {
    let put =
        "INSERT INTO device VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, seq) DO UPDATE SET
        name=excluded.name, owner=excluded.owner, platform=excluded.platform, approval=excluded.approval,
        compliant=excluded.compliant, compliant_until=excluded.compliant_until, certificate=excluded.certificate,
        key=excluded.key, expires=excluded.expires, seen=excluded.seen";
    let (compliant, until) = match device.compliance {
        Compliance::ByAuthority => (None, None),
        Compliance::No => (Some(false), None),
        Compliance::Yes => (Some(true), None),
        Compliance::Until(end) => (Some(true), Some(signed(end))),
    };
    transaction.prepare_cached(put)?.execute(params![
        device.id.tenant.0,
        device.id.seq,
        device.name.as_str(),
        device.owner.map(|owner| owner.seq),
        device.platform.map(postern_model::policy::Platform::as_str),
        device.approval.as_str(),
        compliant,
        until,
        device.authority.as_str(),
        device.certificate_sha256,
        device.key_sha256,
        signed(device.expires_unix),
        signed(device.created_unix),
        device.seen_unix.map(signed),
    ])?;
    Ok(())
}

fn run(transaction: &Connection, statement: &str, arguments: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
    transaction.prepare_cached(statement)?.execute(arguments)?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Device, StoreError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(damaged);
    let tenant = TenantId(row.get(0)?);
    let owner: Option<u32> = row.get(3)?;
    let platform: Option<String> = row.get(4)?;
    let until = row.get::<_, Option<i64>>(7)?.map(unsigned);
    Ok(Device {
        id: DeviceId::new(tenant, row.get(1)?),
        name: text(2)?.parse().map_err(damaged)?,
        owner: owner.map(|seq| UserId::new(tenant, seq)),
        platform: platform.map(|platform| platform.parse().map_err(damaged)).transpose()?,
        approval: approval(text(5)?)?,
        compliance: match (row.get(6)?, until) {
            (None, _) => Compliance::ByAuthority,
            (Some(false), _) => Compliance::No,
            (Some(true), None) => Compliance::Yes,
            (Some(true), Some(end)) => Compliance::Until(end),
        },
        authority: text(8)?.parse().map_err(damaged)?,
        certificate_sha256: row.get(9)?,
        key_sha256: row.get(10)?,
        expires_unix: unsigned(row.get(11)?),
        created_unix: unsigned(row.get(12)?),
        seen_unix: row.get::<_, Option<i64>>(13)?.map(unsigned),
    })
}

fn approval(text: &str) -> Result<Approval, StoreError> {
    let all = [Approval::Waiting, Approval::Approved, Approval::Blocked, Approval::Removed];
    all.into_iter().find(|one| one.as_str() == text).ok_or_else(|| damaged(format!("a device is {text:?}")))
}

/// Of another authority's device: nobody said anything of it that must not be forgotten.
const UNSAID: &str = "approval='approved' AND owner IS NULL AND compliant IS NOT 0";
/// Rows that go in one transaction: a fraction of a second.
const EXPIRED_AT_ONCE: u32 = 10_000;
const DEVICES: &str = "SELECT tenant, seq, name, owner, platform, approval, compliant, compliant_until, authority,
    certificate, key, expires, created, seen FROM device";

#[cfg(test)]
mod tests {
    use super::*;

    /// There may be a hundred thousand in a tenant, and a page of the portal asks for those of one user.
    #[test]
    fn devices_of_a_user_or_a_key_are_found_without_a_look_at_the_tenants() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("control.db")).unwrap();
        for (statement, index) in [
            (of_key(), "device_key (tenant=? AND key=?)"),
            (listed(true), "device_owner (tenant=? AND owner=? AND seq>?)"),
            (counted(true), "device_owner (tenant=? AND owner=?)"),
            (counted(false), "COVERING INDEX device_approval (tenant=?)"),
        ] {
            let mut explain = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let nothing = rusqlite::params_from_iter(vec![rusqlite::types::Null; explain.parameter_count()]);
            let plan = explain.query_map(nothing, |row| row.get("detail")).unwrap();
            let plan: Vec<String> = plan.map(Result::unwrap).collect();
            assert!(plan.join("; ").contains(index), "{statement}: {plan:?}");
        }
    }
}
