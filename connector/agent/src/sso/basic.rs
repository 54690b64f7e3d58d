//! HTTP Basic (RFC 7617) with a password of the vault.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_http::{Known, RequestHead, ResponseHead};
use postern_model::ids::AppId;
use postern_model::vault::{Login, Owner};
use postern_tunnel::SsoLogin;
use zeroize::Zeroizing;

use super::challenge;
use crate::backend::Backend;
use crate::failure::{Failed, Fault};
use crate::vault::Vault;
use crate::vault::gate::Pass;

/// A request that carries a password.
pub(crate) struct SignedOn {
    pass: RefCell<Pass>,
    app: AppId,
    owner: Owner,
}

/// Puts the user's password in the place of whatever credentials the client sent.
pub(crate) async fn sign_on(
    backend: &Backend,
    vault: Option<&Vault>,
    login: Option<&SsoLogin>,
    head: &mut RequestHead,
) -> Result<SignedOn, Failed> {
    head.headers.remove(Known::Authorization);
    let app = backend.app.id;
    let found = backend.credentials.find(vault, app, login)?;
    let value = authorization(&found.login)
        .map_err(|error| Failed::new(Fault::SsoCredentialStale, format!("{}: {error}", found.owner)).unprocessed())?;
    let unavailable = || Failed::new(Fault::SsoUnavailable, "this connector has no key of the vault").unprocessed();
    let pass = vault.ok_or_else(unavailable)?.gate.enter(app, &found).await?;
    let set = head.headers.set(Known::Authorization, value.as_bytes());
    debug_assert!(set.is_ok(), "base64 is a field value");
    Ok(SignedOn { pass: RefCell::new(pass), app, owner: found.owner })
}

fn authorization(login: &Login) -> Result<Zeroizing<String>, postern_model::vault::LoginInvalid> {
    login.check_basic()?;
    let both = Zeroizing::new(format!("{}:{}", login.user(), login.password()));
    let encoded = Zeroizing::new(STANDARD.encode(both.as_bytes()));
    Ok(Zeroizing::new(format!("Basic {}", encoded.as_str())))
}

impl SignedOn {
    /// A 401 with Basic says that the password was not taken; a 401 of another kind is the application's own business.
    pub(crate) fn answered(&self, head: &mut ResponseHead) -> Result<(), Failed> {
        let is_challenge = |value: &[u8]| challenge(value, SCHEME).is_some();
        let challenged = head.headers.get_all(Known::WwwAuthenticate).any(is_challenge);
        if head.status == 401 && challenged {
            let held_s = self.pass.borrow_mut().refused().as_secs();
            tracing::warn!(app = %self.app, owner = %self.owner, held_s, "vault: the application refused a credential");
            let detail = format!("the application answered 401 to the credential of {}", self.owner);
            return Err(Failed::new(Fault::SsoCredentialRefused, detail));
        }
        match head.status {
            // What was asked for is shown.
            101 | 200..=299 | 304 => self.pass.borrow_mut().good(),
            // To go elsewhere, that there is no such page, to come later: all of that may be said without a look at the password.
            _ => self.pass.borrow_mut().unknown(),
        }
        if challenged {
            head.headers.retain(|field| field.known() != Some(Known::WwwAuthenticate) || !is_challenge(field.value()));
        }
        Ok(())
    }
}

const SCHEME: &[u8] = b"Basic";
