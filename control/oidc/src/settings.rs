//! What an operator says about a provider. Checked once, when the [`Provider`](crate::Provider) is made of it.

use std::net::IpAddr;

use postern_model::external::{
    CLIENT_SECRET_BYTES_MAX, FETCH_TIMEOUT_MS_MAX, FETCH_TIMEOUT_MS_MIN, PROVIDER_URL_BYTES_MAX, SKEW_S_MAX,
};
use postern_model::ids::Name;
use postern_model::secret::SecretText;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::claims::ClaimMapping;

/// An OpenID provider and what we are to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// What operators call it; sessions remember it.
    pub name: Name,
    /// What users call it, on pages.
    pub label: String,
    /// Its issuer identifier, exactly as it writes it itself: `https://login.example.com`.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// What proves to it that we are that; `None`: a public client, by PKCE alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretText>,
    /// How the secret is sent; `None`: as the provider announces, in the header before in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// What is asked for; `openid` is always.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// By which algorithms it may sign.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<SignatureAlgorithm>,
    /// By how many seconds its clock may differ from ours: 0 to 300.
    #[serde(default = "default_skew_s")]
    pub skew_s: u32,
    /// Which claims say what about a user.
    #[serde(default)]
    pub claims: ClaimMapping,
    /// The query parameter that carries a domain hint: `domain_hint`, or Google's `hd`.
    #[serde(default = "default_domain_hint")]
    pub domain_hint_parameter: String,
    /// PEM certificates of the only authorities that its TLS certificate may come from; `None`: the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// How long one answer may take: 100 to 30,000 ms.
    #[serde(default = "default_fetch_timeout_ms")]
    pub fetch_timeout_ms: u32,
    /// Allows `http://` to this very host. For tests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_loopback: bool,
}

/// How the client secret is sent (OpenID Connect Core §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// In the header.
    ClientSecretBasic,
    /// In the body.
    ClientSecretPost,
}

/// Signature algorithms of RFC 7518 and RFC 8037 with public keys. `none` and those with shared secrets have no name here, so
/// that nobody can allow them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignatureAlgorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    RS256,
    /// RSA, PKCS #1 v1.5, SHA-384.
    RS384,
    /// RSA, PKCS #1 v1.5, SHA-512.
    RS512,
    /// RSA, PSS, SHA-256.
    PS256,
    /// RSA, PSS, SHA-384.
    PS384,
    /// RSA, PSS, SHA-512.
    PS512,
    /// ECDSA on P-256.
    ES256,
    /// ECDSA on P-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

/// Settings that no provider can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsInvalid {
    /// The issuer, or a redirect address, is no URL that may be used.
    #[error("{what} {text:?}: {why}")]
    Url {
        /// What it was to be.
        what: &'static str,
        /// What was given.
        text: String,
        /// Why not.
        why: &'static str,
    },
    /// A text that is empty, too long or has control characters.
    #[error("{what}: 1 to {max} printable characters are needed, without spaces")]
    Text {
        /// Which setting.
        what: &'static str,
        /// How long it may be.
        max: usize,
    },
    /// A number out of its range.
    #[error("{what} is {found}: it must be from {min} to {max}")]
    Range {
        /// Which setting.
        what: &'static str,
        /// What was given.
        found: u32,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// No algorithm is allowed: every sign-in would fail.
    #[error("algorithms is empty: name at least one, such as RS256")]
    NoAlgorithm,
    /// No claim is to name the user: every sign-in would fail.
    #[error("claims.login is empty: name at least one claim, such as preferred_username")]
    NoLoginClaim,
    /// A way to send a secret, and no secret.
    #[error("client_auth is set, but client_secret is not: set both, or neither")]
    NoSecret,
    /// The certificates of `ca` cannot be used.
    #[error("ca: {0}: give PEM certificates of authorities")]
    Ca(String),
    /// This host trusts nobody.
    #[error("this host has no certificate authorities: install ca-certificates, or set ca")]
    NoRoots,
}

impl ProviderSettings {
    /// Settings with every default.
    #[must_use]
    pub fn new(name: Name, issuer: &str, client_id: &str, client_secret: Option<SecretText>) -> Self {
        Self {
            label: name.to_string(),
            name,
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret,
            client_auth: None,
            scopes: default_scopes(),
            algorithms: default_algorithms(),
            skew_s: default_skew_s(),
            claims: ClaimMapping::default(),
            domain_hint_parameter: default_domain_hint(),
            ca: None,
            fetch_timeout_ms: default_fetch_timeout_ms(),
            insecure_loopback: false,
        }
    }

    /// Whether a provider can be made of it.
    ///
    /// # Errors
    /// The first setting that is wrong, with what to do.
    pub fn check(&self) -> Result<(), SettingsInvalid> {
        let issuer = endpoint("issuer", &self.issuer, self.insecure_loopback)?;
        if issuer.query().is_some() {
            return Err(SettingsInvalid::Url { what: "issuer", text: cut(&self.issuer), why: "it must have no query" });
        }
        text("client_id", &self.client_id, CLIENT_ID_BYTES_MAX)?;
        text("domain_hint_parameter", &self.domain_hint_parameter, NAME_BYTES_MAX)?;
        for scope in &self.scopes {
            text("scopes", scope, NAME_BYTES_MAX)?;
        }
        if let Some(secret) = &self.client_secret {
            text("client_secret", secret.expose(), CLIENT_SECRET_BYTES_MAX)?;
        } else if self.client_auth.is_some() {
            return Err(SettingsInvalid::NoSecret);
        }
        if self.algorithms.is_empty() {
            return Err(SettingsInvalid::NoAlgorithm);
        }
        if self.claims.login.is_empty() {
            return Err(SettingsInvalid::NoLoginClaim);
        }
        range("skew_s", self.skew_s, 0, SKEW_S_MAX)?;
        range("fetch_timeout_ms", self.fetch_timeout_ms, FETCH_TIMEOUT_MS_MIN, FETCH_TIMEOUT_MS_MAX)
    }
}

