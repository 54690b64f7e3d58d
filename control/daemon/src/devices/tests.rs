//! Devices against a real store, with authorities and keys in software.

mod effects;
mod host;
mod kept;
mod named;

use postern_model::admin::{
    AddDeviceAuthority, CreateUser, PublishIdentity, SetDevice, SetDeviceHost, SetDeviceSettings,
};
use postern_model::config::Tenant;
use postern_model::device::{Compliance, EnrolDevice, EnrolledDevice};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::*;
use crate::authority::RequestedKey;
use crate::authority::devices::{DeviceCa, device_uri};
use crate::limits::DEVICES_OF_USER_MAX;
use crate::sessions;
use crate::store::{SessionChange, StoredSession};
use crate::{apps, identity, tenants, testing, users};

struct World {
    control: Control,
    tenant: Tenant,
    _folder: tempfile::TempDir,
}

/// An authority outside, such as an MDM's.
struct Mdm {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = testing::control(folder.path());
        let tenant = identity::default_tenant(&control.snapshot()).unwrap();
        let world = Self { control, tenant, _folder: folder };
        ["anna", "bert"].iter().for_each(|login| world.make_user(login));
        world
    }

    fn make_user(&self, login: &str) {
        let create = serde_json::from_value::<CreateUser>(serde_json::json!({ "login": login })).unwrap();
        users::create(&self.control, &Actor::Control, &self.tenant, create, None).unwrap();
    }

    fn user(&self, login: &str) -> User {
        crate::directory::find_user(&self.control, &self.tenant, login).unwrap()
    }

    fn settings(&self, approve_at_once: bool, own_days: u16) {
        let (approve_at_once, own_days) = (Some(approve_at_once), Some(own_days));
        let asked = SetDeviceSettings { approve_at_once, own_days, sign_in: None };
        set_settings(&self.control, &Actor::Control, &self.tenant, asked).unwrap();
    }

    fn enrol(&self, login: &str, key: &KeyPair) -> Result<EnrolledDevice, Problem> {
        let name = format!("{login}'s laptop").parse().unwrap();
        enrol(&self.control, &self.user(login), &EnrolDevice { csr_pem: request(key), name, platform: None })
    }

    fn recognise(&self, der: &[u8]) -> Result<Recognised, NotRecognised> {
        recognise(&self.control, self.tenant.id, der, now_unix())
    }

    fn state_of(&self, der: &[u8]) -> DeviceState {
        self.recognise(der).unwrap().state
    }

    /// Gives what operators are told.
    fn approve(&self, id: DeviceId) -> Vec<String> {
        approve(&self.control, &Actor::Control, &self.tenant, &id.to_string()).unwrap().warnings
    }

    fn block(&self, id: DeviceId) {
        block(&self.control, &Actor::Control, &self.tenant, &id.to_string()).unwrap();
    }

    fn give(&self, id: DeviceId, login: &str) {
        self.set(id, SetDevice { owner: Some(login.into()), ..SetDevice::default() }).unwrap();
    }

    fn refuse_compliance(&self, id: DeviceId) {
        self.set(id, SetDevice { compliance: Some(Compliance::No), ..SetDevice::default() }).unwrap();
    }

    fn set(&self, id: DeviceId, asked: SetDevice) -> Result<(), Problem> {
        set(&self.control, &Actor::Control, &self.tenant, &id.to_string(), asked).map(drop)
    }

    fn remove(&self, id: DeviceId) {
        remove(&self.control, &Actor::Control, &self.tenant, &id.to_string()).unwrap();
    }

    fn add(&self, name: &str, pem: &str, compliant: bool) -> Result<(), Problem> {
        self.put(name, pem, Some(compliant)).map(drop)
    }

    /// Gives what operators are told.
    fn put(&self, name: &str, pem: &str, compliant: Option<bool>) -> Result<Vec<String>, Problem> {
        let asked = AddDeviceAuthority { name: name.parse().unwrap(), certificate_pem: pem.to_owned(), compliant };
        add_authority(&self.control, &Actor::Control, &self.tenant, asked).map(|changed| changed.warnings)
    }

    fn drop_authority(&self, name: &str) {
        remove_authority(&self.control, &Actor::Control, &self.tenant, name).unwrap();
    }

    /// Anna's session that began with a device.
    fn session_with(&self, device: DeviceId) -> StoredSession {
        let now = now_unix();
        let session = StoredSession {
            id: postern_model::ids::SessionId(7),
            user: self.user("anna").id,
            browser: [7; 32],
            created_unix: now,
            authenticated_unix: now,
            methods: std::collections::BTreeSet::new(),
            provider: None,
            source: None,
            user_agent: String::new(),
            expires_unix: now + 1_000,
            idle_s: 1_000,
            persistent: false,
            seen_unix: now,
            risk: postern_model::policy::Risk::Low,
            device: Some(device),
            claimed_device: DeviceState::Unknown,
        };
        let mut draft = Draft::default();
        draft.session(SessionChange::Put(Box::new(session.clone())));
        self.control.commit(&Actor::Control, draft).unwrap();
        session
    }

    fn recorded(&self, session: &StoredSession) -> Option<SessionDevice> {
        sessions::record_of(&self.control, session).unwrap().unwrap().device
    }

    /// How often relays were told of sessions.
    fn told(&self) -> u64 {
        self.control.fleet.borrow().newest_sessions()
    }
}

