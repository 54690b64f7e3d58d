//! Enrolment and renewal: one request and one answer over TLS to a relay, which forwards both unread. Blocking; it runs
//! beside the rings, never on them.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use postern_model::enrol::{
    ALPN, EnrolError, EnrolRequest, EnrolResponse, Enrolled, MESSAGE_BYTES_MAX, PROTOCOL, Proof, SERVER_NAME, Token,
    code, renewal_bytes, token_mac,
};
use postern_model::frame;
use postern_service::failure::Failure;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use crate::args::RelayAddress;
use crate::identity::Identity;
use crate::limits::{ADDRESSES_TRIED_MAX, CLOCK_SKEW_WARNED, ENROL_TIMEOUT};
use crate::proxy::{self, Proxies, ProxyFailed};
use crate::timed::{Timed, Wire};
use crate::tls::{Expected, RelayRefused, client_config, fingerprint};

/// The program as it names itself.
pub(crate) const SOFTWARE: &str = concat!("postern-connector ", env!("CARGO_PKG_VERSION"));

/// Why there is no certificate.
#[derive(Debug)]
pub(crate) enum NotEnrolled {
    /// Trying again would end the same way.
    Refused(Failure),
    /// It may work later or at another relay.
    Later(String),
}

/// Asks one relay for a first certificate.
pub(crate) fn enrol(
    relay: &RelayAddress,
    token: &Token,
    key: &KeyPair,
    proxies: &Proxies,
) -> Result<Identity, NotEnrolled> {
    let csr_pem = csr(key)?;
    let mac = token_mac(token.secret.expose(), &csr_pem);
    let proof = Proof::Token { id: token.id.clone(), mac };
    let expected = Expected::Fingerprint(token.ca_sha256.to_ascii_lowercase());
    let enrolled = ToRelay { relay, proxies }.ask(expected, csr_pem, proof)?;
    let identity = identity(relay, &enrolled, key)?;
    if fingerprint(&identity.authority) != token.ca_sha256.to_ascii_lowercase() {
        return Err(NotEnrolled::Refused(RelayRefused::OtherAuthority { relay: relay.clone() }.into_failure()));
    }
    Ok(identity)
}

/// Asks one relay for the next certificate, for a new key, with the proof that `held` is held.
pub(crate) fn renew(relay: &RelayAddress, held: &Identity, proxies: &Proxies) -> Result<Identity, NotEnrolled> {
    let key = KeyPair::generate().map_err(|error| NotEnrolled::Later(error.to_string()))?;
    let csr_pem = csr(&key)?;
    let signature = sign(&held.key, &renewal_bytes(&csr_pem))?;
    let proof = Proof::Certificate { pem: held.certificate_pem.clone(), signature };
    let expected = Expected::Authority(held.authority.clone());
    let enrolled = ToRelay { relay, proxies }.ask(expected, csr_pem, proof)?;
    let renewed = identity(relay, &enrolled, &key)?;
    if (renewed.connector, renewed.group, &renewed.authority) != (held.connector, held.group, &held.authority) {
        return Err(NotEnrolled::Later(format!("the relay at {relay} brought the certificate of another connector")));
    }
    Ok(renewed)
}

fn identity(relay: &RelayAddress, enrolled: &Enrolled, key: &KeyPair) -> Result<Identity, NotEnrolled> {
    let identity = Identity::from_enrolled(enrolled, key);
    let identity = identity.map_err(|error| NotEnrolled::Later(format!("the answer through {relay}: {error}")))?;
    warn_of_skew(enrolled.relay_time_unix_ms);
    if identity.is_expired(SystemTime::now()) {
        let failure = Failure::new("the new certificate has expired already by this host's clock");
        return Err(NotEnrolled::Refused(failure.code("clock-skew")));
    }
    Ok(identity)
}

fn warn_of_skew(control_unix_ms: u64) {
    let own = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let skew = own.abs_diff(Duration::from_millis(control_unix_ms));
    if skew > CLOCK_SKEW_WARNED {
        tracing::warn!(
            skew_s = skew.as_secs(),
            "this host's clock differs from control's; run: timedatectl set-ntp true"
        );
    }
}

fn csr(key: &KeyPair) -> Result<String, NotEnrolled> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key).and_then(|request| request.pem());
    request.map_err(|error| NotEnrolled::Later(format!("no certificate request could be made: {error}")))
}

fn sign(key: &KeyPair, message: &[u8]) -> Result<String, NotEnrolled> {
    let later = |_| NotEnrolled::Later(String::from("the proof for the renewal could not be signed"));
    let der = zeroize::Zeroizing::new(key.serialize_der());
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der)
        .map_err(|_| NotEnrolled::Later(String::from("the connector's key is not P-256")))?;
    key.sign(&SystemRandom::new(), message).map(|signature| hex::encode(signature.as_ref())).map_err(later)
}

