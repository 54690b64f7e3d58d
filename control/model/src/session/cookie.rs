//! Cookies that relays seal: a session's id, times and flags, bound to one application. Nobody but the relays and control has
//! the keys; what was not sealed for an application opens nowhere else, and a changed bit opens nothing.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::{AppId, SessionId};
use crate::secret::SecretText;

/// A key for cookies, made by control and given to every relay. The newest seals; older ones open what they sealed until it is
/// too old anyway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CookieKey {
    /// Which one: a cookie names it.
    pub id: u32,
    /// 32 bytes, 64 hex digits.
    pub secret: SecretText,
    /// When it was made.
    pub created_unix: u64,
}

/// What a session's cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCookie {
    /// Which session; what it may is in its record.
    pub session: SessionId,
    /// When the application let it in first.
    pub issued_unix: u64,
    /// When it was used last, to the minute: the cookie is renewed as it is used.
    pub seen_unix: u64,
    /// Whether it outlasts the browser.
    pub persistent: bool,
}

/// What a browser that was sent away to sign in comes back with. It binds the answer to this browser.
#[derive(Debug, PartialEq, Eq)]
pub struct FlowCookie {
    /// What the answer must repeat.
    pub state: [u8; FLOW_STATE_BYTES],
    /// Proof key (RFC 7636): its hash went with the browser.
    pub verifier: Zeroizing<[u8; FLOW_VERIFIER_BYTES]>,
    /// When the browser was sent away.
    pub started_unix: u64,
    /// Path and query to go on with, within the application.
    pub target: String,
}

/// Seals and opens cookies. By default without a key: nothing opens.
#[derive(Default)]
pub struct CookieSealer {
    /// Newest first.
    keys: Vec<(u32, LessSafeKey)>,
}

/// A key that is none, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cookie key cannot be used: it is not 32 bytes in hex, or its number is taken")]
pub struct CookieKeyInvalid;

/// There is no key yet, or no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no cookie can be sealed: there is no key, or no randomness")]
pub struct NotSealed;

/// What a cookie is for. Part of what is authenticated, so that one kind is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Session,
    Flow,
}

impl CookieKey {
    /// A new one. Fails only without randomness.
    ///
    /// # Errors
    /// When there is none.
    pub fn make(id: u32, now_unix: u64) -> Result<Self, NotSealed> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(&mut *bytes).map_err(|_| NotSealed)?;
        Ok(Self { id, secret: SecretText::new(hex::encode(*bytes)), created_unix: now_unix })
    }
}

