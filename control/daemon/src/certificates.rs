//! Certificates of external hosts: given by operators, or issued by the web CA and renewed through the log.

pub(crate) mod expiry;
mod issued;
pub(crate) mod ocsp;
mod ordered;
mod places;

use postern_model::admin::{AddCertificate, CertificateAdded, CertificateView, Changed, Problem};
use postern_model::config::{Certificate, CertificateOrigin, Staple, Tenant};
use postern_model::device::DeviceHost;
use postern_model::host::covers;
use postern_model::ids::{CertificateId, TenantId};
use postern_model::plan::PlannedApp;
use postern_model::secret::SecretText;
use postern_model::{Change, Snapshot};

use crate::acme;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::limits::CERTIFICATES_MAX;
use crate::pem::facts::Facts;
use crate::pem::{Given, leaf_sha256};
use crate::problem::{not_found, problem};
use issued::put_issued;
use ordered::by_hand;

pub(crate) use issued::renew_due;
pub(crate) use ordered::{Beginning, Ordered, keep_ordered};
pub(crate) use places::{drop_below, drop_places, for_places, is_for_place, is_kept, only_one_of_place};

/// What was asked for an application's certificate.
pub(crate) struct Choice {
    pub(crate) chain_pem: Option<String>,
    pub(crate) key_pem: Option<SecretText>,
    /// The one it has.
    pub(crate) current: Option<CertificateId>,
}

/// What became of it.
pub(crate) struct Chosen {
    pub(crate) id: CertificateId,
    /// What an operator should know.
    pub(crate) warnings: Vec<String>,
}

/// `cert add`.
pub(crate) fn add(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: &AddCertificate,
) -> Result<CertificateAdded, Problem> {
    let given = Given::check(&request.certificate_pem, &request.key_pem, now_unix())?;
    let staple = given_staple(request, &given)?;
    let mut draft = Draft::default();
    let Chosen { id, warnings } = put_given(control, tenant.id, given, staple, &mut draft)?;
    by_hand(&control.snapshot(), id, &mut draft);
    added(control, actor, id, warnings, draft)
}

/// `cert replace`: the successor keeps the id, and has to be good for whatever shows it.
pub(crate) fn replace(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: &AddCertificate,
) -> Result<CertificateAdded, Problem> {
    let snapshot = control.snapshot();
    let before = find(&snapshot, tenant, name)?;
    let given = Given::check(&request.certificate_pem, &request.key_pem, now_unix())?;
    for app in snapshot.apps.values().filter(|app| app.certificate == before.id) {
        let planned = PlannedApp::parse(app).map_err(|error| problem("still-used", error.to_string()))?;
        given.must_cover(&planned.external.host_pattern()).map_err(|problem| problem.about("cert"))?;
    }
    let device_host = only_one_of_device_host(&snapshot, before.id).map(ToString::to_string);
    let place = only_one_of_place(&snapshot, before.id, None).map(|(host, _)| host);
    for host in device_host.into_iter().chain(place) {
        given.must_cover(&host).map_err(|problem| problem.about("cert"))?;
    }
    let staple = given_staple(request, &given)?;
    let mut draft = Draft::default();
    let Chosen { id, warnings } = put(before.id, Some(before), given, staple, &mut draft);
    by_hand(&snapshot, id, &mut draft);
    added(control, actor, id, warnings, draft)
}

fn added(
    control: &Control,
    actor: &Actor,
    id: CertificateId,
    warnings: Vec<String>,
    draft: Draft,
) -> Result<CertificateAdded, Problem> {
    let version = if draft.is_empty() { control.snapshot().version } else { control.commit(actor, draft)? };
    Ok(CertificateAdded { certificate: view(&control.snapshot(), id), version, warnings })
}

/// The OCSP response that came with a certificate, checked.
fn given_staple(request: &AddCertificate, given: &Given) -> Result<Option<Staple>, Problem> {
    let Some(response) = &request.ocsp else { return Ok(None) };
    let staple = ocsp::read_given(response, &given.chain_pem, now_unix());
    staple.map(Some).map_err(|reason| problem("certificate-invalid", reason).about("ocsp"))
}

