//! Devices: shown at their own host, and worth something in the sign-in and the browser that sent there alone.

mod clients;
mod on_the_way;
mod promptless;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::admin::{CreateTerms, SetDevice, SetDeviceHost, SetDeviceSettings};
use postern_model::config::Tenant;
use postern_model::device::{Compliance, EnrolDevice};
use postern_model::identity::{AskDevice, GiveDevice, ReturnDevice};
use postern_model::ids::{DeviceId, Name};
use postern_model::policy::DeviceState;
use postern_model::portal::{PortalAction, PortalAnswer, PortalRequest};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::super::device_host::{back, give};
use super::*;
use crate::devices;

const REGISTERED: &str = r#""grant": {"require": {"all": ["registered-device"]}}"#;
const COMPLIANT: &str = r#""grant": {"require": {"all": ["compliant-device"]}}"#;
/// Second factors are for those whose device nobody knows.
const FACTOR_ELSEWHERE: &str =
    r#""conditions": {"devices": {"include": ["unknown"]}}, "grant": {"require": {"all": ["mfa"]}}"#;

/// A device in the directory, and the certificate that it shows.
struct Enrolled {
    id: DeviceId,
    certificate: String,
}

fn tenant(world: &World) -> Tenant {
    identity::default_tenant(&world.control.snapshot()).unwrap()
}

/// There is a place where browsers show devices, and those that users enrol count at once.
async fn world() -> World {
    let world = World::new("off").await;
    set_up(&world);
    world
}

fn set_up(world: &World) {
    let request = SetDeviceHost { host: "device.example.com".parse().unwrap(), certificate_pem: None, key_pem: None };
    devices::set_host(&world.control, &Actor::Control, request).unwrap();
    settings(world, true);
}

fn settings(world: &World, approve_at_once: bool) {
    let request = SetDeviceSettings { approve_at_once: Some(approve_at_once), ..SetDeviceSettings::default() };
    devices::set_settings(&world.control, &Actor::Control, &tenant(world), request).unwrap();
}

fn enrol(world: &World, login: &str) -> Enrolled {
    enrol_of(world, &user(&world.control, TenantId::DEFAULT, &login.parse().unwrap()).unwrap())
}

fn enrol_of(world: &World, user: &User) -> Enrolled {
    let csr_pem = request_for_a_new_key();
    let request = EnrolDevice { csr_pem, name: "laptop".parse().unwrap(), platform: None };
    let enrolled = devices::enrol(&world.control, user, &request).unwrap();
    let leaf = CertificateDer::from_pem_slice(enrolled.certificate_pem.as_bytes()).unwrap();
    Enrolled { id: enrolled.id, certificate: STANDARD.encode(leaf) }
}

fn request_for_a_new_key() -> String {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()
}

fn sent(step: Step) -> AskDevice {
    let Step::Device(asked) = step else { panic!("no device is asked for: {step:?}") };
    asked
}

fn ticket(location: &str, place: &str) -> SecretText {
    let rest = location.strip_prefix(place).and_then(|rest| rest.strip_prefix("?ticket="));
    SecretText::new(rest.unwrap_or_else(|| panic!("{location} is not {place}")).into())
}

/// At the device host: what the browser brings from there.
fn show(world: &World, asked: &AskDevice, certificate: Option<&str>) -> Step {
    let ticket = ticket(&asked.location, "https://device.example.com/show-device");
    give(&world.control, &GiveDevice { ticket, certificate: certificate.map(Into::into), client: client() })
}

/// Back with what was brought, and with what the browser kept.
fn bring(world: &World, step: &Step, bindings: &[&SecretText]) -> Step {
    bring_with(world, step, bindings, None)
}

/// The same; `browser`: what it has of a sign-in that was finished meanwhile.
fn bring_with(world: &World, step: &Step, bindings: &[&SecretText], browser: Option<&SecretText>) -> Step {
    let Step::Done(done) = step else { panic!("the browser does not go back: {step:?}") };
    assert!(done.browser.is_none(), "nothing is told there");
    let ticket = ticket(&done.location, "https://login.example.com/device/return");
    let bindings = bindings.iter().map(|binding| (*binding).clone()).collect();
    back(&world.control, &ReturnDevice { ticket, bindings, browser: browser.cloned(), client: client() })
}

/// The whole way.
fn shown(world: &World, step: Step, certificate: Option<&str>) -> Step {
    let asked = sent(step);
    bring(world, &show(world, &asked, certificate), &[&asked.binding])
}

fn device_of(world: &World, browser: &SecretText) -> Option<(DeviceId, DeviceState)> {
    let record = sessions::record_of(&world.control, &world.session(browser).unwrap()).unwrap().unwrap();
    record.device.map(|device| (device.id, device.state))
}

