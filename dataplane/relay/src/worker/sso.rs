//! Under which name the connector signs a request's user on to the application.

use aws_lc_rs::digest::{SHA256, digest};
use postern_model::ids::{AppId, SessionId};
use postern_model::plan::{Plan, PlannedApp};
use postern_model::portal::PASSWORDS_PATH;
use postern_model::session;
use postern_model::settings::AppSettings;
use postern_model::sso::SsoMethod;
use postern_tunnel::{Detail, SessionKey, SsoLogin};

use super::authorise::{Permit, Subject};
use super::reject::Reject;
use super::sign_in::issuer_of;

/// None where the application signs nobody on. Where it does, nobody passes unnamed: the connector would have to send the request
/// without a user. `detail` becomes what an operator should know of a refusal.
pub(super) fn sso_login(permit: &Permit, detail: &mut Detail) -> Result<Option<SsoLogin>, Reject> {
    if !names_users(&permit.app().settings) {
        return Ok(None);
    }
    match permit.subject() {
        Some(Subject::Person(person)) => of_user(&permit.app().settings, &person.held.record.user, detail),
        Some(Subject::Service(_)) | None => Err(Reject::sso_needs_user()),
    }
}

/// Where users enter the password that they are signed on to the application with; none where that is its operators' matter.
pub(super) fn password_page(app: &PlannedApp, plan: &Plan) -> Option<String> {
    let identity = plan.identity().filter(|_| app.settings.sso.is_by_users())?;
    Some(format!("{}{PASSWORDS_PATH}{}", issuer_of(identity), app.id))
}

fn names_users(settings: &AppSettings) -> bool {
    match settings.sso.method {
        // Browsers bring SAML assertions themselves.
        SsoMethod::None | SsoMethod::Saml => false,
        SsoMethod::Kerberos | SsoMethod::Basic | SsoMethod::Form => true,
    }
}

/// Under which name connectors keep the user's session in an application with a sign-in form, if it has one. Nobody gets from it
/// to the session, nor from what one application's connectors are told to what another's are.
pub(super) fn session_key(permit: &Permit) -> Option<SessionKey> {
    let Some(Subject::Person(person)) = permit.subject() else { return None };
    (permit.app().settings.sso.method == SsoMethod::Form).then(|| key_of(permit.app().id, person.held.record.id))
}

fn key_of(app: AppId, session: SessionId) -> SessionKey {
    let digest = digest(&SHA256, format!("postern session key {app} {session}").as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.as_ref()[..16]);
    SessionKey(u128::from_be_bytes(key))
}

/// The name of a user, as the application's settings choose it.
fn of_user(settings: &AppSettings, user: &session::Subject, detail: &mut Detail) -> Result<Option<SsoLogin>, Reject> {
    if settings.sso.is_by_vault() {
        // Which password that is, the connector knows.
        return Ok(SsoLogin::new(&user.id.to_string()));
    }
    match settings.sso.kerberos_name(user) {
        Ok(name) => Ok(SsoLogin::new(name.as_str())),
        Err(nameless) => {
            *detail = Detail::new(&nameless.to_string());
            Err(Reject::sso_login_missing())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::sso::KERBEROS_NAME_BYTES_MAX;
    use postern_tunnel::SSO_LOGIN_BYTES_MAX;
    use std::collections::BTreeMap;

    fn named(login: &str) -> (Result<Option<SsoLogin>, Reject>, String) {
        let pairs = [("sso", "kerberos"), ("sso_spn", "HTTP/app@R.TEST"), ("sso_login", login)];
        let pairs: BTreeMap<_, _> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let settings = AppSettings::parse(&pairs).unwrap();
        let user = r#"{"id": "u1-1", "login": "anna@example.com"}"#;
        let mut detail = Detail::default();
        let named = of_user(&settings, &serde_json::from_str(user).unwrap(), &mut detail);
        (named, detail.as_str().to_owned())
    }

    #[test]
    fn a_user_has_the_name_that_the_settings_choose_or_is_refused() {
        let (name, detail) = named("user-part");
        assert_eq!((name.unwrap().unwrap().shared().as_ref(), detail.as_str()), ("anna@R.TEST", ""));
        let (refused, detail) = named("on-prem-upn");
        assert_eq!(refused.unwrap_err().code, "sso-login-missing");
        assert!(detail.contains("no attribute onprem_upn"), "{detail}");
    }

    #[test]
    fn for_a_password_the_user_is_named_by_their_id() {
        let pairs = std::collections::BTreeMap::from([("sso".to_owned(), "basic".to_owned())]);
        let settings = AppSettings::parse(&pairs).unwrap();
        let user = r#"{"id": "u1-7", "login": "anna@example.com"}"#;
        let named = of_user(&settings, &serde_json::from_str(user).unwrap(), &mut Detail::default());
        assert_eq!(named.unwrap().unwrap().shared().as_ref(), "u1-7");
    }

    #[test]
    fn for_a_saml_assertion_nobody_needs_a_name() {
        let pairs =
            [("sso", "saml"), ("sso_saml_entity_id", "urn:app"), ("sso_saml_acs", "https://app.example.com/acs")];
        let pairs: BTreeMap<_, _> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let settings = AppSettings::parse(&pairs).unwrap();
        assert!(!names_users(&settings), "browsers bring it themselves");
    }

    #[test]
    fn a_session_has_another_key_in_each_application_and_none_of_its_id() {
        let app = |text: &str| text.parse::<AppId>().unwrap();
        let key = |of: &str, session| key_of(app(of), SessionId(session));
        assert_eq!(key("a1-1", 7), key("a1-1", 7));
        let others = [key("a1-2", 7), key("a2-1", 7), key("a1-1", 8)];
        assert!(others.iter().all(|other| *other != key("a1-1", 7)));
        assert!(!format!("{:032x}", key("a1-1", 7).0).contains("000000007"));
    }

    #[test]
    fn every_name_fits_an_open() {
        assert_eq!(KERBEROS_NAME_BYTES_MAX, SSO_LOGIN_BYTES_MAX);
    }
}
