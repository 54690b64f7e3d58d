//! Which claims become what, from which document.

use super::*;
use serde_json::json;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

fn mapped(mapping: &ClaimMapping, documents: &[Value]) -> Result<ExternalUser, SignInFailure> {
    let documents: Vec<_> = documents.iter().cloned().map(object).collect();
    let sources: Vec<_> = documents.iter().collect();
    let identity = Identity { subject: "1".into(), session: None, auth_time_unix: None };
    mapping.user("https://a.example", identity, Sources(&sources), SecretText::new("hunter2".into()))
}

fn default(document: Value) -> Result<ExternalUser, SignInFailure> {
    mapped(&ClaimMapping::default(), &[document])
}

#[test]
fn a_user_has_the_words_of_the_provider() {
    let user = default(json!({"preferred_username": "Alice@Example.com", "name": "Alice A",
        "email": "alice@example.com", "email_verified": true, "acr": "2", "amr": ["pwd", "otp"]}))
    .unwrap();
    assert_eq!((user.login.as_str(), user.display_name.as_str()), ("alice@example.com", "Alice A"));
    assert_eq!((user.mail.unwrap().as_str(), user.mail_verified), ("alice@example.com", true));
    assert_eq!(user.methods, [AuthMethod::Password, AuthMethod::OneTimePassword].into());
    assert_eq!(user.acr.as_deref(), Some("2"));
    let user = default(json!({"preferred_username": "alice"})).unwrap();
    assert!(!format!("{user:?}").contains("hunter2"));
}

#[test]
fn an_address_names_the_user_only_if_it_is_theirs() {
    let verified = json!({"email": "alice@example.com", "email_verified": true});
    assert_eq!(default(verified.clone()).unwrap().login.as_str(), "alice@example.com");
    for other in [json!(false), json!("true"), json!(1), json!(null)] {
        let failure = default(json!({"email": "alice@example.com", "email_verified": other})).unwrap_err();
        assert_eq!(failure.cause, Cause::LoginClaimMissing, "{other}");
    }
    assert_eq!(default(json!({"email": "alice@example.com"})).unwrap_err().cause, Cause::LoginClaimMissing);
    // Each document vouches for its own address only.
    let (ours, theirs) =
        (json!({"email": "root@example.com"}), json!({"email": "eve@e.example", "email_verified": true}));
    let user = mapped(&ClaimMapping::default(), &[ours, theirs.clone()]).unwrap();
    assert_eq!((user.login.as_str(), user.mail.unwrap().as_str()), ("eve@e.example", "eve@e.example"));
    let mixed = [json!({"email": "root@example.com"}), json!({"email_verified": true})];
    assert_eq!(mapped(&ClaimMapping::default(), &mixed).unwrap_err().cause, Cause::LoginClaimMissing);
    // An address that is not verified is one to write to, no more.
    let user = default(json!({"preferred_username": "bob", "email": "alice@example.com"})).unwrap();
    assert_eq!((user.login.as_str(), user.mail.is_some(), user.mail_verified), ("bob", true, false));
}

#[test]
fn the_operators_claims_count_and_the_first_of_them() {
    let mapping = ClaimMapping { login: vec!["upn".into(), "preferred_username".into()], ..ClaimMapping::default() };
    let both = json!({"preferred_username": "a", "upn": "b"});
    assert_eq!(mapped(&mapping, &[both]).unwrap().login.as_str(), "b");
    let null = json!({"preferred_username": "a", "upn": null});
    assert_eq!(mapped(&mapping, &[null]).unwrap().login.as_str(), "a");
    let failure = mapped(&mapping, &[json!({"email": "a@b", "email_verified": true})]).unwrap_err();
    assert!(failure.detail.contains("upn, preferred_username"), "{failure}");
    // The ID token is signed: it comes first.
    let two = [json!({"upn": "signed"}), json!({"upn": "fetched", "name": "Fetched"})];
    let user = mapped(&mapping, &two).unwrap();
    assert_eq!((user.login.as_str(), user.display_name.as_str()), ("signed", "Fetched"));
}

#[test]
fn what_is_missing_is_fetched_and_nothing_else() {
    let mapping = ClaimMapping::default();
    let full = object(json!({"preferred_username": "a", "name": "A", "email": "a@b", "email_verified": false}));
    assert!(!mapping.lacks(&full));
    for claim in ["preferred_username", "name", "email"] {
        let mut less = full.clone();
        less.remove(claim);
        assert!(mapping.lacks(&less), "{claim}");
    }
    let with_groups = ClaimMapping { groups: Some("groups".into()), ..mapping };
    assert!(with_groups.lacks(&full));
}