#[tokio::test]
async fn a_device_is_shown_after_the_password_and_the_session_knows_it() {
    let world = world().await;
    let device = enrol(&world, "anna");
    world.set_policy(REGISTERED);
    let step = shown(&world, world.after_password().await, Some(&device.certificate));
    let browser = world.signed_in(step).unwrap();
    assert_eq!(device_of(&world, &browser), Some((device.id, DeviceState::Registered)));
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "once for all applications");
    assert_eq!(world.logged(), ["device-needed", "success"]);
    let span = Span { first: 1, last: 10, order: Order::OldestFirst, limit: 10 };
    let all = world.control.records(|store| store.sign_ins(&SignInFilter::default(), span)).unwrap();
    let device_id = device.id.to_string();
    assert_eq!((all[1].device.as_deref(), all[1].device_state.as_deref()), (Some(&*device_id), Some("registered")));
}

#[tokio::test]
async fn what_a_victims_browser_shows_counts_for_nobody_elses_sign_in() {
    let world = world().await;
    let device = enrol(&world, "anna");
    world.set_policy(REGISTERED);
    let hers = sent(world.after_password().await);
    // Somebody has Anna's password, begins, and sends her the link.
    for bindings in [&[][..], &[&hers.binding]] {
        let theirs = sent(world.after_password().await);
        let brought = show(&world, &theirs, Some(&device.certificate));
        assert_eq!(problem(bring(&world, &brought, bindings)), "device-return-unknown");
        // It is used up: also the one who has the cookie gets nothing by it.
        assert_eq!(problem(bring(&world, &brought, &[&theirs.binding])), "device-return-unknown");
    }
    assert_eq!(world.control.sessions.borrow().len(), 0);
    // Her own goes on, whatever else her browser keeps.
    let brought = show(&world, &hers, Some(&device.certificate));
    let other = sent(world.after_password().await).binding;
    world.signed_in(bring(&world, &brought, &[&other, &hers.binding])).unwrap();
}

#[tokio::test]
async fn each_ticket_is_good_once_and_for_what_it_is() {
    let world = world().await;
    let device = enrol(&world, "anna");
    world.set_policy(REGISTERED);
    let asked = sent(world.after_password().await);
    let brought = show(&world, &asked, None);
    assert_eq!(problem(show(&world, &asked, Some(&device.certificate))), "sign-in-over", "shown once");
    assert_eq!(problem(bring(&world, &brought, &[&asked.binding])), "device-required");
    assert_eq!(problem(bring(&world, &brought, &[&asked.binding])), "device-return-unknown", "brought once");
    let asked = sent(world.after_password().await);
    let first = SecretText::new(asked.location.split_once('=').unwrap().1.into());
    let bindings = vec![asked.binding.clone()];
    let request = ReturnDevice { ticket: first, bindings, browser: None, client: client() };
    assert_eq!(problem(back(&world.control, &request)), "device-return-unknown", "the first is not the second");
    let guessed = AskDevice { location: format!("{}x", asked.location), ..asked.clone() };
    assert_eq!(problem(show(&world, &guessed, Some(&device.certificate))), "sign-in-over");
    assert_eq!(world.control.sessions.borrow().len(), 0);
}

#[tokio::test]
async fn without_a_device_that_counts_it_is_said_why_and_there_is_no_session() {
    let world = world().await;
    world.set_policy(COMPLIANT);
    let berts = enrol(&world, "bert");
    let registered = enrol(&world, "anna");
    settings(&world, false);
    let waiting = enrol(&world, "anna");
    let blocked = enrol(&world, "anna");
    devices::block(&world.control, &Actor::Control, &tenant(&world), &blocked.id.to_string()).unwrap();
    for (certificate, code, says) in [
        (None, "device-required", "showed no certificate"),
        (Some("AAEC"), "device-certificate-invalid", "cannot be read."),
        (Some("?"), "device-certificate-invalid", "The certificate that the browser showed"),
        (Some(&*berts.certificate), "device-of-another", "somebody else's"),
        (Some(&*registered.certificate), "device-required", "does not meet"),
        (Some(&*waiting.certificate), "device-required", "waits until an administrator"),
        (Some(&*blocked.certificate), "device-blocked", "blocked"),
    ] {
        let step = shown(&world, world.after_password().await, certificate);
        let Step::Refused(refused) = step else { panic!("{says}: {step:?}") };
        assert!(refused.code == code && refused.detail.contains(says), "{says}: {refused:?}");
    }
    assert_eq!(world.control.sessions.borrow().len(), 0);
    assert_eq!(world.logged()[..2], ["device-needed", "device-required"]);
    let complies = SetDevice { compliance: Some(Compliance::Yes), ..SetDevice::default() };
    devices::set(&world.control, &Actor::Control, &tenant(&world), &registered.id.to_string(), complies).unwrap();
    let step = shown(&world, world.after_password().await, Some(&registered.certificate));
    let browser = world.signed_in(step).unwrap();
    assert_eq!(device_of(&world, &browser), Some((registered.id, DeviceState::Compliant)));
}

