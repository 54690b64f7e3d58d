//! One-time passwords of an app (RFC 6238): SHA-1, six digits, thirty seconds, as every such app has it.

use aws_lc_rs::{constant_time, hmac, rand};
use data_encoding::BASE32_NOPAD;
use postern_model::secret::SecretText;
use zeroize::Zeroizing;

use crate::store::factors::{StoredTotp, TotpSecret};

impl TotpSecret {
    /// 160 random bits: as long as the hash is.
    pub(crate) fn make() -> Option<Self> {
        let mut secret = Zeroizing::new(vec![0; SECRET_BYTES]);
        rand::fill(&mut secret).ok()?;
        Some(Self(secret))
    }

    /// As people type it.
    pub(crate) fn base32(&self) -> SecretText {
        SecretText::new(BASE32_NOPAD.encode(&self.0))
    }

    /// What a QR code says: the key URI that apps know.
    pub(crate) fn uri(&self, issuer: &str, login: &str) -> SecretText {
        let part = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let (issuer, login) = (part(issuer), part(login));
        let secret = self.base32();
        let secret = secret.expose();
        SecretText::new(format!(
            "otpauth://totp/{issuer}:{login}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
        ))
    }

    /// RFC 4226 §5.3.
    pub(super) fn code(&self, step: u64) -> Zeroizing<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag.last().copied().unwrap_or_default() & 0xf);
        let part = tag.get(at..at + 4).and_then(|part| part.first_chunk()).copied().unwrap_or_default();
        Zeroizing::new(format!("{:06}", (u32::from_be_bytes(part) & 0x7fff_ffff) % 1_000_000))
    }

    /// The step that a code is of: now, the one before, or the one after, and later than `used`. All are compared, whichever
    /// fits.
    pub(crate) fn step_of(&self, code: &str, used: u64, now_unix: u64) -> Option<u64> {
        let now = now_unix / STEP_S;
        let mut found = None;
        for step in now.saturating_sub(1)..=now + 1 {
            let is_it = constant_time::verify_slices_are_equal(self.code(step).as_bytes(), code.as_bytes()).is_ok();
            if is_it && step > used {
                found = Some(step);
            }
        }
        found
    }
}

impl StoredTotp {
    /// The step that a code is of, if it was not used.
    pub(crate) fn step_of(&self, code: &str, now_unix: u64) -> Option<u64> {
        self.secret.step_of(code, self.step, now_unix)
    }
}

/// What was typed, without the spaces that apps show.
pub(super) fn typed(code: &SecretText) -> Zeroizing<String> {
    Zeroizing::new(code.expose().chars().filter(|letter| !letter.is_whitespace()).collect())
}

const SECRET_BYTES: usize = 20;
const STEP_S: u64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TotpSecret {
        TotpSecret(Zeroizing::new(b"12345678901234567890".to_vec()))
    }

    /// RFC 6238, appendix B: the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        for (at, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret().code(at / STEP_S).as_str(), code);
            assert_eq!(secret().step_of(code, 0, at), Some(at / STEP_S));
        }
    }

    #[test]
    fn a_clock_may_be_one_step_off_and_no_more() {
        let at = |step: u64| step * STEP_S + 7;
        let code = secret().code(1000);
        for (now, found) in [(998, None), (999, Some(1000)), (1000, Some(1000)), (1001, Some(1000)), (1002, None)] {
            assert_eq!(secret().step_of(&code, 0, at(now)), found, "{now}");
        }
    }

    #[test]
    fn a_code_that_was_used_is_none() {
        let (code, now) = (secret().code(1000), 1000 * STEP_S);
        assert_eq!(secret().step_of(&code, 999, now), Some(1000));
        assert_eq!(secret().step_of(&code, 1000, now), None);
        assert_eq!(secret().step_of(&code, 1001, now), None, "nor one before the last");
    }

    #[test]
    fn what_is_no_code_is_none() {
        let now = 1000 * STEP_S;
        let code = secret().code(1000);
        for wrong in ["", "0", "000000", &code[1..], &format!("{}0", *code), &format!(" {}", *code)] {
            assert_eq!(secret().step_of(wrong, 0, now), None, "{wrong:?}");
        }
        assert_eq!(typed(&SecretText::new(format!(" {} {}\n", &code[..3], &code[3..]))), code);
    }

    #[test]
    fn apps_are_told_all_they_need() {
        let uri = secret().uri("login.example.com", "anna@example.com");
        assert_eq!(
            uri.expose(),
            "otpauth://totp/login.example.com:anna%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=login.example.com&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{:?}", secret()), "TotpSecret(…)");
        assert_ne!(TotpSecret::make(), TotpSecret::make());
    }
}
