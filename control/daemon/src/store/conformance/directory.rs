//! The directory's part: rows, what goes with what, pages, and stages.

use std::collections::BTreeSet;

use postern_model::directory::{Membership, User, UserGroup, UserKind};
use postern_model::ids::{TenantId, UserGroupId, UserId};

use super::{Open, audit_len, commit};
use crate::password::PasswordHash;
use crate::store::{Commit, DirectoryChange, GroupSize, Part, Store, UserQuery};

const TENANT: TenantId = TenantId(1);

pub(super) fn run(open: Open<'_>) {
    rows_come_back(open);
    users_are_found_and_paged(open);
    groups_know_who_is_in_them(open);
    what_names_nobody_fails_as_a_whole(open);
    stages_are_seen_and_dropped(open);
    stages_are_committed_with_the_rest(open);
    what_goes_takes_its_own_along(open);
}

fn id(seq: u32) -> UserId {
    UserId::new(TENANT, seq)
}

fn gid(seq: u32) -> UserGroupId {
    UserGroupId::new(TENANT, seq)
}

pub(super) fn user(seq: u32, login: &str) -> User {
    User {
        id: id(seq),
        login: login.parse().unwrap(),
        display_name: format!("100% {}", login.to_uppercase()).parse().unwrap(),
        mail: None,
        attributes: [("team".parse().unwrap(), "a\"b".parse().unwrap())].into(),
        kind: UserKind::Member,
        enabled: true,
        created_unix_ms: 7,
        password_set_unix_ms: None,
    }
}

fn group(seq: u32, rule: Option<&str>) -> UserGroup {
    let rule = rule.map(|rule| Membership::Dynamic { rule: rule.parse().unwrap() });
    UserGroup {
        id: gid(seq),
        name: format!("g{seq}").parse().unwrap(),
        description: "what it is for".parse().unwrap(),
        membership: rule.unwrap_or(Membership::Assigned),
    }
}

fn put(user: User) -> DirectoryChange {
    DirectoryChange::UserPut(Box::new(user))
}

fn write(store: &mut dyn Store, changes: Vec<DirectoryChange>) {
    store.commit(&Commit { directory: changes, ..Commit::default() }).unwrap();
}

fn rows_come_back(open: Open<'_>) {
    let mut anna = user(1, "anna");
    anna.mail = Some("anna@example.com".parse().unwrap());
    let guest =
        User { kind: UserKind::Guest { expires_unix: Some(100) }, enabled: false, ..user(2, "berta@example.com") };
    write(&mut *open(), vec![put(anna.clone()), put(guest.clone()), put(user(3, "carl"))]);
    let mut store = open();
    assert_eq!(store.user(id(1)).unwrap(), Some(anna.clone()));
    assert_eq!(store.user_by_login(TENANT, &guest.login).unwrap(), Some(guest));
    assert_eq!(store.user_by_login(TenantId(2), &anna.login).unwrap(), None);
    let renamed = User { login: "anna.berg".parse().unwrap(), password_set_unix_ms: Some(9), ..anna.clone() };
    let hash = DirectoryChange::PasswordPut(id(1), PasswordHash::stored("$argon2id$x".into()));
    write(&mut *store, vec![put(renamed.clone()), hash]);
    assert_eq!(store.user(id(1)).unwrap(), Some(renamed));
    assert_eq!(store.user_by_login(TENANT, &anna.login).unwrap(), None);
    write(&mut *store, vec![put(anna)]);
    for ruled in [group(1, None), group(2, None), group(3, Some("team present"))] {
        write(&mut *store, vec![DirectoryChange::GroupPut(ruled.clone())]);
        assert_eq!(store.user_group(TENANT, &ruled.name).unwrap(), Some(ruled.clone()));
        assert_eq!(store.user_group_by_id(ruled.id).unwrap(), Some(ruled));
    }
    assert_eq!(store.user_groups(TENANT).unwrap().len(), 3);
    assert!(store.user_groups(TenantId(2)).unwrap().is_empty());
}

fn users_are_found_and_paged(open: Open<'_>) {
    let mut store = open();
    let query = |after: Option<&str>, filter: Option<&str>, limit| UserQuery {
        tenant: TENANT,
        after: after.map(|login| login.parse().unwrap()),
        filter: filter.map(str::to_owned),
        limit,
    };
    let mut logins = |query: UserQuery| -> Vec<String> {
        store.users(&query).unwrap().iter().map(|user| user.login.to_string()).collect()
    };
    assert_eq!(logins(query(None, None, 10)), ["anna", "berta@example.com", "carl"]);
    assert_eq!(logins(query(Some("anna"), None, 1)), ["berta@example.com"]);
    assert_eq!(logins(query(None, Some("EXAMPLE"), 10)), ["anna", "berta@example.com"], "mail and login");
    assert_eq!(logins(query(None, Some("0% c"), 10)), ["carl"], "the display name, and % is itself");
    assert!(logins(query(None, Some("_"), 10)).is_empty());
    assert_eq!(store.users_after(TENANT, 1, 1).unwrap()[0].id, id(2));
    assert_eq!(store.user_count(TENANT).unwrap(), 3);
    assert_eq!(store.logins_near(TENANT, "bertha", 1).unwrap(), ["berta@example.com", "carl"]);
}

