//! Pages on which people change what signs them in, here or at an application: only for who proved who they are within the last
//! minutes, with a second factor if they have one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use postern_model::config::App;
use postern_model::directory::User;
use postern_model::identity::{ClientInfo, Missed, Refused, Step};
use postern_model::ids::AppId;
use postern_model::portal::PASSWORDS_PATH;
use postern_model::secret::SecretText;

use super::demand::Demand;
use super::enter::goes_on;
use super::flow::{At, Flow, Goal, Proven, Stage};
use super::second::resume;
use super::{alive, internal, issuer};
use crate::control::Control;
use crate::limits::ENROL_FRESH_S;
use crate::sessions::random_secret;
use crate::store::StoredSession;

/// Someone with a session at a page of their own, and the sign-in that leads back there if it is needed.
pub(super) struct Own {
    pub(super) session: StoredSession,
    pub(super) user: User,
    app: App,
    flow: Rc<Flow>,
    secret: SecretText,
    key: [u8; 32],
}

impl Own {
    /// At the page that is at `path`. `None`: nobody is signed in.
    pub(super) fn at_page(
        control: &Control,
        (browser, client): (&SecretText, &ClientInfo),
        goal: Goal,
        path: &str,
    ) -> Result<Option<Self>, Refused> {
        let Some(session) = alive(control, browser) else { return Ok(None) };
        let Ok(Some(user)) = control.directory(|store| store.user(session.user)) else { return Ok(None) };
        let app = {
            let snapshot = control.snapshot();
            snapshot.identity.as_ref().and_then(|identity| snapshot.apps.get(&identity.app)).cloned()
        };
        let (app, (secret, key)) = app.zip(random_secret().ok()).ok_or_else(internal)?;
        let flow = Rc::new(Flow {
            app: app.id,
            redirect_uri: format!("{}{path}", issuer(control)),
            state: String::new(),
            challenge: String::new(),
            source: client.address,
            tenant: user.id.tenant,
            goal,
            replaces: Cell::new(Some(session.id)),
            stage: RefCell::new(Stage::Taken),
            missed: Missed::default(),
            visit: RefCell::default(),
            again: Cell::new(false),
            declined: RefCell::default(),
            policies: RefCell::default(),
        });
        Ok(Some(Self { session, user, app, flow, secret, key }))
    }

    pub(super) fn at<'a>(&'a self, client: &'a ClientInfo) -> At<'a> {
        At { secret: &self.secret, flow: &self.flow, app: &self.app, client }
    }

    /// What is to be proven before anything is shown or changed there; `None`: it was, lately.
    pub(super) fn to_prove(&self, control: &Control, at: &At<'_>) -> Result<Option<Step>, Refused> {
        let stored = control.directory(|store| store.factors(self.user.id)).map_err(|_| internal())?;
        // A computer that somebody finds unlocked signs in by itself: nothing that signs them in may come of that.
        let again = !stored.any() && Proven::by(&self.session, &self.user).is_silent();
        let demand = Demand { multi_factor: stored.any(), max_age_s: Some(ENROL_FRESH_S), again, ..Demand::default() };
        Ok(resume(control, at, &self.session, &self.user, demand))
    }

    /// The browser will come back with what `step` asks for.
    pub(super) fn keep_if_asked(self, control: &Control, step: &Step) {
        if goes_on(step) {
            control.sign_ins.borrow_mut().keep(self.key, self.flow);
        }
    }
}

/// Someone wants to see to their password in an application: what is to be proven first, if anything.
pub(crate) fn before_password(
    control: &Control,
    browser: &SecretText,
    client: &ClientInfo,
    app: AppId,
) -> Result<Option<Step>, Refused> {
    let path = format!("{PASSWORDS_PATH}{app}");
    // Who is not signed in any more since it was looked at last proves everything elsewhere.
    let own = Own::at_page(control, (browser, client), Goal::Password, &path)?.ok_or_else(super::flow_over)?;
    let step = own.to_prove(control, &own.at(client))?;
    if let Some(step) = &step {
        own.keep_if_asked(control, step);
    }
    Ok(step)
}
