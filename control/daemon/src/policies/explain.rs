//! Why a request was let in or not: what its relay recorded, held against what control knows now. Policies, users and groups
//! may have changed since; where that shows, it is said.

use std::collections::BTreeSet;

use postern_model::Snapshot;
use postern_model::admin::{AccessExplained, Problem};
use postern_model::config::{App, Preauth};
use postern_model::device::Approval;
use postern_model::ids::{PolicyId, SessionId, TenantId};
use postern_model::policy::{ClientKind, DeviceState, Input, Platform, PolicyState, Risk, Traced, trace};
use postern_model::record::{AccessRecord, IDLE, LoggedRequest, RequestRecord};
use postern_model::session::is_multi_factor;
use postern_model::settings::{AppSettings, Mfa};
use postern_model::terms::AcceptedTerms;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::subjects::Subjects;
use crate::clock::now_unix;
use crate::control::Control;
use crate::devices;
use crate::directory::principal_name;

/// `explain REQUEST_ID`; nothing, where nobody was asked who they are.
pub(crate) fn explained(
    control: &Control,
    tenant: TenantId,
    record: &RequestRecord,
) -> Result<Option<AccessExplained>, Problem> {
    let Some(id) = record.app.filter(|app| app.tenant == tenant) else { return Ok(None) };
    let Some(app) = control.snapshot().apps.get(&id).cloned() else { return Ok(None) };
    if app.preauth == Preauth::Passthrough && record.subject.is_none() {
        return Ok(None);
    }
    let who = record.subject.clone().unwrap_or_else(|| "nobody".to_owned());
    let mut explained = AccessExplained { who, ..AccessExplained::default() };
    match (&record.subject, record.access.as_deref()) {
        (None, _) => explained.missing.push("a session that counts, or a token".into()),
        (Some(_), Some(access)) => of_user(control, &app, record, access, &mut explained)?,
        (Some(who), None) if who.starts_with("user/") => {
            explained.warnings.push("the relay is of an older version: it does not record how it decided".into());
        }
        (Some(_), None) => of_machine(control, &app, record, &mut explained),
    }
    Ok(Some(explained))
}

fn of_user(
    control: &Control,
    app: &App,
    record: &RequestRecord,
    access: &AccessRecord,
    explained: &mut AccessExplained,
) -> Result<(), Problem> {
    explained.assigned = access.assigned.map(|principal| principal_name(control, principal)).transpose()?;
    explained.missing = missing(app, access);
    name_device(control, app.id.tenant, access, explained)?;
    let Some(mut logged) = at(record).and_then(|at| LoggedRequest::of(record, at)) else {
        explained.warnings.push("the record cannot be read as one of a user".into());
        return Ok(());
    };
    logged.country = logged.country.or_else(|| control.country(logged.source));
    logged.asn = logged.asn.or_else(|| control.asn(logged.source));
    let mut subjects = Subjects::new(control, app.id.tenant)?;
    let Some(subject) = subjects.of(&logged.user)? else {
        explained
            .warnings
            .push(format!("there is no user {} any more: why policies applied is not known", logged.user));
        return Ok(());
    };
    explained.session = whole_id(control, subject.id, &access.session);
    if explained.session.is_none() {
        explained.warnings.push("the session is over".into());
    }
    // As they are now: what was not accepted then is told by what was missing.
    let terms = control.directory(|store| store.accepted_terms(subject.id))?;
    let session = logged.session(subject.clone());
    let input = logged.input(&session, &terms);
    let snapshot = control.snapshot();
    let traced = trace(&snapshot, Some(subject), app.id, &input, logged.at_unix);
    compare(&snapshot, app.id.tenant, access, traced, explained);
    Ok(())
}

