//! People at the relay: a browser without a session is sent to sign in, one that comes back gets its cookie, and a cookie is
//! looked at with every request. Sealed cookies say which session; what it may is in its record.

mod by_token;
mod cookie;
mod journey;

use std::cell::RefCell;
use std::sync::Arc;

use aws_lc_rs::constant_time;
use postern_http::RequestHead;
use postern_io::{Instant, now, wall_clock};
use postern_model::directory::{Assignment, Principal};
use postern_model::ids::{AppId, SessionId};
use postern_model::plan::{Plan, PlannedApp};
use postern_model::policy::Applicable;
use postern_model::session::SessionCookie;
use postern_model::settings::Mfa;
use zeroize::Zeroizing;

use super::bearer::Refusal;
use super::conditional::{Circumstances, Unmet};
use super::reject::Reject;
use super::session::Session;
use super::told::Told;
use crate::limits::{COOKIE_RENEWED_AFTER_S, EXPIRY_LOOK_INTERVAL, POLICY_LOOK_INTERVAL};
use crate::published::Published;
use crate::record::access::{Access, Judged};
use crate::sessions::{Found, Held};

pub(crate) use by_token::{RememberedAccess, person_by_token};
use cookie::{session_cookie, set_session};
pub(crate) use journey::{Ask, is_navigation, is_scripted, issuer_of, returned, send_away, signing_out};

/// Someone who has signed in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) held: Arc<Held>,
    /// The policies that are about them here.
    applicable: Arc<Applicable>,
    circumstances: Circumstances,
    /// What their cookie said of its last use, or when their access token was made.
    seen_unix: u64,
    /// Through whom they are assigned, once that was found.
    assigned: Option<Principal>,
    /// What policies said, where any is about them here.
    judged: Option<Arc<Judged>>,
    /// Whether a program asks for them, and no browser.
    pub(crate) by_token: bool,
}

/// Why a cookie lets nobody in.
#[derive(Debug)]
pub(crate) enum NoSession {
    /// There is none that counts: whoever it is must sign in.
    None,
    /// It is good, and its record is not here.
    Unknown(SessionId),
    /// The application demands two factors, and the session has one.
    OneFactor(Person),
    /// An access token that does not count.
    Token(Refusal),
    /// Their session does not let them into this application.
    NotAssigned(Person),
    /// A policy keeps them out, or asks for something before.
    Policy(Person, Box<Unmet>),
    /// They are let in, and the application cannot be told so.
    Untold(Person, Box<Reject>),
}

/// Someone who is let in.
#[derive(Debug)]
pub(crate) struct LetIn {
    pub(crate) person: Person,
    /// Not to be looked at again before.
    pub(crate) until: Option<Instant>,
    pub(crate) told: Arc<Told>,
}

/// The cookie that a connection's client showed last, so that the next request needs no decryption.
#[derive(Default)]
pub(crate) struct RememberedCookie(RefCell<Option<Shown>>);

struct Shown {
    app: AppId,
    value: Zeroizing<Vec<u8>>,
    cookie: SessionCookie,
    held: Arc<Held>,
    applicable: Arc<Applicable>,
    /// What the application was told then.
    told: Option<Arc<Told>>,
    /// [`Published::access`] then: after the next change it is looked at anew.
    access: u64,
}

/// Whoever a request's cookie says, if the session counts and lets them in here.
pub(crate) fn person(
    head: &RequestHead,
    app: &Arc<PlannedApp>,
    published: &Published,
    session: &Session,
) -> Result<LetIn, NoSession> {
    let remembered = &session.remembered_cookie;
    // Programs without a cookie wait for no clock.
    let value = session_cookie(head, app).ok_or(NoSession::None)?;
    let clock = session.remembered.wall_clock();
    let now_unix = clock.as_secs();
    let access = published.access();
    let (cookie, held, applicable) = match remembered.find(app.id, value, access) {
        Some(found) => found,
        None => {
            let cookie = published.plan.cookies().open_session(value, app.id).ok_or(NoSession::None)?;
            let held = match published.sessions.find(cookie.session, clock) {
                Found::Held(held) => held,
                Found::Gone => return Err(NoSession::None),
                Found::Unknown => return Err(NoSession::Unknown(cookie.session)),
            };
            let applicable = Arc::new(published.plan.policies().for_subject(&held.record.user, app.id));
            remembered.keep(app.id, value, (cookie, &held, &applicable), access);
            (cookie, held, applicable)
        }
    };
    if cookie.seen_unix.saturating_add(held.record.idle_s.into()) <= now_unix {
        return Err(NoSession::None);
    }
    let circumstances =
        Circumstances::of(head, session, &applicable, &published.countries).by_cookie(cookie.persistent);
    let seen_unix = cookie.seen_unix;
    let mut person =
        Person { seen_unix, held, applicable, circumstances, assigned: None, judged: None, by_token: false };
    // Found under what is in force now: another lookup would find the same.
    let told = remembered.told().filter(|told| told.is_of(app, &person.held, now_unix));
    let known = told.as_ref().map(|told| told.assignment());
    let (assignment, until) = counts(&mut person, app, (&published.plan, known), now_unix)?;
    let held = &person.held;
    held.seen(now_unix);
    let is_of_it = told.as_ref().is_some_and(|told| Arc::ptr_eq(told.assignment(), assignment));
    let told = match told {
        Some(told) if is_of_it => told,
        Some(_) | None => match Told::make(app, held, assignment, &published.plan, now_unix) {
            Ok(told) => remembered.keep_told(told),
            Err(reject) => return Err(NoSession::Untold(person, reject.into())),
        },
    };
    Ok(LetIn { person, until, told })
}

