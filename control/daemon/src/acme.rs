//! Certificates of an authority that is asked by ACME (RFC 8555): ordered when an operator says so, renewed by control. What the
//! authority looks at is answered by relays, which get it through the log as they get everything.

mod account;
mod https;
mod order;
pub(crate) mod renew;
mod words;

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, ExternalAccountKey, NewAccount};
use postern_model::Snapshot;
use postern_model::acme::{ChallengeKind, HOSTS_MAX};
use postern_model::admin::{AcmeView, CertificateAdded, Changed, Problem, RequestCertificate, SetAcme};
use postern_model::app_url::ExternalUrl;
use postern_model::config::{Certificate, Tenant};
use postern_model::ids::{CertificateId, TenantId};
use url::Url;
use zeroize::Zeroizing;

use crate::certificates;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::domains;
use crate::foreign_hosts::ForeignHosts;
use crate::problem::{not_found, problem};
use account::Kept;
use https::Https;

/// What control remembers of orders, until it ends.
#[derive(Default)]
pub(crate) struct Acme {
    /// One order at a time: authorities count them, and each waits for relays.
    one: tokio::sync::Mutex<()>,
    plans: RefCell<BTreeMap<CertificateId, renew::Plan>>,
    issued: std::cell::Cell<u64>,
    failed: std::cell::Cell<u64>,
}

/// `acme set`: makes an account. One that was there before is forgotten; its certificates are renewed with the new one.
pub(crate) async fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: SetAcme,
) -> Result<AcmeView, Problem> {
    let SetAcme { directory, contact, eab_kid, eab_key, ca_pem } = request;
    let directory = checked_directory(&directory)?;
    let addresses = contact.iter().map(|mail| checked_contact(mail)).collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let binding = match (&eab_kid, eab_key) {
        (Some(kid), Some(key)) => Some(ExternalAccountKey::new(kid.clone(), &checked_key(key.expose())?)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let detail = "External Account Binding needs both: --eab-kid and --eab-key-file";
            return Err(problem("request-invalid", detail).about("eab_kid"));
        }
    };
    let https = Https::new(ca_pem.as_deref());
    let https = https.map_err(|reason| problem("request-invalid", reason).about("ca_pem"))?;
    let new = NewAccount { contact: &addresses, terms_of_service_agreed: true, only_return_existing: false };
    let made = Account::builder_with_http(Box::new(https)).create(&new, directory.clone(), binding.as_ref()).await;
    let (made, credentials) = made.map_err(|error| {
        let words = words::of(&error);
        problem("acme-failed", format!("no account at {directory}: {words}"))
    })?;
    let kept = Kept { directory, contact, ca_pem, eab_kid, account: made.id().to_owned(), credentials };
    let before = Kept::load(control, tenant.id).ok().flatten();
    kept.save(control, tenant.id)?;
    control.acme.forget_failures(tenant.id);
    let mut draft = Draft::default();
    draft.audit(audit("acme.set", tenant.id, before.as_ref(), Some(&kept)));
    control.commit(actor, draft)?;
    Ok(kept.view())
}

/// `acme show`.
pub(crate) fn show(control: &Control, tenant: &Tenant) -> Result<AcmeView, Problem> {
    Ok(Kept::need(control, tenant.id)?.view())
}

/// `acme remove`: the account's key is gone. Certificates stay, and are renewed no more until there is another account.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant) -> Result<Changed, Problem> {
    let before = Kept::load(control, tenant.id).ok().flatten();
    if !account::forget(control, tenant.id)? {
        return Err(not_found("account with an authority of tenant", tenant.name.as_str()));
    }
    let mut draft = Draft::default();
    draft.audit(audit("acme.remove", tenant.id, before.as_ref(), None));
    let version = control.commit(actor, draft)?;
    let left = control.snapshot().acme_renewals.keys().filter(|id| id.tenant == tenant.id).count();
    let warning = || format!("{left} certificates were renewed with it, and are renewed no more: postern cert list");
    Ok(Changed { version, warnings: (left > 0).then(warning).into_iter().collect() })
}

