//! A request at several limiters at once.

use postern_model::Snapshot;
use postern_model::limit::{Allowance, Limit, LimitScope};
use postern_model::plan::Plan;

use super::*;
use crate::limit::LimitTable;
use crate::side::testing::{app, snapshot};

const NOW: u64 = 1 << 40;

fn set(snapshot: &mut Snapshot, scope: LimitScope, rps: u64, burst: u64) {
    let tenant = postern_model::ids::TenantId::DEFAULT;
    let limit = Limit { rps: Some(Allowance::At(rps)), burst: Some(burst), ..Limit::new(tenant, scope) };
    snapshot.limits.insert(limit.key(), limit);
}

fn limits(held: &LimitTable, snapshot: &Snapshot) -> (LimitTable, Arc<AppLimits>) {
    let table = LimitTable::next(held, &Plan::build(snapshot).unwrap(), NOW);
    let limits = Arc::clone(table.app(app("http://x/").id).unwrap());
    (table, limits)
}

fn tries(limits: &Arc<AppLimits>, address: &str, count: u32) -> (u32, Option<String>) {
    let (mut admitted, mut by) = (0, None);
    for _ in 0..count {
        match Admission::enter(limits, (address.parse().unwrap(), None), 0, NOW) {
            Ok(_) => admitted += 1,
            Err(limited) => by = Some(limited.limit.to_string()),
        }
    }
    (admitted, by)
}

#[test]
fn the_narrowest_limit_refuses_and_the_others_lose_nothing() {
    let mut snapshot = snapshot(1);
    let id = app("http://x/").id;
    set(&mut snapshot, LimitScope::Tenant, 1, 30);
    set(&mut snapshot, LimitScope::App(id), 1, 20);
    set(&mut snapshot, LimitScope::Source { app: None }, 1, 5);
    set(&mut snapshot, LimitScope::Source { app: Some(id) }, 1, 8);
    set(&mut snapshot, LimitScope::SourcePrefix("192.0.2.0/24".parse().unwrap()), 1, 7);
    set(&mut snapshot, LimitScope::SourcePrefix("192.0.2.9/32".parse().unwrap()), 1, 2);
    let (table, limits) = limits(&LimitTable::default(), &snapshot);
    assert_eq!(tries(&limits, "10.0.0.1", 9), (5, Some("source".into())));
    assert_eq!(tries(&limits, "192.0.2.9", 9), (2, Some("source/192.0.2.9/32".into())));
    assert_eq!(tries(&limits, "192.0.2.1", 9), (7, Some("source/192.0.2.0/24".into())));
    assert_eq!(tries(&limits, "192.0.2.2", 9), (0, Some("source/192.0.2.0/24".into())), "together");
    assert_eq!(tries(&limits, "10.0.0.2", 9), (5, Some("source".into())));
    assert_eq!(tries(&limits, "10.0.0.3", 9), (1, Some("app/app".into())), "20 in all");
    let held = &table.all[&postern_model::limit::LimitKey { tenant: id.tenant, scope: LimitScope::Tenant }];
    let figures = held.limiter.figures();
    assert_eq!((figures.admitted, figures.refused, figures.in_progress), (20, 0, 0));
}

#[test]
fn who_is_turned_away_counts_at_its_source_alone() {
    let mut snapshot = snapshot(1);
    let id = app("http://x/").id;
    set(&mut snapshot, LimitScope::App(id), 1, 9);
    set(&mut snapshot, LimitScope::Source { app: None }, 1, 3);
    let (table, limits) = limits(&LimitTable::default(), &snapshot);
    let knock = || Admission::knock(&limits, "192.0.2.1".parse().unwrap(), 0, NOW);
    assert!((0..3).all(|_| knock().is_ok()));
    assert_eq!(&*knock().unwrap_err().limit, "source");
    assert_eq!(tries(&limits, "192.0.2.1", 1).0, 0, "nor is it let in with what is good");
    assert_eq!(tries(&limits, "192.0.2.2", 3).0 + tries(&limits, "192.0.2.3", 3).0, 6);
    assert_eq!(tries(&limits, "192.0.2.4", 9), (3, Some("source".into())), "9 of the application's are left");
    let key = postern_model::limit::LimitKey { tenant: id.tenant, scope: LimitScope::Source { app: None } };
    assert_eq!(table.all[&key].limiter.figures().in_progress, 0);
}

