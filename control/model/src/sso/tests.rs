//! Which name a user is signed on under, and what settings cannot be.

use proptest::prelude::*;

use super::*;
use crate::ids::{TenantId, UserId};

fn settings(pairs: &[(&str, &str)]) -> Result<SsoSettings, SettingInvalid> {
    let mut settings = SsoSettings::default();
    for (name, value) in pairs {
        assert!(settings.set(name, value)?, "{name}");
    }
    Ok(settings)
}

fn anna(login: &str, attributes: &[(&str, &str)]) -> Subject {
    Subject {
        id: UserId::new(TenantId::DEFAULT, 1),
        login: login.parse().unwrap(),
        display_name: Default::default(),
        mail: None,
        attributes: attributes.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
        guest: false,
        groups: Default::default(),
        expires_unix: None,
    }
}

fn name(pairs: &[(&str, &str)], subject: &Subject) -> Result<String, String> {
    let name = settings(pairs).unwrap().kerberos_name(subject);
    name.map(|name| name.to_string()).map_err(|error| error.to_string())
}

const SPN: (&str, &str) = ("sso_spn", "HTTP/app.example.com@CORP.TEST");

#[test]
fn each_login_identity_has_its_name() {
    let subject = anna("anna@example.com", &[("onprem_upn", "Anna.Berg@corp.test"), ("sam_account_name", "aberg")]);
    for (login, realm, expected) in [
        ("upn", None, "anna@EXAMPLE.COM"),
        ("upn", Some("EXAMPLE.COM"), "anna@EXAMPLE.COM"),
        ("upn", Some("CORP.TEST"), "anna@example.com@CORP.TEST"),
        ("on-prem-upn", None, "Anna.Berg@CORP.TEST"),
        ("on-prem-upn", Some("TRUSTING.TEST"), "Anna.Berg@corp.test@TRUSTING.TEST"),
        ("user-part", None, "anna@CORP.TEST"),
        ("user-part", Some("OTHER.TEST"), "anna@OTHER.TEST"),
        ("sam-account-name", None, "aberg@CORP.TEST"),
        ("sam-account-name", Some("OTHER.TEST"), "aberg@OTHER.TEST"),
    ] {
        let mut pairs = vec![SPN, ("sso_login", login)];
        pairs.extend(realm.map(|realm| ("sso_realm", realm)));
        assert_eq!(name(&pairs, &subject).as_deref(), Ok(expected), "{login} {realm:?}");
    }
    assert_eq!(name(&[SPN], &anna("anna", &[])).as_deref(), Ok("anna@CORP.TEST"), "a login without a domain");
}

#[test]
fn who_has_no_name_is_told_why() {
    let bare = anna("anna@example.com", &[("onprem_upn", "")]);
    for (login, words) in
        [("on-prem-upn", "no attribute onprem_upn"), ("sam-account-name", "no attribute sam_account_name")]
    {
        let error = name(&[SPN, ("sso_login", login)], &bare).unwrap_err();
        assert!(error.contains(words) && error.contains("anna@example.com"), "{error}");
    }
    let error = name(&[("sso_spn", "HTTP/app"), ("sso_login", "user-part")], &bare).unwrap_err();
    assert!(error.contains("set sso_realm"), "{error}");
}

#[test]
fn nobody_becomes_a_service_or_a_user_of_another_realm() {
    for odd in ["HTTP/app.example.com", "krbtgt/CORP.TEST", "root@OTHER.TEST", "a\\b", "a@b@c"] {
        let subject = anna("anna", &[("sam_account_name", odd), ("onprem_upn", odd)]);
        let error = name(&[SPN, ("sso_login", "sam-account-name")], &subject).unwrap_err();
        assert!(error.contains("cannot be a user's name"), "{odd}: {error}");
    }
    for odd in ["HTTP/app@corp.test", "a@b@c", "@corp.test", "anna@", "anna@corp/test", "a\\@corp.test"] {
        let subject = anna("anna", &[("onprem_upn", odd)]);
        assert!(name(&[SPN, ("sso_login", "on-prem-upn")], &subject).is_err(), "{odd}");
    }
    let long = "a".repeat(KERBEROS_NAME_BYTES_MAX - "@CORP.TEST".len());
    assert!(name(&[SPN], &anna(&long, &[])).is_ok());
    assert!(name(&[SPN], &anna(&format!("{long}a"), &[])).is_err());
}

