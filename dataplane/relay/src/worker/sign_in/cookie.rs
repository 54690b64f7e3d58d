//! The cookie of a session at one application: its name, how browsers are to keep it, and how it is forgotten.

use postern_http::{RequestHead, cookie};
use postern_model::plan::{Plan, PlannedApp};
use postern_model::session::SessionCookie;

use crate::sessions::Held;

/// The value of the application's cookie in a request, if there is one.
pub(super) fn session_cookie<'h>(head: &'h RequestHead, app: &PlannedApp) -> Option<&'h [u8]> {
    cookie(&head.headers, &app.cookie)
}

/// For this host alone; otherwise as the application's settings say.
pub(super) fn set_session(held: &Held, app: &PlannedApp, plan: &Plan, now_unix: u64) -> Option<String> {
    let record = &held.record;
    let persistent = record.persistent || is_made_persistent(held, app, plan);
    let cookie = SessionCookie { session: record.id, issued_unix: now_unix, seen_unix: now_unix, persistent };
    let sealed = plan.cookies().seal_session(&cookie, app.id).ok()?;
    let attributes = app.settings.answers.cookie.attributes();
    let age = persistent.then(|| format!("; Max-Age={}", record.expires_unix.saturating_sub(now_unix)));
    Some(format!("{}={sealed}; {attributes}{}", app.cookie, age.unwrap_or_default()))
}

/// Whether the application has sessions outlast the browser where their users did not ask for it, and no policy is against it.
fn is_made_persistent(held: &Held, app: &PlannedApp, plan: &Plan) -> bool {
    let is_set = app.settings.answers.cookie.persistent;
    is_set && !plan.policies().for_subject(&held.record.user, app.id).may_end_with_browser()
}

pub(super) fn forget_session(app: &PlannedApp) -> String {
    format!("{}=; {}; Max-Age=0", app.cookie, app.settings.answers.cookie.attributes())
}
