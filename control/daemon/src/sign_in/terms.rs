//! Terms of use in a sign-in: those that policies, or the application's relay, ask for are shown one by one and accepted, after
//! everything else is proven and before there is a session. With a session that is enough but for them, it stays what it is.

use std::collections::BTreeSet;

use postern_model::admin::Problem;
use postern_model::directory::User;
use postern_model::identity::{Factor, Refused, Step, TermsPage, TermsShown};
use postern_model::ids::{Name, SessionId};
use postern_model::policy::PolicyState;
use postern_model::terms::AnyTerms;

use super::demand::{apps, asked_terms, decision_for};
use super::flow::{At, Proven, Stage};
use super::second::finish;
use super::{alive_of, done, flow_over, internal, log, log_with, refused, would_be};
use crate::clock::now_unix;
use crate::control::{Actor, Control, Draft};
use crate::sessions::secret_key;
use crate::store::sign_in::SignInOutcome;
use crate::store::{StoredSession, StoredTerms, TermsVersion};
use crate::terms;

/// What a browser was shown, and waits for an answer to.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    name: Name,
    version: u32,
    /// The session that is enough but for them.
    session: Option<SessionId>,
}

/// What a browser answers, and to which terms, where it says.
pub(super) struct Answer {
    pub(super) accepts: bool,
    pub(super) named: Option<TermsShown>,
}

/// Terms that are to be accepted.
pub(super) struct Due {
    terms: StoredTerms,
    text: TermsVersion,
    session: Option<SessionId>,
    /// The user accepted some version before.
    again: bool,
    /// What others are called that do as well.
    instead: Option<String>,
}

/// What is to be accepted by who proved this, before they have a session.
pub(super) fn due_of(control: &Control, at: &At<'_>, user: &User, proven: &Proven) -> Result<Option<Due>, Refused> {
    if !are_asked_for(control, at) {
        return Ok(None);
    }
    due(control, at, user, &would_be(user, proven, at.client), None)
}

/// Someone has a session that is enough but for terms. `None`: for these, too.
pub(super) fn ask_of_session(
    control: &Control,
    at: &At<'_>,
    user: &User,
    session: &StoredSession,
    proven: Proven,
) -> Option<Step> {
    match due(control, at, user, session, Some(session.id)) {
        Ok(due) => due.map(|due| ask(control, at, proven, due, Draft::default())),
        Err(refused) => Some(Step::Refused(refused)),
    }
}

/// Shows them. What was used up so far is kept, `draft`.
pub(super) fn ask(control: &Control, at: &At<'_>, proven: Proven, due: Due, draft: Draft) -> Step {
    if let Err(refused) = log_with(control, draft, at.record(&proven, SignInOutcome::Interrupted("terms-needed"))) {
        return Step::Refused(refused);
    }
    let Due { terms, text, session, again, instead } = due;
    let name = Some(terms.name.clone());
    let shown = Shown { name: terms.name, version: text.version, session };
    at.flow.stage.replace(Stage::Terms(proven, shown));
    let TermsVersion { version, title, format, text, made_unix: _ } = text;
    let page = TermsPage { name, title: title.to_string(), version, format, text, again, instead };
    at.ask(control, Factor::Terms(page), None)
}

/// The user's answer to what was shown. One that names other terms is the second of two clicks, or comes of a page that is past:
/// it says nothing about these, which are shown again.
pub(super) fn answered(
    control: &Control,
    at: &At<'_>,
    user: &User,
    proven: Proven,
    shown: &Shown,
    answer: &Answer,
) -> Step {
    let Answer { accepts, named } = answer;
    if named.as_ref().is_none_or(|named| named.name == shown.name && named.version == shown.version) {
        if !accepts {
            return declined(control, at, user, proven, shown);
        }
        if record(control, user, shown).is_err() {
            return Step::Refused(internal());
        }
    }
    match shown.session {
        None => finish(control, at, user, proven, Draft::default()),
        Some(session) => go_on(control, at, user, proven, session),
    }
}

/// Terms that were removed meanwhile are accepted by nobody: others may do.
fn record(control: &Control, user: &User, shown: &Shown) -> Result<(), Problem> {
    let there = control.directory(|store| store.terms_version(user.id.tenant, &shown.name, Some(shown.version)))?;
    if there.is_some() {
        control.commit(&Actor::User(user.login.clone()), terms::accepted(user, &shown.name, shown.version))?;
    }
    Ok(())
}

