//! The first step of who has a password here.

use std::collections::BTreeSet;

use postern_model::config::App;
use postern_model::directory::{LoginName, User};
use postern_model::identity::{ClientInfo, Factor, GivePassword, Step};
use postern_model::ids::{TenantId, UserId};
use postern_model::session::AuthMethod;

use super::flow::{At, Proven, Stage, Vouched};
use super::risk::Judged;
use super::{busy, flow_over, log, second, too_many, user, wrong};
use crate::clock::now_unix;
use crate::control::{Control, Draft};
use crate::sessions::secret_key;
use crate::store::SignIn;
use crate::store::sign_in::{Logged, SignInOutcome};

/// Login name and password.
pub(crate) async fn password(control: &Control, request: GivePassword) -> Step {
    let GivePassword { flow: secret, login, password, keep, client } = request;
    let key = secret_key(secret.expose());
    let Some(flow) = control.sign_ins.borrow_mut().find(&key) else { return Step::Refused(flow_over()) };
    let Some(app) = control.snapshot().apps.get(&flow.app).cloned() else { return Step::Refused(flow_over()) };
    // People type capitals where there are none.
    let typed = login.trim().to_ascii_lowercase();
    if !matches!(*flow.stage.borrow(), Stage::Password(_)) {
        return Step::Refused(flow_over());
    }
    let at = At { secret: &secret, flow: &flow, app: &app, client: &client };
    let again = |problem| at.ask(control, Factor::Password, Some(problem));
    let tenant = flow.tenant;
    let guess = control.sign_ins.borrow_mut().guesses.begin((tenant, &typed), client.address, now_unix());
    if let Err(wait_s) = guess {
        // Not recorded: a guesser would write the log full. The guesses before are in it.
        return again(too_many(wait_s));
    }
    let attempt = Attempt { tenant, app: &app, typed: &typed, client: &client };
    let login = typed.parse::<LoginName>().ok();
    let known = |login: &Option<LoginName>| login.as_ref().and_then(|login| user(control, tenant, login));
    let before = known(&login);
    let hash = before.as_ref().and_then(|user| control.directory(|store| store.password(user.id)).ok().flatten());
    let Some(is_right) = control.hasher.verify(password, hash).await else {
        control.sign_ins.borrow_mut().guesses.forgive((tenant, &typed), client.address);
        return again(busy());
    };
    // As they are now: while it was verified the password may have been changed, or its owner removed.
    let user = known(&login);
    let is_right = is_right && has_same_password(before.as_ref(), user.as_ref());
    // Whoever is disabled is told nothing else than who does not exist.
    let user = match attempt.judge(user, is_right) {
        Ok(user) => user,
        Err((user, code)) => {
            let failed = SignIn { user, ..attempt.record(SignInOutcome::Failure(code)) };
            return match log(control, failed) {
                Ok(()) => again(wrong()),
                Err(refused) => Step::Refused(refused),
            };
        }
    };
    control.sign_ins.borrow_mut().guesses.succeeded((tenant, &typed), client.address);
    // Only one of two that were sent at once leads on.
    if !matches!(flow.stage.replace(Stage::Taken), Stage::Password(_)) {
        return Step::Refused(flow_over());
    }
    let methods = BTreeSet::from([AuthMethod::Password]);
    let proven = Proven {
        user: user.id,
        typed,
        methods,
        vouched: Vouched::Nobody,
        keep,
        authenticated_unix: now_unix(),
        ends_unix: None,
        device: None,
        risk: Judged::default(),
    };
    second::go_on(control, &at, &user, proven, Draft::default())
}

/// Whether what was verified is still what counts.
fn has_same_password(before: Option<&User>, now: Option<&User>) -> bool {
    let of = |user: Option<&User>| user.map(|user| (user.id, user.password_set_unix_ms));
    of(before) == of(now)
}

/// Someone who wants in, as far as that is known before they are.
pub(super) struct Attempt<'a> {
    pub(super) tenant: TenantId,
    pub(super) app: &'a App,
    pub(super) typed: &'a str,
    pub(super) client: &'a ClientInfo,
}

impl Attempt<'_> {
    /// The user who is let in; else whom it was about, and why not, for the log.
    fn judge(&self, user: Option<User>, is_right: bool) -> Result<User, (Option<UserId>, &'static str)> {
        let Some(user) = user else { return Err((None, "user-unknown")) };
        match (is_right, user.is_active(now_unix())) {
            (true, true) => Ok(user),
            (false, _) => Err((Some(user.id), "password-wrong")),
            (true, false) => Err((Some(user.id), "user-disabled")),
        }
    }

    pub(super) fn record(&self, outcome: SignInOutcome) -> SignIn {
        SignIn {
            app: Some((self.app.id, self.app.name.clone())),
            source: Some(self.client.address),
            user_agent: Some(Logged::cut(&self.client.user_agent)),
            request: self.client.request,
            ..SignIn::new(self.tenant, Logged::cut(self.typed), outcome)
        }
    }
}