#[test]
fn claims_that_cannot_be_used_are_named() {
    for (claim, wrong) in [
        ("preferred_username", json!("a b")),
        ("preferred_username", json!(["a"])),
        ("preferred_username", json!("a".repeat(300))),
        ("name", json!("a\nb")),
        ("name", json!("\u{202e}evil")),
        ("name", json!({"given": "a"})),
        ("email", json!("no address")),
        ("email", json!(7)),
        ("amr", json!("pwd")),
        ("acr", json!(1)),
    ] {
        let mut document = json!({"preferred_username": "alice"});
        document[claim] = wrong.clone();
        let failure = default(document).unwrap_err();
        assert_eq!(failure.cause, Cause::ClaimInvalid, "{claim} {wrong}");
        assert!(failure.detail.contains(claim), "{failure}");
    }
}

#[test]
fn groups_are_looked_at_where_wanted_and_bounded() {
    let mapping = ClaimMapping { groups: Some("groups".into()), ..ClaimMapping::default() };
    let of = |groups: Value| mapped(&mapping, &[json!({"preferred_username": "a", "groups": groups})]);
    assert_eq!(
        of(json!(["staff", "app users", "staff"])).unwrap().groups,
        ["app users", "staff"].map(str::to_owned).into()
    );
    assert_eq!(of(json!("one")).unwrap().groups, ["one".to_owned()].into());
    assert!(of(json!(null)).unwrap().groups.is_empty());
    for wrong in
        [json!([1]), json!([""]), json!(["a\n"]), json!(["a".repeat(257)]), json!(vec!["a"; GROUPS_MAX + 1]), json!({})]
    {
        assert_eq!(of(wrong).unwrap_err().cause, Cause::ClaimInvalid);
    }
    assert!(default(json!({"preferred_username": "a", "groups": ["staff"]})).unwrap().groups.is_empty());
    let over = json!({"preferred_username": "a", "_claim_names": {"groups": "src1"}});
    assert!(mapped(&mapping, &[over]).unwrap().groups_left_out);
}

#[test]
fn methods_are_read_narrowly() {
    let of = |amr: Value| default(json!({"preferred_username": "a", "amr": amr})).unwrap().methods;
    use AuthMethod::{Federated, HardwareKey, Integrated, MultiFactor, Password};
    assert_eq!(of(json!(null)), [Federated].into());
    assert_eq!(of(json!(["sms", "unknown", 7])), [Federated].into());
    assert_eq!(of(json!(["pwd", "mfa"])), [Password, MultiFactor].into());
    assert_eq!(of(json!(["wia"])), [Integrated].into());
    // A key that was only there is not two factors; one that knew its owner is.
    assert_eq!(of(json!(["hwk"])), [Federated].into());
    assert_eq!(of(json!(["hwk", "pwd"])), [Password].into());
    assert_eq!(of(json!(["hwk", "pin"])), [HardwareKey].into());
    // Only what is signed says how strongly; fetched claims do not.
    let documents = [json!({"preferred_username": "a"}), json!({"amr": ["mfa"], "acr": "urn:mfa"})];
    let user = mapped(&ClaimMapping::default(), &documents).unwrap();
    assert_eq!((user.methods, user.acr), ([Federated].into(), None));
    // What a class means is for the operator to say.
    let acr = BTreeMap::from([("urn:mfa".to_owned(), [MultiFactor].into())]);
    let mapping = ClaimMapping { acr, ..ClaimMapping::default() };
    let strong = json!({"preferred_username": "a", "acr": "urn:mfa", "amr": ["pwd"]});
    assert_eq!(mapped(&mapping, std::slice::from_ref(&strong)).unwrap().methods, [Password, MultiFactor].into());
    assert_eq!(default(strong).unwrap().methods, [Password].into());
}

#[test]
fn a_device_counts_as_the_signed_claims_say_that_an_operator_named() {
    let devices = serde_json::from_value(json!(["registered=managed", "compliant=state=good"])).unwrap();
    let mapping = ClaimMapping { devices, ..ClaimMapping::default() };
    let of = |mapping: &ClaimMapping, documents: &[Value]| mapped(mapping, documents).unwrap().device;
    let managed = json!({"preferred_username": "a", "managed": true});
    let good = json!({"preferred_username": "a", "state": ["good"]});
    assert_eq!(of(&mapping, std::slice::from_ref(&managed)), DeviceState::Registered);
    assert_eq!(of(&mapping, std::slice::from_ref(&good)), DeviceState::Compliant);
    // What is fetched is about the user: it does not vouch for the device of this sign-in, nor make a claim another one.
    let plain = json!({"preferred_username": "a", "state": null});
    assert_eq!(of(&mapping, &[plain, good.clone()]), DeviceState::Unknown);
    assert_eq!(of(&mapping, &[managed.clone(), good.clone()]), DeviceState::Registered);
    // Of another kind than expected it says nothing, and nobody stays out for it.
    let odd = json!({"preferred_username": "a", "managed": "true", "state": {"good": true}});
    assert_eq!(of(&mapping, &[odd]), DeviceState::Unknown);
    assert_eq!(of(&ClaimMapping::default(), &[good]), DeviceState::Unknown);
    assert!(
        !mapping.lacks(&object(json!({"preferred_username": "a", "name": "A", "email": "a@b"}))),
        "none is fetched"
    );
}
