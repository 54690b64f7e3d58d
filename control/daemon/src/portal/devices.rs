//! A user's own devices. What an operator says of them is not theirs to change.

use postern_model::admin::Problem;
use postern_model::device::Device;
use postern_model::ids::DeviceId;
use postern_model::oauth::Scope;
use postern_model::portal::{EnrolBy, OwnDevice, OwnDevices, PortalAnswer};

use super::Caller;
use crate::clock::now_unix;
use crate::control::Control;
use crate::devices;
use crate::sign_in::issuer;

pub(super) fn shown(control: &Control, caller: &Caller) -> Result<PortalAnswer, Problem> {
    let now_unix = now_unix();
    let view = |device: Device| OwnDevice {
        state: devices::state(control, &device, now_unix),
        removable: devices::may_remove(&caller.user, &device),
        id: device.id,
        name: device.name,
        platform: device.platform,
        approval: device.approval,
        created_unix: device.created_unix,
        seen_unix: device.seen_unix,
        expires_unix: device.expires_unix,
    };
    let own = devices::of_user(control, caller.user.id)?;
    Ok(PortalAnswer::Devices(Box::new(OwnDevices {
        visitor: caller.visitor(),
        devices: own.into_iter().map(view).collect(),
        enrol: enrol_by(control, caller)?,
        now_unix,
    })))
}

/// One of theirs. Everybody's, and those of others, are none of theirs, as one that is not there.
pub(super) fn remove(control: &Control, caller: &Caller, device: DeviceId) -> Result<PortalAnswer, Problem> {
    match devices::remove_own(control, &caller.user, device) {
        Ok(()) => Ok(PortalAnswer::Done {}),
        Err(problem) if problem.code == "not-found" => Ok(PortalAnswer::Absent {}),
        Err(problem) => Err(problem),
    }
}

/// The first client that may make devices theirs, by a program that shows a code.
fn enrol_by(control: &Control, caller: &Caller) -> Result<Option<EnrolBy>, Problem> {
    let clients = control.clients(|store| store.clients(caller.user.id.tenant))?;
    let may = clients.into_iter().find(|client| {
        let settings = &client.settings;
        !settings.disabled && settings.device && settings.scopes.contains(&Scope::Devices)
    });
    Ok(may.map(|client| EnrolBy { url: format!("{}/", issuer(control)), client: client.id }))
}