impl CookieSealer {
    /// Takes the keys into use.
    ///
    /// # Errors
    /// When one of them is no key.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a CookieKey>) -> Result<Self, CookieKeyInvalid> {
        let mut all: Vec<(u64, u32, LessSafeKey)> = Vec::new();
        for key in keys {
            let mut bytes = Zeroizing::new([0; KEY_BYTES]);
            hex::decode_to_slice(key.secret.expose(), &mut *bytes).map_err(|_| CookieKeyInvalid)?;
            if all.iter().any(|(_, id, _)| *id == key.id) {
                return Err(CookieKeyInvalid);
            }
            let unbound = UnboundKey::new(&AES_256_GCM, &*bytes).map_err(|_| CookieKeyInvalid)?;
            all.push((key.created_unix, key.id, LessSafeKey::new(unbound)));
        }
        all.sort_by_key(|(created, id, _)| std::cmp::Reverse((*created, *id)));
        Ok(Self { keys: all.into_iter().map(|(_, id, key)| (id, key)).collect() })
    }

    /// Seals a session for one application; text for a cookie's value.
    ///
    /// # Errors
    /// Without a key or randomness.
    pub fn seal_session(&self, cookie: &SessionCookie, app: AppId) -> Result<String, NotSealed> {
        let mut plain = [0; SESSION_BYTES];
        plain[..16].copy_from_slice(&cookie.session.0.to_be_bytes());
        plain[16..24].copy_from_slice(&cookie.issued_unix.to_be_bytes());
        plain[24..32].copy_from_slice(&cookie.seen_unix.to_be_bytes());
        plain[32] = u8::from(cookie.persistent);
        self.seal(Kind::Session, app, &plain)
    }

    /// Opens a session's cookie; `None` for whatever was not sealed as one for this application.
    #[must_use]
    pub fn open_session(&self, text: &[u8], app: AppId) -> Option<SessionCookie> {
        if text.len() != SESSION_CHARS {
            return None;
        }
        let plain = self.open(Kind::Session, app, text)?;
        let plain: &[u8; SESSION_BYTES] = plain.as_slice().try_into().ok()?;
        let (session, rest) = plain.split_first_chunk::<16>()?;
        let (issued, rest) = rest.split_first_chunk::<8>()?;
        let (seen, flags) = rest.split_first_chunk::<8>()?;
        Some(SessionCookie {
            session: SessionId(u128::from_be_bytes(*session)),
            issued_unix: u64::from_be_bytes(*issued),
            seen_unix: u64::from_be_bytes(*seen),
            persistent: flags == [1],
        })
    }

    /// Seals what a browser is sent away with.
    ///
    /// # Errors
    /// Without a key or randomness.
    pub fn seal_flow(&self, cookie: &FlowCookie, app: AppId) -> Result<String, NotSealed> {
        let mut plain = Zeroizing::new(Vec::with_capacity(FLOW_BYTES_MIN + cookie.target.len()));
        plain.extend_from_slice(&cookie.state);
        plain.extend_from_slice(&*cookie.verifier);
        plain.extend_from_slice(&cookie.started_unix.to_be_bytes());
        plain.extend_from_slice(cookie.target.as_bytes());
        self.seal(Kind::Flow, app, &plain)
    }

    /// Opens what a browser came back with.
    #[must_use]
    pub fn open_flow(&self, text: &[u8], app: AppId) -> Option<FlowCookie> {
        if text.len() > FLOW_CHARS_MAX {
            return None;
        }
        let plain = self.open(Kind::Flow, app, text)?;
        let (state, rest) = plain.split_first_chunk()?;
        let (verifier, rest) = rest.split_first_chunk()?;
        let (started, target) = rest.split_first_chunk::<8>()?;
        Some(FlowCookie {
            state: *state,
            verifier: Zeroizing::new(*verifier),
            started_unix: u64::from_be_bytes(*started),
            target: std::str::from_utf8(target).ok()?.to_owned(),
        })
    }

    /// A random nonce: with a key that is replaced every week, 2³² cookies are far away (NIST SP 800-38D §8.3).
    fn seal(&self, kind: Kind, app: AppId, plain: &[u8]) -> Result<String, NotSealed> {
        let (id, key) = self.keys.first().ok_or(NotSealed)?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| NotSealed)?;
        let mut sealed = Vec::with_capacity(OVERHEAD_BYTES + plain.len());
        sealed.extend_from_slice(&id.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(authenticated(kind, app, *id));
        let tag = key.seal_in_place_separate_tag(nonce, aad, &mut sealed[PREFIX_BYTES..]).map_err(|_| NotSealed)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    fn open(&self, kind: Kind, app: AppId, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut sealed = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (id, rest) = sealed.split_first_chunk::<4>()?;
        let (nonce, _) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (id, nonce) = (u32::from_be_bytes(*id), Nonce::assume_unique_for_key(*nonce));
        let (_, key) = self.keys.iter().find(|(known, _)| *known == id)?;
        let aad = Aad::from(authenticated(kind, app, id));
        let length = key.open_in_place(nonce, aad, &mut sealed[PREFIX_BYTES..]).ok()?.len();
        sealed.truncate(PREFIX_BYTES + length);
        sealed.drain(..PREFIX_BYTES);
        Some(sealed)
    }
}

/// What a cookie is bound to beside its content: kind, application, key.
fn authenticated(kind: Kind, app: AppId, key: u32) -> [u8; AUTHENTICATED_BYTES] {
    let mut bytes = [0; AUTHENTICATED_BYTES];
    bytes[..17].copy_from_slice(b"postern-cookie/1\n");
    bytes[17] = match kind {
        Kind::Session => b's',
        Kind::Flow => b'f',
    };
    bytes[18..22].copy_from_slice(&app.tenant.0.to_be_bytes());
    bytes[22..26].copy_from_slice(&app.seq.to_be_bytes());
    bytes[26..].copy_from_slice(&key.to_be_bytes());
    bytes
}

impl fmt::Debug for CookieSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u32> = self.keys.iter().map(|(id, _)| *id).collect();
        f.debug_struct("CookieSealer").field("keys", &ids).finish()
    }
}

