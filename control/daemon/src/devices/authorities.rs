//! Authorities whose certificates count for a tenant's devices: its own, and those that operators name, such as an MDM's.

use postern_model::admin::{AddDeviceAuthority, Changed, DeviceAuthorityView, Problem};
use postern_model::config::Tenant;
use postern_model::device::{
    AuthorityCertificate, DEVICE_AUTHORITIES_MAX, DeviceAuthority, DeviceAuthorityKey, OWN_AUTHORITY,
};
use postern_model::{Change, Snapshot};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::authority::devices::DeviceCa;
use crate::authority::sha256_hex;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::problem::{not_found_among, problem};
use crate::sessions::Touched;
use crate::store::{DeviceChange, DirectoryChange};

/// `device authority list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Vec<DeviceAuthorityView> {
    let snapshot = control.snapshot();
    let own = snapshot.device_authorities.values().filter(|authority| authority.tenant == tenant.id);
    own.map(view).collect()
}

/// `device authority add`: a new one, or another certificate for one that is there. Whether the devices of that comply stays what it
/// was, unless it is said.
pub(crate) fn add(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: AddDeviceAuthority,
) -> Result<Changed, Problem> {
    let AddDeviceAuthority { name, certificate_pem, compliant } = request;
    if name.as_str() == OWN_AUTHORITY {
        let detail = format!("the name {OWN_AUTHORITY} is kept for the tenant's own authority, whose key control has");
        return Err(problem("request-invalid", detail).about("name"));
    }
    let certificate = check(control, &certificate_pem).map_err(invalid)?;
    let key = DeviceAuthorityKey { tenant: tenant.id, name: name.clone() };
    let before = control.snapshot().device_authorities.get(&key).cloned();
    let now = now_unix();
    // One that is there may have ended meanwhile: a document that names it changes nothing, as before.
    if before.as_ref().is_none_or(|before| before.certificate != certificate) {
        check_time(&certificate, now).map_err(invalid)?;
    }
    let compliant = compliant.unwrap_or(before.as_ref().is_some_and(|before| before.compliant));
    let authority = DeviceAuthority { tenant: tenant.id, name, certificate, compliant };
    if before.as_ref() == Some(&authority) {
        return Ok(Changed { version: control.snapshot().version, warnings: Vec::new() });
    }
    check_place(&control.snapshot(), &authority)?;
    let mut draft = Draft::default();
    let action = audited("device-authority.add", &authority);
    draft.audit(Audit { before: before.as_ref().map(summary), ..action });
    let mut warnings = Vec::new();
    if let Some(before) = before {
        // What its devices count as may be something else now.
        draft.touched.insert(Touched::Devices(tenant.id));
        if public_key(&before) != public_key(&authority) {
            let ended = DeviceChange::CertificatesEnded(tenant.id, authority.name.clone(), now);
            draft.directory(DirectoryChange::Device(ended));
        }
        if before.compliant != compliant {
            let comply = if compliant { "comply" } else { "comply no more: they are registered only" };
            warnings.push(format!("devices of {} {comply}, unless something else was said of one", authority.name));
        }
    }
    draft.change(Change::DeviceAuthorityPut(authority));
    let version = control.commit(actor, draft)?;
    warnings.extend(no_host(control));
    Ok(Changed { version, warnings })
}

/// `device authority remove`: with its devices, but for those of which something was said that must hold should it come back, or
/// another have their keys: see [`DeviceChange::AuthorityRemoved`].
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let authority = {
        let snapshot = control.snapshot();
        let key = name.parse().ok().map(|name| DeviceAuthorityKey { tenant: tenant.id, name });
        let found = key.and_then(|key| snapshot.device_authorities.get(&key).cloned());
        let own = snapshot.device_authorities.keys().filter(|key| key.tenant == tenant.id);
        let known: Vec<&str> = own.map(|key| key.name.as_str()).collect();
        found.ok_or_else(|| not_found_among("authority for devices", name, known))?
    };
    let is_own = authority.name.as_str() == OWN_AUTHORITY;
    let mut draft = Draft::default();
    let entry = audited("device-authority.remove", &authority);
    draft.audit(Audit { before: Some(summary(&authority)), after: None, ..entry });
    draft.directory(DirectoryChange::Device(DeviceChange::AuthorityRemoved(tenant.id, authority.name.clone())));
    let ended = DeviceChange::CertificatesEnded(tenant.id, authority.name.clone(), now_unix());
    draft.directory(DirectoryChange::Device(ended));
    draft.change(Change::DeviceAuthorityRemoved { tenant: tenant.id, name: authority.name });
    let version = control.commit(actor, draft)?;
    let mut warnings = Vec::new();
    if is_own && let Err(error) = DeviceCa::forget(&control.state_dir, tenant.id) {
        warnings.push(format!("the authority's key could not be removed: {error}"));
    }
    Ok(Changed { version, warnings })
}

/// What an operator should know where browsers are asked for certificates nowhere.
pub(super) fn no_host(control: &Control) -> Option<String> {
    let is_set = control.snapshot().identity.as_ref().is_some_and(|identity| identity.device_host.is_some());
    (!is_set).then(|| {
        "browsers are asked for their device's certificate nowhere yet: postern identity device-host set HOST"
            .to_owned()
    })
}

/// What an operator should know of authorities whose certificates end soon: their devices count for nothing then.
pub(crate) fn warnings(snapshot: &Snapshot, now_unix: u64) -> Vec<String> {
    let near = |view: &DeviceAuthorityView| view.not_after_unix < now_unix.saturating_add(WARNED_BEFORE_S);
    let all = snapshot.device_authorities.values().map(|authority| (authority, view(authority)));
    all.filter(|(_, view)| near(view))
        .map(|(authority, view)| {
            let days = view.not_after_unix.saturating_sub(now_unix) / 86_400;
            format!(
                "the certificate of the device authority {} ends in {days} days: its devices count until then",
                authority.key()
            )
        })
        .collect()
}

