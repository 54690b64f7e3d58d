//! SCIM's part: tokens, what clients call users and groups, versions that count every change and nothing else.

use postern_model::directory::{Membership, User, UserGroup, UserKind};
use postern_model::ids::{TenantId, UserGroupId, UserId};
use postern_model::scim::PresentedScimToken;
use zeroize::Zeroizing;

use super::Open;
use crate::store::{Commit, DirectoryChange, Part, ScimToken, Store};

/// Nobody else is in it.
const TENANT: TenantId = TenantId(77);
const GROUP: UserGroupId = UserGroupId::new(TENANT, 1);

pub(super) fn run(open: Open<'_>) {
    tokens_are_kept(open);
    every_change_counts(open);
    users_are_found_by_what_clients_call_them(open);
}

fn write(store: &mut dyn Store, changes: Vec<DirectoryChange>) {
    store.commit(&Commit { directory: changes, ..Commit::default() }).unwrap();
}

fn id(seq: u32) -> UserId {
    UserId::new(TENANT, seq)
}

fn put(seq: u32) -> DirectoryChange {
    DirectoryChange::UserPut(Box::new(User {
        id: id(seq),
        login: format!("scim-{seq}").parse().unwrap(),
        display_name: Default::default(),
        mail: None,
        attributes: Default::default(),
        kind: UserKind::Member,
        enabled: true,
        created_unix_ms: 7,
        password_set_unix_ms: None,
    }))
}

fn tokens_are_kept(open: Open<'_>) {
    let key = PresentedScimToken::new(TENANT, Zeroizing::new([7; 32])).1.secret.key();
    let token =
        ScimToken { tenant: TENANT, name: "entra".parse().unwrap(), key, expires_unix: Some(9), created_unix_ms: 5 };
    write(&mut *open(), vec![DirectoryChange::ScimTokenPut(token.clone())]);
    assert_eq!(open().scim_token(TENANT).unwrap(), Some(token.clone()));
    assert_eq!(open().scim_token(TenantId(78)).unwrap(), None);
    let endless = ScimToken { expires_unix: None, ..token };
    write(&mut *open(), vec![DirectoryChange::ScimTokenPut(endless.clone())]);
    assert_eq!(open().scim_token(TENANT).unwrap(), Some(endless));
    write(&mut *open(), vec![DirectoryChange::GroupsRemoved(TENANT)]);
    assert_eq!(open().scim_token(TENANT).unwrap(), None, "it goes with its tenant");
}

fn every_change_counts(open: Open<'_>) {
    let mut store = open();
    let group = UserGroup {
        id: GROUP,
        name: "scim".parse().unwrap(),
        description: Default::default(),
        membership: Membership::Assigned,
    };
    write(&mut *store, vec![put(1), put(2), DirectoryChange::GroupPut(group.clone())]);
    let versions = |store: &mut dyn Store| {
        let users = store.user_marks(TENANT, 1, 9).unwrap();
        let users: Vec<u64> = users.values().map(|marks| marks.version).collect();
        (users, store.group_marks(TENANT).unwrap()[&GROUP].version)
    };
    assert_eq!(versions(&mut *store), (vec![1, 1], 1));
    let called = |name: Option<&str>| DirectoryChange::ExternalIdPut(id(1), name.map(Into::into));
    write(&mut *store, vec![put(1), called(Some("a")), called(Some("b"))]);
    assert_eq!(versions(&mut *store), (vec![4, 1], 1));
    assert_eq!(store.user_marks(TENANT, 1, 1).unwrap()[&id(1)].external_id.as_deref(), Some("b"));
    write(&mut *store, vec![called(None), called(None)]);
    assert_eq!(versions(&mut *store), (vec![5, 1], 1), "nothing that is taken away changes nothing");
    write(&mut *store, vec![DirectoryChange::GroupPut(group), DirectoryChange::ScimGroupPut(GROUP, "S".into(), None)]);
    write(&mut *store, vec![DirectoryChange::UserJoined(GROUP, Part::Member, id(2))]);
    write(&mut *store, vec![DirectoryChange::UserJoined(GROUP, Part::Member, id(2))]);
    assert_eq!(versions(&mut *store), (vec![5, 1], 4));
    write(&mut *store, vec![called(Some("a")), DirectoryChange::UserRemoved(id(2))]);
    assert_eq!(versions(&mut *store), (vec![6], 5), "who goes leaves their groups");
    let marks = store.group_marks(TENANT).unwrap().remove(&GROUP).unwrap();
    assert_eq!(marks.display_name.as_deref(), Some("S"));
    assert!(marks.changed_unix_ms.is_some_and(|at| at > 1_700_000_000_000), "{marks:?}");
    write(&mut *store, vec![DirectoryChange::UserJoined(GROUP, Part::Member, id(1))]);
    write(&mut *store, vec![DirectoryChange::GroupRemoved(GROUP), DirectoryChange::UserRemoved(id(1))]);
    assert!(store.group_marks(TENANT).unwrap().is_empty() && store.user_marks(TENANT, 1, 9).unwrap().is_empty());
}

fn users_are_found_by_what_clients_call_them(open: Open<'_>) {
    let mut store = open();
    let called = |seq, name: &str| DirectoryChange::ExternalIdPut(id(seq), Some(name.into()));
    write(&mut *store, vec![put(3), put(4), put(5), called(3, "x"), called(5, "x"), called(4, "y")]);
    let seqs = |users: Vec<User>| users.iter().map(|user| user.id.seq).collect::<Vec<_>>();
    assert_eq!(seqs(store.users_called(TENANT, "x", 9).unwrap()), [3, 5]);
    assert_eq!(seqs(store.users_called(TENANT, "x", 1).unwrap()), [3]);
    assert_eq!(seqs(store.users_called(TenantId(1), "x", 9).unwrap()), [0; 0]);
    assert_eq!(seqs(store.users_called(TENANT, "X", 9).unwrap()), [0; 0], "its case counts");
    assert_eq!(seqs(store.users_from(TENANT, 1, 1).unwrap()), [4]);
    assert_eq!(seqs(store.users_from(TENANT, 3, 9).unwrap()), [0; 0]);
}
