//! Keys that only a device has (WebAuthn Level 3): what a browser says is verified, strictly. What a device says of its own
//! make (attestation) is not asked for and not looked at.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::Decoder;
use postern_model::identity::{KeyAssertion, KeyCreated};
use serde::Deserialize;

/// Where keys are good: the identity's host and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RelyingParty {
    /// `https://HOST[:PORT]`.
    pub(super) origin: String,
    /// HOST.
    pub(super) id: String,
}

/// What a browser is asked to sign: good for one answer, in one sign-in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Challenge(pub(super) [u8; 32]);

/// A new key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Created {
    pub(super) credential: Vec<u8>,
    /// COSE (RFC 9052), one that is understood.
    pub(super) public_key: Vec<u8>,
    pub(super) counter: u32,
}

/// Why a key's answer is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyRefused {
    #[error("the browser's answer is malformed: {0}")]
    Malformed(&'static str),
    #[error("the answer is of another kind")]
    Type,
    #[error("the answer is to another question")]
    Challenge,
    #[error("the answer is of another site")]
    Origin,
    #[error("the key is of another site")]
    RpId,
    #[error("nobody touched the key")]
    Presence,
    #[error("the key did not verify who uses it: it needs a PIN, a fingerprint or the like")]
    Verification,
    #[error("the key's algorithm is not one of ES256, EdDSA and RS256")]
    Algorithm,
    #[error("the signature is wrong")]
    Signature,
    #[error("the key's counter went back: there may be a copy of it")]
    Counter,
}

impl Challenge {
    pub(super) fn make() -> Option<Self> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    pub(super) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenge(…)")
    }
}

/// §7.1, steps 5 to 24.
pub(super) fn created(party: &RelyingParty, challenge: &Challenge, given: &KeyCreated) -> Result<Created, KeyRefused> {
    let client_data = decoded(&given.client_data)?;
    check_client_data(party, challenge, "webauthn.create", &client_data)?;
    let attestation = decoded(&given.attestation)?;
    let bytes = authenticator_data_of(&attestation).ok_or(KeyRefused::Malformed("attestation object"))?;
    let data = AuthenticatorData::parse(party, bytes)?;
    let malformed = KeyRefused::Malformed("attested credential");
    let attested = data.attested.ok_or(malformed)?;
    let (length, rest) = attested.get(AAGUID_BYTES..).and_then(|rest| rest.split_first_chunk()).ok_or(malformed)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 || length > CREDENTIAL_BYTES_MAX || length > rest.len() {
        return Err(malformed);
    }
    let (credential, rest) = rest.split_at(length);
    let mut decoder = Decoder::new(rest);
    PublicKey::read(&mut decoder)?;
    let (key, extensions) = rest.split_at(decoder.position());
    if extensions.is_empty() == data.has_extensions {
        return Err(KeyRefused::Malformed("extensions"));
    }
    Ok(Created { credential: credential.to_vec(), public_key: key.to_vec(), counter: data.counter })
}

/// §7.2, steps 10 to 22; gives the key's counter. The caller looked the credential up and knows that it is the user's.
pub(super) fn asserted(
    party: &RelyingParty,
    challenge: &Challenge,
    public_key: &[u8],
    counter: u32,
    given: &KeyAssertion,
) -> Result<u32, KeyRefused> {
    let client_data = decoded(&given.client_data)?;
    check_client_data(party, challenge, "webauthn.get", &client_data)?;
    let mut signed = decoded(&given.authenticator_data)?;
    let data = AuthenticatorData::parse(party, &signed)?;
    let (is_older, new) = (data.counter <= counter, data.counter);
    if data.attested.is_some() {
        return Err(KeyRefused::Malformed("authenticator data"));
    }
    signed.extend_from_slice(digest::digest(&digest::SHA256, &client_data).as_ref());
    PublicKey::read(&mut Decoder::new(public_key))?.verify(&signed, &decoded(&given.signature)?)?;
    // Keys that do not count say 0 for ever.
    if is_older && (counter, new) != (0, 0) {
        return Err(KeyRefused::Counter);
    }
    Ok(new)
}

/// `clientDataJSON`, §5.8.1; members that are not known are not looked at, as it says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    top_origin: Option<String>,
}

fn check_client_data(
    party: &RelyingParty,
    challenge: &Challenge,
    kind: &str,
    client_data: &[u8],
) -> Result<(), KeyRefused> {
    let said: ClientData = serde_json::from_slice(client_data).map_err(|_| KeyRefused::Malformed("client data"))?;
    if said.r#type != kind {
        return Err(KeyRefused::Type);
    }
    if constant_time::verify_slices_are_equal(said.challenge.as_bytes(), challenge.text().as_bytes()).is_err() {
        return Err(KeyRefused::Challenge);
    }
    if said.origin != party.origin || said.cross_origin || said.top_origin.is_some() {
        return Err(KeyRefused::Origin);
    }
    Ok(())
}

/// §6.1.
struct AuthenticatorData<'a> {
    counter: u32,
    has_extensions: bool,
    /// What follows, when there is a new credential.
    attested: Option<&'a [u8]>,
}

