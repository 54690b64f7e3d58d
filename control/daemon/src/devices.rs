//! Devices: recognised by the certificates that they show, enrolled by their users, and looked after by operators. What one
//! counts for is decided here alone, from its row and its authority as they are now: relays learn it with sessions' records.

mod asked;
mod authorities;
pub(crate) mod document;
mod enrol;
mod host;
mod operate;
mod shown;

use postern_model::admin::Problem;
use postern_model::app_url::ExternalUrl;
use postern_model::device::{
    Approval, Compliance, Device, DeviceAuthority, DeviceAuthorityKey, OWN_AUTHORITY, SessionDevice,
};
use postern_model::directory::User;
use postern_model::ids::{DeviceId, Name, TenantId, UserId};
use postern_model::policy::DeviceState;

pub(crate) use asked::unanswerable;
pub(crate) use authorities::{add as add_authority, list as list_authorities, remove as remove_authority, warnings};
pub(crate) use enrol::enrol;
pub(crate) use host::{remove as remove_host, set as set_host, taken as is_taken_host};
pub(crate) use operate::{approve, block, list, page, remove, set, set_settings, settings, show};

use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::limits::{DEVICE_KEPT_S, DEVICE_SEEN_NOTED_S, DEVICES_AT_ONCE, DEVICES_MAX, DEVICES_REMEMBERED_MAX};
use crate::problem::{not_found, problem};
use crate::sessions::Touched;
use crate::store::{DeviceChange, DeviceQuery, DirectoryChange};
use shown::Shown;

/// A device that a certificate is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recognised {
    pub(crate) device: Device,
    /// What it counts as now: unknown as long as it waits, and of one that is blocked.
    pub(crate) state: DeviceState,
}

/// Why a certificate is of no device.
#[derive(Debug)]
pub(crate) enum NotRecognised {
    /// It is nothing that counts here: why.
    Untrusted(String),
    /// The tenant's own authority issued it, and no device has it: that was removed, or has a newer one.
    Unknown,
    /// An operator removed the device that another authority's certificate is of.
    Removed(DeviceId),
    /// It cannot be said now.
    Failed(Problem),
}

impl NotRecognised {
    /// A code of `docs/errors.md`.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Untrusted(_) | Self::Unknown => "device-certificate-invalid",
            Self::Removed(_) => "device-removed",
            Self::Failed(_) => "internal",
        }
    }

    /// For people.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Untrusted(why) => format!("the certificate that the browser showed counts for no device: {why}"),
            Self::Unknown => {
                "the certificate that the browser showed is no device's any more: the device was removed, or \
                has a newer certificate"
                    .into()
            }
            Self::Removed(id) => format!("the device {id} was removed by an administrator"),
            Self::Failed(problem) => problem.detail.clone(),
        }
    }
}

/// Which device a certificate is of. One of an authority that an operator named comes into the directory when it is seen first:
/// that authority issued to it, and who may use it, policies say. The tenant's own authority issues nothing that is not there.
///
/// What was shown must be proven to be held, by TLS: relays do that.
pub(crate) fn recognise(
    control: &Control,
    tenant: TenantId,
    certificate_der: &[u8],
    now_unix: u64,
) -> Result<Recognised, NotRecognised> {
    let shown = Shown::read(certificate_der).map_err(NotRecognised::Untrusted)?;
    let authority = shown.issuer(control, tenant, now_unix).map_err(NotRecognised::Untrusted)?;
    let known = control.directory(|store| store.devices_of_key(tenant, &shown.key_sha256));
    let known = known.map_err(NotRecognised::Failed)?;
    let here = known.iter().find(|device| device.authority == authority.name);
    if authority.name.as_str() == OWN_AUTHORITY {
        let exactly = |device: &&Device| device.certificate_sha256 == shown.sha256 && shown.names(device.id);
        here.filter(exactly).ok_or(NotRecognised::Unknown)?;
    }
    let device = match barred(&known, &authority.name).or(here) {
        Some(device) => device.clone(),
        None => register(control, &authority, &shown, &known, now_unix).map_err(NotRecognised::Failed)?,
    };
    if device.approval == Approval::Removed {
        return Err(NotRecognised::Removed(device.id));
    }
    let is_here = device.authority == authority.name;
    let device = if is_here { seen(control, device, &shown, now_unix).map_err(NotRecognised::Failed)? } else { device };
    let state = device.state(Some(&authority), now_unix);
    Ok(Recognised { device, state })
}

