//! The settings of an application (`--set k=v`): known names, their types and defaults. An unknown one is an error.

mod answers;
mod backends;
mod body;
mod limits;
mod places;
mod portal;
mod proxy;
mod request;
mod saml;
mod sso;
mod tls;
mod translation;
mod values;

use std::collections::BTreeMap;

use crate::claims::{ExpressionInvalid, HeaderName, SsoHeaders};
use crate::config::Preauth;
use crate::sso::{BACKEND_PLAINTEXT, SSO, SSO_FORM, SSO_LOGIN, SSO_REALM, SSO_SPN, SsoSettings, VAULT_BY};

pub use answers::{
    AnswerSettings, CookieSettings, Cors, CorsAllow, CorsRule, ErrorBrand, ErrorSupport, Hsts, MadeOnce, Maintenance,
    OWN_COOKIES, PreflightRefused, Robots, SameSite, take_answers,
};
pub use backends::{BALANCE_COOKIE_DEFAULT, BackendSettings, Balance, HealthCheck, farm_members, is_sticky};
pub use body::BodyTranslation;
use body::TRANSLATE_BODY;
pub use limits::{AppLimits, HEADER_BYTES_MAX, HEADERS_MAX};
use limits::{BACKEND_TIMEOUT_DEFAULT_MS, CONNECT_TIMEOUT_DEFAULT_MS, backend_timeout, connect_timeout};
pub use places::{EXTERNAL_ALIASES, PlaceSettings, SEGMENTS, Segment, external_aliases};
pub use portal::{PORTAL_TEXT_BYTES_MAX, PortalLink, PortalSettings, Visible, icon_bytes, take_portal};
pub use proxy::BackendProxy;
use proxy::{BACKEND_PROXY, backend_proxy};
pub use request::{Approver, ApproverInvalid, RequestMode, RequestSettings, take_request};
pub use saml::{NameIdFormat, SSO_SAML_ACS, SSO_SAML_ENTITY_ID, SamlSettings, origin};
use sso::{SSO_ASSERTION, SSO_ASSERTION_HEADER, SSO_HEADERS};
pub use sso::{check_preauth, take_sso};
use tls::TLS_MIN;
pub use tls::{TlsMin, take_tls};
pub use translation::{INTERNAL_ALIASES, InternalAlias, TranslationSettings, internal_aliases};
use values::{backend_http, boolean, ca_certificates, connections, corporate_network, mfa, seconds};

/// Settings as parsed; [`Default`] is what holds when nothing is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSettings {
    /// `backend_tls_verify`: whether the backend's certificate is verified. Default true.
    pub backend_tls_verify: bool,
    /// `backend_ca`: CA certificates (PEM) for this backend instead of the system's. Default none.
    pub backend_ca: Option<String>,
    /// `backend_timeout_ms`: how long the backend may be silent. Default 75,000.
    pub backend_timeout_ms: u32,
    /// `connect_timeout_ms`: how long connecting to the backend may take, TLS included. Default 5,000.
    pub connect_timeout_ms: u32,
    /// `backend_connections_max`: connections of one connector worker to this backend. Default 200.
    pub backend_connections_max: u32,
    /// `backend_http`: the version of HTTP that the backend is spoken to in. Default `auto`.
    pub backend_http: BackendHttp,
    /// `backend_proxy`: the proxy through which the backend is reached. Default none.
    pub backend_proxy: Option<BackendProxy>,
    /// `websocket_idle_s`: how long nothing may pass either way after an upgrade. Default 3,600.
    pub websocket_idle_s: u32,
    /// `websocket_lifetime_s`: how long a connection may last after an upgrade. Default 86,400, a day.
    pub websocket_lifetime_s: u32,
    /// `corporate_network`: what becomes of requests from the tenant's corporate networks. Default `allow`.
    pub corporate_network: CorporateNetwork,
    /// `mfa`: whether people need a second factor. Default `off`.
    pub mfa: Mfa,
    /// `sso` and `sso_…`: how users are signed on. Default not at all.
    pub sso: SsoSettings,
    /// `sso_headers`: what the application is told of its user. Default login name, display name and mail address.
    pub sso_headers: SsoHeaders,
    /// `sso_assertion`: a signed statement of who the user is, in this header. Default none.
    pub sso_assertion: Option<HeaderName>,
    /// `sso_saml_…`: how the application takes SAML assertions, with `sso=saml` alone.
    pub sso_saml: Option<SamlSettings>,
    /// How heads are translated, and by what rules changed. Default: they are, and by none.
    pub translation: TranslationSettings,
    /// Further bounds of times and sizes.
    pub limits: AppLimits,
    /// `tls_min`: the oldest version of TLS that clients may speak. Default 1.2.
    pub tls_min: TlsMin,
    /// `translate_body`: of which kinds of content URLs are translated. Default none.
    pub translate_body: BodyTranslation,
    /// What relays answer by themselves: `maintenance`, `robots`, `hsts`, `cookie_…`, `cors`, `error_…`.
    pub answers: AnswerSettings,
    /// How connectors reach it: `backend_farm`, `balance…`, `health_…`, `backend_client_certificate`, `backend_sni`.
    pub backends: BackendSettings,
    /// `external_aliases` and `segments`: where else the application is. Default nowhere.
    pub places: PlaceSettings,
}

