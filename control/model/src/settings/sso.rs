//! The settings that say what an application is told of its user. Where nobody is asked who it is, there is nothing to tell.

use std::collections::BTreeMap;

use super::{SettingInvalid, request, unfit};
use crate::claims::{HeaderName, HeaderNameInvalid, SsoHeaders};
use crate::config::Preauth;

/// Refuses settings that have no effect with this pre-authentication.
///
/// # Errors
/// The first of them.
pub fn check_preauth(settings: &BTreeMap<String, String>, preauth: Preauth) -> Result<(), SettingInvalid> {
    request::check_preauth(settings, preauth)?;
    let set = ALL.iter().find_map(|name| settings.get(*name).map(|value| (*name, value)));
    match (preauth, set) {
        (Preauth::Passthrough, Some((name, value))) => Err(unfit(
            name,
            value,
            "needs --preauth oidc: with passthrough nobody is known whom the application could be told",
        )),
        (Preauth::Passthrough, None) | (Preauth::Oidc, _) => Ok(()),
    }
}

/// Takes these settings out and says which there were.
pub fn take_sso(settings: &mut BTreeMap<String, String>) -> Vec<&'static str> {
    ALL.iter().copied().filter(|name| settings.remove(*name).is_some()).collect()
}

pub(super) fn headers(value: &str) -> Result<SsoHeaders, SettingInvalid> {
    value.parse().map_err(|error| SettingInvalid::Expression { name: SSO_HEADERS, error })
}

/// The header of the assertion, if there is to be one.
pub(super) fn assertion(
    settings: &BTreeMap<String, String>,
    headers: &SsoHeaders,
) -> Result<Option<HeaderName>, SettingInvalid> {
    let name = settings.get(SSO_ASSERTION_HEADER);
    let is_wanted = match settings.get(SSO_ASSERTION).map(String::as_str) {
        None | Some("none") => false,
        Some("jwt") => true,
        Some(value) => return Err(unfit(SSO_ASSERTION, value, "must be jwt or none")),
    };
    let header = name.map_or(ASSERTION_HEADER, String::as_str);
    let refused = |expected| Err(unfit(SSO_ASSERTION_HEADER, header, expected));
    if name.is_some() && !is_wanted {
        return refused("needs sso_assertion=jwt");
    }
    if !is_wanted {
        return Ok(None);
    }
    let parsed: HeaderName = match header.parse() {
        Ok(parsed) => parsed,
        Err(HeaderNameInvalid::Malformed) => return refused("must be a header's name"),
        Err(HeaderNameInvalid::Taken) => {
            return refused("must be a header that has no meaning of its own in HTTP, to proxies or to Postern");
        }
    };
    if headers.iter().any(|other| other.name.is_alike(&parsed)) {
        return refused("is among sso_headers already");
    }
    Ok(Some(parsed))
}

pub(super) const SSO_HEADERS: &str = "sso_headers";
pub(super) const SSO_ASSERTION: &str = "sso_assertion";
pub(super) const SSO_ASSERTION_HEADER: &str = "sso_assertion_header";
pub(super) const ALL: [&str; 3] = [SSO_HEADERS, SSO_ASSERTION, SSO_ASSERTION_HEADER];
const ASSERTION_HEADER: &str = "X-Postern-Assertion";

#[cfg(test)]
mod tests {
    use super::super::AppSettings;
    use super::*;

    fn parse(settings: &[(&str, &str)]) -> Result<AppSettings, String> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        AppSettings::parse(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn headers_and_assertion_are_read_together() {
        assert_eq!(parse(&[]).unwrap().sso_assertion, None);
        let settings = parse(&[("sso_assertion", "jwt"), ("sso_headers", "none")]).unwrap();
        assert_eq!(settings.sso_assertion.unwrap().as_str(), "x-postern-assertion");
        assert_eq!(settings.sso_headers.iter().count(), 0);
        let settings = parse(&[("sso_assertion", "jwt"), ("sso_assertion_header", "X-My_JWT")]).unwrap();
        assert_eq!(settings.sso_assertion.unwrap().as_str(), "x-my_jwt");
        for (settings, message) in [
            (&[("sso_assertion", "saml")][..], "sso_assertion=saml: must be jwt or none"),
            (&[("sso_assertion_header", "X-A")], "sso_assertion_header=X-A: needs sso_assertion=jwt"),
            (&[("sso_assertion_header", "X-A"), ("sso_assertion", "none")], "needs sso_assertion=jwt"),
            (&[("sso_assertion_header", "Cookie"), ("sso_assertion", "jwt")], "no meaning of its own"),
            (&[("sso_assertion_header", "a b"), ("sso_assertion", "jwt")], "must be a header's name"),
            (&[("sso_assertion", "jwt"), ("sso_headers", "X_postern_assertion=login")], "among sso_headers already"),
            (&[("sso_headers", "X-A=lgin")], "sso_headers: column 5: expected a source or a function, perhaps login"),
        ] {
            let error = parse(settings).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn where_nobody_is_known_there_is_nothing_to_tell() {
        let mut settings = BTreeMap::from([("sso_headers".to_owned(), "none".to_owned())]);
        assert!(check_preauth(&settings, Preauth::Oidc).is_ok());
        let error = check_preauth(&settings, Preauth::Passthrough).unwrap_err().to_string();
        assert!(error.starts_with("sso_headers=none: needs --preauth oidc"), "{error}");
        assert_eq!(take_sso(&mut settings), ["sso_headers"]);
        assert!(check_preauth(&settings, Preauth::Passthrough).is_ok());
    }
}
