//! What browsers do with the cookie of a session at one application.

use std::collections::BTreeMap;

use crate::ids::AppId;
use crate::settings::values::boolean;
use crate::settings::{SettingInvalid, unfit};

/// Attributes of the session's cookie at one application (RFC 6265bis §4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieSettings {
    /// `cookie_http_only`: scripts do not get at it. Default true.
    pub http_only: bool,
    /// `cookie_secure`: it travels by TLS alone. Default true.
    pub secure: bool,
    /// `cookie_persistent`: it outlasts the browser, also where the user did not ask for that. Default false.
    pub persistent: bool,
    /// `cookie_same_site`: whether it comes with requests that other sites cause. Default `lax`.
    pub same_site: SameSite,
}

/// Whether a cookie comes with requests that other sites cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SameSite {
    /// With none.
    Strict,
    /// When someone follows a link.
    #[default]
    Lax,
    /// With all of them.
    None,
}

impl Default for CookieSettings {
    fn default() -> Self {
        Self { http_only: true, secure: true, persistent: false, same_site: SameSite::Lax }
    }
}

impl CookieSettings {
    pub(super) fn read(settings: &BTreeMap<String, String>) -> Result<Self, SettingInvalid> {
        let usual = Self::default();
        let flag = |name, usual| settings.get(name).map_or(Ok(usual), |value| boolean(name, value));
        let cookie = Self {
            http_only: flag(HTTP_ONLY, usual.http_only)?,
            secure: flag(SECURE, usual.secure)?,
            persistent: flag(PERSISTENT, usual.persistent)?,
            same_site: settings.get(SAME_SITE).map_or(Ok(usual.same_site), |value| same_site(value))?,
        };
        if cookie.same_site == SameSite::None && !cookie.secure {
            return Err(unfit(SAME_SITE, "none", "needs cookie_secure=true: browsers drop such a cookie otherwise"));
        }
        Ok(cookie)
    }

    /// The attributes as they are written behind the value.
    #[must_use]
    pub fn attributes(&self) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let http_only = if self.http_only { "; HttpOnly" } else { "" };
        format!("Path=/{secure}{http_only}; SameSite={}", self.same_site.as_str())
    }

    /// The cookie's name at an application.
    #[must_use]
    pub fn name(&self, app: AppId) -> String {
        let prefix = if self.secure { SECURE_PREFIX } else { PLAIN_PREFIX };
        format!("{prefix}{app}")
    }

    /// What an operator should know of what was chosen.
    #[must_use]
    pub fn risks(&self) -> Vec<&'static str> {
        let all = [
            (
                !self.http_only,
                "cookie_http_only=false: every script in its pages, one that was smuggled in too, can read the session's cookie and use it elsewhere",
            ),
            (
                !self.secure,
                "cookie_secure=false: browsers send the session's cookie in plain text, too: whoever reads or changes that on the way has the session, or puts in another",
            ),
            (
                self.persistent,
                "cookie_persistent=true: whoever uses the browser profile later is still signed in, until the session ends",
            ),
            (
                self.same_site == SameSite::None,
                "cookie_same_site=none: pages of any site can make requests as whoever is signed in: the application must tell them apart itself",
            ),
        ];
        all.into_iter().filter(|(is_so, _)| *is_so).map(|(_, risk)| risk).collect()
    }
}

impl SameSite {
    /// As cookies have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

fn same_site(value: &str) -> Result<SameSite, SettingInvalid> {
    match value {
        "strict" => Ok(SameSite::Strict),
        "lax" => Ok(SameSite::Lax),
        "none" => Ok(SameSite::None),
        _ => Err(unfit(SAME_SITE, value, "must be lax, strict or none")),
    }
}

/// How every cookie of ours begins: no application gets one, and none sets one. That holds for both of them everywhere, for what
/// was set before a setting changed is still there.
pub const OWN_COOKIES: [&str; 2] = [SECURE_PREFIX, PLAIN_PREFIX];
/// Browsers take such a one from a secure page of that very host only, and for all paths.
const SECURE_PREFIX: &str = "__Host-postern-";
/// Where a cookie may travel in plain text: browsers take no `__Host-` then.
const PLAIN_PREFIX: &str = "postern-session-";

pub(super) const HTTP_ONLY: &str = "cookie_http_only";
pub(super) const SECURE: &str = "cookie_secure";
pub(super) const PERSISTENT: &str = "cookie_persistent";
pub(super) const SAME_SITE: &str = "cookie_same_site";
/// Names.
pub(super) const ALL: [&str; 4] = [HTTP_ONLY, SECURE, PERSISTENT, SAME_SITE];

#[cfg(test)]
mod tests {
    use super::super::tests::parsed;
    use super::*;

    #[test]
    fn the_defaults_are_the_safe_ones_and_each_other_choice_has_a_named_risk() {
        let cookie = |pairs: &[(&str, &str)]| parsed(pairs).unwrap().cookie;
        let usual = cookie(&[]);
        assert_eq!((usual.attributes().as_str(), usual.persistent), ("Path=/; Secure; HttpOnly; SameSite=Lax", false));
        assert!(usual.risks().is_empty() && cookie(&[(SAME_SITE, "strict")]).risks().is_empty());
        for (name, value, attributes) in [
            (HTTP_ONLY, "false", "Path=/; Secure; SameSite=Lax"),
            (SECURE, "false", "Path=/; HttpOnly; SameSite=Lax"),
            (PERSISTENT, "true", "Path=/; Secure; HttpOnly; SameSite=Lax"),
            (SAME_SITE, "none", "Path=/; Secure; HttpOnly; SameSite=None"),
        ] {
            let chosen = cookie(&[(name, value)]);
            assert_eq!(chosen.attributes(), attributes);
            let risks = chosen.risks();
            let [risk] = &risks[..] else { panic!("{risks:?}") };
            assert!(risk.starts_with(&format!("{name}={value}: ")), "{risk}");
        }
    }

    #[test]
    fn what_browsers_would_drop_is_refused() {
        let error = parsed(&[(SAME_SITE, "none"), (SECURE, "false")]).unwrap_err().to_string();
        assert!(error.starts_with("cookie_same_site=none: needs cookie_secure=true"), "{error}");
        for (name, value) in [(SECURE, "yes"), (SAME_SITE, "Lax"), (PERSISTENT, ""), (HTTP_ONLY, "no")] {
            assert!(parsed(&[(name, value)]).is_err(), "{name}={value}");
        }
    }
}
