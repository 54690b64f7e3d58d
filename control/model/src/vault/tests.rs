use super::*;
use crate::ids::TenantId;
use crate::secret::SecretText;

fn login(user: &str, password: &str) -> Result<Login, LoginInvalid> {
    Login::new(SecretText::new(user.into()), SecretText::new(password.into()))
}

fn purpose(app: u32, owner: Owner, origin: &str) -> Purpose {
    Purpose { app: AppId::new(TenantId(1), app), owner, origin: origin.into() }
}

fn anna() -> Owner {
    Owner::User(UserId::new(TenantId(1), 7))
}

fn sealed(pair: &VaultKeyPair, purpose: &Purpose) -> Credential {
    let sealed = pair.public.seal(&login("anna", "hunter2").unwrap(), purpose).unwrap();
    Credential { purpose: purpose.clone(), key: pair.public.fingerprint(), sealed, set_unix_ms: 1, by: SetBy::Operator }
}

#[test]
fn what_was_sealed_opens_for_its_purpose_and_no_other() {
    let pair = VaultKeyPair::generate().unwrap();
    let own = purpose(1, anna(), "http://crm:80");
    let credential = sealed(&pair, &own);
    let opened = pair.secret.open(&credential, &own).unwrap();
    assert_eq!((opened.user(), opened.password()), ("anna", "hunter2"));
    let bob = Owner::User(UserId::new(TenantId(1), 8));
    let other_tenant = Purpose { app: AppId::new(TenantId(2), 1), ..own.clone() };
    for other in [
        purpose(2, anna(), "http://crm:80"),
        purpose(1, bob, "http://crm:80"),
        purpose(1, Owner::Shared, "http://crm:80"),
        purpose(1, anna(), "http://evil:80"),
        other_tenant,
    ] {
        assert_eq!(pair.secret.open(&credential, &other), Err(NotOpened::OtherPurpose), "{other:?}");
        // What it says of itself does not count.
        let relabelled = Credential { purpose: other.clone(), ..credential.clone() };
        assert_eq!(pair.secret.open(&relabelled, &other), Err(NotOpened::OtherPurpose), "{other:?}");
    }
    let another = VaultKeyPair::generate().unwrap();
    assert_eq!(another.secret.open(&credential, &own), Err(NotOpened::OtherPurpose));
}

#[test]
fn every_bit_counts() {
    let pair = VaultKeyPair::generate().unwrap();
    let own = purpose(1, Owner::Shared, "http://crm:80");
    let credential = sealed(&pair, &own);
    for place in [0, 31, 32, 100, credential.sealed.0.len() - 1] {
        let mut bytes = credential.sealed.0.clone();
        bytes[place] ^= 1;
        let damaged = Credential { sealed: Sealed(bytes), ..credential.clone() };
        assert_eq!(pair.secret.open(&damaged, &own), Err(NotOpened::OtherPurpose), "{place}");
    }
    let empty = Credential { sealed: Sealed(vec![9; 32]), ..credential };
    assert_eq!(pair.secret.open(&empty, &own), Err(NotOpened::OtherPurpose));
}

#[test]
fn lengths_show_roughly_and_nothing_is_written_in_the_clear() {
    let pair = VaultKeyPair::generate().unwrap();
    let own = purpose(1, Owner::Shared, "http://crm:80");
    let length = |password: &str| pair.public.seal(&login("anna", password).unwrap(), &own).unwrap().0.len();
    assert_eq!(length("a"), length(&"a".repeat(100)));
    assert!(login(&"u".repeat(USER_BYTES_MAX), &"p".repeat(PASSWORD_BYTES_MAX)).is_ok_and(|longest| {
        pair.public.seal(&longest, &own).is_some_and(|sealed| sealed.0.len() <= SEALED_BYTES_MAX)
    }));
    let credential = sealed(&pair, &own);
    let shown = format!(
        "{credential:?} {pair:?} {:?} {}",
        login("anna", "hunter2"),
        serde_json::to_string(&credential).unwrap()
    );
    assert!(!shown.contains("hunter2") && !shown.contains("anna") && !shown.contains("postern-vault-key"), "{shown}");
}

