//! Assignments: who may open which application. They go to relays with everything else.

mod room;
mod used;

use std::collections::{BTreeMap, BTreeSet};

use postern_model::admin::{Assign, AssignmentChanged, AssignmentView, Changed, Problem};
use postern_model::config::{App, Preauth, Tenant};
use postern_model::directory::{Assignment, AssignmentKey, Principal, User, assigned};
use postern_model::document::AssignmentEntry;
use postern_model::ids::{AppId, Name, TenantId, UserGroupId};
use postern_model::{Change, Snapshot};

use crate::apps::find_app;
use crate::clock::{now_unix, now_unix_ms};
use crate::control::{Actor, Audit, Control, Draft};
use crate::directory::{check_end, find_group, find_user, principal_name};
use crate::kept_out;
use crate::limits::ASSIGNMENTS_MAX;
use crate::problem::{not_found, problem};

pub(crate) use used::note as note_used;

/// Which assignments.
#[derive(Debug, Default)]
pub(crate) struct AssignmentQuery {
    app: Option<AppId>,
    /// Those that end before this second.
    before_unix: Option<u64>,
    /// Those that count, and were neither made nor used from this second on.
    unused_since_unix: Option<u64>,
}

/// `assign`: a new assignment, or another role or end for one that is there.
pub(crate) fn put(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: &Assign,
) -> Result<AssignmentChanged, Problem> {
    let app = find_app(&control.snapshot(), tenant, &request.app).map_err(|problem| problem.about("app"))?.clone();
    let principal = principal(control, tenant, request)?;
    check_end(request.expires_unix)?;
    let before = control.snapshot().assignments.get(&AssignmentKey { app: app.id, principal }).cloned();
    let assignment = Assignment {
        app: app.id,
        principal,
        role: request.role.clone(),
        expires_unix: request.expires_unix,
        created_unix_ms: before.as_ref().map_or_else(now_unix_ms, |before| before.created_unix_ms),
    };
    let version = store(control, actor, &app, before.as_ref(), &assignment)?;
    let assignment = view(control, &app.name, &assignment, now_unix())?;
    let over = assignment.expired.then(|| "the assignment's end is past: it counts for nothing".to_owned());
    let warnings = no_effect_yet(&control.snapshot(), &app).into_iter().chain(over).collect();
    Ok(AssignmentChanged { assignment, version, warnings })
}

/// What somebody approved: with the given end, or a later one that there is. The role of an assignment in force stays; that of
/// one that is over was given for then.
pub(crate) fn grant(
    control: &Control,
    draft: &mut Draft,
    app: &App,
    user: &User,
    expires_unix: Option<u64>,
) -> Result<(), Problem> {
    let principal = Principal::User(user.id);
    let before = control.snapshot().assignments.get(&AssignmentKey { app: app.id, principal }).cloned();
    if before.is_none() {
        room::make(control, draft, app)?;
    }
    let current = before.as_ref().filter(|before| before.is_current(now_unix()));
    let expires_unix = match (current.map(|current| current.expires_unix), expires_unix) {
        (Some(held), asked) => held.zip(asked).map(|(held, asked)| held.max(asked)),
        (None, asked) => asked,
    };
    let assignment = Assignment {
        app: app.id,
        principal,
        role: current.and_then(|current| current.role.clone()),
        expires_unix,
        created_unix_ms: before.as_ref().map_or_else(now_unix_ms, |before| before.created_unix_ms),
    };
    let mut entry = audit(control, "assign.set", &app.name, &assignment)?;
    (entry.before, entry.after) = (before.as_ref().map(summary), Some(summary(&assignment)));
    draft.audit(entry);
    draft.change(Change::AssignmentPut(assignment));
    Ok(())
}

/// What somebody decided to take away, as part of another change; nothing happens where it is gone.
pub(crate) fn take_away(control: &Control, draft: &mut Draft, app: &App, principal: Principal) -> Result<(), Problem> {
    let held = control.snapshot().assignments.get(&AssignmentKey { app: app.id, principal }).cloned();
    let Some(held) = held else { return Ok(()) };
    draft.audit(Audit { before: Some(summary(&held)), ..audit(control, "assign.remove", &app.name, &held)? });
    draft.change(Change::AssignmentRemoved { app: app.id, principal });
    Ok(())
}