/// The tenant is gone, and its key goes with it.
pub(crate) fn tenant_gone(control: &Control, tenant: TenantId) {
    if let Err(problem) = account::forget(control, tenant) {
        tracing::error!("{}", problem.detail);
    }
}

/// `cert request`: answers once the certificate is there, or says why the authority issues none.
pub(crate) async fn request(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: RequestCertificate,
) -> Result<CertificateAdded, Problem> {
    let hosts = checked_hosts(control, tenant, request.hosts)?;
    order::order(control, actor, tenant.id, &hosts, request.challenge, None).await
}

/// `cert renew`: now, whenever it would be due.
pub(crate) async fn renew_now(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
) -> Result<CertificateAdded, Problem> {
    let (certificate, challenge) = renewed(control, tenant, name)?;
    let added = order::order(control, actor, tenant.id, &certificate.hosts, challenge, Some(certificate.id)).await;
    if added.is_ok() {
        control.acme.renewed(control.snapshot().certificates.get(&certificate.id), now_unix());
    }
    added
}

fn renewed(control: &Control, tenant: &Tenant, name: &str) -> Result<(Certificate, ChallengeKind), Problem> {
    let snapshot = control.snapshot();
    let certificate = certificates::find(&snapshot, tenant, name)?;
    match snapshot.acme_renewals.get(&certificate.id) {
        Some(renewal) => Ok((certificate.clone(), renewal.challenge)),
        None => {
            let detail = format!("certificate {name} was not ordered by ACME: postern cert request HOST orders one");
            Err(problem("request-invalid", detail))
        }
    }
}

/// Lower case, once each, none of them another tenant's.
fn checked_hosts(control: &Control, tenant: &Tenant, hosts: Vec<String>) -> Result<Vec<String>, Problem> {
    let wrong = |detail: String| Err(problem("request-invalid", detail).about("hosts"));
    if hosts.is_empty() || hosts.len() > HOSTS_MAX {
        return wrong(format!("a certificate is for 1 to {HOSTS_MAX} hosts"));
    }
    let snapshot = control.snapshot();
    let foreign = ForeignHosts::of(&snapshot, tenant.id);
    let mut checked = Vec::with_capacity(hosts.len());
    for host in &hosts {
        let url = match ExternalUrl::parse(&format!("https://{host}/")) {
            Ok(url) if url.wildcard => {
                return wrong(format!("{host}: a wildcard cannot be shown by http-01 or tls-alpn-01; name the hosts"));
            }
            Ok(url) if url.host.eq_ignore_ascii_case(host) => url,
            Ok(_) => return wrong(format!("{host:?}: a host name and nothing else: no port, no path")),
            Err(error) => return wrong(format!("{host:?}: {error}")),
        };
        domains::check(control, &snapshot, tenant.id, &url).map_err(|problem| problem.about("hosts"))?;
        check_published(&snapshot, &foreign, tenant.id, &url).map_err(|problem| problem.about("hosts"))?;
        checked.push(String::from(url.host));
    }
    checked.sort_unstable();
    checked.dedup();
    Ok(checked)
}

/// Refuses hosts that have become another tenant's. Whether their domains are verified is asked where they are new, not
/// where a certificate for them is renewed.
fn check_owners(snapshot: &Snapshot, tenant: TenantId, hosts: &[String]) -> Result<(), Problem> {
    let foreign = ForeignHosts::of(snapshot, tenant);
    hosts.iter().try_for_each(|host| {
        let url = ExternalUrl::parse(&format!("https://{host}/"));
        let url = url.map_err(|error| problem("request-invalid", format!("{host:?}: {error}")))?;
        domains::check_foreign(snapshot, tenant, &url)?;
        check_published(snapshot, &foreign, tenant, &url)
    })
}