/// `cert show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, name: &str) -> Result<CertificateView, Problem> {
    let snapshot = control.snapshot();
    let id = find(&snapshot, tenant, name)?.id;
    Ok(whole_view(control, &snapshot, id))
}

pub(crate) fn find<'a>(snapshot: &'a Snapshot, tenant: &Tenant, name: &str) -> Result<&'a Certificate, Problem> {
    let own = snapshot.certificates.values().find(|c| c.id.tenant == tenant.id && c.id.to_string() == name);
    own.ok_or_else(|| not_found("certificate", name))
}

/// `cert list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Vec<CertificateView> {
    let snapshot = control.snapshot();
    let own = snapshot.certificates.keys().filter(|id| id.tenant == tenant.id);
    own.map(|id| whole_view(control, &snapshot, *id)).collect()
}

/// `cert remove`.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let mut draft = Draft::default();
    {
        let snapshot = control.snapshot();
        let certificate = find(&snapshot, tenant, name)?;
        if let Some(user) = view(&snapshot, certificate.id).apps.first() {
            return Err(problem(
                "still-used",
                format!(
                    "certificate {name} is shown by {user}: give it another with `postern app set {user} --cert`, or unpublish it"
                ),
            ));
        }
        if let Some(host) = only_one_of_device_host(&snapshot, certificate.id) {
            return Err(problem(
                "still-used",
                format!(
                    "certificate {name} is the only one for {host}, where browsers show their devices: add another with `postern cert add`, or `postern identity device-host remove`"
                ),
            ));
        }
        if let Some((host, user)) = only_one_of_place(&snapshot, certificate.id, None) {
            return Err(problem(
                "still-used",
                format!("certificate {name} is the only one for {host}, {user}: add another with `postern cert add`"),
            ));
        }
        draft.change(Change::CertificateRemoved { id: certificate.id });
        draft.audit(audit("certificate.remove", certificate, Some(summary(certificate)), None));
    }
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// The certificate for an application: the one given, else one that covers its host already, else a new one of the web CA.
pub(crate) fn choose(
    control: &Control,
    planned: &PlannedApp,
    choice: Choice,
    draft: &mut Draft,
) -> Result<Chosen, Problem> {
    choose_for(control, (planned.tenant, &planned.external.host_pattern()), choice, draft)
}

fn choose_for(
    control: &Control,
    (tenant, host): (TenantId, &str),
    choice: Choice,
    draft: &mut Draft,
) -> Result<Chosen, Problem> {
    match (choice.chain_pem, choice.key_pem) {
        (Some(chain), Some(key)) => {
            let given = Given::check(&chain, &key, now_unix())?;
            given.must_cover(host)?;
            let chosen = put_given(control, tenant, given, None, draft)?;
            by_hand(&control.snapshot(), chosen.id, draft);
            Ok(chosen)
        }
        (None, None) => {
            let found = existing(&control.snapshot(), tenant, host, choice.current);
            let id = found.map_or_else(|| put_issued(control, tenant, host, draft), Ok)?;
            Ok(Chosen { id, warnings: Vec::new() })
        }
        (Some(_), None) => Err(problem("request-invalid", "--cert needs --key beside it")),
        (None, Some(_)) => Err(problem("request-invalid", "--key needs --cert beside it")),
    }
}

/// A certificate for a host that no application has: the one given, else one that covers it already, else a new one of the web
/// CA, which is renewed as others are.
pub(crate) fn for_host(
    control: &Control,
    tenant: TenantId,
    host: &str,
    given: (Option<String>, Option<SecretText>),
    draft: &mut Draft,
) -> Result<Chosen, Problem> {
    choose_for(control, (tenant, host), Choice { chain_pem: given.0, key_pem: given.1, current: None }, draft)
}