#[test]
fn settings_are_parsed_strictly() {
    for (name, value) in [
        ("sso", "negotiate"),
        ("sso_spn", "app.example.com"),
        ("sso_spn", "HTTP/"),
        ("sso_spn", "/app"),
        ("sso_spn", "HTTP/app example"),
        ("sso_spn", "HTTP/app@"),
        ("sso_spn", "HTTP/app@A@B"),
        ("sso_spn", "HTTP/app/x@A"),
        ("sso_login", "mail"),
        ("sso_realm", ""),
        ("sso_realm", "A..B"),
        ("sso_realm", "A/B"),
    ] {
        let error = settings(&[(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}={value}: must be")), "{error}");
    }
    assert_eq!(SsoSettings::default().set("sso_mode", "x"), Ok(false));
}

#[test]
fn kerberos_needs_a_service_and_users_that_are_known() {
    let kerberos = settings(&[("sso", "kerberos"), SPN]).unwrap();
    assert_eq!(kerberos.check(Preauth::Oidc), Ok(()));
    assert_eq!(kerberos.kerberos().map(ServicePrincipal::as_str), Some(SPN.1));
    let error = kerberos.check(Preauth::Passthrough).unwrap_err().to_string();
    assert!(error.contains("needs --preauth oidc"), "{error}");
    let error = settings(&[("sso", "kerberos")]).unwrap().check(Preauth::Oidc).unwrap_err().to_string();
    assert!(error.contains("needs sso_spn"), "{error}");
    let off = settings(&[("sso", "none"), SPN]).unwrap();
    assert_eq!((off.check(Preauth::Passthrough), off.kerberos()), (Ok(()), None));
}

#[test]
fn passwords_need_a_backend_that_nobody_else_can_read() {
    let plaintext = |value| ("backend_plaintext", value);
    for (pairs, secret, fits) in [
        (&[("sso", "basic")][..], true, true),
        (&[("sso", "basic")], false, false),
        (&[("sso", "form")], false, false),
        (&[("sso", "basic"), plaintext("refuse")], false, false),
        (&[("sso", "basic"), plaintext("allow")], false, true),
        (&[("sso", "kerberos")], false, true),
        (&[], false, true),
    ] {
        assert_eq!(settings(pairs).unwrap().check_backend(secret).is_ok(), fits, "{pairs:?}");
    }
    let error = settings(&[("sso", "basic")]).unwrap().check_backend(false).unwrap_err().to_string();
    assert!(error.contains("https://") && error.contains("backend_plaintext=allow"), "{error}");
    assert!(settings(&[plaintext("yes")]).is_err());
}

proptest! {
    #[test]
    fn a_name_has_one_user_one_realm_and_fits(attribute in "[ -~äß]{0,60}", upn in any::<bool>(), realm in any::<bool>()) {
        let mut pairs = vec![SPN, ("sso_login", if upn { "on-prem-upn" } else { "sam-account-name" })];
        pairs.extend(realm.then_some(("sso_realm", "R.TEST")));
        let subject = anna("anna", &[("onprem_upn", &attribute), ("sam_account_name", &attribute)]);
        if let Ok(name) = name(&pairs, &subject) {
            let ats = name.matches('@').count();
            prop_assert!(ats == 1 || ats == 2 && upn && realm, "{}", name);
            prop_assert!(!name.contains(['/', '\\']) && name.len() <= KERBEROS_NAME_BYTES_MAX);
            if realm || !upn {
                prop_assert!(name.ends_with(if realm { "@R.TEST" } else { "@CORP.TEST" }) || upn, "{}", name);
            }
        }
    }
}

#[test]
fn names_are_written_alike_in_settings_and_messages() {
    for login in SsoLogin::ALL {
        assert_eq!(serde_json::to_value(login).unwrap(), login.as_str());
        assert!(SsoSettings::default().set("sso_login", login.as_str()).unwrap());
    }
}

#[test]
fn who_enters_passwords_is_said_where_there_are_any() {
    let by_users = ("vault_by", "users");
    let basic = settings(&[("sso", "basic"), by_users]).unwrap();
    assert!(basic.is_by_users() && basic.check(Preauth::Oidc).is_ok());
    assert!(!settings(&[("sso", "basic")]).unwrap().is_by_users());
    assert!(!settings(&[("sso", "basic"), ("vault_by", "operators")]).unwrap().is_by_users());
    let form = [("sso", "form"), ("sso_form_url", "/login"), ("sso_form_success", "location:/"), by_users];
    assert!(settings(&form).unwrap().check(Preauth::Oidc).is_ok());
    for others in [&[by_users][..], &[("sso", "none"), by_users], &[("sso", "kerberos"), SPN, by_users]] {
        let others = settings(others).unwrap();
        for preauth in [Preauth::Oidc, Preauth::Passthrough] {
            let refused = others.check(preauth).unwrap_err().to_string();
            assert!(refused.starts_with("vault_by=users: needs sso=basic or sso=form"), "{refused}");
        }
        assert!(!others.is_by_users());
    }
    assert!(basic.check(Preauth::Passthrough).is_err());
    assert!(settings(&[("vault_by", "operators")]).unwrap().check(Preauth::Passthrough).is_ok());
}
