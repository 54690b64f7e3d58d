//! The first step of a sign-in, for whomever it is: what a browser has is enough, or something is asked for.

use std::rc::Rc;

use postern_model::config::App;
use postern_model::identity::{Ask, ClientInfo, Factor, Step};

use super::flow::{At, Flow};
use super::{by_device, demand, done, external, internal, second, ticket};
use crate::control::Control;
use crate::sessions::random_secret;
use crate::store::StoredSession;

/// Goes on with what the browser has, or asks; `session`: what it has, of the application's tenant.
pub(super) fn enter(
    control: &Control,
    flow: Rc<Flow>,
    app: &App,
    client: &ClientInfo,
    session: Option<StoredSession>,
) -> Step {
    let Ok((secret, key)) = random_secret() else { return Step::Refused(internal()) };
    let at = At { secret: &secret, flow: &flow, app, client };
    let step = first(control, &at, session.as_ref());
    if goes_on(&step) {
        control.sign_ins.borrow_mut().keep(key, flow);
    }
    step
}

/// Whether more is to come of it.
pub(super) const fn goes_on(step: &Step) -> bool {
    matches!(step, Step::Ask(_) | Step::Device(_))
}

/// The first step: with a session that is enough it is the last.
pub(super) fn first(control: &Control, at: &At<'_>, session: Option<&StoredSession>) -> Step {
    let Some(session) = session else {
        // Tickets first: for one the browser goes nowhere.
        let by_ticket = ticket::offered(control, at.flow, at.client.address).is_some();
        let by_device = if by_ticket { None } else { by_device::sent(control, at) };
        return by_device.unwrap_or_else(|| ask_who(control, at, by_ticket));
    };
    enough(control, at, session).unwrap_or_else(|| done(control, at, session.id, None))
}

/// Asks who somebody is; `negotiate`: a ticket may say it.
pub(super) fn ask_who(control: &Control, at: &At<'_>, negotiate: bool) -> Step {
    let page = Ask { negotiate, ..at.page(control, Factor::Password, None) };
    Step::Ask(Box::new(external::first(control, at.flow.tenant, page)))
}

/// `None`: what the browser has is enough for the application.
fn enough(control: &Control, at: &At<'_>, session: &StoredSession) -> Option<Step> {
    let Ok(Some(user)) = control.directory(|store| store.user(session.user)) else {
        return Some(Step::Refused(internal()));
    };
    let demand = demand::demanded(control, at, session);
    second::resume(control, at, session, &user, demand)
}
