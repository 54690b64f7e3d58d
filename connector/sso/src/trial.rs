//! A connector's account tried step by step, so that an operator sees which one fails.

use std::path::Path;

use crate::failure::KerberosFailure;
use crate::tickets::{Proof, Wanted};

/// The account that a connector has, to be tried. Its calls may block.
pub trait Account: Send + Sync {
    /// Where its keys are.
    fn keytab(&self) -> &Path;
    /// Its name.
    fn principal(&self) -> &str;
    /// Begins anew, with no ticket of before.
    ///
    /// # Errors
    /// The account cannot be named.
    fn begin(&self) -> Result<Box<dyn Trial>, KerberosFailure>;
}

/// One trial. Its calls may block.
pub trait Trial {
    /// Gets the account's own ticket.
    ///
    /// # Errors
    /// There is none.
    fn sign_in(&self) -> Result<(), KerberosFailure>;
    /// Gets a ticket to a service in the account's own name: whether the KDC knows the service.
    ///
    /// # Errors
    /// There is none.
    fn reach(&self, service: &str) -> Result<(), KerberosFailure>;
    /// Gets a ticket to the account itself in a user's name (S4U2Self).
    ///
    /// # Errors
    /// There is none.
    fn impersonate(&self, user: &str) -> Result<(), KerberosFailure>;
    /// Gets one to a service in the user's name (S4U2Proxy), and a token made of it.
    ///
    /// # Errors
    /// There is none.
    fn delegate(&self, wanted: &Wanted) -> Result<(Vec<u8>, Box<dyn Proof>), KerberosFailure>;
}