/// The way to one relay, directly or through a proxy.
#[derive(Clone, Copy)]
struct ToRelay<'a> {
    relay: &'a RelayAddress,
    proxies: &'a Proxies,
}

impl ToRelay<'_> {
    fn ask(self, expected: Expected, csr_pem: String, proof: Proof) -> Result<Enrolled, NotEnrolled> {
        let request = EnrolRequest { protocol: PROTOCOL, csr_pem, software: String::from(SOFTWARE), proof };
        let answer = self.exchange(expected, &request).map_err(|error| self.unreachable(&error))?;
        match answer {
            EnrolResponse::Ok(enrolled) => Ok(enrolled),
            EnrolResponse::Error(error) => Err(refusal(&error)),
        }
    }

    fn unreachable(self, error: &io::Error) -> NotEnrolled {
        let relay = self.relay;
        if let Some(failed) = ProxyFailed::of_io(error) {
            let cure = failed.trouble.cure();
            return NotEnrolled::Later(format!("the relay at {relay} cannot be asked: {failed}; {cure}"));
        }
        match RelayRefused::of_io(error) {
            Some(refused) if refused.is_definitive() => NotEnrolled::Refused(refused.clone().into_failure()),
            Some(refused) => NotEnrolled::Later(refused.to_string()),
            None => NotEnrolled::Later(format!("the relay at {relay} cannot be asked: {error}")),
        }
    }

    fn exchange(self, expected: Expected, request: &EnrolRequest) -> io::Result<EnrolResponse> {
        let config = client_config(self.relay, expected, None, ALPN).map_err(io::Error::other)?;
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, self.connect()?);
        let message = frame::encode(request, MESSAGE_BYTES_MAX).map_err(io::Error::other)?;
        stream.write_all(&message)?;
        let mut prefix = [0; frame::PREFIX_BYTES];
        stream.read_exact(&mut prefix)?;
        let length = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
        if length > MESSAGE_BYTES_MAX {
            return Err(io::Error::other("an answer beyond the limit"));
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        serde_json::from_slice(&body).map_err(io::Error::other)
    }

    fn connect(self) -> io::Result<Box<dyn Wire>> {
        let deadline = Instant::now() + ENROL_TIMEOUT;
        let (host, port) = (&*self.relay.host, self.relay.port);
        if let Some(by) = self.proxies.of_relay(host, port) {
            return Ok(proxy::blocking::connect(by, host, port, deadline)?);
        }
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in (host, port).to_socket_addrs()?.take(ADDRESSES_TRIED_MAX) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => return Ok(Box::new(Timed::new(stream, deadline))),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// What control said. Codes of newer versions are definitive too: they were not "try again later" when this was written.
fn refusal(error: &EnrolError) -> NotEnrolled {
    if error.code == code::CONTROL_UNAVAILABLE {
        return NotEnrolled::Later(error.message.clone());
    }
    let known = KNOWN_REFUSALS.iter().find(|known| **known == error.code);
    let failure = Failure::new(format!("control refuses this connector: {}", error.message));
    NotEnrolled::Refused(match known {
        Some(code) => failure.code(code),
        None => failure,
    })
}

const KNOWN_REFUSALS: [&str; 8] = [
    code::TOKEN_UNKNOWN,
    code::TOKEN_USED,
    code::TOKEN_EXPIRED,
    code::CSR_INVALID,
    code::CERTIFICATE_REFUSED,
    code::CONNECTOR_REMOVED,
    code::REQUEST_INVALID,
    code::PROTOCOL_UNSUPPORTED,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absent_control_is_worth_waiting_for() {
        let say = |code: &str| refusal(&EnrolError { code: code.into(), message: "m".into() });
        assert!(matches!(say(code::CONTROL_UNAVAILABLE), NotEnrolled::Later(_)));
        for known in KNOWN_REFUSALS {
            let NotEnrolled::Refused(failure) = say(known) else { panic!("{known}") };
            assert_eq!(failure.stable_code(), Some(known));
        }
        assert!(matches!(say("of-the-future"), NotEnrolled::Refused(_)));
    }

    #[test]
    fn a_renewal_is_signed_so_that_its_public_key_verifies() {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
        let key = KeyPair::generate().unwrap();
        let signature = hex::decode(sign(&key, b"message").unwrap()).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key_raw()).verify(b"message", &signature).unwrap();
    }

    #[test]
    fn nobody_there_is_worth_another_try() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let relay: RelayAddress = closed.to_string().parse().unwrap();
        let token = Token {
            id: "1".into(),
            secret: postern_model::secret::SecretText::new("s".into()),
            ca_sha256: "00".repeat(32),
            group: postern_model::ids::GroupId::DEFAULT,
            expires_unix: 0,
        };
        let error = enrol(&relay, &token, &KeyPair::generate().unwrap(), &Proxies::default()).unwrap_err();
        assert!(matches!(error, NotEnrolled::Later(_)), "{error:?}");
    }
}
