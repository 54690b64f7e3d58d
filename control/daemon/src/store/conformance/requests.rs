//! Access requests, and what assignments were used for: what was decided stays so, and nothing outlasts what it is about.

use std::collections::BTreeMap;

use postern_model::Change;
use postern_model::delta::Delta;
use postern_model::directory::Principal;
use postern_model::ids::{AccessRequestId, AppId, TenantId, UserId};

use super::{Open, directory};
use crate::limits::DECIDED_REQUESTS_KEPT;
use crate::store::{AccessRequest, Commit, Decision, DirectoryChange, RequestChange, RequestQuery, Store, Used};

const TENANT: TenantId = TenantId(1);
const ANNA: UserId = UserId::new(TENANT, 801);
const BERT: UserId = UserId::new(TENANT, 802);

pub(super) fn run(open: Open<'_>) {
    let users = [(801, "r-anna"), (802, "r-bert")];
    let users = users.map(|(seq, login)| DirectoryChange::UserPut(Box::new(directory::user(seq, login))));
    open().commit(&Commit { directory: users.into(), ..Commit::default() }).unwrap();
    one_waits_and_is_decided_once(open);
    few_of_the_decided_are_kept(open);
    they_go_with_what_they_are_about(open);
    uses_go_with_their_assignment(open);
}

fn app(seq: u32) -> AppId {
    AppId::new(TENANT, seq)
}

fn request(seq: u32, user: UserId, app: AppId) -> AccessRequest {
    AccessRequest {
        id: AccessRequestId::new(TENANT, seq),
        user,
        app,
        justification: "für \"uns\"".parse().unwrap(),
        created_unix: 7,
        decision: None,
    }
}

fn decision(approved: bool) -> Decision {
    Decision { approved, by: "user r-bert".into(), at_unix: 9, note: "it's fine".parse().unwrap() }
}

fn write(store: &mut dyn Store, change: RequestChange) -> bool {
    store.commit(&Commit { requests: vec![change], ..Commit::default() }).is_ok()
}

fn ask(open: Open<'_>, request: &AccessRequest) -> bool {
    write(&mut *open(), RequestChange::Asked(Box::new(request.clone())))
}

fn of(open: Open<'_>, user: Option<UserId>, only_open: bool) -> Vec<AccessRequest> {
    open().access_requests(&RequestQuery { tenant: TENANT, user, open: only_open, limit: 1_000 }).unwrap()
}

fn one_waits_and_is_decided_once(open: Open<'_>) {
    let first = request(1, ANNA, app(1));
    assert!(ask(open, &first) && !ask(open, &request(2, ANNA, app(1))), "one waits at a time");
    assert!(ask(open, &request(3, BERT, app(1))));
    assert_eq!(open().access_request(first.id).unwrap(), Some(first.clone()));
    assert_eq!((of(open, None, true).len(), of(open, Some(ANNA), true)), (2, vec![first.clone()]));
    assert_eq!(open().access_requests_open(TENANT, None).unwrap(), 2);
    assert!(write(&mut *open(), RequestChange::Decided(first.id, decision(false))));
    for approved in [true, false] {
        assert!(!write(&mut *open(), RequestChange::Decided(first.id, decision(approved))), "decided already");
    }
    assert!(!write(&mut *open(), RequestChange::Decided(AccessRequestId::new(TENANT, 99), decision(true))));
    let decided = AccessRequest { decision: Some(decision(false)), ..first };
    assert_eq!(of(open, Some(ANNA), false), [decided]);
    assert!(of(open, Some(ANNA), true).is_empty());
    assert_eq!(
        open().access_requests(&RequestQuery { tenant: TenantId(2), user: None, open: false, limit: 9 }).unwrap(),
        []
    );
}

fn few_of_the_decided_are_kept(open: Open<'_>) {
    for seq in 10..50 {
        let at_once = AccessRequest { decision: Some(decision(true)), ..request(seq, ANNA, app(2)) };
        assert!(ask(open, &at_once), "{seq}");
    }
    let kept = of(open, Some(ANNA), false);
    assert_eq!((kept.len(), kept[0].id.seq), (DECIDED_REQUESTS_KEPT as usize + 1, 49), "the newest, and the last one");
    assert_eq!(of(open, Some(BERT), true).len(), 1, "nobody else's go");
}

fn they_go_with_what_they_are_about(open: Open<'_>) {
    assert!(write(&mut *open(), RequestChange::AppGone(app(2))));
    assert!(of(open, Some(ANNA), false).is_empty());
    let gone = Commit { directory: vec![DirectoryChange::UserRemoved(BERT)], ..Commit::default() };
    open().commit(&gone).unwrap();
    assert!(of(open, None, false).is_empty());
}

fn uses_go_with_their_assignment(open: Open<'_>) {
    let used = |app, principal, at_unix| Used { app, principal, at_unix };
    let (own, everyone) = (Principal::User(ANNA), Principal::Everyone);
    let all = vec![used(app(1), own, 5), used(app(1), everyone, 6), used(app(2), everyone, 7), used(app(1), own, 8)];
    open().commit(&Commit { used: all, ..Commit::default() }).unwrap();
    let expected = BTreeMap::from([((app(1), own), 8), ((app(1), everyone), 6), ((app(2), everyone), 7)]);
    assert_eq!(open().assignments_used(TENANT).unwrap(), expected);
    assert_eq!(open().assignment_used(app(2), own).unwrap(), None);
    let removed = |version, change: Change| Delta { version, at_unix_ms: 5_000, tenant: change.tenant(), change };
    let version = open().load().unwrap().unwrap().snapshot.version;
    let deltas = vec![
        removed(version + 1, Change::AssignmentRemoved { app: app(1), principal: own }),
        removed(version + 2, Change::AppRemoved { id: app(2) }),
    ];
    open().commit(&Commit { deltas, ..Commit::default() }).unwrap();
    assert_eq!(open().assignments_used(TENANT).unwrap(), BTreeMap::from([((app(1), everyone), 6)]));
}
