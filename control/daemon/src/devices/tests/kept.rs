//! What was said of a device holds, whatever becomes of its authority, and whichever other one issues to its key.

use postern_model::document::Document;

use super::*;

impl World {
    /// `apply --prune` of a document with these authorities, each of which complies.
    fn apply(&self, authorities: &[(&str, &Mdm)]) {
        let entries = authorities.iter().map(|(name, mdm)| {
            let entry = serde_json::json!({ "certificate_pem": mdm.pem, "compliant": true });
            ((*name).to_owned(), entry)
        });
        let entries: serde_json::Map<String, serde_json::Value> = entries.collect();
        let document = serde_json::json!({ "device_authorities": entries });
        let document: Document = serde_json::from_value(document).unwrap();
        document::make(&self.control, &Actor::Control, &self.tenant, &document, true).unwrap();
    }

    fn stored(&self, id: DeviceId) -> Option<Device> {
        self.control.directory(|store| store.device(id)).unwrap()
    }

    fn state_now(&self, id: DeviceId) -> DeviceState {
        state(&self.control, &self.stored(id).unwrap(), now_unix())
    }
}

fn pc(mdm: &Mdm, key: &KeyPair) -> CertificateDer<'static> {
    mdm.issue(&client("pc", -1..9), key)
}

#[test]
fn what_was_said_of_a_device_outlives_its_authority() {
    let world = World::new();
    let (mdm, other) = (Mdm::new("mdm"), Mdm::new("other"));
    world.add("mdm", &mdm.pem, true).unwrap();
    let shown = [(); 4].map(|()| pc(&mdm, &key()));
    let [blocked, owned, refused, plain] =
        [0, 1, 2, 3].map(|nth: usize| world.recognise(&shown[nth]).unwrap().device.id);
    world.block(blocked);
    world.give(owned, "anna");
    world.refuse_compliance(refused);
    let anna = world.user("anna").id;
    let holds = || {
        let found = [0, 1, 2].map(|nth: usize| world.recognise(&shown[nth]).unwrap());
        assert_eq!(found.clone().map(|found| found.device.id), [blocked, owned, refused]);
        assert_eq!((found[0].state, found[0].device.approval), (DeviceState::Unknown, Approval::Blocked));
        assert_eq!((found[1].state, found[1].device.owner), (DeviceState::Compliant, Some(anna)));
        assert_eq!(found[2].state, DeviceState::Registered);
    };
    holds();
    world.drop_authority("mdm");
    assert!(world.stored(plain).is_none(), "nothing was said of it");
    assert_eq!([blocked, owned, refused].map(|id| world.state_now(id)), [DeviceState::Unknown; 3]);
    world.add("mdm", &mdm.pem, true).unwrap();
    assert_eq!(world.state_now(owned), DeviceState::Unknown, "until it shows its certificate again");
    holds();
    world.apply(&[("other", &other)]);
    assert_eq!([blocked, owned, refused].map(|id| world.state_now(id)), [DeviceState::Unknown; 3]);
    world.apply(&[("other", &other), ("mdm", &mdm)]);
    holds();
    let comes_anew = world.recognise(&shown[3]).unwrap();
    assert_eq!((comes_anew.state, comes_anew.device.owner), (DeviceState::Compliant, None));
    // The same under another name: as a document has it that gives the authority one.
    world.apply(&[("renamed", &mdm)]);
    assert_eq!(world.state_of(&shown[0]), DeviceState::Unknown);
    assert_eq!(world.recognise(&shown[1]).unwrap().device.owner, Some(anna));
    assert_eq!(world.state_of(&shown[2]), DeviceState::Registered);
}

#[test]
fn a_blocked_key_is_not_enrolled_once_more_when_the_own_authority_is_another() {
    let world = World::new();
    let (lost, other) = (key(), key());
    world.settings(true, 9);
    let blocked = world.enrol("anna", &lost).unwrap().id;
    let before = world.enrol("anna", &other).unwrap().id;
    world.block(blocked);
    world.drop_authority("own");
    assert!(world.stored(before).is_none());
    assert_eq!(code(world.enrol("anna", &lost)), "device-blocked");
    assert_ne!(world.enrol("anna", &other).unwrap().id, before);
    assert_eq!(code(world.enrol("anna", &lost)), "device-blocked");
    world.approve(blocked);
    assert_eq!(world.state_now(blocked), DeviceState::Unknown, "its certificate is of the authority that is gone");
    world.enrol("anna", &lost).unwrap();
    assert_eq!(world.state_now(blocked), DeviceState::Registered);
}

#[test]
fn a_key_that_is_barred_is_so_under_every_authority() {
    let world = World::new();
    let (first, second, key) = (Mdm::new("first"), Mdm::new("second"), key());
    world.add("first", &first.pem, true).unwrap();
    let id = world.recognise(&pc(&first, &key)).unwrap().device.id;
    world.block(id);
    world.add("second", &second.pem, true).unwrap();
    let by_second = pc(&second, &key);
    let found = world.recognise(&by_second).unwrap();
    assert_eq!((found.device.id, found.state), (id, DeviceState::Unknown));
    assert_eq!(code(world.enrol("anna", &key)), "device-blocked");
    world.approve(id);
    let also = world.recognise(&by_second).unwrap();
    assert_eq!(also.state, DeviceState::Compliant);
    assert_ne!(also.device.id, id);
    world.remove(id);
    assert!(matches!(world.recognise(&by_second), Err(NotRecognised::Removed(removed)) if removed == id));
    assert_eq!(code(world.enrol("anna", &key)), "device-removed");
    // What was enrolled, and another authority issues to, too.
    let own = self::key();
    let enrolled = world.enrol("anna", &own).unwrap().id;
    world.block(enrolled);
    assert_eq!(world.state_of(&pc(&first, &own)), DeviceState::Unknown);
}

