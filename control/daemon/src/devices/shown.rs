//! A certificate that a browser showed: read, and held against a tenant's authorities. Everything in it is the peer's.

use std::time::Duration;

use postern_model::device::{DEVICE_NAME_BYTES_MAX, DeviceAuthority};
use postern_model::directory::{Line, is_bidi_control};
use postern_model::ids::{DeviceId, TenantId};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::authorities::not_after_unix;
use crate::authority::devices::device_uri;
use crate::authority::sha256_hex;
use crate::control::Control;
use crate::limits::DEVICE_CERTIFICATE_BYTES_MAX;

/// What is read of it before anything about it is known to be true.
#[derive(Debug)]
pub(super) struct Shown {
    der: CertificateDer<'static>,
    pub(super) sha256: String,
    /// Of its SubjectPublicKeyInfo.
    pub(super) key_sha256: String,
    pub(super) not_after_unix: u64,
    common_name: String,
    uris: Vec<String>,
}

impl Shown {
    /// Reads a certificate (DER). The error is for people.
    pub(super) fn read(der: &[u8]) -> Result<Self, String> {
        if der.len() > DEVICE_CERTIFICATE_BYTES_MAX {
            return Err(format!("it is longer than {DEVICE_CERTIFICATE_BYTES_MAX} bytes"));
        }
        let read = x509_parser::parse_x509_certificate(der);
        let (rest, parsed) = read.map_err(|_| "it cannot be read".to_owned())?;
        if !rest.is_empty() {
            return Err("something follows it".into());
        }
        let not_after = parsed.validity().not_after.timestamp();
        Ok(Self {
            der: CertificateDer::from(der.to_vec()),
            sha256: sha256_hex(der),
            key_sha256: sha256_hex(parsed.public_key().raw),
            not_after_unix: u64::try_from(not_after).unwrap_or(0),
            common_name: common_name(&parsed),
            uris: uris(&parsed),
        })
    }

    /// The tenant's authority that issued it, as it is now: signed by it, good for clients, and both in their time. Nothing
    /// between the two is looked for: an authority is named by the certificate that devices' certificates are signed with.
    pub(super) fn issuer(&self, control: &Control, tenant: TenantId, now_unix: u64) -> Result<DeviceAuthority, String> {
        let snapshot = control.snapshot();
        let own = snapshot.device_authorities.values().filter(|authority| authority.tenant == tenant);
        let mut why = None;
        for authority in own {
            match self.verify(authority, now_unix) {
                Ok(()) => return Ok(authority.clone()),
                // Of another authority says nothing: it may be the next one's.
                Err(webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey) => {}
                Err(error) => why = Some(error),
            }
        }
        Err(why.map_or("no authority that counts here issued it", |error| in_words(&error)).into())
    }

    fn verify(&self, authority: &DeviceAuthority, now_unix: u64) -> Result<(), webpki::Error> {
        let (now, anchor) = (UnixTime::since_unix_epoch(Duration::from_secs(now_unix)), authority.certificate.der());
        let certificate = EndEntityCert::try_from(&self.der)?;
        let trusted = webpki::anchor_from_trusted_cert(&anchor)?;
        // Asked for, not only looked at where it is: what an authority issues without it may be good for something else, such as
        // mail or a server of old.
        let usage = KeyUsage::required(CLIENT_AUTH);
        certificate.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &[trusted], &[], now, usage, None, None)?;
        // A trust anchor has no time, for who verifies; an authority's certificate does.
        let not_after = not_after_unix(authority);
        if not_after <= now_unix {
            let not_after = UnixTime::since_unix_epoch(Duration::from_secs(not_after));
            return Err(webpki::Error::CertExpired { time: now, not_after });
        }
        Ok(())
    }

    /// Whether it names this device, as the tenant's own authority writes it.
    pub(super) fn names(&self, device: DeviceId) -> bool {
        let uri = device_uri(device);
        self.uris.contains(&uri)
    }

    /// What the device is called when it is seen first: its common name, as far as that is a line of text.
    pub(super) fn device_name(&self, id: DeviceId) -> Line<DEVICE_NAME_BYTES_MAX> {
        let clean = |c: &char| !c.is_control() && !is_bidi_control(*c);
        let mut name = String::new();
        for letter in self.common_name.chars().filter(clean) {
            if name.len() + letter.len_utf8() > DEVICE_NAME_BYTES_MAX {
                break;
            }
            name.push(letter);
        }
        let given = Some(name.trim()).filter(|name| !name.is_empty()).and_then(|name| name.parse().ok());
        given.or_else(|| id.to_string().parse().ok()).unwrap_or_default()
    }
}

/// Why a certificate does not count, for whoever showed it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is foreign and grows: what is not named here is refused, too"
)]
fn in_words(error: &webpki::Error) -> &'static str {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } => "it has expired, or the authority that issued it has",
        Error::CertNotValidYet { .. } => "it is not valid yet",
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            "it is not for clients: its extended key usage does not name clientAuth"
        }
        Error::CaUsedAsEndEntity => "it is an authority's, and no device's",
        Error::UnsupportedCriticalExtension => "it has a critical extension that is not understood here",
        error => {
            tracing::debug!(?error, "a device's certificate is not valid");
            "it is not made as certificates are"
        }
    }
}

fn common_name(parsed: &X509Certificate<'_>) -> String {
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    name.unwrap_or_default().to_owned()
}

fn uris(parsed: &X509Certificate<'_>) -> Vec<String> {
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::DNSName(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::IPAddress(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    });
    uris.collect()
}

/// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2 (RFC 5280 section 4.2.1.12), as DER has it.
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
