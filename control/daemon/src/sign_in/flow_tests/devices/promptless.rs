//! Signing in by the device alone: whose it is, where it counts, and what it is not enough for.

mod fresh;
mod saml;
mod tabs;

use postern_model::admin::AddDeviceAuthority;
use postern_model::portal::BeginPortal;
use postern_model::session::AuthMethod;
use rcgen::{BasicConstraints, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer};

use super::*;
use crate::limits::GUESSES_SOURCE_FREE;
use crate::store::{DeviceChange, DirectoryChange};
use crate::tenants;

fn set(world: &World, sign_in: bool) {
    let request = SetDeviceSettings { sign_in: Some(sign_in), ..SetDeviceSettings::default() };
    devices::set_settings(&world.control, &Actor::Control, &tenant(world), request).unwrap();
}

/// Devices sign their users in, and this one is Anna's.
async fn with_a_device() -> (World, Enrolled) {
    let world = world().await;
    set(&world, true);
    let device = enrol(&world, "anna");
    (world, device)
}

fn begin_as(world: &World, client: ClientInfo) -> Step {
    let request = Begin {
        app: world.app(),
        redirect_uri: CALLBACK.into(),
        state: "state".into(),
        challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into(),
        browser: None,
        missed: Missed::default(),
        client,
    };
    begin(&world.control, request)
}

/// Nothing came of it, and nothing is said.
fn plain(step: Step) -> Box<Ask> {
    let ask = asked(step);
    assert!(ask.factor == Factor::Password && ask.problem.is_none() && ask.login.is_none(), "{ask:?}");
    ask
}

fn by_device(world: &World, device: &Enrolled) -> Step {
    shown(world, world.begin(None), Some(&device.certificate))
}

fn block(world: &World, device: &Enrolled) {
    devices::block(&world.control, &Actor::Control, &tenant(world), &device.id.to_string()).unwrap();
}

/// The certificate of a device that another authority issued to.
fn managed(world: &World) -> CertificateDer<'static> {
    let dated = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::days(1);
        params.not_after = now + time::Duration::days(9);
        params
    };
    let (key, own) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = dated("mdm");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let (name, certificate_pem) = ("mdm".parse().unwrap(), authority.pem());
    let request = AddDeviceAuthority { name, certificate_pem, compliant: Some(true) };
    devices::add_authority(&world.control, &Actor::Control, &tenant(world), request).unwrap();
    let mut params = dated("pc");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let issuer = Issuer::from_ca_cert_der(authority.der(), key).unwrap();
    params.signed_by(&own, &issuer).unwrap().der().clone()
}

#[tokio::test]
async fn a_device_signs_its_owner_in_and_is_one_factor() {
    let world = world().await;
    let device = enrol(&world, "anna");
    plain(world.begin(None));
    set(&world, true);
    let browser = world.signed_in(by_device(&world, &device)).unwrap();
    let session = world.session(&browser).unwrap();
    let anna = user(&world.control, TenantId::DEFAULT, &"anna".parse().unwrap()).unwrap();
    assert_eq!(session.user, anna.id);
    assert_eq!(session.methods, [AuthMethod::SoftwareKey].into());
    assert!(!is_multi_factor(&session.methods) && session.provider.is_none() && !session.persistent);
    assert_eq!(device_of(&world, &browser), Some((device.id, DeviceState::Registered)));
    assert_eq!(world.logged(), ["success"]);
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)));
    set(&world, false);
    plain(world.begin(None));
}

#[tokio::test]
async fn a_device_signs_in_to_my_apps_as_to_an_application() {
    let (world, device) = with_a_device().await;
    let begin = |client| begin_portal(&world.control, &BeginPortal { tenant: None, browser: None, client });
    let Step::Done(done) = shown(&world, begin(client()), Some(&device.certificate)) else { panic!("not signed in") };
    assert_eq!(done.location, "https://login.example.com/");
    let session = world.session(&done.browser.unwrap().secret).unwrap();
    assert_eq!((session.methods, session.device), ([AuthMethod::SoftwareKey].into(), Some(device.id)));
    plain(begin(ClientInfo { signed_out: true, ..client() }));
}

