//! Enrolment: a user's device gets a certificate of the tenant's own authority. Its key was made there and stays there.

use postern_model::Change;
use postern_model::admin::Problem;
use postern_model::device::{
    Approval, AuthorityCertificate, CSR_BYTES_MAX, Compliance, Device, DeviceAuthority, EnrolDevice, EnrolledDevice,
};
use postern_model::directory::User;
use postern_model::ids::{DeviceId, TenantId};

use super::{audit, check_room, device_url, own_authority_key, put, summary};
use crate::authority::RequestedKey;
use crate::authority::devices::DeviceCa;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::limits::DEVICES_OF_USER_MAX;
use crate::problem::problem;

/// Enrols a user's device, or gives one that they have a new certificate for its key.
pub(crate) fn enrol(control: &Control, user: &User, request: &EnrolDevice) -> Result<EnrolledDevice, Problem> {
    if request.name.as_str().trim().is_empty() {
        return Err(problem("request-invalid", "name: a device is called something").about("name"));
    }
    let fits = request.csr_pem.len() <= CSR_BYTES_MAX;
    let key = fits.then(|| RequestedKey::parse(&request.csr_pem)).flatten().ok_or_else(|| {
        let detail = "the certificate request is not PEM with a P-256 key and its own signature";
        problem("request-invalid", detail).about("csr_pem")
    })?;
    let tenant = user.id.tenant;
    let settings = control.directory(|store| store.device_settings(tenant))?;
    let mut draft = Draft::default();
    let (authority, ca) = own_authority(control, tenant, &mut draft)?;
    let known = control.directory(|store| store.devices_of_key(tenant, &key.sha256))?;
    check_known(&known, user)?;
    let before = known.into_iter().find(Device::is_own);
    let id = match &before {
        Some(before) => before.id,
        None => new_id(control, user, &mut draft)?,
    };
    let issued = ca.issue(id, &key, settings.own_days);
    let issued = issued.map_err(|error| problem("internal", format!("no certificate can be issued: {error:#}")))?;
    let now = now_unix();
    let new = || Device {
        id,
        name: request.name.clone(),
        owner: Some(user.id),
        platform: request.platform,
        approval: if settings.approve_at_once { Approval::Approved } else { Approval::Waiting },
        compliance: Compliance::default(),
        authority: authority.name.clone(),
        certificate_sha256: String::new(),
        key_sha256: key.sha256.clone(),
        expires_unix: 0,
        created_unix: now,
        seen_unix: None,
    };
    // What operators said of it stays, and what it is called.
    let device = before.clone().unwrap_or_else(new);
    let device = Device { certificate_sha256: issued.sha256, expires_unix: issued.not_after_unix, ..device };
    let action = if before.is_some() { "device.renew" } else { "device.enrol" };
    let (was, is) = (before.as_ref().map(summary), Some(summary(&device)));
    draft.audit(Audit { before: was, after: is, ..audit(action, &device) });
    let state = device.state(Some(&authority), now);
    put(device, &mut draft);
    control.commit(&Actor::User(user.login.clone()), draft)?;
    Ok(EnrolledDevice {
        id,
        certificate_pem: issued.chain_pem,
        expires_unix: issued.not_after_unix,
        state,
        device_url: device_url(control),
    })
}

/// A device that has the key already gets another certificate, if it is the same user's: the key is proven to be there by the
/// request's signature, but a request may have been copied. What another authority issued to the same key says no, too.
fn check_known(known: &[Device], user: &User) -> Result<(), Problem> {
    for device in known {
        let id = device.id;
        match device.owner {
            Some(owner) if owner == user.id => {}
            Some(_) => {
                let detail = "this key is that of another device already: make a new one";
                return Err(problem("device-of-another", detail).about("csr_pem"));
            }
            None if device.is_own() => {
                let detail = format!(
                    "this key is that of the device {id}, which is everybody's: an administrator makes it yours \
                    (postern device set {id} --owner {}), you enrol it again, and it is shared again",
                    user.login
                );
                return Err(problem("device-of-another", detail).about("csr_pem"));
            }
            None => {}
        }
        match device.approval {
            Approval::Waiting | Approval::Approved => {}
            Approval::Blocked => {
                return Err(problem("device-blocked", format!("the device {id} was blocked by an administrator")));
            }
            Approval::Removed => {
                return Err(problem("device-removed", format!("the device {id} was removed by an administrator")));
            }
        }
    }
    Ok(())
}

fn new_id(control: &Control, user: &User, draft: &mut Draft) -> Result<DeviceId, Problem> {
    let tenant = user.id.tenant;
    if control.directory(|store| store.device_count(tenant, Some(user.id)))? >= DEVICES_OF_USER_MAX {
        let detail = format!("a user has at most {DEVICES_OF_USER_MAX} devices: remove one that is not used any more");
        return Err(problem("limit-reached", detail));
    }
    check_room(control, tenant)?;
    Ok(DeviceId::new(tenant, control.next(counter("device", tenant), draft)?))
}

/// The tenant's own authority, made with its first device: until then no browser is asked for its certificates.
fn own_authority(
    control: &Control,
    tenant: TenantId,
    draft: &mut Draft,
) -> Result<(DeviceAuthority, DeviceCa), Problem> {
    let unusable = |error: anyhow::Error| {
        tracing::error!("{error:#}");
        problem("internal", "the tenant's authority for devices cannot be used: control's log says why")
    };
    let key = own_authority_key(tenant)?;
    let there = control.snapshot().device_authorities.get(&key).cloned();
    if let Some(authority) = there {
        let ca = DeviceCa::open(&control.state_dir, tenant, &authority.certificate.der()).map_err(unusable)?;
        return Ok((authority, ca));
    }
    let ca = DeviceCa::make(&control.state_dir, tenant).map_err(unusable)?;
    let certificate = AuthorityCertificate::new(ca.certificate()).map_err(|error| unusable(error.into()))?;
    let authority = DeviceAuthority { tenant, name: key.name, certificate, compliant: false };
    draft.change(Change::DeviceAuthorityPut(authority.clone()));
    draft.audit(super::authorities::audited("device-authority.make", &authority));
    Ok((authority, ca))
}
