//! Whether the browser is to show its device: where nothing else would do, and where policies say something else about devices.

use postern_model::ids::AppId;
use postern_model::policy::{Decision, DeviceState, Outcome, Requirement, Step, StepUp};
use postern_model::session::SessionRecord;

use super::{apps, decide};
use crate::clock::now_unix;
use crate::control::Control;
use crate::devices;
use crate::sessions;
use crate::sign_in::device_host::Visit;
use crate::sign_in::flow::At;
use crate::store::StoredSession;

/// What a device would be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Nothing,
    /// Policies may say something else of who has one.
    Helps,
    /// Without one that counts it does not go on.
    Must,
}

/// Whether one is to be shown now, or what was shown does not do. Where browsers have no place to show any, none is asked for:
/// relays refuse, and say so. Nor is one of who is about to add theirs. Who was there is not sent again in the same sign-in.
pub(super) fn is_due(control: &Control, at: &At<'_>, session: &StoredSession) -> bool {
    if devices::device_url(control).is_none() || at.flow.goal.adds_a_device() {
        return false;
    }
    let Ok(Some(record)) = sessions::record_of(control, session) else { return false };
    let missed = if at.flow.missed.device && record.device.is_none() { Need::Must } else { Need::Nothing };
    let needs = apps(at).into_iter().map(|app| need(control, at, (app, session), &record));
    match needs.fold(missed, Need::max) {
        Need::Nothing => false,
        Need::Helps => matches!(*at.flow.visit.borrow(), Visit::NotYet),
        Need::Must => true,
    }
}

fn need(control: &Control, at: &At<'_>, (app, session): (AppId, &StoredSession), record: &SessionRecord) -> Need {
    let decided = |state| decide(control, at, (app, session.risk), record, state);
    let known = record.device_state(now_unix());
    let now = decided(known);
    // A session whose device does not do is its relay's to refuse: another sign-in would show the same one.
    let is_known = record.device.is_some() && at.flow.visit.borrow().device().is_none();
    if is_known {
        return Need::Nothing;
    }
    if is_only_way(&now) {
        return Need::Must;
    }
    // Those about devices of a state have conditions: with one of a better state others apply. Less than what a provider
    // vouches for does not count, whatever is shown.
    let others = [DeviceState::Registered, DeviceState::Compliant]
        .into_iter()
        .filter(|state| *state > known)
        .any(|state| decided(state).applied != now.applied);
    if others && record.device.is_none() { Need::Helps } else { Need::Nothing }
}

/// Whether something is asked for that a device alone can give.
fn is_only_way(decision: &Decision) -> bool {
    let is_device = |step: &StepUp| match step {
        StepUp::Meet(Requirement::RegisteredDevice | Requirement::CompliantDevice) => true,
        StepUp::Meet(Requirement::Mfa | Requirement::Terms(_)) | StepUp::Reauthenticate => false,
    };
    match &decision.outcome {
        Outcome::NeedsStepUp { steps } => steps.iter().any(|Step(any)| any.iter().all(is_device)),
        Outcome::Allow | Outcome::Block { .. } => false,
    }
}