#[tokio::test]
async fn whom_a_device_signed_in_is_signed_in_as_long_as_it_counts() {
    let (world, device) = with_a_device().await;
    let browser = world.signed_in(by_device(&world, &device)).unwrap();
    let ask = plain(world.begin_missing(None, Missed { again: true, ..Missed::default() }));
    let by_password = world.signed_in(world.password(&ask.flow).await).unwrap();
    // Relays end it by themselves when the device's certificate ends.
    let told = |browser: &SecretText| {
        let session = world.session(browser).unwrap();
        sessions::record_of(&world.control, &session).unwrap().unwrap()
    };
    let soon = now_unix() + 60;
    let stored = world.control.directory(|store| store.device(device.id)).unwrap().unwrap();
    let mut draft = Draft::default();
    let ending = postern_model::device::Device { expires_unix: soon, ..stored };
    draft.directory(DirectoryChange::Device(DeviceChange::Put(Box::new(ending))));
    world.control.commit(&Actor::Control, draft).unwrap();
    assert_eq!(told(&browser).expires_unix, soon);
    assert!(told(&by_password).expires_unix > soon);
    block(&world, &device);
    assert!(world.session(&browser).is_none() && world.session(&by_password).is_some());
}

#[tokio::test]
async fn whoever_has_no_device_that_does_is_asked_and_has_what_was_shown() {
    let (world, _) = with_a_device().await;
    let (berts, shared) = (enrol(&world, "bert"), enrol(&world, "anna"));
    let everybodys = SetDevice { shared: true, ..SetDevice::default() };
    devices::set(&world.control, &Actor::Control, &tenant(&world), &shared.id.to_string(), everybodys).unwrap();
    settings(&world, false);
    let (waiting, blocked) = (enrol(&world, "anna"), enrol(&world, "anna"));
    block(&world, &blocked);
    let disabled = serde_json::from_value(serde_json::json!({ "enabled": false })).unwrap();
    users::set(&world.control, &Actor::Control, &tenant(&world), "bert", disabled).unwrap();
    for (certificate, logged, counts) in [
        (None, None, None),
        (Some("AAEC"), Some("device-certificate-invalid"), None),
        (Some(&*waiting.certificate), Some("device-required"), Some((waiting.id, DeviceState::Unknown))),
        (Some(&*blocked.certificate), Some("device-blocked"), Some((blocked.id, DeviceState::Unknown))),
        // Of somebody else it counts for nobody.
        (Some(&*berts.certificate), Some("user-disabled"), None),
        (Some(&*shared.certificate), None, Some((shared.id, DeviceState::Registered))),
    ] {
        let before = world.logged().len();
        let ask = plain(shown(&world, world.begin(None), certificate));
        let browser = world.signed_in(world.password(&ask.flow).await).unwrap();
        assert_eq!(device_of(&world, &browser), counts, "{certificate:?}");
        let expected: Vec<&str> = logged.into_iter().chain(["success"]).collect();
        assert_eq!(world.logged()[before..], expected, "{certificate:?}");
    }
}

#[tokio::test]
async fn a_device_of_another_authority_or_another_tenant_signs_nobody_in() {
    let (world, _) = with_a_device().await;
    let der = managed(&world);
    let certificate = STANDARD.encode(&der);
    plain(shown(&world, world.begin(None), Some(&certificate)));
    let id = devices::recognise(&world.control, TenantId::DEFAULT, &der, now_unix()).unwrap().device.id;
    let annas = SetDevice { owner: Some("anna".into()), ..SetDevice::default() };
    devices::set(&world.control, &Actor::Control, &tenant(&world), &id.to_string(), annas).unwrap();
    let ask = plain(shown(&world, world.begin(None), Some(&certificate)));
    let browser = world.signed_in(world.password(&ask.flow).await).unwrap();
    assert_eq!(device_of(&world, &browser), Some((id, DeviceState::Compliant)));

    let create = serde_json::from_value(serde_json::json!({"name": "acme"})).unwrap();
    let acme = tenants::create(&world.control, &Actor::Control, create).unwrap().id;
    let there = world.control.snapshot().tenants.get(&acme).unwrap().clone();
    let create = serde_json::from_value::<CreateUser>(serde_json::json!({ "login": "anna" })).unwrap();
    users::create(&world.control, &Actor::Control, &there, create, None).unwrap();
    let theirs = enrol_of(&world, &user(&world.control, acme, &"anna".parse().unwrap()).unwrap());
    devices::approve(&world.control, &Actor::Control, &there, &theirs.id.to_string()).unwrap();
    plain(by_device(&world, &theirs));
    assert_eq!(world.logged(), ["success", "device-certificate-invalid"]);
}