/// The version of HTTP that a backend is spoken to in. An upgrade (WebSocket) takes HTTP/1.1 whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendHttp {
    /// Over TLS what the backend chooses of `h2` and `http/1.1`; HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 over TLS, and nothing else.
    Http2,
    /// HTTP/2 without TLS, with prior knowledge (RFC 9113 §3.3).
    H2c,
}

/// What becomes of a request from a corporate network, where the application could be reached without Postern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CorporateNetwork {
    /// Nothing special.
    #[default]
    Allow,
    /// It is served, counted and marked in the access log.
    Warn,
    /// It is sent to the internal URL.
    Redirect,
}

/// Whether the application lets in only those who proved two different things. It counts for people who sign in: it needs
/// `--preauth oidc`, and service tokens are not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mfa {
    /// Whoever has a second factor is asked for it, others are not.
    #[default]
    Off,
    /// Nobody is let in without one.
    Required,
}

/// Why a setting was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingInvalid {
    /// No such setting.
    #[error("there is no setting {name:?}{}", nearest.map(|n| format!(": did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// What was given, cut to 64 characters.
        name: String,
        /// The most similar name.
        nearest: Option<&'static str>,
    },
    /// A value it cannot have.
    #[error("{name}={value}: {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What was given, cut to 64 characters.
        value: String,
        /// What it can have.
        expected: &'static str,
    },
    /// Headers that cannot be read.
    #[error("{name}: {error}")]
    Expression {
        /// The setting.
        name: &'static str,
        /// Where, and what could stand there.
        error: ExpressionInvalid,
    },
}

impl SettingInvalid {
    pub(crate) fn value(name: &'static str, value: &str, expected: &'static str) -> Self {
        Self::Value { name, value: value.chars().take(64).collect(), expected }
    }

    /// The setting, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown { name, .. } => name,
            Self::Value { name, .. } | Self::Expression { name, .. } => name,
        }
    }
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            backend_tls_verify: true,
            backend_ca: None,
            backend_timeout_ms: BACKEND_TIMEOUT_DEFAULT_MS,
            connect_timeout_ms: CONNECT_TIMEOUT_DEFAULT_MS,
            backend_connections_max: 200,
            backend_http: BackendHttp::Auto,
            backend_proxy: None,
            websocket_idle_s: 3600,
            websocket_lifetime_s: 86_400,
            corporate_network: CorporateNetwork::Allow,
            mfa: Mfa::Off,
            sso: SsoSettings::default(),
            sso_headers: SsoHeaders::standard(),
            sso_assertion: None,
            sso_saml: None,
            translation: TranslationSettings::default(),
            limits: AppLimits::default(),
            tls_min: TlsMin::Tls12,
            translate_body: BodyTranslation::default(),
            answers: AnswerSettings::default(),
            backends: BackendSettings::default(),
            places: PlaceSettings::default(),
        }
    }
}

