//! Signing in by the device alone, where an operator says so: before anything is asked, the browser shows it, and its owner is
//! signed in. Only a device that its user enrolled counts: the tenant's own authority issued to nobody else, and whose it is an
//! operator's authority does not say. It is one factor, and proves nobody's presence: where somebody is to prove anew who they
//! are it does not count, nor after they signed out.

use std::collections::BTreeSet;

use postern_model::device::{Approval, Device};
use postern_model::directory::User;
use postern_model::identity::{Refused, Step};
use postern_model::ids::{DeviceId, UserId};
use postern_model::policy::DeviceState;
use postern_model::session::AuthMethod;

use super::device_host::{self, Shown, Visit};
use super::flow::{At, Proven, Stage, Vouched};
use super::password::Attempt;
use super::risk::Judged;
use super::tabs::{self, Tab};
use super::{enter, log, second};
use crate::clock::now_unix;
use crate::control::{Control, Draft};
use crate::devices;
use crate::store::SignIn;
use crate::store::sign_in::SignInOutcome;

/// Sends the browser to show its device, if that could sign somebody in; once in a sign-in, and not where it did not come back from
/// there a moment ago: nobody is kept from the page for name and password by a place that they cannot reach.
pub(super) fn sent(control: &Control, at: &At<'_>) -> Option<Step> {
    let is_first = matches!(*at.flow.visit.borrow(), Visit::NotYet) && !at.client.device_overdue;
    if !is_first || !counts(control, at) || !devices::any_enrolled(control, at.flow.tenant) {
        return None;
    }
    let asked = device_host::send(control, at)?;
    at.flow.stage.replace(Stage::DeviceFirst);
    Some(Step::Device(asked))
}

/// Whether a device is enough now.
fn counts(control: &Control, at: &At<'_>) -> bool {
    if at.flow.again.get() || at.client.signed_out {
        return false;
    }
    control.directory(|store| store.device_settings(at.flow.tenant)).is_ok_and(|settings| settings.sign_in)
}

/// Somebody whose device does not do, for the log: whom it is about, and why.
struct Stays {
    user: Option<UserId>,
    typed: String,
    why: &'static str,
}

/// The browser is back, before anybody said who they are. Whoever does then has the device that was shown, if it may be theirs.
pub(super) fn arrived(control: &Control, at: &At<'_>, shown: Shown, tab: &Tab<'_>) -> Step {
    if let Some(session) = tab.session(control, at.flow.tenant) {
        return tabs::join(control, at, &session);
    }
    let judged = judge(control, at, &shown);
    at.flow.visit.replace(Visit::Back(shown));
    let stays = match judged {
        Ok((user, device)) => {
            if let Some(session) = tab.begun(control, &user, device) {
                return tabs::join(control, at, &session);
            }
            let step = second::go_on(control, at, &user, proven(&user, device), Draft::default());
            tab.keep(control, at, &step);
            return step;
        }
        Err(stays) => stays,
    };
    at.flow.stage.replace(Stage::Password(None));
    match stays.map_or(Ok(()), |stays| record(control, at, stays)) {
        // No ticket is asked for: the address that the browser is at is good once.
        Ok(()) => enter::ask_who(control, at, false),
        Err(refused) => Step::Refused(refused),
    }
}

/// The owner of the device. The error: nobody, of which there may be something to say.
fn judge(control: &Control, at: &At<'_>, shown: &Shown) -> Result<(User, DeviceId), Option<Stays>> {
    if !counts(control, at) {
        return Err(None);
    }
    let id = match shown {
        Shown::Nothing | Shown::OfAnother(_) => return Err(None),
        Shown::NotRecognised(why, _) => return Err(Some(Stays { user: None, typed: String::new(), why })),
        Shown::Device { id, .. } => *id,
    };
    // As it is now: it may have been blocked, or somebody else's, since it was shown.
    let found = control.directory(|store| store.device(id)).ok().flatten();
    let owned = found.filter(Device::is_own).and_then(|device| device.owner.map(|owner| (device, owner)));
    let Some((device, owner)) = owned else { return Err(None) };
    let Some(user) = control.directory(|store| store.user(owner)).ok().flatten() else { return Err(None) };
    // Whoever has none here signs in where an identity provider is, which alone knows whether they still may.
    if control.directory(|store| store.password(owner)).ok().flatten().is_none() {
        return Err(None);
    }
    let stays = |why| Some(Stays { user: Some(user.id), typed: user.login.to_string(), why });
    if devices::state(control, &device, now_unix()) < DeviceState::Registered {
        return Err(stays(match device.approval {
            Approval::Waiting | Approval::Approved => "device-required",
            Approval::Blocked | Approval::Removed => "device-blocked",
        }));
    }
    if devices::is_from_before(&device, &user) {
        return Err(stays("device-required"));
    }
    if !user.is_active(now_unix()) {
        return Err(stays("user-disabled"));
    }
    Ok((user, device.id))
}

/// Counted as bad tickets are, by where they come from: beyond, none is recorded, or they would write the log full.
fn record(control: &Control, at: &At<'_>, stays: Stays) -> Result<(), Refused> {
    if control.sign_ins.borrow_mut().tickets.begin_of_source(at.client.address, now_unix()).is_err() {
        return Ok(());
    }
    let attempt = Attempt { tenant: at.flow.tenant, app: at.app, typed: &stays.typed, client: at.client };
    let (device, device_state) = at.flow.visit.borrow().logged();
    let methods = BTreeSet::from([AuthMethod::SoftwareKey]);
    let record = attempt.record(SignInOutcome::Failure(stays.why));
    log(control, SignIn { user: stays.user, methods, device, device_state, ..record })
}

fn proven(user: &User, device: DeviceId) -> Proven {
    Proven {
        user: user.id,
        typed: user.login.to_string(),
        methods: BTreeSet::from([AuthMethod::SoftwareKey]),
        vouched: Vouched::Nobody,
        keep: false,
        authenticated_unix: now_unix(),
        ends_unix: None,
        device: Some(device),
        risk: Judged::default(),
    }
}