/// Bytes of [`FlowCookie::state`].
pub const FLOW_STATE_BYTES: usize = 16;
/// Bytes of [`FlowCookie::verifier`]: 43 characters of base64url, the least that RFC 7636 §4.1 allows.
pub const FLOW_VERIFIER_BYTES: usize = 32;
/// A browser that takes longer to come back begins anew.
pub const FLOW_S_MAX: u64 = 15 * 60;
/// Longest path and query that a flow remembers; of longer ones the application's beginning is opened.
pub const FLOW_TARGET_BYTES_MAX: usize = 2_048;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Key number and nonce.
const PREFIX_BYTES: usize = 4 + NONCE_LEN;
const OVERHEAD_BYTES: usize = PREFIX_BYTES + TAG_BYTES;
const SESSION_BYTES: usize = 33;
const SESSION_CHARS: usize = ((OVERHEAD_BYTES + SESSION_BYTES) * 4).div_ceil(3);
const FLOW_BYTES_MIN: usize = FLOW_STATE_BYTES + FLOW_VERIFIER_BYTES + 8;
const FLOW_CHARS_MAX: usize = ((OVERHEAD_BYTES + FLOW_BYTES_MIN + FLOW_TARGET_BYTES_MAX) * 4).div_ceil(3);
const AUTHENTICATED_BYTES: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TenantId;
    use proptest::prelude::*;

    const APP: AppId = AppId::new(TenantId::DEFAULT, 7);
    const COOKIE: SessionCookie =
        SessionCookie { session: SessionId(0x1234), issued_unix: 1_000, seen_unix: 2_000, persistent: true };

    fn sealer(ids: &[u32]) -> (Vec<CookieKey>, CookieSealer) {
        let keys: Vec<CookieKey> = ids.iter().map(|id| CookieKey::make(*id, u64::from(*id)).unwrap()).collect();
        let sealer = CookieSealer::new(&keys).unwrap();
        (keys, sealer)
    }

    fn flow(target: &str) -> FlowCookie {
        FlowCookie { state: [1; 16], verifier: Zeroizing::new([2; 32]), started_unix: 5, target: target.into() }
    }

    #[test]
    fn a_cookie_opens_for_its_application_and_kind_only() {
        let (_, sealer) = sealer(&[1]);
        let text = sealer.seal_session(&COOKIE, APP).unwrap();
        assert_eq!(text.len(), SESSION_CHARS);
        assert_eq!(sealer.open_session(text.as_bytes(), APP), Some(COOKIE));
        for other in [AppId::new(TenantId::DEFAULT, 8), AppId::new(TenantId(2), 7)] {
            assert_eq!(sealer.open_session(text.as_bytes(), other), None, "{other}");
        }
        assert_eq!(sealer.open_flow(text.as_bytes(), APP), None);
        let text = sealer.seal_flow(&flow("/a?b"), APP).unwrap();
        assert_eq!(sealer.open_flow(text.as_bytes(), APP), Some(flow("/a?b")));
        assert_eq!(sealer.open_session(text.as_bytes(), APP), None);
        // A flow that is as long as a session is still none.
        let text = sealer.seal(Kind::Flow, APP, &[0; SESSION_BYTES]).unwrap();
        assert_eq!(sealer.open_session(text.as_bytes(), APP), None);
    }

    #[test]
    fn keys_rotate_without_signing_anyone_out() {
        let (mut keys, old) = sealer(&[1]);
        let text = old.seal_session(&COOKIE, APP).unwrap();
        keys.push(CookieKey::make(2, 2).unwrap());
        let both = CookieSealer::new(&keys).unwrap();
        assert_eq!(both.open_session(text.as_bytes(), APP), Some(COOKIE));
        let renewed = both.seal_session(&COOKIE, APP).unwrap();
        assert_eq!(old.open_session(renewed.as_bytes(), APP), None, "the newest key seals");
        let new = CookieSealer::new(&keys[1..]).unwrap();
        assert_eq!(new.open_session(text.as_bytes(), APP), None);
        assert_eq!(new.open_session(renewed.as_bytes(), APP), Some(COOKIE));
        // The same number with other bytes opens nothing.
        let (_, stranger) = sealer(&[1]);
        assert_eq!(stranger.open_session(text.as_bytes(), APP), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(CookieSealer::default().seal_session(&COOKIE, APP), Err(NotSealed));
        let key = CookieKey::make(1, 1).unwrap();
        assert!(CookieSealer::new([&key, &key]).is_err());
        assert!(CookieSealer::new([&CookieKey { secret: SecretText::new("00".into()), ..key }]).is_err());
    }

    #[test]
    fn no_changed_byte_opens() {
        let (_, sealer) = sealer(&[1]);
        let text = sealer.seal_session(&COOKIE, APP).unwrap();
        for at in 0..text.len() {
            for byte in [b'A', b'_', b'=', b'+', 0] {
                let mut changed = text.clone().into_bytes();
                if std::mem::replace(&mut changed[at], byte) != byte {
                    assert_eq!(sealer.open_session(&changed, APP), None, "{at} {byte}");
                }
            }
            assert_eq!(sealer.open_session(&text.as_bytes()[..at], APP), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (_, sealer) = sealer(&[1]);
            prop_assert_eq!(sealer.open_session(&bytes, APP), None);
            prop_assert!(sealer.open_flow(&bytes, APP).is_none());
        }

        #[test]
        fn every_flow_reads_back(target in "\\PC{0,300}", started in any::<u64>()) {
            let (_, sealer) = sealer(&[3]);
            let cookie = FlowCookie { started_unix: started, ..flow(&target) };
            let text = sealer.seal_flow(&cookie, APP).unwrap();
            prop_assert_eq!(sealer.open_flow(text.as_bytes(), APP), Some(cookie));
        }
    }
}