#[tokio::test]
async fn nobody_is_sent_twice_in_a_sign_in_nor_where_no_device_can_count() {
    let (world, device) = with_a_device().await;
    world.set_policy(REGISTERED);
    let ask = plain(shown(&world, world.begin(None), None));
    let password = SecretText::new("wrong".into());
    let wrong = GivePassword { flow: ask.flow.clone(), login: "anna".into(), password, keep: false, client: client() };
    assert!(matches!(super::super::super::password(&world.control, wrong).await, Step::Ask(_)));
    assert_eq!(problem(world.password(&ask.flow).await), "device-required");
    world.signed_in(by_device(&world, &device)).unwrap();
    // Without anything that it could show.
    devices::remove_authority(&world.control, &Actor::Control, &tenant(&world), "own").unwrap();
    plain(world.begin(None));
}

#[tokio::test]
async fn who_is_to_prove_anew_who_they_are_or_signed_out_is_asked() {
    let (world, device) = with_a_device().await;
    plain(world.begin_missing(None, Missed { again: true, ..Missed::default() }));
    let signed_out = || ClientInfo { signed_out: true, ..client() };
    let ask = plain(begin_as(&world, signed_out()));
    world.signed_in(world.password(&ask.flow).await).unwrap();
    // In another tab, while the browser was on its way.
    let away = sent(world.begin(None));
    let Step::Done(done) = show(&world, &away, Some(&device.certificate)) else { panic!("it does not go back") };
    let ticket = ticket(&done.location, "https://login.example.com/device/return");
    let request = ReturnDevice { ticket, bindings: vec![away.binding], browser: None, client: signed_out() };
    plain(back(&world.control, &request));
    // A session that a device made is none that was proven anew, either.
    let browser = world.signed_in(by_device(&world, &device)).unwrap();
    let again = Missed { again: true, ..Missed::default() };
    assert_eq!(asked(world.begin_missing(Some(&browser), again)).factor, Factor::Password);
}

/// The device host cannot be reached, or TLS refuses what the browser shows there.
#[tokio::test]
async fn who_did_not_come_back_from_the_device_host_is_asked_and_policies_are_what_they_were() {
    let (world, device) = with_a_device().await;
    let overdue = || ClientInfo { device_overdue: true, ..client() };
    let ask = plain(begin_as(&world, overdue()));
    world.signed_in(world.password(&ask.flow).await).unwrap();
    world.set_policy(REGISTERED);
    let ask = plain(begin_as(&world, overdue()));
    assert_eq!(problem(shown(&world, world.password(&ask.flow).await, None)), "device-required");
    // Whoever chose a certificate slowly is signed in by it.
    let away = sent(world.begin(None));
    let Step::Done(done) = show(&world, &away, Some(&device.certificate)) else { panic!("it does not go back") };
    let ticket = ticket(&done.location, "https://login.example.com/device/return");
    let request = ReturnDevice { ticket, bindings: vec![away.binding], browser: None, client: overdue() };
    world.signed_in(back(&world.control, &request)).unwrap();
}

