//! Domains of tenants: shown by a record in the DNS. A verified one is its tenant's alone; where the deployment asks for it, nothing
//! is published elsewhere.

pub(crate) mod dns;

use postern_model::admin::{AddDomain, Changed, DomainChanged, DomainView, Problem};
use postern_model::app_url::ExternalUrl;
use postern_model::config::{App, Tenant};
use postern_model::domain::{DOMAINS_MAX, Domain, DomainKey, DomainName, foreign_below, verified};
use postern_model::ids::TenantId;
use postern_model::{Change, Snapshot};

use crate::apps::external_urls;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::problem::{not_found, problem};

/// What the command line says of domains.
#[derive(Default)]
pub(crate) struct DomainSettings {
    /// Whether hosts have to be at domains that their tenant has verified.
    pub(crate) required: bool,
    /// Who is asked; without one, those that the host asks.
    pub(crate) servers: Vec<std::net::SocketAddr>,
}

/// `domain add`. One that is there stays as it is, and its record is told again.
pub(crate) fn add(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: &AddDomain,
) -> Result<DomainChanged, Problem> {
    let name: DomainName = request.name.parse().map_err(|error: postern_model::domain::DomainNameInvalid| {
        problem("request-invalid", error.to_string()).about("name")
    })?;
    let snapshot = control.snapshot();
    if let Some(domain) = snapshot.domains.get(&DomainKey { tenant: tenant.id, name: name.clone() }) {
        return Ok(changed(domain, snapshot.version));
    }
    free(&snapshot, tenant.id, &name)?;
    if snapshot.domains.keys().filter(|key| key.tenant == tenant.id).count() >= DOMAINS_MAX {
        return Err(problem("limit-reached", format!("the tenant has {DOMAINS_MAX} domains already")));
    }
    let domain = Domain { tenant: tenant.id, name, token: token()?, verified_unix: None };
    let version = put(control, actor, "domain.add", None, &domain)?;
    Ok(changed(&domain, version))
}

/// `domain verify`: asks the DNS for the record.
pub(crate) async fn verify(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
) -> Result<DomainChanged, Problem> {
    let asked = find(&control.snapshot(), tenant, name)?.clone();
    free(&control.snapshot(), tenant.id, &asked.name)?;
    let (record, value) = (asked.record_name(), asked.record_value());
    let missing =
        |what: String| problem("domain-record-missing", format!("{what}; there has to be: {record} TXT \"{value}\""));
    let texts = dns::texts(&control.domains.servers, &record)
        .await
        .map_err(|error| missing(format!("{record} cannot be looked up: {error}")))?;
    if !texts.contains(&value) {
        let found = match texts.len() {
            0 => format!("the DNS has no TXT record {record}"),
            count => format!("{count} TXT records are at {record}, and none of them is this one"),
        };
        return Err(missing(found));
    }
    // Meanwhile it may be gone, or another tenant's.
    let snapshot = control.snapshot();
    let before = find(&snapshot, tenant, name)?;
    free(&snapshot, tenant.id, &before.name)?;
    if before.token != asked.token {
        return Err(missing("the domain was removed and added anew meanwhile".into()));
    }
    let domain = Domain { verified_unix: Some(now_unix()), ..before.clone() };
    let version = put(control, actor, "domain.verify", Some(before), &domain)?;
    Ok(changed(&domain, version))
}

/// `domain list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Vec<DomainView> {
    let snapshot = control.snapshot();
    snapshot.domains.values().filter(|domain| domain.tenant == tenant.id).map(view).collect()
}

/// `domain remove`. What is published there stays.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let snapshot = control.snapshot();
    let domain = find(&snapshot, tenant, name)?;
    let mut draft = Draft::default();
    draft.audit(audit("domain.remove", domain, Some(summary(domain)), None));
    draft.change(Change::DomainRemoved { tenant: tenant.id, name: domain.name.clone() });
    let version = control.commit(actor, draft)?;
    let own = snapshot.apps.values().filter(|app| app.id.tenant == tenant.id);
    let is_there = |app: &&App| external_urls(&snapshot, app).iter().any(|url| domain.name.covers(&url.host));
    let count = own.filter(is_there).count();
    let warning = || format!("{count} applications are published at {} and stay there", domain.name);
    Ok(Changed { version, warnings: (count > 0).then(warning).into_iter().collect() })
}