/// Removes the certificates that were issued for a host that no application has, unless one shows them, or they are good for the
/// host that comes `next`.
pub(crate) fn drop_issued(snapshot: &Snapshot, host: &str, next: Option<&str>, draft: &mut Draft) {
    let is_next = |c: &Certificate| next.is_some_and(|next| covers(&c.hosts, next));
    let issued = |c: &&Certificate| c.origin == CertificateOrigin::Issued && covers(&c.hosts, host) && !is_next(c);
    let unused = |c: &&Certificate| !snapshot.apps.values().any(|app| app.certificate == c.id);
    for certificate in snapshot.certificates.values().filter(issued).filter(unused) {
        draft.change(Change::CertificateRemoved { id: certificate.id });
    }
}

/// The host where browsers show their devices, if nothing but this certificate is good for it now. No application has that host, so
/// that none says it.
pub(crate) fn only_one_of_device_host(snapshot: &Snapshot, id: CertificateId) -> Option<&DeviceHost> {
    let host = device_host(snapshot, id.tenant)?;
    let now = now_unix();
    let good = |c: &&Certificate| c.id.tenant == id.tenant && covers(&c.hosts, host.as_str()) && c.not_after_unix > now;
    let mut good = snapshot.certificates.values().filter(good);
    let is_only_one = good.next().is_some_and(|c| c.id == id) && good.next().is_none();
    is_only_one.then_some(host)
}

/// Removes an issued certificate that only `app` showed. Given ones stay until their operator removes them.
pub(crate) fn drop_unused(snapshot: &Snapshot, id: CertificateId, app: postern_model::ids::AppId, draft: &mut Draft) {
    let issued = snapshot.certificates.get(&id).is_some_and(|c| c.origin == CertificateOrigin::Issued);
    let used = snapshot.apps.values().any(|other| other.certificate == id && other.id != app);
    if issued && !used && !is_kept(snapshot, id, Some(app)) {
        draft.change(Change::CertificateRemoved { id });
    }
}

/// With what control remembers of its renewal.
fn whole_view(control: &Control, snapshot: &Snapshot, id: CertificateId) -> CertificateView {
    let mut view = view(snapshot, id);
    control.acme.complete(&mut view);
    view
}

/// A certificate for people.
pub(crate) fn view(snapshot: &Snapshot, id: CertificateId) -> CertificateView {
    let certificate = snapshot.certificates.get(&id);
    let Facts { issuer, serial, not_before_unix, sha256 } =
        certificate.map(|c| Facts::of(&c.chain_pem)).unwrap_or_default();
    let not_after_unix = certificate.map_or(0, |c| c.not_after_unix);
    CertificateView {
        id,
        hosts: certificate.map(|c| c.hosts.clone()).unwrap_or_default(),
        origin: certificate.map_or(CertificateOrigin::Given, |c| c.origin),
        issuer,
        serial,
        not_before_unix,
        not_after_unix,
        days_left: not_after_unix.saturating_sub(now_unix()) / DAY_S,
        sha256,
        apps: snapshot.apps.values().filter(|a| a.certificate == id).map(|a| a.name.clone()).collect(),
        device_host: device_host(snapshot, id.tenant)
            .filter(|host| certificate.is_some_and(|c| covers(&c.hosts, host.as_str())))
            .cloned(),
        ocsp_until_unix: certificate.and_then(|c| c.staple.as_ref()).map(|staple| staple.until_unix),
        revoked_unix: certificate.and_then(|c| c.revoked_unix),
        renewal: snapshot
            .acme_renewals
            .get(&id)
            .map(|renewal| acme::renew::view(renewal.challenge, not_before_unix, not_after_unix)),
    }
}

/// The host where browsers show their devices, of the tenant that people sign in at.
fn device_host(snapshot: &Snapshot, tenant: TenantId) -> Option<&DeviceHost> {
    let identity = snapshot.identity.as_ref().filter(|identity| identity.app.tenant == tenant);
    identity?.device_host.as_ref()
}

