//! What a credential is once it is open: a user name and a password.

use std::fmt;

use zeroize::Zeroizing;

use crate::secret::SecretText;

/// A user name and its password, checked: neither has a control character, so neither can end a line of HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    user: SecretText,
    password: SecretText,
}

/// Why a user name and password cannot be a [`Login`]. Never says what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginInvalid {
    /// The user name's length.
    #[error("the user name must have 1 to {USER_BYTES_MAX} bytes")]
    UserLength,
    /// The password's length.
    #[error("the password must have 1 to {PASSWORD_BYTES_MAX} bytes")]
    PasswordLength,
    /// A control character.
    #[error("user name and password must not hold control characters such as the end of a line")]
    Control,
    /// What RFC 7617 §2 forbids.
    #[error("with sso=basic the user name must not hold a colon: it ends there")]
    Colon,
    /// It was not made by this.
    #[error("it is damaged")]
    Damaged,
}

impl Login {
    /// Checks both.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(user: SecretText, password: SecretText) -> Result<Self, LoginInvalid> {
        if !(1..=USER_BYTES_MAX).contains(&user.expose().len()) {
            return Err(LoginInvalid::UserLength);
        }
        if !(1..=PASSWORD_BYTES_MAX).contains(&password.expose().len()) {
            return Err(LoginInvalid::PasswordLength);
        }
        if [&user, &password].iter().any(|text| text.expose().contains(char::is_control)) {
            return Err(LoginInvalid::Control);
        }
        Ok(Self { user, password })
    }

    /// The user name.
    #[must_use]
    pub fn user(&self) -> &str {
        self.user.expose()
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> &str {
        self.password.expose()
    }

    /// Whether HTTP Basic can carry it (RFC 7617 §2).
    ///
    /// # Errors
    /// It cannot.
    pub fn check_basic(&self) -> Result<(), LoginInvalid> {
        if self.user().contains(':') { Err(LoginInvalid::Colon) } else { Ok(()) }
    }

    /// Both with their lengths, filled up so that the length of a password shows only roughly.
    pub(super) fn pack(&self) -> Zeroizing<Vec<u8>> {
        // Room for all at once: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(4 + USER_BYTES_MAX + PASSWORD_BYTES_MAX + PADDED_TO));
        for text in [self.user(), self.password()] {
            let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
            bytes.extend(length.to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        let padded = bytes.len().next_multiple_of(PADDED_TO);
        bytes.resize(padded, 0);
        bytes
    }

    pub(super) fn unpack(bytes: &[u8]) -> Result<Self, LoginInvalid> {
        let (user, rest) = text(bytes)?;
        let (password, padding) = text(rest)?;
        if padding.len() >= PADDED_TO || padding.iter().any(|byte| *byte != 0) {
            return Err(LoginInvalid::Damaged);
        }
        Self::new(user, password)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

fn text(bytes: &[u8]) -> Result<(SecretText, &[u8]), LoginInvalid> {
    let (length, rest) = bytes.split_first_chunk().ok_or(LoginInvalid::Damaged)?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(LoginInvalid::Damaged)?;
    let text = std::str::from_utf8(text).map_err(|_| LoginInvalid::Damaged)?;
    Ok((SecretText::new(text.to_owned()), rest))
}

/// A user name.
pub const USER_BYTES_MAX: usize = 256;
/// A password.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
const PADDED_TO: usize = 128;