impl Mdm {
    fn new(name: &str) -> Self {
        Self::valid(name, -1..30)
    }

    fn valid(name: &str, days: std::ops::Range<i64>) -> Self {
        Self::with(name, days, KeyPair::generate().unwrap())
    }

    /// The same authority with another certificate for its key.
    fn again(&self, name: &str) -> Self {
        Self::with(name, -1..60, KeyPair::from_pem(&self.issuer.key().serialize_pem()).unwrap())
    }

    fn with(name: &str, days: std::ops::Range<i64>, key: KeyPair) -> Self {
        let mut params = dated(name, days);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::from_ca_cert_der(&der, key).unwrap(), pem }
    }

    fn issue(&self, params: &CertificateParams, key: &KeyPair) -> CertificateDer<'static> {
        params.signed_by(key, &self.issuer).unwrap().der().clone()
    }
}

fn dated(name: &str, days: std::ops::Range<i64>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now + time::Duration::days(days.start);
    params.not_after = now + time::Duration::days(days.end);
    params
}

fn client(name: &str, days: std::ops::Range<i64>) -> CertificateParams {
    let mut params = dated(name, days);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn request(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

fn leaf(enrolled: &EnrolledDevice) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(enrolled.certificate_pem.as_bytes()).unwrap()
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn code<T>(refused: Result<T, Problem>) -> String {
    refused.err().unwrap().code
}

fn days(days: u64) -> u64 {
    days * 86_400
}

#[test]
fn an_enrolled_device_counts_once_it_is_approved_and_as_operators_say() {
    let world = World::new();
    let key = key();
    let enrolled = world.enrol("anna", &key).unwrap();
    let der = leaf(&enrolled);
    assert_eq!(enrolled.state, DeviceState::Unknown);
    let found = world.recognise(&der).unwrap();
    assert_eq!((found.device.id, found.device.owner), (enrolled.id, Some(world.user("anna").id)));
    assert_eq!((found.state, found.device.approval), (DeviceState::Unknown, Approval::Waiting));
    world.approve(enrolled.id);
    assert_eq!(world.state_of(&der), DeviceState::Registered);
    let until = now_unix() + 60;
    world.set(enrolled.id, SetDevice { compliance: Some(Compliance::Until(until)), ..SetDevice::default() }).unwrap();
    assert_eq!(world.state_of(&der), DeviceState::Compliant);
    let later = recognise(&world.control, world.tenant.id, &der, until).unwrap();
    assert_eq!(later.state, DeviceState::Registered);
    let past = SetDevice { compliance: Some(Compliance::Until(now_unix())), ..SetDevice::default() };
    assert_eq!(code(world.set(enrolled.id, past)), "request-invalid");
    block(&world.control, &Actor::Control, &world.tenant, &enrolled.id.to_string()).unwrap();
    assert_eq!(world.state_of(&der), DeviceState::Unknown);
    assert_eq!(code(world.enrol("anna", &key)), "device-blocked");
    let anna = world.user("anna");
    assert_eq!(code(remove_own(&world.control, &anna, enrolled.id)), "not-found", "it would not be blocked any more");
    let blocked = world.recognise(&der).unwrap().device;
    assert!(!may_remove(&anna, &blocked));
    let own = Device { approval: Approval::Approved, ..blocked };
    assert!(may_remove(&anna, &own) && !may_remove(&anna, &Device { owner: None, ..own.clone() }));
    assert!(!may_remove(&anna, &Device { authority: "mdm".parse().unwrap(), ..own }), "that is an operator's");
}

#[test]
fn where_it_is_set_an_enrolled_device_counts_at_once() {
    let world = World::new();
    world.settings(true, 3);
    let enrolled = world.enrol("anna", &key()).unwrap();
    assert_eq!(enrolled.state, DeviceState::Registered);
    assert!(enrolled.expires_unix.abs_diff(now_unix() + days(3)) < 100, "{}", enrolled.expires_unix);
    for own_days in [0, 1_096] {
        let asked = SetDeviceSettings { own_days: Some(own_days), ..SetDeviceSettings::default() };
        assert_eq!(code(set_settings(&world.control, &Actor::Control, &world.tenant, asked)), "request-invalid");
    }
}

#[test]
fn a_new_certificate_for_the_same_key_takes_the_place_of_the_one_before() {
    let world = World::new();
    let key = key();
    let first = world.enrol("anna", &key).unwrap();
    world.approve(first.id);
    let second = world.enrol("anna", &key).unwrap();
    assert_eq!((second.id, second.state), (first.id, DeviceState::Registered), "what operators said stays");
    assert!(matches!(world.recognise(&leaf(&first)), Err(NotRecognised::Unknown)));
    assert_eq!(world.state_of(&leaf(&second)), DeviceState::Registered);
    assert_eq!(code(world.enrol("bert", &key)), "device-of-another", "a request may have been copied");
}

#[test]
fn what_is_no_request_or_too_much_is_refused() {
    let world = World::new();
    let anna = world.user("anna");
    let ask = |csr_pem: String, name: &str| {
        enrol(&world.control, &anna, &EnrolDevice { csr_pem, name: name.parse().unwrap(), platform: None })
    };
    let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    for wrong in ["hello".to_owned(), request(&other), format!("{}{}", request(&key()), " ".repeat(8 << 10))] {
        assert_eq!(code(ask(wrong, "laptop")), "request-invalid");
    }
    assert_eq!(code(ask(request(&key()), "  ")), "request-invalid");
    assert!(world.control.snapshot().device_authorities.is_empty(), "nothing was made for them");
    let made: Vec<EnrolledDevice> = (0..DEVICES_OF_USER_MAX).map(|_| world.enrol("anna", &key()).unwrap()).collect();
    assert_eq!(code(world.enrol("anna", &key())), "limit-reached");
    world.enrol("bert", &key()).unwrap();
    remove_own(&world.control, &anna, made[0].id).unwrap();
    world.enrol("anna", &key()).unwrap();
    assert!(matches!(world.recognise(&leaf(&made[0])), Err(NotRecognised::Unknown)));
}

#[test]
fn a_certificate_that_nobody_here_vouches_for_is_no_devices() {
    let world = World::new();
    let untrusted = |der: &[u8], says: &str| match world.recognise(der) {
        Err(NotRecognised::Untrusted(why)) => assert!(why.contains(says), "{why}"),
        other => panic!("{says}: {other:?}"),
    };
    let (mdm, stranger) = (Mdm::new("mdm"), Mdm::new("stranger"));
    untrusted(&mdm.issue(&client("pc", -1..9), &key()), "no authority");
    world.add("mdm", &mdm.pem, true).unwrap();
    untrusted(b"hello", "cannot be read");
    untrusted(&[0x30; 20_000], "longer");
    let good = mdm.issue(&client("pc", -1..9), &key());
    untrusted(&[good.as_ref(), b"x"].concat(), "follows");
    untrusted(&stranger.issue(&client("pc", -1..9), &key()), "no authority");
    // Of the same name, and another key.
    untrusted(&Mdm::new("mdm").issue(&client("pc", -1..9), &key()), "no authority");
    untrusted(&mdm.issue(&client("pc", -9..-1), &key()), "expired");
    untrusted(&mdm.issue(&client("pc", 1..9), &key()), "not valid yet");
    let mut server = client("pc", -1..9);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    untrusted(&mdm.issue(&server, &key()), "clientAuth");
    untrusted(&mdm.issue(&dated("mail", -1..9), &key()), "clientAuth");
    let after_its_end = now_unix() + days(31);
    let long = mdm.issue(&client("pc", -1..90), &key());
    let late = recognise(&world.control, world.tenant.id, &long, after_its_end);
    assert!(matches!(late, Err(NotRecognised::Untrusted(why)) if why.contains("expired")), "the authority's own end");
    assert_eq!(world.control.directory(|store| store.device_count(world.tenant.id, None)).unwrap(), 0);
    assert_eq!(world.state_of(&good), DeviceState::Compliant);
}

/// What the tenant's own authority signed counts for what the directory has, and for nothing else.
#[test]
fn a_certificate_of_the_own_authority_is_of_the_device_that_has_exactly_it() {
    let world = World::new();
    let enrolled = world.enrol("anna", &key()).unwrap();
    world.approve(enrolled.id);
    let authority = world.control.snapshot().device_authorities.values().next().unwrap().clone();
    let ca = DeviceCa::open(&world.control.state_dir, world.tenant.id, &authority.certificate.der()).unwrap();
    let other = ca.issue(enrolled.id, &RequestedKey::parse(&request(&key())).unwrap(), 9).unwrap();
    let other = CertificateDer::from_pem_slice(other.chain_pem.as_bytes()).unwrap();
    assert!(matches!(world.recognise(&other), Err(NotRecognised::Unknown)));
    // A row that has the certificate, and whose id is another one than the certificate names.
    let stored = world.control.directory(|store| store.device(enrolled.id)).unwrap().unwrap();
    let mut draft = Draft::default();
    draft.directory(DirectoryChange::Device(DeviceChange::Removed(enrolled.id)));
    put(Device { id: DeviceId::new(world.tenant.id, 99), ..stored }, &mut draft);
    world.control.commit(&Actor::Control, draft).unwrap();
    assert!(matches!(world.recognise(&leaf(&enrolled)), Err(NotRecognised::Unknown)));
}

#[test]
fn a_device_of_one_tenant_is_none_in_another() {
    let world = World::new();
    let create = serde_json::from_value(serde_json::json!({"name": "acme"})).unwrap();
    let acme = tenants::create(&world.control, &Actor::Control, create).unwrap();
    let mdm = Mdm::new("mdm");
    world.add("mdm", &mdm.pem, false).unwrap();
    world.settings(true, 9);
    let enrolled = world.enrol("anna", &key()).unwrap();
    for der in [leaf(&enrolled), mdm.issue(&client("pc", -1..9), &key())] {
        assert_eq!(world.state_of(&der), DeviceState::Registered);
        let there = recognise(&world.control, acme.id, &der, now_unix());
        assert!(matches!(there, Err(NotRecognised::Untrusted(_))), "{there:?}");
    }
    assert!(for_session(&world.control, enrolled.id, UserId::new(acme.id, 1)).unwrap().is_none());
}

#[test]
fn a_device_names_itself_as_no_other_does() {
    assert_eq!(device_uri(DeviceId::new(TenantId(1), 4)), "postern://device/d1-4");
    let shown = Shown::read(&{
        let mut params = client("x", -1..9);
        params.subject_alt_names = vec![SanType::URI("postern://device/d1-44".try_into().unwrap())];
        params.self_signed(&key()).unwrap().der().clone()
    });
    let shown = shown.unwrap();
    assert!(shown.names(DeviceId::new(TenantId(1), 44)) && !shown.names(DeviceId::new(TenantId(1), 4)));
}