#[test]
fn content_that_is_given_up_leaves_nothing_to_wait_for() {
    let mut snapshot = snapshot(1);
    let id = app("http://x/").id;
    for scope in [LimitScope::Tenant, LimitScope::App(id), LimitScope::Source { app: None }] {
        let limit = Limit { bps: Some(Allowance::At(100_000)), ..Limit::new(id.tenant, scope) };
        snapshot.limits.insert(limit.key(), limit);
    }
    let (table, held) = limits(&LimitTable::default(), &snapshot);
    let enter = |limits| Admission::enter(limits, ("192.0.2.1".parse().unwrap(), None), 0, NOW).unwrap();
    let first = enter(&held);
    first.reserve(100_000, NOW).used();
    let waits = first.reserve(1, NOW).due_ns() - NOW;
    assert!(waits > 900_000_000, "{waits}");
    drop((0..1000).map(|_| enter(&held).reserve(16_384, NOW)).collect::<Vec<_>>());
    assert!(first.reserve(1, NOW).due_ns() <= NOW + waits + 1_000_000, "the thousand have left no debt");

    // New terms have forgotten what was reserved under the old: nothing is given back twice.
    let old = first.reserve(1_000_000, NOW);
    let limit = Limit { bps: Some(Allowance::At(200_000)), ..Limit::new(id.tenant, LimitScope::App(id)) };
    snapshot.limits.insert(limit.key(), limit);
    let (_, held) = limits(&table, &snapshot);
    assert!(!old.holds());
    enter(&held).reserve(200_000, NOW).used();
    drop(old);
    assert!(enter(&held).reserve(1, NOW).due_ns() > NOW + 900_000_000);
}

#[test]
fn limiters_keep_what_they_hold_when_the_configuration_changes() {
    let mut snapshot = snapshot(1);
    let id = app("http://x/").id;
    set(&mut snapshot, LimitScope::App(id), 1, 5);
    let (table, old) = limits(&LimitTable::default(), &snapshot);
    assert_eq!(tries(&old, "10.0.0.1", 3).0, 3);
    let (table, same) = limits(&table, &snapshot);
    assert_eq!(tries(&same, "10.0.0.1", 9).0, 2);
    set(&mut snapshot, LimitScope::App(id), 1000, 5);
    let (_, _) = limits(&table, &snapshot);
    let later = NOW + 2_000_000;
    assert!(Admission::enter(&old, ("10.0.0.1".parse().unwrap(), None), 0, later).is_ok(), "new terms hold in place");
}

#[test]
fn places_are_held_until_dropped() {
    let mut snapshot = snapshot(1);
    let scope = LimitScope::Source { app: None };
    let limit = Limit { conns: Some(Allowance::At(1)), ..Limit::new(postern_model::ids::TenantId::DEFAULT, scope) };
    snapshot.limits.insert(limit.key(), limit);
    let (_, limits) = limits(&LimitTable::default(), &snapshot);
    let address = "2001:db8::1".parse().unwrap();
    let held = Admission::enter(&limits, (address, None), 0, NOW).unwrap();
    let refused = Admission::enter(&limits, (address, None), 1, NOW).unwrap_err();
    assert_eq!((&*refused.limit, refused.refused), ("source", Refused::Concurrency { conns: 1 }));
    drop(held);
    assert!(Admission::enter(&limits, (address, None), 1, NOW).is_ok());
}

fn user(login: &str) -> LimitScope {
    LimitScope::User(login.parse().unwrap())
}

/// As [`tries`], of someone who has signed in.
fn tries_as(limits: &Arc<AppLimits>, login: &str, address: &str, count: u32) -> (u32, Option<String>) {
    let (login, address) = (login.parse().unwrap(), address.parse().unwrap());
    let (mut admitted, mut by) = (0, None);
    for _ in 0..count {
        match Admission::enter(limits, (address, Some(&login)), 0, NOW) {
            Ok(_) => admitted += 1,
            Err(limited) => by = Some(limited.limit.to_string()),
        }
    }
    (admitted, by)
}