/// `assign remove`.
pub(crate) fn remove(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    app: &str,
    principal: &str,
) -> Result<Changed, Problem> {
    let app = find_app(&control.snapshot(), tenant, app)?.clone();
    let key = AssignmentKey { app: app.id, principal: parse_principal(control, tenant, principal)? };
    let held = control.snapshot().assignments.get(&key).cloned();
    let Some(held) = held else {
        return Err(not_found("assignment", &format!("{} {principal}", app.name)));
    };
    let mut draft = Draft::default();
    let mut entry = audit(control, "assign.remove", &app.name, &held)?;
    entry.before = Some(summary(&held));
    draft.audit(entry);
    draft.change(Change::AssignmentRemoved { app: key.app, principal: key.principal });
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// `assign list`: by application, those that decide first in front.
pub(crate) fn list(
    control: &Control,
    tenant: &Tenant,
    query: &AssignmentQuery,
) -> Result<Vec<AssignmentView>, Problem> {
    let used = control.read("assignments", |store| store.assignments_used(tenant.id))?;
    let asked: Vec<(Name, Assignment)> = {
        let snapshot = control.snapshot();
        let ends = |end: Option<u64>| query.before_unix.is_none_or(|before| end.is_some_and(|end| end < before));
        let own = snapshot.assignments.values().filter(|assignment| assignment.app.tenant == tenant.id);
        let own = own.filter(|assignment| query.app.is_none_or(|app| app == assignment.app));
        let own = own.filter(|assignment| ends(assignment.expires_unix));
        let own = own.filter(|assignment| query.is_unused(&snapshot, &used, assignment));
        own.filter_map(|held| Some((snapshot.apps.get(&held.app)?.name.clone(), held.clone()))).collect()
    };
    let now = now_unix();
    let viewed = asked.iter().map(|(app, assignment)| {
        let last_used_unix = used.get(&(assignment.app, assignment.principal)).copied();
        Ok(AssignmentView { last_used_unix, ..view(control, app, assignment, now)? })
    });
    viewed.collect()
}

/// What `app=`, `expiring_s=` and `unused_s=` ask for.
pub(crate) fn query(control: &Control, tenant: &Tenant, query: &str) -> Result<AssignmentQuery, Problem> {
    let mut parsed = AssignmentQuery::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let wrong =
            || problem("request-invalid", format!("the query {name}={value:?} is not app=, expiring_s= or unused_s="));
        match &*name {
            "app" => parsed.app = Some(find_app(&control.snapshot(), tenant, &value)?.id),
            "expiring_s" => {
                parsed.before_unix = Some(now_unix().saturating_add(value.parse::<u64>().map_err(|_| wrong())?));
            }
            "unused_s" => {
                let span = used::span(value.parse::<u64>().map_err(|_| wrong())?)?;
                parsed.unused_since_unix = Some(now_unix().saturating_sub(span));
            }
            _ => return Err(wrong()), // names have no end
        }
    }
    Ok(parsed)
}

/// For each application that a user is assigned to, the assignment that decides.
pub(crate) fn of_user(
    control: &Control,
    user: &User,
    groups: &BTreeSet<UserGroupId>,
    now_unix: u64,
) -> Result<Vec<AssignmentView>, Problem> {
    let deciding: Vec<(Name, Assignment)> = {
        let snapshot = control.snapshot();
        let own = snapshot.apps.values().filter(|app| app.id.tenant == user.id.tenant);
        let found = own.filter_map(|app| {
            let assignment = assigned(&snapshot.assignments, user, groups, app.id, now_unix)?;
            Some((app.name.clone(), assignment.clone()))
        });
        found.collect()
    };
    deciding.iter().map(|(app, assignment)| view(control, app, assignment, now_unix)).collect()
}

/// Names of the applications that someone is assigned to.
pub(crate) fn apps_of(snapshot: &Snapshot, principal: Principal) -> Vec<Name> {
    let theirs = snapshot.assignments.keys().filter(|key| key.principal == principal);
    theirs.filter_map(|key| Some(snapshot.apps.get(&key.app)?.name.clone())).collect()
}

