//! Whether a user who signed in is let into what they signed in for. That they signed in is one thing and one record, and that the
//! application refuses them another.

use postern_model::directory::assigned;
use postern_model::identity::Refused;
use postern_model::ids::SessionId;
use postern_model::oauth::Scope;
use postern_model::policy::Outcome;

use super::flow::{At, Proven};
use super::{demand, flow_over, internal, log, refused};
use crate::clock::now_unix;
use crate::control::Control;
use crate::oauth::{Wanted, conditions};
use crate::sessions;
use crate::store::sign_in::{Logged, SignInOutcome};
use crate::store::{SignIn, StoredClient};

/// Writes down that the application's relay will turn a user away, if it will: it asks who is assigned, and has no log of sign-ins.
pub(super) fn note(control: &Control, at: &At<'_>, session: SessionId) -> Result<(), Refused> {
    let stored = control.sessions_in_store(|store| store.session(session)).ok().flatten().ok_or_else(flow_over)?;
    let record = sessions::record_of(control, &stored).ok().flatten().ok_or_else(flow_over)?;
    let user = control.directory(|store| store.user(stored.user)).ok().flatten().ok_or_else(internal)?;
    let groups = record.user.groups.keys().copied().collect();
    if assigned(&control.snapshot().assignments, &user, &groups, at.app.id, now_unix()).is_some() {
        return Ok(());
    }
    let country = control.country(at.client.address).map(|country| Logged::cut(&country.to_string()));
    let asn = control.asn(at.client.address).map(|asn| asn.0);
    let entry = at.record(&Proven::by(&stored, &user), SignInOutcome::Failure("not-assigned"));
    log(control, SignIn { session: Some(session), country, asn, ..entry })
}

/// Of a client of the OpenID provider, whose ID token passes no relay: what one would decide of a request is decided here. By
/// assignment, and for who the user is by the policies of every application whose conditions count.
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
