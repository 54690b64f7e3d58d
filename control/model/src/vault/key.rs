//! Keys of the vault. A pair is made once for each connector group; the secret part is a file beside its connectors, as a keytab
//! is, and is never given to control.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use super::{CONTEXT, Credential, Login, NotOpened, Purpose, Sealed};
use crate::directory::as_text;
use crate::secret::SecretText;

/// What credentials are sealed to. As text: base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultPublicKey([u8; KEY_BYTES]);

/// What opens them.
pub struct VaultSecretKey(Zeroizing<[u8; KEY_BYTES]>);

/// Both.
#[derive(Debug)]
pub struct VaultKeyPair {
    /// For control and whoever seals.
    pub public: VaultPublicKey,
    /// For connectors.
    pub secret: VaultSecretKey,
}

/// What people compare: the first 16 bytes of the public key's SHA-256, in hex, four digits each: `1a2b-3c4d-…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; FINGERPRINT_BYTES]);

/// Text that is no key of the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyInvalid {
    /// Something else, or damaged.
    #[error(
        "this is no key of the vault: it must be {PREFIX} and 43 letters and digits, as `postern vault key create` wrote it"
    )]
    Secret,
    /// No public key.
    #[error("this is no public key of the vault")]
    Public,
    /// None, or too many.
    #[error("there must be one to {KEYS_MAX} keys, one a line")]
    Count,
    /// No randomness.
    #[error("there is no randomness")]
    NoRandomness,
}

impl VaultKeyPair {
    /// A new one.
    ///
    /// # Errors
    /// The random source failed.
    pub fn generate() -> Result<Self, KeyInvalid> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| KeyInvalid::NoRandomness)?;
        let secret = VaultSecretKey(bytes);
        Ok(Self { public: secret.public()?, secret })
    }
}

impl VaultSecretKey {
    /// The line for the key file.
    #[must_use]
    pub fn encode(&self) -> SecretText {
        SecretText::new(format!("{PREFIX}{}", Zeroizing::new(URL_SAFE_NO_PAD.encode(*self.0)).as_str()))
    }

    /// Reads it back.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, KeyInvalid> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(KeyInvalid::Secret)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| KeyInvalid::Secret)?);
        let bytes: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| KeyInvalid::Secret)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// The keys of a file, one a line: more than one while a new key takes an old one's place.
    ///
    /// # Errors
    /// A line is none, or there are too many.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, KeyInvalid> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        if (1..=KEYS_MAX).contains(&keys.len()) { Ok(keys) } else { Err(KeyInvalid::Count) }
    }

    /// What is sealed to it.
    ///
    /// # Errors
    /// It is no key.
    pub fn public(&self) -> Result<VaultPublicKey, KeyInvalid> {
        let private = PrivateKey::from_private_key(&X25519, &*self.0).map_err(|_| KeyInvalid::Secret)?;
        let public = private.compute_public_key().map_err(|_| KeyInvalid::Secret)?;
        let bytes = public.as_ref().try_into().map_err(|_| KeyInvalid::Secret)?;
        Ok(VaultPublicKey(bytes))
    }

    /// Opens a credential for `purpose`, whatever the credential says that it is for.
    ///
    /// # Errors
    /// It was sealed for something else, or is damaged.
    pub fn open(&self, credential: &Credential, purpose: &Purpose) -> Result<Login, NotOpened> {
        let (encapsulated, ciphertext) = credential.sealed.parts();
        let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
        let secret = HpkePrivateKey::from(self.0.to_vec());
        let opened = SUITE.open(&encapsulated, CONTEXT, &purpose.bound(), ciphertext, &secret);
        let opened = Zeroizing::new(opened.map_err(|_| NotOpened::OtherPurpose)?);
        Login::unpack(&opened).map_err(NotOpened::Unusable)
    }
}

impl VaultPublicKey {
    /// What people compare.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut bytes = [0; FINGERPRINT_BYTES];
        bytes.copy_from_slice(&digest(&SHA256, &self.0).as_ref()[..FINGERPRINT_BYTES]);
        Fingerprint(bytes)
    }

    /// Seals a login for one purpose. None when the key is no point of the curve, or there is no randomness.
    #[must_use]
    pub fn seal(&self, login: &Login, purpose: &Purpose) -> Option<Sealed> {
        let public = HpkePublicKey(self.0.to_vec());
        let (encapsulated, ciphertext) = SUITE.seal(CONTEXT, &purpose.bound(), &login.pack(), &public).ok()?;
        Sealed::new([encapsulated.0, ciphertext].concat())
    }
}

impl fmt::Debug for VaultSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultSecretKey(…)")
    }
}

impl fmt::Display for VaultPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for VaultPublicKey {
    type Err = KeyInvalid;

    fn from_str(text: &str) -> Result<Self, KeyInvalid> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyInvalid::Public)?;
        bytes.try_into().map(Self).map_err(|_| KeyInvalid::Public)
    }
}

as_text!(VaultPublicKey);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, pair) in self.0.chunks(2).enumerate() {
            write!(f, "{}{}", if place > 0 { "-" } else { "" }, hex::encode(pair))?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let wrong = "a fingerprint is eight groups of four hex digits with - between them";
        let bytes = hex::decode(text.replace('-', "")).map_err(|_| wrong)?;
        let parsed = Self(bytes.try_into().map_err(|_| wrong)?);
        if parsed.to_string() == text { Ok(parsed) } else { Err(wrong) }
    }
}

as_text!(Fingerprint);

const KEY_BYTES: usize = 32;
const FINGERPRINT_BYTES: usize = 16;
const PREFIX: &str = "postern-vault-key-1.";
/// Keys of one connector at a time.
const KEYS_MAX: usize = 4;
