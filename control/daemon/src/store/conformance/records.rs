//! The logs' part: both chains, their filters and spans, what goes together, and how the oldest records go.

use postern_model::admin::{AuditRecord, SignInRecord, SignInResult};
use postern_model::chain::{Chained as _, LogKind, Mark, Walk};
use postern_model::ids::{AppId, RequestId, SessionId, TenantId, UserId};
use postern_model::session::AuthMethod;

use super::{Open, commit};
use crate::store::records::{AuditFilter, Order, ResultFilter, SignInFilter, Span, Times, WhoSignedIn};
use crate::store::sign_in::{Logged, SignInOutcome};
use crate::store::{AuditEntry, Commit, Cut, SignIn, Store};

pub(super) fn run(open: Open<'_>) {
    audit_is_filtered_and_paged(open);
    sign_ins_come_back_as_they_were(open);
    sign_ins_are_filtered(open);
    a_failing_commit_leaves_no_record(open);
    both_chains_are_whole(open);
    times_lead_to_numbers(open);
    the_oldest_records_go(open);
}

pub(super) fn audit_all(store: &mut dyn Store) -> Vec<AuditRecord> {
    store.audit(&AuditFilter::default(), all()).unwrap()
}

fn sign_in_all(store: &mut dyn Store) -> Vec<SignInRecord> {
    store.sign_ins(&SignInFilter::default(), all()).unwrap()
}

fn all() -> Span {
    Span { first: 1, last: 1_000_000, order: Order::OldestFirst, limit: 1_000 }
}

fn audit_is_filtered_and_paged(open: Open<'_>) {
    let mut store = open();
    let records = audit_all(&mut *store);
    assert!(records.len() >= 5, "one for every tenant that was put");
    let newest = Span { order: Order::NewestFirst, limit: 2, ..all() };
    let page = store.audit(&AuditFilter::default(), newest).unwrap();
    assert_eq!(page, [records[records.len() - 1].clone(), records[records.len() - 2].clone()]);
    let middle = Span { first: records[1].seq, last: records[2].seq, ..all() };
    assert_eq!(store.audit(&AuditFilter::default(), middle).unwrap(), records[1..3]);

    let count = |store: &mut dyn Store, filter: AuditFilter| store.audit(&filter, all()).unwrap().len();
    let entry = |actor: &str, action, target: &str| AuditEntry {
        actor: actor.into(),
        action,
        tenant: Some(TenantId(2)),
        target: target.into(),
        before: None,
        after: Some("50% _off_".into()),
        version: None,
    };
    let audit = vec![entry("uid 7 (Anna)", "app.set", "app crm (a2-1)"), entry("control", "app.publish", "100%_x")];
    store.commit(&Commit { audit, at_unix_ms: 7_000, ..Commit::default() }).unwrap();
    let some = |text: &str| Some(text.to_owned());
    let store = &mut *store;
    assert_eq!(count(store, AuditFilter { tenant: Some(TenantId(2)), ..AuditFilter::default() }), 3);
    assert_eq!(count(store, AuditFilter { actor: some("anna"), ..AuditFilter::default() }), 1);
    assert_eq!(count(store, AuditFilter { action: some("app.set"), ..AuditFilter::default() }), 1);
    assert_eq!(count(store, AuditFilter { action: some("app"), ..AuditFilter::default() }), 0, "whole actions");
    assert_eq!(count(store, AuditFilter { target: some("crm"), ..AuditFilter::default() }), 1);
    assert_eq!(count(store, AuditFilter { target: some("%_x"), ..AuditFilter::default() }), 1, "no patterns");
    assert_eq!(count(store, AuditFilter { target: some("%c"), ..AuditFilter::default() }), 0, "no patterns");
    let times = Times { since: Some(7_000), until: None };
    assert_eq!(count(store, AuditFilter { times, ..AuditFilter::default() }), 2);
    let times = Times { since: None, until: Some(7_000) };
    assert_eq!(count(store, AuditFilter { times, ..AuditFilter::default() }), records.len());
}

fn user(seq: u32) -> UserId {
    UserId::new(TenantId(2), seq)
}

