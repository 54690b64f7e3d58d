//! What policies would make of a request: asked with the directory and the assignments as they are now.

use std::collections::BTreeSet;

use postern_model::admin::{Problem, WhatIf, WhatIfAnswer};
use postern_model::config::{App, Preauth, Tenant};
use postern_model::directory::{User, assigned};
use postern_model::ids::{SessionId, UserGroupId};
use postern_model::policy::{ClientKind, DeviceState, Input, Platform, Risk, trace};
use postern_model::session::{AuthMethod, SessionRecord, Subject};
use postern_model::terms::AcceptedTerms;

use crate::apps::find_app;
use crate::clock::now_unix;
use crate::control::Control;
use crate::directory::{Groups, check_end, find_user, principal_name};

/// `policy what-if`.
pub(crate) fn what_if(control: &Control, tenant: &Tenant, request: WhatIf) -> Result<WhatIfAnswer, Problem> {
    let user = find_user(control, tenant, &request.user).map_err(|problem| problem.about("user"))?;
    let app = find_app(&control.snapshot(), tenant, &request.app).map_err(|problem| problem.about("app"))?.clone();
    check_end(request.at_unix)?;
    let now = request.at_unix.unwrap_or_else(now_unix);
    let groups = Groups::of(control, tenant.id)?;
    let direct = control.directory(|store| store.groups_with(user.id))?;
    let counted = groups.graph.counted_groups_of(&user, &direct, now);
    let subject = subject(&user, &groups, &counted);
    let mut terms = control.directory(|store| store.accepted_terms(user.id))?;
    request.terms.iter().for_each(|name| terms.insert(name.clone(), None));
    let session = session(&request, subject, now);
    let input = Input {
        session: Some(&session),
        source: request.ip.map(|ip| ip.to_canonical()),
        country: request.country.or_else(|| control.country(request.ip?)),
        asn: request.asn.or_else(|| control.asn(request.ip?)),
        platform: request.platform.unwrap_or(Platform::Other),
        client: request.client.unwrap_or(ClientKind::Browser),
        risk: request.risk.unwrap_or(Risk::Low),
        device: request.device.unwrap_or(DeviceState::Unknown),
        terms: &terms,
        outlasts: false,
    };
    let (decision, policies, principal) = {
        let snapshot = control.snapshot();
        let decision = control.prepared().policies.decide(&session.user, app.id, &input, now);
        let assignment = assigned(&snapshot.assignments, &user, &counted, app.id, now);
        let traced = trace(&snapshot, Some(&session.user), app.id, &input, now);
        (decision, traced, assignment.map(|found| found.principal))
    };
    let assigned = principal.map(|principal| principal_name(control, principal)).transpose()?;
    Ok(WhatIfAnswer {
        warnings: warnings(&user, &app, assigned.is_some(), now),
        kept_out: kept_out(&user, &app, assigned.is_some(), now).map(str::to_owned),
        policies,
        user: user.login,
        app: app.name,
        outcome: decision.outcome,
        session: decision.session,
        assigned,
    })
}

pub(super) fn subject(user: &User, groups: &Groups, counted: &BTreeSet<UserGroupId>) -> Subject {
    let named = counted.iter().filter_map(|id| Some((*id, groups.all.get(id)?.name.clone())));
    Subject::of(user.clone(), named.collect())
}

/// The session that the user would have.
fn session(request: &WhatIf, user: Subject, now: u64) -> SessionRecord {
    let methods = request.methods.clone();
    SessionRecord {
        id: SessionId(0),
        user,
        authenticated_unix: now.saturating_sub(u64::from(request.auth_age_s)),
        methods: if methods.is_empty() { BTreeSet::from([AuthMethod::Password]) } else { methods },
        provider: None,
        expires_unix: u64::MAX,
        idle_s: u32::MAX,
        persistent: request.persistent,
        source: request.ip,
        risk: request.risk.unwrap_or_default(),
        terms: AcceptedTerms::default(),
        device: None,
        claimed_device: DeviceState::Unknown,
    }
}

/// Policies are asked only about who is let in otherwise.
fn kept_out(user: &User, app: &App, assigned: bool, now: u64) -> Option<&'static str> {
    match app.preauth {
        Preauth::Passthrough => None,
        Preauth::Oidc if !user.is_active(now) => Some("disabled, or their time is over"),
        Preauth::Oidc => (!assigned).then_some("not assigned"),
    }
}

fn warnings(user: &User, app: &App, assigned: bool, now: u64) -> Vec<String> {
    let (login, name) = (&user.login, &app.name);
    let mut warnings = Vec::new();
    if !user.is_active(now) {
        warnings.push(format!("{login} is disabled, or their time is over: they pass nowhere, and are in no group"));
    }
    match app.preauth {
        Preauth::Passthrough => warnings.push(format!(
            "{name} is published with --preauth passthrough: everybody reaches it, and no policy is asked"
        )),
        Preauth::Oidc if !assigned => warnings.push(format!("{login} is not assigned to {name}")),
        Preauth::Oidc => {}
    }
    warnings
}