#[test]
fn what_could_end_a_line_is_no_login() {
    for (user, password) in [("a\r\nX: 1", "p"), ("a", "p\n"), ("a\0", "p"), ("a", "p\u{7f}"), ("a\u{85}", "p")] {
        assert_eq!(login(user, password), Err(LoginInvalid::Control), "{user:?} {password:?}");
    }
    assert_eq!(login("", "p"), Err(LoginInvalid::UserLength));
    assert_eq!(login("a", ""), Err(LoginInvalid::PasswordLength));
    assert_eq!(login("a", &"p".repeat(PASSWORD_BYTES_MAX + 1)), Err(LoginInvalid::PasswordLength));
    assert_eq!(login("a:b", "p").unwrap().check_basic(), Err(LoginInvalid::Colon));
    assert_eq!(login("a", "p:q").unwrap().check_basic(), Ok(()));
}

#[test]
fn only_what_was_packed_is_unpacked() {
    let packed = login("anna", "hunter2").unwrap().pack();
    assert_eq!(Login::unpack(&packed), login("anna", "hunter2"));
    for wrong in [&packed[..3], &packed[..10], &[&packed[..], &[0; 128]].concat(), &[&packed[..], &[1]].concat(), b""] {
        assert_eq!(Login::unpack(wrong), Err(LoginInvalid::Damaged), "{} bytes", wrong.len());
    }
}

#[test]
fn keys_read_back_and_have_a_fingerprint() {
    let pair = VaultKeyPair::generate().unwrap();
    let text = pair.secret.encode();
    let again = VaultSecretKey::parse(&format!(" {}\n", text.expose())).unwrap();
    assert_eq!(again.public(), Ok(pair.public));
    assert_eq!(pair.public.to_string().parse(), Ok(pair.public));
    let fingerprint = pair.public.fingerprint();
    assert_eq!((fingerprint.to_string().len(), fingerprint.to_string().parse()), (39, Ok(fingerprint)));
    assert_eq!(VaultSecretKey::parse_file(&format!("{}\n\n{}\n", text.expose(), text.expose())).unwrap().len(), 2);
    for wrong in ["", "hello", "postern-vault-key-1.", "postern-vault-key-1.AAAA"] {
        assert!(VaultSecretKey::parse(wrong).is_err() && VaultSecretKey::parse_file(wrong).is_err(), "{wrong}");
    }
    let five = vec![text.expose().to_owned(); 5].join("\n");
    assert_eq!(VaultSecretKey::parse_file(&five).unwrap_err(), KeyInvalid::Count);
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    let origin = |url: &str| super::origin(&crate::app_url::InternalUrl::parse(url).unwrap());
    assert_eq!(origin("http://crm/base/"), "http://crm");
    assert_eq!(origin("https://crm:443/"), "https://crm");
    assert_eq!(origin("https://[::1]:8443/x"), "https://[::1]:8443");
}

#[test]
fn who_entered_a_credential_is_kept_and_those_from_before_are_operators() {
    let credential = sealed(&VaultKeyPair::generate().unwrap(), &purpose(1, anna(), "http://crm:80"));
    let by_operator = serde_json::to_string(&credential).unwrap();
    assert!(!by_operator.contains("\"by\""), "as connectors of before know it: {by_operator}");
    assert_eq!(serde_json::from_str::<Credential>(&by_operator).unwrap(), credential);
    let by_user = Credential { by: SetBy::User, ..credential };
    let text = serde_json::to_string(&by_user).unwrap();
    assert!(text.contains("\"by\":\"user\""), "{text}");
    assert_eq!(serde_json::from_str::<Credential>(&text).unwrap(), by_user);
}
