//! What else follows when a device, its authority or its user changes.

use super::*;

#[test]
fn sessions_follow_their_device_and_relays_are_told() {
    let world = World::new();
    let enrolled = world.enrol("anna", &key()).unwrap();
    let session = world.session_with(enrolled.id);
    let state = |world: &World| world.recorded(&session).map(|device| device.state);
    assert_eq!(state(&world), Some(DeviceState::Unknown));
    let mut told = world.told();
    let mut is_told = |world: &World| std::mem::replace(&mut told, world.told()) < world.told();
    world.approve(enrolled.id);
    assert_eq!((state(&world), is_told(&world)), (Some(DeviceState::Registered), true));
    let soon = now_unix() + 60;
    let until = SetDevice { compliance: Some(Compliance::Until(soon)), ..SetDevice::default() };
    world.set(enrolled.id, until).unwrap();
    assert_eq!((state(&world), is_told(&world)), (Some(DeviceState::Compliant), true));
    let known = world.recorded(&session).unwrap();
    assert_eq!((known.compliant_until_unix, known.until_unix), (Some(soon), Some(enrolled.expires_unix)));
    follow_time(&world.control, 0, soon - 1).unwrap();
    assert!(!is_told(&world));
    follow_time(&world.control, soon - 1, soon).unwrap();
    assert!(is_told(&world), "nobody but time changed it");
    world.set(enrolled.id, SetDevice { shared: true, ..SetDevice::default() }).unwrap();
    assert_eq!((state(&world), is_told(&world)), (Some(DeviceState::Compliant), true));
    world.give(enrolled.id, "bert");
    assert_eq!((state(&world), is_told(&world)), (None, true), "it is another's now");
    world.set(enrolled.id, SetDevice { shared: true, ..SetDevice::default() }).unwrap();
    assert_eq!((state(&world), is_told(&world)), (Some(DeviceState::Unknown), true), "its certificate ended");
    block(&world.control, &Actor::Control, &world.tenant, &enrolled.id.to_string()).unwrap();
    assert_eq!((state(&world), is_told(&world)), (Some(DeviceState::Unknown), true));
    world.remove(enrolled.id);
    assert_eq!((state(&world), is_told(&world)), (None, true));
}

#[test]
fn what_somebody_enrolled_counts_for_nobody_else_by_their_certificate() {
    let world = World::new();
    world.settings(true, 9);
    let key = key();
    let annas = world.enrol("anna", &key).unwrap();
    let asked = |login: &str| SetDevice { owner: Some(login.into()), ..SetDevice::default() };
    let give = |login: &str| {
        let id = annas.id.to_string();
        set(&world.control, &Actor::Control, &world.tenant, &id, asked(login)).unwrap().warnings.concat()
    };
    assert!(!give("anna").contains("ended"), "it is hers already");
    assert_eq!(world.state_of(&leaf(&annas)), DeviceState::Registered);
    world.set(annas.id, SetDevice { shared: true, ..SetDevice::default() }).unwrap();
    assert_eq!(world.state_of(&leaf(&annas)), DeviceState::Registered, "for everybody");
    assert!(give("bert").contains("once its new owner enrols it anew"));
    assert!(matches!(world.recognise(&leaf(&annas)), Err(NotRecognised::Unknown)));
    assert_eq!(code(world.enrol("anna", &key)), "device-of-another");
    let berts = world.enrol("bert", &key).unwrap();
    assert_eq!((berts.id, berts.state), (annas.id, DeviceState::Registered));
    assert!(matches!(world.recognise(&leaf(&annas)), Err(NotRecognised::Unknown)));
    assert_eq!(world.recognise(&leaf(&berts)).unwrap().device.owner, Some(world.user("bert").id));
    // What a management issued to is the same device, whoever has it.
    let mdm = Mdm::new("mdm");
    world.add("mdm", &mdm.pem, true).unwrap();
    let managed = mdm.issue(&client("pc", -1..9), &self::key());
    let id = world.recognise(&managed).unwrap().device.id;
    world.give(id, "anna");
    world.give(id, "bert");
    assert_eq!(world.state_of(&managed), DeviceState::Compliant);
}

#[test]
fn an_authority_that_goes_takes_what_its_devices_count_for_along() {
    let world = World::new();
    let mdm = Mdm::new("mdm");
    world.add("mdm", &mdm.pem, true).unwrap();
    let device = world.recognise(&mdm.issue(&client("pc", -1..9), &key())).unwrap().device;
    let session = world.session_with(device.id);
    assert_eq!(world.recorded(&session).unwrap().state, DeviceState::Compliant);
    let before = world.told();
    world.add("mdm", &mdm.pem, false).unwrap();
    assert_eq!(world.recorded(&session).unwrap().state, DeviceState::Registered);
    assert!(world.told() > before, "of all that began with a device");
    let before = world.told();
    world.drop_authority("mdm");
    assert!(world.recorded(&session).is_none() && world.told() > before);
    world.enrol("anna", &key()).unwrap();
    let path = world.control.state_dir.join("device-ca-t1.key");
    assert!(path.exists());
    world.drop_authority("own");
    assert!(!path.exists(), "nothing is issued by it any more");
    world.enrol("anna", &key()).unwrap();
}

#[test]
fn a_user_who_goes_takes_their_devices_along_and_none_comes_back_as_everybodys() {
    let world = World::new();
    let mdm = Mdm::new("mdm");
    world.add("mdm", &mdm.pem, true).unwrap();
    let (theirs, own) = (mdm.issue(&client("pc", -1..9), &key()), leaf(&world.enrol("bert", &key()).unwrap()));
    let id = world.recognise(&theirs).unwrap().device.id;
    world.set(id, SetDevice { owner: Some("bert".into()), ..SetDevice::default() }).unwrap();
    users::delete(&world.control, &Actor::Control, &world.tenant, "bert").unwrap();
    assert!(matches!(world.recognise(&theirs), Err(NotRecognised::Removed(_))));
    assert!(matches!(world.recognise(&own), Err(NotRecognised::Unknown)));
}
