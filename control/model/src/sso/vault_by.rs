//! The setting that says who enters the passwords of the vault.

use crate::settings::SettingInvalid;

/// Who enters the passwords that an application's users are signed on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VaultBy {
    /// Operators alone.
    #[default]
    Operators,
    /// Each user their own, in the portal; operators may all the same.
    Users,
}

impl VaultBy {
    pub(super) fn read(value: &str) -> Result<Self, SettingInvalid> {
        match value {
            "operators" => Ok(Self::Operators),
            "users" => Ok(Self::Users),
            _ => Err(SettingInvalid::value(VAULT_BY, value, "must be operators or users")),
        }
    }

    /// Nobody is asked for a password that nothing needs.
    pub(super) fn check(self, is_by_vault: bool) -> Result<(), SettingInvalid> {
        if self == Self::Operators || is_by_vault {
            return Ok(());
        }
        let expected = "needs sso=basic or sso=form: nothing else signs users on with passwords of the vault";
        Err(SettingInvalid::value(VAULT_BY, "users", expected))
    }
}

/// Who enters passwords. Nothing that connectors need to know.
pub const VAULT_BY: &str = "vault_by";