/// What lets a session's user in here and now, and until when that holds. `known`: what let them in before under the same plan.
fn counts<'a>(
    person: &mut Person,
    app: &PlannedApp,
    (plan, known): (&'a Plan, Option<&'a Arc<Assignment>>),
    now_unix: u64,
) -> Result<(&'a Arc<Assignment>, Option<Instant>), NoSession> {
    let Person { held, applicable, circumstances, seen_unix, .. } = &*person;
    let record = &held.record;
    if record.expires_unix <= now_unix {
        return Err(NoSession::None);
    }
    // Browsers are sent to prove more: the place to sign in knows what they have, and asks for what is missing.
    if app.settings.mfa == Mfa::Required && !record.is_multi_factor() {
        return Err(NoSession::OneFactor(person.clone()));
    }
    let is_over = record.user.expires_unix.is_some_and(|end| end <= now_unix);
    let known = known.filter(|assignment| assignment.is_current(now_unix) && !is_over);
    let Some(assignment) = known.or_else(|| plan.assigned(app.id, &record.user, now_unix)) else {
        (person.assigned, person.judged) = (None, None);
        return Err(NoSession::NotAssigned(person.clone()));
    };
    let judged = circumstances.decide(applicable, record, *seen_unix, now_unix).map(Arc::new);
    let device_changes = record.device.as_ref().and_then(|device| device.changes_unix(now_unix));
    let ends = [assignment.expires_unix, record.user.expires_unix, device_changes].into_iter().flatten();
    let end = ends.fold(record.expires_unix, u64::min);
    let unmet = judged.as_deref().and_then(Judged::unmet);
    (person.assigned, person.judged) = (Some(assignment.principal), judged);
    if let Some(unmet) = unmet {
        return Err(NoSession::Policy(person.clone(), Box::new(unmet)));
    }
    let left = std::time::Duration::from_secs(end.saturating_sub(now_unix));
    // The wall clock may be set: it is asked again after a while.
    let again = if person.applicable.is_empty() { EXPIRY_LOOK_INTERVAL } else { POLICY_LOOK_INTERVAL };
    Ok((assignment, Some(now().after(left.min(again)))))
}

impl Person {
    /// How it was decided about them, for the record.
    pub(crate) fn access(&self) -> Access<'_> {
        Access { session: &self.held.record, assigned: self.assigned, judged: self.judged.as_deref() }
    }

    /// Whether a request in progress would still be let in, and until when. It holds on to the record as it is now.
    pub(crate) fn review(&mut self, app: &PlannedApp, published: &Published) -> Result<Option<Instant>, NoSession> {
        let clock = wall_clock();
        match published.sessions.find(self.held.record.id, clock) {
            Found::Held(held) => {
                self.applicable = Arc::new(published.plan.policies().for_subject(&held.record.user, app.id));
                self.held = held;
                self.circumstances.look_again(&self.applicable, &published.countries);
            }
            Found::Gone => return Err(NoSession::None),
            // Forgotten for want of room. What changes of it is not told any more: it counts for nothing.
            Found::Unknown => return Err(NoSession::None),
        }
        // It is in use, whatever its cookie said when it came.
        self.seen_unix = clock.as_secs();
        counts(self, app, (&published.plan, None), clock.as_secs()).map(|(_, until)| until)
    }

    /// `Set-Cookie` for the answer, when the cookie's last use is so long ago that it is to say a later one.
    pub(crate) fn renewed_cookie(
        &self,
        app: &PlannedApp,
        published: impl FnOnce() -> Arc<Published>,
    ) -> Option<String> {
        let now_unix = wall_clock().as_secs();
        // Programs have none.
        if self.by_token || now_unix < self.seen_unix.saturating_add(COOKIE_RENEWED_AFTER_S) {
            return None;
        }
        set_session(&self.held, app, &published().plan, now_unix)
    }
}

impl RememberedCookie {
    fn find(&self, app: AppId, value: &[u8], access: u64) -> Option<(SessionCookie, Arc<Held>, Arc<Applicable>)> {
        let shown = self.0.borrow();
        let shown = shown.as_ref().filter(|shown| shown.access == access && shown.app == app)?;
        let is_same = constant_time::verify_slices_are_equal(&shown.value, value).is_ok();
        is_same.then(|| (shown.cookie, Arc::clone(&shown.held), Arc::clone(&shown.applicable)))
    }

    fn keep(
        &self,
        app: AppId,
        value: &[u8],
        (cookie, held, applicable): (SessionCookie, &Arc<Held>, &Arc<Applicable>),
        access: u64,
    ) {
        let (held, applicable) = (Arc::clone(held), Arc::clone(applicable));
        let value = Zeroizing::new(value.to_vec());
        *self.0.borrow_mut() = Some(Shown { app, value, cookie, held, applicable, told: None, access });
    }

    /// What the application of the cookie was told, if it was.
    fn told(&self) -> Option<Arc<Told>> {
        self.0.borrow().as_ref()?.told.clone()
    }

    fn keep_told(&self, told: Told) -> Arc<Told> {
        let told = Arc::new(told);
        if let Some(shown) = &mut *self.0.borrow_mut() {
            shown.told = Some(Arc::clone(&told));
        }
        told
    }
}

impl std::fmt::Debug for RememberedCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RememberedCookie(…)")
    }
}

#[cfg(test)]
mod tests;
