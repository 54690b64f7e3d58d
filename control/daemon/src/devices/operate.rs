//! What operators do with devices.

use postern_model::admin::{DeviceChanged, DeviceView, DevicesPage, Problem, SetDevice, SetDeviceSettings};
use postern_model::config::Tenant;
use postern_model::device::{Approval, Compliance, Device, DeviceSettings, OWN_DAYS_MAX};
use postern_model::directory::END_UNIX_MAX;
use postern_model::ids::DeviceId;
use time::OffsetDateTime;

use super::{audit, authorities, check_room, put, state, summary, take_out, touch_key};
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::directory::find_user;
use crate::limits::DEVICES_AT_ONCE;
use crate::problem::{not_found, problem};
use crate::store::{DeviceChange, DeviceQuery, DirectoryChange};

/// What a list asks for: `owner=U`, `approval=waiting`, `after=N`.
pub(crate) fn page(control: &Control, tenant: &Tenant, query: &str) -> Result<DeviceQuery, Problem> {
    let mut page = DeviceQuery { tenant: tenant.id, owner: None, approval: None, after: 0, limit: DEVICES_AT_ONCE };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let wrong = || problem("request-invalid", format!("the query {name}={value:?} is not understood"));
        match &*name {
            "owner" => page.owner = Some(find_user(control, tenant, &value)?.id),
            "approval" => page.approval = Some(approval(&value).ok_or_else(wrong)?),
            "after" => page.after = value.parse().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        }
    }
    Ok(page)
}

/// `device list`, so many at once.
pub(crate) fn list(control: &Control, query: &DeviceQuery) -> Result<DevicesPage, Problem> {
    let asked = DeviceQuery { limit: query.limit + 1, ..query.clone() };
    let mut found = control.directory(|store| store.devices(&asked))?;
    let shown = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let is_more = found.len() > shown;
    found.truncate(shown);
    let next = found.last().filter(|_| is_more).map(|last| last.id.seq);
    let items = found.into_iter().map(|device| view(control, device)).collect::<Result<_, _>>()?;
    Ok(DevicesPage { items, next })
}

/// `device show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, id: &str) -> Result<DeviceView, Problem> {
    view(control, find(control, tenant, id)?)
}

/// `device approve`: also of one that was blocked, or removed and is remembered.
pub(crate) fn approve(control: &Control, actor: &Actor, tenant: &Tenant, id: &str) -> Result<DeviceChanged, Problem> {
    let device = find(control, tenant, id)?;
    let was_removed = device.approval == Approval::Removed;
    if was_removed {
        check_room(control, tenant.id)?;
    }
    let after = Device { approval: Approval::Approved, ..device.clone() };
    let mut changed = change(control, actor, "device.approve", device, after)?;
    if was_removed && changed.device.device.owner.is_none() {
        // Whoever it was for may be gone.
        let warning = format!("{id} counts for everybody: postern device set {id} --owner LOGIN makes it one user's");
        changed.warnings.push(warning);
    }
    Ok(changed)
}

/// `device block`: it counts for nothing from now on, also for sessions in progress.
pub(crate) fn block(control: &Control, actor: &Actor, tenant: &Tenant, id: &str) -> Result<DeviceChanged, Problem> {
    let device = find_present(control, tenant, id)?;
    let after = Device { approval: Approval::Blocked, ..device.clone() };
    change(control, actor, "device.block", device, after)
}

/// `device set`: whether it complies, whose it is, and what it is called.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    id: &str,
    request: SetDevice,
) -> Result<DeviceChanged, Problem> {
    let device = find_present(control, tenant, id)?;
    let SetDevice { compliance, owner, shared, name } = request;
    let mut after = device.clone();
    match compliance {
        Some(Compliance::Until(end)) if end <= now_unix() || end > END_UNIX_MAX => {
            let detail = format!("{end} is no end: a second from now to 9999");
            return Err(problem("request-invalid", detail).about("compliance"));
        }
        Some(compliance) => after.compliance = compliance,
        None => {}
    }
    match (owner, shared) {
        (Some(_), true) => {
            return Err(problem("request-invalid", "a device is somebody's or everybody's, not both").about("owner"));
        }
        (Some(owner), false) => after.owner = Some(find_user(control, tenant, &owner)?.id),
        (None, true) => after.owner = None,
        (None, false) => {}
    }
    if let Some(name) = name {
        if name.as_str().trim().is_empty() {
            return Err(problem("request-invalid", "name: a device is called something").about("name"));
        }
        after.name = name;
    }
    let is_anothers = device.is_own() && after.owner.is_some() && after.owner != device.owner;
    if is_anothers {
        end_certificate(&mut after);
    }
    let mut changed = change(control, actor, "device.set", device, after)?;
    if is_anothers {
        let warning = format!("the certificate of {id} ended: it counts again once its new owner enrols it anew");
        changed.warnings.push(warning);
    }
    Ok(changed)
}

