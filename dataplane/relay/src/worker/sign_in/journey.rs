//! The way of a browser to the place to sign in and back, and out again.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_http::{Known, Method, RequestHead, cookie, cookies_with};
use postern_io::wall_clock;
use postern_model::identity::{ACR_MULTI_FACTOR, AUTHORIZE_PATH, CALLBACK_PATH, DEVICE, Missed, PROMPT_LOGIN, TERMS};
use postern_model::ids::SessionId;
use postern_model::link::{Call, Reply};
use postern_model::plan::{Plan, PlannedApp, PlannedIdentity};
use postern_model::secret::SecretText;
use postern_model::session::{FLOW_S_MAX, FLOW_STATE_BYTES, FLOW_TARGET_BYTES_MAX, FLOW_VERIFIER_BYTES, FlowCookie};
use postern_model::settings::SameSite;
use zeroize::Zeroizing;

use super::cookie::{forget_session, session_cookie, set_session};
use crate::published::Published;
use crate::sessions::Found;
use crate::worker::reject::Reject;

/// Something that control must be asked for before a request can be decided on.
#[derive(Debug)]
pub(crate) enum Ask {
    /// The record of a session.
    Record(SessionId),
    /// A browser came back.
    Redeem(Box<Returned>),
    /// The user wants the session to end.
    SignOut(SessionId),
}

/// A browser that came back from signing in, with what it was sent away with.
#[derive(Debug)]
pub(crate) struct Returned {
    app: Arc<PlannedApp>,
    host: Box<str>,
    code: SecretText,
    flow: FlowCookie,
    cookie_name: String,
}

/// What a browser without a session gets: the way to the place to sign in, and what it comes back with. `None` for requests
/// that no person makes by opening a page, or when nobody can sign in.
pub(crate) fn send_away(head: &RequestHead, app: &PlannedApp, plan: &Plan, missed: &Missed) -> Option<Reject> {
    if !is_navigation(head) {
        return None;
    }
    let identity = plan.identity()?;
    let mut state = [0; FLOW_STATE_BYTES];
    let mut verifier = Zeroizing::new([0; FLOW_VERIFIER_BYTES]);
    rand::fill(&mut state).and_then(|()| rand::fill(&mut *verifier)).ok()?;
    let target = head.target.as_str();
    let target = if target.len() <= FLOW_TARGET_BYTES_MAX { target.to_owned() } else { beginning(app) };
    let challenge = digest::digest(&digest::SHA256, verifier_text(&verifier).as_bytes());
    let redirect_uri = callback(app, head.authority.host());
    let location = format!(
        "{}?app={}&redirect_uri={}&state={}&code_challenge={}&code_challenge_method=S256{}",
        authorize(identity),
        app.id,
        escaped(&redirect_uri),
        URL_SAFE_NO_PAD.encode(state),
        URL_SAFE_NO_PAD.encode(challenge),
        said(missed),
    );
    let name = flow_cookie_name(&state);
    let flow = FlowCookie { state, verifier, started_unix: wall_clock().as_secs(), target };
    let sealed = plan.cookies().seal_flow(&flow, app.id).ok()?;
    let cookie = format!("{name}={sealed}; {}; Max-Age={FLOW_S_MAX}", flow_attributes(app));
    let mut cookies = too_old(head, app, plan);
    cookies.push(cookie);
    Some(Reject::redirect(302, location, cookies))
}

/// Forgets the flows that a browser began first, when it has as many as it may: it would collect cookies without end.
fn too_old(head: &RequestHead, app: &PlannedApp, plan: &Plan) -> Vec<String> {
    let flows = cookies_with(&head.headers, FLOW_COOKIE).filter_map(|(name, value)| {
        let name = std::str::from_utf8(name).ok()?;
        let digits = name.strip_prefix(FLOW_COOKIE)?;
        let is_one = digits.len() == 8 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        // What cannot be opened any more is the oldest.
        let begun = plan.cookies().open_flow(value, app.id).map_or(0, |flow| flow.started_unix);
        is_one.then_some((begun, name))
    });
    let flows: BTreeSet<_> = flows.take(FLOWS_LOOKED_AT_MAX).collect();
    let too_many = (flows.len() + 1).saturating_sub(FLOWS_AT_ONCE);
    flows.iter().take(too_many).map(|(_, name)| forget_flow(name, app)).collect()
}

