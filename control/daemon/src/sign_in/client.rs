//! Signing in for a client of the OpenID provider: what it asks for is checked, the user comes by the same steps as to an
//! application, agrees where that is theirs to do, and goes back with a code.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use postern_model::config::App;
use postern_model::directory::User;
use postern_model::identity::{BrowserGrant, ClientInfo, Done, Missed, PROMPT_LOGIN, Refused, Step};
use postern_model::ids::SessionId;
use postern_model::oauth::{Authorize, Consent, ConsentBy, GiveConsent, Scope, Scopes};
use postern_model::secret::SecretText;

use super::device_host::Visit;
use super::flow::{At, Flow, Goal, Stage};
use super::{CHALLENGE_CHARS, alive, enter, entitled, flow_over, internal, issuer, refused};
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::limits::CLIENT_STATE_BYTES_MAX;
use crate::oauth::{self, Arrived, OnDevice, Wanted, conditions};
use crate::sessions::{random_secret, secret_key};
use crate::store::{ClientChange, StoredClient, StoredSession};

/// What a client asks for, after all of it was looked at.
pub(super) struct Asked {
    pub(super) client: StoredClient,
    pub(super) wanted: Wanted,
    pub(super) redirect_uri: String,
    pub(super) state: String,
    pub(super) challenge: String,
    pub(super) again: bool,
    pub(super) max_age_s: Option<u64>,
    /// What people are told that they go on to.
    pub(super) app: App,
}

/// Why it gets nothing: told to the user, where nobody knows that the address is the client's, else to the client.
enum Unfit {
    Page(Refused),
    Back(Step),
}

/// A browser comes from a client.
pub(crate) fn authorize(control: &Control, request: Authorize) -> Step {
    let Authorize { fields, browser, client } = request;
    match Asked::read(control, &fields) {
        Ok(asked) => begin(control, asked, browser, &client),
        Err(Unfit::Page(refused)) => Step::Refused(refused),
        Err(Unfit::Back(step)) => step,
    }
}

/// The first step of it.
pub(super) fn begin(control: &Control, asked: Asked, browser: Option<SecretText>, client: &ClientInfo) -> Step {
    let Asked { client: of, wanted, redirect_uri, state, challenge, again, max_age_s, app } = asked;
    let session = browser.and_then(|secret| alive(control, &secret));
    let session = session.filter(|session| session.user.tenant == of.id.tenant);
    let is_old = |session: &StoredSession| {
        let is_past = |max| session.is_silent() || session.authenticated_unix.saturating_add(max) <= now_unix();
        max_age_s.is_some_and(is_past)
    };
    // A ticket or a device would prove at any time that it is there, and nobody's presence.
    let again = again || session.as_ref().map_or(max_age_s.is_some(), is_old);
    let wanted = Rc::new(wanted);
    let flow = Rc::new(Flow {
        app: app.id,
        redirect_uri,
        state,
        challenge,
        source: client.address,
        tenant: of.id.tenant,
        goal: Goal::Client(Rc::clone(&wanted)),
        replaces: Cell::new(session.as_ref().map(|session| session.id)),
        stage: RefCell::new(Stage::Password(None)),
        missed: Missed { again, ..Missed::default() },
        visit: RefCell::new(if wanted.silent { Visit::Waived } else { Visit::NotYet }),
        again: Cell::new(again),
        declined: RefCell::default(),
        policies: RefCell::default(),
    });
    let Ok((secret, key)) = random_secret() else { return Step::Refused(internal()) };
    let at = At { secret: &secret, flow: &flow, app: &app, client };
    if wanted.silent && session.is_none() {
        return back(control, (&flow.redirect_uri, &flow.state), "login_required", "nobody is signed in");
    }
    let step = enter::first(control, &at, session.as_ref());
    if !enter::goes_on(&step) {
        return step;
    }
    if wanted.silent {
        return back(control, (&flow.redirect_uri, &flow.state), "login_required", "the user must sign in");
    }
    control.sign_ins.borrow_mut().keep(key, flow);
    step
}

