//! What authorities of certificates are shown while they look whose a host is: by a request (RFC 8555 §8.3), or by a handshake
//! (RFC 8737). Made anew only when control names other challenges.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use postern_model::acme::{AcmeChallenge, ChallengeKind};
use postern_model::snapshot::Snapshot;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

use super::tls::TlsConfigs;

/// Those that are to be answered now.
#[derive(Default)]
pub(crate) struct Challenges {
    by_token: BTreeMap<String, AcmeChallenge>,
    /// By host, lower case.
    by_handshake: BTreeMap<String, Arc<ServerConfig>>,
}

impl Challenges {
    /// Those of the state; the same as before where they are the same.
    pub(crate) fn next(held: &Arc<Self>, snapshot: &Snapshot, configs: &TlsConfigs) -> Arc<Self> {
        if held.by_token == snapshot.acme_challenges {
            return Arc::clone(held);
        }
        let by_token = snapshot.acme_challenges.clone();
        let handshakes = by_token.values().filter(|challenge| challenge.challenge == ChallengeKind::TlsAlpn01);
        let by_handshake = handshakes.filter_map(|challenge| match certified(challenge) {
            Ok(key) => Some((challenge.host.clone(), configs.challenge(&Arc::new(key)))),
            Err(reason) => {
                tracing::warn!(host = challenge.host, reason, "an authority will not see whose a host is");
                None
            }
        });
        Arc::new(Self { by_handshake: by_handshake.collect(), by_token })
    }

    /// What answers a request for a token at a host.
    pub(crate) fn by_request(&self, host: &str, token: &str) -> Option<&str> {
        let challenge = self.by_token.get(token).filter(|challenge| challenge.challenge == ChallengeKind::Http01)?;
        challenge.host.eq_ignore_ascii_case(host).then_some(challenge.key_authorization.as_str())
    }

    /// What answers a handshake that names this host.
    pub(crate) fn by_handshake(&self, server_name: &str) -> Option<&Arc<ServerConfig>> {
        self.by_handshake.get(&server_name.to_ascii_lowercase())
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Challenges").field(&self.by_token.len()).finish()
    }
}

/// The certificate of RFC 8737 §3: for this host alone, signed by itself, with the digest of the key authorization.
fn certified(challenge: &AcmeChallenge) -> Result<CertifiedKey, String> {
    let key = KeyPair::generate().map_err(|error| error.to_string())?;
    let mut params = CertificateParams::new(vec![challenge.host.clone()]).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ACME challenge");
    let proof = digest(&SHA256, challenge.key_authorization.as_bytes());
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(proof.as_ref())];
    let certificate = params.self_signed(&key).map_err(|error| error.to_string())?;
    let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
    let signer = any_supported_type(&der).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::TlsPreset;
    use postern_model::ids::TenantId;

    fn challenge(kind: ChallengeKind, host: &str, token: &str) -> AcmeChallenge {
        AcmeChallenge {
            tenant: TenantId::DEFAULT,
            host: host.into(),
            challenge: kind,
            token: token.into(),
            key_authorization: format!("{token}.thumbprint"),
        }
    }

    fn challenges(all: impl IntoIterator<Item = AcmeChallenge>, held: &Arc<Challenges>) -> Arc<Challenges> {
        let acme_challenges = all.into_iter().map(|challenge| (challenge.token.clone(), challenge)).collect();
        let snapshot = Snapshot { acme_challenges, ..Snapshot::default() };
        Challenges::next(held, &snapshot, &TlsConfigs::new(TlsPreset::default()).unwrap())
    }

    #[test]
    fn each_challenge_is_answered_its_own_way_at_its_own_host() {
        let all = || {
            [
                challenge(ChallengeKind::Http01, "a.example.com", "one"),
                challenge(ChallengeKind::TlsAlpn01, "b.example.com", "two"),
            ]
        };
        let made = challenges(all(), &Arc::default());
        assert_eq!(made.by_request("A.example.com", "one"), Some("one.thumbprint"));
        assert_eq!(made.by_request("b.example.com", "one"), None, "another host");
        assert_eq!(made.by_request("b.example.com", "two"), None, "by a handshake");
        assert!(made.by_handshake("B.example.com").is_some() && made.by_handshake("a.example.com").is_none());
        assert!(Arc::ptr_eq(&made, &challenges(all(), &made)), "nothing changed");
        assert!(challenges([], &made).by_handshake("b.example.com").is_none());
    }

    #[test]
    fn the_certificate_is_the_one_of_the_challenge() {
        let key = certified(&challenge(ChallengeKind::TlsAlpn01, "b.example.com", "two")).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(key.end_entity_cert().unwrap()).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(format!("{:?}", names.value.general_names), "[DNSName(\"b.example.com\")]");
        let proof = parsed.extensions().iter().find(|one| one.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(proof.critical);
        let digest = digest(&SHA256, b"two.thumbprint");
        assert_eq!(proof.value, [[4, 32].as_slice(), digest.as_ref()].concat());
    }
}
