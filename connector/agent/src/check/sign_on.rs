//! Whether users can be signed on: what the application asks for, and whether this connector has what the configured method takes.

use postern_model::ids::UserId;
use postern_tunnel::SsoLogin;

use super::challenge;
use super::findings::{Findings, Seen};
use super::reach::Page;
use super::{Keys, trial};
use crate::backend::Backend;
use crate::sso::Method;

/// What it asks for. `page`: what the application answered, if it did.
pub(super) fn challenge(findings: &Findings, backend: &Backend, page: Option<&Page>) {
    match page {
        Some(page) => findings.add("challenge", challenge::asks(page).judged(backend)),
        None => findings.add("challenge", Seen::skipped("the application did not answer")),
    }
}

/// The configured method's steps.
pub(super) fn method(findings: &Findings, backend: &Backend, keys: &Keys, login: Option<&str>, page: Option<&Page>) {
    match &backend.sso {
        None => {}
        Some(Method::Kerberos(service)) => {
            trial::kerberos(findings, backend, keys.account.as_deref(), service, login, page);
        }
        Some(Method::Basic | Method::Form(_)) => vault(findings, backend, keys, login),
    }
}

fn vault(findings: &Findings, backend: &Backend, keys: &Keys, login: Option<&str>) {
    let Some(vault) = keys.vault.as_deref() else {
        let cure = "start it with --vault-key FILE, the key that `postern vault key create` made for this group";
        return findings.add("vault-key", Seen::fail("this connector has no key of the vault", cure));
    };
    let (opened, held) = backend.credentials.that_open_with(vault);
    let seen =
        format!("{opened} of {held} credentials of this application are sealed to a key that this connector has");
    let cure = "seal them to the group's present key (postern vault check), or give this connector the older key, too";
    findings.add("vault-key", if opened < held { Seen::fail(&seen, cure) } else { Seen::ok(&seen) });
    let entry = match login {
        None if held == 0 => {
            let cure = "postern vault set APP --user LOGIN, or --shared for all";
            Seen::fail("the vault has no credential for this application", cure)
        }
        None => Seen::skipped("no user was named: --user LOGIN looks for theirs"),
        Some(login) => entry(backend, keys, login),
    };
    findings.add("vault-entry", entry);
}

/// Opened as for a request, and shown to nobody.
fn entry(backend: &Backend, keys: &Keys, login: &str) -> Seen {
    let user = login.parse::<UserId>().ok().and_then(|_| SsoLogin::new(login));
    match backend.credentials.find(keys.vault.as_deref(), backend.app.id, user.as_ref()) {
        Ok(found) => Seen::ok(&format!("there is one of {}, and it can be opened", found.owner)),
        Err(failed) => Seen::fail(&failed.detail, "postern vault set APP --user LOGIN, or --shared for all"),
    }
}
