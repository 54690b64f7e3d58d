//! Limits: what was set, what holds, and what relays say of it.

use std::collections::BTreeMap;

use postern_model::admin::{Changed, LimitChanged, LimitView, Problem, SetLimit};
use postern_model::config::Tenant;
use postern_model::ids::{AppId, TenantId};
use postern_model::limit::{Choice, Limit, LimitKey, LimitScope, PlannedLimit, ScopeInvalid, planned};
use postern_model::question::LimiterReport;
use postern_model::{Change, Snapshot};

use crate::apps::find_app;
use crate::control::{Actor, Audit, Control, Draft};
use crate::directory::find_user;
use crate::limits::{LIMITS_MAX, PREFIX_LIMITS_MAX};
use crate::problem::{not_found, problem};

/// `throttle list`: every limit that holds.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Vec<LimitView> {
    let snapshot = control.snapshot();
    let own = planned(&snapshot).into_iter().filter(|planned| planned.key.tenant == tenant.id);
    own.map(|planned| LimitView::from(&planned)).collect()
}

/// `throttle set`: what is not given stays.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: &SetLimit,
) -> Result<LimitChanged, Problem> {
    let scope = parse_scope(&control.snapshot(), tenant, &request.scope)?;
    let key = LimitKey { tenant: tenant.id, scope };
    let before = control.snapshot().limits.get(&key).cloned();
    let mut limit = before.clone().unwrap_or_else(|| Limit::new(key.tenant, key.scope.clone()));
    apply_choices(&mut limit, request)?;
    put(control, actor, before.as_ref(), &limit)?;
    let mut changed = changed(control, &key)?;
    changed.warnings.extend(of_nobody(control, tenant, &key.scope)?);
    Ok(changed)
}

