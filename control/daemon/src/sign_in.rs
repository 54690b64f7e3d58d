//! Signing in: what a browser must show before it has a session, step by step, and the code by which its relay learns of it.
//! All that is in progress is in memory only: after a restart people begin anew.

mod account;
mod anew;
mod by_device;
mod callback;
mod client;
mod codes;
mod demand;
pub(crate) mod device_host;
pub(crate) mod devices;
mod enter;
mod entitled;
pub(crate) mod external;
mod flow;
mod guesses;
mod offers;
mod own;
mod password;
mod portal;
mod refusals;
mod risk;
pub(crate) mod saml;
mod second;
mod tabs;
mod terms;
mod ticket;
mod totp;
mod waiting;
mod webauthn;

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use postern_model::config::{App, Preauth};
use postern_model::directory::{LoginName, User};
use postern_model::external::Offers;
use postern_model::identity::{
    Ask, Begin, Browser, BrowserGrant, ClientInfo, Done, Factor, Refused, SignedIn, Step, USER_AGENT_BYTES_MAX,
};
use postern_model::ids::{AppId, SessionId, TenantId};
use postern_model::plan::PlannedApp;
use postern_model::secret::SecretText;
use postern_model::session::{ABSOLUTE_S, IDLE_S, KEPT_ABSOLUTE_S, KEPT_IDLE_S, SessionRecord};

use crate::apps;
use crate::clock::now_unix;
use crate::control::{Actor, Control, Draft};
use crate::sessions::{self, random_secret, secret_key};
use crate::store::sign_in::Logged;
use crate::store::{SessionChange, SignIn, StoredSession};
use callback::is_callback;
use codes::{Codes, Redeemed};
use flow::{At, Flow, Goal, Proven, Stage, Vouched};
use guesses::Guesses;
use refusals::{busy, flow_over, internal, invalid, refused, too_many, wrong};
use waiting::Waiting;

pub(crate) use account::account;
pub(crate) use client::{authorize, consent};
pub(crate) use devices::enter_code;
pub(crate) use own::before_password;
pub(crate) use password::password;
pub(crate) use portal::begin_portal;
pub(crate) use second::factor;
pub(crate) use ticket::ticket;

/// Everything that is in progress.
#[derive(Default)]
pub(crate) struct SignIns {
    flows: Waiting<Rc<Flow>>,
    codes: Codes,
    guesses: Guesses,
    /// The same for Kerberos tickets.
    tickets: Guesses,
    external: external::External,
    answered: saml::Answered,
    pub(crate) devices: devices::Devices,
    visits: device_host::Visits,
    /// Sessions that devices began, by what their browsers keep of the way there.
    begun: Waiting<SessionId>,
}

/// What a redeemed code is worth.
pub(crate) struct Redeem<'a> {
    pub(crate) app: AppId,
    pub(crate) code: &'a str,
    pub(crate) verifier: &'a str,
    pub(crate) redirect_uri: &'a str,
}

/// A browser comes from an application.
pub(crate) fn begin(control: &Control, request: Begin) -> Step {
    let app = match checked(control, &request) {
        Ok(app) => app,
        Err(refused) => return Step::Refused(refused),
    };
    let Begin { redirect_uri, state, challenge, browser, missed, client, .. } = request;
    let session = browser.and_then(|secret| alive(control, &secret));
    let session = session.filter(|session| session.user.tenant == app.id.tenant);
    let flow = Rc::new(Flow {
        app: app.id,
        redirect_uri,
        state,
        challenge,
        source: client.address,
        tenant: app.id.tenant,
        goal: Goal::App,
        replaces: Cell::new(session.as_ref().map(|session| session.id)),
        stage: RefCell::new(Stage::Password(None)),
        again: Cell::new(missed.again),
        declined: RefCell::default(),
        policies: RefCell::default(),
        missed,
        visit: RefCell::default(),
    });
    enter::enter(control, flow, &app, &client, session)
}

/// What is not recorded did not happen: who cannot be written down is not answered.
fn log(control: &Control, entry: SignIn) -> Result<(), Refused> {
    log_with(control, Draft::default(), entry)
}

/// The same, together with what is to be kept with it.
fn log_with(control: &Control, mut draft: Draft, entry: SignIn) -> Result<(), Refused> {
    draft.sign_in(entry);
    control.commit(&Actor::Control, draft).map(drop).map_err(|_| internal())
}

/// Who a browser is signed in as.
pub(crate) fn browser(control: &Control, request: &Browser) -> SignedIn {
    let user = alive(control, &request.secret).and_then(|session| {
        control.directory(|store| store.user(session.user)).ok().flatten().filter(|user| user.is_active(now_unix()))
    });
    SignedIn { login: user.map(|user| user.login), ..SignedIn::default() }
}

