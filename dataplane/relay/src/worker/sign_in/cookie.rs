//! The cookie of a session at one application: its name, how browsers are to keep it, and how it is forgotten.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use postern_http::{RequestHead, cookie};
use postern_model::plan::{Plan, PlannedApp};
use postern_model::session::SessionCookie;

use crate::limits::COOKIE_RENEWED_ALIKE_S;
use crate::published::Published;
use crate::sessions::Held;

/// The renewed cookie that a connection's client was given last. Requests that were on their way before it came, and clients
/// that keep no cookies, get the same for a while: sealing one costs more than all else that is done to let such a request in.
#[derive(Default)]
pub(crate) struct RenewedCookie(RefCell<Option<Renewed>>);

struct Renewed {
    app: Arc<PlannedApp>,
    held: Arc<Held>,
    /// [`Published::access`] of what it was made by: another key or policy makes another cookie.
    access: u64,
    made_unix: u64,
    /// The value of `Set-Cookie`.
    set: Rc<str>,
}

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

impl RenewedCookie {
    /// `Set-Cookie` for a session at an application, where `access` is in force.
    pub(super) fn of(
        &self,
        (app, held, access): (&Arc<PlannedApp>, &Arc<Held>, u64),
        now_unix: u64,
        published: impl FnOnce() -> Arc<Published>,
    ) -> Option<Rc<str>> {
        let mut slot = self.0.borrow_mut();
        if let Some(renewed) = slot.as_ref().filter(|renewed| renewed.is_of((app, held, access), now_unix)) {
            return Some(Rc::clone(&renewed.set));
        }
        let published = published();
        // Before it is made: a change from here on is noticed.
        let access = published.access();
        let set: Rc<str> = set_session(held, app, &published.plan, now_unix)?.into();
        let (app, held) = (Arc::clone(app), Arc::clone(held));
        *slot = Some(Renewed { app, held, access, made_unix: now_unix, set: Rc::clone(&set) });
        Some(set)
    }
}

impl Renewed {
    /// Whether it is of these very objects, and not too old. The clock may be set back. At each of its places an application has
    /// the same cookie.
    fn is_of(&self, (app, held, access): (&Arc<PlannedApp>, &Arc<Held>, u64), now_unix: u64) -> bool {
        let is_of_them = Arc::ptr_eq(&self.app.places, &app.places) && Arc::ptr_eq(&self.held, held);
        let is_new = (self.made_unix..self.made_unix + COOKIE_RENEWED_ALIKE_S).contains(&now_unix);
        is_of_them && is_new && self.access == access
    }
}

impl fmt::Debug for RenewedCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RenewedCookie(…)")
    }
}

pub(super) fn forget_session(app: &PlannedApp) -> String {
    format!("{}=; {}; Max-Age=0", app.cookie, app.settings.answers.cookie.attributes())
}