/// Whoever enrolled it may have its key still, and would be its new owner by that.
fn end_certificate(device: &mut Device) {
    device.certificate_sha256 = String::new();
    device.expires_unix = device.expires_unix.min(now_unix());
}

/// `device remove`.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant, id: &str) -> Result<DeviceChanged, Problem> {
    let device = find_present(control, tenant, id)?;
    let mut draft = Draft::default();
    draft.audit(Audit { before: Some(summary(&device)), ..audit("device.remove", &device) });
    take_out(control, device.clone(), &mut draft)?;
    let version = control.commit(actor, draft)?;
    let device = view(control, Device { approval: Approval::Removed, ..device })?;
    Ok(DeviceChanged { device, version, warnings: Vec::new() })
}

/// `device settings`.
pub(crate) fn settings(control: &Control, tenant: &Tenant) -> Result<DeviceSettings, Problem> {
    control.directory(|store| store.device_settings(tenant.id))
}

/// `device settings --…`. What is enrolled already stays what it is.
pub(crate) fn set_settings(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: SetDeviceSettings,
) -> Result<DeviceSettings, Problem> {
    let before = settings(control, tenant)?;
    let SetDeviceSettings { approve_at_once, own_days, sign_in } = request;
    let after = DeviceSettings {
        approve_at_once: approve_at_once.unwrap_or(before.approve_at_once),
        own_days: own_days.unwrap_or(before.own_days),
        sign_in: sign_in.unwrap_or(before.sign_in),
    };
    if !(1..=OWN_DAYS_MAX).contains(&after.own_days) {
        let detail = format!("a device's certificate is valid for 1 to {OWN_DAYS_MAX} days, not {}", after.own_days);
        return Err(problem("request-invalid", detail).about("own_days"));
    }
    if before != after {
        let line = |settings: &DeviceSettings| {
            let approved = if settings.approve_at_once { "at once" } else { "by an operator" };
            let sign_in = if settings.sign_in { ", they sign in by themselves" } else { "" };
            format!("approved {approved}, certificates for {} days{sign_in}", settings.own_days)
        };
        let mut draft = Draft::default();
        draft.audit(Audit {
            action: "device.settings",
            tenant: Some(tenant.id),
            target: format!("enrolment of devices in tenant {}", tenant.name),
            before: Some(line(&before)),
            after: Some(line(&after)),
        });
        draft.directory(DirectoryChange::Device(DeviceChange::SettingsPut(tenant.id, after)));
        control.commit(actor, draft)?;
    }
    Ok(after)
}

/// As the audit log says it.
pub(super) fn compliance(compliance: Compliance) -> String {
    match compliance {
        Compliance::ByAuthority => "as its authority says".into(),
        Compliance::No => "no".into(),
        Compliance::Yes => "yes".into(),
        Compliance::Until(end) => {
            let end = OffsetDateTime::from_unix_timestamp(i64::try_from(end).unwrap_or(i64::MAX));
            end.map_or_else(|_| "yes".into(), |end| format!("until {end}"))
        }
    }
}

fn change(
    control: &Control,
    actor: &Actor,
    action: &'static str,
    before: Device,
    after: Device,
) -> Result<DeviceChanged, Problem> {
    if before == after {
        let version = control.snapshot().version;
        let warnings = vec![format!("{}: nothing changes: it is so already", before.id)];
        return Ok(DeviceChanged { device: view(control, after)?, version, warnings });
    }
    let mut draft = Draft::default();
    draft.audit(Audit { before: Some(summary(&before)), after: Some(summary(&after)), ..audit(action, &before) });
    if before.approval != after.approval {
        touch_key(control, &before, &mut draft)?;
    }
    put(after.clone(), &mut draft);
    let version = control.commit(actor, draft)?;
    let warnings = authorities::no_host(control).into_iter().collect();
    Ok(DeviceChanged { device: view(control, after)?, version, warnings })
}

fn find(control: &Control, tenant: &Tenant, id: &str) -> Result<Device, Problem> {
    let id_in = id.parse().ok().filter(|id: &DeviceId| id.tenant == tenant.id);
    let found = id_in.map(|id| control.directory(|store| store.device(id))).transpose()?.flatten();
    found.ok_or_else(|| not_found("device", id))
}

fn find_present(control: &Control, tenant: &Tenant, id: &str) -> Result<Device, Problem> {
    let device = find(control, tenant, id)?;
    if device.approval == Approval::Removed {
        let detail = format!("the device {id} was removed: postern device approve {id} takes it back");
        return Err(problem("device-removed", detail));
    }
    Ok(device)
}

fn view(control: &Control, device: Device) -> Result<DeviceView, Problem> {
    let owner = device.owner.map(|owner| control.directory(|store| store.user(owner))).transpose()?.flatten();
    let state = state(control, &device, now_unix());
    Ok(DeviceView { owner_login: owner.map(|user| user.login), state, device })
}

fn approval(text: &str) -> Option<Approval> {
    let all = [Approval::Waiting, Approval::Approved, Approval::Blocked, Approval::Removed];
    all.into_iter().find(|one| one.as_str() == text)
}
