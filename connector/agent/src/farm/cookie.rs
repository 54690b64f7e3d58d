//! The cookie that names a member. Its value is the member's URL under a key that users do not have: the same at each
//! connector of the group and after every restart, and nothing can be learned from it. One that names nobody counts as none.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_http::{Headers, Known, ResponseHead, cookies_with, strip_cookies, strip_set_cookies};
use postern_model::app_url::ExternalUrl;
use postern_model::group_config::BackendApp;
use postern_model::settings::{AppSettings, CookieSettings, SameSite};
use postern_tunnel::ExternalScheme;

use super::Member;

/// The cookie of one farm.
#[derive(Debug)]
pub(super) struct MemberCookie {
    name: Box<str>,
    /// `NAME=`
    begins: Box<str>,
    /// Where the application is published.
    path: Box<str>,
    settings: CookieSettings,
    /// Of the members, in their order.
    values: Vec<Box<str>>,
}

/// What of an answer is changed for the cookie's sake.
#[derive(Debug)]
pub(crate) struct Marked {
    begins: Box<str>,
    /// None where the browser has the right one.
    set: Option<String>,
}

impl MemberCookie {
    pub(super) fn new(app: &BackendApp, settings: &AppSettings, members: &[Member]) -> Result<Self, String> {
        let key = app.member_key.as_ref().ok_or("balance=sticky: control sent no key for its cookies: update it")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
        let external = ExternalUrl::parse(&app.external_url).map_err(|error| error.to_string())?;
        let name = settings.backends.cookie();
        let value = |member: &Member| -> Box<str> {
            let tag = hmac::sign(&key, member.backend.internal.to_string().as_bytes());
            URL_SAFE_NO_PAD.encode(&tag.as_ref()[..VALUE_BYTES]).into()
        };
        Ok(Self {
            name: name.into(),
            begins: format!("{name}=").into(),
            path: if external.path.is_empty() { "/".into() } else { external.path },
            settings: settings.answers.cookie,
            values: members.iter().map(value).collect(),
        })
    }

    pub(super) fn take(&self, headers: &mut Headers) -> Option<usize> {
        // Another application at the same host may have one of the same name.
        let named = cookies_with(headers, &self.name)
            .filter(|(name, _)| *name == self.name.as_bytes())
            .find_map(|(_, value)| self.values.iter().position(|own| is_same(own.as_bytes(), value)));
        strip_cookies(headers, &[&*self.begins], None);
        named
    }

    pub(super) fn mark(&self, at: usize, named: bool, scheme: ExternalScheme) -> Marked {
        let set = (!named).then(|| self.set(at, scheme));
        Marked { begins: self.begins.clone(), set }
    }

    /// Without TLS browsers would drop a `Secure` one, and one with `SameSite=None` that is not.
    fn set(&self, at: usize, scheme: ExternalScheme) -> String {
        let CookieSettings { http_only, secure, same_site, persistent: _ } = self.settings;
        let secure = secure && scheme == ExternalScheme::Https;
        let same_site = if same_site == SameSite::None && !secure { SameSite::Lax } else { same_site };
        let (begins, value, path, same_site) = (&self.begins, &self.values[at], &self.path, same_site.as_str());
        let (secure, http_only) = (if secure { "; Secure" } else { "" }, if http_only { "; HttpOnly" } else { "" });
        format!("{begins}{value}; Path={path}{secure}{http_only}; SameSite={same_site}")
    }
}

impl Marked {
    /// A final answer, as its user gets it.
    pub(crate) fn answer(&self, head: &mut ResponseHead) {
        // What the application itself sets under that name would never come back to it.
        strip_set_cookies(&mut head.headers, &[&*self.begins], None);
        if let Some(cookie) = &self.set {
            let set = head.headers.append(Known::SetCookie, cookie);
            debug_assert!(set.is_ok(), "names, values and paths are letters");
        }
    }
}

fn is_same(own: &[u8], value: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(own, value).is_ok()
}

/// Of the tag: what nobody guesses, in 22 letters.
const VALUE_BYTES: usize = 16;
