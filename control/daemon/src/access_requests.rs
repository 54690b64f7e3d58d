//! Access requests: a user asks for an application, somebody else decides, and what is approved is given in the transaction that
//! ends the request.

use postern_model::admin::{AccessDecided, AccessRequestView, DecisionView, JUSTIFICATION_BYTES_MAX, Problem};
use postern_model::config::{App, Preauth, Tenant};
use postern_model::directory::{Line, User, UserGroup};
use postern_model::ids::{AccessRequestId, Name, UserId};
use postern_model::settings::{Approver, RequestMode, RequestSettings};

use crate::assignments;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::limits::{OPEN_REQUESTS_MAX, OPEN_REQUESTS_OF_USER_MAX, REQUESTS_SHOWN_MAX};
use crate::problem::{not_found, problem};
use crate::store::{AccessRequest, Decision, RequestChange, RequestQuery};
use crate::user_groups;

/// How an application can be asked for; `None`: it cannot.
pub(crate) fn requestable(app: &App) -> Option<RequestSettings> {
    let settings = RequestSettings::parse(&app.settings).ok().filter(|_| app.preauth == Preauth::Oidc)?;
    (settings.mode != RequestMode::No).then_some(settings)
}

/// Someone asks. Where that is enough, they have it when this returns.
pub(crate) fn ask(control: &Control, user: &User, app: &App, justification: &str) -> Result<(), Problem> {
    let settings = requestable(app).ok_or_else(|| not_found("application to ask for", app.name.as_str()))?;
    let justification = words(justification)?;
    if justification.as_str().is_empty() {
        return Err(problem("access-request-invalid", "Say why you need it: who decides knows nothing else."));
    }
    let tenant = user.id.tenant;
    let query = RequestQuery { tenant, user: Some(user.id), open: true, limit: OPEN_REQUESTS_OF_USER_MAX };
    let open = control.requests(|store| store.access_requests(&query))?;
    if open.iter().any(|request| request.app == app.id) {
        return Err(problem("access-request-refused", "You have asked for it already: somebody will decide."));
    }
    if open.len() >= OPEN_REQUESTS_OF_USER_MAX as usize {
        let detail = format!("{OPEN_REQUESTS_OF_USER_MAX} of your requests wait already: wait until one is decided.");
        return Err(problem("access-request-refused", detail));
    }
    if control.requests(|store| store.access_requests_open(tenant, None))? >= OPEN_REQUESTS_MAX {
        return Err(problem("access-request-refused", "Too many requests wait already. Tell your administrator."));
    }
    check_group(control, user, &settings)?;
    let mut draft = Draft::default();
    let id = AccessRequestId::new(tenant, control.next(counter("access-request", tenant), &mut draft)?);
    let by_itself = settings.mode == RequestMode::Auto;
    let decision =
        by_itself.then(|| Decision { approved: true, by: "auto".into(), at_unix: now_unix(), note: Line::default() });
    let request = AccessRequest { id, user: user.id, app: app.id, justification, created_unix: now_unix(), decision };
    let after = format!("asks: {}", request.justification);
    draft.audit(Audit { after: Some(after), ..audit("access-request.ask", &request, app, user) });
    draft.request(RequestChange::Asked(Box::new(request)));
    if by_itself {
        give(control, &mut draft, user, app, &settings)?;
    }
    control.commit(&Actor::User(user.login.clone()), draft).map(drop)
}

/// What would be given is there, and new.
fn check_group(control: &Control, user: &User, settings: &RequestSettings) -> Result<(), Problem> {
    let Some(name) = &settings.group else { return Ok(()) };
    let group = group(control, user, name)?;
    if control.directory(|store| store.groups_with(user.id))?.contains(&group.id) {
        let detail = format!("You are in the group {name} already: that is all that you would get.");
        return Err(problem("access-request-refused", detail));
    }
    Ok(())
}

/// Somebody decides: an operator, or an approver who was found to be one.
pub(crate) fn decide(
    control: &Control,
    actor: &Actor,
    request: &AccessRequest,
    approved: bool,
    note: Line<JUSTIFICATION_BYTES_MAX>,
) -> Result<u64, Problem> {
    if request.decision.is_some() {
        return Err(problem("access-request-over", format!("the access request {} was decided already", request.id)));
    }
    let app = control.snapshot().apps.get(&request.app).cloned();
    let app = app.ok_or_else(|| not_found("application", &request.app.to_string()))?;
    let user = control.directory(|store| store.user(request.user))?;
    let user = user.ok_or_else(|| not_found("user", &request.user.to_string()))?;
    let mut draft = Draft::default();
    let action = if approved { "access-request.approve" } else { "access-request.deny" };
    let after = (!note.as_str().is_empty()).then(|| note.to_string());
    let before = Some(request.justification.to_string());
    draft.audit(Audit { before, after, ..audit(action, request, &app, &user) });
    if approved {
        let settings = RequestSettings::parse(&app.settings).unwrap_or_default();
        give(control, &mut draft, &user, &app, &settings)?;
    }
    let decision = Decision { approved, by: actor.to_string(), at_unix: now_unix(), note };
    draft.request(RequestChange::Decided(request.id, decision));
    control.commit(actor, draft)
}

