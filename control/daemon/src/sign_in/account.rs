//! The page on which people see to their own factors: only for who proved who they are within the last minutes, with a second
//! factor if they have one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use postern_model::directory::User;
use postern_model::identity::{
    ACCOUNT_PATH, Account, AccountAction, AccountAnswer, AccountRequest, Factor, Missed, Refused, Step,
};

use super::demand::Demand;
use super::flow::{At, Flow, Goal, Proven, Stage};
use super::second::{enrol, resume};
use super::{alive, internal, issuer, refused};
use crate::control::{Actor, Control, Draft};
use crate::factors::{self, put_codes, recovery_codes};
use crate::limits::ENROL_FRESH_S;
use crate::sessions::random_secret;
use crate::store::StoredSession;

/// Everything on that page.
pub(crate) fn account(control: &Control, request: AccountRequest) -> AccountAnswer {
    let AccountRequest { browser, action, client } = request;
    let Some(session) = alive(control, &browser) else { return AccountAnswer::Nobody };
    let Ok(Some(user)) = control.directory(|store| store.user(session.user)) else { return AccountAnswer::Nobody };
    let failed = || AccountAnswer::Step(Box::new(Step::Refused(internal())));
    let Ok(stored) = control.directory(|store| store.factors(user.id)) else { return failed() };
    let app = {
        let snapshot = control.snapshot();
        snapshot.identity.as_ref().and_then(|identity| snapshot.apps.get(&identity.app)).cloned()
    };
    let Some((app, (secret, key))) = app.zip(random_secret().ok()) else { return failed() };
    let flow = Flow {
        app: app.id,
        redirect_uri: format!("{}{ACCOUNT_PATH}", issuer(control)),
        state: String::new(),
        challenge: String::new(),
        source: client.address,
        tenant: user.id.tenant,
        goal: Goal::Account,
        replaces: Some(session.id),
        stage: RefCell::new(Stage::Taken),
        missed: Missed::default(),
        visit: RefCell::default(),
        again: Cell::new(false),
    };
    let flow = Rc::new(flow);
    let at = At { secret: &secret, flow: &flow, app: &app, client: &client };
    // A computer that somebody finds unlocked signs in by itself: a factor of theirs must not come of that.
    let again = !stored.any() && Proven::by(&session, &user).is_silent();
    let demand = Demand { multi_factor: stored.any(), max_age_s: Some(ENROL_FRESH_S), again, ..Demand::default() };
    let step = match (resume(control, &at, &session, &user, demand), action) {
        (Some(step), _) => step,
        (None, AccountAction::Show) => return show(control, &user, None),
        (None, AccountAction::Remove(id)) => return remove(control, &user, &id),
        (None, AccountAction::Add) => enrol(control, &at, &user, Proven::by(&session, &user), None, None),
        (None, AccountAction::RenewCodes) => renew_codes(control, &at, &session, &user),
    };
    if matches!(step, Step::Ask(_)) {
        control.sign_ins.borrow_mut().keep(key, flow);
    }
    AccountAnswer::Step(Box::new(step))
}

fn show(control: &Control, user: &User, problem: Option<Refused>) -> AccountAnswer {
    match control.directory(|store| store.factors(user.id)) {
        Ok(stored) => AccountAnswer::Account(Account {
            login: user.login.clone(),
            factors: factors::views(&stored),
            recovery_codes: stored.recovery,
            problem,
        }),
        Err(_) => AccountAnswer::Step(Box::new(Step::Refused(internal()))),
    }
}

fn remove(control: &Control, user: &User, id: &str) -> AccountAnswer {
    let mut draft = Draft::default();
    let removed = factors::remove_from(control, user, id, &mut draft);
    let removed = removed.and_then(|()| control.commit(&Actor::User(user.login.clone()), draft));
    let problem = removed.err().map(|problem| refused(&problem.code, problem.detail));
    show(control, user, problem)
}

fn renew_codes(control: &Control, at: &At<'_>, session: &StoredSession, user: &User) -> Step {
    let Ok(stored) = control.directory(|store| store.factors(user.id)) else { return Step::Refused(internal()) };
    let Some(codes) = recovery_codes().filter(|_| stored.any()) else {
        return Step::Refused(refused("sign-in-request-invalid", "Set up a second factor first."));
    };
    let mut draft = Draft::default();
    draft.factor(put_codes(user.id, &codes));
    draft.audit(factors::audit("user.factor.renew-codes", user, None, None));
    if control.commit(&Actor::User(user.login.clone()), draft).is_err() {
        return Step::Refused(internal());
    }
    at.flow.stage.replace(Stage::Recovery(Proven::by(session, user)));
    at.ask(control, Factor::Recovery(codes), None)
}
