//! Authorities that operators name, such as an MDM's, and the devices that come by their certificates.

use super::*;

#[test]
fn a_device_of_another_authority_comes_by_itself_and_once_removed_stays_so() {
    let world = World::new();
    let (mdm, key) = (Mdm::new("mdm"), key());
    world.add("mdm", &mdm.pem, false).unwrap();
    let der = mdm.issue(&client("  PC\u{202e}\n 7 ", -1..9), &key);
    let first = world.recognise(&der).unwrap();
    assert_eq!((first.device.name.as_str(), first.device.owner), ("PC 7", None));
    assert_eq!((first.state, first.device.approval), (DeviceState::Registered, Approval::Approved));
    assert_eq!(world.recognise(&der).unwrap(), first, "it is the same one");
    world.add("mdm", &mdm.pem, true).unwrap();
    assert_eq!(world.state_of(&der), DeviceState::Compliant, "its authority says so now");
    let no = SetDevice { compliance: Some(Compliance::No), ..SetDevice::default() };
    world.set(first.device.id, no).unwrap();
    assert_eq!(world.state_of(&der), DeviceState::Registered);
    world.remove(first.device.id);
    let gone =
        |der: &[u8]| assert!(matches!(world.recognise(der), Err(NotRecognised::Removed(id)) if id == first.device.id));
    gone(&der);
    gone(&mdm.issue(&client("PC 7 again", -1..20), &key));
    world.drop_authority("mdm");
    assert!(matches!(world.recognise(&der), Err(NotRecognised::Untrusted(_))));
    world.add("mdm", &mdm.pem, true).unwrap();
    gone(&der);
    world.approve(first.device.id);
    assert_eq!(world.state_of(&der), DeviceState::Registered);
    let nameless = mdm.issue(&client("\u{7}", -1..9), &self::key());
    assert_eq!(world.recognise(&nameless).unwrap().device.name.as_str(), "d1-2");
}

#[test]
fn a_newer_certificate_of_another_authority_renews_its_device_and_an_older_one_does_not() {
    let world = World::new();
    let (mdm, key) = (Mdm::new("mdm"), key());
    world.add("mdm", &mdm.pem, false).unwrap();
    let (older, newer) = (mdm.issue(&client("pc", -1..5), &key), mdm.issue(&client("pc", -1..9), &key));
    let first = world.recognise(&older).unwrap().device;
    let renewed = world.recognise(&newer).unwrap().device;
    assert_eq!((renewed.id, renewed.expires_unix), (first.id, first.expires_unix + days(4)));
    assert_eq!(world.recognise(&older).unwrap().device.certificate_sha256, renewed.certificate_sha256);
    let another = mdm.issue(&client("pc", -1..9), &self::key());
    assert_ne!(world.recognise(&another).unwrap().device.id, first.id, "another key is another device");
}

#[test]
fn what_is_no_authority_is_not_taken_for_one() {
    let world = World::new();
    let mdm = Mdm::new("mdm");
    let leaf = client("pc", -1..9).self_signed(&key()).unwrap().pem();
    for wrong in ["", "hello", &leaf, &Mdm::valid("old", -9..-2).pem, &Mdm::valid("young", 2..9).pem] {
        assert_eq!(code(world.add("mdm", wrong, false)), "certificate-invalid", "{wrong}");
    }
    let both = format!("{}{}", mdm.pem, Mdm::new("second").pem);
    assert_eq!(code(world.add("mdm", &both, false)), "certificate-invalid");
    let mut signs_nothing = dated("mdm", -1..30);
    signs_nothing.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    signs_nothing.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    let signs_nothing = signs_nothing.self_signed(&key()).unwrap().pem();
    assert_eq!(code(world.add("mdm", &signs_nothing, false)), "certificate-invalid", "as its key usage says");
    let web = std::fs::read_to_string(world.control.state_dir.join(crate::authority::WEB_CA_FILE)).unwrap();
    for own in [world.control.authority.ca_pem(), &web] {
        assert_eq!(code(world.add("mdm", own, false)), "certificate-invalid", "it issues to connectors and hosts");
    }
    assert_eq!(code(world.add("own", &mdm.pem, false)), "request-invalid");
    world.add("mdm", &mdm.pem, false).unwrap();
    assert_eq!(code(world.add("again", &mdm.pem, true)), "name-taken");
    for nth in 2..postern_model::device::DEVICE_AUTHORITIES_MAX {
        world.add(&format!("mdm-{nth}"), &Mdm::new("more").pem, false).unwrap();
    }
    assert_eq!(code(world.add("one-more", &Mdm::new("more").pem, false)), "limit-reached");
    world.enrol("anna", &key()).unwrap();
    assert_eq!(list_authorities(&world.control, &world.tenant).len(), postern_model::device::DEVICE_AUTHORITIES_MAX);
}

