//! What a provider's claims say of a device: it counts as far as an operator takes its word for it, and for as long as the provider
//! vouches for the session.

use postern_model::admin::{AddProvider, LinkUser, SetDeviceHost, SetProvider, SignInRecord};
use postern_model::device::{Approval, Compliance, Device, OWN_AUTHORITY};
use postern_model::external::{ExternalIdentity, ExternalOutcome, FinishExternal, ProviderSettings};
use postern_model::ids::DeviceId;
use postern_model::policy::DeviceState;
use postern_model::session::AuthMethod;
use serde_json::json;

use super::*;
use crate::store::{DeviceChange, DirectoryChange};
use crate::{devices, idps, policies};

const CORP: &str = "corp";

/// Anna may sign in by a provider with these claims about devices.
async fn world(device_claims: &[&str]) -> World {
    let world = World::new("off").await;
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    let provider: postern_model::ids::Name = CORP.parse().unwrap();
    let mut settings = ProviderSettings::new("https://corp.example".into(), "postern".into());
    settings.device_claims = serde_json::from_value(json!(device_claims)).unwrap();
    let add = AddProvider { name: provider.clone(), settings, client_secret: None, groups: BTreeMap::new() };
    idps::add(&world.control, &Actor::Control, &tenant, add).unwrap();
    let link = LinkUser { provider, subject: "s-1".into(), remove: false };
    idps::link(&world.control, &Actor::Control, &tenant, "anna", link).unwrap();
    world
}

/// What the provider says of Anna, on such a device, since then.
fn anna(device: DeviceState, auth_time_unix: Option<u64>) -> ExternalIdentity {
    ExternalIdentity {
        issuer: "https://corp.example".into(),
        subject: "s-1".into(),
        login: "anna".parse().unwrap(),
        display_name: Default::default(),
        mail: None,
        mail_verified: false,
        groups: Default::default(),
        groups_left_out: false,
        methods: [AuthMethod::Federated].into(),
        auth_time_unix,
        session: None,
        device,
    }
}

fn said(world: &World, flow: &SecretText, identity: ExternalIdentity) -> Step {
    let outcome = ExternalOutcome::User(Box::new(identity));
    let provider = CORP.parse().unwrap();
    external::finish(&world.control, FinishExternal { flow: flow.clone(), provider, client: client(), outcome })
}

fn vouched_since(world: &World, flow: &SecretText, device: DeviceState, auth_time_unix: Option<u64>) -> Step {
    said(world, flow, anna(device, auth_time_unix))
}

fn vouched(world: &World, flow: &SecretText, device: DeviceState) -> Step {
    vouched_since(world, flow, device, None)
}

fn by_provider(world: &World, device: DeviceState) -> Step {
    vouched(world, &asked(world.begin(None)).flow, device)
}

/// What relays are told of the device.
fn counts_as(world: &World, browser: &SecretText) -> DeviceState {
    let session = world.session(browser).unwrap();
    sessions::record_of(&world.control, &session).unwrap().unwrap().device_state(now_unix())
}

fn last_logged(world: &World) -> SignInRecord {
    let span = Span { first: 1, last: 1_000, order: Order::OldestFirst, limit: 1_000 };
    let all = world.control.records(|store| store.sign_ins(&SignInFilter::default(), span)).unwrap();
    all.into_iter().last().unwrap()
}

#[tokio::test]
async fn a_providers_word_counts_as_far_as_an_operator_takes_it() {
    use DeviceState::{Compliant, Registered, Unknown};
    let all = ["registered=managed", "compliant=state=good"];
    for (claims, said, counts) in [
        (&all[..], Compliant, Compliant),
        (&all, Registered, Registered),
        (&all, Unknown, Unknown),
        (&all[..1], Compliant, Registered),
        (&[], Compliant, Unknown),
    ] {
        let world = world(claims).await;
        let browser = world.signed_in(by_provider(&world, said)).unwrap();
        assert_eq!(counts_as(&world, &browser), counts, "{claims:?} {said}");
        let logged = last_logged(&world);
        assert_eq!((logged.provider.unwrap().as_str(), logged.device), (CORP, None));
        assert_eq!(logged.device_state.as_deref(), Some(counts.as_str()).filter(|_| counts != Unknown));
        let world = world.restarted();
        assert_eq!(counts_as(&world, &browser), counts, "it is kept");
    }
}

