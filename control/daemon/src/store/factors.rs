//! What users prove besides a password, in the store. What is good once is used up here, in the transaction of the sign-in:
//! it stays so across restarts, and of two that come at once one fails as a whole.

use std::fmt;

use postern_model::directory::Line;
use postern_model::identity::FACTOR_NAME_BYTES_MAX;
use postern_model::ids::UserId;
use zeroize::Zeroizing;

use super::StoreError;

/// What can be asked about second factors.
pub(crate) trait Factors {
    /// All that a user has.
    fn factors(&mut self, user: UserId) -> Result<StoredFactors, StoreError>;

    /// Whose credential it is, and its key.
    fn key(&mut self, credential: &[u8]) -> Result<Option<(UserId, StoredKey)>, StoreError>;

    /// Whether a user has this recovery code.
    fn has_recovery(&mut self, user: UserId, hash: &[u8; 32]) -> Result<bool, StoreError>;
}

/// What one user has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredFactors {
    pub(crate) totp: Option<StoredTotp>,
    /// In the order in which they were made.
    pub(crate) keys: Vec<StoredKey>,
    /// Recovery codes that were not used.
    pub(crate) recovery: u32,
}

/// A secret for one-time passwords. Absent from `Debug`, without a serial form.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TotpSecret(pub(crate) Zeroizing<Vec<u8>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTotp {
    pub(crate) secret: TotpSecret,
    /// The last step (RFC 6238) whose code was used: it and all before are good no more.
    pub(crate) step: u64,
    pub(crate) created_unix: u64,
}

/// A key that only a device has (WebAuthn).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredKey {
    pub(crate) credential: Vec<u8>,
    /// As the device gave it: COSE (RFC 9052).
    pub(crate) public_key: Vec<u8>,
    pub(crate) counter: u32,
    pub(crate) name: Line<FACTOR_NAME_BYTES_MAX>,
    pub(crate) created_unix: u64,
    pub(crate) used_unix: u64,
}

/// A change to second factors. One that uses up what was used up already, or is not there, fails the commit.
#[derive(Debug)]
pub(crate) enum FactorChange {
    TotpPut(UserId, StoredTotp),
    TotpUsed(UserId, u64),
    TotpRemoved(UserId),
    KeyPut(UserId, Box<StoredKey>),
    /// Credential, counter, when.
    KeyUsed(Vec<u8>, u32, u64),
    KeyRemoved(UserId, Vec<u8>),
    /// In place of those that there were.
    RecoveryPut(UserId, Vec<[u8; 32]>),
    RecoveryUsed(UserId, [u8; 32]),
}

impl StoredFactors {
    /// Whether there is one that can be asked for. Recovery codes stand in for one; alone they are none.
    pub(crate) fn any(&self) -> bool {
        self.totp.is_some() || !self.keys.is_empty()
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}
