//! What only this store promises: its file, its mode, its migrations.

use postern_model::chain::{LogKind, Mark, Walk};
use postern_model::ids::{SessionId, TenantId};
use postern_model::policy::DeviceState;

use super::*;
use crate::store::records::{AuditFilter, Order, Span};
use crate::store::sign_in::{Logged, SignInOutcome};
use crate::store::{AuditEntry, Directory as _, Records as _, Sessions as _, SignIn};

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).unwrap()
}

#[test]
fn conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.db");
    crate::store::conformance::run(&|| Box::new(open(&path)));
}

#[test]
fn the_file_is_private_and_writes_are_synchronous() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.db");
    let store = open(&path);
    for file in ["control.db", "control.db-wal"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let pragma = |name: &str| {
        store
            .connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), rusqlite::types::Value::Text("wal".into()));
    assert_eq!(pragma("synchronous"), rusqlite::types::Value::Integer(2));
}

/// A file as the first schema had it: what is in it stays, and the directory is there.
#[test]
fn an_older_file_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("made-by-schema-1.sql")).unwrap();
    drop(old);
    let mut store = open(&path);
    let loaded = store.load().unwrap().unwrap();
    assert_eq!((loaded.snapshot.version, loaded.initialised_unix_ms), (4, 1_795_876_331_130));
    assert_eq!(loaded.snapshot.networks.len(), 1);
    assert_eq!(store.counter("group/t1").unwrap(), 1);
    let span = Span { first: 1, last: 10, order: Order::OldestFirst, limit: 10 };
    let records = store.audit(&AuditFilter::default(), span).unwrap();
    let mut walk = Walk::new(Mark::START, None);
    records.iter().try_for_each(|record| walk.step(record)).unwrap();
    walk.end(Some(store.chain(LogKind::Audit).unwrap().head)).unwrap();
    assert_eq!((records.len(), records[1].actor.as_str(), records[1].version), (2, "uid 0 (root)", Some(4)));
    assert_eq!(store.user_count(TenantId::DEFAULT).unwrap(), 0);
    let schema = |store: &SqliteStore| {
        store.connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let newest = i64::try_from(STEPS.len()).unwrap();
    assert_eq!(schema(&store), newest);
    drop(store);
    assert_eq!(schema(&open(&path)), newest, "once is enough");
}

/// A session of before providers could say anything of devices: it goes on, and nothing is known of its device.
#[test]
fn a_session_of_an_older_file_has_no_claimed_device() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.db");
    let old = open(&path);
    let before = STEPS.iter().position(|step| step.sql.contains("claimed_device")).unwrap();
    old.connection
        .execute_batch(&format!(
            "ALTER TABLE session DROP COLUMN claimed_device; PRAGMA user_version={before};
            INSERT INTO user (tenant, seq, login, display_name, attributes, guest, enabled, created)
            VALUES (1, 1, 'anna', '', '{{}}', 0, 1, 1);
            INSERT INTO session VALUES ('{:032x}', 1, 1, zeroblob(32), 1, 1, '[]', 'corp', NULL, '', 9, 9, 0, 1, 'low', NULL);",
            7
        ))
        .unwrap();
    drop(old);
    let session = open(&path).session(SessionId(7)).unwrap().unwrap();
    assert_eq!((session.claimed_device, session.expires_unix), (DeviceState::Unknown, 9));
}

#[test]
fn hashes_are_nowhere_but_in_their_own_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.db");
    let store = open(&path);
    let mut tables = store.connection.prepare("SELECT name FROM pragma_table_list WHERE type='table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let has_hash = |table: &&String| {
        let columns = format!("SELECT count(*) FROM pragma_table_info('{table}') WHERE name='phc'");
        store.connection.query_row(&columns, [], |row| row.get::<_, u32>(0)).unwrap() > 0
    };
    assert_eq!(tables.iter().filter(has_hash).collect::<Vec<_>>(), ["user_password"]);
}

/// A file in which records were removed by hand before they had hashes: nobody could tell later when that was.
#[test]
fn an_older_file_with_gaps_in_its_audit_log_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let old = Connection::open(&path).unwrap();
    let dump =
        include_str!("made-by-schema-1.sql").replace("INSERT INTO audit VALUES(1,", "INSERT INTO audit VALUES(9,");
    old.execute_batch(&dump).unwrap();
    let refused = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(refused.contains("audit record 1 is missing"), "{refused}");
    let kept = |sql: &str| old.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(
        (kept("PRAGMA user_version"), kept("SELECT count(*) FROM audit")),
        (3, 2),
        "the step is whole or nothing"
    );
}

