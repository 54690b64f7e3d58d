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
    let own = world.control.authority.ca_pem().to_owned();
    assert_eq!(code(world.add("mdm", &own, false)), "certificate-invalid", "connectors have certificates of it");
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