/// Whether a user decides about an application, by their name or a group.
pub(crate) fn is_approver(settings: &RequestSettings, login: &str, groups: &[&str]) -> bool {
    settings.mode == RequestMode::Approval
        && settings.approvers.iter().any(|approver| is_meant(approver, login, groups))
}

/// Whether a user is the one who is named, or in the group.
pub(crate) fn is_meant(approver: &Approver, login: &str, groups: &[&str]) -> bool {
    match approver {
        Approver::User(user) => user.as_str() == login,
        Approver::Group(group) => groups.contains(&group.as_str()),
    }
}

/// Text of a form: line breaks are as good as blanks there.
pub(crate) fn words(text: &str) -> Result<Line<JUSTIFICATION_BYTES_MAX>, Problem> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.parse().map_err(|error| problem("access-request-invalid", format!("The text cannot be taken: {error}.")))
}

/// `access request list`.
pub(crate) fn list(control: &Control, tenant: &Tenant, all: bool) -> Result<Vec<AccessRequestView>, Problem> {
    let query = RequestQuery { tenant: tenant.id, user: None, open: !all, limit: REQUESTS_SHOWN_MAX };
    let found = control.requests(|store| store.access_requests(&query))?;
    found.iter().map(|request| view(control, request)).collect()
}

/// `access request approve` and `deny`: operators decide about all.
pub(crate) fn decide_by_id(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    id: &str,
    approved: bool,
    note: Line<JUSTIFICATION_BYTES_MAX>,
) -> Result<AccessDecided, Problem> {
    let known = id.parse().ok().filter(|id: &AccessRequestId| id.tenant == tenant.id);
    let none = || not_found("access request", id);
    let id = known.ok_or_else(none)?;
    let request = control.requests(|store| store.access_request(id))?.ok_or_else(none)?;
    let version = decide(control, actor, &request, approved, note)?;
    let request = control.requests(|store| store.access_request(id))?.ok_or_else(none)?;
    Ok(AccessDecided { request: view(control, &request)?, version, warnings: Vec::new() })
}

pub(crate) fn view(control: &Control, request: &AccessRequest) -> Result<AccessRequestView, Problem> {
    let app = control.snapshot().apps.get(&request.app).map(|app| app.name.clone());
    let AccessRequest { id, user, justification, created_unix, decision, .. } = request;
    let decision = decision.as_ref().map(|decision| DecisionView {
        approved: decision.approved,
        by: decision.by.clone(),
        at_unix: decision.at_unix,
        note: decision.note.to_string(),
    });
    Ok(AccessRequestView {
        id: *id,
        user: login(control, *user)?,
        app: app.ok_or_else(|| not_found("application", &request.app.to_string()))?,
        justification: justification.to_string(),
        created_unix: *created_unix,
        decision,
    })
}

/// What a user is called; of one who is gone, the id.
pub(crate) fn login(control: &Control, user: UserId) -> Result<String, Problem> {
    let found = control.directory(|store| store.user(user))?;
    Ok(found.map_or_else(|| user.to_string(), |user| user.login.to_string()))
}

/// What was asked for: a place in a group, or an assignment with its end.
fn give(
    control: &Control,
    draft: &mut Draft,
    user: &User,
    app: &App,
    settings: &RequestSettings,
) -> Result<(), Problem> {
    let Some(name) = &settings.group else {
        let expires_unix = settings.expiry_s.map(|span| now_unix().saturating_add(span));
        return assignments::grant(control, draft, app, user, expires_unix);
    };
    user_groups::join(draft, &group(control, user, name)?, user);
    Ok(())
}

/// A group that somebody can be put into.
fn group(control: &Control, user: &User, name: &Name) -> Result<UserGroup, Problem> {
    match control.directory(|store| store.user_group(user.id.tenant, name))? {
        Some(group) if group.rule().is_none() => Ok(group),
        Some(_) => {
            Err(problem("access-request-refused", format!("nobody can be put into the group {name}: it has a rule")))
        }
        None => Err(problem("access-request-refused", format!("there is no group {name}: tell your administrator"))),
    }
}

fn audit(action: &'static str, request: &AccessRequest, app: &App, user: &User) -> Audit {
    let target = format!("access-request {} of {} ({}) for {}", request.id, user.login, user.id, app.name);
    Audit { action, tenant: Some(user.id.tenant), target, before: None, after: None }
}