fn existing(
    snapshot: &Snapshot,
    tenant: TenantId,
    host: &str,
    current: Option<CertificateId>,
) -> Option<CertificateId> {
    let fits = |c: &&Certificate| c.id.tenant == tenant && covers(&c.hosts, host);
    let current = current.and_then(|id| snapshot.certificates.get(&id)).filter(fits);
    let now = now_unix();
    // One whose time is over, or that is revoked, is good for nothing new.
    let best = || {
        let is_good = |c: &&Certificate| c.not_after_unix > now && c.revoked_unix.is_none();
        let good = snapshot.certificates.values().filter(fits).filter(is_good);
        good.max_by_key(|c| (c.origin == CertificateOrigin::Given, c.not_after_unix))
    };
    current.or_else(best).map(|certificate| certificate.id)
}

/// Replaces the given certificate for exactly the same hosts, so that a successor reaches every application that shows it.
fn put_given(
    control: &Control,
    tenant: TenantId,
    given: Given,
    staple: Option<Staple>,
    draft: &mut Draft,
) -> Result<Chosen, Problem> {
    let snapshot = control.snapshot();
    let before = for_same_hosts(&snapshot, tenant, &given.hosts);
    let id = match before {
        Some(before) => before.id,
        None => next_id(control, tenant, draft)?,
    };
    Ok(put(id, before, given, staple, draft))
}

/// The given certificate for exactly these hosts.
fn for_same_hosts<'a>(snapshot: &'a Snapshot, tenant: TenantId, hosts: &[String]) -> Option<&'a Certificate> {
    let same = |c: &&Certificate| c.id.tenant == tenant && c.origin == CertificateOrigin::Given && c.hosts == hosts;
    snapshot.certificates.values().find(same)
}

fn put(
    id: CertificateId,
    before: Option<&Certificate>,
    given: Given,
    staple: Option<Staple>,
    draft: &mut Draft,
) -> Chosen {
    let Given { hosts, not_after_unix, chain_pem, key_pem, mut warnings } = given;
    let same = before.filter(|before| before.chain_pem == chain_pem && before.key_pem == key_pem);
    let revoked_unix = same.and_then(|same| same.revoked_unix);
    let is_late = |staple: &Staple| !ocsp::is_later(staple, revoked_unix);
    if staple.as_ref().is_some_and(is_late) {
        warnings.push(
            "the OCSP response is older than the one that says that the certificate is revoked: it is not stapled"
                .into(),
        );
    }
    let staple = staple.filter(|staple| !is_late(staple));
    let revoked_unix = revoked_unix.filter(|_| staple.is_none());
    let staple = staple.or_else(|| same.and_then(|same| same.staple.clone()));
    let origin = CertificateOrigin::Given;
    let certificate = Certificate { id, hosts, chain_pem, key_pem, not_after_unix, origin, staple, revoked_unix };
    if before != Some(&certificate) {
        let after = Some(summary(&certificate));
        draft.audit(audit("certificate.add", &certificate, before.map(summary), after));
        draft.change(Change::CertificatePut(certificate));
    }
    Chosen { id, warnings }
}

fn next_id(control: &Control, tenant: TenantId, draft: &mut Draft) -> Result<CertificateId, Problem> {
    if control.snapshot().certificates.len() >= CERTIFICATES_MAX {
        return Err(problem("limit-reached", format!("there are {CERTIFICATES_MAX} certificates already")));
    }
    Ok(CertificateId::new(tenant, control.next(counter("certificate", tenant), draft)?))
}

fn audit(action: &'static str, certificate: &Certificate, before: Option<String>, after: Option<String>) -> Audit {
    let target = format!("certificate {}", certificate.id);
    Audit { action, tenant: Some(certificate.id.tenant), target, before, after }
}

fn summary(certificate: &Certificate) -> String {
    let until = time::OffsetDateTime::from_unix_timestamp(i64::try_from(certificate.not_after_unix).unwrap_or(0));
    let until = until.map(|time| time.date().to_string()).unwrap_or_default();
    let fingerprint = leaf_sha256(&certificate.chain_pem);
    format!("{} until {until} sha256={fingerprint}", certificate.hosts.join(","))
}

/// Stands for "not chosen yet" in an application that is being published.
pub(crate) const UNDECIDED: CertificateId = CertificateId::new(TenantId(0), 0);
const DAY_S: u64 = 86_400;

#[cfg(test)]
mod tests;
