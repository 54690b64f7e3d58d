//! People at the relay: a browser without a session is sent to sign in, one that comes back gets its cookie, and a cookie is
//! looked at with every request. Sealed cookies say which session; what it may is in its record.

use std::cell::RefCell;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_http::{Known, Method, RequestHead, cookie};
use postern_io::{Instant, now, wall_clock};
use postern_model::directory::Assignment;
use postern_model::identity::{AUTHORIZE_PATH, CALLBACK_PATH};
use postern_model::ids::{AppId, SessionId};
use postern_model::link::{Call, Reply};
use postern_model::plan::{Plan, PlannedApp};
use postern_model::policy::Applicable;
use postern_model::secret::SecretText;
use postern_model::session::{
    CookieSealer, FLOW_S_MAX, FLOW_STATE_BYTES, FLOW_TARGET_BYTES_MAX, FLOW_VERIFIER_BYTES, FlowCookie, SessionCookie,
};
use postern_model::settings::Mfa;
use zeroize::Zeroizing;

use super::conditional::{Circumstances, Unmet};
use super::reject::Reject;
use super::session::Session;
use super::told::Told;
use crate::limits::{COOKIE_RENEWED_AFTER_S, EXPIRY_LOOK_INTERVAL, POLICY_LOOK_INTERVAL};
use crate::published::Published;
use crate::sessions::{Found, Held};

/// Someone who has signed in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) held: Arc<Held>,
    /// The policies that are about them here.
    applicable: Arc<Applicable>,
    circumstances: Circumstances,
    /// What their cookie said of its last use.
    seen_unix: u64,
}

/// Why a cookie lets nobody in.
#[derive(Debug)]
pub(crate) enum NoSession {
    /// There is none that counts: whoever it is must sign in.
    None,
    /// It is good, and its record is not here.
    Unknown(SessionId),
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

/// Whoever a request's cookie says, if the session counts and lets them in here.
pub(crate) fn person(
    head: &RequestHead,
    app: &Arc<PlannedApp>,
    published: &Published,
    session: &Session,
) -> Result<LetIn, NoSession> {
    let remembered = &session.remembered_cookie;
    // Programs without a cookie wait for no clock.
    let value = session_cookie(head, app.id).ok_or(NoSession::None)?;
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
    let circumstances = Circumstances::of(head, session.address.ip(), &applicable);
    let person = Person { seen_unix: cookie.seen_unix, held, applicable, circumstances };
    let (assignment, until) = counts(&person, app, &published.plan, now_unix)?;
    let held = &person.held;
    held.seen(now_unix);
    let told = match remembered.told().filter(|told| told.is_of(app, held, assignment, now_unix)) {
        Some(told) => told,
        None => match Told::make(app, held, assignment, &published.plan, now_unix) {
            Ok(told) => remembered.keep_told(told),
            Err(reject) => return Err(NoSession::Untold(person, reject.into())),
        },
    };
    Ok(LetIn { person, until, told })
}

/// What lets a session's user in here and now, and until when that holds.
fn counts<'a>(
    person: &Person,
    app: &PlannedApp,
    plan: &'a Plan,
    now_unix: u64,
) -> Result<(&'a Arc<Assignment>, Option<Instant>), NoSession> {
    let record = &person.held.record;
    if record.expires_unix <= now_unix {
        return Err(NoSession::None);
    }
    // Browsers are sent to prove more: the place to sign in knows what they have, and asks for what is missing.
    if app.settings.mfa == Mfa::Required && !record.is_multi_factor() {
        return Err(NoSession::None);
    }
    let Some(assignment) = plan.assigned(app.id, &record.user, now_unix) else {
        return Err(NoSession::NotAssigned(person.clone()));
    };
    if let Err(unmet) = person.circumstances.decide(&person.applicable, record, person.seen_unix, now_unix) {
        return match unmet {
            // Whoever did nothing for as long as a policy allows begins anew.
            Unmet::Idle => Err(NoSession::None),
            unmet @ (Unmet::Blocked(_) | Unmet::Asked(..)) => Err(NoSession::Policy(person.clone(), Box::new(unmet))),
        };
    }
    let ends = [assignment.expires_unix, record.user.expires_unix].into_iter().flatten();
    let end = ends.fold(record.expires_unix, u64::min);
    let left = std::time::Duration::from_secs(end.saturating_sub(now_unix));
    // The wall clock may be set: it is asked again after a while.
    let again = if person.applicable.is_empty() { EXPIRY_LOOK_INTERVAL } else { POLICY_LOOK_INTERVAL };
    Ok((assignment, Some(now().after(left.min(again)))))
}

