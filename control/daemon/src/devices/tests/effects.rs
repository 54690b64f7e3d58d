//! What else follows when a device, its authority or its user changes.

use std::time::Duration;

use super::*;
use crate::limits::{DEVICES_MAX, DEVICES_REMEMBERED_MAX};

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

/// Nobody asks control to look.
#[tokio::test(start_paused = true)]
async fn control_looks_by_itself_at_what_time_changes() {
    let world = World::new();
    let mdm = Mdm::new("mdm");
    world.add("mdm", &mdm.pem, true).unwrap();
    let seen_long_ago = world.recognise(&mdm.issue(&client("pc", -1..9), &key())).unwrap().device;
    let mut draft = Draft::default();
    put(Device { expires_unix: 1, ..seen_long_ago.clone() }, &mut draft);
    world.control.commit(&Actor::Control, draft).unwrap();
    let enrolled = world.enrol("anna", &key()).unwrap();
    world.session_with(enrolled.id);
    let soon = now_unix() + 2;
    let until = SetDevice { compliance: Some(Compliance::Until(soon)), ..SetDevice::default() };
    world.set(enrolled.id, until).unwrap();
    let told = world.told();
    let passes = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        while now_unix() < soon {
            std::thread::sleep(Duration::from_millis(50));
        }
        tokio::time::sleep(Duration::from_secs(31)).await;
    };
    tokio::select! {
        () = crate::renew(&world.control) => {}
        () = passes => {}
    }
    assert!(world.told() > told, "relays hear of it");
    let found = world.control.directory(|store| store.device(seen_long_ago.id)).unwrap();
    assert!(found.is_none(), "nothing was said of it, and its certificate ended long ago");
}

#[test]
fn operators_of_another_tenant_have_no_say() {
    let world = World::new();
    let create = serde_json::from_value(serde_json::json!({"name": "acme"})).unwrap();
    tenants::create(&world.control, &Actor::Control, create).unwrap();
    let acme = tenants::find(&world.control, "acme").unwrap();
    let enrolled = world.enrol("anna", &key()).unwrap();
    let (control, actor, id) = (&world.control, &Actor::Control, enrolled.id.to_string());
    let shared = SetDevice { shared: true, ..SetDevice::default() };
    for refused in [
        show(control, &acme, &id).map(drop),
        approve(control, actor, &acme, &id).map(drop),
        block(control, actor, &acme, &id).map(drop),
        set(control, actor, &acme, &id, shared).map(drop),
        remove(control, actor, &acme, &id).map(drop),
    ] {
        assert_eq!(code(refused), "not-found");
    }
    let device = world.recognise(&leaf(&enrolled)).unwrap().device;
    assert_eq!((device.approval, device.owner), (Approval::Waiting, Some(world.user("anna").id)));
}

/// As many as there may be at once is what disk and memory were measured for.
#[test]
fn there_are_no_more_devices_than_there_may_be() {
    let world = World::new();
    let mdm = Mdm::new("mdm");
    world.add("mdm", &mdm.pem, true).unwrap();
    let [first, removed] = [(); 2].map(|()| world.recognise(&mdm.issue(&client("pc", -1..9), &key())).unwrap().device);
    world.remove(removed.id);
    let fill = |count: u32, approval| {
        let mut draft = Draft::default();
        for seq in 0..count {
            let id = DeviceId::new(world.tenant.id, 1_000 + seq);
            put(Device { id, approval, key_sha256: seq.to_string(), ..first.clone() }, &mut draft);
        }
        world.control.commit(&Actor::Control, draft).unwrap();
    };
    fill(DEVICES_MAX - 1, Approval::Approved);
    let full = |refused: Problem| assert_eq!(refused.code, "limit-reached");
    full(world.enrol("anna", &key()).unwrap_err());
    full(approve(&world.control, &Actor::Control, &world.tenant, &removed.id.to_string()).unwrap_err());
    match world.recognise(&mdm.issue(&client("pc", -1..9), &key())) {
        Err(NotRecognised::Failed(refused)) => full(refused),
        other => panic!("{other:?}"),
    }
    fill(DEVICES_REMEMBERED_MAX - 1, Approval::Removed);
    full(remove(&world.control, &Actor::Control, &world.tenant, &first.id.to_string()).unwrap_err());
    world.block(first.id);
    world.enrol("anna", &key()).unwrap();
}
