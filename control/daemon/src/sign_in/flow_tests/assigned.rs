//! Who signs in without being let in.

use postern_model::admin::SignInResult;
use postern_model::directory::{Assignment, Principal};

use super::*;

/// Everyone may open it.
pub(super) fn assign(world: &World, app: AppId) {
    let principal = Principal::Everyone;
    let assignment = Assignment { app, principal, role: None, expires_unix: None, created_unix_ms: 0 };
    let mut draft = Draft::default();
    draft.change(postern_model::Change::AssignmentPut(assignment));
    world.control.commit(&Actor::Control, draft).unwrap();
}

pub(super) fn totp_secret(base32: &str) -> TotpSecret {
    TotpSecret(data_encoding::BASE32_NOPAD.decode(base32.as_bytes()).unwrap().into())
}

#[tokio::test]
async fn who_signs_in_and_is_not_assigned_leaves_two_records() {
    let world = World::new("off").await;
    let mut draft = Draft::default();
    draft.change(postern_model::Change::AssignmentRemoved { app: world.app(), principal: Principal::Everyone });
    world.control.commit(&Actor::Control, draft).unwrap();
    let browser = world.signed_in(world.after_password().await).unwrap();
    assert_eq!(world.logged(), ["success", "not-assigned"]);
    let span = Span { first: 1, last: 1_000, order: Order::OldestFirst, limit: 1_000 };
    let all = world.control.records(|store| store.sign_ins(&SignInFilter::default(), span)).unwrap();
    let session = world.session(&browser).unwrap();
    for (record, result) in all.iter().zip([SignInResult::Success, SignInResult::Failure]) {
        assert_eq!((record.result, record.user), (result, Some(session.user)));
        assert_eq!((record.app, record.session), (Some(world.app()), Some(session.id)));
    }
    // Who is signed in already is turned away there, too; and let in when that has changed.
    assert!(world.signed_in(world.begin(Some(&browser))).is_none());
    assert_eq!(world.logged(), ["success", "not-assigned", "not-assigned"]);
    assign(&world, world.app());
    assert!(world.signed_in(world.begin(Some(&browser))).is_none());
    assert_eq!(world.logged().len(), 3);
}