/// What the audit log says of an authority as it is now.
pub(super) fn audited(action: &'static str, authority: &DeviceAuthority) -> Audit {
    let target = format!("device authority {}", authority.name);
    Audit { action, tenant: Some(authority.tenant), target, before: None, after: Some(summary(authority)) }
}

fn summary(authority: &DeviceAuthority) -> String {
    let compliant = if authority.compliant { "its devices comply" } else { "its devices are registered" };
    format!("{compliant}, certificate sha256:{}", sha256_hex(&authority.certificate.der()))
}

/// Refuses a key that another authority has: a device would count once by each, and what is said of it by one of them. A tenant's
/// own authority counts in that tenant, by what control issued.
fn check_place(snapshot: &Snapshot, authority: &DeviceAuthority) -> Result<(), Problem> {
    let key = public_key(authority);
    let others = || snapshot.device_authorities.values().filter(|other| other.key() != authority.key());
    let same = || others().filter(|other| public_key(other) == key);
    if same().any(|other| other.name.as_str() == OWN_AUTHORITY) {
        return Err(invalid("it is that of a tenant's own authority, whose devices are enrolled".into()));
    }
    if let Some(other) = same().find(|other| other.tenant == authority.tenant) {
        let detail = format!("the authority {} has this key already: give that one the certificate", other.name);
        return Err(problem("name-taken", detail).about("cert"));
    }
    // A place is kept for the tenant's own.
    let named = others().filter(|other| other.tenant == authority.tenant && other.name.as_str() != OWN_AUTHORITY);
    if named.count() >= DEVICE_AUTHORITIES_MAX - 1 {
        let detail = format!("a tenant has at most {} authorities beside its own", DEVICE_AUTHORITIES_MAX - 1);
        return Err(problem("limit-reached", detail));
    }
    Ok(())
}

fn invalid(detail: String) -> Problem {
    problem("certificate-invalid", format!("the authority's certificate: {detail}")).about("cert")
}

/// Reads an authority's certificate: one, of an authority, and none of Postern's own, for connectors have certificates of that.
fn check(control: &Control, pem: &str) -> Result<AuthorityCertificate, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).take(2).collect();
    let found = found.map_err(|error| format!("it is not PEM: {error}"))?;
    let [der] = found.as_slice() else {
        return Err("give one certificate, the one that devices' certificates are signed with".into());
    };
    if sha256_hex(der) == control.authority.ca_sha256() || sha256_hex(der) == control.authority.web_ca_sha256() {
        return Err("it is one of Postern's own authorities, which issue to no devices".into());
    }
    let unreadable = |error: &dyn std::fmt::Display| format!("it cannot be read: {error}");
    let (rest, parsed) = x509_parser::parse_x509_certificate(der).map_err(|error| unreadable(&error))?;
    webpki::anchor_from_trusted_cert(der).map_err(|error| unreadable(&error))?;
    let is_ca = parsed.basic_constraints().ok().flatten().is_some_and(|constraints| constraints.value.ca);
    let usage = parsed.key_usage().map_err(|error| unreadable(&error))?;
    if !rest.is_empty() || !is_ca || usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err("it is not an authority's: it may not sign certificates (basicConstraints, keyUsage)".into());
    }
    AuthorityCertificate::new(der).map_err(|error| error.to_string())
}

/// Whether a certificate is in its time.
fn check_time(certificate: &AuthorityCertificate, now_unix: u64) -> Result<(), String> {
    let der = certificate.der();
    let (_, parsed) =
        x509_parser::parse_x509_certificate(&der).map_err(|error| format!("it cannot be read: {error}"))?;
    let (not_before, not_after) = (parsed.validity().not_before, parsed.validity().not_after);
    let now = i64::try_from(now_unix).unwrap_or(i64::MAX);
    if not_after.timestamp() <= now || not_before.timestamp() > now {
        return Err(format!("it is valid from {not_before} to {not_after}, and not now"));
    }
    Ok(())
}

/// End of an authority's certificate: the beginning of time where that cannot be read.
pub(super) fn not_after_unix(authority: &DeviceAuthority) -> u64 {
    let der = authority.certificate.der();
    let parsed = x509_parser::parse_x509_certificate(&der);
    let not_after = parsed.map_or(0, |(_, parsed)| parsed.validity().not_after.timestamp());
    u64::try_from(not_after).unwrap_or(0)
}

/// SHA-256 of an authority's SubjectPublicKeyInfo; of what cannot be read, of the whole.
fn public_key(authority: &DeviceAuthority) -> String {
    let der = authority.certificate.der();
    let parsed = x509_parser::parse_x509_certificate(&der);
    parsed.map_or_else(|_| sha256_hex(&der), |(_, parsed)| sha256_hex(parsed.public_key().raw))
}

fn view(authority: &DeviceAuthority) -> DeviceAuthorityView {
    let der = authority.certificate.der();
    let parsed = x509_parser::parse_x509_certificate(&der).ok().map(|(_, parsed)| parsed);
    DeviceAuthorityView {
        name: authority.name.clone(),
        subject: parsed.map(|parsed| parsed.subject().to_string()).unwrap_or_default(),
        sha256: sha256_hex(&der),
        not_after_unix: not_after_unix(authority),
        compliant: authority.compliant,
    }
}

const WARNED_BEFORE_S: u64 = 30 * 86_400;