/// What was missed, for the query.
fn said(missed: &Missed) -> String {
    let part = |is_so: bool, name: &str, value: &str| if is_so { format!("&{name}={value}") } else { String::new() };
    // Names and what is between them have nothing that is escaped; + is a space.
    let terms: Vec<String> = missed.terms.iter().map(ToString::to_string).collect();
    part(missed.again, "prompt", PROMPT_LOGIN)
        + &part(missed.multi_factor, "acr_values", ACR_MULTI_FACTOR)
        + &part(!terms.is_empty(), TERMS, &terms.join("+"))
        + &part(missed.device, DEVICE, "1")
}

/// A browser comes back. What does not belong to it is refused; then control is asked what its code is worth.
pub(crate) fn returned(head: &RequestHead, app: &Arc<PlannedApp>, plan: &Plan) -> Result<Ask, Reject> {
    let mut query = Query::of(head).ok_or_else(Reject::sign_in_failed)?;
    let (code, state, issuer) = (query.take("code"), query.take("state"), query.take("iss"));
    let identity = plan.identity().ok_or_else(Reject::sign_in_failed)?;
    if issuer.as_deref() != Some(issuer_of(identity).as_str()) {
        return Err(Reject::sign_in_failed());
    }
    let (Some(code), Some(state)) = (code, state) else { return Err(Reject::sign_in_failed()) };
    let mut shown = [0; FLOW_STATE_BYTES];
    let decoded = URL_SAFE_NO_PAD.decode_slice(state, &mut shown);
    if decoded != Ok(FLOW_STATE_BYTES) || code.is_empty() || code.len() > CODE_BYTES_MAX {
        return Err(Reject::sign_in_failed());
    }
    let cookie_name = flow_cookie_name(&shown);
    let flow = cookie(&head.headers, &cookie_name).and_then(|value| plan.cookies().open_flow(value, app.id));
    let now_unix = wall_clock().as_secs();
    let flow = flow.filter(|flow| {
        constant_time::verify_slices_are_equal(&flow.state, &shown).is_ok() && now_unix < flow.started_unix + FLOW_S_MAX
    });
    let flow = flow.ok_or_else(Reject::sign_in_failed)?;
    let host = head.authority.host().into();
    let code = SecretText::new(code);
    Ok(Ask::Redeem(Box::new(Returned { app: Arc::clone(app), host, code, flow, cookie_name })))
}

/// Someone wants to sign out. From another site's link it is only asked about, at the place to sign in.
pub(crate) fn signing_out(head: &RequestHead, app: &PlannedApp, published: &Published) -> Result<Ask, Reject> {
    let gone = || Reject::redirect(303, sign_out_page(&published.plan), vec![forget_session(app)]);
    let is_foreign =
        head.headers.get(Known::SecFetchSite).is_some_and(|site| site != b"same-origin" && site != b"none");
    if is_foreign {
        return Err(Reject::redirect(303, sign_out_page(&published.plan), Vec::new()));
    }
    let value = session_cookie(head, app).ok_or_else(gone)?;
    let cookie = published.plan.cookies().open_session(value, app.id).ok_or_else(gone)?;
    Ok(Ask::SignOut(cookie.session))
}

impl Ask {
    /// What control is asked.
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::Record(session) => Call::Session { session: *session },
            Self::SignOut(session) => Call::SignOut { session: *session },
            Self::Redeem(returned) => Call::Redeem {
                app: returned.app.id,
                code: returned.code.clone(),
                verifier: SecretText::new(verifier_text(&returned.flow.verifier)),
                redirect_uri: callback(&returned.app, &returned.host),
            },
        }
    }

    /// What follows from control's answer: `None`, the request is decided on once more.
    pub(crate) fn answered(&self, reply: Option<&Reply>, app: &PlannedApp, published: &Published) -> Option<Reject> {
        match (self, reply) {
            (_, None | Some(Reply::Unknown)) => Some(Reject::sign_in_unavailable()),
            // It is in the table, or known to be gone, by now.
            (Self::Record(_), Some(_)) => None,
            (Self::SignOut(_), Some(_)) => {
                Some(Reject::redirect(303, sign_out_page(&published.plan), vec![forget_session(app)]))
            }
            (Self::Redeem(returned), Some(Reply::Session(record))) => Some(returned.signed_in(record.id, published)),
            (Self::Redeem(_), Some(Reply::Refused | Reply::Done)) => Some(Reject::sign_in_failed()),
        }
    }
}