/// The device with a key that was blocked or removed, under whichever authority: the key is what that was said of, and another
/// authority that issues to it lets it in no more. `here`: the one that counts first.
fn barred<'a>(known: &'a [Device], here: &Name) -> Option<&'a Device> {
    let barred = known.iter().filter(|device| [Approval::Blocked, Approval::Removed].contains(&device.approval));
    barred.min_by_key(|device| device.authority != *here)
}

/// What a device counts as: nothing, where another with its key was blocked or removed, or where that cannot be said.
pub(crate) fn state(control: &Control, device: &Device, now_unix: u64) -> DeviceState {
    counts(control, device, now_unix).0
}

/// The same, and when its certificate ends, or its authority's before that.
fn counts(control: &Control, device: &Device, now_unix: u64) -> (DeviceState, u64) {
    let key = DeviceAuthorityKey { tenant: device.id.tenant, name: device.authority.clone() };
    let snapshot = control.snapshot();
    let authority = snapshot.device_authorities.get(&key);
    let end_unix = authority.map_or(0, authorities::not_after_unix).min(device.expires_unix);
    // One that is past its end vouches for nothing any more.
    let state = device.state(authority.filter(|_| end_unix > now_unix), now_unix);
    if state == DeviceState::Unknown {
        return (state, end_unix);
    }
    let known = control.directory(|store| store.devices_of_key(device.id.tenant, &device.key_sha256));
    let is_free = known.is_ok_and(|known| barred(&known, &device.authority).is_none());
    (if is_free { state } else { DeviceState::Unknown }, end_unix)
}

/// What relays are told of the device that a session began with: nothing, where it is gone, or another user's now. When it ends by
/// itself they are told before, and need not be told then.
pub(crate) fn for_session(control: &Control, id: DeviceId, user: UserId) -> Result<Option<SessionDevice>, Problem> {
    let found = control.directory(|store| store.device(id))?;
    let theirs = found.filter(|device| device.approval != Approval::Removed && device.is_for(user));
    Ok(theirs.map(|device| {
        let (state, end_unix) = counts(control, &device, now_unix());
        let compliant_until_unix = match device.compliance {
            Compliance::Until(end) if state == DeviceState::Compliant => Some(end),
            Compliance::Until(_) | Compliance::ByAuthority | Compliance::No | Compliance::Yes => None,
        };
        let until_unix = (state != DeviceState::Unknown).then_some(end_unix);
        SessionDevice { compliant_until_unix, until_unix, ..SessionDevice::new(id, device.name, state) }
    }))
}

/// Whether a user of a tenant may have enrolled a device: its own authority is made for the first.
pub(crate) fn any_enrolled(control: &Control, tenant: TenantId) -> bool {
    let snapshot = control.snapshot();
    let mut authorities = snapshot.device_authorities.values();
    authorities.any(|authority| authority.tenant == tenant && authority.name.as_str() == OWN_AUTHORITY)
}

/// The devices that are a user's alone.
pub(crate) fn of_user(control: &Control, user: UserId) -> Result<Vec<Device>, Problem> {
    let query =
        DeviceQuery { tenant: user.tenant, owner: Some(user), approval: None, after: 0, limit: DEVICES_AT_ONCE };
    control.directory(|store| store.devices(&query))
}

/// The devices of a user that sign them in, where they do: what an operator should know who ends whatever the user has.
pub(crate) fn that_sign_in(control: &Control, user: &User) -> Option<String> {
    let settings = control.directory(|store| store.device_settings(user.id.tenant)).ok()?;
    let devices = of_user(control, user.id).ok().filter(|_| settings.sign_in)?;
    let counts = |device: &&Device| {
        let is_known = state(control, device, now_unix()) != DeviceState::Unknown;
        is_known && device.is_own() && !is_from_before(device, user)
    };
    let ids: Vec<String> = devices.iter().filter(counts).map(|device| device.id.to_string()).collect();
    (!ids.is_empty()).then(|| ids.join(", "))
}

