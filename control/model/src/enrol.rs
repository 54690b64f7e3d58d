//! Enrolment of a connector: the token it is given, its request, control's answer. The relay between them forwards opaque bodies.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::ids::{ConnectorId, GroupId};
use crate::secret::SecretText;

/// What is in a token file: `postern-token-1.<base64url(JSON)>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Names the token; not secret.
    pub id: String,
    /// Proves possession; never sent.
    pub secret: SecretText,
    /// SHA-256 of the control CA's certificate (DER), 64 hex digits: what the relay must present.
    pub ca_sha256: String,
    /// The group the connector joins.
    pub group: GroupId,
    /// End of validity, seconds.
    pub expires_unix: u64,
}

/// Text that is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenInvalid {
    /// Something else entirely.
    #[error("this is not a Postern token: it must begin with {TOKEN_PREFIX}")]
    NotAToken,
    /// Begins like one, but is damaged.
    #[error("the token is damaged: copy it whole, as `postern connector token` printed it")]
    Damaged,
}

impl Token {
    /// The text for the token file.
    #[must_use]
    pub fn encode(&self) -> SecretText {
        let json = zeroize::Zeroizing::new(serde_json::to_vec(self).unwrap_or_default());
        SecretText::new(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(&*json)))
    }

    /// Reads a token file's text; white space around it is ignored.
    ///
    /// # Errors
    /// When it is no token or a damaged one.
    pub fn parse(text: &str) -> Result<Self, TokenInvalid> {
        let body = text.trim().strip_prefix(TOKEN_PREFIX).ok_or(TokenInvalid::NotAToken)?;
        let json = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenInvalid::Damaged)?;
        let json = zeroize::Zeroizing::new(json);
        serde_json::from_slice(&json).map_err(|_| TokenInvalid::Damaged)
    }
}

/// A connector's request for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Certificate request (PEM), P-256; the names in it are ignored, only the key counts.
    pub csr_pem: String,
    /// Program and version.
    pub software: String,
    /// Why it may have one.
    pub proof: Proof,
}

/// Why a connector may have a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// It holds a token: first enrolment.
    Token {
        /// [`Token::id`].
        id: String,
        /// [`token_mac`], hex.
        mac: String,
    },
    /// It holds a certificate: renewal.
    Certificate {
        /// The current certificate.
        pem: String,
        /// ECDSA P-256, SHA-256, ASN.1, hex, by the current key over [`renewal_bytes`].
        signature: String,
    },
}

/// Control's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnrolResponse {
    /// The certificate.
    Ok(Enrolled),
    /// None.
    Error(EnrolError),
}

/// A certificate for a connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The connector's id from now on.
    pub connector_id: ConnectorId,
    /// The group it belongs to.
    pub group_id: GroupId,
    /// Its certificate.
    pub certificate_pem: String,
    /// The control CA's certificate.
    pub ca_pem: String,
    /// Control's clock, to warn about skew.
    pub relay_time_unix_ms: u64,
}

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolError {
    /// Stable: one of [`code`].
    pub code: String,
    /// What to do, for people.
    pub message: String,
}

/// Stable codes of [`EnrolError`].
pub mod code {
    /// No such token, or its proof is wrong.
    pub const TOKEN_UNKNOWN: &str = "token-unknown";
    /// Used by another connector.
    pub const TOKEN_USED: &str = "token-used";
    /// Too late.
    pub const TOKEN_EXPIRED: &str = "token-expired";
    /// The relay cannot ask control now.
    pub const CONTROL_UNAVAILABLE: &str = "control-unavailable";
    /// The certificate request cannot be used.
    pub const CSR_INVALID: &str = "csr-invalid";
    /// The certificate shown for renewal is not good.
    pub const CERTIFICATE_REFUSED: &str = "certificate-refused";
    /// The connector was removed by an administrator.
    pub const CONNECTOR_REMOVED: &str = "connector-removed";
    /// The request cannot be read.
    pub const REQUEST_INVALID: &str = "request-invalid";
    /// Another protocol version.
    pub const PROTOCOL_UNSUPPORTED: &str = "protocol-unsupported";
}

/// The key that control keeps of a token's secret: its SHA-256.
#[must_use]
pub fn token_key(secret: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    key
}

/// The proof that a token is held, hex: HMAC-SHA256 by [`token_key`] over the certificate request.
#[must_use]
pub fn token_mac(secret: &str, csr_pem: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &token_key(secret));
    hex::encode(hmac::sign(&key, &[TOKEN_CONTEXT, csr_pem.as_bytes()].concat()))
}