impl<'a> AuthenticatorData<'a> {
    fn parse(party: &RelyingParty, bytes: &'a [u8]) -> Result<Self, KeyRefused> {
        let malformed = KeyRefused::Malformed("authenticator data");
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or(malformed)?;
        let (&[flags], rest) = rest.split_first_chunk::<1>().ok_or(malformed)?;
        let (counter, rest) = rest.split_first_chunk::<4>().ok_or(malformed)?;
        if rp_id_hash != digest::digest(&digest::SHA256, party.id.as_bytes()).as_ref() {
            return Err(KeyRefused::RpId);
        }
        if flags & USER_PRESENT == 0 {
            return Err(KeyRefused::Presence);
        }
        if flags & USER_VERIFIED == 0 {
            return Err(KeyRefused::Verification);
        }
        // §6.1.3: what cannot be backed up is not.
        if flags & BACKUP_ELIGIBLE == 0 && flags & BACKUP_STATE != 0 {
            return Err(malformed);
        }
        let has_extensions = flags & EXTENSION_DATA != 0;
        let attested = (flags & ATTESTED_CREDENTIAL != 0).then_some(rest);
        if attested.is_none() && rest.is_empty() == has_extensions {
            return Err(malformed);
        }
        Ok(Self { counter: u32::from_be_bytes(*counter), has_extensions, attested })
    }
}

/// The bytes `authData` of an attestation object, §6.5.4.
fn authenticator_data_of(attestation: &[u8]) -> Option<&[u8]> {
    let mut decoder = Decoder::new(attestation);
    let members = decoder.map().ok()??;
    let mut found = None;
    for _ in 0..members {
        match decoder.str().ok()? {
            "authData" if found.is_none() => found = Some(decoder.bytes().ok()?),
            "fmt" => drop(decoder.str().ok()?),
            "attStmt" => decoder.skip().ok()?,
            _ => return None,
        }
    }
    found.filter(|_| decoder.position() == attestation.len())
}

/// A public key that is understood.
#[derive(Debug, PartialEq, Eq)]
enum PublicKey<'a> {
    Es256 { x: &'a [u8; 32], y: &'a [u8; 32] },
    EdDsa(&'a [u8; 32]),
    Rs256 { n: &'a [u8], e: &'a [u8] },
}

impl<'a> PublicKey<'a> {
    /// COSE_Key (RFC 9052 §7, RFC 9053, RFC 8230): these members, each once, and no others.
    fn read(decoder: &mut Decoder<'a>) -> Result<Self, KeyRefused> {
        let (mut kty, mut alg, mut curve) = (None, None, None);
        let mut bytes: [Option<&'a [u8]>; 3] = [None; 3];
        let malformed = |_| KeyRefused::Malformed("public key");
        let twice = KeyRefused::Malformed("public key");
        let members = decoder.map().map_err(malformed)?.ok_or(twice)?;
        for _ in 0..members {
            let label = decoder.i64().map_err(malformed)?;
            let is_bytes = decoder.datatype().map_err(malformed)? == minicbor::data::Type::Bytes;
            let number = match (label, is_bytes) {
                (1, false) => &mut kty,
                (3, false) => &mut alg,
                (-1, false) => &mut curve,
                (-1, true) | (-2, true) | (-3, true) => {
                    let value = decoder.bytes().map_err(malformed)?;
                    let at = usize::try_from(-1 - label).map_err(|_| twice)?;
                    if bytes[at].replace(value).is_some() {
                        return Err(twice);
                    }
                    continue;
                }
                _ => return Err(twice),
            };
            if number.replace(decoder.i64().map_err(malformed)?).is_some() {
                return Err(twice);
            }
        }
        let fixed = |bytes: &'a [u8]| <&[u8; 32]>::try_from(bytes).map_err(|_| twice);
        match (kty, alg, curve, bytes) {
            (Some(2), Some(-7), Some(1), [None, Some(x), Some(y)]) => Ok(Self::Es256 { x: fixed(x)?, y: fixed(y)? }),
            (Some(1), Some(-8), Some(6), [None, Some(x), None]) => Ok(Self::EdDsa(fixed(x)?)),
            (Some(3), Some(-257), None, [Some(n), Some(e), None]) if n.len() >= 256 => Ok(Self::Rs256 { n, e }),
            _ => Err(KeyRefused::Algorithm),
        }
    }

    fn verify(&self, signed: &[u8], signature: &[u8]) -> Result<(), KeyRefused> {
        let verified = match self {
            Self::Es256 { x, y } => {
                let point = [&[0x04][..], &x[..], &y[..]].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(signed, signature)
            }
            Self::EdDsa(key) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature),
            Self::Rs256 { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
        };
        verified.map_err(|_| KeyRefused::Signature)
    }
}

/// Base64url without padding.
pub(super) fn decoded(text: &str) -> Result<Vec<u8>, KeyRefused> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyRefused::Malformed("base64url"))
}

const AAGUID_BYTES: usize = 16;
/// §4, Credential ID.
const CREDENTIAL_BYTES_MAX: usize = 1023;
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKUP_STATE: u8 = 1 << 4;
const ATTESTED_CREDENTIAL: u8 = 1 << 6;
const EXTENSION_DATA: u8 = 1 << 7;

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
