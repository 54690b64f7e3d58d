//! The host at which browsers show their device's certificate: another one of the place to sign in, with a certificate of its
//! own where none covers it.

use postern_model::admin::{Changed, IdentityPublished, Problem, SetDeviceHost};
use postern_model::app_url::ExternalUrl;
use postern_model::device::DeviceHost;
use postern_model::identity::IdentityApp;
use postern_model::{Change, Snapshot};

use super::asked;
use crate::apps::external_urls;
use crate::control::{Actor, Audit, Control, Draft};
use crate::problem::problem;
use crate::{certificates, domains, identity};

/// `identity device-host set`.
pub(crate) fn set(control: &Control, actor: &Actor, request: SetDeviceHost) -> Result<IdentityPublished, Problem> {
    let SetDeviceHost { host, certificate_pem, key_pem } = request;
    let before = published(control)?;
    if let Some(app) = app_at(&control.snapshot(), &host) {
        let detail = format!("{host} is where {app} is published: devices need a host at which there is nothing else");
        return Err(problem("app-url-conflict", detail).about("host"));
    }
    let tenant = identity::default_tenant(&control.snapshot())?;
    if let Ok(url) = ExternalUrl::parse(&format!("https://{host}/")) {
        domains::check(control, &control.snapshot(), tenant.id, &url).map_err(|problem| problem.about("host"))?;
    }
    let mut draft = Draft::default();
    if certificate_pem.is_some() {
        certificates::drop_issued(&control.snapshot(), host.as_str(), None, &mut draft);
    }
    let chosen = certificates::for_host(control, tenant.id, host.as_str(), (certificate_pem, key_pem), &mut draft)
        .map_err(|problem| problem.about("cert"))?;
    let after = IdentityApp { device_host: Some(host), ..before.clone() };
    if before != after {
        draft.audit(audit(&before, &after));
        draft.change(Change::IdentityPut(after.clone()));
        drop_certificate(control, &before, &after, &mut draft);
    }
    let version = if draft.is_empty() { control.snapshot().version } else { control.commit(actor, draft)? };
    let warnings = shadowed(&control.snapshot(), &after).into_iter().chain(chosen.warnings).collect();
    Ok(IdentityPublished { identity: identity::show(control)?, version, warnings })
}

/// `identity device-host remove`: no browser is asked for a certificate any more. Who is signed in with a device stays so.
pub(crate) fn remove(control: &Control, actor: &Actor) -> Result<Changed, Problem> {
    let before = published(control)?;
    if before.device_host.is_none() {
        return Err(problem("not-found", "there is no device host: postern identity device-host set HOST"));
    }
    let after = IdentityApp { device_host: None, ..before.clone() };
    let mut draft = Draft::default();
    draft.audit(audit(&before, &after));
    draft.change(Change::IdentityPut(after.clone()));
    drop_certificate(control, &before, &after, &mut draft);
    let version = control.commit(actor, draft)?;
    let warnings = asked::left_without(&control.snapshot());
    Ok(Changed { version, warnings })
}

/// Refuses an application at the device host: whatever was published there, no browser would reach it.
pub(crate) fn taken(snapshot: &Snapshot, external: &ExternalUrl) -> Result<(), Problem> {
    let host = snapshot.identity.as_ref().and_then(|identity| identity.device_host.as_ref());
    match host {
        Some(host) if !external.wildcard && *external.host == *host.as_str() => {
            let detail = format!("{host} is where browsers show their device's certificate, and nothing else is there");
            Err(problem("app-url-conflict", detail))
        }
        Some(_) | None => Ok(()),
    }
}

fn published(control: &Control) -> Result<IdentityApp, Problem> {
    let identity = control.snapshot().identity.clone();
    let none = || problem("not-found", "people sign in nowhere yet: postern identity publish --external https://HOST/");
    identity.ok_or_else(none)
}

fn app_at(snapshot: &Snapshot, host: &DeviceHost) -> Option<String> {
    let at = |url: &ExternalUrl| !url.wildcard && *url.host == *host.as_str();
    let mut apps = snapshot.apps.values();
    let found = apps.find(|app| external_urls(snapshot, app).iter().any(at));
    found.map(|app| app.name.to_string())
}

/// An application at a wildcard over the device host gets nothing of it.
fn shadowed(snapshot: &Snapshot, identity: &IdentityApp) -> Option<String> {
    let host = identity.device_host.as_ref()?;
    let over = |url: &ExternalUrl| url.wildcard && url.is_at(host.as_str());
    let mut apps = snapshot.apps.values();
    let app = apps.find(|app| external_urls(snapshot, app).iter().any(over))?;
    Some(format!("{host} is below the wildcard of {}, which gets no request of that host any more", app.name))
}

/// The certificate that control issued for a device host that is another one now, or for an application that left it to that.
fn drop_certificate(control: &Control, before: &IdentityApp, after: &IdentityApp, draft: &mut Draft) {
    if let Some(host) = &before.device_host {
        let next = after.device_host.as_ref().map(DeviceHost::as_str);
        certificates::drop_issued(&control.snapshot(), host.as_str(), next, draft);
    }
}

fn audit(before: &IdentityApp, after: &IdentityApp) -> Audit {
    let host = |identity: &IdentityApp| identity.device_host.as_ref().map(ToString::to_string);
    let action = if after.device_host.is_some() { "identity.device-host.set" } else { "identity.device-host.remove" };
    let target = String::from("the host where browsers show their device's certificate");
    Audit { action, tenant: Some(before.app.tenant), target, before: host(before), after: host(after) }
}