#[test]
fn a_session_counts_no_more_whichever_device_with_its_key_is_blocked_or_removed() {
    let world = World::new();
    world.settings(true, 9);
    let (mdm, key) = (Mdm::new("mdm"), key());
    world.add("mdm", &mdm.pem, true).unwrap();
    let managed = world.recognise(&pc(&mdm, &key)).unwrap().device.id;
    let own = world.enrol("anna", &key).unwrap().id;
    let session = world.session_with(own);
    let state = || world.recorded(&session).unwrap().state;
    assert_eq!(state(), DeviceState::Registered);
    for bar in [World::block as fn(&World, DeviceId), World::remove] {
        let before = world.told();
        bar(&world, managed);
        assert_eq!((state(), world.told() > before), (DeviceState::Unknown, true));
        assert_eq!(world.state_now(own), DeviceState::Unknown, "operators see it, too");
        let before = world.told();
        world.approve(managed);
        assert_eq!((state(), world.told() > before), (DeviceState::Registered, true));
    }
}

#[test]
fn whose_a_key_is_and_that_it_does_not_comply_holds_under_another_authority() {
    let world = World::new();
    let (first, second, key) = (Mdm::new("first"), Mdm::new("second"), key());
    world.add("first", &first.pem, true).unwrap();
    world.add("second", &second.pem, true).unwrap();
    let id = world.recognise(&pc(&first, &key)).unwrap().device.id;
    world.give(id, "anna");
    world.refuse_compliance(id);
    let also = world.recognise(&pc(&second, &key)).unwrap();
    assert_ne!(also.device.id, id);
    assert_eq!((also.state, also.device.owner), (DeviceState::Registered, Some(world.user("anna").id)));
    assert_eq!(code(world.enrol("bert", &key)), "device-of-another");
    world.enrol("anna", &key).unwrap();
}

#[test]
fn a_device_that_is_taken_back_is_its_owners_still() {
    let world = World::new();
    let (mdm, anna) = (Mdm::new("mdm"), world.user("anna"));
    world.add("mdm", &mdm.pem, true).unwrap();
    let shown = pc(&mdm, &key());
    let id = world.recognise(&shown).unwrap().device.id;
    world.give(id, "anna");
    assert_eq!(code(remove_own(&world.control, &anna, id)), "not-found", "an operator's authority vouches for it");
    let count = || world.control.directory(|store| store.device_count(world.tenant.id, Some(anna.id))).unwrap();
    assert_eq!(count(), 1);
    world.remove(id);
    assert_eq!((count(), of_user(&world.control, anna.id).unwrap()), (0, vec![]));
    let is_for_everybody = |warnings: Vec<String>| warnings.iter().any(|line| line.contains("counts for everybody"));
    assert!(!is_for_everybody(world.approve(id)));
    assert_eq!(world.recognise(&shown).unwrap().device.owner, Some(anna.id));
    users::delete(&world.control, &Actor::Control, &world.tenant, "anna").unwrap();
    assert!(is_for_everybody(world.approve(id)), "whose it was is gone");
    world.block(id);
    assert!(!is_for_everybody(world.approve(id)), "it was so all the time");
}

#[test]
fn a_shared_device_gets_another_certificate_once_it_is_somebodys() {
    let world = World::new();
    let key = key();
    let id = world.enrol("anna", &key).unwrap().id;
    let share = || world.set(id, SetDevice { shared: true, ..SetDevice::default() }).unwrap();
    share();
    let refused = world.enrol("anna", &key).unwrap_err();
    assert_eq!(refused.code, "device-of-another");
    assert!(refused.detail.contains(&format!("postern device set {id} --owner anna")), "{}", refused.detail);
    world.give(id, "anna");
    assert_eq!(world.enrol("anna", &key).unwrap().id, id);
    share();
}

#[test]
fn devices_that_would_come_by_themselves_again_are_forgotten_some_time_after_their_end() {
    let world = World::new();
    let mdm = Mdm::new("mdm");
    world.add("mdm", &mdm.pem, true).unwrap();
    let [plain, owned] = [(); 2].map(|()| world.recognise(&pc(&mdm, &key())).unwrap().device.id);
    world.give(owned, "anna");
    sweep(&world.control, now_unix() + days(9 + 29)).unwrap();
    assert!(world.stored(plain).is_some());
    sweep(&world.control, now_unix() + days(9 + 31)).unwrap();
    assert!(world.stored(plain).is_none() && world.stored(owned).is_some());
}

#[test]
fn of_a_device_that_was_removed_nothing_else_is_said() {
    let world = World::new();
    let (mdm, key) = (Mdm::new("mdm"), key());
    world.add("mdm", &mdm.pem, true).unwrap();
    let id = world.recognise(&pc(&mdm, &key)).unwrap().device.id;
    let session = world.session_with(id);
    world.remove(id);
    assert!(world.recorded(&session).is_none(), "its browser is asked for one again");
    let (control, actor, text) = (&world.control, &Actor::Control, id.to_string());
    for refused in [
        block(control, actor, &world.tenant, &text).map(drop),
        world.set(id, SetDevice { shared: true, ..SetDevice::default() }),
        remove(control, actor, &world.tenant, &text).map(drop),
    ] {
        assert_eq!(code(refused), "device-removed");
    }
    assert!(matches!(world.recognise(&pc(&mdm, &key)), Err(NotRecognised::Removed(_))));
}
