//! A tenant's account with an authority: a file in the state folder, for its key is nobody's but control's.

use std::path::{Path, PathBuf};

use instant_acme::{Account, AccountCredentials};
use postern_model::admin::{AcmeView, Problem};
use postern_model::ids::TenantId;
use postern_service::secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::https::Https;
use crate::control::Control;
use crate::problem::problem;

/// What is kept of it.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) directory: String,
    #[serde(default)]
    pub(super) contact: Vec<String>,
    #[serde(default)]
    pub(super) ca_pem: Option<String>,
    #[serde(default)]
    pub(super) eab_kid: Option<String>,
    /// Its URL.
    pub(super) account: String,
    /// With the key.
    pub(super) credentials: AccountCredentials,
}

impl Kept {
    /// The tenant's, if it has one.
    pub(super) fn load(control: &Control, tenant: TenantId) -> Result<Option<Self>, Problem> {
        let path = path(control, tenant);
        if !path.try_exists().map_err(|error| damaged(&path, &error.to_string()))? {
            return Ok(None);
        }
        let text = secret::read_text(&path).map_err(|error| damaged(&path, &error.to_string()))?;
        parsed(&path, &text).map(Some)
    }

    /// The tenant's, which it needs.
    pub(super) fn need(control: &Control, tenant: TenantId) -> Result<Self, Problem> {
        let none = || problem("acme-account-missing", "the tenant has no account with an authority: postern acme set");
        Self::load(control, tenant)?.ok_or_else(none)
    }

    pub(super) fn save(&self, control: &Control, tenant: TenantId) -> Result<(), Problem> {
        let failed = |error: String| problem("store-failed", format!("the account cannot be kept: {error}"));
        let json = serde_json::to_vec(self).map(Zeroizing::new).map_err(|error| failed(error.to_string()))?;
        secret::write(&path(control, tenant), &json).map_err(|error| failed(error.to_string()))
    }

    /// The account, ready to order.
    pub(super) async fn open(self) -> Result<Account, instant_acme::Error> {
        let https = Https::new(self.ca_pem.as_deref()).map_err(|reason| instant_acme::Error::Other(reason.into()))?;
        Account::builder_with_http(Box::new(https)).from_credentials(self.credentials).await
    }

    pub(super) fn view(&self) -> AcmeView {
        AcmeView {
            directory: self.directory.clone(),
            contact: self.contact.clone(),
            account: self.account.clone(),
            eab_kid: self.eab_kid.clone(),
            own_ca: self.ca_pem.is_some(),
        }
    }
}

/// Takes the file away; whether there was one.
pub(super) fn forget(control: &Control, tenant: TenantId) -> Result<bool, Problem> {
    match std::fs::remove_file(path(control, tenant)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(problem("store-failed", format!("the account cannot be removed: {error}"))),
    }
}

fn path(control: &Control, tenant: TenantId) -> PathBuf {
    control.state_dir.join(format!("acme-{tenant}.json"))
}

/// The parser's words would quote the text, and a key is in it.
fn parsed(path: &Path, text: &str) -> Result<Kept, Problem> {
    serde_json::from_str(text)
        .map_err(|error| damaged(path, &format!("it is none from line {}, column {} on", error.line(), error.column())))
}

fn damaged(path: &Path, reason: &str) -> Problem {
    problem("store-failed", format!("the account in {} cannot be read: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_told_of_without_a_word_of_it() {
        let text = r#"{"directory":"https://ca.test/","account":"https://ca.test/1","credentials":"SECRET"}"#;
        let Err(problem) = parsed(Path::new("/state/acme-1.json"), text) else { panic!("it is no account") };
        assert!(problem.detail.contains("/state/acme-1.json") && problem.detail.contains("line 1"), "{problem:?}");
        assert!(!problem.detail.contains("SECRET"), "{problem:?}");
    }
}
