//! People at the relay: a browser without a session is sent to sign in, one that comes back gets its cookie, and a cookie is
//! looked at with every request. Sealed cookies say which session; what it may is in its record.

mod by_token;
mod cookie;
mod journey;
mod remembered;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use postern_http::RequestHead;
use postern_io::{Instant, now, wall_clock};
use postern_model::directory::{Assignment, Principal};
use postern_model::ids::SessionId;
use postern_model::plan::{Plan, PlannedApp};
use postern_model::policy::Applicable;
use postern_model::settings::Mfa;

use super::bearer::Refusal;
use super::conditional::{Circumstances, Unmet};
use super::reject::Reject;
use super::session::Session;
use super::told::Told;
use crate::limits::{COOKIE_RENEWED_AFTER_S, EXPIRY_LOOK_INTERVAL, POLICY_LOOK_INTERVAL};
use crate::published::Published;
use crate::record::access::{Access, Judged, made_ready};
use crate::sessions::{Found, Held};

pub(crate) use by_token::{RememberedAccess, person_by_token};
pub(crate) use cookie::RenewedCookie;
use cookie::session_cookie;
pub(crate) use journey::{Ask, is_navigation, is_scripted, issuer_of, returned, send_away, signing_out};
pub(crate) use remembered::RememberedCookie;
use remembered::{Remembrance, Settled};

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
    /// What the log says of who it is and of [`Self::access`], once that is the same for many requests.
    written: Option<Box<str>>,
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
    pub(crate) person: Rc<Person>,
    /// Not to be looked at again before.
    pub(crate) until: Option<Instant>,
    pub(crate) told: Rc<Told>,
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
    let (cookie, held, applicable) = match remembered.find((app, value, access), now_unix) {
        Some(Remembrance::Settled(let_in)) => return Ok(let_in),
        Some(Remembrance::Opened(cookie, held, applicable)) => (cookie, held, applicable),
        None => {
            let cookie = published.plan.cookies().open_session(value, app.id).ok_or(NoSession::None)?;
            let held = match published.sessions.find(cookie.session, clock) {
                Found::Held(held) => held,
                Found::Gone => return Err(NoSession::None),
                Found::Unknown => return Err(NoSession::Unknown(cookie.session)),
            };
            let applicable = Arc::new(published.plan.policies().for_subject(&held.record.user, app.id));
            remembered.keep((app.id, value, access), (cookie, &held, &applicable));
            (cookie, held, applicable)
        }
    };
    let idle_unix = cookie.seen_unix.saturating_add(held.record.idle_s.into());
    if idle_unix <= now_unix {
        return Err(NoSession::None);
    }
    let circumstances =
        Circumstances::of(head, session, &applicable, &published.countries).by_cookie(cookie.persistent);
    let person = Person::new(held, applicable, circumstances, cookie.seen_unix);
    let let_in = settle(person, app, &published.plan, (remembered.told(), now_unix))?;
    Ok(remembered.keep_settled(let_in, idle_unix))
}

/// Lets a session's user in, if that counts here and now, with what the application is told of them: what it was told before, if it
/// would be told the same.
fn settle(
    mut person: Person,
    app: &Arc<PlannedApp>,
    plan: &Plan,
    (told, now_unix): (Option<Rc<Told>>, u64),
) -> Result<Settled, NoSession> {
    // Found under what is in force now: another lookup would find the same.
    let told = told.filter(|told| told.is_of(app, &person.held, now_unix));
    let known = told.as_ref().map(|told| told.assignment());
    let (assignment, end_unix) = counts(&mut person, app, (plan, known), now_unix)?;
    let held = &person.held;
    held.seen(now_unix);
    let is_of_it = told.as_ref().is_some_and(|told| Arc::ptr_eq(told.assignment(), assignment));
    let told = match told {
        Some(told) if is_of_it => told,
        Some(_) | None => match Told::make(app, held, assignment, plan, now_unix) {
            Ok(told) => Rc::new(told),
            Err(reject) => return Err(NoSession::Untold(person, reject.into())),
        },
    };
    Ok(Settled::new(person, told, now_unix, end_unix))
}

/// What lets a session's user in here and now, and the second from which it may not: nothing but time changes that under the same
/// plan, unless there are policies. `known`: what let them in before under this plan.
fn counts<'a>(
    person: &mut Person,
    app: &PlannedApp,
    (plan, known): (&'a Plan, Option<&'a Arc<Assignment>>),
    now_unix: u64,
) -> Result<(&'a Arc<Assignment>, u64), NoSession> {
    person.written = None;
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
    Ok((assignment, end))
}

impl Person {
    /// What the log calls them.
    pub(crate) const KIND: &'static str = "user";

    fn new(held: Arc<Held>, applicable: Arc<Applicable>, circumstances: Circumstances, seen_unix: u64) -> Self {
        let (assigned, judged, written) = (None, None, None);
        Self { held, applicable, circumstances, seen_unix, assigned, judged, by_token: false, written }
    }

    /// When a request in progress is to be looked at again that would have to end at `end_unix`.
    fn until(&self, end_unix: u64, now_unix: u64) -> Instant {
        let left = Duration::from_secs(end_unix.saturating_sub(now_unix));
        // The wall clock may be set: it is asked again after a while.
        let again = if self.applicable.is_empty() { EXPIRY_LOOK_INTERVAL } else { POLICY_LOOK_INTERVAL };
        now().after(left.min(again))
    }

    /// How it was decided about them, for the record.
    pub(crate) fn access(&self) -> Access<'_> {
        Access { session: &self.held.record, assigned: self.assigned, judged: self.judged.as_deref() }
    }

    /// Who it is and [`Self::access`], if that is ready.
    pub(crate) fn written(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// Makes what the log says of it ready, for the requests that it is the same for.
    fn write_access(&mut self) {
        let login = self.held.record.user.login.as_str();
        self.written = Some(made_ready(Self::KIND, login, &self.access()));
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
        let now_unix = clock.as_secs();
        counts(self, app, (&published.plan, None), now_unix).map(|(_, end_unix)| Some(self.until(end_unix, now_unix)))
    }

    /// `Set-Cookie` for the answer, when the cookie's last use is so long ago that it is to say a later one. The request was let in
    /// under `access`.
    pub(crate) fn renewed_cookie(
        &self,
        (app, access): (&Arc<PlannedApp>, u64),
        session: &Session,
        published: impl FnOnce() -> Arc<Published>,
    ) -> Option<Rc<str>> {
        // Programs have none.
        if self.by_token {
            return None;
        }
        let now_unix = session.remembered.wall_clock().as_secs();
        if now_unix < self.seen_unix.saturating_add(COOKIE_RENEWED_AFTER_S) {
            return None;
        }
        session.renewed_cookie.of((app, &self.held, access), now_unix, published)
    }
}

#[cfg(test)]
mod tests;