impl AppSettings {
    /// Parses settings as stored.
    ///
    /// # Errors
    /// The first unknown name or unfit value.
    pub fn parse(settings: &BTreeMap<String, String>) -> Result<Self, SettingInvalid> {
        let mut parsed = Self::default();
        for (name, value) in settings {
            parsed.set(name, value)?;
        }
        parsed.sso_assertion = sso::assertion(settings, &parsed.sso_headers)?;
        parsed.translation.check(parsed.told())?;
        // Nothing of them is kept here: relays have no use for it.
        PortalSettings::parse(settings)?;
        RequestSettings::parse(settings)?;
        parsed.sso_saml = saml::read(settings, parsed.sso.method)?;
        parsed.answers = AnswerSettings::read(settings, parsed.sso.method)?;
        parsed.backends = BackendSettings::read(settings)?;
        Ok(parsed)
    }

    /// Every header that tells the application who asks, with `-` for each `_`: what a client must not say there.
    pub fn told_headers(&self) -> impl Iterator<Item = &str> + Clone {
        self.told().map(HeaderName::dashed)
    }

    fn told(&self) -> impl Iterator<Item = &HeaderName> + Clone {
        self.sso_headers.iter().map(|header| &header.name).chain(&self.sso_assertion)
    }

    /// Whether they fit a backend that is reached with (`tls`) or without TLS.
    ///
    /// # Errors
    /// The setting that does not.
    pub fn check_backend(&self, tls: bool) -> Result<(), SettingInvalid> {
        self.sso.check_backend(tls && self.backend_tls_verify)?;
        self.backends.check(tls, self.sso.is_by_vault())?;
        match (self.backend_http, tls) {
            (BackendHttp::Http2, false) => {
                Err(unfit(BACKEND_HTTP, "2", "needs an https:// internal URL; without TLS it is h2c"))
            }
            (BackendHttp::H2c, true) => {
                Err(unfit(BACKEND_HTTP, "h2c", "needs an http:// internal URL; with TLS it is 2"))
            }
            (BackendHttp::Auto | BackendHttp::Http1, _) | (BackendHttp::Http2, true) | (BackendHttp::H2c, false) => {
                Ok(())
            }
        }
    }

    /// Whether they fit what is asked before a request may pass.
    ///
    /// # Errors
    /// The setting that does not.
    pub fn check_preauth(&self, preauth: Preauth) -> Result<(), SettingInvalid> {
        self.sso.check(preauth)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), SettingInvalid> {
        match name {
            BACKEND_TLS_VERIFY => self.backend_tls_verify = boolean(BACKEND_TLS_VERIFY, value)?,
            BACKEND_CA => self.backend_ca = Some(ca_certificates(value)?),
            BACKEND_TIMEOUT_MS => self.backend_timeout_ms = backend_timeout(value)?,
            CONNECT_TIMEOUT_MS => self.connect_timeout_ms = connect_timeout(value)?,
            BACKEND_CONNECTIONS_MAX => self.backend_connections_max = connections(value)?,
            BACKEND_HTTP => self.backend_http = backend_http(value)?,
            BACKEND_PROXY => self.backend_proxy = Some(backend_proxy(value)?),
            WEBSOCKET_IDLE_S => self.websocket_idle_s = seconds(WEBSOCKET_IDLE_S, value)?,
            WEBSOCKET_LIFETIME_S => self.websocket_lifetime_s = seconds(WEBSOCKET_LIFETIME_S, value)?,
            CORPORATE_NETWORK => self.corporate_network = corporate_network(value)?,
            MFA => self.mfa = mfa(value)?,
            TLS_MIN => self.tls_min = tls::tls_min(value)?,
            TRANSLATE_BODY => self.translate_body = BodyTranslation::parse(value)?,
            SSO_HEADERS => self.sso_headers = sso::headers(value)?,
            // Together, once all are read.
            SSO_ASSERTION | SSO_ASSERTION_HEADER => {}
            _ if portal::PORTAL.contains(&name) || request::ALL.contains(&name) => {}
            _ if saml::ALL.contains(&name) || answers::ALL.contains(&name) || backends::ALL.contains(&name) => {}
            _ if self.sso.set(name, value)? => {}
            _ if self.translation.set(name, value)? => {}
            _ if self.limits.set(name, value)? => {}
            _ if self.places.set(name, value)? => {}
            _ => return Err(unknown(name)),
        }
        Ok(())
    }
}

