//! The settings by which an application takes SAML 2.0 assertions: who it is, where it takes them, and what they say.

use std::collections::BTreeMap;

use super::{SettingInvalid, unfit};
use crate::claims::{Expression, SamlAttributes};
use crate::sso::{SSO, SsoMethod};

/// A service provider, as SAML calls an application that takes assertions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamlSettings {
    /// `sso_saml_entity_id`: its name in SAML.
    pub entity_id: Box<str>,
    /// `sso_saml_acs`: where browsers may bring assertions (Assertion Consumer Service, HTTP-POST), the first by default.
    pub acs: Vec<Box<str>>,
    /// `sso_saml_nameid`: who the user is; nothing where it is a random name.
    pub name_id: Option<Expression>,
    /// `sso_saml_nameid_format`: what kind of name that is. Default `unspecified`.
    pub name_id_format: NameIdFormat,
    /// `sso_saml_attributes`: what else is said. Default nothing.
    pub attributes: SamlAttributes,
    /// `sso_saml_logout`: where a user ends what the application keeps by itself. Default none.
    pub logout: Option<Box<str>>,
}

/// What kind of name a user is called by (SAML Core §8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameIdFormat {
    /// The application knows.
    #[default]
    Unspecified,
    /// A mail address.
    EmailAddress,
    /// One that stays.
    Persistent,
    /// One that is made anew for each assertion.
    Transient,
}

impl NameIdFormat {
    /// Its name in SAML.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Unspecified => "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
            Self::EmailAddress => "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
            Self::Persistent => "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
            Self::Transient => "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
        }
    }

    /// What names users unless the application says otherwise.
    const fn name_id(self) -> Option<&'static str> {
        match self {
            Self::Unspecified => Some("login"),
            Self::EmailAddress => Some("mail"),
            Self::Persistent => Some("id"),
            Self::Transient => None,
        }
    }
}

/// All of them together. They must be right in any case; nothing is told by them unless that is how users are signed on.
pub(super) fn read(
    settings: &BTreeMap<String, String>,
    method: SsoMethod,
) -> Result<Option<SamlSettings>, SettingInvalid> {
    let settings = whole(settings)?;
    match (method, settings) {
        (SsoMethod::Saml, None) => Err(unfit(SSO, "saml", "needs sso_saml_entity_id and sso_saml_acs")),
        (SsoMethod::Saml, Some(settings)) => Ok(Some(settings)),
        (SsoMethod::None | SsoMethod::Kerberos | SsoMethod::Basic | SsoMethod::Form, _) => Ok(None),
    }
}

fn whole(settings: &BTreeMap<String, String>) -> Result<Option<SamlSettings>, SettingInvalid> {
    let value = |name: &str| settings.get(name).map(String::as_str);
    let Some(entity_id) = value(SSO_SAML_ENTITY_ID) else {
        let alone = ALL.into_iter().find_map(|name| value(name).map(|value| (name, value)));
        return match alone {
            Some((name, value)) => Err(unfit(name, value, "needs sso_saml_entity_id, the application's name in SAML")),
            None => Ok(None),
        };
    };
    let is_uri = entity_id.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>'));
    if !(1..=ENTITY_ID_BYTES_MAX).contains(&entity_id.len()) || !is_uri {
        return Err(unfit(
            SSO_SAML_ENTITY_ID,
            entity_id,
            "must be the URI in the application's metadata, of 1 to 1024 bytes",
        ));
    }
    let name_id_format = format(value(SSO_SAML_NAMEID_FORMAT))?;
    Ok(Some(SamlSettings {
        entity_id: entity_id.into(),
        acs: acs(value(SSO_SAML_ACS).unwrap_or_default())?,
        name_id: name_id(value(SSO_SAML_NAMEID), name_id_format)?,
        name_id_format,
        attributes: match value(SSO_SAML_ATTRIBUTES) {
            Some(text) => {
                text.parse().map_err(|error| SettingInvalid::Expression { name: SSO_SAML_ATTRIBUTES, error })?
            }
            None => SamlAttributes::default(),
        },
        logout: value(SSO_SAML_LOGOUT).map(logout).transpose()?,
    }))
}