#[tokio::test]
async fn a_session_that_lacks_only_a_device_becomes_another_with_it() {
    let world = world().await;
    let device = enrol(&world, "anna");
    let weak = world.signed_in(world.after_password().await).unwrap();
    let before = world.session(&weak).unwrap();
    world.set_policy(REGISTERED);
    let step = shown(&world, world.begin(Some(&weak)), None);
    assert_eq!(problem(step), "device-required");
    assert!(world.session(&weak).is_some(), "for other applications it is what it was");
    let browser = world.signed_in(shown(&world, world.begin(Some(&weak)), Some(&device.certificate))).unwrap();
    let after = world.session(&browser).unwrap();
    assert!(world.session(&weak).is_none() && after.id != before.id, "whoever has the old cookie has nothing of it");
    assert_eq!((after.authenticated_unix, after.expires_unix), (before.authenticated_unix, before.expires_unix));
    assert_eq!(device_of(&world, &browser), Some((device.id, DeviceState::Registered)));
    // Gone is gone, at once.
    devices::remove(&world.control, &Actor::Control, &tenant(&world), &device.id.to_string()).unwrap();
    assert_eq!(device_of(&world, &browser), None);
    // And a session that ended meanwhile is not brought back by a device.
    let other = enrol(&world, "anna");
    let asked = sent(world.begin(Some(&browser)));
    let brought = show(&world, &asked, Some(&other.certificate));
    end(&world.control, after.id);
    assert_eq!(problem(bring(&world, &brought, &[&asked.binding])), "sign-in-over");
}

#[tokio::test]
async fn a_relay_that_misses_a_device_gets_the_browser_back_with_one_or_not_at_all() {
    let world = world().await;
    let device = enrol(&world, "anna");
    let missed = || Missed { device: true, ..Missed::default() };
    let browser = world.signed_in(world.after_password().await).unwrap();
    // No policy here says so: else the browser would go round and round.
    let step = shown(&world, world.begin_missing(Some(&browser), missed()), None);
    assert_eq!(problem(step), "device-required");
    let step = shown(&world, world.begin_missing(Some(&browser), missed()), Some(&device.certificate));
    let browser = world.signed_in(step).unwrap();
    assert!(matches!(world.begin_missing(Some(&browser), missed()), Step::Done(_)), "it has one");
    // One that is not enough is its relay's to refuse: another sign-in would show the same.
    world.set_policy(COMPLIANT);
    assert!(matches!(world.begin_missing(Some(&browser), missed()), Step::Done(_)));
}