fn unknown(name: &str) -> SettingInvalid {
    let near = setting_names().map(|known| (strsim::damerau_levenshtein(known, name), known));
    let nearest = near.min().filter(|(distance, known)| *distance * 2 <= known.len());
    SettingInvalid::Unknown { name: name.chars().take(64).collect(), nearest: nearest.map(|(_, known)| known) }
}

fn unfit(name: &'static str, value: &str, expected: &'static str) -> SettingInvalid {
    SettingInvalid::value(name, value, expected)
}

/// Every name.
pub fn setting_names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().copied().flatten().copied()
}

const NAMES: &[&[&str]] = &[
    &OWN,
    &[SSO, SSO_SPN, SSO_LOGIN, SSO_REALM, BACKEND_PLAINTEXT, VAULT_BY],
    &SSO_FORM,
    &sso::ALL,
    &saml::ALL,
    &portal::PORTAL,
    &request::ALL,
    &translation::ALL,
    &[TRANSLATE_BODY, TLS_MIN, BACKEND_PROXY],
    &limits::ALL,
    &answers::ALL,
    &backends::ALL,
    &places::ALL,
];
const OWN: [&str; 10] = [
    BACKEND_TLS_VERIFY,
    BACKEND_CA,
    BACKEND_TIMEOUT_MS,
    CONNECT_TIMEOUT_MS,
    BACKEND_CONNECTIONS_MAX,
    BACKEND_HTTP,
    WEBSOCKET_IDLE_S,
    WEBSOCKET_LIFETIME_S,
    CORPORATE_NETWORK,
    MFA,
];
const BACKEND_TLS_VERIFY: &str = "backend_tls_verify";
const BACKEND_CA: &str = "backend_ca";
const BACKEND_TIMEOUT_MS: &str = "backend_timeout_ms";
const CONNECT_TIMEOUT_MS: &str = "connect_timeout_ms";
const BACKEND_CONNECTIONS_MAX: &str = "backend_connections_max";
const BACKEND_HTTP: &str = "backend_http";
const WEBSOCKET_IDLE_S: &str = "websocket_idle_s";
const WEBSOCKET_LIFETIME_S: &str = "websocket_lifetime_s";
const CORPORATE_NETWORK: &str = "corporate_network";
const MFA: &str = "mfa";
const CA_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: &str) -> Result<AppSettings, SettingInvalid> {
        AppSettings::parse(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn known_names_are_parsed() {
        assert_eq!(AppSettings::parse(&BTreeMap::new()), Ok(AppSettings::default()));
        assert!(!parse("backend_tls_verify", "false").unwrap().backend_tls_verify);
        assert_eq!(parse("mfa", "required").unwrap().mfa, Mfa::Required);
        assert_eq!(parse("backend_timeout_ms", "10").unwrap().backend_timeout_ms, 10);
    }

    #[test]
    fn http_2_agrees_with_the_internal_url() {
        for (value, tls, fits) in [("2", true, true), ("2", false, false), ("h2c", false, true), ("h2c", true, false)] {
            assert_eq!(parse("backend_http", value).unwrap().check_backend(tls).is_ok(), fits, "{value} {tls}");
        }
        assert!([true, false].into_iter().all(|tls| AppSettings::default().check_backend(tls).is_ok()));
    }

    #[test]
    fn unknown_names_get_the_nearest() {
        let error = parse("backend_tls_verfy", "true").unwrap_err().to_string();
        assert!(error.ends_with("did you mean backend_tls_verify?"), "{error}");
        let error = parse("zzz", "1").unwrap_err().to_string();
        assert_eq!(error, "there is no setting \"zzz\"");
    }

    #[test]
    fn unfit_values_are_refused() {
        for (name, value) in [
            ("backend_tls_verify", "yes"),
            ("backend_timeout_ms", "0"),
            ("connect_timeout_ms", "-1"),
            ("backend_connections_max", "10001"),
            ("backend_ca", "hello"),
            ("backend_http", "3"),
            ("websocket_idle_s", "0"),
            ("websocket_lifetime_s", "2592001"),
            ("corporate_network", "deny"),
            ("mfa", "true"),
            ("sso", "yes"),
            ("vault_by", "user"),
        ] {
            assert!(parse(name, value).is_err(), "{name}={value}");
        }
    }
}