/// An address that may be fetched from, or sent to: `https://`, or, where that is allowed, `http://` to this host.
pub(crate) fn endpoint(what: &'static str, text: &str, insecure_loopback: bool) -> Result<Url, SettingsInvalid> {
    let wrong = |why| SettingsInvalid::Url { what, text: cut(text), why };
    if text.len() > PROVIDER_URL_BYTES_MAX {
        return Err(wrong("it is too long"));
    }
    let url = Url::parse(text).map_err(|_| wrong("it is no URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if insecure_loopback && is_loopback(&url) => {}
        "http" => return Err(wrong("it must begin with https://")),
        _ => return Err(wrong("its scheme must be https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must have no user name or password"));
    }
    if url.fragment().is_some() {
        return Err(wrong("it must have no fragment"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(_)) | None => false, // A name may lead anywhere.
    }
}

fn text(what: &'static str, text: &str, max: usize) -> Result<(), SettingsInvalid> {
    let printable = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
    if text.is_empty() || text.len() > max || !printable {
        return Err(SettingsInvalid::Text { what, max });
    }
    Ok(())
}

fn range(what: &'static str, found: u32, min: u32, max: u32) -> Result<(), SettingsInvalid> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(SettingsInvalid::Range { what, found, min, max }) }
}

fn cut(text: &str) -> String {
    text.chars().take(GIVEN_CHARS_MAX).collect()
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn default_algorithms() -> Vec<SignatureAlgorithm> {
    vec![SignatureAlgorithm::RS256, SignatureAlgorithm::ES256, SignatureAlgorithm::EdDSA, SignatureAlgorithm::PS256]
}

fn default_skew_s() -> u32 {
    60
}

fn default_domain_hint() -> String {
    "domain_hint".to_owned()
}

fn default_fetch_timeout_ms() -> u32 {
    5_000
}

const CLIENT_ID_BYTES_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 128;
const GIVEN_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(issuer: &str) -> ProviderSettings {
        let secret = SecretText::new("hunter2".into());
        ProviderSettings::new("example".parse().unwrap(), issuer, "postern", Some(secret))
    }

    #[test]
    fn only_https_and_loopback_by_choice() {
        assert_eq!(settings("https://login.example.com/tenant").check(), Ok(()));
        for wrong in [
            "http://login.example.com",
            "http://127.0.0.1:9400",
            "https://u:p@login.example.com",
            "https://login.example.com/#a",
            "https://login.example.com/?a",
            "ftp://login.example.com",
            "login.example.com",
            "",
        ] {
            assert!(matches!(settings(wrong).check(), Err(SettingsInvalid::Url { .. })), "{wrong}");
        }
        let mut local = settings("http://127.0.0.1:9400");
        local.insecure_loopback = true;
        assert_eq!(local.check(), Ok(()));
        for wrong in ["http://login.example.com", "http://localhost:9400", "http://10.0.0.1"] {
            local.issuer = wrong.into();
            assert!(local.check().is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_that_would_fail_every_sign_in_are_refused() {
        let right = settings("https://login.example.com");
        assert_eq!(ProviderSettings { algorithms: vec![], ..right.clone() }.check(), Err(SettingsInvalid::NoAlgorithm));
        let claims = ClaimMapping { login: vec![], ..ClaimMapping::default() };
        assert_eq!(ProviderSettings { claims, ..right.clone() }.check(), Err(SettingsInvalid::NoLoginClaim));
        let auth = Some(ClientAuth::ClientSecretPost);
        let public = ProviderSettings { client_secret: None, client_auth: auth, ..right.clone() };
        assert_eq!(public.check(), Err(SettingsInvalid::NoSecret));
        let error = ProviderSettings { skew_s: 301, ..right.clone() }.check().unwrap_err();
        assert_eq!(error.to_string(), "skew_s is 301: it must be from 0 to 300");
        assert!(ProviderSettings { client_id: "a b".into(), ..right }.check().is_err());
    }

    #[test]
    fn no_and_shared_secret_algorithms_cannot_be_allowed() {
        for wrong in ["none", "HS256", "HS384", "HS512", "rs256", "RSA1_5"] {
            assert!(serde_json::from_str::<SignatureAlgorithm>(&format!("{wrong:?}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_secret_is_not_in_debug() {
        assert!(!format!("{:?}", settings("https://login.example.com")).contains("hunter2"));
    }

    #[test]
    fn settings_are_json_with_defaults() {
        let short = r#"{"name":"example","label":"Example","issuer":"https://a.example","client_id":"postern"}"#;
        let read: ProviderSettings = serde_json::from_str(short).unwrap();
        assert_eq!((read.skew_s, read.fetch_timeout_ms), (60, 5_000));
        assert_eq!(serde_json::from_str::<ProviderSettings>(&serde_json::to_string(&read).unwrap()).unwrap(), read);
        assert!(serde_json::from_str::<ProviderSettings>(&short.replace("label", "lable")).is_err());
    }
}