/// Refuses a host where another tenant is: by applications, by their own names, or by the host where devices are shown.
fn check_published(
    snapshot: &Snapshot,
    foreign: &ForeignHosts<'_>,
    tenant: TenantId,
    url: &ExternalUrl,
) -> Result<(), Problem> {
    let host = url.host_pattern();
    let whose = |id: TenantId| snapshot.tenants.get(&id).map(|tenant| tenant.name.as_str()).unwrap_or_default();
    let conflict = |detail: String| Err(problem("app-url-conflict", detail));
    if let Some(other) = foreign.overlapping(url) {
        let theirs = whose(other.id.tenant);
        return conflict(format!("{host} belongs to the tenant {theirs}: it publishes {} there", other.name));
    }
    if let Some((suffix, other)) = foreign.suffix_at(url) {
        let theirs = &other.name;
        return conflict(format!("{host} belongs to the tenant {theirs}, whose applications are below {suffix}"));
    }
    match &snapshot.identity {
        Some(identity)
            if identity.app.tenant != tenant
                && identity.device_host.as_ref().is_some_and(|shown| shown.as_str() == &*url.host) =>
        {
            let theirs = whose(identity.app.tenant);
            conflict(format!("{host} belongs to the tenant {theirs}: browsers show their devices there"))
        }
        Some(_) | None => Ok(()),
    }
}

fn checked_directory(directory: &str) -> Result<String, Problem> {
    let shown: String = directory.chars().take(200).collect();
    let wrong = |why: &str| problem("request-invalid", format!("--directory {shown:?}: {why}")).about("directory");
    let url = Url::parse(directory).map_err(|error| wrong(&error.to_string()))?;
    if url.scheme() != "https" || url.host().is_none() {
        return Err(wrong("it must be https://HOST/PATH, where the authority says what it offers"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a user name, a password or a fragment, which a directory has not"));
    }
    Ok(url.into())
}

fn checked_contact(mail: &str) -> Result<String, Problem> {
    let is_address = mail.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
    let is_plain = mail.len() <= MAIL_BYTES_MAX && mail.chars().all(|c| c.is_ascii_graphic() && !"?,:".contains(c));
    if is_address && is_plain {
        return Ok(format!("mailto:{mail}"));
    }
    let shown: String = mail.chars().take(80).collect();
    Err(problem("request-invalid", format!("--contact {shown:?}: one mail address, such as ops@example.com"))
        .about("contact"))
}

/// RFC 8555 §7.3.4: authorities give it as base64url; some with padding.
fn checked_key(text: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let key = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('=')).map(Zeroizing::new);
    let key = key.ok().filter(|key| !key.is_empty());
    let detail = "the key of External Account Binding is not base64url: give the file as the authority made it";
    key.ok_or_else(|| problem("request-invalid", detail).about("eab_key"))
}

fn audit(action: &'static str, tenant: TenantId, before: Option<&Kept>, after: Option<&Kept>) -> Audit {
    let told = |kept: &Kept| format!("account {} at {}", kept.account, kept.directory);
    Audit {
        action,
        tenant: Some(tenant),
        target: format!("acme {tenant}"),
        before: before.map(told),
        after: after.map(told),
    }
}

/// As long as an address may be.
const MAIL_BYTES_MAX: usize = 254;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn ca_pem() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()
    }

    #[test]
    fn a_directory_is_an_https_url() {
        assert_eq!(checked_directory("https://ca.example/dir").unwrap(), "https://ca.example/dir");
        for wrong in ["http://ca.example/dir", "ca.example", "", "https://u:p@ca.example/", "https://ca.example/#x"] {
            assert_eq!(checked_directory(wrong).unwrap_err().code, "request-invalid", "{wrong}");
        }
    }

    #[test]
    fn a_contact_is_one_mail_address() {
        assert_eq!(checked_contact("ops@example.com").unwrap(), "mailto:ops@example.com");
        for wrong in ["", "ops", "@example.com", "ops@host", "a@b.c,d@e.f", "a@b.c?x=y", "mailto:a@b.c", "a b@c.d"] {
            assert!(checked_contact(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_binding_key_is_base64url_with_or_without_padding() {
        assert_eq!(*checked_key("_-8\n").unwrap(), [0xff, 0xef]);
        assert_eq!(*checked_key("_-8=").unwrap(), [0xff, 0xef]);
        for wrong in ["", "/+8", "not a key"] {
            assert!(checked_key(wrong).is_err(), "{wrong:?}");
        }
    }
}
