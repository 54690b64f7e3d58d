//! Signing in for a service provider (SAML 2.0): who may have an assertion, for whom, and what it says. What is asked came by
//! way of a browser: it names an application and one of its own addresses, or nothing comes of it.

mod answered;
mod contexts;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use postern_model::claims::Claims;
use postern_model::config::{App, Preauth};
use postern_model::directory::{User, assigned};
use postern_model::identity::{BrowserGrant, Done, Missed, Refused, SignedIn, Step};
use postern_model::ids::SessionId;
use postern_model::plan::PlannedApp;
use postern_model::policy::Outcome;
use postern_model::saml::{AppLogout, AuthnRequest, RELAY_STATE_BYTES_MAX, SamlEnd, SamlPost, SamlWish, StartSaml};
use postern_model::session::SessionRecord;
use postern_model::settings::{NameIdFormat, SamlSettings};

use super::device_host::Visit;
use super::flow::{At, Flow, Goal, Proven, Stage};
use super::{alive, demand, enter, internal, invalid, log, refused};
use crate::clock::now_unix;
use crate::control::Control;
use crate::limits::{SAML_AHEAD_S, SAML_REQUEST_S};
use crate::saml::{self, Assertion, Reply, Status};
use crate::sessions;
use crate::store::sign_in::SignInOutcome;
use crate::store::{SignIn, StoredSession};
pub(super) use answered::Answered;
pub(super) use contexts::Contexts;

/// What a service provider waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    acs: String,
    in_response_to: Option<String>,
    relay_state: Option<String>,
    contexts: Contexts,
}

impl Wanted {
    /// Whether users shall have given a password, or more.
    pub(super) fn wants_password(&self) -> bool {
        self.contexts.want_password()
    }
}

/// What was asked, as far as it is one application's.
struct Checked {
    app: App,
    wanted: Wanted,
    force: bool,
    passive: bool,
    /// It cannot be had: the service provider is told so.
    cannot: Option<Status>,
}

/// A browser comes for an assertion.
pub(crate) fn start(control: &Control, request: StartSaml) -> Step {
    let StartSaml { wish, relay_state, browser, client } = request;
    let Checked { app, wanted, force, passive, cannot } = match checked(control, wish, relay_state) {
        Ok(checked) => checked,
        Err(refused) => return Step::Refused(refused),
    };
    if let Some(status) = cannot {
        return failed(control, &wanted, status, None);
    }
    let session = browser.and_then(|secret| alive(control, &secret));
    let session = session.filter(|session| session.user.tenant == app.id.tenant);
    let multi_factor = wanted.contexts.only_multi_factor();
    let missed = Missed { multi_factor, again: force, ..Missed::default() };
    let flow = Rc::new(Flow {
        app: app.id,
        redirect_uri: String::new(),
        state: String::new(),
        challenge: String::new(),
        source: client.address,
        tenant: app.id.tenant,
        goal: Goal::Saml(Box::new(wanted)),
        replaces: Cell::new(session.as_ref().map(|session| session.id)),
        stage: RefCell::new(Stage::Password(None)),
        missed,
        visit: RefCell::new(if passive { Visit::Waived } else { Visit::NotYet }),
        again: Cell::new(force),
        declined: RefCell::default(),
        policies: RefCell::default(),
    });
    if passive && let Goal::Saml(wanted) = &flow.goal {
        let nobody = postern_model::secret::SecretText::new(String::new());
        let at = At { secret: &nobody, flow: &flow, app: &app, client: &client };
        let is_enough =
            |session: &StoredSession| demand::demanded(control, &at, session).unmet(session, now_unix()).is_none();
        if !session.as_ref().is_some_and(is_enough) {
            return failed(control, wanted, Status::NoPassive, None);
        }
    }
    enter::enter(control, flow, &app, &client, session)
}

fn checked(control: &Control, wish: SamlWish, relay_state: Option<String>) -> Result<Checked, Refused> {
    if relay_state.as_ref().is_some_and(|state| state.len() > RELAY_STATE_BYTES_MAX) {
        return Err(invalid("the RelayState is longer than 1024 bytes"));
    }
    match wish {
        SamlWish::App { tenant, app } => {
            // Nobody learns so which applications there are.
            let nothing = || invalid("there is no such application that takes SAML assertions");
            let app = by_name(control, &tenant, &app).ok_or_else(nothing)?;
            let settings = settings(&app).map_err(|_| nothing())?;
            let acs = settings.acs.first().ok_or_else(internal)?.to_string();
            let wanted = Wanted { acs, in_response_to: None, relay_state, contexts: Contexts::any() };
            Ok(Checked { app, wanted, force: false, passive: false, cannot: None })
        }
        SamlWish::Request(request) => of_request(control, *request, relay_state),
    }
}

