//! The name below which each application of a tenant has one of its own: `NAME.SUFFIX`.

use postern_model::admin::{Changed, Problem, SetAppSuffix};
use postern_model::app_url::{ExternalUrl, HOST_BYTES_MAX};
use postern_model::config::Tenant;
use postern_model::{Change, Snapshot};

use super::audit;
use crate::control::{Actor, Audit, Control, Draft};
use crate::foreign_hosts::ForeignHosts;
use crate::problem::problem;
use crate::{apps, certificates, domains};

/// `tenant set --app-suffix`.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: SetAppSuffix,
) -> Result<Changed, Problem> {
    let SetAppSuffix { app_suffix, certificate_pem, key_pem } = request;
    let below = parsed(&app_suffix).map_err(|problem| problem.about("app_suffix"))?;
    let after = Tenant { app_suffix: Some(below.host.to_string()), ..tenant.clone() };
    let snapshot = control.snapshot();
    domains::check(control, &snapshot, tenant.id, &below).map_err(|problem| problem.about("app_suffix"))?;
    check(&snapshot, &after, &below)?;
    let mut draft = Draft::default();
    let given = (certificate_pem, key_pem);
    let chosen = certificates::for_host(control, tenant.id, &below.host_pattern(), given, &mut draft)
        .map_err(|problem| problem.about("cert"))?;
    put(&snapshot, tenant, after, &mut draft);
    let version = if draft.is_empty() { snapshot.version } else { control.commit(actor, draft)? };
    Ok(Changed { version, warnings: chosen.warnings })
}

/// `tenant set --app-suffix none`.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant) -> Result<Changed, Problem> {
    let snapshot = control.snapshot();
    let mut draft = Draft::default();
    put(&snapshot, tenant, Tenant { app_suffix: None, ..tenant.clone() }, &mut draft);
    let version = if draft.is_empty() { snapshot.version } else { control.commit(actor, draft)? };
    Ok(Changed { version, warnings: Vec::new() })
}

fn put(snapshot: &Snapshot, before: &Tenant, after: Tenant, draft: &mut Draft) {
    if *before == after {
        return;
    }
    if let Some(suffix) = &before.app_suffix {
        certificates::drop_below(snapshot, before.id, suffix, draft);
    }
    let told = |tenant: &Tenant| tenant.app_suffix.clone();
    let target = format!("tenant {} ({})", after.name, after.id);
    let (before, told_after) = (told(before), told(&after));
    draft.audit(Audit { before, after: told_after, ..audit("tenant.app-suffix", after.id, target) });
    draft.change(Change::TenantPut(after));
}

/// A name with room for those of applications below it, as the wildcard over these.
fn parsed(suffix: &str) -> Result<ExternalUrl, Problem> {
    let invalid = |detail: String| problem("app-url-invalid", detail);
    let below = ExternalUrl::parse(&format!("https://*.{suffix}/")).map_err(|error| invalid(error.to_string()))?;
    // What is read as more than a host is spelled differently than the host that was read.
    if !suffix.eq_ignore_ascii_case(&below.host) || suffix.len() + APP_NAME_BYTES_MAX >= HOST_BYTES_MAX {
        return Err(invalid(format!("{suffix:?} is no name with room for others below it, such as apps.example.net")));
    }
    Ok(below)
}

/// Nothing is there, and no other tenant's names are around.
fn check(snapshot: &Snapshot, after: &Tenant, below: &ExternalUrl) -> Result<(), Problem> {
    let conflict = |detail: String| Err(problem("app-url-conflict", detail));
    let foreign = ForeignHosts::of(snapshot, after.id);
    let host = below.host_pattern();
    if let Some(app) = foreign.overlapping(below) {
        let theirs = snapshot.tenants.get(&app.id.tenant).map(|tenant| tenant.name.as_str()).unwrap_or_default();
        return conflict(format!("{host} overlaps what the tenant {theirs} publishes: {}", app.name));
    }
    if let Some((suffix, tenant)) = foreign.suffix_at(below) {
        return conflict(format!("{host} overlaps *.{suffix}, where applications of the tenant {} are", tenant.name));
    }
    let mut next = snapshot.clone();
    next.tenants.insert(after.id, after.clone());
    apps::check_conflicts(&next, after)
}

/// As long as a name may be.
const APP_NAME_BYTES_MAX: usize = 63;