/// Everything that can be known of a sign-in.
fn full() -> SignIn {
    let mut entry = SignIn::new(TenantId(2), Logged::cut("anna@example.com"), SignInOutcome::Success);
    entry.user = Some(user(3));
    entry.app = Some((AppId::new(TenantId(2), 7), "crm".parse().unwrap()));
    entry.methods = [AuthMethod::Password, AuthMethod::OneTimePassword].into();
    entry.provider = Some("corp".parse().unwrap());
    entry.source = Some("2001:db8::1".parse().unwrap());
    entry.user_agent = Some(Logged::cut("Mozilla/5.0\u{1b}"));
    entry.country = Some(Logged::cut("DE"));
    entry.asn = Some(64_496);
    entry.device = Some(Logged::cut("d2-1"));
    entry.device_state = Some(Logged::cut("compliant"));
    entry.policies = vec![(Logged::cut("p2-1"), Logged::cut("grant")), (Logged::cut("p2-2"), Logged::cut("mfa"))];
    entry.session = Some(SessionId(5));
    entry.request = Some(RequestId(6));
    entry
}

fn put(store: &mut dyn Store, entries: Vec<SignIn>, at_unix_ms: u64) {
    store.commit(&Commit { sign_ins: entries, at_unix_ms, ..Commit::default() }).unwrap();
}

fn sign_ins_come_back_as_they_were(open: Open<'_>) {
    put(&mut *open(), vec![full()], 10_000);
    let least = SignIn::new(TenantId(1), Logged::cut("nobody"), SignInOutcome::Failure("user-unknown"));
    put(&mut *open(), vec![least], 11_000);
    let records = sign_in_all(&mut *open());
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2]);
    let written = full().record(10_000).behind(Mark::START);
    assert_eq!(records[0], written);
    assert_eq!(records[0].user_agent.as_deref(), Some("Mozilla/5.0\u{fffd}"));
    assert_eq!((records[1].result, records[1].code.as_deref()), (SignInResult::Failure, Some("user-unknown")));
    assert_eq!(records[1].at_unix_ms, 11_000);
}

fn sign_ins_are_filtered(open: Open<'_>) {
    let mut store = open();
    let mut entry = SignIn::new(TenantId(2), Logged::cut("anna@example.com"), SignInOutcome::Interrupted("mfa-needed"));
    entry.user = Some(user(3));
    put(&mut *store, vec![entry], 12_000);
    let none = SignInFilter::default;
    let mut found = |filter: SignInFilter| -> Vec<u64> {
        store.sign_ins(&filter, all()).unwrap().iter().map(|record| record.seq).collect()
    };
    assert_eq!(found(none()), [1, 2, 3]);
    assert_eq!(found(SignInFilter { tenant: Some(TenantId(1)), ..none() }), [2]);
    assert_eq!(found(SignInFilter { user: Some(WhoSignedIn::User(user(3))), ..none() }), [1, 3]);
    assert_eq!(found(SignInFilter { user: Some(WhoSignedIn::User(user(4))), ..none() }), [0; 0]);
    assert_eq!(found(SignInFilter { user: Some(WhoSignedIn::Login("nobody".into())), ..none() }), [2]);
    assert_eq!(found(SignInFilter { app: Some(AppId::new(TenantId(2), 7)), ..none() }), [1]);
    let result = |result| SignInFilter { result: Some(ResultFilter::Result(result)), ..none() };
    assert_eq!(found(result(SignInResult::Success)), [1]);
    assert_eq!(found(result(SignInResult::Interrupted)), [3]);
    assert_eq!(found(SignInFilter { result: Some(ResultFilter::Code("user-unknown".into())), ..none() }), [2]);
    assert_eq!(found(SignInFilter { session: Some(SessionId(5)), ..none() }), [1]);
    assert_eq!(found(SignInFilter { request: Some(RequestId(6)), ..none() }), [1]);
    assert_eq!(found(SignInFilter { times: Times { since: Some(11_000), until: Some(12_000) }, ..none() }), [2]);
    let both = SignInFilter { user: Some(WhoSignedIn::User(user(3))), tenant: Some(TenantId(1)), ..none() };
    assert_eq!(found(both), [0; 0], "all of it must hold");
}