fn of_request(control: &Control, request: AuthnRequest, relay_state: Option<String>) -> Result<Checked, Refused> {
    let app = {
        let snapshot = control.snapshot();
        let mut named = saml::with_entity_id(&snapshot, &request.issuer);
        let app =
            named.next().ok_or_else(|| invalid("no application has this request's entity id (sso_saml_entity_id)"))?;
        if named.next().is_some() {
            return Err(invalid("several applications have this request's entity id: each needs one of its own"));
        }
        app.clone()
    };
    let settings = settings(&app)?;
    if request.destination.is_some_and(|destination| destination != saml::sso_url(control)) {
        return Err(invalid("the request is for another identity provider (Destination)"));
    }
    let now = now_unix();
    if request.issued_unix.saturating_add(SAML_REQUEST_S) < now {
        return Err(invalid("the request is too old: go to the application again"));
    }
    if request.issued_unix > now + SAML_AHEAD_S {
        return Err(invalid("the request is of the future: the application's clock is wrong (IssueInstant)"));
    }
    let acs = match &request.acs {
        Some(url) => settings.acs.iter().find(|acs| ***acs == **url),
        // Numbers are of the service provider's own metadata, which nobody has here.
        None if request.acs_by_index && settings.acs.len() > 1 => None,
        None => settings.acs.first(),
    };
    let acs =
        acs.ok_or_else(|| invalid("the request wants its answer at an address that is not registered (sso_saml_acs)"))?;
    let contexts = request.contexts.as_ref().map_or_else(|| Some(Contexts::any()), Contexts::of);
    let format = request.name_id_format.as_deref().unwrap_or(UNSPECIFIED);
    let cannot = if request.unsupported {
        Some(Status::RequestUnsupported)
    } else if format != UNSPECIFIED && format != settings.name_id_format.uri() {
        Some(Status::InvalidNameIdPolicy)
    } else if contexts.is_none() {
        Some(Status::NoAuthnContext)
    } else {
        None
    };
    let wanted = Wanted {
        acs: acs.to_string(),
        in_response_to: Some(request.id),
        relay_state,
        contexts: contexts.unwrap_or_else(Contexts::any),
    };
    Ok(Checked { app, wanted, force: request.force, passive: request.passive, cannot })
}

fn by_name(control: &Control, tenant: &str, name: &str) -> Option<App> {
    let snapshot = control.snapshot();
    let tenant = snapshot.tenants.values().find(|known| known.name.as_str() == tenant).map(|tenant| tenant.id);
    let mut apps = snapshot.apps.values();
    apps.find(|app| Some(app.id.tenant) == tenant && app.name.as_str() == name).cloned()
}

/// As they are now.
fn settings(app: &App) -> Result<SamlSettings, Refused> {
    let planned = PlannedApp::parse(app).map_err(|_| internal())?;
    let settings = planned.settings.sso_saml.filter(|_| planned.preauth == Preauth::Oidc);
    settings.ok_or_else(|| invalid("the application takes no SAML assertions"))
}

/// The user signed in, or was: the assertion, or why there is none.
pub(super) fn answer(
    control: &Control,
    at: &At<'_>,
    wanted: &Wanted,
    session: SessionId,
    browser: Option<BrowserGrant>,
) -> Step {
    match asserted(control, at, wanted, session, browser.is_none()) {
        Ok(post) => ended(SamlEnd::Post(post), browser),
        Err(NoAssertion::Status(status)) => failed(control, wanted, status, browser),
        Err(NoAssertion::Refused(refused)) => ended(SamlEnd::Refused(refused), browser),
    }
}

enum NoAssertion {
    Status(Status),
    Refused(Refused),
}

