//! The token that an identity provider shows: it names its tenant and proves that its holder was given it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::ids::TenantId;
use crate::secret::SecretText;
use crate::service_token::TokenSecret;

/// What a token's text says.
#[derive(Debug)]
pub struct PresentedScimToken {
    /// Whose directory it is for.
    pub tenant: TenantId,
    /// Proves that the holder was given it.
    pub secret: TokenSecret,
}

impl PresentedScimToken {
    /// A new token's text, `psc_t1_` and 43 characters of base64url, and what it says.
    #[must_use]
    pub fn new(tenant: TenantId, bytes: Zeroizing<[u8; 32]>) -> (SecretText, Self) {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        let text = SecretText::new(format!("{PREFIX}{tenant}_{}", *secret));
        (text, Self { tenant, secret: TokenSecret::new(bytes) })
    }

    /// Reads a token's text. It has one spelling: what is not exactly that is no token.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        // The alphabet of secrets has '_', too; that of ids has not.
        let (tenant, secret) = rest.split_once('_')?;
        let mut bytes = Zeroizing::new([0; 32]);
        if secret.len() != SECRET_CHARS {
            return None;
        }
        let length = URL_SAFE_NO_PAD.decode_slice(secret, &mut *bytes).ok()?;
        (length == bytes.len()).then_some(Self { tenant: tenant.parse().ok()?, secret: TokenSecret::new(bytes) })
    }
}

/// Scanners for leaked secrets find it by its beginning.
const PREFIX: &str = "psc_";
const SECRET_CHARS: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_reads_back_and_has_one_spelling() {
        let (text, made) = PresentedScimToken::new(TenantId(7), Zeroizing::new([0xfb; 32]));
        let text = text.expose();
        let read = PresentedScimToken::parse(text).unwrap();
        assert!(read.tenant == TenantId(7) && read.secret.key().is(&made.secret.key()));
        assert!(!format!("{made:?}").contains(text.splitn(3, '_').nth(2).unwrap()));
        for wrong in [
            format!("{text} "),
            format!("{text}="),
            text.to_uppercase(),
            text.replace("psc_", "pst_"),
            text.replace("t7", "t07"),
            text[..text.len() - 1].to_owned(),
        ] {
            assert!(PresentedScimToken::parse(&wrong).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "(psc_)?(t1_)?\\PC{0,50}") {
            let _ = PresentedScimToken::parse(&text);
        }
    }
}
