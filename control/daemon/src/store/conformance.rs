//! What every store must do. Each implementation runs the same suite, given how to open it anew.

use postern_model::Change;
use postern_model::config::Tenant;
use postern_model::ids::ConnectorId;

use super::*;

mod devices;
mod directory;
mod factors;
mod records;
mod requests;
mod reviews;
mod scim;

type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

/// The suite.
pub(crate) fn run(open: Open<'_>) {
    empty_is_none(open);
    commits_come_back(open);
    a_failing_commit_leaves_nothing(open);
    checkpoints_shorten_the_log(open);
    tokens_are_kept_with_their_use(open);
    directory::run(open);
    factors::run(open);
    devices::run(open);
    records::run(open);
    scim::run(open);
    reviews::run(open);
    // Last: it removes what was never there, and nothing can be loaded after that.
    requests::run(open);
    reviews::are_gone(open);
}

fn empty_is_none(open: Open<'_>) {
    assert!(open().load().unwrap().is_none());
    assert_eq!(open().counter("app/t1").unwrap(), 0);
    assert_eq!(open().token("x").unwrap(), None);
}

fn commits_come_back(open: Open<'_>) {
    let mut commit = commit(1..=3);
    commit.counters.push(("app/t1".into(), 7));
    commit.pins.push((RelayId(1), Some(Pin { key_sha256: "ab".into(), how: Pinned::FirstUse })));
    assert!(open().commit(&commit).unwrap() > 0);
    let loaded = open().load().unwrap().unwrap();
    assert_eq!((loaded.snapshot.version, loaded.snapshot.tenants.len()), (3, 3));
    assert_eq!(loaded.initialised_unix_ms, 5_000);
    assert_eq!(open().counter("app/t1").unwrap(), 7);
    let pins = open().pins().unwrap();
    assert_eq!(pins, [(RelayId(1), Pin { key_sha256: "ab".into(), how: Pinned::FirstUse })]);
    let gone = Commit { pins: vec![(RelayId(1), None)], ..Commit::default() };
    open().commit(&gone).unwrap();
    assert!(open().pins().unwrap().is_empty());
}

fn a_failing_commit_leaves_nothing(open: Open<'_>) {
    let mut store = open();
    let mut twice = commit(4..=4);
    twice.deltas.push(twice.deltas[0].clone());
    twice.counters.push(("app/t1".into(), 99));
    let before = audit_len(&mut *store);
    assert!(store.commit(&twice).is_err());
    assert_eq!(open().load().unwrap().unwrap().snapshot.version, 3);
    assert_eq!(store.counter("app/t1").unwrap(), 7);
    assert_eq!(audit_len(&mut *store), before);
}

fn checkpoints_shorten_the_log(open: Open<'_>) {
    let mut store = open();
    let snapshot = store.load().unwrap().unwrap().snapshot;
    let versions = |store: &mut Box<dyn Store>, after| {
        let deltas = store.deltas_after(after, 10).unwrap();
        deltas.map(|deltas| deltas.iter().map(|delta| delta.version).collect::<Vec<_>>())
    };
    assert_eq!(versions(&mut store, 1), Some(vec![2, 3]));
    store.checkpoint(&snapshot, 2).unwrap();
    assert_eq!(versions(&mut store, 0), None, "pruned");
    assert_eq!(versions(&mut store, 1), None, "pruned");
    assert_eq!(versions(&mut store, 2), Some(vec![3]));
    assert_eq!(versions(&mut store, 3), Some(vec![]));
    let loaded = open().load().unwrap().unwrap();
    assert_eq!((loaded.snapshot, loaded.log_bytes), (snapshot, 0));
    store.commit(&commit(4..=5)).unwrap();
    assert_eq!(open().load().unwrap().unwrap().snapshot.version, 5);
    assert_eq!(store.deltas_after(3, 1).unwrap().unwrap().len(), 1, "the limit");
}

fn tokens_are_kept_with_their_use(open: Open<'_>) {
    let mut store = open();
    let mut token =
        TokenRecord { id: "a".into(), key: [7; 32], group: GroupId::DEFAULT, expires_unix: 100, used: None };
    let put = |token: &TokenRecord| Commit { tokens: vec![token.clone()], at_unix_ms: 50_000, ..Commit::default() };
    store.commit(&put(&token)).unwrap();
    assert_eq!(store.tokens_open(GroupId::DEFAULT, 99).unwrap(), 1);
    assert_eq!(store.tokens_open(GroupId::DEFAULT, 100).unwrap(), 0, "expired");
    token.used = Some((ConnectorId::new(TenantId::DEFAULT, 1), "key".into()));
    store.commit(&put(&token)).unwrap();
    assert_eq!(store.tokens_open(GroupId::DEFAULT, 99).unwrap(), 0, "used");
    assert_eq!(open().token("a").unwrap(), Some(token));
    let removed = Commit { tokens_removed: vec![GroupId::DEFAULT], ..Commit::default() };
    store.commit(&removed).unwrap();
    assert_eq!(store.token("a").unwrap(), None);
}

fn commit(versions: std::ops::RangeInclusive<u32>) -> Commit {
    let mut commit = Commit { at_unix_ms: 5_000, ..Commit::default() };
    for number in versions {
        let tenant = Tenant { id: TenantId(number), name: format!("t{number}").parse().unwrap(), app_suffix: None };
        let change = Change::TenantPut(tenant);
        let version = u64::from(number);
        commit.deltas.push(Delta { version, at_unix_ms: 5_000, tenant: change.tenant(), change });
        commit.audit.push(AuditEntry {
            actor: "test".into(),
            action: "tenant.create",
            tenant: Some(TenantId(number)),
            target: "x".into(),
            before: None,
            after: None,
            version: Some(version),
        });
    }
    commit
}

fn audit_len(store: &mut dyn Store) -> usize {
    records::audit_all(store).len()
}