/// Whether `mac` (hex) is the proof for this key and certificate request. Takes the same time for every wrong one.
#[must_use]
pub fn token_mac_verifies(key: &[u8; 32], csr_pem: &str, mac: &str) -> bool {
    let Ok(mac) = hex::decode(mac) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, &[TOKEN_CONTEXT, csr_pem.as_bytes()].concat(), &mac).is_ok()
}

/// What a connector signs with its current key to renew.
#[must_use]
pub fn renewal_bytes(csr_pem: &str) -> Vec<u8> {
    [RENEWAL_CONTEXT, csr_pem.as_bytes()].concat()
}

/// The URI in a connector's certificate: `postern://connector/c1-9/group/g1-2`.
#[must_use]
pub fn connector_uri(connector: ConnectorId, group: GroupId) -> String {
    format!("{URI_PREFIX}{connector}{URI_GROUP}{group}")
}

/// Reads [`connector_uri`] back; `None` for anything else.
#[must_use]
pub fn parse_connector_uri(uri: &str) -> Option<(ConnectorId, GroupId)> {
    let (connector, group) = uri.strip_prefix(URI_PREFIX)?.split_once(URI_GROUP)?;
    let ids: (ConnectorId, GroupId) = (connector.parse().ok()?, group.parse().ok()?);
    (ids.0.tenant == ids.1.tenant).then_some(ids)
}

/// Version of enrolment.
pub const PROTOCOL: u32 = 1;
/// ALPN of enrolment.
pub const ALPN: &[u8] = b"postern-enrol/1";
/// SNI of enrolment.
pub const SERVER_NAME: &str = "enrol.tunnel.postern.internal";
/// Largest request and response.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// How every token begins.
pub const TOKEN_PREFIX: &str = "postern-token-1.";
const TOKEN_CONTEXT: &[u8] = b"postern-enrol/1\0";
const RENEWAL_CONTEXT: &[u8] = b"postern-renew/1\0";
const URI_PREFIX: &str = "postern://connector/";
const URI_GROUP: &str = "/group/";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TenantId;

    fn token() -> Token {
        Token {
            id: "0a".into(),
            secret: SecretText::new("s3cret".into()),
            ca_sha256: "ab".repeat(32),
            group: GroupId::DEFAULT,
            expires_unix: 7,
        }
    }

    #[test]
    fn a_token_reads_back_and_damage_is_noticed() {
        let text = token().encode();
        assert_eq!(Token::parse(&format!("  {}\n", text.expose())), Ok(token()));
        assert_eq!(Token::parse("hello"), Err(TokenInvalid::NotAToken));
        let cut = &text.expose()[..text.expose().len() - 5];
        assert_eq!(Token::parse(cut), Err(TokenInvalid::Damaged));
    }

    #[test]
    fn a_proof_holds_for_its_request_only() {
        let mac = token_mac("s3cret", "CSR");
        assert!(token_mac_verifies(&token_key("s3cret"), "CSR", &mac));
        assert!(!token_mac_verifies(&token_key("s3cret"), "CSR2", &mac));
        assert!(!token_mac_verifies(&token_key("other"), "CSR", &mac));
        assert!(!token_mac_verifies(&token_key("s3cret"), "CSR", "zz"));
    }

    #[test]
    fn the_wire_form_is_the_documented_one() {
        let request = EnrolRequest {
            protocol: 1,
            csr_pem: "C".into(),
            software: "s".into(),
            proof: Proof::Token { id: "i".into(), mac: "m".into() },
        };
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(json, r#"{"protocol":1,"csr_pem":"C","software":"s","proof":{"token":{"id":"i","mac":"m"}}}"#);
        let error = EnrolError { code: "token-used".into(), message: "m".into() };
        let json = serde_json::to_string(&EnrolResponse::Error(error)).unwrap();
        assert_eq!(json, r#"{"error":{"code":"token-used","message":"m"}}"#);
    }

    #[test]
    fn the_uri_reads_back() {
        let connector = ConnectorId::new(TenantId(1), 9);
        let uri = connector_uri(connector, GroupId::DEFAULT);
        assert_eq!(uri, "postern://connector/c1-9/group/g1-1");
        assert_eq!(parse_connector_uri(&uri), Some((connector, GroupId::DEFAULT)));
        assert_eq!(parse_connector_uri("postern://connector/c1-9/group/g2-1"), None);
        assert_eq!(parse_connector_uri("postern://connector/c1-9/group/g1-1/x"), None);
    }
}