/// Whether a device is older than its owner's password: whoever had the one before may have enrolled it, and the new one is to keep
/// them out. Of when the device came no more than the second is known.
pub(crate) fn is_from_before(device: &Device, owner: &User) -> bool {
    owner.password_set_unix_ms.is_some_and(|set_unix_ms| device.created_unix < set_unix_ms / 1_000)
}

/// Removes a device at its owner's wish. One of another authority is an operator's: removed, it would stay so for whoever has it.
pub(crate) fn remove_own(control: &Control, user: &User, id: DeviceId) -> Result<(), Problem> {
    let own = control.directory(|store| store.device(id))?.filter(|device| may_remove(user, device));
    let device = own.ok_or_else(|| not_found("device of yours", &id.to_string()))?;
    let mut draft = Draft::default();
    draft.audit(Audit { before: Some(summary(&device)), ..audit("device.remove", &device) });
    take_out(control, device, &mut draft)?;
    control.commit(&Actor::User(user.login.clone()), draft).map(drop)
}

/// Whether a device is its owner's to remove. A blocked one stays: removed, its key could be enrolled once more.
pub(crate) fn may_remove(user: &User, device: &Device) -> bool {
    device.owner == Some(user.id) && device.is_own() && device.approval != Approval::Blocked
}

/// Where browsers show their device's certificate: `https://HOST[:PORT]`.
pub(crate) fn device_url(control: &Control) -> Option<String> {
    let snapshot = control.snapshot();
    let identity = snapshot.identity.as_ref()?;
    let external = ExternalUrl::parse(&snapshot.apps.get(&identity.app)?.external_url).ok()?;
    Some(identity.device_host.as_ref()?.origin(&external))
}

/// Tells relays of devices that stopped complying, or whose certificates or authorities ended, since it was looked at last: time
/// changes them, and nobody else would say so.
pub(crate) fn follow_time(control: &Control, after_unix: u64, until_unix: u64) -> Result<(), Problem> {
    let mut draft = Draft::default();
    let over = control.directory(|store| store.devices_over(after_unix, until_unix))?;
    draft.touched.extend(over.into_iter().map(Touched::Device));
    {
        let snapshot = control.snapshot();
        let ended = |authority: &&DeviceAuthority| {
            let end = authorities::not_after_unix(authority);
            after_unix < end && end <= until_unix
        };
        let ended = snapshot.device_authorities.values().filter(ended);
        draft.touched.extend(ended.map(|authority| Touched::Devices(authority.tenant)));
    }
    if draft.touched.is_empty() {
        return Ok(());
    }
    control.commit(&Actor::Control, draft).map(drop)
}

/// Forgets devices that were not given another certificate for long, if they would come by themselves again as they are.
pub(crate) fn sweep(control: &Control, now_unix: u64) -> Result<(), Problem> {
    let mut draft = Draft::default();
    let before = now_unix.saturating_sub(DEVICE_KEPT_S);
    draft.directory(DirectoryChange::Device(DeviceChange::Expired(before)));
    control.commit(&Actor::Control, draft).map(drop)
}

/// A device that an authority of an operator's issued to, and that was never seen: it comes into the directory as everybody's. What
/// was said of one with its key, `known` under another authority, holds for it: whose it is, and that it does not comply.
fn register(
    control: &Control,
    authority: &DeviceAuthority,
    shown: &Shown,
    known: &[Device],
    now_unix: u64,
) -> Result<Device, Problem> {
    let tenant = authority.tenant;
    let is_refused = known.iter().any(|device| device.compliance == Compliance::No);
    check_room(control, tenant)?;
    let mut draft = Draft::default();
    let id = DeviceId::new(tenant, control.next(counter("device", tenant), &mut draft)?);
    let device = Device {
        id,
        name: shown.device_name(id),
        owner: known.iter().find_map(|device| device.owner),
        platform: None,
        approval: Approval::Approved,
        compliance: if is_refused { Compliance::No } else { Compliance::default() },
        authority: authority.name.clone(),
        certificate_sha256: shown.sha256.clone(),
        key_sha256: shown.key_sha256.clone(),
        expires_unix: shown.not_after_unix,
        created_unix: now_unix,
        seen_unix: Some(now_unix),
    };
    draft.audit(Audit { after: Some(summary(&device)), ..audit("device.register", &device) });
    put(device.clone(), &mut draft);
    control.commit(&Actor::Control, draft)?;
    Ok(device)
}

