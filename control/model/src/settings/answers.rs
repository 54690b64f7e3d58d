//! The settings for what relays answer by themselves, and for what they say with every answer. Connectors need nothing of them.

mod brand;
mod cookie;
mod cors;
mod maintenance;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{SettingInvalid, is_sticky, unfit};
use crate::sso::SsoMethod;

pub(super) use brand::LOGO as ERROR_LOGO;
pub use brand::{ErrorBrand, ErrorSupport, MadeOnce};
pub use cookie::{CookieSettings, OWN_COOKIES, SameSite};
pub use cors::{Cors, CorsAllow, CorsRule, PreflightRefused};
pub use maintenance::Maintenance;

/// What a relay answers by itself for one application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerSettings {
    /// `maintenance`: whether every request is answered so. Default not.
    pub maintenance: Option<Maintenance>,
    /// `robots`: what crawlers get. Default to be told that nothing is for them.
    pub robots: Robots,
    /// `hsts`: whether browsers are told to come by TLS alone. Default for a year.
    pub hsts: Hsts,
    /// `cookie_…`: what browsers do with the session's cookie.
    pub cookie: CookieSettings,
    /// `cors`: which pages of other origins may ask. Default what the application says.
    pub cors: Option<Cors>,
    /// `error_…`: how the relay's own pages look. Default as everybody's.
    pub brand: Option<ErrorBrand>,
}

/// Who answers `/robots.txt` (RFC 9309) at the root of a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Robots {
    /// The relay: nothing there is for crawlers.
    #[default]
    Deny,
    /// The application, as everything else.
    Pass,
}

/// `Strict-Transport-Security` (RFC 6797) of the answers to requests that came by TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hsts {
    /// Nothing was set: a year for this host alone, unless the application says something itself.
    #[default]
    Standard,
    /// What the application says, if it does.
    Off,
    /// This, whatever the application says.
    Given(Arc<str>),
}

impl AnswerSettings {
    /// Reads these settings among others; `sso`: how users are signed on.
    pub(super) fn read(settings: &BTreeMap<String, String>, sso: SsoMethod) -> Result<Self, SettingInvalid> {
        let given = |name| settings.get(name).map(String::as_str);
        let cors = given(CORS).map(Cors::parse).transpose()?;
        let signs_on = matches!(sso, SsoMethod::Kerberos | SsoMethod::Basic | SsoMethod::Form);
        if let Some(path) = cors.as_ref().filter(|_| signs_on).and_then(Cors::passes) {
            let expected = "pass needs an application whose users no connector signs on: preflights are of no user";
            return Err(unfit(CORS, &format!("{path}/ pass"), expected));
        }
        Ok(Self {
            maintenance: given(MAINTENANCE).map(Maintenance::parse).transpose()?.flatten(),
            robots: given(ROBOTS).map_or(Ok(Robots::Deny), robots)?,
            hsts: given(HSTS).map_or(Ok(Hsts::Standard), hsts)?,
            cookie: CookieSettings::read(settings)?,
            cors,
            brand: ErrorBrand::read(settings)?,
        })
    }
}

impl Hsts {
    /// The field's value, if the relay says one.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Standard => Some(HSTS_STANDARD),
            Self::Off => None,
            Self::Given(value) => Some(value),
        }
    }

    /// Where the same host has an application without TLS, nothing is said unless it was set: browsers would not reach that one
    /// any more.
    pub fn yield_to_plain(&mut self) {
        if *self == Self::Standard {
            *self = Self::Off;
        }
    }
}

/// Takes these settings out; those for cookies only where connectors set none.
pub fn take_answers(settings: &mut BTreeMap<String, String>) {
    let kept: &[&str] = if is_sticky(settings) { &cookie::ALL } else { &[] };
    settings.retain(|name, _| !ALL.contains(&name.as_str()) || kept.contains(&name.as_str()));
}

fn robots(value: &str) -> Result<Robots, SettingInvalid> {
    match value {
        "deny" => Ok(Robots::Deny),
        "pass" => Ok(Robots::Pass),
        _ => Err(unfit(ROBOTS, value, "must be deny or pass")),
    }
}

fn hsts(value: &str) -> Result<Hsts, SettingInvalid> {
    if value == "off" {
        return Ok(Hsts::Off);
    }
    let refused = |expected| unfit(HSTS, value, expected);
    let usual =
        || refused("must be off, or seconds from 0 to 63072000, then ,includeSubDomains and ,preload if wanted");
    let mut parts = value.split(',').map(str::trim);
    let seconds: u32 = parts.next().and_then(|first| first.parse().ok()).ok_or_else(usual)?;
    if seconds > HSTS_S_MAX {
        return Err(usual());
    }
    let (mut below, mut preload) = (false, false);
    for part in parts {
        let flag = match part.to_ascii_lowercase().as_str() {
            "includesubdomains" => &mut below,
            "preload" => &mut preload,
            _ => return Err(usual()),
        };
        if std::mem::replace(flag, true) {
            return Err(usual());
        }
    }
    if preload && (!below || seconds < HSTS_PRELOAD_S_MIN) {
        return Err(refused("preload needs includeSubDomains and at least 31536000 seconds: lists take nothing else"));
    }
    let below = if below { "; includeSubDomains" } else { "" };
    let preload = if preload { "; preload" } else { "" };
    Ok(Hsts::Given(format!("max-age={seconds}{below}{preload}").into()))
}