/// The end of what a browser has; says who it was.
pub(crate) fn sign_out(control: &Control, request: &Browser) -> SignedIn {
    let was = browser(control, request);
    let key = secret_key(request.secret.expose());
    if let Ok(Some(session)) = control.sessions_in_store(|store| store.session_of_browser(&key)) {
        let apps = saml::logouts(control, &session, was);
        end(control, session.id);
        return external::sign_out_at(control, &session, apps);
    }
    was
}

/// Ends a session because its user wants it.
pub(crate) fn end(control: &Control, session: SessionId) {
    // Whoever has an old cookie may say so as often as they like: it is no transaction, and no relay is told.
    if !control.sessions.borrow().is_known(session) {
        return;
    }
    let mut draft = Draft::default();
    draft.session(SessionChange::Removed(session));
    if let Err(problem) = control.commit(&Actor::Control, draft) {
        tracing::error!(%session, "a session could not be ended: {}", problem.detail);
    }
}

/// What a browser brought back to a relay. A code is good once; one that comes again was stolen by somebody: its session ends.
pub(crate) fn redeem(control: &Control, request: &Redeem<'_>) -> Option<SessionRecord> {
    let redeemed = control.sign_ins.borrow_mut().codes.redeem(request, now_unix());
    match redeemed {
        Redeemed::Good(session) => sessions::record(control, session).ok().flatten(),
        Redeemed::Again(session) => {
            tracing::warn!(%session, app = %request.app, "a sign-in code came a second time: its session is ended");
            end(control, session);
            None
        }
        Redeemed::Unknown => None,
    }
}

/// The application, if it is one that asks and the request is one that its relay would make.
fn checked(control: &Control, request: &Begin) -> Result<App, Refused> {
    let snapshot = control.snapshot();
    let app = snapshot.apps.get(&request.app).filter(|app| app.preauth == Preauth::Oidc);
    let app = app.ok_or_else(|| invalid("the application is not published, or does not ask who its users are"))?;
    let planned = PlannedApp::parse(app).map_err(|_| internal())?;
    let own_name = apps::own_name(&snapshot, &planned);
    let mut places = planned.places.iter().map(|place| &place.external).chain(&own_name);
    if !places.any(|external| is_callback(&request.redirect_uri, external)) {
        return Err(invalid("the address to return to is not the application's"));
    }
    let is_token = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if request.state.len() > STATE_CHARS_MAX || request.state.is_empty() || !is_token(&request.state) {
        return Err(invalid("the state is not 1 to 128 of A-Z, a-z, 0-9, - and _"));
    }
    if request.challenge.len() != CHALLENGE_CHARS || !is_token(&request.challenge) {
        return Err(invalid("the code challenge is not a SHA-256 in base64url"));
    }
    Ok(app.clone())
}

fn user(control: &Control, tenant: TenantId, login: &LoginName) -> Option<User> {
    control.directory(|store| store.user_by_login(tenant, login)).ok().flatten()
}

/// The session of a browser, if it still counts.
fn alive(control: &Control, secret: &SecretText) -> Option<StoredSession> {
    let key = secret_key(secret.expose());
    let stored = control.sessions_in_store(|store| store.session_of_browser(&key)).ok().flatten()?;
    sessions::record_of(control, &stored).ok().flatten().map(|_| stored)
}

/// A session by its id, if it is this user's and still counts.
fn alive_of(control: &Control, user: &User, id: SessionId) -> Option<StoredSession> {
    let stored = control.sessions_in_store(|store| store.session(id)).ok().flatten();
    let stored = stored.filter(|stored| stored.user == user.id)?;
    sessions::record_of(control, &stored).ok().flatten().map(|_| stored)
}

/// The session that someone would have by what they proved, but for what tells it from others. The risk is what was judged.
fn would_be(user: &User, proven: &Proven, client: &ClientInfo) -> StoredSession {
    let now = now_unix();
    let (absolute_s, idle_s) = if proven.keep { (KEPT_ABSOLUTE_S, KEPT_IDLE_S) } else { (ABSOLUTE_S, IDLE_S) };
    StoredSession {
        id: SessionId(0),
        user: user.id,
        browser: [0; 32],
        created_unix: now,
        authenticated_unix: proven.authenticated_unix,
        methods: proven.methods.clone(),
        provider: proven.vouched.provider().cloned(),
        claimed_device: proven.vouched.claimed_device(),
        source: Some(client.address),
        user_agent: shortened(&client.user_agent),
        expires_unix: proven.ends_unix.map_or(now + absolute_s, |end| end.min(now + absolute_s)),
        idle_s,
        persistent: proven.keep,
        seen_unix: now,
        risk: proven.risk.so_far,
        device: proven.device,
    }
}

