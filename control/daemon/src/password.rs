//! Passwords: what is accepted as one, and the hash that is kept of it. A password is seen by nothing but this module, its
//! hash by nothing but the store.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use postern_model::admin::Problem;
use postern_model::secret::SecretText;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::limits::{HASHES_AT_ONCE, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, VERIFICATIONS_WAITING_MAX};
use crate::problem::problem;

/// A password's argon2id hash as a PHC string (`$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`). Zeroised when dropped, absent
/// from `Debug`, and without a serial form: it goes into the store and nowhere else.
pub(crate) struct PasswordHash(Zeroizing<String>);

/// Hashes passwords beside control's own thread, few at once: each takes tens of milliseconds and 19 MiB.
pub(crate) struct Hasher {
    permits: Arc<Semaphore>,
    waiting: Rc<Cell<usize>>,
}

/// One that waits for its turn to be verified.
struct Waiting(Rc<Cell<usize>>);

impl Waiting {
    fn take(waiting: &Rc<Cell<usize>>) -> Option<Self> {
        if waiting.get() >= VERIFICATIONS_WAITING_MAX {
            return None;
        }
        waiting.set(waiting.get() + 1);
        Some(Self(Rc::clone(waiting)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl PasswordHash {
    /// As it comes from the store.
    pub(crate) fn stored(phc: String) -> Self {
        Self(Zeroizing::new(phc))
    }

    /// The PHC string, for the store.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(HASHES_AT_ONCE)), waiting: Rc::default() }
    }

    /// The hash of an acceptable password. Others that ask wait: as many as there are admin connections.
    pub(crate) async fn hash(&self, password: SecretText, login: &str) -> Result<PasswordHash, Problem> {
        check(password.expose(), login)?;
        let failed = |error: String| problem("internal", format!("the password was not hashed: {error}"));
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|error| failed(error.to_string()))?;
        let hashing = tokio::task::spawn_blocking(move || {
            let hash = hashed(password.expose());
            // Here and not where it is waited for: who asked may be gone by now.
            drop(permit);
            hash
        });
        let hashed = hashing.await;
        hashed.map_err(|error| failed(error.to_string()))?.map_err(failed)
    }

    /// Whether a password is right. Without a hash it takes as long and is wrong: nobody learns who exists. `None`: too many
    /// wait already, or the hash is damaged.
    pub(crate) async fn verify(&self, password: SecretText, hash: Option<PasswordHash>) -> Option<bool> {
        if password.expose().len() > PASSWORD_BYTES_MAX {
            return Some(false); // none was ever accepted
        }
        let _waiting = Waiting::take(&self.waiting)?;
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let verifying = tokio::task::spawn_blocking(move || {
            let is_right = match &hash {
                Some(hash) => is_hashed(password.expose(), hash),
                None => hash_with(password.expose(), &[0; SALT_BYTES]).ok().map(|_| false),
            };
            drop(permit);
            is_right
        });
        verifying.await.ok()?
    }
}

/// Whether the password is the one that was hashed. Reads what this module writes, and nothing else.
fn is_hashed(password: &str, hash: &PasswordHash) -> Option<bool> {
    let mut parts = hash.expose().strip_prefix("$argon2id$v=19$")?.split('$');
    let mut numbers = parts.next()?.split(',');
    let mut number = |name: &str| numbers.next()?.strip_prefix(name)?.parse().ok();
    let (memory, passes, lanes) = (number("m=")?, number("t=")?, number("p=")?);
    let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let kept = Zeroizing::new(STANDARD_NO_PAD.decode(parts.next()?).ok()?);
    let params = Params::new(memory, passes, lanes, Some(kept.len())).ok()?;
    let mut made = Zeroizing::new(vec![0; kept.len()]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password.as_bytes(), &salt, &mut made).ok()?;
    Some(constant_time::verify_slices_are_equal(&made, &kept).is_ok())
}

/// What NIST SP 800-63B §3.1.1.2 asks for and no more: long enough, and none that is tried first. Kinds of characters are not
/// asked for.
fn check(password: &str, login: &str) -> Result<(), Problem> {
    let refused = |what: String| Err(problem("password-refused", what).about("password"));
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return refused(format!("a password has at least {PASSWORD_CHARS_MIN} characters"));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return refused(format!("a password has at most {PASSWORD_BYTES_MAX} bytes"));
    }
    let lower = Zeroizing::new(password.to_lowercase());
    if *lower == login {
        return refused("a password is not the login name".into());
    }
    if COMMON.lines().any(|common| common == *lower) {
        return refused("this password is one of those that are tried first".into());
    }
    Ok(())
}

fn hashed(password: &str) -> Result<PasswordHash, String> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| String::from("there is no randomness"))?;
    hash_with(password, &salt)
}