#[test]
fn a_users_requests_count_together_wherever_they_go_and_come_from() {
    let mut snapshot = snapshot(1);
    let first = app("http://x/").id;
    let second = postern_model::config::App {
        id: postern_model::ids::AppId::new(first.tenant, 2),
        name: "second".parse().unwrap(),
        external_url: format!("https://{}/second/", crate::side::testing::HOST),
        ..snapshot.apps[&first].clone()
    };
    let other = second.id;
    snapshot.apps.insert(other, second);
    set(&mut snapshot, user("anna@example.com"), 1, 5);
    set(&mut snapshot, user("bert"), 1, 9);
    set(&mut snapshot, LimitScope::App(first), 1, 12);
    let (table, limits) = limits(&LimitTable::default(), &snapshot);
    let second = Arc::clone(table.app(other).unwrap());
    assert_eq!(tries_as(&limits, "anna@example.com", "10.0.0.1", 3), (3, None));
    assert_eq!(tries_as(&second, "anna@example.com", "10.0.0.2", 3), (2, Some("user/anna@example.com".into())));
    assert_eq!(tries_as(&limits, "carl", "10.0.0.1", 1), (1, None), "nobody limits him");
    assert_eq!(tries(&limits, "10.0.0.1", 1), (1, None), "nor who has no name");
    assert_eq!(tries_as(&limits, "bert", "10.0.0.1", 8), (7, Some("app/app".into())), "12 in all");
    assert_eq!(
        tries_as(&second, "bert", "10.0.0.1", 9),
        (2, Some("user/bert".into())),
        "what was refused took nothing"
    );
    let held = &table.all[&postern_model::limit::LimitKey { tenant: first.tenant, scope: user("bert") }];
    let figures = held.limiter.figures();
    assert_eq!((figures.admitted, figures.refused, figures.in_progress), (9, 7, 0));
    assert!(table.report(first.tenant, NOW).iter().any(|limiter| limiter.scope == "user/anna@example.com"));
}

#[test]
fn users_are_those_of_the_applications_tenant() {
    let mut snapshot = snapshot(1);
    let limit = Limit { conns: Some(Allowance::At(1)), ..Limit::new(postern_model::ids::TenantId(2), user("anna")) };
    snapshot.limits.insert(limit.key(), limit);
    let (_, limits) = limits(&LimitTable::default(), &snapshot);
    assert!(limits.users.is_none(), "where no user is limited nothing is looked up");
    let login = "anna".parse().unwrap();
    let enter = || Admission::enter(&limits, ("10.0.0.1".parse().unwrap(), Some(&login)), 0, NOW);
    let held = (enter(), enter());
    assert!(held.0.is_ok() && held.1.is_ok());
}

#[test]
fn a_users_place_is_given_back_where_it_was_taken() {
    let mut snapshot = snapshot(1);
    let tenant = postern_model::ids::TenantId::DEFAULT;
    let [anna, bert] = ["anna", "bert"].map(|login| {
        let limit = Limit { conns: Some(Allowance::At(1)), ..Limit::new(tenant, user(login)) };
        let key = limit.key();
        snapshot.limits.insert(key.clone(), limit);
        key
    });
    let (table, old) = limits(&LimitTable::default(), &snapshot);
    let login = "bert".parse().unwrap();
    let from = ("192.0.2.1".parse().unwrap(), Some(&login));
    let held = Admission::enter(&old, from, 0, NOW).unwrap();
    // What was the other one's place is his in the next table, in which his own is nobody's.
    snapshot.limits.remove(&anna);
    let (next, new) = limits(&table, &snapshot);
    let in_progress = || next.all[&bert].limiter.figures().in_progress;
    assert_eq!(in_progress(), 1);
    assert_eq!(&*Admission::enter(&new, from, 0, NOW).unwrap_err().limit, "user/bert");
    drop(held);
    assert_eq!(in_progress(), 0);
    assert!(Admission::enter(&new, from, 0, NOW).is_ok());
}

#[test]
fn a_limit_that_is_taken_away_holds_nothing_back_any_more() {
    let mut snapshot = snapshot(1);
    let tenant = postern_model::ids::TenantId::DEFAULT;
    let limit =
        Limit { bps: Some(Allowance::At(100_000)), conns: Some(Allowance::At(1)), ..Limit::new(tenant, user("anna")) };
    let key = limit.key();
    snapshot.limits.insert(key.clone(), limit);
    let (table, held) = limits(&LimitTable::default(), &snapshot);
    let login = "anna".parse().unwrap();
    let from = ("192.0.2.1".parse().unwrap(), Some(&login));
    let first = Admission::enter(&held, from, 0, NOW).unwrap();
    let refused = Admission::enter(&held, from, 1, NOW).unwrap_err();
    assert_eq!((&*refused.limit, refused.refused), ("user/anna", Refused::Concurrency { conns: 1 }));
    assert!(first.paces());
    first.reserve(200_000, NOW).used();
    let waits = first.reserve(1, NOW);
    assert!(waits.due_ns() > NOW + 900_000_000);
    snapshot.limits.remove(&key);
    let _next = limits(&table, &snapshot);
    assert!(!waits.holds() && !first.paces(), "what is in progress goes on at once");
    assert!(Admission::enter(&held, from, 1, NOW).is_ok(), "also for a worker that has the old table");
}