impl Person {
    /// Whether a request in progress would still be let in, and until when. It holds on to the record as it is now.
    pub(crate) fn review(&mut self, app: &PlannedApp, published: &Published) -> Result<Option<Instant>, NoSession> {
        let clock = wall_clock();
        match published.sessions.find(self.held.record.id, clock) {
            Found::Held(held) => {
                self.applicable = Arc::new(published.plan.policies().for_subject(&held.record.user, app.id));
                self.held = held;
            }
            Found::Gone => return Err(NoSession::None),
            // Forgotten for want of room. What changes of it is not told any more: it counts for nothing.
            Found::Unknown => return Err(NoSession::None),
        }
        // It is in use, whatever its cookie said when it came.
        self.seen_unix = clock.as_secs();
        counts(self, app, &published.plan, clock.as_secs()).map(|(_, until)| until)
    }

    /// `Set-Cookie` for the answer, when the cookie's last use is so long ago that it is to say a later one.
    pub(crate) fn renewed_cookie(&self, app: AppId, cookies: impl FnOnce() -> Arc<CookieSealer>) -> Option<String> {
        let now_unix = wall_clock().as_secs();
        if now_unix < self.seen_unix.saturating_add(COOKIE_RENEWED_AFTER_S) {
            return None;
        }
        set_session(&self.held, app, &cookies(), now_unix)
    }
}

