//! Answers to people who sign in, have done so, or are kept out all the same.

use std::borrow::Cow;

use postern_http::Known;

use super::{Beside, Content, Reject, SIGN_IN_RETRY_S, retry_after};

impl Reject {
    /// Goes elsewhere, with cookies to keep or forget: part of signing in and out.
    pub(crate) fn redirect(status: u16, location: String, cookies: Vec<String>) -> Self {
        let field = Some((Known::Location, Cow::Owned(location)));
        let beside = Some(Box::new(Beside { cookies, ..Beside::default() }));
        Self { field, beside, content: Content::Nothing, answer: true, ..Self::new(status, "", "") }
    }

    /// A browser came back with what does not belong to it.
    pub(crate) fn sign_in_failed() -> Self {
        let detail = "The sign-in did not succeed: it took too long, or another one was finished first. Open the application once more.";
        Self::new(400, "sign-in-failed", detail)
    }

    /// Only control knows, and cannot be asked.
    pub(crate) fn sign_in_unavailable() -> Self {
        let detail = "Nobody can sign in at the moment. Try again in a minute.";
        Self { field: Some(retry_after(SIGN_IN_RETRY_S)), ..Self::new(503, "sign-in-unavailable", detail) }
    }

    pub(crate) fn not_assigned() -> Self {
        let detail = "You are signed in, but not assigned to this application. Ask your administrator.";
        Self::new(403, "not-assigned", detail)
    }

    /// A policy keeps whoever it is out, here and now.
    pub(crate) fn policy_blocked() -> Self {
        let detail = "Your organisation does not allow this application under these circumstances: from this place, at this time, or with this device.";
        Self::new(403, "policy-blocked", detail)
    }

    /// A policy asks for something that the session does not show.
    pub(crate) fn policy_step_up() -> Self {
        let detail = "Your organisation asks for more before you may open this application: a second factor, or a device that it knows.";
        Self::new(403, "policy-step-up", detail)
    }

    /// Who was let in is so no longer.
    pub(crate) fn session_ended() -> Self {
        let detail = "The session ended while the request was in progress.";
        Self::new(401, "session-ended", detail)
    }
}