impl Returned {
    /// To where they wanted to go, with the session's cookie and without the flow's.
    fn signed_in(&self, session: SessionId, published: &Published) -> Reject {
        let clock = wall_clock();
        let Found::Held(held) = published.sessions.find(session, clock) else { return Reject::sign_in_failed() };
        let Some(set) = set_session(&held, &self.app, &published.plan, clock.as_secs()) else {
            return Reject::sign_in_unavailable();
        };
        let forget = forget_flow(&self.cookie_name, &self.app);
        // What was sealed here was a request's target: it begins with one slash and stays on this host.
        let target = if is_local(&self.flow.target) { self.flow.target.clone() } else { beginning(&self.app) };
        let host = self.app.external.authority(&self.host);
        let (url, cookies) = (format!("https://{host}{target}"), vec![set, forget]);
        match self.app.settings.answers.cookie.same_site {
            // It would not come with what follows a redirect that another site began, and they would be sent away again.
            SameSite::Strict => Reject::landing(url, cookies),
            SameSite::Lax | SameSite::None => Reject::redirect(303, url, cookies),
        }
    }
}

/// The fields of a query, each once.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(head: &RequestHead) -> Option<Self> {
        let query = head.target.as_str().split_once('?').map_or("", |(_, query)| query);
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if fields.len() >= QUERY_FIELDS_MAX || fields.iter().any(|(known, _)| *known == name) {
                return None;
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Some(Self(fields))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// Whether a person opens a page: browsers say so since 2020; others show what they want to see.
pub(crate) fn is_navigation(head: &RequestHead) -> bool {
    if !matches!(head.method, Method::Get | Method::Head) || head.upgrade {
        return false;
    }
    match head.headers.get(Known::SecFetchMode) {
        Some(mode) => mode == b"navigate",
        None => !is_scripted(head) && head.headers.get_all(Known::Accept).any(|accept| contains(accept, b"text/html")),
    }
}

/// Whether a script of a page asks: browsers say so, and before they did, libraries.
pub(crate) fn is_scripted(head: &RequestHead) -> bool {
    match head.headers.get(Known::SecFetchMode) {
        Some(mode) => mode == b"cors" || mode == b"same-origin",
        None => head.headers.get(Known::XRequestedWith).is_some_and(|by| by.eq_ignore_ascii_case(b"XMLHttpRequest")),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A name of its own for each, so that tabs that are sent away at once do not take each other's.
fn flow_cookie_name(state: &[u8; FLOW_STATE_BYTES]) -> String {
    let [a, b, c, d, ..] = *state;
    format!("{FLOW_COOKIE}{:08x}", u32::from_be_bytes([a, b, c, d]))
}

/// Sent back after another site's pages; where the session's cookie comes in frames of other sites, so does this one.
fn flow_attributes(app: &PlannedApp) -> &'static str {
    match app.settings.answers.cookie.same_site {
        SameSite::Strict | SameSite::Lax => "Path=/; Secure; HttpOnly; SameSite=Lax",
        SameSite::None => "Path=/; Secure; HttpOnly; SameSite=None",
    }
}

fn forget_flow(name: &str, app: &PlannedApp) -> String {
    format!("{name}=; {}; Max-Age=0", flow_attributes(app))
}

/// RFC 7636 §4.1: the verifier as it is sent.
fn verifier_text(verifier: &[u8; FLOW_VERIFIER_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode(verifier)
}

/// Where browsers come back to: the application's own host, of a wildcard the one that was asked for.
fn callback(app: &PlannedApp, asked_host: &str) -> String {
    format!("https://{}{}{CALLBACK_PATH}", app.external.authority(asked_host), app.external.path)
}

fn beginning(app: &PlannedApp) -> String {
    format!("{}/", app.external.path)
}

/// A path on this host, and not `//elsewhere` or `/\elsewhere`.
fn is_local(target: &str) -> bool {
    target.starts_with('/') && !target.starts_with("//") && !target.starts_with("/\\")
}

/// Where people sign in, as it names itself.
pub(crate) fn issuer_of(identity: &PlannedIdentity) -> String {
    identity.app.external.to_string().trim_end_matches('/').to_owned()
}

fn authorize(identity: &PlannedIdentity) -> String {
    format!("{}{AUTHORIZE_PATH}", issuer_of(identity))
}

/// Where the identity's own session ends; without one, nowhere that says so.
fn sign_out_page(plan: &Plan) -> String {
    plan.identity().map_or_else(|| String::from("/"), |identity| format!("{}/sign-out", issuer_of(identity)))
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

const FLOW_COOKIE: &str = "__Host-postern-flow-";
/// Sign-ins that one browser has begun and not finished, at one application: tabs that were opened at once.
const FLOWS_AT_ONCE: usize = 8;
const FLOWS_LOOKED_AT_MAX: usize = 64;
const QUERY_FIELDS_MAX: usize = 16;
const CODE_BYTES_MAX: usize = 256;