/// What a browser without a session gets: the way to the place to sign in, and what it comes back with. `None` for requests
/// that no person makes by opening a page, or when nobody can sign in.
pub(crate) fn send_away(head: &RequestHead, app: &PlannedApp, plan: &Plan) -> Option<Reject> {
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
        "{}?app={}&redirect_uri={}&state={}&code_challenge={}&code_challenge_method=S256",
        authorize(identity),
        app.id,
        escaped(&redirect_uri),
        URL_SAFE_NO_PAD.encode(state),
        URL_SAFE_NO_PAD.encode(challenge),
    );
    let name = flow_cookie_name(&state);
    let flow = FlowCookie { state, verifier, started_unix: wall_clock().as_secs(), target };
    let sealed = plan.cookies().seal_flow(&flow, app.id).ok()?;
    let cookie = format!("{name}={sealed}; {FLOW_ATTRIBUTES}; Max-Age={FLOW_S_MAX}");
    Some(Reject::redirect(302, location, vec![cookie]))
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
    let gone = || Reject::redirect(303, sign_out_page(&published.plan), vec![forget_session(app.id)]);
    let is_foreign =
        head.headers.get(Known::SecFetchSite).is_some_and(|site| site != b"same-origin" && site != b"none");
    if is_foreign {
        return Err(Reject::redirect(303, sign_out_page(&published.plan), Vec::new()));
    }
    let value = session_cookie(head, app.id).ok_or_else(gone)?;
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
    pub(crate) fn answered(&self, reply: Option<&Reply>, app: AppId, published: &Published) -> Option<Reject> {
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
        let cookies = published.plan.cookies();
        let Found::Held(held) = published.sessions.find(session, clock) else { return Reject::sign_in_failed() };
        let Some(set) = set_session(&held, self.app.id, cookies, clock.as_secs()) else {
            return Reject::sign_in_unavailable();
        };
        let forget = format!("{}=; {FLOW_ATTRIBUTES}; Max-Age=0", self.cookie_name);
        // What was sealed here was a request's target: it begins with one slash and stays on this host.
        let target = if is_local(&self.flow.target) { self.flow.target.clone() } else { beginning(&self.app) };
        let host = authority(&self.app, &self.host);
        Reject::redirect(303, format!("https://{host}{target}"), vec![set, forget])
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
fn is_navigation(head: &RequestHead) -> bool {
    if !matches!(head.method, Method::Get | Method::Head) || head.upgrade {
        return false;
    }
    match head.headers.get(Known::SecFetchMode) {
        Some(mode) => mode == b"navigate",
        None => head.headers.get_all(Known::Accept).any(|accept| contains(accept, b"text/html")),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn session_cookie(head: &RequestHead, app: AppId) -> Option<&[u8]> {
    // Most requests of programs have none: no name is made for them.
    head.headers.get(Known::Cookie)?;
    cookie(&head.headers, &session_cookie_name(app))
}

fn session_cookie_name(app: AppId) -> String {
    format!("{COOKIE_PREFIX}{app}")
}

/// One of eight: a browser that is sent away from many tabs at once does not collect cookies without end.
fn flow_cookie_name(state: &[u8; FLOW_STATE_BYTES]) -> String {
    format!("{COOKIE_PREFIX}flow-{}", state[0] % FLOWS_AT_ONCE)
}

/// For this host alone, never to scripts; on navigations from other sites, too, for links to applications come from anywhere.
fn set_session(held: &Held, app: AppId, cookies: &CookieSealer, now_unix: u64) -> Option<String> {
    let record = &held.record;
    let persistent = record.persistent;
    let cookie = SessionCookie { session: record.id, issued_unix: now_unix, seen_unix: now_unix, persistent };
    let sealed = cookies.seal_session(&cookie, app).ok()?;
    let age = persistent.then(|| format!("; Max-Age={}", record.expires_unix.saturating_sub(now_unix)));
    Some(format!("{}={sealed}; {SESSION_ATTRIBUTES}{}", session_cookie_name(app), age.unwrap_or_default()))
}

fn forget_session(app: AppId) -> String {
    format!("{}=; {SESSION_ATTRIBUTES}; Max-Age=0", session_cookie_name(app))
}

/// RFC 7636 §4.1: the verifier as it is sent.
fn verifier_text(verifier: &[u8; FLOW_VERIFIER_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode(verifier)
}

/// Where browsers come back to: the application's own host, of a wildcard the one that was asked for.
fn callback(app: &PlannedApp, asked_host: &str) -> String {
    format!("https://{}{}{CALLBACK_PATH}", authority(app, asked_host), app.external.path)
}

fn authority(app: &PlannedApp, asked_host: &str) -> String {
    let host = if app.external.wildcard { asked_host.to_ascii_lowercase() } else { app.external.host.to_string() };
    if app.external.port == 443 { host } else { format!("{host}:{}", app.external.port) }
}

fn beginning(app: &PlannedApp) -> String {
    format!("{}/", app.external.path)
}

/// A path on this host, and not `//elsewhere` or `/\elsewhere`.
fn is_local(target: &str) -> bool {
    target.starts_with('/') && !target.starts_with("//") && !target.starts_with("/\\")
}

/// Where people sign in, as it names itself.
pub(crate) fn issuer_of(identity: &postern_model::plan::PlannedIdentity) -> String {
    identity.app.external.to_string().trim_end_matches('/').to_owned()
}

fn authorize(identity: &postern_model::plan::PlannedIdentity) -> String {
    format!("{}{AUTHORIZE_PATH}", issuer_of(identity))
}

/// Where the identity's own session ends; without one, nowhere that says so.
fn sign_out_page(plan: &Plan) -> String {
    plan.identity().map_or_else(|| String::from("/"), |identity| format!("{}/sign-out", issuer_of(identity)))
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// How every cookie of ours begins: browsers take such a one from a secure page of that very host only, and for all paths.
pub(crate) const COOKIE_PREFIX: &str = "__Host-postern-";
const SESSION_ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";
const FLOW_ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";
const FLOWS_AT_ONCE: u8 = 8;
const QUERY_FIELDS_MAX: usize = 16;
const CODE_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests;
