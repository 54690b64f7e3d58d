//! What only this store promises: its file, its mode, its migrations.

use super::*;
use crate::store::Directory as _;

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
    assert_eq!(store.audit(&AuditQuery { limit: 10, ..AuditQuery::default() }).unwrap().len(), 2);
    assert_eq!(store.user_count(TenantId::DEFAULT).unwrap(), 0);
    let schema = |store: &SqliteStore| {
        store.connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(schema(&store), 2);
    drop(store);
    assert_eq!(schema(&open(&path)), 2, "once is enough");
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

#[test]
fn the_audit_log_is_append_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("control.db"));
    let insert = "INSERT INTO audit (at, actor, action, target) VALUES (1, 'a', 'b', 'c')";
    store.connection.execute(insert, []).unwrap();
    for change in ["UPDATE audit SET actor='x'", "DELETE FROM audit"] {
        let refused = store.connection.execute(change, []).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
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
