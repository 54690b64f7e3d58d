//! People by an access token of the OpenID provider (RFC 9068): a program asks in their name. The relay verifies it by itself;
//! the session that it names must be alive, and its user is looked at as with a cookie.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::constant_time;
use postern_http::{Known, RequestHead};
use postern_model::access_token::{AccessClaims, AccessTokenInvalid, claims_issuer};
use postern_model::ids::AppId;
use postern_model::oauth::{Scope, Scopes};
use postern_model::plan::PlannedApp;
use postern_model::policy::Applicable;
use zeroize::Zeroizing;

use super::remembered::Settled;
use super::{LetIn, NoSession, Person, issuer_of, settle};
use crate::published::Published;
use crate::sessions::{Found, Held};
use crate::worker::bearer::{Refusal, bearer_text};
use crate::worker::conditional::Circumstances;
use crate::worker::session::Session;
use crate::worker::told::Told;

/// The token that a connection's client showed last, so that the next request needs no signature verified.
#[derive(Default)]
pub(crate) struct RememberedAccess(RefCell<Option<Shown>>);

struct Shown {
    app: AppId,
    /// Of the header Authorization.
    value: Zeroizing<Vec<u8>>,
    /// `None`: it is none of ours, but the application's own.
    opened: Option<Opened>,
    settled: Option<Settled>,
    /// [`Published::access`] then: after the next change it is looked at anew.
    access: u64,
}

#[derive(Clone)]
struct Opened {
    held: Arc<Held>,
    applicable: Arc<Applicable>,
    issued_unix: u64,
    expires_unix: u64,
}

/// What is known of a token that was shown before.
enum Remembrance {
    /// It is none of ours.
    Foreign,
    /// Whoever shows it is let in.
    Settled(LetIn),
    /// It was verified before.
    Opened(Opened),
}

/// Whoever a request's access token says. `None`: it shows none, or one that is the application's own.
pub(crate) fn person_by_token(
    head: &RequestHead,
    app: &Arc<PlannedApp>,
    published: &Published,
    session: &Session,
) -> Option<Result<LetIn, NoSession>> {
    let mut values = head.headers.values(Known::Authorization);
    let value = values.next()?;
    let remembered = &session.remembered_access;
    let access = published.access();
    let more = values.next();
    let found = remembered.find((app, value, access), || session.remembered.wall_clock().as_secs());
    let opened = match found.filter(|_| more.is_none()) {
        Some(Remembrance::Foreign) => return None,
        Some(Remembrance::Settled(let_in)) => return Some(Ok(let_in)),
        Some(Remembrance::Opened(opened)) => opened,
        None => {
            let issuer = issuer_of(published.plan.identity()?);
            let is_ours = |value| bearer_text(value).is_some_and(|token| claims_issuer(token, &issuer));
            // Which of two counts would be anybody's guess.
            if more.is_some() {
                let any = head.headers.get_all(Known::Authorization).any(is_ours);
                return any.then_some(Err(NoSession::Token(Refusal::Invalid)));
            }
            let Some(token) = bearer_text(value).filter(|_| is_ours(value)) else {
                remembered.keep((app.id, value, access), None);
                return None;
            };
            match open(token, &issuer, app, published, session) {
                Ok(opened) => {
                    remembered.keep((app.id, value, access), Some(opened.clone()));
                    opened
                }
                Err(refused) => return Some(Err(refused)),
            }
        }
    };
    Some(let_in(head, app, published, session, opened))
}