/// Removes all assignments of someone who goes; gives the applications' names.
pub(crate) fn remove_all(snapshot: &Snapshot, principal: Principal, draft: &mut Draft) -> Vec<Name> {
    for key in snapshot.assignments.keys().filter(|key| key.principal == principal) {
        draft.change(Change::AssignmentRemoved { app: key.app, principal });
    }
    apps_of(snapshot, principal)
}

/// What an audit record says of someone who goes with their assignments.
pub(crate) fn with_apps(summary: String, apps: &[Name]) -> String {
    let names: Vec<&str> = apps.iter().map(Name::as_str).collect();
    if names.is_empty() { summary } else { format!("{summary}; assigned to {}", names.join(", ")) }
}

/// `export`.
pub(crate) fn entries(control: &Control, tenant: &Tenant, users: bool) -> Result<Vec<AssignmentEntry>, Problem> {
    let views = list(control, tenant, &AssignmentQuery::default())?;
    let entry = |view: AssignmentView| {
        let AssignmentView { app, principal, role, expires_unix, .. } = view;
        let mut entry = AssignmentEntry { app, user: None, group: None, everyone: false, role, expires_unix };
        match principal.split_once('/') {
            Some(("user", login)) => entry.user = login.parse().ok(),
            Some((_, group)) => entry.group = group.parse().ok(),
            None => entry.everyone = true,
        }
        (users || entry.user.is_none()).then_some(entry)
    };
    Ok(views.into_iter().filter_map(entry).collect())
}

/// `apply`: the assignment shall be exactly so. Nothing happens when it is. `seen` holds what the document has assigned so
/// far, and at which entry.
pub(crate) fn put_entry(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    entry: &AssignmentEntry,
    seen: &mut BTreeSet<AssignmentKey>,
) -> Result<(), Problem> {
    let request = asked(entry);
    let changed = put(control, actor, tenant, &request)?;
    if seen.insert(key(control, tenant, entry)?) {
        return Ok(());
    }
    let AssignmentView { app, principal, .. } = changed.assignment;
    Err(problem("request-invalid", format!("{principal} is assigned to {app} twice: keep one of them")))
}

/// `apply --prune`: removes what the document does not name.
pub(crate) fn prune(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    named: &[AssignmentEntry],
) -> Result<(), Problem> {
    // What is not there yet names no assignment that is; it is refused, or made, later.
    let kept: BTreeSet<AssignmentKey> = named.iter().filter_map(|entry| key(control, tenant, entry).ok()).collect();
    let own: Vec<AssignmentKey> = {
        let snapshot = control.snapshot();
        let own = snapshot.assignments.keys().filter(|key| key.app.tenant == tenant.id);
        own.filter(|key| !kept.contains(key)).copied().collect()
    };
    for key in own {
        let principal = principal_name(control, key.principal)?;
        remove(control, actor, tenant, &key.app.to_string(), &principal)?;
    }
    Ok(())
}

/// What an operator should know about the applications of a document's assignments, one line each.
pub(crate) fn warnings(snapshot: &Snapshot, tenant: TenantId, entries: &[AssignmentEntry]) -> Vec<String> {
    let apps: BTreeMap<&Name, &App> =
        snapshot.apps.values().filter(|app| app.id.tenant == tenant).map(|app| (&app.name, app)).collect();
    let named: BTreeSet<&Name> = entries.iter().map(|entry| &entry.app).collect();
    named.into_iter().filter_map(|name| apps.get(name)).filter_map(|app| no_effect_yet(snapshot, app)).collect()
}

/// Nobody shall believe that an assignment protects what does not ask, or lets in where nobody can say who they are.
fn no_effect_yet(snapshot: &Snapshot, app: &App) -> Option<String> {
    match app.preauth {
        Preauth::Passthrough => Some(format!(
            "{} is published with --preauth passthrough: everybody reaches it, whoever is assigned",
            app.name
        )),
        Preauth::Oidc => kept_out::nowhere_to_sign_in(snapshot, app),
    }
}

