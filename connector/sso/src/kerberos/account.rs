//! The connector's account, to be tried with a store of tickets that ends with the trial.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use libgssapi::oid::GSS_MECH_KRB5;

use super::{Delegation, begin};
use crate::failure::KerberosFailure;
use crate::tickets::{Authority as _, Proof, Wanted};
use crate::trial::{Account, Trial};

/// A keytab and whose key of it.
#[derive(Debug)]
pub struct OwnAccount {
    keytab: PathBuf,
    principal: String,
    folder: PathBuf,
}

/// A library that keeps tickets in memory never forgets them; those of a file end with it.
struct OwnTrial {
    delegation: Delegation,
    tickets: PathBuf,
}

impl OwnAccount {
    /// `folder`: where tickets lie for the moment; nobody else may read it.
    #[must_use]
    pub fn new(keytab: &Path, principal: &str, folder: &Path) -> Self {
        // Of a process of before that was ended in the middle of a check.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with("check-") && name.ends_with(".tickets")) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Self { keytab: keytab.to_owned(), principal: principal.to_owned(), folder: folder.to_owned() }
    }
}

impl Account for OwnAccount {
    fn keytab(&self) -> &Path {
        &self.keytab
    }

    fn principal(&self) -> &str {
        &self.principal
    }

    fn begin(&self) -> Result<Box<dyn Trial>, KerberosFailure> {
        static TRIALS: AtomicU64 = AtomicU64::new(0);
        let tickets = self.folder.join(format!("check-{}.tickets", TRIALS.fetch_add(1, Ordering::Relaxed)));
        let delegation = Delegation::with_tickets_in(&self.keytab, &self.principal, &tickets)?;
        Ok(Box::new(OwnTrial { delegation, tickets }))
    }
}

impl Trial for OwnTrial {
    fn sign_in(&self) -> Result<(), KerberosFailure> {
        self.delegation.sign_in()
    }

    fn reach(&self, service: &str) -> Result<(), KerberosFailure> {
        let own = self.delegation.own(GSS_MECH_KRB5)?;
        begin(own, &Wanted { user: "".into(), service: service.into() }, GSS_MECH_KRB5).map(drop)
    }

    fn impersonate(&self, user: &str) -> Result<(), KerberosFailure> {
        self.delegation.user(user, GSS_MECH_KRB5).map(drop)
    }

    fn delegate(&self, wanted: &Wanted) -> Result<(Vec<u8>, Box<dyn Proof>), KerberosFailure> {
        let (ticket, _) = self.delegation.fetch(wanted)?;
        self.delegation.present(&ticket, wanted)
    }
}

impl Drop for OwnTrial {
    fn drop(&mut self) {
        // There is none where the first step failed.
        let _ = std::fs::remove_file(&self.tickets);
    }
}
