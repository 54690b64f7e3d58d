//! Everything anew, where what somebody has proven is not enough: too long ago, or by what whoever finds a computer unlocked has,
//! too.

use postern_model::directory::User;
use postern_model::identity::{Factor, Step};

use super::device_host::Visit;
use super::flow::{At, Proven, Stage};
use super::log_with;
use crate::control::{Control, Draft};
use crate::store::sign_in::SignInOutcome;

/// From the password on; a ticket or a device is not asked for again.
pub(super) fn ask_all(control: &Control, at: &At<'_>, user: &User) -> Step {
    at.flow.again.set(true);
    // What was shown may be for somebody else then.
    at.flow.visit.replace(Visit::NotYet);
    at.flow.stage.replace(Stage::Password(Some(user.login.clone())));
    at.ask(control, Factor::Password, None)
}

/// The same instead of a session that would not be enough. `draft` is kept all the same.
pub(super) fn instead(control: &Control, at: &At<'_>, user: &User, proven: &Proven, draft: Draft) -> Step {
    match log_with(control, draft, at.record(proven, SignInOutcome::Interrupted("sign-in-again"))) {
        Ok(()) => ask_all(control, at, user),
        Err(refused) => Step::Refused(refused),
    }
}
