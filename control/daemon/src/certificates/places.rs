//! Certificates of the hosts where applications are besides their external URL: other names, further segments, and the names below
//! a tenant's suffix. Relays find them by the hosts that they are for; no application says which one it is.

use std::collections::BTreeSet;

use postern_model::admin::Problem;
use postern_model::app_url::ExternalUrl;
use postern_model::config::{App, Certificate, CertificateOrigin};
use postern_model::host::covers;
use postern_model::ids::{AppId, CertificateId, TenantId};
use postern_model::settings::PlaceSettings;
use postern_model::{Change, Snapshot};

use super::{Choice, Chosen, choose_for, only_one_of_device_host};
use crate::clock::now_unix;
use crate::control::{Control, Draft};

/// Sees to it that each further host of an application has a certificate: its own, one that there is, or a new one of the web CA.
/// Gives what an operator should know.
pub(crate) fn for_places(control: &Control, app: &App, draft: &mut Draft) -> Result<Vec<String>, Problem> {
    let snapshot = control.snapshot();
    let own = drafted(draft, app.certificate).or_else(|| snapshot.certificates.get(&app.certificate).cloned());
    let own = own.map(|certificate| certificate.hosts).unwrap_or_default();
    let mut warnings = Vec::new();
    for host in hosts(app).iter().filter(|host| !covers(&own, host)) {
        let choice = Choice { chain_pem: None, key_pem: None, current: None };
        let Chosen { warnings: told, .. } = choose_for(control, (app.id.tenant, host.as_str()), choice, draft)?;
        warnings.extend(told);
    }
    Ok(warnings)
}

/// Removes the certificates that were issued for further hosts which an application had, and has no more.
pub(crate) fn drop_places(snapshot: &Snapshot, before: &App, after: Option<&App>, draft: &mut Draft) {
    let kept = after.map(hosts).unwrap_or_default();
    let others = further(snapshot, before.id.tenant, Some(before.id));
    let is_kept = |host: &String| kept.contains(host) || others.iter().any(|(other, _)| other == host);
    let shown = after.map(|app| app.certificate);
    for gone in hosts(before).iter().filter(|host| !is_kept(host)) {
        drop_host(snapshot, before.id.tenant, gone, shown, draft);
    }
}

/// Removes the certificate that was issued for the names below a suffix that a tenant has no more.
pub(crate) fn drop_below(snapshot: &Snapshot, tenant: TenantId, suffix: &str, draft: &mut Draft) {
    let pattern = below(suffix);
    if !of_apps(snapshot, tenant, None).iter().any(|(host, _)| *host == pattern) {
        drop_host(snapshot, tenant, &pattern, None, draft);
    }
}

/// `shown`: by the application as it is to be. Those that applications show now go where they are given up.
fn drop_host(snapshot: &Snapshot, tenant: TenantId, host: &str, shown: Option<CertificateId>, draft: &mut Draft) {
    let is_issued = |c: &&Certificate| c.id.tenant == tenant && c.origin == CertificateOrigin::Issued;
    let issued = snapshot.certificates.values().filter(is_issued).filter(|c| c.hosts == [host]);
    let is_shown = |id: CertificateId| shown == Some(id) || snapshot.apps.values().any(|app| app.certificate == id);
    for certificate in issued.filter(|c| !is_shown(c.id) && only_one_of_device_host(snapshot, c.id).is_none()) {
        draft.change(Change::CertificateRemoved { id: certificate.id });
    }
}

/// A further host for which nothing but this certificate is good now, with what is there. `except`: an application that goes.
pub(crate) fn only_one_of_place(
    snapshot: &Snapshot,
    id: CertificateId,
    except: Option<AppId>,
) -> Option<(String, String)> {
    let certificate = snapshot.certificates.get(&id)?;
    let now = now_unix();
    let is_other = |c: &Certificate, host: &str| {
        c.id.tenant == id.tenant && c.id != id && c.not_after_unix > now && covers(&c.hosts, host)
    };
    let has_other = |host: &str| snapshot.certificates.values().any(|c| is_other(c, host));
    let mut further = further(snapshot, id.tenant, except).into_iter();
    further.find(|(host, _)| covers(&certificate.hosts, host) && !has_other(host))
}

/// Whether it is the only one for a host that shows it without an application that says so. `except`: an application that goes.
pub(crate) fn is_kept(snapshot: &Snapshot, id: CertificateId, except: Option<AppId>) -> bool {
    only_one_of_device_host(snapshot, id).is_some() || only_one_of_place(snapshot, id, except).is_some()
}

/// Whether a further host of an application may show it.
pub(crate) fn is_for_place(snapshot: &Snapshot, id: CertificateId, app: &App) -> bool {
    let certificate = snapshot.certificates.get(&id);
    certificate.is_some_and(|certificate| hosts(app).iter().any(|host| covers(&certificate.hosts, host)))
}

/// The pattern of the hosts below a suffix.
fn below(suffix: &str) -> String {
    format!("*.{suffix}")
}

/// Hosts of a tenant's applications besides their external URLs, and what is there.
fn further(snapshot: &Snapshot, tenant: TenantId, except: Option<AppId>) -> Vec<(String, String)> {
    let suffix = snapshot.tenants.get(&tenant).and_then(|tenant| tenant.app_suffix.as_deref());
    let suffix = suffix.map(|suffix| (below(suffix), "where each application has its name".to_owned()));
    of_apps(snapshot, tenant, except).into_iter().chain(suffix).collect()
}

fn of_apps(snapshot: &Snapshot, tenant: TenantId, except: Option<AppId>) -> Vec<(String, String)> {
    let own = snapshot.apps.values().filter(|app| app.id.tenant == tenant && Some(app.id) != except);
    let hosts =
        own.flat_map(|app| hosts(app).into_iter().map(move |host| (host, format!("another place of {}", app.name))));
    hosts.collect()
}

fn hosts(app: &App) -> BTreeSet<String> {
    let Ok(PlaceSettings { aliases, segments }) = PlaceSettings::read(&app.settings) else { return BTreeSet::new() };
    let segments = segments.iter().map(|segment| &segment.external);
    let first = ExternalUrl::parse(&app.external_url).ok().map(|url| url.host_pattern());
    let hosts = aliases.iter().chain(segments).map(ExternalUrl::host_pattern);
    hosts.filter(|host| Some(host) != first.as_ref()).collect()
}

/// A certificate that comes with this very change.
fn drafted(draft: &Draft, id: CertificateId) -> Option<Certificate> {
    draft.certificates().rev().find(|certificate| certificate.id == id).cloned()
}