#[tokio::test]
async fn what_changed_while_the_browser_was_away_counts() {
    let (world, device) = with_a_device().await;
    let away = sent(world.begin(None));
    let brought = show(&world, &away, Some(&device.certificate));
    set(&world, false);
    plain(bring(&world, &brought, &[&away.binding]));
    set(&world, true);
    let away = sent(world.begin(None));
    let brought = show(&world, &away, Some(&device.certificate));
    block(&world, &device);
    plain(bring(&world, &brought, &[&away.binding]));
    assert_eq!(world.logged(), ["device-blocked"]);
}

#[tokio::test]
async fn a_link_to_the_device_host_signs_nobody_else_in() {
    let (world, device) = with_a_device().await;
    let theirs = sent(world.begin(None));
    let brought = show(&world, &theirs, Some(&device.certificate));
    assert_eq!(problem(bring(&world, &brought, &[])), "device-return-unknown");
    assert_eq!(problem(bring(&world, &brought, &[&theirs.binding])), "device-return-unknown", "it is used up");
    assert_eq!(world.control.sessions.borrow().len(), 0);
}

#[tokio::test]
async fn who_has_a_second_factor_gives_it_after_a_device_too() {
    let world = World::new("required").await;
    let (secret, ..) = world.enrolled().await;
    set_up(&world);
    set(&world, true);
    let device = enrol(&world, "anna");
    let ask = asked(by_device(&world, &device));
    assert!(matches!(ask.factor, Factor::Second(_)), "{ask:?}");
    let browser = world.signed_in(world.code(&ask.flow, &code_at(&secret, 0))).unwrap();
    let session = world.session(&browser).unwrap();
    assert_eq!(session.methods, [AuthMethod::SoftwareKey, AuthMethod::OneTimePassword].into());
    assert_eq!(device_of(&world, &browser), Some((device.id, DeviceState::Registered)));
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "it is enough");
}

/// Whoever sits at an unlocked computer must not make a second factor of their own.
#[tokio::test]
async fn a_device_sets_up_no_second_factor() {
    let (world, device) = with_a_device().await;
    world.set_policy(r#""grant": {"require": {"all": ["mfa"]}}"#);
    let ask = asked(by_device(&world, &device));
    assert_eq!((&ask.factor, ask.login.as_ref().unwrap().as_str()), (&Factor::Password, "anna"));
    assert_eq!(world.logged(), ["mfa-needed"]);
    assert!(matches!(asked(world.password(&ask.flow).await).factor, Factor::Enrol(_)));

    world.set_policy(r#""grant": {"require": {}}, "session": {"no_persistent": true}"#);
    let browser = world.signed_in(by_device(&world, &device)).unwrap();
    for action in [AccountAction::Show, AccountAction::Add] {
        let AccountAnswer::Step(step) = world.account(&browser, action) else { panic!("shown") };
        assert_eq!(asked(*step).factor, Factor::Password);
    }
    world.set_app(&[("mfa", "required")]);
    assert_eq!(asked(world.begin(Some(&browser))).factor, Factor::Password, "by a session that it made, neither");
}

#[tokio::test]
async fn where_a_ticket_may_say_it_nobody_is_sent_to_show_a_device() {
    let world = kerberos::world("off").await;
    set_up(&world);
    set(&world, true);
    enrol(&world, "anna");
    assert!(asked(world.begin(None)).negotiate);
    // Comes back from within the network: the address where it does takes no answer to a challenge.
    let away = begin_as(&world, ClientInfo { address: IpAddr::from([203, 0, 113, 7]), ..client() });
    assert!(!plain(shown(&world, away, None)).negotiate);
}

#[tokio::test]
async fn a_device_that_signs_nobody_in_does_not_write_the_log_full() {
    let (world, device) = with_a_device().await;
    block(&world, &device);
    for _ in 0..=GUESSES_SOURCE_FREE {
        plain(by_device(&world, &device));
    }
    assert_eq!(world.logged().len(), usize::try_from(GUESSES_SOURCE_FREE).unwrap());
    let ask = plain(by_device(&world, &device));
    world.signed_in(world.password(&ask.flow).await).unwrap();
}