/// Names, in the order of the documentation.
pub(super) const ALL: [&str; 11] = [
    MAINTENANCE,
    ROBOTS,
    HSTS,
    cookie::HTTP_ONLY,
    cookie::SECURE,
    cookie::PERSISTENT,
    cookie::SAME_SITE,
    CORS,
    brand::TITLE,
    brand::SUPPORT,
    ERROR_LOGO,
];
const MAINTENANCE: &str = "maintenance";
const ROBOTS: &str = "robots";
const HSTS: &str = "hsts";
const CORS: &str = "cors";
const HSTS_STANDARD: &str = "max-age=31536000";
const HSTS_S_MAX: u32 = 63_072_000;
const HSTS_PRELOAD_S_MIN: u32 = 31_536_000;

#[cfg(test)]
mod tests {
    use super::super::AppSettings;
    use super::*;

    pub(super) fn parsed(pairs: &[(&str, &str)]) -> Result<AnswerSettings, SettingInvalid> {
        let settings = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        AppSettings::parse(&settings).map(|settings| settings.answers)
    }

    #[test]
    fn hsts_is_a_year_unless_something_else_is_said() {
        let value = |hsts: &str| parsed(&[(HSTS, hsts)]).unwrap().hsts.value().map(str::to_owned);
        assert_eq!(parsed(&[]).unwrap().hsts.value(), Some("max-age=31536000"));
        assert_eq!(value("off"), None);
        assert_eq!(value("0").as_deref(), Some("max-age=0"));
        assert_eq!(value("600, includeSubDomains").as_deref(), Some("max-age=600; includeSubDomains"));
        let listed = "max-age=63072000; includeSubDomains; preload";
        assert_eq!(value("63072000,includesubdomains,preload").as_deref(), Some(listed));
        for wrong in ["", "on", "-1", "63072001", "1,", "1,x", "600,includeSubDomains,preload", "31536000,preload"] {
            let error = parsed(&[(HSTS, wrong)]).unwrap_err().to_string();
            assert!(error.starts_with("hsts="), "{wrong}: {error}");
        }
        assert!(parsed(&[(HSTS, "1,preload,preload")]).is_err());
    }

    #[test]
    fn only_what_nobody_set_yields() {
        let yielded = |pairs: &[(&str, &str)]| {
            let mut hsts = parsed(pairs).unwrap().hsts;
            hsts.yield_to_plain();
            hsts
        };
        assert_eq!(yielded(&[]), Hsts::Off);
        assert_eq!(yielded(&[(HSTS, "60")]), Hsts::Given("max-age=60".into()));
    }

    #[test]
    fn robots_are_denied_unless_the_application_answers() {
        assert_eq!(parsed(&[]).unwrap().robots, Robots::Deny);
        assert_eq!(parsed(&[(ROBOTS, "pass")]).unwrap().robots, Robots::Pass);
        assert!(parsed(&[(ROBOTS, "allow")]).is_err());
    }

    #[test]
    fn preflights_are_not_passed_on_where_connectors_sign_users_on() {
        let pass = (CORS, "/ pass");
        let spn = ("sso_spn", "HTTP/app@R.TEST");
        assert!(parsed(&[pass]).is_ok());
        let error = parsed(&[pass, ("sso", "kerberos"), spn]).unwrap_err().to_string();
        assert!(error.starts_with("cors=/ pass: pass needs"), "{error}");
        assert!(parsed(&[(CORS, "/ origins=https://a.example"), ("sso", "kerberos"), spn]).is_ok());
    }

    #[test]
    fn they_can_be_taken_out() {
        let mut settings: BTreeMap<String, String> = ALL.iter().map(|name| ((*name).into(), "x".into())).collect();
        settings.insert("mfa".into(), "off".into());
        take_answers(&mut settings);
        assert_eq!(settings.into_keys().collect::<Vec<_>>(), ["mfa"]);
        let mut sticky: BTreeMap<String, String> = ALL.iter().map(|name| ((*name).into(), "x".into())).collect();
        sticky.insert("balance".into(), "sticky".into());
        take_answers(&mut sticky);
        let kept = ["balance", "cookie_http_only", "cookie_persistent", "cookie_same_site", "cookie_secure"];
        assert_eq!(sticky.into_keys().collect::<Vec<_>>(), kept);
    }
}
