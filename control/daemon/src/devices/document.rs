//! Devices in a document: authorities that operators named, and how users enrol devices. Devices themselves are in none, nor is
//! the tenant's own authority, whose key no document has.

use std::collections::BTreeMap;

use postern_model::admin::{AddDeviceAuthority, Problem, SetDeviceSettings};
use postern_model::config::Tenant;
use postern_model::device::{DeviceSettings, OWN_AUTHORITY};
use postern_model::document::{DeviceAuthorityEntry, Document};
use postern_model::ids::{Name, TenantId};

use super::{authorities, operate};
use crate::control::{Actor, Control};
use crate::pem::as_pem;

/// `apply`: authorities and settings shall be exactly so. `prune`: other authorities go, if it names any.
pub(crate) fn make(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    document: &Document,
    prune: bool,
) -> Result<(), Problem> {
    let named = &document.device_authorities;
    if prune && !named.is_empty() {
        let unnamed = entries(control, tenant.id).into_keys().filter(|name| !named.contains_key(name));
        for name in unnamed.collect::<Vec<_>>() {
            authorities::remove(control, actor, tenant, name.as_str())?;
        }
    }
    for (name, entry) in named {
        let DeviceAuthorityEntry { certificate_pem, compliant } = entry.clone();
        let request = AddDeviceAuthority { name: name.clone(), certificate_pem, compliant: Some(compliant) };
        let added = authorities::add(control, actor, tenant, request);
        added.map_err(|problem| problem.about(format!("device-authority.{name}")))?;
    }
    let Some(settings) = document.device_enrolment else { return Ok(()) };
    let DeviceSettings { approve_at_once, own_days, sign_in } = settings;
    let asked =
        SetDeviceSettings { approve_at_once: Some(approve_at_once), own_days: Some(own_days), sign_in: Some(sign_in) };
    let set = operate::set_settings(control, actor, tenant, asked);
    set.map(drop).map_err(|problem| problem.about("device-enrolment"))
}

/// `export`: the authorities.
pub(crate) fn entries(control: &Control, tenant: TenantId) -> BTreeMap<Name, DeviceAuthorityEntry> {
    let snapshot = control.snapshot();
    let own = snapshot.device_authorities.values().filter(|authority| authority.tenant == tenant);
    own.filter(|authority| authority.name.as_str() != OWN_AUTHORITY)
        .map(|authority| {
            let certificate_pem = as_pem(&authority.certificate.der());
            (authority.name.clone(), DeviceAuthorityEntry { certificate_pem, compliant: authority.compliant })
        })
        .collect()
}

/// `export`: how users enrol devices, where that is not as it is by itself.
pub(crate) fn enrolment(control: &Control, tenant: TenantId) -> Result<Option<DeviceSettings>, Problem> {
    let settings = control.directory(|store| store.device_settings(tenant))?;
    Ok(Some(settings).filter(|settings| *settings != DeviceSettings::default()))
}
