//! A sign-in that begins at the portal and leads back to it: no application asked for it, and none gets a code.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use postern_model::identity::{Done, Missed, Step};
use postern_model::ids::TenantId;
use postern_model::portal::{BeginPortal, PORTAL_PATH};

use super::flow::{Flow, Goal, Stage};
use super::{alive, enter, internal, invalid, issuer};
use crate::control::Control;
use crate::tenants;

/// A browser comes from the portal's page, without being signed in.
pub(crate) fn begin_portal(control: &Control, request: &BeginPortal) -> Step {
    let BeginPortal { tenant, browser, client } = request;
    let tenant = match tenant.as_deref().map(|name| tenants::find(control, name)) {
        None => TenantId::DEFAULT,
        Some(Ok(tenant)) => tenant.id,
        Some(Err(_)) => return Step::Refused(invalid("nobody signs in to what this link names")),
    };
    let redirect_uri = format!("{}{PORTAL_PATH}", issuer(control));
    let session = browser.as_ref().and_then(|secret| alive(control, secret));
    if session.as_ref().is_some_and(|session| session.user.tenant == tenant) {
        return Step::Done(Done { location: redirect_uri, browser: None, saml: None });
    }
    let app = {
        let snapshot = control.snapshot();
        snapshot.identity.as_ref().and_then(|identity| snapshot.apps.get(&identity.app)).cloned()
    };
    let Some(app) = app else { return Step::Refused(internal()) };
    let flow = Rc::new(Flow {
        app: app.id,
        redirect_uri,
        state: String::new(),
        challenge: String::new(),
        source: client.address,
        tenant,
        goal: Goal::Portal,
        replaces: Cell::new(None),
        stage: RefCell::new(Stage::Password(None)),
        missed: Missed::default(),
        visit: RefCell::default(),
        again: Cell::new(false),
        declined: RefCell::default(),
        policies: RefCell::default(),
    });
    enter::enter(control, flow, &app, client, None)
}