impl From<Refused> for NoAssertion {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// `before`: the session was there already, so that nothing of it is in the log yet.
fn asserted(
    control: &Control,
    at: &At<'_>,
    wanted: &Wanted,
    id: SessionId,
    before: bool,
) -> Result<SamlPost, NoAssertion> {
    let stored = control.sessions_in_store(|store| store.session(id)).ok().flatten().ok_or_else(super::flow_over)?;
    let record = sessions::record_of(control, &stored).ok().flatten().ok_or_else(super::flow_over)?;
    let user = control.directory(|store| store.user(stored.user)).ok().flatten().ok_or_else(internal)?;
    // The application as it is now, not as it was when the sign-in began.
    let app = control.snapshot().apps.get(&at.app.id).cloned().ok_or_else(super::flow_over)?;
    let settings = settings(&app)?;
    if !settings.acs.iter().any(|acs| **acs == *wanted.acs) {
        return Err(invalid("the address that was asked for is not registered any more (sso_saml_acs)").into());
    }
    let written = |outcome| {
        let entry = SignIn { session: Some(id), ..at.record(&Proven::by(&stored, &user), outcome) };
        log(control, entry)
    };
    let spoken = match told(control, at, &stored, &record, &user, &settings) {
        Ok(spoken) => spoken,
        Err(refused) => {
            written(SignInOutcome::Failure(not_told(&refused.code)))?;
            return Err(refused.into());
        }
    };
    let context = wanted.contexts.met_by(&record).ok_or(NoAssertion::Status(Status::NoAuthnContext))?;
    let asked = wanted.in_response_to.as_deref();
    let is_first = |id| control.sign_ins.borrow_mut().answered.is_first(app.id, id, now_unix());
    if !asked.is_none_or(is_first) {
        return Err(invalid("the request was answered already: go to the application again").into());
    }
    if before {
        written(SignInOutcome::Success)?;
    }
    let assertion = Assertion {
        audience: &settings.entity_id,
        name_id: spoken.name_id,
        name_id_format: settings.name_id_format,
        attributes: spoken.attributes.iter().map(|(name, values)| (&**name, values.clone())).collect(),
        context,
        authenticated_unix: record.authenticated_unix,
        ends_unix: record.expires_unix,
    };
    let entity_id = saml::entity_id(control);
    let response = saml::success(&control.saml, &reply(&entity_id, wanted), assertion).ok_or_else(internal)?;
    Ok(post(wanted, response))
}

/// What is said of a user.
struct Spoken {
    name_id: Option<String>,
    attributes: Vec<(Box<str>, Vec<String>)>,
}

/// Decided as the application's relay would, from what is known now.
fn told(
    control: &Control,
    at: &At<'_>,
    stored: &StoredSession,
    record: &SessionRecord,
    user: &User,
    settings: &SamlSettings,
) -> Result<Spoken, Refused> {
    let groups = record.user.groups.keys().copied().collect();
    let assignment = assigned(&control.snapshot().assignments, user, &groups, at.app.id, now_unix()).cloned();
    let detail = "You are signed in, but not assigned to this application. Ask your administrator.";
    let assignment = assignment.ok_or_else(|| refused("not-assigned", detail))?;
    match demand::decision(control, at, stored).map(|decision| decision.outcome) {
        Some(Outcome::Allow) => {}
        Some(Outcome::NeedsStepUp { .. }) => {
            return Err(refused("policy-step-up", "A policy asks for more than this sign-in shows."));
        }
        Some(Outcome::Block { .. }) => return Err(refused("policy-blocked", "A policy does not allow it.")),
        None => return Err(internal()),
    }
    let claims = Claims::of(record, &assignment);
    let too_long = |_| refused("sso-too-long", "What the application is to be told of you is too much.");
    let name_id = match &settings.name_id {
        Some(expression) => Some(expression.evaluate(&claims).map_err(too_long)?.into_owned()),
        None => None,
    };
    if settings.name_id_format != NameIdFormat::Transient && name_id.as_ref().is_none_or(String::is_empty) {
        return Err(refused("saml-name-missing", "There is nothing by which the application could call you."));
    }
    let attributes = settings.attributes.values(&claims).map_err(too_long)?;
    let mut texts = name_id.iter().chain(attributes.iter().flat_map(|(_, values)| values));
    if !texts.all(|text| saml::is_text(text)) {
        return Err(refused("saml-name-missing", "What the application is to be told of you cannot be said in XML."));
    }
    let attributes = attributes.into_iter().map(|(name, values)| (name.into(), values)).collect();
    Ok(Spoken { name_id, attributes })
}

/// Codes of the log are fixed texts.
fn not_told(code: &str) -> &'static str {
    let known = ["not-assigned", "policy-step-up", "policy-blocked", "sso-too-long", "saml-name-missing"];
    known.into_iter().find(|known| *known == code).unwrap_or("internal")
}

fn failed(control: &Control, wanted: &Wanted, status: Status, browser: Option<BrowserGrant>) -> Step {
    let entity_id = saml::entity_id(control);
    match saml::failure(&control.saml, &reply(&entity_id, wanted), status) {
        Some(response) => ended(SamlEnd::Post(post(wanted, response)), browser),
        None => ended(SamlEnd::Refused(internal()), browser),
    }
}

fn reply<'a>(entity_id: &'a str, wanted: &'a Wanted) -> Reply<'a> {
    Reply { entity_id, acs: &wanted.acs, in_response_to: wanted.in_response_to.as_deref(), now_unix: now_unix() }
}

fn post(wanted: &Wanted, response: String) -> SamlPost {
    SamlPost { action: wanted.acs.clone(), response, relay_state: wanted.relay_state.clone() }
}

fn ended(end: SamlEnd, browser: Option<BrowserGrant>) -> Step {
    Step::Done(Done { location: String::new(), browser, saml: Some(Box::new(end)) })
}

/// Where who signs out may end what applications keep by themselves.
pub(super) fn logouts(control: &Control, session: &StoredSession, was: SignedIn) -> SignedIn {
    let Ok(Some(record)) = sessions::record_of(control, session) else { return was };
    let Ok(Some(user)) = control.directory(|store| store.user(session.user)) else { return was };
    let groups = record.user.groups.keys().copied().collect();
    let snapshot = control.snapshot();
    let own = snapshot.apps.values().filter(|app| app.id.tenant == user.id.tenant);
    let own = own.filter(|app| assigned(&snapshot.assignments, &user, &groups, app.id, now_unix()).is_some());
    let logout = |app: &App| Some(AppLogout { app: app.name.to_string(), url: settings(app).ok()?.logout?.into() });
    SignedIn { apps: own.filter_map(logout).take(LOGOUTS_MAX).collect(), ..was }
}

const UNSPECIFIED: &str = NameIdFormat::Unspecified.uri();
/// Links on a page.
const LOGOUTS_MAX: usize = 32;
