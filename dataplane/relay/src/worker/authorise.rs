//! Whether a request may reach its application, and whether it still may while it is in progress. A [`Permit`] is made here
//! only.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use postern_http::{RequestHead, Scheme};
use postern_io::{Instant, now, wall_clock};
use postern_model::config::Preauth;
use postern_model::directory::LoginName;
use postern_model::identity::Missed;
use postern_model::ids::UserId;
use postern_model::plan::{Plan, PlannedApp};
use postern_model::service_token::{PresentedToken, ServiceToken};
use postern_tunnel::Detail;

use super::bearer::{self, Refusal, Remembered};
use super::conditional::{self, Unmet};
use super::preflight;
use super::reject::Reject;
use super::resource;
use super::route::{Routed, Wanted, secured};
use super::session::Session;
use super::sign_in::{self, Ask, LetIn, NoSession, Person};
use super::told::Told;
use crate::published::Published;
use crate::record::access::Judged;
use crate::record::line::Line;

/// A request that may pass, for as long as nothing changes and its time is not over: see [`Permit::is_due`].
#[derive(Debug)]
pub(crate) struct Permit {
    app: Arc<PlannedApp>,
    subject: Option<Subject>,
    /// Where it comes from.
    source: IpAddr,
    /// Whether it came by TLS.
    scheme: Scheme,
    /// What the application is told of a person.
    told: Option<Rc<Told>>,
    /// A token that nobody asked for. The request itself has it no more.
    carried: Option<Box<PresentedToken>>,
    /// [`Published::access`] it was given under.
    access: u64,
    /// When it is to be looked at again, whatever changes.
    until: Option<Instant>,
}

/// Who asks, where the application wants to know.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// A machine, by its service token.
    Service(Arc<ServiceToken>),
    /// Someone who signed in. Beside the request: it would be the largest part of what all of them are made of.
    Person(Rc<Person>),
}

/// Why a request does not pass, yet or at all.
#[derive(Debug)]
pub(crate) enum Stop {
    Reject(Reject),
    /// Control must be asked first.
    Ask(Ask, Arc<PlannedApp>),
}

/// Asks what the application's publication demands. `passthrough` leaves users to the application itself; else nobody passes
/// who is not known. `subject` becomes whoever is, also when the application is not
/// his, and `detail` what an operator should know of a refusal.
pub(crate) fn authorise(
    routed: Routed,
    head: &RequestHead,
    published: &Published,
    session: &Session,
    (subject, detail): (&mut Option<Subject>, &mut Detail),
) -> Result<Permit, Stop> {
    let Routed { app, wanted } = routed;
    // Before anything is looked up: a change from here on is noticed.
    let access = published.access();
    let (mut carried, mut told) = (None, None);
    if let Some(maintenance) = &app.settings.answers.maintenance {
        return Err(Reject::maintenance(maintenance).into());
    }
    let passes_unasked = wanted == Wanted::Application && preflight::passes(head, &app)?;
    let until = match (app.preauth, wanted) {
        (_, Wanted::Secured) => return Err(secured(&app, head).into()),
        (_, Wanted::Robots) => return Err(Reject::robots().into()),
        (Preauth::Passthrough, _) => {
            carried = bearer::carried(head);
            None
        }
        (Preauth::Oidc, Wanted::Metadata) => return Err(resource::metadata(head, &app, &published.plan).into()),
        (Preauth::Oidc, Wanted::Callback) => {
            return match sign_in::returned(head, &app, &published.plan) {
                Ok(ask) => Err(Stop::Ask(ask, app)),
                Err(reject) => Err(reject.into()),
            };
        }
        (Preauth::Oidc, Wanted::SignOut) => {
            return match sign_in::signing_out(head, &app, published) {
                Ok(ask) => Err(Stop::Ask(ask, app)),
                Err(reject) => Err(reject.into()),
            };
        }
        (Preauth::Oidc, Wanted::Application) if passes_unasked => None,
        (Preauth::Oidc, Wanted::Application) if bearer::is_shown(head) => {
            let token = bearer::shown(head, published, &session.remembered);
            let let_in = token.and_then(|token| let_in(token, &app, &session.remembered, subject));
            let until = let_in.map_err(|refusal| refusal.reject(head, &app))?;
            let (country, asn) = (|| session.country(&published.countries), || session.asn(&published.countries));
            let again =
                conditional::machine(published, app.id, session.address.ip(), (country, asn)).map_err(|unmet| {
                    *detail = unmet.detail();
                    unmet.reject()
                })?;
            earlier(until, again)
        }
        (Preauth::Oidc, Wanted::Application) => {
            let (until, about) = person(&app, head, published, session, (subject, detail))?;
            told = Some(about);
            until
        }
        (Preauth::Oidc, Wanted::Keys) => return Err(keys(&published.plan).into()),
    };
    let (source, scheme) = (session.address.ip(), session.scheme());
    Ok(Permit { app, subject: subject.clone(), source, scheme, told, carried, access, until })
}