/// A session that is not stored leaves no record of it, and a record that is not stored no session.
fn a_failing_commit_leaves_no_record(open: Open<'_>) {
    let mut store = open();
    let heads = |store: &mut dyn Store| [LogKind::Audit, LogKind::SignIn].map(|log| store.chain(log).unwrap().head);
    let before = heads(&mut *store);
    let mut twice = commit(4..=4);
    twice.sign_ins.push(full());
    assert!(store.commit(&twice).is_err(), "the version is there already");
    assert_eq!(heads(&mut *store), before);
    let mut unfounded = Commit::default();
    unfounded.counters.push(("app/t1".into(), 50));
    unfounded.sign_ins.push(full());
    unfounded.cuts.push(Cut { log: LogKind::SignIn, base: Mark { seq: 1, ..Mark::START } });
    assert!(store.commit(&unfounded).is_err(), "there is no such record to cut behind");
    assert_eq!(heads(&mut *store), before);
    assert_eq!(store.counter("app/t1").unwrap(), 7);
}

fn walked(store: &mut dyn Store, log: LogKind) -> u64 {
    let chain = store.chain(log).unwrap();
    let mut walk = Walk::new(chain.base, Some(chain.base));
    let span = Span { first: chain.base.seq + 1, ..all() };
    match log {
        LogKind::Audit => {
            store
                .audit(&AuditFilter::default(), span)
                .unwrap()
                .iter()
                .try_for_each(|record| walk.step(record))
                .unwrap();
        }
        LogKind::SignIn => {
            let records = store.sign_ins(&SignInFilter::default(), span).unwrap();
            records.iter().try_for_each(|record| walk.step(record)).unwrap();
        }
    }
    walk.end(Some(chain.head)).unwrap();
    walk.records()
}

fn both_chains_are_whole(open: Open<'_>) {
    let mut store = open();
    assert!(walked(&mut *store, LogKind::Audit) >= 7);
    assert_eq!(walked(&mut *store, LogKind::SignIn), 3);
}

fn times_lead_to_numbers(open: Open<'_>) {
    let mut store = open();
    let mut between = |since, until| store.between(LogKind::SignIn, Times { since, until }).unwrap();
    assert_eq!(between(None, None), Some((1, 3)));
    assert_eq!(between(Some(10_001), None), Some((2, 3)));
    assert_eq!(between(Some(11_000), Some(12_000)), Some((2, 2)));
    assert_eq!(between(None, Some(10_000)), None, "the end is excluded");
    assert_eq!(between(Some(12_001), None), None);
}

fn the_oldest_records_go(open: Open<'_>) {
    let mut store = open();
    let log = LogKind::SignIn;
    put(&mut *store, vec![full(), full()], 9_000);
    assert_eq!(store.sweep(log, 100).unwrap(), 0, "nothing goes by itself");
    assert_eq!(store.older(log, 0, 10_000, 100).unwrap(), None);
    let old = store.older(log, 0, 12_000, 100).unwrap().unwrap();
    assert_eq!(old.seq, 2, "what is old behind what is not stays");
    assert_eq!(store.older(log, 0, 12_000, 1).unwrap().unwrap().seq, 1, "the limit");
    store.commit(&Commit { cuts: vec![Cut { log, base: old }], ..Commit::default() }).unwrap();
    assert_eq!(store.chain(log).unwrap().base, old);
    assert_eq!(store.between(log, Times::default()).unwrap(), Some((3, 5)));
    assert_eq!(walked(&mut *store, log), 3, "before the rows are gone");
    assert_eq!(
        (store.sweep(log, 1).unwrap(), store.sweep(log, 100).unwrap(), store.sweep(log, 100).unwrap()),
        (1, 1, 0)
    );
    assert_eq!(sign_in_all(&mut *store).iter().map(|record| record.seq).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(walked(&mut *store, log), 3);
    let back = Commit { cuts: vec![Cut { log, base: Mark::START }], ..Commit::default() };
    assert!(store.commit(&back).is_err(), "never back");

    // Also when all of it goes, the next record follows the last one.
    let head = store.chain(log).unwrap().head;
    store.commit(&Commit { cuts: vec![Cut { log, base: head }], ..Commit::default() }).unwrap();
    store.sweep(log, 100).unwrap();
    assert_eq!(sign_in_all(&mut *store), []);
    put(&mut *open(), vec![full()], 13_000);
    let next = sign_in_all(&mut *open());
    assert_eq!((next[0].seq, next[0].previous), (6, head.hash));
    assert_eq!(walked(&mut *store, log), 1);
}
