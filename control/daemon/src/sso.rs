//! Single sign-on of applications, where it ends.

use postern_model::config::{App, Preauth};
use postern_model::sso::{SSO, VAULT_BY};

/// Where nobody is asked who he is any more, nobody can be signed on: the switch turns single sign-on off, and says so. What else
/// was set for it stays, for when it is turned on again.
pub(crate) fn switched_off(before: &App, app: &mut App) -> Option<String> {
    let ends = before.preauth == Preauth::Oidc && app.preauth == Preauth::Passthrough;
    let method = app.settings.get(SSO).filter(|method| ends && *method != "none").cloned()?;
    app.settings.remove(SSO);
    // It is about passwords that nobody is signed on with any more, and would be refused.
    let removed = match app.settings.remove(VAULT_BY) {
        Some(by) => format!("{SSO}={method} and {VAULT_BY}={by} were removed"),
        None => format!("{SSO}={method} was removed"),
    };
    let name = &app.name;
    Some(format!(
        "{name}: single sign-on is off ({removed}): with passthrough nobody knows whom to sign on; set it again with --preauth oidc"
    ))
}