/// Refuses a host of another tenant's domain and, where the deployment asks for that, of a domain that nobody has verified.
pub(crate) fn check(
    control: &Control,
    snapshot: &Snapshot,
    tenant: TenantId,
    url: &ExternalUrl,
) -> Result<(), Problem> {
    check_foreign(snapshot, tenant, url)?;
    if control.domains.required && verified(snapshot, &url.host).is_none() {
        return Err(unverified(snapshot, tenant, url));
    }
    Ok(())
}

/// Refuses a host of another tenant's domain.
pub(crate) fn check_foreign(snapshot: &Snapshot, tenant: TenantId, url: &ExternalUrl) -> Result<(), Problem> {
    if let Some(domain) = verified(snapshot, &url.host).filter(|domain| domain.tenant != tenant) {
        return Err(taken(snapshot, &url.host_pattern(), domain));
    }
    // A wildcard would get what is meant for the names below it.
    let below = url.wildcard.then(|| url.host.parse::<DomainName>().ok()).flatten();
    match below.and_then(|host| foreign_below(snapshot, tenant, &host)) {
        Some(domain) => Err(taken(snapshot, &url.host_pattern(), domain)),
        None => Ok(()),
    }
}

fn unverified(snapshot: &Snapshot, tenant: TenantId, url: &ExternalUrl) -> Problem {
    let mut own = snapshot.domains.values().filter(|domain| domain.tenant == tenant);
    let host = url.host_pattern();
    let detail = match own.find(|domain| domain.name.covers(&url.host)) {
        Some(domain) => format!(
            "{host} is at {}, which is not verified yet: publish {} TXT \"{}\", then postern domain verify {}",
            domain.name,
            domain.record_name(),
            domain.record_value(),
            domain.name
        ),
        None => format!("{host} is at no domain that the tenant has verified: postern domain add DOMAIN"),
    };
    problem("domain-unverified", detail)
}

/// Refuses a domain that is another tenant's, or below one of another tenant's.
fn free(snapshot: &Snapshot, tenant: TenantId, name: &DomainName) -> Result<(), Problem> {
    let is_foreign = |domain: &&Domain| {
        domain.tenant != tenant && domain.verified_unix.is_some() && domain.name.covers(name.as_str())
    };
    match snapshot.domains.values().find(is_foreign) {
        Some(domain) => Err(taken(snapshot, name.as_str(), domain)),
        None => Ok(()),
    }
}

fn taken(snapshot: &Snapshot, what: &str, domain: &Domain) -> Problem {
    let tenant = snapshot.tenants.get(&domain.tenant).map(|tenant| tenant.name.as_str()).unwrap_or_default();
    problem("domain-taken", format!("{what}: the tenant {tenant} has verified that {} is its own", domain.name))
}

fn find<'a>(snapshot: &'a Snapshot, tenant: &Tenant, name: &str) -> Result<&'a Domain, Problem> {
    let key = name.parse().ok().map(|name| DomainKey { tenant: tenant.id, name });
    key.and_then(|key| snapshot.domains.get(&key)).ok_or_else(|| not_found("domain", name))
}

fn put(
    control: &Control,
    actor: &Actor,
    action: &'static str,
    before: Option<&Domain>,
    domain: &Domain,
) -> Result<u64, Problem> {
    let mut draft = Draft::default();
    draft.audit(audit(action, domain, before.map(summary), Some(summary(domain))));
    draft.change(Change::DomainPut(domain.clone()));
    control.commit(actor, draft)
}

fn token() -> Result<String, Problem> {
    let mut bytes = [0; TOKEN_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| problem("internal", "there is no randomness"))?;
    Ok(hex::encode(bytes))
}

fn changed(domain: &Domain, version: u64) -> DomainChanged {
    DomainChanged { domain: view(domain), version, warnings: Vec::new() }
}

fn view(domain: &Domain) -> DomainView {
    DomainView {
        name: domain.name.clone(),
        record_name: domain.record_name(),
        record_value: domain.record_value(),
        verified_unix: domain.verified_unix,
    }
}

fn audit(action: &'static str, domain: &Domain, before: Option<String>, after: Option<String>) -> Audit {
    Audit { action, tenant: Some(domain.tenant), target: format!("domain {}", domain.name), before, after }
}

fn summary(domain: &Domain) -> String {
    let state = if domain.verified_unix.is_some() { "verified" } else { "not verified" };
    format!("{state}, {}", domain.record_value())
}

/// 128 bits: nobody guesses what another tenant was told.
const TOKEN_BYTES: usize = 16;

#[cfg(test)]
mod tests;
