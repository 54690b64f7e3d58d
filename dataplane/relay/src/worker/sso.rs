//! Under which name the connector signs a request's user on to the application.

use postern_tunnel::SsoLogin;

use super::authorise::{Permit, Subject};
use super::reject::Reject;

/// None where the application signs nobody on. Where it does, nobody passes unnamed: the connector would have to send the request
/// without a user.
pub(super) fn sso_login(permit: &Permit) -> Result<Option<SsoLogin>, Reject> {
    if permit.app().settings.sso.kerberos().is_none() {
        return Ok(None);
    }
    match permit.subject() {
        Some(Subject::Service(_)) | None => Err(Reject::sso_needs_user()),
    }
}
