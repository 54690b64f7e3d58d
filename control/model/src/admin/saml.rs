//! The place to sign in as a SAML identity provider.

use serde::{Deserialize, Serialize};

/// `identity saml show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamlView {
    /// Where service providers read the rest; also the entity id.
    pub metadata_url: String,
    /// Where they send browsers, by HTTP-Redirect or HTTP-POST.
    pub sso_url: String,
    /// The key that signs, and the next one, if there is one.
    pub keys: Vec<SamlKeyView>,
}

/// A key that signs assertions, without what is secret of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamlKeyView {
    /// Whether it signs now; else it will.
    pub signs: bool,
    /// Its certificate.
    pub certificate_pem: String,
    /// SHA-256 of the certificate (DER), hex.
    pub sha256: String,
    /// SHA-1 of the same, which some service providers show.
    pub sha1: String,
    /// When the certificate ends.
    pub not_after_unix: u64,
}

/// `identity saml rotate`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateSaml {
    /// The next key signs from now on, and the one before is gone; else the next one is made.
    #[serde(default)]
    pub activate: bool,
}