fn format(value: Option<&str>) -> Result<NameIdFormat, SettingInvalid> {
    match value {
        None | Some("unspecified") => Ok(NameIdFormat::Unspecified),
        Some("emailAddress") => Ok(NameIdFormat::EmailAddress),
        Some("persistent") => Ok(NameIdFormat::Persistent),
        Some("transient") => Ok(NameIdFormat::Transient),
        Some(value) => {
            Err(unfit(SSO_SAML_NAMEID_FORMAT, value, "must be unspecified, emailAddress, persistent or transient"))
        }
    }
}

fn name_id(value: Option<&str>, format: NameIdFormat) -> Result<Option<Expression>, SettingInvalid> {
    if let (Some(value), NameIdFormat::Transient) = (value, format) {
        return Err(unfit(
            SSO_SAML_NAMEID,
            value,
            "has no place with sso_saml_nameid_format=transient: those are random",
        ));
    }
    let text = value.or(format.name_id());
    let read = |text: &str| text.parse().map_err(|error| SettingInvalid::Expression { name: SSO_SAML_NAMEID, error });
    text.map(read).transpose()
}

fn acs(value: &str) -> Result<Vec<Box<str>>, SettingInvalid> {
    let urls: Vec<Box<str>> = value.split_ascii_whitespace().map(Into::into).collect();
    if urls.is_empty() {
        return Err(unfit(
            SSO_SAML_ACS,
            value,
            "must be where the application takes assertions: one https:// URL, or several with spaces between",
        ));
    }
    if urls.len() > ACS_MAX {
        return Err(unfit(SSO_SAML_ACS, value, "must be at most 16 URLs"));
    }
    match urls.iter().find(|url| origin(url).is_none()) {
        Some(url) => Err(unfit(SSO_SAML_ACS, url, EXACT)),
        None => Ok(urls),
    }
}

fn logout(value: &str) -> Result<Box<str>, SettingInvalid> {
    origin(value).map(|_| value.into()).ok_or_else(|| unfit(SSO_SAML_LOGOUT, value, EXACT))
}

/// `https://HOST[:PORT]` of an URL that is written as browsers write it; of others nothing.
#[must_use]
pub fn origin(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let is_port =
        |port: &str| port.parse::<u16>().is_ok_and(|number| !matches!(number, 0 | 443) && number.to_string() == port);
    let is_path = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}'".contains(&byte);
    let fits = url.len() <= URL_BYTES_MAX
        && host.len() <= 253
        && host.split('.').all(is_label)
        && port.is_none_or(is_port)
        && path.bytes().all(is_path);
    fits.then(|| &url[..url.len() - path.len()])
}

/// The application's name in SAML.
pub const SSO_SAML_ENTITY_ID: &str = "sso_saml_entity_id";
/// Where it takes assertions.
pub const SSO_SAML_ACS: &str = "sso_saml_acs";
const SSO_SAML_NAMEID: &str = "sso_saml_nameid";
const SSO_SAML_NAMEID_FORMAT: &str = "sso_saml_nameid_format";
const SSO_SAML_ATTRIBUTES: &str = "sso_saml_attributes";
const SSO_SAML_LOGOUT: &str = "sso_saml_logout";
pub(super) const ALL: [&str; 6] =
    [SSO_SAML_ENTITY_ID, SSO_SAML_ACS, SSO_SAML_NAMEID, SSO_SAML_NAMEID_FORMAT, SSO_SAML_ATTRIBUTES, SSO_SAML_LOGOUT];
const EXACT: &str =
    "must be an exact URL, https://HOST[:PORT]/PATH: the host in lower case, no user, no fragment, at most 512 bytes";
