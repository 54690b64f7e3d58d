//! What a connector group may reach, signed by the control CA: a relay carries it and cannot invent a backend.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::EcdsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::ids::{AppId, GroupId, Name, TenantId};
use crate::secret::SecretText;
use crate::vault::Credential;

/// The applications of one connector group, as its connectors need them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupConfig {
    /// The group's tenant.
    pub tenant: TenantId,
    /// The group it is for; a connector of another group refuses it.
    pub group: GroupId,
    /// Version of the log when it was made. Connectors refuse an older one than they hold.
    pub version: u64,
    /// The group's applications.
    pub apps: Vec<BackendApp>,
    /// Where the tenant's other applications are, those of other groups, so that links to them are translated: as many as
    /// control has room for. None from a control that does not know of it yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<PublishedLink>,
}

/// Where an application is, inside and outside: for links that lead to it. One for each of its segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedLink {
    /// Its id.
    pub app: AppId,
    /// What users open.
    pub external_url: String,
    /// What its connectors open.
    pub internal_url: String,
    /// Other names of that, as the setting `internal_aliases` has them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aliases: String,
    /// Other names of what users open, as the setting `external_aliases` has them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub names: String,
}

/// One application as its connectors see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendApp {
    /// Its id, which every opened stream names.
    pub id: AppId,
    /// Its name, for logs.
    pub name: Name,
    /// What users open: forwarding headers and the path prefix come from it.
    pub external_url: String,
    /// What the connector opens.
    pub internal_url: String,
    /// See [`crate::settings::AppSettings`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// What signs users on to it, sealed to the group's key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Credential>,
    /// What makes the values of the cookies that name a member of its farm (`balance=sticky`), the same at each connector. Users do
    /// not have it, so that they can neither make such a value nor learn from one where the member is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_key: Option<SecretText>,
}

/// A [`GroupConfig`] as JSON bytes with the control CA's signature over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedGroupConfig {
    /// The JSON text exactly as signed.
    pub body: String,
    /// ECDSA P-256, SHA-256, ASN.1, base64, over [`CONTEXT`] and `body`.
    pub signature: String,
}

/// Why a signed configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupConfigInvalid {
    /// The CA certificate cannot be read.
    #[error("the control CA's certificate cannot be read")]
    CaUnreadable,
    /// Not signed by this CA.
    #[error("the group configuration is not signed by the control CA")]
    SignatureWrong,
    /// Signed, but not understood.
    #[error("the group configuration cannot be read: {0}")]
    Malformed(String),
    /// Signed for another group.
    #[error("the group configuration is for {found}, not for {expected}")]
    OtherGroup {
        /// The group of this connector.
        expected: GroupId,
        /// The group it is for.
        found: GroupId,
    },
    /// Older than the one in use.
    #[error("the group configuration has version {found}, older than {held} in use")]
    Older {
        /// The version in use.
        held: u64,
        /// The version offered.
        found: u64,
    },
}

impl SignedGroupConfig {
    /// Signs `config` with the control CA's key. Fails only if the random source fails.
    ///
    /// # Errors
    /// When no randomness could be had for the signature.
    pub fn sign(config: &GroupConfig, key: &EcdsaKeyPair) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let body = serde_json::to_string(config).map_err(|_| aws_lc_rs::error::Unspecified)?;
        let signature = key.sign(&SystemRandom::new(), &signed_bytes(&body))?;
        Ok(Self { body, signature: STANDARD.encode(signature.as_ref()) })
    }

    /// Verifies the signature with the CA certificate (DER), then that it is for `group` and not older than `held_version`.
    ///
    /// # Errors
    /// The first check that failed; nothing of the body may be used then.
    pub fn verify(&self, ca_der: &[u8], group: GroupId, held_version: u64) -> Result<GroupConfig, GroupConfigInvalid> {
        let ca = CertificateDer::from(ca_der);
        let ca = webpki::EndEntityCert::try_from(&ca).map_err(|_| GroupConfigInvalid::CaUnreadable)?;
        let signature = STANDARD.decode(&self.signature).map_err(|_| GroupConfigInvalid::SignatureWrong)?;
        let message = signed_bytes(&self.body);
        ca.verify_signature(webpki::aws_lc_rs::ECDSA_P256_SHA256, &message, &signature)
            .map_err(|_| GroupConfigInvalid::SignatureWrong)?;
        let config: GroupConfig =
            serde_json::from_str(&self.body).map_err(|error| GroupConfigInvalid::Malformed(error.to_string()))?;
        if config.group != group {
            return Err(GroupConfigInvalid::OtherGroup { expected: group, found: config.group });
        }
        if config.version < held_version {
            return Err(GroupConfigInvalid::Older { held: held_version, found: config.version });
        }
        Ok(config)
    }
}

