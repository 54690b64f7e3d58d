//! Certificates of the web CA: issued for whoever has none, and renewed.

use postern_model::Change;
use postern_model::admin::Problem;
use postern_model::config::{Certificate, CertificateOrigin};
use postern_model::ids::{CertificateId, TenantId};

use super::{audit, next_id, summary};
use crate::authority::WEB_RENEWAL_LEFT_S;
use crate::control::{Actor, Control, Draft};
use crate::problem::problem;

/// Renews every issued certificate that has less than a third of its life left. Gives how many.
pub(crate) fn renew_due(control: &Control, now_unix: u64) -> usize {
    let due: Vec<Certificate> = {
        let snapshot = control.snapshot();
        let near = |c: &&Certificate| c.not_after_unix < now_unix + WEB_RENEWAL_LEFT_S;
        let issued = snapshot.certificates.values().filter(|c| c.origin == CertificateOrigin::Issued);
        issued.filter(near).cloned().collect()
    };
    due.iter().filter(|certificate| renew(control, certificate).is_ok()).count()
}

pub(super) fn put_issued(
    control: &Control,
    tenant: TenantId,
    host: &str,
    draft: &mut Draft,
) -> Result<CertificateId, Problem> {
    let id = next_id(control, tenant, draft)?;
    let certificate = issue(control, id, host)?;
    draft.audit(audit("certificate.issue", &certificate, None, Some(summary(&certificate))));
    draft.change(Change::CertificatePut(certificate));
    Ok(id)
}

fn renew(control: &Control, before: &Certificate) -> Result<(), Problem> {
    let Some(host) = before.hosts.first() else { return Ok(()) };
    let certificate = issue(control, before.id, host)?;
    let mut draft = Draft::default();
    draft.audit(audit("certificate.renew", &certificate, Some(summary(before)), Some(summary(&certificate))));
    draft.change(Change::CertificatePut(certificate));
    control.commit(&Actor::Control, draft).map(drop)
}

fn issue(control: &Control, id: CertificateId, host: &str) -> Result<Certificate, Problem> {
    let issued = control.authority.issue_web(host);
    let issued =
        issued.map_err(|error| problem("certificate-invalid", format!("no certificate for {host}: {error}")))?;
    Ok(Certificate {
        id,
        hosts: vec![host.to_owned()],
        chain_pem: issued.chain_pem,
        key_pem: issued.key_pem,
        not_after_unix: issued.not_after_unix,
        origin: CertificateOrigin::Issued,
        staple: None,
        revoked_unix: None,
    })
}
