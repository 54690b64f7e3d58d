//! A provider's keys (RFC 7517), and whether a token is signed by one of them (RFC 7515, RFC 8725). A key's type decides what
//! algorithms are possible with it; a token's `kid` is compared with the set's, and is nothing else; keys that a token brings
//! along (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use crate::limits::{CANDIDATES_MAX, KEYS_MAX, TOKEN_BYTES_MAX};
use crate::settings::{ProviderSettings, SignatureAlgorithm};

/// The keys that tokens may be signed by.
pub(crate) struct KeySet(Vec<Key>);

struct Key {
    kid: Option<String>,
    possible: Vec<Algorithm>,
    key: DecodingKey,
}

/// A token whose signature is one of the provider's.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) algorithm: Algorithm,
    pub(crate) claims: Map<String, Value>,
}

/// A token that is not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsigned {
    /// No token at all.
    Malformed(String),
    /// By an algorithm that is not allowed.
    Algorithm(String),
    /// The set has no key of that id and type. It may have one by now.
    UnknownKey(String),
    /// A key fits, the signature does not. The provider may have put another key under the same id.
    Wrong,
}

impl KeySet {
    /// The usable ones. What is not understood is passed over: providers publish keys for others, too.
    pub(crate) fn parse(mut set: Map<String, Value>) -> Result<Self, String> {
        let Some(Value::Array(keys)) = set.remove("keys") else {
            return Err("it holds no array \"keys\"".into());
        };
        if keys.len() > KEYS_MAX {
            return Err(format!("{} keys: at most {KEYS_MAX}", keys.len()));
        }
        let usable: Vec<_> = keys.iter().filter_map(Key::parse).collect();
        if usable.is_empty() {
            return Err(format!("none of its {} keys can verify signatures here", keys.len()));
        }
        Ok(Self(usable))
    }

    /// Whether one of the keys signed the token by an algorithm that `settings` allow. `types` are those of the token's own
    /// kind, so that a token of another kind never passes for it (RFC 8725 §3.11).
    pub(crate) fn verify(&self, token: &str, settings: &ProviderSettings, types: &[&str]) -> Result<Signed, Unsigned> {
        let head = Head::parse(token)?;
        if let Some(kind) = &head.typ
            && !types.iter().any(|allowed| kind.eq_ignore_ascii_case(allowed))
        {
            return Err(Unsigned::Malformed(format!("its type is {kind:?}")));
        }
        let algorithm = match head.alg.parse::<Algorithm>() {
            Ok(algorithm) if settings.allows(algorithm) => algorithm,
            Ok(_) | Err(_) => return Err(Unsigned::Algorithm(head.alg)),
        };
        let fits = |key: &&Key| key.possible.contains(&algorithm) && (head.kid.is_none() || key.kid == head.kid);
        let mut candidates = self.0.iter().filter(fits).take(CANDIDATES_MAX).peekable();
        if candidates.peek().is_none() {
            return Err(Unsigned::UnknownKey(head.kid.unwrap_or_else(|| "none".into())));
        }
        for candidate in candidates {
            match jsonwebtoken::decode(token, &candidate.key, &signature_only(algorithm)) {
                Ok(data) => return Ok(Signed { algorithm, claims: data.claims }),
                Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {}
                Err(error) => return Err(Unsigned::Malformed(error.to_string())),
            }
        }
        Err(Unsigned::Wrong)
    }
}

/// Claims are ours to check, with the values to tell.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

/// What of a token's header is looked at.
struct Head {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

impl Head {
    fn parse(token: &str) -> Result<Self, Unsigned> {
        let malformed = |what: &str| Unsigned::Malformed(what.to_owned());
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed("it is too long"));
        }
        let parts: Vec<_> = token.splitn(4, '.').collect();
        let [head, _, _] = parts[..] else {
            return Err(malformed("it has not three parts"));
        };
        let head = URL_SAFE_NO_PAD.decode(head).map_err(|_| malformed("its header is no base64url"))?;
        let head: Map<String, Value> = serde_json::from_slice(&head).map_err(|_| malformed("its header is no JSON"))?;
        let text = |name: &str| match head.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(malformed(&format!("{name} in its header is no text"))),
        };
        let alg = text("alg")?.ok_or_else(|| malformed("its header has no alg"))?;
        Ok(Self { alg, kid: text("kid")?, typ: text("typ")? })
    }
}

impl Key {
    fn parse(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.get("use").is_some_and(|wanted| wanted != "sig") {
            return None;
        }
        let verifies =
            |operations: &Value| operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"));
        if jwk.get("key_ops").is_some_and(|operations| !verifies(operations)) {
            return None;
        }
        let (key, mut possible) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (DecodingKey::from_rsa_components(text("n")?, text("e")?), RSA),
            ("EC", Some("P-256")) => (DecodingKey::from_ec_components(text("x")?, text("y")?), &[Algorithm::ES256][..]),
            ("EC", Some("P-384")) => (DecodingKey::from_ec_components(text("x")?, text("y")?), &[Algorithm::ES384][..]),
            ("OKP", Some("Ed25519")) => (DecodingKey::from_ed_components(text("x")?), &[Algorithm::EdDSA][..]),
            _ => return None, // Shared secrets (`oct`) among them: they verify nothing here.
        };
        let only: Algorithm;
        if let Some(alg) = jwk.get("alg") {
            only = alg.as_str()?.parse().ok()?;
            possible = possible.contains(&only).then_some(std::slice::from_ref(&only))?;
        }
        Some(Self { kid: text("kid").map(str::to_owned), possible: possible.to_vec(), key: key.ok()? })
    }
}

const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

impl SignatureAlgorithm {
    pub(crate) const fn as_jose(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::RS256,
            Self::RS384 => Algorithm::RS384,
            Self::RS512 => Algorithm::RS512,
            Self::PS256 => Algorithm::PS256,
            Self::PS384 => Algorithm::PS384,
            Self::PS512 => Algorithm::PS512,
            Self::ES256 => Algorithm::ES256,
            Self::ES384 => Algorithm::ES384,
            Self::EdDSA => Algorithm::EdDSA,
        }
    }
}

#[cfg(test)]
#[path = "keys/tests.rs"]
mod tests;