fn groups_know_who_is_in_them(open: Open<'_>) {
    let mut store = open();
    let changes = || {
        vec![
            DirectoryChange::UserJoined(gid(1), Part::Member, id(1)),
            DirectoryChange::UserJoined(gid(1), Part::Member, id(2)),
            DirectoryChange::UserJoined(gid(2), Part::Member, id(1)),
            DirectoryChange::UserJoined(gid(1), Part::Owner, id(3)),
            DirectoryChange::Nested(gid(1), gid(2)),
        ]
    };
    write(&mut *store, changes());
    // Again, which changes nothing.
    write(&mut *store, changes());
    let sizes = store.group_sizes(TENANT).unwrap();
    assert_eq!(sizes[&gid(1)], GroupSize { users: 2, groups: 1, owners: 1 });
    assert_eq!(sizes.get(&gid(3)), None);
    assert_eq!(store.nested(TENANT).unwrap(), [(gid(1), gid(2))]);
    assert_eq!(store.groups_with(id(1)).unwrap(), BTreeSet::from([gid(1), gid(2)]));
    let each = store.groups_with_each(TENANT, 2, 9).unwrap();
    assert_eq!(each, [(id(2), gid(1))]);
    let members = store.members(gid(1), Part::Member, 10).unwrap();
    assert_eq!(members.into_values().collect::<Vec<_>>(), [id(1), id(2)]);
    assert_eq!(store.members(gid(1), Part::Member, 1).unwrap().len(), 1);
    assert_eq!(store.members(gid(1), Part::Owner, 10).unwrap().into_values().collect::<Vec<_>>(), [id(3)]);
    let both = BTreeSet::from([gid(1), gid(2)]);
    assert_eq!(store.active_members(TENANT, &both, 50).unwrap(), 1, "one is disabled, one is counted once");
}

fn what_names_nobody_fails_as_a_whole(open: Open<'_>) {
    let mut store = open();
    for wrong in [
        DirectoryChange::UserJoined(gid(1), Part::Member, id(99)),
        DirectoryChange::UserJoined(gid(99), Part::Owner, id(1)),
        DirectoryChange::Nested(gid(1), gid(99)),
        DirectoryChange::PasswordPut(id(99), PasswordHash::stored("x".into())),
        put(user(98, "anna")),
    ] {
        let changes = Commit { directory: vec![put(user(97, "new")), wrong], ..Commit::default() };
        assert!(store.commit(&changes).is_err(), "{:?}", changes.directory);
        assert_eq!(store.user(id(97)).unwrap(), None);
    }
}

fn stages_are_seen_and_dropped(open: Open<'_>) {
    let mut store = open();
    store.begin().unwrap();
    store.stage(&[put(user(10, "staged")), DirectoryChange::UserRemoved(id(1))], &[]).unwrap();
    assert!(store.user(id(10)).unwrap().is_some() && store.user(id(1)).unwrap().is_none());
    store.forget().unwrap();
    assert!(store.user(id(10)).unwrap().is_none() && store.user(id(1)).unwrap().is_some());
    store.forget().unwrap();
    store.begin().unwrap();
    store.stage(&[put(user(10, "staged"))], &[]).unwrap();
    // A commit that fails takes the stage with it.
    let mut twice = commit(7..=7);
    twice.deltas.push(twice.deltas[0].clone());
    assert!(store.commit(&twice).is_err());
    assert!(store.user(id(10)).unwrap().is_none());
    store.forget().unwrap();
}

fn stages_are_committed_with_the_rest(open: Open<'_>) {
    let mut store = open();
    let before = audit_len(&mut *store);
    store.begin().unwrap();
    store.stage(&[put(user(11, "staged"))], &[]).unwrap();
    store.commit(&Commit { audit: commit(6..=6).audit, ..Commit::default() }).unwrap();
    drop(store);
    let mut store = open();
    assert!(store.user(id(11)).unwrap().is_some());
    assert_eq!(audit_len(&mut *store), before + 1);
}

fn what_goes_takes_its_own_along(open: Open<'_>) {
    let mut store = open();
    assert_eq!(store.groups_owned(id(3)).unwrap(), BTreeSet::from([gid(1)]));
    assert!(store.groups_owned(id(1)).unwrap().is_empty(), "a member is no owner");
    write(
        &mut *store,
        vec![DirectoryChange::UserLeft(gid(2), Part::Member, id(1)), DirectoryChange::UserRemoved(id(3))],
    );
    assert!(store.groups_owned(id(3)).unwrap().is_empty());
    assert_eq!(store.groups_with(id(1)).unwrap(), BTreeSet::from([gid(1)]));
    assert!(store.members(gid(1), Part::Owner, 10).unwrap().is_empty());
    write(&mut *store, vec![DirectoryChange::Unnested(gid(1), gid(2)), DirectoryChange::Nested(gid(2), gid(1))]);
    write(&mut *store, vec![DirectoryChange::GroupRemoved(gid(1))]);
    assert!(store.nested(TENANT).unwrap().is_empty() && store.groups_with(id(1)).unwrap().is_empty());
    let users = [1, 2, 11].map(|seq| DirectoryChange::UserRemoved(id(seq)));
    write(&mut *store, users.into_iter().chain([DirectoryChange::GroupsRemoved(TENANT)]).collect());
    assert_eq!(store.user_count(TENANT).unwrap(), 0);
    assert!(store.user_groups(TENANT).unwrap().is_empty());
}