/// Verifies a token, and finds its session.
fn open(
    token: &str,
    issuer: &str,
    app: &PlannedApp,
    published: &Published,
    session: &Session,
) -> Result<Opened, NoSession> {
    let clock = session.remembered.wall_clock();
    let audience = app.audience();
    let expected = (issuer, Some(audience.as_str()));
    let claims = AccessClaims::open(token, published.plan.assertions(), expected, clock.as_secs());
    let claims = claims.map_err(|invalid| {
        NoSession::Token(match invalid {
            AccessTokenInvalid::Expired => Refusal::Expired,
            AccessTokenInvalid::Audience => Refusal::NotForApp,
            AccessTokenInvalid::Malformed
            | AccessTokenInvalid::Algorithm
            | AccessTokenInvalid::Kind
            | AccessTokenInvalid::Key
            | AccessTokenInvalid::Signature
            | AccessTokenInvalid::Issuer
            | AccessTokenInvalid::NotYet => Refusal::Invalid,
        })
    })?;
    // The name may be another application's since the token was made.
    let wanted = Scope::App(app.name.clone());
    if !claims.scope.parse::<Scopes>().is_ok_and(|granted| granted.contains(&wanted)) {
        return Err(NoSession::Token(Refusal::NotForApp));
    }
    let held = match published.sessions.find(claims.sid, clock) {
        Found::Held(held) => held,
        Found::Gone => return Err(NoSession::Token(Refusal::Invalid)),
        Found::Unknown => return Err(NoSession::Unknown(claims.sid)),
    };
    if held.record.user.id != claims.sub {
        return Err(NoSession::Token(Refusal::Invalid));
    }
    let applicable = Arc::new(published.plan.policies().for_subject(&held.record.user, app.id));
    Ok(Opened { held, applicable, issued_unix: claims.iat, expires_unix: claims.exp })
}

fn let_in(
    head: &RequestHead,
    app: &Arc<PlannedApp>,
    published: &Published,
    session: &Session,
    opened: Opened,
) -> Result<LetIn, NoSession> {
    let now_unix = session.remembered.wall_clock().as_secs();
    let Opened { held, applicable, issued_unix, expires_unix } = opened;
    if expires_unix <= now_unix {
        return Err(NoSession::Token(Refusal::Expired));
    }
    let circumstances = Circumstances::of(head, session, &applicable, &published.countries).of_a_program();
    let person = Person { by_token: true, ..Person::new(held, applicable, circumstances, issued_unix) };
    let remembered = &session.remembered_access;
    let settled = settle(person, app, &published.plan, (remembered.told(), now_unix))?;
    Ok(remembered.keep_settled(settled, expires_unix))
}

impl RememberedAccess {
    /// Takes the same time for every other value, as with service tokens.
    fn find(
        &self,
        (app, value, access): (&Arc<PlannedApp>, &[u8], u64),
        now_unix: impl FnOnce() -> u64,
    ) -> Option<Remembrance> {
        let shown = self.0.borrow();
        let shown = shown.as_ref().filter(|shown| shown.access == access && shown.app == app.id)?;
        let is_same = constant_time::verify_slices_are_equal(&shown.value, value).is_ok();
        is_same.then(|| {
            let Some(opened) = &shown.opened else { return Remembrance::Foreign };
            match shown.settled.as_ref().and_then(|settled| settled.at(app, now_unix())) {
                Some(let_in) => Remembrance::Settled(let_in),
                None => Remembrance::Opened(opened.clone()),
            }
        })
    }

    fn keep(&self, (app, value, access): (AppId, &[u8], u64), opened: Option<Opened>) {
        let value = Zeroizing::new(value.to_vec());
        *self.0.borrow_mut() = Some(Shown { app, value, opened, settled: None, access });
    }

    fn told(&self) -> Option<Rc<Told>> {
        self.0.borrow().as_ref()?.settled.as_ref().map(|settled| Rc::clone(settled.told()))
    }

    fn keep_settled(&self, settled: Settled, end_unix: u64) -> LetIn {
        let mut shown = self.0.borrow_mut();
        settled.kept(end_unix, shown.as_mut().map_or(&mut None, |shown| &mut shown.settled))
    }
}

impl std::fmt::Debug for RememberedAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RememberedAccess(…)")
    }
}