impl Asked {
    fn read(control: &Control, fields: &BTreeMap<String, String>) -> Result<Self, Unfit> {
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        let page = |code, detail: &str| Unfit::Page(refused(code, detail));
        let client = oauth::known(control, field("client_id"));
        let client = client.ok_or_else(|| page("client-unknown", "The program that sent you here is not known."))?;
        let redirect_uri = field("redirect_uri").to_owned();
        if !client.settings.leads_back_to(&redirect_uri) {
            let detail = "The program that sent you here wants you back at an address that is not registered.";
            return Err(page("client-redirect-unknown", detail));
        }
        let state = field("state").to_owned();
        let wrong = |error, detail| Err(Unfit::Back(back(control, (&redirect_uri, &state), error, detail)));
        if state.len() > CLIENT_STATE_BYTES_MAX || field("nonce").len() > CLIENT_STATE_BYTES_MAX {
            return wrong("invalid_request", "state or nonce is too long");
        }
        for (name, error) in [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")] {
            if !field(name).is_empty() {
                return wrong(error, "write the parameters themselves");
            }
        }
        if field("response_type") != "code" {
            return wrong("unsupported_response_type", "the response type is code");
        }
        if !matches!(field("response_mode"), "" | "query") {
            return wrong("invalid_request", "the response mode is query");
        }
        let challenge = field("code_challenge").to_owned();
        if field("code_challenge_method") != "S256" || !is_challenge(&challenge) {
            return wrong("invalid_request", "PKCE with S256 is required");
        }
        let Some(scopes) = field("scope").parse::<Scopes>().ok().filter(|scopes| !scopes.is_empty()) else {
            return wrong("invalid_scope", "scopes are openid, profile, email, groups, devices and app:NAME");
        };
        if !client.settings.scopes.allow(&scopes) {
            return wrong("invalid_scope", "the client may not ask for this");
        }
        if let Some(unfit) = conditions::unfit(control, client.id.tenant, &scopes) {
            return wrong("invalid_scope", unfit);
        }
        let prompts: Vec<&str> = field("prompt").split(' ').filter(|prompt| !prompt.is_empty()).collect();
        let silent = prompts.contains(&"none");
        if prompts.iter().any(|prompt| !["none", PROMPT_LOGIN, "consent"].contains(prompt))
            || silent && prompts.len() > 1
        {
            return wrong("invalid_request", "prompt is none, or login and consent");
        }
        let max_age_s = match field("max_age") {
            "" => None,
            text => match text.parse() {
                Ok(max) => Some(max),
                Err(_) => return wrong("invalid_request", "max_age is a number of seconds"),
            },
        };
        let wanted = Wanted {
            client: client.id,
            nonce: field("nonce").to_owned(),
            on_a_device: !redirect_uri.starts_with("https://"),
            silent,
            ask_again: prompts.contains(&"consent"),
            device: None,
            conditions: conditions::conditions(control, &client, &scopes),
            scopes,
        };
        // Whoever finds a browser open must not make a device of theirs one of its user's.
        let again = prompts.contains(&PROMPT_LOGIN) || wanted.scopes.contains(&Scope::Devices);
        let app = app_of(control, &wanted).ok_or(Unfit::Page(internal()))?;
        Ok(Self { client, wanted, redirect_uri, state, challenge, again, max_age_s, app })
    }
}