#[tokio::test]
async fn who_shows_a_device_is_asked_for_no_factor_where_policies_say_so() {
    let world = world().await;
    let device = enrol(&world, "anna");
    world.set_policy(FACTOR_ELSEWHERE);
    let ask = asked(shown(&world, world.after_password().await, None));
    assert!(matches!(ask.factor, Factor::Enrol(_)), "{ask:?}");
    let browser = world.signed_in(shown(&world, world.after_password().await, Some(&device.certificate))).unwrap();
    assert_eq!(device_of(&world, &browser), Some((device.id, DeviceState::Registered)));
    // Where something else does, nobody is sent anywhere.
    world.set_policy(r#""grant": {"require": {"any": ["mfa", "registered-device"]}}"#);
    assert!(matches!(asked(world.after_password().await).factor, Factor::Enrol(_)));
    world.set_policy(r#""conditions": {"devices": {"include": ["unknown"]}}, "grant": "block""#);
    world.signed_in(shown(&world, world.after_password().await, Some(&device.certificate))).unwrap();
    // Their relay refuses, and says so; nobody is sent twice.
    world.signed_in(shown(&world, world.after_password().await, None)).unwrap();
}

#[tokio::test]
async fn terms_come_after_the_device_and_both_make_one_session() {
    let world = world().await;
    let device = enrol(&world, "anna");
    let weak = world.signed_in(world.after_password().await).unwrap();
    let (name, title): (Name, _) = ("house".parse().unwrap(), "House rules".parse().unwrap());
    let text = "Wipe your feet.\n".to_owned().try_into().unwrap();
    let request = CreateTerms { name, title, text, format: Default::default(), every_s: None };
    crate::terms::create(&world.control, &Actor::Control, &tenant(&world), request).unwrap();
    world.set_policy(r#""grant": {"require": {"all": ["registered-device", "terms/house"]}}"#);
    let ask = asked(shown(&world, world.begin(Some(&weak)), Some(&device.certificate)));
    assert!(matches!(ask.factor, Factor::Terms(_)), "{ask:?}");
    assert!(world.session(&weak).is_some(), "until they are accepted");
    let browser = world.signed_in(world.give(&ask.flow, FactorAnswer::Terms(true))).unwrap();
    assert_eq!(device_of(&world, &browser), Some((device.id, DeviceState::Registered)));
    assert!(world.session(&weak).is_none());
}

#[tokio::test]
async fn a_stronger_session_keeps_the_device_that_was_shown() {
    let world = world().await;
    let device = enrol(&world, "anna");
    world.set_policy(REGISTERED);
    let browser = world.signed_in(shown(&world, world.after_password().await, Some(&device.certificate))).unwrap();
    world.set_app(&[("mfa", "required")]);
    let ask = asked(world.begin(Some(&browser)));
    let Factor::Enrol(enrolment) = &ask.factor else { panic!("{ask:?}") };
    let secret = totp_secret(enrolment.totp.as_ref().unwrap().secret.expose());
    let ask = asked(world.give(&ask.flow, FactorAnswer::EnrolCode(SecretText::new(code_at(&secret, 0)))));
    let browser = world.signed_in(world.give(&ask.flow, FactorAnswer::Seen)).unwrap();
    assert_eq!(device_of(&world, &browser), Some((device.id, DeviceState::Registered)));
    // Everything anew is everything: another device may be in front of them now.
    let again = Missed { again: true, ..Missed::default() };
    let ask = asked(world.begin_missing(Some(&browser), again));
    assert_eq!(ask.factor, Factor::Password);
    sent(world.password(&ask.flow).await);
}

#[tokio::test]
async fn no_step_is_skipped_on_the_way_to_the_device_host() {
    let world = world().await;
    world.set_policy(REGISTERED);
    let flow = asked(world.begin(None)).flow;
    let asked = sent(world.password(&flow).await);
    assert_eq!(problem(world.password(&flow).await), "sign-in-over", "the password once more");
    for answer in [FactorAnswer::Seen, FactorAnswer::Terms(true), FactorAnswer::Code(SecretText::new("1".into()))] {
        assert_eq!(problem(world.give(&flow, answer)), "sign-in-over");
    }
    let brought = show(&world, &asked, None);
    assert_eq!(problem(bring(&world, &brought, &[&asked.binding])), "device-required");
}

#[tokio::test]
async fn users_remove_their_own_devices_and_no_others() {
    let world = world().await;
    let (own, blocked, berts) = (enrol(&world, "anna"), enrol(&world, "anna"), enrol(&world, "bert"));
    devices::block(&world.control, &Actor::Control, &tenant(&world), &blocked.id.to_string()).unwrap();
    let browser = world.signed_in(world.after_password().await).unwrap();
    let ask = |action| crate::portal::answer(&world.control, &PortalRequest { browser: browser.clone(), action });
    let PortalAnswer::Devices(shown) = ask(PortalAction::Devices {}) else { panic!("no devices") };
    assert_eq!(shown.devices.iter().map(|device| device.id).collect::<Vec<_>>(), [own.id, blocked.id]);
    assert_eq!(shown.devices.iter().map(|device| device.removable).collect::<Vec<_>>(), [true, false]);
    assert!(shown.enrol.is_none(), "there is no client that may");
    for other in [berts.id, blocked.id, "d1-99".parse().unwrap(), "d2-1".parse().unwrap()] {
        assert_eq!(ask(PortalAction::RemoveDevice { device: other }), PortalAnswer::Absent {}, "{other}");
    }
    assert_eq!(ask(PortalAction::RemoveDevice { device: own.id }), PortalAnswer::Done {});
    let PortalAnswer::Devices(shown) = ask(PortalAction::Devices {}) else { panic!("no devices") };
    assert_eq!(shown.devices.len(), 1);
    let of = |id| {
        devices::for_session(
            &world.control,
            id,
            user(&world.control, TenantId::DEFAULT, &"bert".parse().unwrap()).unwrap().id,
        )
    };
    assert!(of(berts.id).unwrap().is_some(), "Bert's is still there");
}

#[tokio::test]
async fn who_begins_anew_after_a_device_shows_it_anew() {
    let world = kerberos::world("required").await;
    set_up(&world);
    let device = enrol(&world, "anna");
    world.set_policy(REGISTERED);
    let flow = asked(world.begin(None)).flow;
    let step = kerberos::give(&world, &flow, kerberos::good(kerberos::ANNA), client());
    // A ticket alone sets no factor up: the password is asked for, and whoever gives it may be somebody else.
    let ask = asked(shown(&world, step, Some(&device.certificate)));
    assert_eq!(ask.factor, Factor::Password);
    let ask = asked(shown(&world, world.password(&ask.flow).await, Some(&device.certificate)));
    assert!(matches!(ask.factor, Factor::Enrol(_)), "{ask:?}");
}