#[tokio::test]
async fn a_provider_cannot_say_that_a_device_proved_who_they_are() {
    use AuthMethod::{Federated, Password, SoftwareKey};
    for (told, counts) in [(&[SoftwareKey][..], Federated), (&[SoftwareKey, Password], Password)] {
        let world = world(&[]).await;
        let methods = told.iter().copied().collect();
        let identity = ExternalIdentity { methods, ..anna(DeviceState::Unknown, None) };
        let browser = world.signed_in(said(&world, &asked(world.begin(None)).flow, identity)).unwrap();
        let session = world.session(&browser).unwrap();
        assert_eq!(session.methods, [counts].into(), "{told:?}");
        let record = sessions::record_of(&world.control, &session).unwrap();
        assert!(record.is_some(), "it lets them in: {told:?}");
    }
}

#[tokio::test]
async fn settings_that_changed_meanwhile_count() {
    let world = world(&["compliant=state"]).await;
    let flow = asked(world.begin(None)).flow;
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    let settings = serde_json::from_value(json!({ "device_claims": null })).unwrap();
    let set = SetProvider { settings, ..SetProvider::default() };
    let before = world.signed_in(by_provider(&world, DeviceState::Compliant)).unwrap();
    idps::set(&world.control, &Actor::Control, &tenant, CORP, set).unwrap();
    let browser = world.signed_in(vouched(&world, &flow, DeviceState::Compliant)).unwrap();
    assert_eq!(counts_as(&world, &browser), DeviceState::Unknown);
    assert_eq!(counts_as(&world, &before), DeviceState::Compliant, "who had signed in keeps what was said");
}

#[tokio::test]
async fn whose_device_is_vouched_for_is_asked_for_nothing_instead() {
    let world = world(&["registered=managed", "compliant=state"]).await;
    world.set_policy(r#""grant": {"require": {"any": ["mfa", "compliant-device"]}}"#);
    for less in [DeviceState::Unknown, DeviceState::Registered] {
        let ask = asked(by_provider(&world, less));
        assert!(matches!(ask.factor, Factor::Enrol(_)), "{less}: {ask:?}");
        let logged = last_logged(&world);
        assert_eq!(logged.code.as_deref(), Some("mfa-needed"));
        assert_eq!(logged.device_state.as_deref(), Some(less.as_str()).filter(|_| !less.is_unknown()));
    }
    let browser = world.signed_in(by_provider(&world, DeviceState::Compliant)).unwrap();
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "nor later");
    let conditions = r#""conditions": {"devices": {"include": ["unknown"]}}, "grant": {"require": {"all": ["mfa"]}}"#;
    world.set_policy(conditions);
    assert!(
        matches!(world.begin(Some(&browser)), Step::Done(_)),
        "a policy about unknown devices is not about this one"
    );
    assert!(matches!(asked(by_provider(&world, DeviceState::Unknown)).factor, Factor::Enrol(_)));
}