/// Whoever has signed in, or a program with a token for them; browsers without a session are sent to do so.
fn person(
    app: &Arc<PlannedApp>,
    head: &RequestHead,
    published: &Published,
    session: &Session,
    (subject, detail): (&mut Option<Subject>, &mut Detail),
) -> Result<(Option<Instant>, Rc<Told>), Stop> {
    let by_token = sign_in::person_by_token(head, app, published, session);
    // Programs are sent nowhere.
    let is_program = by_token.is_some();
    match by_token.unwrap_or_else(|| sign_in::person(head, app, published, session)) {
        Ok(LetIn { person, until, told }) => {
            *subject = Some(Subject::Person(person));
            Ok((until, told))
        }
        Err(NoSession::Untold(person, reject)) => {
            *subject = Some(Subject::Person(Rc::new(person)));
            Err(Stop::Reject(*reject))
        }
        Err(NoSession::Unknown(id)) => Err(Stop::Ask(Ask::Record(id), Arc::clone(app))),
        Err(NoSession::NotAssigned(person)) => {
            *subject = Some(Subject::Person(Rc::new(person)));
            Err(Reject::not_assigned().into())
        }
        Err(NoSession::Policy(person, unmet)) => {
            // One that has a device was asked for it: it would be shown again.
            let can_show_device = person.held.record.device.is_none() && published.plan.device_host().is_some();
            *subject = Some(Subject::Person(Rc::new(person)));
            *detail = unmet.detail();
            let missed = unmet.missed(can_show_device).filter(|_| !is_program);
            let away = missed.and_then(|missed| sign_in::send_away(head, app, &published.plan, &missed));
            let refused = || match *unmet {
                Unmet::Idle => Refusal::Missing.reject(head, app),
                Unmet::Blocked(_) | Unmet::Asked(..) => unmet.reject(),
            };
            Err(away.unwrap_or_else(refused).into())
        }
        Err(NoSession::Token(refusal)) => Err(refusal.reject(head, app).into()),
        Err(NoSession::None) if is_program => Err(Refusal::Invalid.reject(head, app).into()),
        Err(NoSession::OneFactor(person)) if is_program => {
            *subject = Some(Subject::Person(Rc::new(person)));
            Err(Refusal::StepUp.reject(head, app).into())
        }
        Err(without @ (NoSession::None | NoSession::OneFactor(_))) => {
            if let NoSession::OneFactor(person) = without {
                *subject = Some(Subject::Person(Rc::new(person)));
            }
            let away = sign_in::send_away(head, app, &published.plan, &Missed::default());
            let refused = || match published.plan.identity() {
                None if sign_in::is_navigation(head) => {
                    *detail = Detail::new("there is no place to sign in: postern identity publish");
                    Reject::sign_in_unavailable()
                }
                Some(_) | None => Refusal::Missing.reject(head, app),
            };
            Err(away.unwrap_or_else(refused).into())
        }
    }
}

/// What assertions are verified with.
fn keys(plan: &Plan) -> Reject {
    plan.assertions().jwks().map_or_else(Reject::sso_unavailable, Reject::keys)
}

impl From<Reject> for Stop {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl Permit {
    pub(crate) fn app(&self) -> &Arc<PlannedApp> {
        &self.app
    }

    pub(crate) fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    pub(crate) fn told(&self) -> Option<&Told> {
        self.told.as_deref()
    }

    /// `Set-Cookie` for the answer, if the session's cookie is to be renewed.
    pub(crate) fn renewed_cookie(
        &self,
        session: &Session,
        published: impl FnOnce() -> Arc<Published>,
    ) -> Option<Rc<str>> {
        let Some(Subject::Person(person)) = &self.subject else { return None };
        person.renewed_cookie((&self.app, self.access), session, published)
    }

    /// When it is to be looked at again, whatever changes.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether it is to be reviewed: what lets requests pass has changed to `access`, or its time has come.
    pub(crate) fn is_due(&self, access: u64) -> bool {
        self.access != access || self.until.is_some_and(|until| until <= now())
    }