fn make_session(
    control: &Control,
    user: &User,
    proven: &Proven,
    at: &At<'_>,
    record: SignIn,
    mut draft: Draft,
) -> Result<(SessionId, BrowserGrant), Refused> {
    let (secret, browser) = random_secret().map_err(|_| internal())?;
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| internal())?;
    let id = SessionId(u128::from_be_bytes(id));
    let stored = StoredSession { id, browser, ..would_be(user, proven, at.client) };
    let (session, lasts_s) = (stored.id, stored.expires_unix.saturating_sub(stored.created_unix));
    match &proven.vouched {
        Vouched::By(of, _) => draft.session(SessionChange::OfProvider(session, of.clone())),
        Vouched::Before(replaced, ..) => draft.session(SessionChange::Inherits(session, *replaced)),
        Vouched::Nobody => {}
    }
    // A session never becomes a stronger one: whoever knows the old one's cookies has nothing of the new one.
    if let Some(replaced) = at.flow.replaces.get() {
        draft.session(SessionChange::Removed(replaced));
    }
    draft.session(SessionChange::Put(Box::new(stored)));
    let country = control.country(at.client.address).map(|country| Logged::cut(&country.to_string()));
    let asn = control.asn(at.client.address).map(|asn| asn.0);
    draft.sign_in(SignIn { session: Some(session), country, asn, ..record });
    control.commit(&Actor::Control, draft).map_err(|_| internal())?;
    tracing::info!(%session, user = %user.login, source = %at.client.address, "signed in");
    Ok((session, BrowserGrant { secret, max_age_s: proven.keep.then_some(lasts_s) }))
}

/// Control characters and what is too long are not kept.
fn shortened(user_agent: &str) -> String {
    let mut text: String = user_agent.chars().filter(|letter| !letter.is_control()).collect();
    while text.len() > USER_AGENT_BYTES_MAX {
        text.pop();
    }
    text
}

/// Sends the browser back with a code.
fn done(control: &Control, at: &At<'_>, session: SessionId, browser: Option<BrowserGrant>) -> Step {
    let flow = at.flow;
    match &flow.goal {
        Goal::App => {
            if let Err(refused) = entitled::note(control, at, session) {
                return Step::Refused(refused);
            }
        }
        Goal::Account | Goal::Portal | Goal::Password => {
            return Step::Done(Done { location: flow.redirect_uri.clone(), browser, saml: None });
        }
        Goal::Saml(wanted) => return saml::answer(control, at, wanted, session, browser),
        Goal::Client(wanted) => return client::arrived(control, at, wanted, session, browser),
    }
    let Ok((code, key)) = random_secret() else { return Step::Refused(internal()) };
    control.sign_ins.borrow_mut().codes.keep(key, flow, session, now_unix());
    let issuer = issuer(control);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("code", code.expose()).append_pair("state", &flow.state).append_pair("iss", &issuer);
    Step::Done(Done { location: format!("{}?{}", flow.redirect_uri, query.finish()), browser, saml: None })
}

/// RFC 9207: the answer says whose it is.
pub(crate) fn issuer(control: &Control) -> String {
    let snapshot = control.snapshot();
    let identity = snapshot.identity.as_ref().and_then(|identity| snapshot.apps.get(&identity.app));
    identity.map_or_else(String::new, |app| app.external_url.trim_end_matches('/').to_owned())
}

fn ask(
    control: &Control,
    secret: &SecretText,
    app: &str,
    flow: &Flow,
    factor: Factor,
    problem: Option<Refused>,
) -> Ask {
    // Before the snapshot is held: the store is read for it.
    let external = match factor {
        Factor::Login | Factor::Password => external::offers(control, flow.tenant),
        Factor::Second(_) | Factor::Enrol(_) | Factor::Recovery(_) | Factor::Terms(_) => Offers::default(),
    };
    let snapshot = control.snapshot();
    let login = match &*flow.stage.borrow() {
        Stage::Password(login) => login.clone(),
        Stage::Second(proven, _)
        | Stage::Enrol(proven, ..)
        | Stage::Recovery(proven)
        | Stage::Terms(proven, _)
        | Stage::Device(proven, _) => proven.typed.parse().ok(),
        Stage::DeviceFirst | Stage::Taken => None,
    };
    let tenant = snapshot.tenants.get(&flow.tenant).map_or_else(String::new, |tenant| tenant.name.to_string());
    let app = flow.goal.label().unwrap_or(app).to_owned();
    Ask { flow: secret.clone(), factor, tenant, app, login, problem, external, negotiate: false }
}

impl SignIns {
    fn keep(&mut self, key: [u8; 32], flow: Rc<Flow>) {
        self.flows.keep(key, flow.source, flow, now_unix());
    }

    fn find(&self, key: &[u8; 32]) -> Option<Rc<Flow>> {
        self.flows.find(key, now_unix()).cloned()
    }
}

/// Whose guess it is: the tenant and what was typed.
type Guessed<'a> = (postern_model::ids::TenantId, &'a str);
/// Where it comes from.
type Source = IpAddr;

const STATE_CHARS_MAX: usize = 128;
/// 32 bytes in base64url.
const CHALLENGE_CHARS: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_calls_itself_is_cut() {
        assert_eq!(shortened("a\r\nb"), "ab");
        assert_eq!(shortened(&"ü".repeat(200)).len(), USER_AGENT_BYTES_MAX);
    }
}

#[cfg(test)]
mod flow_tests;
