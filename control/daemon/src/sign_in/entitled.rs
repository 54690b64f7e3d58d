//! Whether a user who signed in for a client of the OpenID provider is told to it at all. An ID token passes no relay: what one
//! would decide of a request is decided here.

use postern_model::identity::Refused;
use postern_model::ids::SessionId;
use postern_model::oauth::Scope;
use postern_model::policy::Outcome;

use super::flow::At;
use super::{demand, flow_over, internal, refused};
use crate::control::Control;
use crate::oauth::{Wanted, conditions};
use crate::sessions;
use crate::store::StoredClient;

/// By assignment, and for who the user is by the policies of every application whose conditions count.
pub(super) fn check(
    control: &Control,
    at: &At<'_>,
    client: &StoredClient,
    wanted: &Wanted,
    session: SessionId,
) -> Result<(), Refused> {
    let stored = control.sessions_in_store(|store| store.session(session)).ok().flatten().ok_or_else(flow_over)?;
    let record = sessions::record_of(control, &stored).ok().flatten().ok_or_else(flow_over)?;
    if !conditions::admits(control, client, &record).map_err(|_| internal())? {
        let detail = "You are signed in, but not assigned to this application. Ask your administrator.";
        return Err(refused("not-assigned", detail));
    }
    // With access tokens alone the applications' relays decide, request by request.
    if !wanted.scopes.contains(&Scope::OpenId) {
        return Ok(());
    }
    for app in demand::apps(at) {
        match demand::decision_for(control, at, app, &stored).map(|decision| decision.outcome) {
            Some(Outcome::Allow) => {}
            Some(Outcome::NeedsStepUp { .. }) => {
                return Err(refused("policy-step-up", "A policy asks for more than this sign-in shows."));
            }
            Some(Outcome::Block { .. }) => return Err(refused("policy-blocked", "A policy does not allow it.")),
            None => return Err(internal()),
        }
    }
    Ok(())
}