/// With the session that there is.
fn go_on(control: &Control, at: &At<'_>, user: &User, proven: Proven, id: SessionId) -> Step {
    let Some(session) = alive_of(control, user, id) else { return Step::Refused(flow_over()) };
    if let Some(step) = ask_of_session(control, at, user, &session, proven) {
        return step;
    }
    if !is_first(control, at) {
        return Step::Refused(flow_over());
    }
    done(control, at, session.id, None)
}

/// Others that do as well are shown then; the application does not open where there are none.
fn declined(control: &Control, at: &At<'_>, user: &User, proven: Proven, shown: &Shown) -> Step {
    at.flow.declined.borrow_mut().insert(shown.name.clone());
    let others = match shown.session {
        None => due_of(control, at, user, &proven),
        Some(id) => alive_of(control, user, id).map_or(Ok(None), |session| due(control, at, user, &session, Some(id))),
    };
    if let Ok(Some(others)) = others {
        return ask(control, at, proven, others, Draft::default());
    }
    if !is_first(control, at) {
        return Step::Refused(flow_over());
    }
    let logged = log(control, at.record(&proven, SignInOutcome::Failure("terms-declined")));
    Step::Refused(logged.err().unwrap_or_else(not_accepted))
}

fn not_accepted() -> Refused {
    let detail =
        "You did not accept the terms of use, so the application does not open. To read them again, open it once more.";
    refused("terms-declined", detail)
}

/// Only one of two that were sent at once leads on.
pub(super) fn is_first(control: &Control, at: &At<'_>) -> bool {
    let key = secret_key(at.secret.expose());
    control.sign_ins.borrow_mut().flows.take_if_good(&key, now_unix()).is_some()
}

/// Most sign-ins are asked for none: nothing is read for them.
fn are_asked_for(control: &Control, at: &At<'_>) -> bool {
    if !at.flow.missed.terms.is_empty() {
        return true;
    }
    let snapshot = control.snapshot();
    let mut in_force = snapshot.policies.values().filter(|policy| policy.state == PolicyState::On);
    in_force.any(|policy| policy.id.tenant == at.flow.tenant && terms::asked_by(policy).next().is_some())
}

/// The first of them that the user is to accept.
fn due(
    control: &Control,
    at: &At<'_>,
    user: &User,
    session: &StoredSession,
    of: Option<SessionId>,
) -> Result<Option<Due>, Refused> {
    let missed = &at.flow.missed.terms;
    let mut asked: BTreeSet<AnyTerms> = missed.clone();
    for app in apps(at) {
        if let Some(decision) = decision_for(control, at, app, session) {
            asked.extend(asked_terms(&decision));
        }
    }
    let accepted = control.directory(|store| store.accepted_terms(user.id)).map_err(|_| internal())?;
    let now = now_unix();
    for any in asked.into_iter().filter(|any| !any.names().any(|name| accepted.count(name, now))) {
        match offer(control, at, user, &any)? {
            Offer::Shown((terms, text), instead) => {
                let name = &terms.name;
                let again = control.directory(|store| store.accepted_once(user.id, name)).map_err(|_| internal())?;
                return Ok(Some(Due { terms, text, session: of, again, instead }));
            }
            Offer::AllDeclined => return Err(not_accepted()),
            // The relay would send the browser here for ever.
            Offer::NotThere if missed.contains(&any) => {
                let names: Vec<&str> = any.names().map(Name::as_str).collect();
                let names = names.join(" or ");
                let detail = format!(
                    "A policy asks for the terms of use {names}, which are not there. Tell your administrator."
                );
                return Err(refused("policy-step-up", detail));
            }
            // It refuses, and says so.
            Offer::NotThere => {}
        }
    }
    Ok(None)
}

/// What can be done about terms of which any one is to be accepted.
enum Offer {
    /// These are shown; what those are called that are shown to whoever declines them.
    Shown((StoredTerms, TermsVersion), Option<String>),
    AllDeclined,
    NotThere,
}

/// The first that are there and were not declined.
fn offer(control: &Control, at: &At<'_>, user: &User, any: &AnyTerms) -> Result<Offer, Refused> {
    let (mut is_there, mut shown) = (false, None);
    for name in any.names() {
        let found = control.directory(|store| store.terms_version(user.id.tenant, name, None));
        let Some(found) = found.map_err(|_| internal())? else { continue };
        is_there = true;
        if at.flow.declined.borrow().contains(name) {
            continue;
        }
        match shown {
            None => shown = Some(found),
            Some(shown) => return Ok(Offer::Shown(shown, Some(found.1.title.to_string()))),
        }
    }
    Ok(match shown {
        Some(shown) => Offer::Shown(shown, None),
        None if is_there => Offer::AllDeclined,
        None => Offer::NotThere,
    })
}
