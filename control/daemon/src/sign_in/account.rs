//! The page on which people see to their own factors.

use postern_model::directory::User;
use postern_model::identity::{
    ACCOUNT_PATH, Account, AccountAction, AccountAnswer, AccountRequest, Factor, Refused, Step,
};

use super::flow::{At, Goal, Proven, Stage};
use super::own::Own;
use super::second::enrol;
use super::{internal, refused};
use crate::control::{Actor, Control, Draft};
use crate::factors::{self, put_codes, recovery_codes};
use crate::store::StoredSession;

/// Everything on that page.
pub(crate) fn account(control: &Control, request: AccountRequest) -> AccountAnswer {
    let AccountRequest { browser, action, client } = request;
    let refuse = |refused| AccountAnswer::Step(Box::new(Step::Refused(refused)));
    let own = match Own::at_page(control, (&browser, &client), Goal::Account, ACCOUNT_PATH) {
        Ok(Some(own)) => own,
        Ok(None) => return AccountAnswer::Nobody,
        Err(refused) => return refuse(refused),
    };
    let (at, session, user) = (own.at(&client), &own.session, &own.user);
    let step = match (own.to_prove(control, &at), action) {
        (Err(refused), _) => return refuse(refused),
        (Ok(Some(step)), _) => step,
        (Ok(None), AccountAction::Show) => return show(control, user, None),
        (Ok(None), AccountAction::Remove(id)) => return remove(control, user, &id),
        (Ok(None), AccountAction::Add) => enrol(control, &at, user, Proven::by(session, user), None, None),
        (Ok(None), AccountAction::RenewCodes) => renew_codes(control, &at, session, user),
    };
    own.keep_if_asked(control, &step);
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
