//! People by an access token of the OpenID provider (RFC 9068): a program asks in their name. The relay verifies it by itself;
//! the session that it names must be alive, and its user is looked at as with a cookie.

use std::cell::RefCell;
use std::sync::Arc;

use aws_lc_rs::constant_time;
use postern_http::{Known, RequestHead};
use postern_model::access_token::{AccessClaims, AccessTokenInvalid, claims_issuer};
use postern_model::ids::AppId;
use postern_model::oauth::{Scope, Scopes};
use postern_model::plan::PlannedApp;
use postern_model::policy::Applicable;
use zeroize::Zeroizing;

use super::{LetIn, NoSession, Person, counts, issuer_of};
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
    told: Option<Arc<Told>>,
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

/// Whoever a request's access token says. `None`: it shows none, or one that is the application's own.
pub(crate) fn person_by_token(
    head: &RequestHead,
    app: &Arc<PlannedApp>,
    published: &Published,
    session: &Session,
) -> Option<Result<LetIn, NoSession>> {
    let mut values = head.headers.get_all(Known::Authorization);
    let value = values.next()?;
    let remembered = &session.remembered_access;
    let access = published.access();
    let more = values.next();
    let opened = match remembered.find(app.id, value, access).filter(|_| more.is_none()) {
        Some(opened) => opened?,
        None => {
            let issuer = issuer_of(published.plan.identity()?);
            let is_ours = |value| bearer_text(value).is_some_and(|token| claims_issuer(token, &issuer));
            // Which of two counts would be anybody's guess.
            if more.is_some() {
                let any = head.headers.get_all(Known::Authorization).any(is_ours);
                return any.then_some(Err(NoSession::Token(Refusal::Invalid)));
            }
            let Some(token) = bearer_text(value).filter(|_| is_ours(value)) else {
                remembered.keep(app.id, value, None, access);
                return None;
            };
            match open(token, &issuer, app, published, session) {
                Ok(opened) => {
                    remembered.keep(app.id, value, Some(opened.clone()), access);
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
    let seen_unix = issued_unix;
    let mut person =
        Person { seen_unix, held, applicable, circumstances, assigned: None, judged: None, by_token: true };
    let remembered = &session.remembered_access;
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

impl RememberedAccess {
    /// The inner `None`: it was none of ours. Takes the same time for every other value, as with service tokens.
    fn find(&self, app: AppId, value: &[u8], access: u64) -> Option<Option<Opened>> {
        let shown = self.0.borrow();
        let shown = shown.as_ref().filter(|shown| shown.access == access && shown.app == app)?;
        let is_same = constant_time::verify_slices_are_equal(&shown.value, value).is_ok();
        is_same.then(|| shown.opened.clone())
    }

    fn keep(&self, app: AppId, value: &[u8], opened: Option<Opened>, access: u64) {
        let value = Zeroizing::new(value.to_vec());
        *self.0.borrow_mut() = Some(Shown { app, value, opened, told: None, access });
    }

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

impl std::fmt::Debug for RememberedAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RememberedAccess(…)")
    }
}