/// What stands before the body in the signed bytes, so that no other signature of this key can be taken for one.
pub const CONTEXT: &[u8] = b"postern-group-config/1\0";

fn signed_bytes(body: &str) -> Vec<u8> {
    [CONTEXT, body.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;

    use super::*;

    fn ca() -> (Vec<u8>, EcdsaKeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.serialized_der());
        (certificate.der().to_vec(), pair.unwrap())
    }

    fn config(version: u64) -> GroupConfig {
        let app = BackendApp {
            id: AppId::new(TenantId::DEFAULT, 1),
            name: "crm".parse().unwrap(),
            external_url: "https://crm.example.com/".into(),
            internal_url: "http://crm/".into(),
            settings: BTreeMap::new(),
            credentials: Vec::new(),
            member_key: None,
        };
        GroupConfig { tenant: TenantId::DEFAULT, group: GroupId::DEFAULT, version, apps: vec![app], links: Vec::new() }
    }

    #[test]
    fn only_what_control_signed_for_this_group_is_taken() {
        let (der, key) = ca();
        let signed = SignedGroupConfig::sign(&config(5), &key).unwrap();
        assert_eq!(signed.verify(&der, GroupId::DEFAULT, 5), Ok(config(5)));

        let older = signed.verify(&der, GroupId::DEFAULT, 6).unwrap_err();
        assert_eq!(older, GroupConfigInvalid::Older { held: 6, found: 5 });
        let other = GroupId::new(TenantId::DEFAULT, 2);
        let refused = signed.verify(&der, other, 0).unwrap_err();
        assert_eq!(refused, GroupConfigInvalid::OtherGroup { expected: other, found: GroupId::DEFAULT });

        let invented = SignedGroupConfig { body: signed.body.replace("http://crm/", "http://evil/"), ..signed.clone() };
        assert_eq!(invented.verify(&der, GroupId::DEFAULT, 0), Err(GroupConfigInvalid::SignatureWrong));
        let (another, _) = ca();
        assert_eq!(signed.verify(&another, GroupId::DEFAULT, 0), Err(GroupConfigInvalid::SignatureWrong));
        assert_eq!(signed.verify(b"x", GroupId::DEFAULT, 0), Err(GroupConfigInvalid::CaUnreadable));
    }

    #[test]
    fn one_without_links_is_as_it_was_before_there_were_any() {
        let json = serde_json::to_string(&config(1)).unwrap();
        assert!(!json.contains("links"), "{json}");
        assert_eq!(serde_json::from_str::<GroupConfig>(&json).unwrap(), config(1));
        let link = PublishedLink {
            app: AppId::new(TenantId::DEFAULT, 2),
            external_url: "https://wiki.example.com/".into(),
            internal_url: "http://wiki/".into(),
            aliases: String::new(),
            names: String::new(),
        };
        let linked = GroupConfig { links: vec![link], ..config(1) };
        let json = serde_json::to_string(&linked).unwrap();
        assert_eq!(serde_json::from_str::<GroupConfig>(&json).unwrap(), linked);
    }

    #[test]
    fn a_signature_for_something_else_is_none() {
        let (der, key) = ca();
        let body = serde_json::to_string(&config(1)).unwrap();
        let signature = key.sign(&SystemRandom::new(), body.as_bytes()).unwrap();
        let signed = SignedGroupConfig { body, signature: STANDARD.encode(signature.as_ref()) };
        assert_eq!(signed.verify(&der, GroupId::DEFAULT, 0), Err(GroupConfigInvalid::SignatureWrong));
    }
}
