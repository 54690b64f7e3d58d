//! Service tokens: what machines show to reach an application that is not open to everybody. Whoever holds one is let
//! through; control and relays keep the secret's hash only.

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::ids::{AppId, Name, ServiceTokenId};
use crate::secret::SecretText;

/// A service token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ServiceToken {
    /// Its id, which the token's text holds.
    pub id: ServiceTokenId,
    /// Its name, unique in the tenant: the subject of its requests.
    pub name: Name,
    /// What its secret is known by.
    pub key: TokenKey,
    /// Where it lets its holder in. One without applications lets nobody in anywhere.
    pub apps: BTreeSet<AppId>,
    /// End of validity, seconds; `None`: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix: Option<u64>,
    /// Whether it is good at all.
    pub enabled: bool,
    /// When it was made.
    pub created_unix_ms: u64,
}

/// SHA-256 of a token's secret; 64 hex digits in JSON. From 32 random bytes, so that nobody finds the secret by trying.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey([u8; 32]);

/// A token's 32 random bytes. Zeroised when dropped, absent from `Debug`.
pub struct TokenSecret(Zeroizing<[u8; 32]>);

/// What a token's text says: which token, and its secret.
#[derive(Debug)]
pub struct PresentedToken {
    /// Which one.
    pub id: ServiceTokenId,
    /// Proves that the holder was given it.
    pub secret: TokenSecret,
}

impl TokenSecret {
    /// Takes the bytes over: 32 of the system's random ones.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// What it is known by.
    #[must_use]
    pub fn key(&self) -> TokenKey {
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, &*self.0).as_ref());
        TokenKey(key)
    }
}

impl TokenKey {
    /// Whether both are of one secret. Takes the same time for all that are not.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl PresentedToken {
    /// Reads a token's text. It has one spelling, and nothing stands around it: what is not exactly that is no token.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX.as_bytes())?;
        let (id, secret) = rest.split_at_checked(rest.len().checked_sub(SECRET_CHARS)?)?;
        // The alphabet of secrets has '_', too: it is their length that tells where they begin.
        let id = std::str::from_utf8(id.strip_suffix(b"_")?).ok()?.parse().ok()?;
        let mut bytes = Zeroizing::new([0; 32]);
        let length = URL_SAFE_NO_PAD.decode_slice(secret, &mut *bytes).ok()?;
        (length == bytes.len()).then_some(Self { id, secret: TokenSecret(bytes) })
    }

    /// The token's text: `pst_st1-4_` and 43 characters of base64url. Scanners for leaked secrets find it by its beginning.
    #[must_use]
    pub fn encode(&self) -> SecretText {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.0.as_slice()));
        SecretText::new(format!("{PREFIX}{}_{}", self.id, *secret))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

impl Serialize for TokenKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for TokenKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key).map_err(|_| de::Error::custom("a token's key is 64 hex digits"))?;
        Ok(Self(key))
    }
}

