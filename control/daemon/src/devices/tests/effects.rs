//! What else follows when a device, its authority or its user changes, and the host where devices are shown.

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
    follow_time(&world.control, 0, soon - 1).unwrap();
    assert!(!is_told(&world));
    follow_time(&world.control, soon - 1, soon).unwrap();
    assert!(is_told(&world), "nobody but time changed it");
    world.set(enrolled.id, SetDevice { owner: Some("bert".into()), ..SetDevice::default() }).unwrap();
    assert_eq!((state(&world), is_told(&world)), (None, true), "it is another's now");
    world.set(enrolled.id, SetDevice { shared: true, ..SetDevice::default() }).unwrap();
    assert_eq!((state(&world), is_told(&world)), (Some(DeviceState::Compliant), true));
    block(&world.control, &Actor::Control, &world.tenant, &enrolled.id.to_string()).unwrap();
    assert_eq!((state(&world), is_told(&world)), (Some(DeviceState::Unknown), true));
    world.remove(enrolled.id);
    assert_eq!((state(&world), is_told(&world)), (None, true));
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

#[test]
fn the_device_host_has_nothing_else_and_a_certificate() {
    let world = World::new();
    let asked = |host: &str| SetDeviceHost { host: host.parse().unwrap(), certificate_pem: None, key_pem: None };
    let set_host = |host: &str| set_host(&world.control, &Actor::Control, asked(host));
    assert_eq!(code(set_host("device.example.com")), "not-found", "people sign in nowhere");
    let external_url: String = "https://login.example.com:8443/".into();
    let publish = || PublishIdentity { external_url: external_url.clone(), certificate_pem: None, key_pem: None };
    identity::publish(&world.control, &Actor::Control, publish()).unwrap();
    assert_eq!(code(set_host("login.example.com")), "app-url-conflict");
    let set = set_host("device.example.com").unwrap();
    assert_eq!(set.identity.device_url.as_deref(), Some("https://device.example.com:8443"));
    let covers = |host: &str| world.control.snapshot().certificates.values().any(|one| one.hosts == [host]);
    assert!(covers("device.example.com"));
    identity::publish(&world.control, &Actor::Control, publish()).unwrap();
    assert!(device_url(&world.control).is_some(), "publishing once more keeps it");

    let app = |url: &str| {
        let entry = serde_json::json!({"name": "x", "external_url": url, "internal_url": "http://10.0.0.5/", "preauth": "passthrough"});
        apps::publish(&world.control, &Actor::Control, &world.tenant, serde_json::from_value(entry).unwrap())
    };
    assert_eq!(code(app("https://device.example.com/x/")), "app-url-conflict");
    app("https://*.example.com/").unwrap();
    let moved = set_host("other.example.com").unwrap();
    assert!(moved.warnings[0].contains("below the wildcard of x"), "{:?}", moved.warnings);
    assert!(!covers("device.example.com"), "nothing shows it any more");
    remove_host(&world.control, &Actor::Control).unwrap();
    assert!(device_url(&world.control).is_none());
    assert_eq!(code(remove_host(&world.control, &Actor::Control)), "not-found");
    set_host("device.example.com").unwrap();
    identity::unpublish(&world.control, &Actor::Control).unwrap();
    assert!(!covers("device.example.com"));
}