fn store(
    control: &Control,
    actor: &Actor,
    app: &App,
    before: Option<&Assignment>,
    assignment: &Assignment,
) -> Result<u64, Problem> {
    if before == Some(assignment) {
        return Ok(control.snapshot().version);
    }
    if before.is_none() {
        check_room(control)?;
    }
    let mut draft = Draft::default();
    let mut entry = audit(control, "assign.set", &app.name, assignment)?;
    (entry.before, entry.after) = (before.map(summary), Some(summary(assignment)));
    draft.audit(entry);
    draft.change(Change::AssignmentPut(assignment.clone()));
    control.commit(actor, draft)
}

fn check_room(control: &Control) -> Result<(), Problem> {
    if control.snapshot().assignments.len() >= ASSIGNMENTS_MAX {
        return Err(problem("limit-reached", format!("there are {ASSIGNMENTS_MAX} assignments already")));
    }
    Ok(())
}

fn asked(entry: &AssignmentEntry) -> Assign {
    let AssignmentEntry { app, user, group, everyone, role, expires_unix } = entry;
    Assign {
        app: app.to_string(),
        user: user.as_ref().map(ToString::to_string),
        group: group.as_ref().map(ToString::to_string),
        everyone: *everyone,
        role: role.clone(),
        expires_unix: *expires_unix,
    }
}

fn key(control: &Control, tenant: &Tenant, entry: &AssignmentEntry) -> Result<AssignmentKey, Problem> {
    let app = find_app(&control.snapshot(), tenant, entry.app.as_str())?.id;
    Ok(AssignmentKey { app, principal: principal(control, tenant, &asked(entry))? })
}

fn principal(control: &Control, tenant: &Tenant, request: &Assign) -> Result<Principal, Problem> {
    match (&request.user, &request.group, request.everyone) {
        (Some(user), None, false) => {
            let user = find_user(control, tenant, user).map_err(|problem| problem.about("user"))?;
            Ok(Principal::User(user.id))
        }
        (None, Some(group), false) => {
            let group = find_group(control, tenant, group).map_err(|problem| problem.about("group"))?;
            Ok(Principal::Group(group.id))
        }
        (None, None, true) => Ok(Principal::Everyone),
        (Some(_), Some(_), _) | (Some(_), _, true) | (_, Some(_), true) | (None, None, false) => {
            Err(problem("request-invalid", "an assignment needs a user, a group or everyone: one of them"))
        }
    }
}

/// `user/LOGIN`, `group/NAME` or `everyone`.
pub(crate) fn parse_principal(control: &Control, tenant: &Tenant, text: &str) -> Result<Principal, Problem> {
    match text.split_once('/') {
        Some(("user", user)) => Ok(Principal::User(find_user(control, tenant, user)?.id)),
        Some(("group", group)) => Ok(Principal::Group(find_group(control, tenant, group)?.id)),
        None if text == "everyone" => Ok(Principal::Everyone),
        Some(_) | None => Err(problem("request-invalid", format!("{text:?} is not user/U, group/UG or everyone"))),
    }
}

fn view(control: &Control, app: &Name, assignment: &Assignment, now_unix: u64) -> Result<AssignmentView, Problem> {
    Ok(AssignmentView {
        app: app.clone(),
        principal: principal_name(control, assignment.principal)?,
        role: assignment.role.clone(),
        expires_unix: assignment.expires_unix,
        expired: !assignment.is_current(now_unix),
        created_unix_ms: assignment.created_unix_ms,
        last_used_unix: None,
    })
}

fn audit(control: &Control, action: &'static str, app: &Name, assignment: &Assignment) -> Result<Audit, Problem> {
    let target = format!("assignment {app} {}", principal_name(control, assignment.principal)?);
    Ok(Audit { action, tenant: Some(assignment.app.tenant), target, before: None, after: None })
}

fn summary(assignment: &Assignment) -> String {
    let role = assignment.role.as_ref().map(|role| format!("role={role}"));
    let end = assignment.expires_unix.map(|end| format!("expires_unix={end}"));
    let parts: Vec<String> = role.into_iter().chain(end).collect();
    if parts.is_empty() { "assigned".into() } else { parts.join(" ") }
}