/// Notes that a device was shown: not each time, for that would be a transaction with every sign-in. A newer certificate of
/// another authority's, for the same key, takes the place of the one before; so does the one that it has, if its authority was
/// gone meanwhile.
fn seen(control: &Control, device: Device, shown: &Shown, now_unix: u64) -> Result<Device, Problem> {
    let mut draft = Draft::default();
    let mut after = Device { seen_unix: Some(now_unix), ..device.clone() };
    if shown.not_after_unix > device.expires_unix {
        after.certificate_sha256.clone_from(&shown.sha256);
        after.expires_unix = shown.not_after_unix;
        draft.audit(Audit {
            before: Some(summary(&device)),
            after: Some(summary(&after)),
            ..audit("device.renew", &device)
        });
        put(after.clone(), &mut draft);
    } else if device.seen_unix.is_some_and(|seen| now_unix < seen.saturating_add(DEVICE_SEEN_NOTED_S)) {
        return Ok(device);
    } else {
        draft.directory(DirectoryChange::Device(DeviceChange::Seen(device.id, now_unix)));
    }
    control.commit(&Actor::Control, draft)?;
    Ok(after)
}

/// Sessions with any device that has this one's key are not what they were when that is blocked, removed or taken back.
fn touch_key(control: &Control, device: &Device, draft: &mut Draft) -> Result<(), Problem> {
    let same = control.directory(|store| store.devices_of_key(device.id.tenant, &device.key_sha256))?;
    draft.touched.extend(same.into_iter().map(|device| Touched::Device(device.id)));
    Ok(())
}

/// Takes a device out of the directory. Of one that another authority issued to it is remembered that it is gone, and whose it was:
/// taken back it is that user's again, and nobody else's.
fn take_out(control: &Control, device: Device, draft: &mut Draft) -> Result<(), Problem> {
    touch_key(control, &device, draft)?;
    if device.is_own() {
        draft.directory(DirectoryChange::Device(DeviceChange::Removed(device.id)));
        return Ok(());
    }
    if control.directory(|store| store.devices_remembered(device.id.tenant))? >= DEVICES_REMEMBERED_MAX {
        let detail =
            format!("{DEVICES_REMEMBERED_MAX} devices that were removed are remembered already: block this one");
        return Err(problem("limit-reached", detail));
    }
    put(Device { approval: Approval::Removed, ..device }, draft);
    Ok(())
}

fn put(device: Device, draft: &mut Draft) {
    draft.directory(DirectoryChange::Device(DeviceChange::Put(Box::new(device))));
}

fn check_room(control: &Control, tenant: TenantId) -> Result<(), Problem> {
    let count = control.directory(|store| store.device_count(tenant, None))?;
    if count < DEVICES_MAX {
        return Ok(());
    }
    Err(problem("limit-reached", format!("the tenant has {DEVICES_MAX} devices already: remove some")))
}

fn own_authority_key(tenant: TenantId) -> Result<DeviceAuthorityKey, Problem> {
    let name = OWN_AUTHORITY.parse().map_err(|_| problem("internal", "the own authority's name is no name"))?;
    Ok(DeviceAuthorityKey { tenant, name })
}

fn audit(action: &'static str, device: &Device) -> Audit {
    let target = format!("device {:?} ({})", device.name.as_str(), device.id);
    Audit { action, tenant: Some(device.id.tenant), target, before: None, after: None }
}

/// One line.
fn summary(device: &Device) -> String {
    let owner = device.owner.map_or_else(|| "everybody's".to_owned(), |owner| format!("of {owner}"));
    let (approval, authority) = (device.approval.as_str(), &device.authority);
    let compliance = operate::compliance(device.compliance);
    format!(
        "{approval}, {owner}, compliant: {compliance}, by {authority}, certificate sha256:{}",
        device.certificate_sha256
    )
}

#[cfg(test)]
mod tests;