    /// Whether the request would still be let in; the reason if not. It holds on then.
    pub(crate) fn review(&mut self, published: &Published, head: &RequestHead) -> Result<(), Reject> {
        let Some(app) = published.plan.app(self.app.id) else { return Err(Reject::path_unpublished()) };
        // There it is published no more: this place went, or is for TLS alone now.
        let place = app.place_found_as(&self.app.external);
        if place.is_none_or(|place| self.scheme == Scheme::Http && place.external.tls) {
            return Err(Reject::path_unpublished());
        }
        let access = published.access();
        let source = self.source;
        let place = (|| published.countries.of(source), || published.countries.asn(source));
        self.until = match (app.preauth, &mut self.subject) {
            // Whoever was let in by name is let in without.
            (Preauth::Passthrough, _) => None,
            (Preauth::Oidc, Some(Subject::Service(held))) => {
                let until = still_admits(held, app, published, head)?;
                let again = conditional::machine(published, app.id, self.source, place);
                earlier(until, again.map_err(|unmet| unmet.reject())?)
            }
            (Preauth::Oidc, Some(Subject::Person(person))) => {
                Rc::make_mut(person).review(app, published).map_err(|ended| match ended {
                    NoSession::NotAssigned(_) => Reject::not_assigned(),
                    NoSession::Policy(_, unmet) => unmet.reject(),
                    // Told it was when the request came.
                    NoSession::None
                    | NoSession::OneFactor(_)
                    | NoSession::Unknown(_)
                    | NoSession::Token(_)
                    | NoSession::Untold(..) => Reject::session_ended(),
                })?
            }
            // A preflight that nobody is asked about, if that is still so.
            (Preauth::Oidc, None) if preflight::passes(head, app).is_ok_and(|passes| passes) => None,
            // It came while nobody asked; what it has with it may be enough.
            (Preauth::Oidc, None) => {
                let token = match &self.carried {
                    Some(carried) => bearer::known(carried, published),
                    None => bearer::shown(head, published, &Remembered::default()),
                };
                let let_in = token.and_then(|token| let_in(token, app, &Remembered::default(), &mut self.subject));
                let until = let_in.map_err(|refusal| refusal.reject(head, app))?;
                let again = conditional::machine(published, app.id, self.source, place);
                earlier(until, again.map_err(|unmet| unmet.reject())?)
            }
        };
        self.access = access;
        Ok(())
    }
}

/// The first of two moments.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// Whether a token that was shown lets its request in, and until when. `subject` becomes whoever is known, let in or not.
fn let_in(
    token: Arc<ServiceToken>,
    app: &PlannedApp,
    remembered: &Remembered,
    subject: &mut Option<Subject>,
) -> Result<Option<Instant>, Refusal> {
    let until = bearer::admits(&token, app.id, || remembered.wall_clock());
    *subject = Some(Subject::Service(token));
    until
}

/// Whether a token that let a request in still does, and until when.
fn still_admits(
    held: &ServiceToken,
    app: &PlannedApp,
    published: &Published,
    head: &RequestHead,
) -> Result<Option<Instant>, Reject> {
    let token = published.plan.service_token(held.id).filter(|token| token.enabled && token.key == held.key);
    token.ok_or(Refusal::Invalid).and_then(|token| bearer::admits(token, app.id, wall_clock)).map_err(|refusal| {
        match refusal {
            Refusal::Expired => refusal.reject(head, app),
            Refusal::Missing | Refusal::Invalid | Refusal::NotForApp | Refusal::StepUp => {
                Reject::access_revoked(&resource::metadata_url(head, app))
            }
        }
    })
}

impl Subject {
    /// What kind of name it is.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Service(_) => "service",
            Self::Person(_) => Person::KIND,
        }
    }

    /// Someone who signed in. Machines are no users.
    pub(crate) fn user(&self) -> Option<UserId> {
        match self {
            Self::Service(_) => None,
            Self::Person(person) => Some(person.held.record.user.id),
        }
    }

    /// The login name of someone who signed in. Machines are no users.
    pub(crate) fn login(&self) -> Option<&LoginName> {
        match self {
            Self::Service(_) => None,
            Self::Person(person) => Some(&person.held.record.user.login),
        }
    }

    /// Writes who it is, and how it was decided about someone who signed in.
    pub(crate) fn write(&self, line: &mut Line<'_>) {
        match self {
            Self::Service(_) => line.subject(self.kind(), self.name()),
            Self::Person(person) => match person.written() {
                Some(written) => line.ready(written),
                None => {
                    line.subject(self.kind(), self.name());
                    line.access(&person.access());
                }
            },
        }
    }

    /// What policies said of someone who signed in.
    pub(crate) fn judged(&self) -> Option<&Judged> {
        match self {
            Self::Service(_) => None,
            Self::Person(person) => person.access().judged,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Service(token) => token.name.as_str(),
            Self::Person(person) => person.held.record.user.login.as_str(),
        }
    }
}
