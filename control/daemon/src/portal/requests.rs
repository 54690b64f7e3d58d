//! Asking for applications, and deciding about what others ask for.

use std::collections::BTreeMap;

use postern_model::admin::Problem;
use postern_model::config::App;
use postern_model::directory::assigned;
use postern_model::ids::{AccessRequestId, AppId};
use postern_model::portal::{OwnRequest, PortalAnswer, Requestable, Requests, ToDecide};
use postern_model::settings::{PortalSettings, RequestMode, RequestSettings};

use super::{Caller, label, reviews, seen};
use crate::access_requests::{self, is_approver, requestable, words};
use crate::clock::now_unix;
use crate::control::Control;
use crate::limits::{DECIDED_REQUESTS_KEPT, OPEN_REQUESTS_MAX, OPEN_REQUESTS_OF_USER_MAX, REQUESTS_OF_PAGE_MAX};
use crate::problem::problem;
use crate::store::{AccessRequest, RequestQuery};
use crate::tenants;

/// What they may ask for, what they asked for, and what others ask of them.
pub(super) fn shown(control: &Control, caller: &Caller) -> Result<PortalAnswer, Problem> {
    let user = caller.user.id;
    let own_max = DECIDED_REQUESTS_KEPT + OPEN_REQUESTS_OF_USER_MAX;
    let query = RequestQuery { tenant: user.tenant, user: Some(user), open: false, limit: own_max };
    let own = control.requests(|store| store.access_requests(&query))?;
    let query = RequestQuery { user: None, open: true, limit: OPEN_REQUESTS_MAX, ..query };
    let open = control.requests(|store| store.access_requests(&query))?;
    let apps = apps_asked_for(control, caller);
    let decides = |request: &&AccessRequest| {
        request.user != user && apps.get(&request.app).is_some_and(|(_, settings)| decides(caller, settings))
    };
    let mut to_decide = Vec::new();
    // Those that wait longest first.
    for request in open.iter().rev().filter(decides).take(REQUESTS_OF_PAGE_MAX) {
        to_decide.push(ToDecide {
            id: request.id,
            user: access_requests::login(control, request.user)?,
            app: apps.get(&request.app).map_or_else(String::new, |(app, _)| called(app)),
            justification: request.justification.to_string(),
            created_unix: request.created_unix,
        });
    }
    let is_open = |app: AppId| own.iter().any(|request| request.app == app && request.decision.is_none());
    let mut requestable: Vec<Requestable> = {
        let (groups, now) = (caller.groups(), now_unix());
        let snapshot = control.snapshot();
        let has = |app: AppId| assigned(&snapshot.assignments, &caller.user, &groups, app, now).is_some();
        let free = apps.values().filter(|(app, _)| !is_open(app.id) && !has(app.id) && seen(caller, app).is_some());
        free.map(|(app, settings)| can_ask(app, settings)).collect()
    };
    requestable.sort_by_cached_key(|app| (app.label.to_lowercase(), app.app));
    requestable.truncate(REQUESTS_OF_PAGE_MAX);
    let own = own.into_iter().map(|request| own_request(control, request)).collect();
    let reviews = tenants::as_u32(reviews::theirs(control, caller)?.len());
    let requests = Requests { visitor: caller.visitor(), requestable, own, to_decide, reviews, now_unix: now_unix() };
    Ok(PortalAnswer::Requests(Box::new(requests)))
}

/// They ask for one that they do not have.
pub(super) fn ask(
    control: &Control,
    caller: &Caller,
    app: AppId,
    justification: &str,
) -> Result<PortalAnswer, Problem> {
    let found = {
        let snapshot = control.snapshot();
        let own = snapshot.apps.get(&app).filter(|app| app.id.tenant == caller.user.id.tenant);
        own.filter(|app| requestable(app).is_some() && seen(caller, app).is_some()).cloned()
    };
    let Some(app) = found else { return Ok(PortalAnswer::Absent {}) };
    let has = {
        let snapshot = control.snapshot();
        assigned(&snapshot.assignments, &caller.user, &caller.groups(), app.id, now_unix()).is_some()
    };
    if has {
        return Err(problem("access-request-refused", "You have it already."));
    }
    access_requests::ask(control, &caller.user, &app, justification)?;
    Ok(PortalAnswer::Done {})
}

/// They decide. What is not theirs to decide is not there for them; their own request is, and is refused.
pub(super) fn decide(
    control: &Control,
    caller: &Caller,
    id: AccessRequestId,
    approve: bool,
    note: &str,
) -> Result<PortalAnswer, Problem> {
    let Some(request) = control.requests(|store| store.access_request(id))? else {
        return Ok(PortalAnswer::Absent {});
    };
    let settings = {
        let snapshot = control.snapshot();
        let own = snapshot.apps.get(&request.app).filter(|app| app.id.tenant == caller.user.id.tenant);
        own.and_then(requestable)
    };
    if !settings.is_some_and(|settings| decides(caller, &settings)) {
        return Ok(PortalAnswer::Absent {});
    }
    if request.user == caller.user.id {
        return Err(problem("access-request-own", "Nobody decides about their own request. Another approver can."));
    }
    access_requests::decide(control, &caller.actor(), &request, approve, words(note)?)?;
    Ok(PortalAnswer::Done {})
}

fn decides(caller: &Caller, settings: &RequestSettings) -> bool {
    let groups: Vec<&str> = caller.record.user.groups.values().map(|name| name.as_str()).collect();
    is_approver(settings, caller.user.login.as_str(), &groups)
}

fn apps_asked_for(control: &Control, caller: &Caller) -> BTreeMap<AppId, (App, RequestSettings)> {
    let snapshot = control.snapshot();
    let own = snapshot.apps.values().filter(|app| app.id.tenant == caller.user.id.tenant);
    own.filter_map(|app| Some((app.id, (app.clone(), requestable(app)?)))).collect()
}

fn can_ask(app: &App, settings: &RequestSettings) -> Requestable {
    Requestable {
        app: app.id,
        label: called(app),
        at_once: settings.mode == RequestMode::Auto,
        lasts_s: settings.expiry_s,
    }
}

fn own_request(control: &Control, request: AccessRequest) -> OwnRequest {
    let app = control.snapshot().apps.get(&request.app).map_or_else(|| request.app.to_string(), called);
    let decision = request.decision;
    OwnRequest {
        app,
        justification: request.justification.to_string(),
        created_unix: request.created_unix,
        approved: decision.as_ref().map(|decision| decision.approved),
        decided_unix: decision.as_ref().map(|decision| decision.at_unix),
        note: decision.map_or_else(String::new, |decision| decision.note.to_string()),
    }
}

pub(super) fn called(app: &App) -> String {
    PortalSettings::parse(&app.settings).map_or_else(|_| app.name.to_string(), |settings| label(app, &settings))
}