/// The base64url of a SHA-256.
fn is_challenge(text: &str) -> bool {
    text.len() == CHALLENGE_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The application that people are told they go on to.
pub(super) fn app_of(control: &Control, wanted: &Wanted) -> Option<App> {
    let snapshot = control.snapshot();
    let first = wanted.conditions.first().or_else(|| snapshot.identity.as_ref().map(|identity| &identity.app))?;
    snapshot.apps.get(first).cloned()
}

/// Someone has a session, and comes for a client: they are asked, or go back to it.
pub(super) fn arrived(
    control: &Control,
    at: &At<'_>,
    wanted: &Rc<Wanted>,
    session: SessionId,
    browser: Option<BrowserGrant>,
) -> Step {
    let flow = at.flow;
    let arrived = Arrived {
        session,
        wanted: Rc::clone(wanted),
        redirect_uri: flow.redirect_uri.clone(),
        state: flow.state.clone(),
        challenge: flow.challenge.clone(),
    };
    let client = oauth::known(control, &wanted.client.to_string());
    let client = client.filter(|client| oauth::still_may(client, wanted, &arrived.redirect_uri));
    let Some(client) = client else { return Step::Refused(flow_over()) };
    if let Err(refused) = entitled::check(control, at, &client, wanted, session) {
        return denied(control, &arrived, refused, browser);
    }
    let Some(user) = user_of(control, session) else { return Step::Refused(internal()) };
    match agreed(control, &client, &user, wanted) {
        Some(true) => go_back(control, arrived, browser),
        Some(false) if wanted.silent => {
            let detail = "the user has not agreed yet";
            back(control, (&arrived.redirect_uri, &arrived.state), "consent_required", detail)
        }
        Some(false) => ask_consent(control, &client, &user, arrived, browser),
        None => Step::Refused(internal()),
    }
}

fn user_of(control: &Control, session: SessionId) -> Option<User> {
    let session = control.sessions_in_store(|store| store.session(session)).ok().flatten()?;
    control.directory(|store| store.user(session.user)).ok().flatten()
}

/// Whether the client may have it without a question. `None`: the store does not say.
fn agreed(control: &Control, client: &StoredClient, user: &User, wanted: &Wanted) -> Option<bool> {
    if wanted.device.is_some() {
        // Somebody else may have begun it, and talked the user into entering the code (RFC 8628 §5.4).
        return Some(false);
    }
    match client.settings.consent {
        ConsentBy::Admin => Some(true),
        // Who is behind an address on a device is not known (RFC 8252 §8.6): its user says so each time.
        ConsentBy::User if wanted.ask_again || wanted.on_a_device => Some(false),
        ConsentBy::User => {
            let before = control.clients(|store| store.consented(user.id, client.id)).ok()?;
            Some(before.is_some_and(|before| before.include(&wanted.scopes)))
        }
    }
}

fn ask_consent(
    control: &Control,
    client: &StoredClient,
    user: &User,
    arrived: Arrived,
    browser: Option<BrowserGrant>,
) -> Step {
    let Ok((consent, key)) = random_secret() else { return Step::Refused(internal()) };
    let question = Consent {
        consent,
        client: client.name.to_string(),
        on_a_device: arrived.wanted.on_a_device,
        user_code: arrived.wanted.device.as_ref().map(|device| device.user_code.clone()),
        login: user.login.clone(),
        asks_for: arrived.wanted.scopes.iter().map(in_words).collect(),
        browser,
    };
    control.oauth.borrow_mut().keep_consent(key, arrived, now_unix());
    Step::Consent(Box::new(question))
}

fn in_words(scope: &Scope) -> String {
    match scope {
        Scope::OpenId => "know who you are".into(),
        Scope::Profile => "know your names".into(),
        Scope::Email => "know your mail address".into(),
        Scope::Groups => "know your groups".into(),
        Scope::Devices => "make the device that it runs on one of yours".into(),
        Scope::App(name) => format!("use {name} in your name"),
        Scope::EveryApp => "use every application in your name".into(),
    }
}

/// The user's answer: it counts in the browser that was asked, as long as it is signed in.
pub(crate) fn consent(control: &Control, request: &GiveConsent) -> Step {
    let key = secret_key(request.consent.expose());
    let Some(arrived) = control.oauth.borrow_mut().take_consent(&key, now_unix()) else {
        return Step::Refused(flow_over());
    };
    let session = request.browser.as_ref().and_then(|secret| alive(control, secret));
    if session.is_none_or(|session| session.id != arrived.session) {
        return Step::Refused(flow_over());
    }
    let at = (arrived.redirect_uri.as_str(), arrived.state.as_str());
    if !request.allow {
        if let Some(device) = &arrived.wanted.device {
            return decided(control, device, &arrived, None);
        }
        return back(control, at, "access_denied", "the user did not agree");
    }
    let client = oauth::known(control, &arrived.wanted.client.to_string());
    let client = client.filter(|client| oauth::still_may(client, &arrived.wanted, &arrived.redirect_uri));
    let Some((client, user)) = client.zip(user_of(control, arrived.session)) else {
        return Step::Refused(flow_over());
    };
    match keep_consent(control, &client, &user, &arrived.wanted) {
        Some(()) => match &arrived.wanted.device {
            Some(device) => decided(control, device, &arrived, Some(arrived.session)),
            None => go_back(control, arrived, None),
        },
        None => Step::Refused(internal()),
    }
}

/// The program learns of it by asking again; the browser goes to a page that says so.
fn decided(control: &Control, device: &OnDevice, arrived: &Arrived, session: Option<SessionId>) -> Step {
    if !control.sign_ins.borrow_mut().devices.decide(&device.key, session, now_unix()) {
        return Step::Refused(flow_over());
    }
    Step::Done(Done { location: arrived.redirect_uri.clone(), browser: None, saml: None })
}

fn keep_consent(control: &Control, client: &StoredClient, user: &User, wanted: &Wanted) -> Option<()> {
    let before = control.clients(|store| store.consented(user.id, client.id)).ok()?;
    let mut draft = Draft::default();
    draft.audit(Audit {
        action: "client.consent",
        tenant: Some(client.id.tenant),
        target: format!("client {} ({})", client.name, client.id),
        before: before.as_ref().map(ToString::to_string),
        after: Some(wanted.scopes.to_string()),
    });
    if !wanted.on_a_device {
        let all = before.unwrap_or_default().with(&wanted.scopes);
        draft.client(ClientChange::Consented(user.id, client.id, all));
    }
    control.commit(&Actor::User(user.login.clone()), draft).ok().map(drop)
}

/// With a code.
fn go_back(control: &Control, arrived: Arrived, browser: Option<BrowserGrant>) -> Step {
    let Ok((code, key)) = random_secret() else { return Step::Refused(internal()) };
    let (redirect_uri, state) = (arrived.redirect_uri.clone(), arrived.state.clone());
    control.oauth.borrow_mut().keep_code(key, arrived, now_unix());
    let location = location(control, (&redirect_uri, &state), &[("code", code.expose())]);
    Step::Done(Done { location, browser, saml: None })
}

/// The user is who they are, and may not: the client is told so, and where it waits elsewhere the user is.
fn denied(control: &Control, arrived: &Arrived, why: Refused, browser: Option<BrowserGrant>) -> Step {
    if arrived.wanted.device.is_some() || why.code == internal().code {
        return Step::Refused(why);
    }
    let answer = [("error", "access_denied"), ("error_description", &why.detail)];
    let location = location(control, (&arrived.redirect_uri, &arrived.state), &answer);
    Step::Done(Done { location, browser, saml: None })
}

/// With an error (RFC 6749 §4.1.2.1).
fn back(control: &Control, at: (&str, &str), error: &str, detail: &str) -> Step {
    let location = location(control, at, &[("error", error), ("error_description", detail)]);
    Step::Done(Done { location, browser: None, saml: None })
}

/// The client's address with the answer, its state, and whose answer it is (RFC 9207).
fn location(control: &Control, (redirect_uri, state): (&str, &str), answer: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(answer);
    if !state.is_empty() {
        query.append_pair("state", state);
    }
    query.append_pair("iss", &issuer(control));
    let sign = if redirect_uri.contains('?') { '&' } else { '?' };
    format!("{redirect_uri}{sign}{}", query.finish())
}