#[test]
fn the_logs_are_append_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder.path().join("control.db"));
    let sign_in = SignIn::new(TenantId::DEFAULT, Logged::cut("anna"), SignInOutcome::Success);
    let entry = AuditEntry {
        actor: "a".into(),
        action: "b",
        tenant: None,
        target: "c".into(),
        before: None,
        after: None,
        version: None,
    };
    let (audit, sign_ins) = (vec![entry.clone(), entry], vec![sign_in.clone(), sign_in]);
    store.commit(&Commit { audit, sign_ins, ..Commit::default() }).unwrap();
    for change in [
        "UPDATE audit SET actor='x'",
        "UPDATE audit SET hash=zeroblob(32)",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE seq=2",
        "INSERT INTO audit SELECT 9, at, actor, action, tenant, target, before, after, version, hash, hash FROM audit WHERE seq=2",
        "INSERT INTO audit SELECT 3, at, actor, action, tenant, target, before, after, version, previous, hash FROM audit WHERE seq=2",
        "INSERT INTO audit SELECT NULL, at, actor, action, tenant, target, before, after, version, hash, hash FROM audit WHERE seq=2",
        "INSERT OR REPLACE INTO audit SELECT seq, at, 'x', action, tenant, target, before, after, version, previous, hash FROM audit WHERE seq=2",
        "UPDATE sign_in SET login='x'",
        "DELETE FROM sign_in",
    ] {
        let refused = store.connection.execute(change, []).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{change}: {refused}");
    }
    for change in [
        "DELETE FROM chain",
        "INSERT INTO chain VALUES ('x', 0, zeroblob(32), 0, zeroblob(32))",
        "INSERT OR REPLACE INTO chain VALUES ('audit', 0, zeroblob(32), 0, zeroblob(32))",
        "UPDATE chain SET seq=1",
        "UPDATE chain SET hash=zeroblob(32)",
        "UPDATE chain SET base_seq=9",
        "UPDATE chain SET base_seq=1, base_hash=zeroblob(32) WHERE log='audit'",
    ] {
        assert!(store.connection.execute(change, []).is_err(), "{change}");
    }
    // Retention's way, and only as far as it says.
    let cut = "UPDATE chain SET base_seq=1, base_hash=(SELECT hash FROM audit WHERE seq=1) WHERE log='audit'";
    store.connection.execute(cut, []).unwrap();
    assert!(store.connection.execute("DELETE FROM audit", []).is_err());
    assert_eq!(store.connection.execute("DELETE FROM audit WHERE seq=1", []).unwrap(), 1);
}

#[test]
fn a_damaged_or_newer_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.db");
    std::fs::write(&path, "x".repeat(5_000)).unwrap();
    let refused = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(refused.contains("not a database"), "{refused}");
    let path = folder.path().join("newer.db");
    open(&path).connection.execute_batch("PRAGMA user_version=99").unwrap();
    let refused = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(refused.contains("schema 99"), "{refused}");
}

/// What a commit costs, with the disk and without it: `cargo test -p postern-control --release -- --ignored commit_costs --nocapture`.
#[test]
#[ignore = "it measures and judges nothing"]
fn commit_costs() {
    let folder = tempfile::tempdir().unwrap();
    for synchronous in ["FULL", "OFF"] {
        let mut store = open(&folder.path().join(synchronous));
        store.connection.execute_batch(&format!("PRAGMA synchronous={synchronous}")).unwrap();
        let entry = |number: u32| AuditEntry {
            actor: "uid 1000 (anna)".into(),
            action: "app.set",
            tenant: Some(TenantId::DEFAULT),
            target: format!("app crm (a1-{number})"),
            before: Some("https://crm.example.com/ to https://10.0.0.1/, passthrough".into()),
            after: Some("https://crm.example.com/ to https://10.0.0.2/, passthrough".into()),
            version: None,
        };
        let commits = if synchronous == "FULL" { 2_000 } else { 20_000 };
        let started = std::time::Instant::now();
        for number in 0..commits {
            let commit = Commit { audit: vec![entry(number)], at_unix_ms: 5_000, ..Commit::default() };
            store.commit(&commit).unwrap();
        }
        println!(
            "synchronous={synchronous}: {:.1} µs a commit",
            started.elapsed().as_secs_f64() * 1e6 / f64::from(commits)
        );
    }
}