#[test]
fn no_two_authorities_have_one_key_and_none_has_a_tenants_own() {
    let world = World::new();
    let mdm = Mdm::new("mdm");
    world.add("mdm", &mdm.pem, true).unwrap();
    let renewed = mdm.again("mdm");
    assert_eq!(code(world.add("second", &renewed.pem, true)), "name-taken");
    world.add("mdm", &renewed.pem, true).unwrap();
    world.enrol("anna", &key()).unwrap();
    let own = own_authority_key(world.tenant.id).unwrap();
    let own = crate::pem::as_pem(&world.control.snapshot().device_authorities[&own].certificate.der());
    assert_eq!(code(world.add("second", &own, true)), "certificate-invalid");
    let create = serde_json::from_value(serde_json::json!({"name": "acme"})).unwrap();
    tenants::create(&world.control, &Actor::Control, create).unwrap();
    let acme = tenants::find(&world.control, "acme").unwrap();
    let there = |pem: String| {
        let asked = AddDeviceAuthority { name: "second".parse().unwrap(), certificate_pem: pem, compliant: None };
        add_authority(&world.control, &Actor::Control, &acme, asked)
    };
    assert_eq!(code(there(own)), "certificate-invalid", "in no tenant");
    there(renewed.pem).unwrap();
}

#[test]
fn another_certificate_of_an_authority_leaves_what_its_devices_comply_with() {
    let world = World::new();
    let mdm = Mdm::new("mdm");
    world.put("mdm", &mdm.pem, Some(true)).unwrap();
    let der = mdm.issue(&client("pc", -1..9), &key());
    let says = |warnings: Vec<String>, what: &str| warnings.iter().any(|line| line.contains(what));
    assert!(!says(world.put("mdm", &mdm.again("mdm").pem, None).unwrap(), "comply"));
    assert_eq!(world.state_of(&der), DeviceState::Compliant);
    assert!(says(world.put("mdm", &mdm.pem, Some(false)).unwrap(), "comply no more"));
    assert_eq!(world.state_of(&der), DeviceState::Registered);
    assert!(says(world.put("mdm", &mdm.pem, Some(true)).unwrap(), "devices of mdm comply, unless"));
    world.put("plain", &Mdm::new("plain").pem, None).unwrap();
    assert_eq!(list_authorities(&world.control, &world.tenant).iter().filter(|view| view.compliant).count(), 1);
}

#[test]
fn another_key_of_an_authority_ends_what_it_issued_before() {
    let world = World::new();
    let (first, next, key) = (Mdm::new("mdm"), Mdm::new("mdm"), key());
    world.add("mdm", &first.pem, true).unwrap();
    let before = first.issue(&client("pc", -1..9), &key);
    let device = world.recognise(&before).unwrap().device;
    let session = world.session_with(device.id);
    let state = || world.recorded(&session).unwrap().state;
    world.add("mdm", &first.again("mdm").pem, true).unwrap();
    assert_eq!(state(), DeviceState::Compliant, "the key is the same");
    let told = world.told();
    world.add("mdm", &next.pem, true).unwrap();
    assert_eq!(state(), DeviceState::Unknown);
    assert!(world.told() > told);
    assert!(matches!(world.recognise(&before), Err(NotRecognised::Untrusted(_))));
    let since = next.issue(&client("pc", -1..5), &key);
    assert_eq!(world.recognise(&since).unwrap().device.id, device.id, "what was said of it stays");
    assert_eq!(state(), DeviceState::Compliant);
    world.add("mdm", &first.pem, true).unwrap();
    assert_eq!(state(), DeviceState::Unknown);
    world.recognise(&before).unwrap();
    assert_eq!(state(), DeviceState::Compliant, "the key from before is back");
}

#[test]
fn an_authority_past_its_end_vouches_for_nothing_and_does_not_hold_up_a_document() {
    let world = World::new();
    let mdm = Mdm::new("mdm");
    world.add("mdm", &mdm.pem, true).unwrap();
    let device = world.recognise(&mdm.issue(&client("pc", -1..90), &key())).unwrap().device;
    world.session_with(device.id);
    let at = |day: u64| state(&world.control, &device, now_unix() + days(day));
    assert_eq!((at(29), at(31)), (DeviceState::Compliant, DeviceState::Unknown));
    let told = world.told();
    follow_time(&world.control, now_unix(), now_unix() + days(29)).unwrap();
    assert_eq!(world.told(), told);
    follow_time(&world.control, now_unix() + days(29), now_unix() + days(31)).unwrap();
    assert!(world.told() > told, "nobody but time changed it");

    let old = Mdm::valid("old", -9..-2);
    let mut draft = Draft::default();
    let certificate = CertificateDer::from_pem_slice(old.pem.as_bytes()).unwrap();
    draft.change(postern_model::Change::DeviceAuthorityPut(DeviceAuthority {
        tenant: world.tenant.id,
        name: "old".parse().unwrap(),
        certificate: postern_model::device::AuthorityCertificate::new(&certificate).unwrap(),
        compliant: true,
    }));
    world.control.commit(&Actor::Control, draft).unwrap();
    let version = world.control.snapshot().version;
    assert_eq!(world.put("old", &old.pem, Some(true)).unwrap(), [""; 0]);
    assert_eq!(world.control.snapshot().version, version, "nothing changes");
    world.put("old", &old.pem, Some(false)).unwrap();
    assert_eq!(code(world.add("old", &Mdm::valid("old", -9..-2).pem, false)), "certificate-invalid", "a new one");
}