fn hash_with(password: &str, salt: &[u8]) -> Result<PasswordHash, String> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).map_err(|error| error.to_string())?;
    let mut hash = Zeroizing::new([0; HASH_BYTES]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password.as_bytes(), salt, &mut *hash).map_err(|error| error.to_string())?;
    let encode = |bytes: &[u8]| Zeroizing::new(STANDARD_NO_PAD.encode(bytes));
    let (salt, hash) = (encode(salt), encode(&*hash));
    let phc = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${}", *salt, *hash);
    Ok(PasswordHash(Zeroizing::new(phc)))
}

/// 19 MiB, two passes, one lane: the first choice of OWASP's Password Storage Cheat Sheet for argon2id.
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// RFC 9106 §3.1: 16 bytes are enough for everyone.
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// One a line, lower case, of the least length that is accepted.
const COMMON: &str = include_str!("password/common.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_a_phc_string_that_says_how_it_was_made() {
        let hash = hash_with("correct horse", b"0123456789abcdef").unwrap();
        let parts: Vec<&str> = hash.expose().split('$').collect();
        assert_eq!(parts[..4], ["", "argon2id", "v=19", "m=19456,t=2,p=1"]);
        assert_eq!(STANDARD_NO_PAD.decode(parts[4]).unwrap(), b"0123456789abcdef");
        assert_eq!(STANDARD_NO_PAD.decode(parts[5]).unwrap().len(), HASH_BYTES);
        assert_eq!(hash_with("correct horse", b"0123456789abcdef").unwrap().expose(), hash.expose());
        assert_ne!(hash_with("correct horsf", b"0123456789abcdef").unwrap().expose(), hash.expose());
        assert_eq!(format!("{hash:?}"), "PasswordHash(…)");
    }

    #[test]
    fn salts_are_random() {
        assert_ne!(hashed("correct horse").unwrap().expose(), hashed("correct horse").unwrap().expose());
    }

    #[test]
    fn length_and_the_usual_suspects_decide() {
        for right in ["correct horse", "aaaaaaaab", "пароль-пароль", &"x".repeat(PASSWORD_BYTES_MAX)] {
            assert!(check(right, "anna").is_ok(), "{right}");
        }
        for (wrong, says) in [
            ("seven77", "at least 8 characters"),
            ("пароль7", "at least 8 characters"),
            (&*"x".repeat(PASSWORD_BYTES_MAX + 1), "at most 1024 bytes"),
            ("Password", "tried first"),
            ("QWERTYUIOP", "tried first"),
            ("Anna.Berg", "not the login name"),
        ] {
            let refused = check(wrong, "anna.berg").unwrap_err();
            assert_eq!(refused.code, "password-refused");
            assert!(refused.detail.contains(says) && !refused.detail.contains(wrong), "{wrong}: {}", refused.detail);
        }
    }

    #[test]
    fn the_list_is_of_use() {
        assert_eq!(COMMON.lines().count(), 100);
        for common in COMMON.lines() {
            let reachable = common.chars().count() >= PASSWORD_CHARS_MIN && common.to_lowercase() == common;
            assert!(reachable, "{common:?} is refused anyway, or never met");
        }
        let unique: std::collections::BTreeSet<&str> = COMMON.lines().collect();
        assert_eq!(unique.len(), 100);
    }

    #[tokio::test]
    async fn hashing_leaves_the_thread_to_others() {
        let hasher = Hasher::new();
        let password = || SecretText::new("correct horse".into());
        let hashes = async { tokio::join!(hasher.hash(password(), "anna"), hasher.hash(password(), "anna")) };
        let mut hashes = std::pin::pin!(hashes);
        let mut turns = 0;
        let (first, second) = loop {
            tokio::select! {
                biased;
                hashes = &mut hashes => break hashes,
                () = tokio::time::sleep(std::time::Duration::from_millis(1)) => turns += 1,
            }
        };
        assert!(turns > 2, "{turns} turns: the thread was held up");
        assert_ne!(first.unwrap().expose(), second.unwrap().expose());
    }
}