/// `throttle unset`: everything of a limit is at its default again.
pub(crate) fn unset(control: &Control, actor: &Actor, tenant: &Tenant, scope: &str) -> Result<Changed, Problem> {
    let scope = parse_scope(&control.snapshot(), tenant, scope)?;
    let before = control.snapshot().limits.get(&LimitKey { tenant: tenant.id, scope: scope.clone() }).cloned();
    let Some(before) = before else {
        return Err(not_found("limit that was set for", &scope.name(&control.snapshot())));
    };
    let version = put(control, actor, Some(&before), &Limit::new(tenant.id, scope))?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// Stores a limit, or removes it when it leaves everything to the defaults. Nothing happens when nothing changes.
pub(crate) fn put(control: &Control, actor: &Actor, before: Option<&Limit>, limit: &Limit) -> Result<u64, Problem> {
    let change = match before {
        Some(before) if before == limit => return Ok(control.snapshot().version),
        None if limit.is_empty() => return Ok(control.snapshot().version),
        Some(_) if limit.is_empty() => Change::LimitRemoved { tenant: limit.tenant, scope: limit.scope.clone() },
        Some(_) | None => {
            limit.check().map_err(|error| problem("limit-invalid", error.to_string()).about(error.field))?;
            check_room(&control.snapshot(), before, limit)?;
            Change::LimitPut(limit.clone())
        }
    };
    let mut draft = Draft::default();
    draft.audit(Audit {
        action: if limit.is_empty() { "throttle.unset" } else { "throttle.set" },
        tenant: Some(limit.tenant),
        target: format!("limit {}", limit.scope.name(&control.snapshot())),
        before: before.map(summary),
        after: (!limit.is_empty()).then(|| summary(limit)),
    });
    draft.change(change);
    control.commit(actor, draft)
}

/// Adds relays' reports up, limit by limit; those that refused most first.
pub(crate) fn added_up(reports: impl IntoIterator<Item = LimiterReport>) -> Vec<LimiterReport> {
    let mut sums: BTreeMap<String, LimiterReport> = BTreeMap::new();
    for report in reports {
        match sums.get_mut(&report.scope) {
            Some(sum) => {
                sum.admitted_total += report.admitted_total;
                sum.refused_total += report.refused_total;
                sum.in_progress += report.in_progress;
                sum.rate_1s += report.rate_1s;
            }
            None => drop(sums.insert(report.scope.clone(), report)),
        }
    }
    let mut items: Vec<LimiterReport> = sums.into_values().collect();
    items.sort_by_key(|report| std::cmp::Reverse((report.refused_total, report.admitted_total)));
    items
}

/// What people write, with the tenant's applications by name or id.
pub(crate) fn parse_scope(snapshot: &Snapshot, tenant: &Tenant, text: &str) -> Result<LimitScope, Problem> {
    let app = |name: &str| -> Result<AppId, Refused> { Ok(find_app(snapshot, tenant, name)?.id) };
    LimitScope::parse::<Refused>(text, app).map_err(|refused| refused.0)
}

/// A limit as one line.
pub(crate) fn summary(limit: &Limit) -> String {
    let text = |name: &str, value: Option<String>| value.map(|value| format!("{name}={value}"));
    let fields = [
        text("rps", limit.rps.map(|rps| rps.to_string())),
        text("burst", limit.burst.map(|burst| burst.to_string())),
        text("conns", limit.conns.map(|conns| conns.to_string())),
        text("bps", limit.bps.map(|bps| bps.to_string())),
    ];
    fields.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn apply_choices(limit: &mut Limit, request: &SetLimit) -> Result<(), Problem> {
    let SetLimit { scope: _, rps, burst, conns, bps } = request;
    for (held, choice) in [(&mut limit.rps, rps), (&mut limit.conns, conns), (&mut limit.bps, bps)] {
        if let Some(choice) = choice {
            *held = choice.allowance();
        }
    }
    match burst.map(Choice::allowance) {
        None => {}
        Some(None) => limit.burst = None,
        Some(Some(postern_model::limit::Allowance::At(burst))) => limit.burst = Some(burst),
        Some(Some(postern_model::limit::Allowance::Unlimited)) => {
            return Err(problem("limit-invalid", "burst = none: a rate needs a burst; leave rps unlimited instead"));
        }
    }
    Ok(())
}

fn changed(control: &Control, key: &LimitKey) -> Result<LimitChanged, Problem> {
    let snapshot = control.snapshot();
    let held: Option<PlannedLimit> = planned(&snapshot).into_iter().find(|planned| planned.key == *key);
    let held = held.unwrap_or_else(|| PlannedLimit::of(&snapshot, &Limit::new(key.tenant, key.scope.clone())));
    let limit = LimitView::from(&held);
    let warnings = limit.note.iter().map(|note| format!("{}: {note}", limit.scope)).collect();
    Ok(LimitChanged { limit, version: snapshot.version, warnings })
}

/// A limit may be there before its user is; more often the name is mistyped, or an id.
fn of_nobody(control: &Control, tenant: &Tenant, scope: &LimitScope) -> Result<Option<String>, Problem> {
    let LimitScope::User(login) = scope else { return Ok(None) };
    match find_user(control, tenant, login.as_str()) {
        Ok(user) if user.login == *login => Ok(None),
        Ok(user) => Ok(Some(format!("{scope}: limits of users go by login name: write user/{}", user.login))),
        Err(unknown) if unknown.code == "not-found" => {
            Ok(Some(format!("{scope}: {}: it will hold for whoever signs in by that name", unknown.detail)))
        }
        Err(problem) => Err(problem),
    }
}

fn check_room(snapshot: &Snapshot, before: Option<&Limit>, limit: &Limit) -> Result<(), Problem> {
    if before.is_some() {
        return Ok(());
    }
    if snapshot.limits.len() >= LIMITS_MAX {
        return Err(problem("limit-reached", format!("{LIMITS_MAX} limits are set already")));
    }
    let is_prefix = |scope: &LimitScope| matches!(scope, LimitScope::SourcePrefix(_));
    let own = |tenant: TenantId| move |key: &&LimitKey| key.tenant == tenant && is_prefix(&key.scope);
    if is_prefix(&limit.scope) && snapshot.limits.keys().filter(own(limit.tenant)).count() >= PREFIX_LIMITS_MAX {
        let detail = format!("the tenant has limits for {PREFIX_LIMITS_MAX} address prefixes already");
        return Err(problem("limit-reached", detail));
    }
    Ok(())
}

/// Why a scope was refused: its form, or an application that is not there.
struct Refused(Problem);

impl From<ScopeInvalid> for Refused {
    fn from(invalid: ScopeInvalid) -> Self {
        Self(problem("limit-invalid", invalid.to_string()))
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}