#[tokio::test]
async fn whose_device_is_vouched_for_is_not_sent_to_show_it() {
    use DeviceState::{Compliant, Registered, Unknown};
    let world = world(&["registered=managed", "compliant=state"]).await;
    let request = SetDeviceHost { host: "device.example.com".parse().unwrap(), certificate_pem: None, key_pem: None };
    devices::set_host(&world.control, &Actor::Control, request).unwrap();
    let compliant = r#""grant": {"require": {"all": ["compliant-device"]}}"#;
    let about = |state: &str| {
        let rest = r#""grant": {"require": {}}, "session": {"no_persistent": true}"#;
        format!(r#""conditions": {{"devices": {{"include": ["{state}"]}}}}, {rest}"#)
    };
    let unknown = &*about("unknown");
    let registered = &*about("registered");
    for (policy, said, is_sent) in [
        (compliant, Unknown, true),
        (compliant, Registered, true),
        (compliant, Compliant, false),
        (unknown, Unknown, true),
        (unknown, Registered, false),
        (registered, Unknown, true),
        (registered, Registered, true),
        (registered, Compliant, false),
    ] {
        world.set_policy(policy);
        let step = by_provider(&world, said);
        assert_eq!(matches!(step, Step::Device(_)), is_sent, "{policy} {said}: {step:?}");
        assert_eq!(matches!(step, Step::Done(_)), !is_sent, "{policy} {said}: {step:?}");
    }
}

#[tokio::test]
async fn a_session_that_becomes_a_stronger_one_keeps_what_was_said_until_somebody_else_says_who_it_is() {
    let world = world(&["compliant=state"]).await;
    let weak = world.signed_in(by_provider(&world, DeviceState::Compliant)).unwrap();
    world.set_app(&[("mfa", "required")]);
    let ask = asked(world.begin(Some(&weak)));
    let Factor::Enrol(enrolment) = &ask.factor else { panic!("{ask:?}") };
    let secret = totp_secret(enrolment.totp.as_ref().unwrap().secret.expose());
    let code = FactorAnswer::EnrolCode(SecretText::new(code_at(&secret, -1)));
    let ask = asked(world.give(&ask.flow, code));
    let Factor::Recovery(codes) = &ask.factor else { panic!("{ask:?}") };
    let strong = world.signed_in(world.give(&ask.flow, FactorAnswer::Seen)).unwrap();
    assert!(world.session(&weak).is_none() && is_multi_factor(&world.session(&strong).unwrap().methods));
    assert_eq!(counts_as(&world, &strong), DeviceState::Compliant);

    // Signing in anew takes its place: by the directory, which knows nothing of devices, and by the provider, in whose words.
    let again = || Missed { again: true, ..Missed::default() };
    let ask = asked(world.begin_missing(Some(&strong), again()));
    let ask = asked(world.password(&ask.flow).await);
    let local = world.signed_in(world.code(&ask.flow, codes[0].expose())).unwrap();
    assert!(world.session(&strong).is_none() && world.session(&local).unwrap().provider.is_none());
    assert_eq!(counts_as(&world, &local), DeviceState::Unknown);
    for (said, code) in [(DeviceState::Compliant, &codes[1]), (DeviceState::Unknown, &codes[2])] {
        let ask = asked(world.begin_missing(Some(&local), again()));
        let ask = asked(vouched(&world, &ask.flow, said));
        let browser = world.signed_in(world.code(&ask.flow, code.expose())).unwrap();
        assert_eq!(counts_as(&world, &browser), said, "the second factor says nothing of it");
    }
}

#[tokio::test]
async fn what_a_provider_says_anew_counts_also_where_nothing_else_is_new() {
    let world = world(&["compliant=state"]).await;
    let browser = world.signed_in(by_provider(&world, DeviceState::Compliant)).unwrap();
    let mut old = world.session(&browser).unwrap();
    old.authenticated_unix -= crate::limits::ENROL_FRESH_S;
    let since = Some(old.authenticated_unix);
    let mut draft = Draft::default();
    draft.session(SessionChange::Put(Box::new(old)));
    world.control.commit(&Actor::Control, draft).unwrap();
    let AccountAnswer::Step(step) = world.account(&browser, AccountAction::Show) else { panic!() };
    let step = vouched_since(&world, &asked(*step).flow, DeviceState::Unknown, since);
    let newer = world.signed_in(step).expect("the session is another one");
    assert_eq!(counts_as(&world, &newer), DeviceState::Unknown);
    assert!(world.session(&browser).is_none());
}

#[tokio::test]
async fn a_request_is_explained_by_what_was_said_then() {
    let world = world(&["compliant=state"]).await;
    let device = Device {
        id: DeviceId::new(TenantId::DEFAULT, 4),
        name: "laptop".parse().unwrap(),
        owner: None,
        platform: None,
        approval: Approval::Approved,
        compliance: Compliance::Yes,
        authority: OWN_AUTHORITY.parse().unwrap(),
        certificate_sha256: "c".into(),
        key_sha256: "k".into(),
        expires_unix: u64::MAX,
        created_unix: 1,
        seen_unix: None,
    };
    let mut draft = Draft::default();
    draft.directory(DirectoryChange::Device(DeviceChange::Put(Box::new(device))));
    world.control.commit(&Actor::Control, draft).unwrap();
    // There is no authority of devices any more: this one counts for nothing now.
    let changed = "the device d1-4 counted as compliant then, and counts as unknown now";
    for (device, name, warns) in [
        (json!({"id": "d1-4", "state": "compliant"}), Some("laptop"), true),
        (json!({"id": "d1-4", "state": "compliant", "claimed": "compliant"}), Some("laptop"), false),
        (json!({"state": "compliant", "claimed": "compliant"}), None, false),
    ] {
        let record = serde_json::from_value(json!({
            "time": "2026-01-01T00:00:00.000Z", "request_id": "0".repeat(32), "tenant": "t1", "app": world.app(),
            "subject": "user/anna", "client": "192.0.2.1:9", "bytes_in": 0, "bytes_out": 0,
            "access": {"session": "9f1c2d3e", "authenticated_unix": 1, "methods": ["fed"], "device": device},
        }));
        let explained = policies::explained(&world.control, TenantId::DEFAULT, &record.unwrap()).unwrap().unwrap();
        assert_eq!(explained.device.as_deref(), name, "{device}");
        assert_eq!(explained.warnings.iter().any(|warning| warning == changed), warns, "{device}: {explained:?}");
    }
}
