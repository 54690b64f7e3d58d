//! Signing in by Kerberos in the store: what is set, and whom a name means.

use postern_model::directory::User;
use postern_model::ids::TenantId;
use postern_model::negotiate::{KerberosSignIn, Sought};

use super::StoreError;

/// What can be asked about it.
pub(crate) trait Kerberos {
    /// What a tenant has set; nothing where it is off.
    fn kerberos(&mut self, tenant: TenantId) -> Result<Option<KerberosSignIn>, StoreError>;

    /// The users who are meant, at most two: of more than one, none is.
    fn users_sought(&mut self, tenant: TenantId, sought: &Sought) -> Result<Vec<User>, StoreError>;
}
