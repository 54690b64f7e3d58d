use super::testing::Device;
use super::*;

const CHALLENGE: Challenge = Challenge([3; 32]);

fn party() -> RelyingParty {
    RelyingParty { origin: "https://login.example.com:8443".into(), id: "login.example.com".into() }
}

fn create(device: &Device) -> Result<Created, KeyRefused> {
    created(&party(), &CHALLENGE, &device.create(&CHALLENGE.text()))
}

/// A device that is honest until `change`, and what becomes of its answer.
fn answer(change: impl FnOnce(&mut Device)) -> (Result<Created, KeyRefused>, Result<u32, KeyRefused>) {
    let mut device = Device::es256(&party());
    let key = create(&device).unwrap();
    device.counter = 7;
    change(&mut device);
    let assertion = device.assert(&CHALLENGE.text());
    (create(&device), asserted(&party(), &CHALLENGE, &key.public_key, key.counter, &assertion))
}

#[test]
fn every_algorithm_is_verified() {
    for mut device in [Device::es256(&party()), Device::ed25519(&party()), Device::rs256(&party())] {
        let key = create(&device).unwrap();
        assert_eq!((&*key.credential, key.counter), (&[9; 32][..], 1));
        device.counter = 2;
        let given = device.assert(&CHALLENGE.text());
        assert_eq!(asserted(&party(), &CHALLENGE, &key.public_key, 1, &given), Ok(2));
        let other = Device::es256(&party());
        let other = create(&other).unwrap().public_key;
        assert_eq!(asserted(&party(), &CHALLENGE, &other, 1, &given), Err(KeyRefused::Signature));
    }
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let device = Device::es256(&party());
    let key = create(&device).unwrap();
    let other = Challenge([4; 32]);
    let given = device.assert(&CHALLENGE.text());
    assert_eq!(asserted(&party(), &other, &key.public_key, 0, &given), Err(KeyRefused::Challenge));
    assert_eq!(created(&party(), &other, &device.create(&CHALLENGE.text())), Err(KeyRefused::Challenge));
    let created_kind = device.assert_as("webauthn.create", &CHALLENGE.text());
    assert_eq!(asserted(&party(), &CHALLENGE, &key.public_key, 0, &created_kind), Err(KeyRefused::Type));
}

#[test]
fn another_site_is_refused() {
    for origin in ["https://login.example.com", "https://evil.example", "http://login.example.com:8443", "null", ""] {
        let (made, shown) = answer(|device| device.origin = origin.into());
        assert_eq!((made.unwrap_err(), shown), (KeyRefused::Origin, Err(KeyRefused::Origin)), "{origin}");
    }
    let (made, shown) = answer(|device| device.cross_origin = true);
    assert_eq!((made.unwrap_err(), shown), (KeyRefused::Origin, Err(KeyRefused::Origin)));
    let (made, shown) = answer(|device| device.rp_id = "example.com".into());
    assert_eq!((made.unwrap_err(), shown), (KeyRefused::RpId, Err(KeyRefused::RpId)));
}

#[test]
fn who_uses_it_is_present_and_verified() {
    let (made, shown) = answer(|device| device.flags = USER_VERIFIED);
    assert_eq!((made.unwrap_err(), shown), (KeyRefused::Presence, Err(KeyRefused::Presence)));
    let (made, shown) = answer(|device| device.flags = USER_PRESENT);
    assert_eq!((made.unwrap_err(), shown), (KeyRefused::Verification, Err(KeyRefused::Verification)));
    let (made, shown) = answer(|device| device.flags |= BACKUP_STATE);
    assert!(made.is_err() && shown.is_err());
}

#[test]
fn a_counter_that_does_not_go_on_is_refused() {
    for (stored, shown, expected) in [
        (0, 0, Ok(0)),
        (0, 1, Ok(1)),
        (5, 6, Ok(6)),
        (5, 5, Err(KeyRefused::Counter)),
        (5, 4, Err(KeyRefused::Counter)),
        (5, 0, Err(KeyRefused::Counter)),
    ] {
        let mut device = Device::es256(&party());
        let key = create(&device).unwrap();
        device.counter = shown;
        let given = device.assert(&CHALLENGE.text());
        let found = asserted(&party(), &CHALLENGE, &key.public_key, stored, &given);
        assert_eq!(found, expected, "{stored} then {shown}");
    }
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let device = Device::es256(&party());
    let key = create(&device).unwrap();
    let honest = device.assert(&CHALLENGE.text());
    let verify = |given: &KeyAssertion| asserted(&party(), &CHALLENGE, &key.public_key, 0, given);
    assert_eq!(verify(&honest), Ok(1));
    let mut later = decoded(&honest.authenticator_data).unwrap();
    later[36] = 99;
    let later = KeyAssertion { authenticator_data: URL_SAFE_NO_PAD.encode(later), ..honest.clone() };
    assert_eq!(verify(&later), Err(KeyRefused::Signature));
    for bad in ["", "=", "AAAA"] {
        assert!(verify(&KeyAssertion { signature: bad.into(), ..honest.clone() }).is_err(), "{bad}");
        assert!(verify(&KeyAssertion { authenticator_data: bad.into(), ..honest.clone() }).is_err(), "{bad}");
        assert!(verify(&KeyAssertion { client_data: bad.into(), ..honest.clone() }).is_err(), "{bad}");
    }
}

#[test]
fn keys_of_other_algorithms_or_forms_are_refused() {
    let read = |bytes: &[u8]| PublicKey::read(&mut Decoder::new(bytes)).map(drop);
    // {1: 2, 3: -35 (ES384), -1: 2, …}
    let es384 =
        hex::decode("a5010203382220022158200000000000000000000000000000000000000000000000000000000000000000225820")
            .unwrap();
    let es384 = [&es384[..], &[0; 32]].concat();
    assert_eq!(read(&es384), Err(KeyRefused::Algorithm));
    for bad in ["", "a0", "80", "a201020102", "bf0102ff", "a10102", "a1616101", "a2010203f6"] {
        assert!(read(&hex::decode(bad).unwrap()).is_err(), "{bad}");
    }
}

/// Every prefix of a good answer, and every byte of it changed: refused, and no panic.
#[test]
fn broken_attestation_is_refused() {
    let device = Device::ed25519(&party());
    let honest = device.create(&CHALLENGE.text());
    let bytes = decoded(&honest.attestation).unwrap();
    let given = |bytes: &[u8]| KeyCreated { attestation: URL_SAFE_NO_PAD.encode(bytes), ..honest.clone() };
    for end in 0..bytes.len() {
        assert!(created(&party(), &CHALLENGE, &given(&bytes[..end])).is_err(), "{end}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        let _ = created(&party(), &CHALLENGE, &given(&changed));
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(created(&party(), &CHALLENGE, &given(&longer)).is_err());
}