/// SAML Core §8.3.6.
const ENTITY_ID_BYTES_MAX: usize = 1024;
const URL_BYTES_MAX: usize = 512;
const ACS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::AppSettings;
    use super::*;

    fn parse(settings: &[(&str, &str)]) -> Result<Option<SamlSettings>, String> {
        let all = [("sso", "saml")].iter().chain(settings);
        let settings = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        AppSettings::parse(&settings).map(|settings| settings.sso_saml).map_err(|error| error.to_string())
    }

    const ID: (&str, &str) = ("sso_saml_entity_id", "https://wiki.example.com/metadata");
    const ACS: (&str, &str) = ("sso_saml_acs", "https://wiki.example.com/acs  https://wiki.example.com:8443/acs?x=1");

    #[test]
    fn a_service_provider_is_read_as_a_whole() {
        let saml = parse(&[ID, ACS]).unwrap().unwrap();
        assert_eq!(saml.acs.len(), 2);
        assert_eq!((saml.name_id, saml.name_id_format), (Some("login".parse().unwrap()), NameIdFormat::Unspecified));
        for (format, default) in [("emailAddress", Some("mail")), ("persistent", Some("id")), ("transient", None)] {
            let saml = parse(&[ID, ACS, ("sso_saml_nameid_format", format)]).unwrap().unwrap();
            assert_eq!(saml.name_id, default.map(|text| text.parse().unwrap()), "{format}");
            assert!(saml.name_id_format.uri().ends_with(format));
        }
        let attributes =
            ("sso_saml_attributes", "'urn:oid:0.9.2342.19200300.100.1.3'=mail; groups=groups; a.b=lower(login)");
        assert_ne!(parse(&[ID, ACS, attributes]).unwrap().unwrap().attributes, SamlAttributes::default());
    }

    #[test]
    fn what_is_not_exact_is_refused_with_its_place() {
        for (settings, message) in [
            (&[][..], "sso=saml: needs sso_saml_entity_id and sso_saml_acs"),
            (&[ACS], "needs sso_saml_entity_id, the application's name in SAML"),
            (&[ID], "sso_saml_acs=: must be where the application takes assertions"),
            (&[("sso_saml_entity_id", "a b"), ACS], "must be the URI in the application's metadata"),
            (&[ID, ("sso_saml_acs", "http://wiki.example.com/acs")], "must be an exact URL"),
            (&[ID, ACS, ("sso_saml_nameid_format", "email")], "must be unspecified, emailAddress"),
            (&[ID, ACS, ("sso_saml_nameid_format", "transient"), ("sso_saml_nameid", "login")], "those are random"),
            (&[ID, ACS, ("sso_saml_nameid", "groups")], "sso_saml_nameid: column 1: expected one text"),
            (
                &[ID, ACS, ("sso_saml_attributes", "a=login; a=mail")],
                "sso_saml_attributes: column 10: expected each attribute once",
            ),
            (&[ID, ACS, ("sso_saml_attributes", "urn:x=login")], "expected `=`"),
            (&[ID, ACS, ("sso_saml_attributes", "'a b'=login")], "an attribute's name"),
            (&[ID, ACS, ("sso_saml_attributes", "")], "expected NAME=EXPRESSION"),
            (&[ID, ACS, ("sso_saml_logout", "javascript:alert(1)")], "must be an exact URL"),
        ] {
            let error = parse(settings).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn an_exact_url_has_an_origin_and_others_have_none() {
        assert_eq!(origin("https://a.example.com/acs?x=/"), Some("https://a.example.com"));
        assert_eq!(origin("https://a.example.com:8443/"), Some("https://a.example.com:8443"));
        for url in [
            "https://a.example.com",
            "https://A.example.com/",
            "https://a.example.com:443/",
            "https://a.example.com:0/",
            "https://a.example.com:080/",
            "https://u@a.example.com/",
            "https://a.example.com/#x",
            "https://a.example.com/\"",
            "https://a.example.com/ b",
            "https://a.example.com;x/",
            "https://*.example.com/",
            "https:///acs",
            "//a.example.com/",
            "https://a..b/",
            "https://ä.example/",
        ] {
            assert_eq!(origin(url), None, "{url}");
        }
    }

    #[test]
    fn they_count_where_users_are_signed_on_by_them_alone() {
        for other in ["none", "kerberos"] {
            assert_eq!(parse(&[("sso", other), ID, ACS]), Ok(None));
            assert!(parse(&[("sso", other), ID]).unwrap_err().starts_with("sso_saml_acs=: must be"), "they are read");
        }
        let settings = [("sso", "saml"), ID, ACS].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let sso = AppSettings::parse(&settings).unwrap().sso;
        assert_eq!(sso.check(crate::config::Preauth::Oidc), Ok(()));
        let error = sso.check(crate::config::Preauth::Passthrough).unwrap_err().to_string();
        assert!(error.starts_with("sso=saml: needs --preauth oidc"), "{error}");
    }
}