/// How every token begins.
pub const PREFIX: &str = "pst_";
/// Service tokens, all tenants: at 250 bytes each, and at most 64 applications of 8, 7.5 MB of the snapshot.
pub const SERVICE_TOKENS_MAX: usize = 10_000;
/// Applications of one token.
pub const SERVICE_TOKEN_APPS_MAX: usize = 64;
/// 32 bytes in base64 without padding.
const SECRET_CHARS: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TenantId;
    use proptest::prelude::*;

    fn token(tenant: u32, seq: u32, secret: [u8; 32]) -> PresentedToken {
        let id = ServiceTokenId::new(TenantId(tenant), seq);
        PresentedToken { id, secret: TokenSecret::new(Zeroizing::new(secret)) }
    }

    #[test]
    fn a_token_has_one_spelling() {
        let text = token(1, 4, [0xff; 32]).encode();
        assert_eq!(text.expose(), format!("pst_st1-4_{}8", "_".repeat(42)));
        assert!(PresentedToken::parse(text.expose().as_bytes()).is_some());
        let zeros = "A".repeat(42);
        for wrong in [
            "",
            "pst_",
            "pst__",
            "pst_st1-4",
            "pst_st1-4_",
            &format!("pst_st1-4_{zeros}"),
            &format!("pst_st1-4_{zeros}AA"),
            // The last character has two bits too many: they are zero or it is another spelling.
            &format!("pst_st1-4_{zeros}B"),
            &format!("pst_st1-4_{zeros}A="),
            &format!("pst_st1-4_{zeros}+"),
            &format!("pst_st1-4-{zeros}A"),
            &format!("pst_st1-04_{zeros}A"),
            &format!("pst_st01-4_{zeros}A"),
            &format!("pst_a1-4_{zeros}A"),
            &format!("PST_st1-4_{zeros}A"),
            &format!(" pst_st1-4_{zeros}A"),
            &format!("pst_st1-4_{zeros}A "),
            &format!("pst_st1-4_{zeros}A\n"),
            &format!("pst_st1-4__{zeros}A"),
        ] {
            assert!(PresentedToken::parse(wrong.as_bytes()).is_none(), "{wrong:?}");
        }
        assert!(PresentedToken::parse(format!("pst_st1-4_{zeros}A").as_bytes()).is_some());
    }

    #[test]
    fn nothing_shows_a_secret() {
        let presented = token(1, 4, *b"0123456789abcdef0123456789abcdef");
        let shown = format!("{presented:?} {:?}", presented.secret.key());
        assert_eq!(
            shown,
            "PresentedToken { id: ServiceTokenId { tenant: TenantId(1), seq: 4 }, secret: TokenSecret(…) } TokenKey(…)"
        );
    }

    #[test]
    fn the_wire_form_is_the_documented_one() {
        let token = ServiceToken {
            id: ServiceTokenId::new(TenantId(1), 4),
            name: "backup".parse().unwrap(),
            key: token(1, 4, [0; 32]).secret.key(),
            apps: BTreeSet::from([AppId::new(TenantId(1), 7)]),
            expires_unix: None,
            enabled: true,
            created_unix_ms: 5,
        };
        let json = serde_json::to_string(&token).unwrap();
        let key = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
        assert_eq!(
            json,
            format!(
                r#"{{"id":"st1-4","name":"backup","key":"{key}","apps":["a1-7"],"enabled":true,"created_unix_ms":5}}"#
            )
        );
        assert_eq!(serde_json::from_str::<ServiceToken>(&json).unwrap(), token);
        assert!(serde_json::from_str::<ServiceToken>(&json.replace(key, "66")).is_err());
    }

    proptest! {
        #[test]
        fn every_token_reads_back(tenant in 1u32.., seq in 1u32.., secret in any::<[u8; 32]>(), other in any::<[u8; 32]>()) {
            let made = token(tenant, seq, secret);
            let text = made.encode();
            let read = PresentedToken::parse(text.expose().as_bytes()).unwrap();
            prop_assert_eq!(read.id, made.id);
            prop_assert!(read.secret.key().is(&made.secret.key()));
            prop_assert_eq!(read.secret.key().is(&token(tenant, seq, other).secret.key()), secret == other);
        }

        /// Whatever one byte of a token becomes, it is no token or another one.
        #[test]
        fn no_other_text_is_the_same_token(secret in any::<[u8; 32]>(), at in 0usize..53, byte in any::<u8>()) {
            let made = token(1, 4, secret);
            let text = made.encode();
            let mut changed = text.expose().as_bytes().to_vec();
            let at = at % changed.len();
            prop_assume!(changed[at] != byte);
            changed[at] = byte;
            if let Some(read) = PresentedToken::parse(&changed) {
                prop_assert!(read.id != made.id || !read.secret.key().is(&made.secret.key()));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_have_one_spelling(
            start in prop::sample::select(vec!["", "pst_", "pst_st1-4_"]),
            rest in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let text = [start.as_bytes(), &rest].concat();
            if let Some(read) = PresentedToken::parse(&text) {
                let encoded = read.encode();
                prop_assert_eq!(encoded.expose().as_bytes(), &text[..]);
            }
        }
    }
}