/// The device that the session began with; says where it counts for something else now.
fn name_device(
    control: &Control,
    tenant: TenantId,
    access: &AccessRecord,
    explained: &mut AccessExplained,
) -> Result<(), Problem> {
    let Some(logged) = &access.device else { return Ok(()) };
    let Some(id) = logged.id.filter(|id| id.tenant == tenant) else { return Ok(()) };
    let found = control.directory(|store| store.device(id))?;
    let Some(device) = found.filter(|device| device.approval != Approval::Removed) else {
        explained.warnings.push(format!("the device {id} was removed since"));
        return Ok(());
    };
    // The session keeps what its provider said.
    let now = devices::state(control, &device, now_unix()).max(logged.claimed);
    if now != logged.state {
        let then = logged.state;
        explained.warnings.push(format!("the device {id} counted as {then} then, and counts as {now} now"));
    }
    explained.device = Some(device.name.to_string());
    Ok(())
}

/// What applied then or would now; says where these differ.
fn compare(
    snapshot: &Snapshot,
    tenant: TenantId,
    access: &AccessRecord,
    traced: Vec<Traced>,
    explained: &mut AccessExplained,
) {
    let then: BTreeSet<PolicyId> = access.policies.iter().chain(&access.report_only).copied().collect();
    for gone in then.iter().filter(|id| id.tenant != tenant || !snapshot.policies.contains_key(id)) {
        explained.warnings.push(format!("the policy {gone} applied then, and is no more"));
    }
    for policy in traced {
        let counted = then.contains(&policy.policy);
        let in_force = policy.state == PolicyState::On;
        if counted && (!policy.applies || policy.state == PolicyState::Off) {
            explained.warnings.push(format!("the policy {} applied then and would not now", policy.name));
        } else if !counted && policy.applies && in_force {
            explained.warnings.push(format!("the policy {} did not apply then and would now", policy.name));
        }
        if counted || policy.applies && policy.state != PolicyState::Off {
            explained.policies.push(policy);
        }
    }
}

/// Of a machine the relay records nothing but which it is: it has no session.
fn of_machine(control: &Control, app: &App, record: &RequestRecord, explained: &mut AccessExplained) {
    let source = record.client.parse().ok().map(|client: std::net::SocketAddr| client.ip().to_canonical());
    let terms = AcceptedTerms::default();
    let input = Input {
        session: None,
        source,
        country: source.and_then(|source| control.country(source)),
        asn: source.and_then(|source| control.asn(source)),
        platform: Platform::Other,
        client: ClientKind::Service,
        risk: Risk::Low,
        device: DeviceState::Unknown,
        terms: &terms,
        outlasts: false,
    };
    let traced = trace(&control.snapshot(), None, app.id, &input, at(record).unwrap_or_default());
    explained.policies =
        traced.into_iter().filter(|policy| policy.applies && policy.state != PolicyState::Off).collect();
}

fn missing(app: &App, access: &AccessRecord) -> Vec<String> {
    let mfa = AppSettings::parse(&app.settings).is_ok_and(|settings| settings.mfa == Mfa::Required);
    let lacks_factor = mfa && !is_multi_factor(&access.methods);
    let mut missing = Vec::new();
    if lacks_factor {
        missing.push("a second factor, which the application asks for (mfa=required)".to_owned());
    } else if access.assigned.is_none() {
        missing.push("an assignment to the application".to_owned());
    }
    match access.outcome.as_deref() {
        Some(IDLE) => missing.push("a sign-in: the session was idle for longer than a policy allows".to_owned()),
        Some(outcome) => missing.extend(outcome.strip_prefix("needs ").map(str::to_owned)),
        None => {}
    }
    missing
}

/// The session of a user whose id begins so, if they still have it.
fn whole_id(control: &Control, user: postern_model::ids::UserId, begins: &str) -> Option<SessionId> {
    control.sessions.borrow().of_user(user).find(|id| id.to_string().starts_with(begins))
}

fn at(record: &RequestRecord) -> Option<u64> {
    let time = OffsetDateTime::parse(&record.time, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp()).ok()
}
