//! The application's own sign-in form, filled in with a password of the vault. What the application sets of cookies then stays
//! in the connector.

pub(crate) mod jar;
mod page;

use std::sync::Arc;

use postern_http::{BodyKind, Headers, Known, Method, PathRules, RequestHead, ResponseHead, Target};
use postern_io::now;
use postern_model::sso::{FormSuccess, FormTarget};
use postern_tunnel::ExternalScheme;
use url::Url;

use super::Asking;
use crate::ask::{Answer, ask};
use crate::failure::{Failed, Fault};
use crate::translate::internal_origin;
use crate::vault::gate::Pass;
use crate::vault::sessions::{Entered, SessionOf};
use crate::vault::{Found, Vault};
use jar::Jar;

/// The form of one application.
#[derive(Debug)]
pub(crate) struct Form {
    target: FormTarget,
    /// Where it is sent; the base of what its answers refer to.
    url: Url,
    /// Where whoever is not signed on is sent: the path of the form, and that of its page.
    sign_in_paths: Vec<String>,
}

/// A request that carries the cookies of a user's session.
pub(crate) struct SignedOn {
    vault: Arc<Vault>,
    form: Arc<Form>,
    who: SessionOf,
    number: u64,
    path: String,
    /// What the browser is told to keep for scripts: `NAME=VALUE; Path=…`.
    shown: Vec<String>,
    /// Its user has been signed on anew for it already.
    again: bool,
}

impl Form {
    pub(crate) fn new(target: FormTarget, origin: &str) -> Result<Self, String> {
        let url = format!("{origin}{}", target.url).parse::<Url>().map_err(|error| error.to_string())?;
        let page = target.page.as_deref().and_then(|page| url.join(page).ok());
        let sign_in_paths =
            [Some(&url), page.as_ref()].into_iter().flatten().map(|url| url.path().to_owned()).collect();
        Ok(Self { target, url, sign_in_paths })
    }

    /// Where a redirect leads, if it is one.
    fn redirects_to(&self, status: u16, headers: &Headers) -> Option<Url> {
        let location = headers.get_str(Known::Location).filter(|_| (300..400).contains(&status))?;
        self.url.join(location).ok()
    }

    /// Whether an answer says that nobody is signed on.
    fn is_signed_out(&self, head: &ResponseHead) -> bool {
        let to_sign_in = |url: Url| self.sign_in_paths.iter().any(|path| path == url.path());
        head.status == 401 || self.redirects_to(head.status, &head.headers).is_some_and(to_sign_in)
    }

    fn is_success(&self, answer: &Answer) -> bool {
        match &self.target.success {
            FormSuccess::Status(status) => answer.status == *status,
            FormSuccess::Location(path) => {
                self.redirects_to(answer.status, &answer.headers).is_some_and(|url| leads_to(&url, path))
            }
            FormSuccess::Cookie(name) => {
                answer.status < 400 && answer.headers.get_all(Known::SetCookie).any(|set| jar::sets(set, name))
            }
        }
    }
}

/// To the path or below it; with a query in it, to exactly that. `/` has everything below it, the form too: it is itself only.
fn leads_to(url: &Url, path: &str) -> bool {
    if path.contains('?') {
        return &url[url::Position::BeforePath..url::Position::AfterQuery] == path;
    }
    let rest = url.path().strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || path != "/" && (path.ends_with('/') || rest.starts_with('/')))
}

/// Sees to it that the user is signed on, and gives the request the cookies of that. `again`: the application said that the
/// session ran out.
pub(crate) async fn sign_on(
    asking: &Asking<'_>,
    form: &Arc<Form>,
    head: &mut RequestHead,
    again: bool,
) -> Result<SignedOn, Failed> {
    head.headers.remove(Known::Authorization);
    let (backend, shared) = (&asking.pool.backend, &asking.worker.shared);
    let app = backend.app.id;
    let found = backend.credentials.find(shared.vault.as_deref(), app, asking.meta.sso_login.as_ref())?;
    let unavailable = || Failed::new(Fault::SsoUnavailable, "this connector has no key of the vault").unprocessed();
    let vault = shared.vault.as_ref().ok_or_else(unavailable)?;
    let who = SessionOf { app, user: found.user, session: asking.meta.session };
    let number = match vault.sessions.enter(who, &found, &internal_origin(backend)).await? {
        Entered::In(number) => number,
        Entered::Turn(turn) => {
            let mut pass = vault.gate.enter(app, &found).await?;
            match sign_in(asking, form, &found, head, &mut pass).await {
                Ok(jar) => turn.done(jar),
                Err(failed) => {
                    turn.failed(&failed);
                    return Err(failed);
                }
            }
        }
    };
    let mut shown = vault.sessions.put_cookies((who, number), &form.target.browser_cookies, head)?;
    let published = if backend.external.path.is_empty() { "/" } else { &backend.external.path };
    shown.iter_mut().for_each(|pair| pair.push_str(&format!("; Path={published}; Secure; SameSite=Lax")));
    let path = head.target.as_str().to_owned();
    Ok(SignedOn { vault: Arc::clone(vault), form: Arc::clone(form), who, number, path, shown, again })
}

impl SignedOn {
    pub(crate) fn may_be_stale(&self) -> bool {
        !self.again
    }

    /// Keeps the session's cookies. `may_repeat`: the request could be sent again, after another sign-in.
    pub(crate) fn answered(&self, head: &mut ResponseHead, may_repeat: bool) -> Result<(), Failed> {
        let sessions = &self.vault.sessions;
        let helps = self.form.is_signed_out(head) && sessions.ran_out(self.who, self.number);
        if helps && may_repeat && !self.again {
            return Err(Failed::new(Fault::SsoRejected, "the user's session in the application ran out"));
        }
        sessions.take_cookies(self.who, self.number, &self.path, head);
        self.shown
            .iter()
            .try_for_each(|cookie| head.headers.append(Known::SetCookie, cookie))
            .map_err(|_| Failed::new(Fault::SsoFailed, "a cookie of the application is no field value"))
    }
}

/// Reads the page, sends the form, and judges the answer. `head` is the request that all this is for.
async fn sign_in(
    asking: &Asking<'_>,
    form: &Form,
    found: &Found,
    head: &RequestHead,
    pass: &mut Pass,
) -> Result<Jar, Failed> {
    let mut jar = Jar::default();
    let hidden = match &form.target.page {
        Some(page) => read_page(asking, form, page, head, &mut jar).await?,
        None => page::Hidden::new(),
    };
    let content = page::content(&form.target, &hidden, &found.login);
    let backend = &asking.pool.backend;
    let mut request = request(Method::Post, &form.target.url, head, &jar)?;
    request.body = BodyKind::Length(content.len() as u64);
    // What it takes for its own.
    let origin = match (backend.translation.headers, asking.meta.scheme) {
        (true, ExternalScheme::Http | ExternalScheme::Https) => internal_origin(backend),
        (false, ExternalScheme::Http) => format!("http://{}", head.authority),
        (false, ExternalScheme::Https) => format!("https://{}", head.authority),
    };
    let referer = format!("{origin}{}", form.target.page.as_ref().unwrap_or(&form.target.url));
    set(&mut request.headers, Known::ContentType, "application/x-www-form-urlencoded")?;
    set(&mut request.headers, Known::Origin, &origin)?;
    set(&mut request.headers, Known::Referer, &referer)?;
    let answer = ask(asking.pool, request, content.as_bytes(), false).await?;
    keep(&mut jar, &answer, &form.target.url);
    if form.is_success(&answer) {
        pass.good();
        return Ok(jar);
    }
    let (app, owner, status) = (backend.app.id, found.owner, answer.status);
    if status >= 500 {
        return Err(Failed::new(Fault::SsoFailed, format!("the application answered {status} to a sign-in")));
    }
    let held_s = pass.refused().as_secs();
    tracing::warn!(%app, %owner, status, held_s, "vault: the application refused a credential at its sign-in form");
    let detail = format!("the application answered {status} to the sign-in of {owner}, which is not sso_form_success");
    Err(Failed::new(Fault::SsoCredentialRefused, detail))
}

async fn read_page(
    asking: &Asking<'_>,
    form: &Form,
    page: &str,
    head: &RequestHead,
    jar: &mut Jar,
) -> Result<page::Hidden, Failed> {
    let unfit = |what: &str| Failed::new(Fault::SsoFailed, format!("the sign-in page {page} {what}"));
    let mut request = request(Method::Get, page, head, jar)?;
    set(&mut request.headers, Known::AcceptEncoding, "identity")?;
    let answer = ask(asking.pool, request, b"", true).await?;
    if answer.status != 200 {
        return Err(unfit(&format!("answered {}", answer.status)));
    }
    if answer.headers.contains(Known::ContentEncoding) {
        return Err(unfit("came compressed, which was not asked for"));
    }
    keep(jar, &answer, page);
    let none = || unfit(&format!("has no form with a field {:?}: look at sso_form_page", form.target.password_field));
    page::hidden(&answer.content, &form.target).ok_or_else(none)
}

fn keep(jar: &mut Jar, answer: &Answer, path: &str) {
    answer.headers.get_all(Known::SetCookie).for_each(|set| jar.keep(set, path, now()));
}

/// From whom it is, as the request says for which the sign-in is made: some applications bind a session to that.
fn request(method: Method, path: &str, head: &RequestHead, jar: &Jar) -> Result<RequestHead, Failed> {
    let unfit = |what: &str| Failed::new(Fault::SsoFailed, format!("{path} cannot be requested: {what}"));
    let target = Target::parse(path.as_bytes(), &method, PathRules { allow_encoded_slash: true })
        .map_err(|malformed| unfit(malformed.code()))?;
    let mut request = RequestHead::new(method, head.authority.clone(), target);
    for name in OF_THE_USER {
        if let Some(value) = head.headers.get(name) {
            set(&mut request.headers, name, value)?;
        }
    }
    set(&mut request.headers, Known::Accept, "text/html, */*;q=0.5")?;
    if let Some(cookies) = jar.field(path, now(), std::iter::empty()) {
        set(&mut request.headers, Known::Cookie, cookies.as_slice())?;
    }
    Ok(request)
}

fn set(headers: &mut Headers, name: Known, value: impl AsRef<[u8]>) -> Result<(), Failed> {
    headers.set(name, value).map_err(|_| Failed::new(Fault::SsoFailed, "a cookie of the application is no field value"))
}

const OF_THE_USER: [Known; 7] = [
    Known::UserAgent,
    Known::AcceptLanguage,
    Known::Forwarded,
    Known::XForwardedFor,
    Known::XForwardedHost,
    Known::XForwardedPort,
    Known::XForwardedProto,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_to_what_success_says_or_below() {
        for (location, path, leads) in [
            ("http://app/home", "/home", true),
            ("http://app/home/x?y", "/home", true),
            ("http://app/homeless", "/home", false),
            ("http://app/in/x", "/in/", true),
            ("http://app/", "/", true),
            ("http://app/?welcome", "/", true),
            ("http://app/login?failed", "/", false),
            ("http://app/i.php?r=home", "/i.php?r=home", true),
            ("http://app/i.php?r=login", "/i.php?r=home", false),
        ] {
            assert_eq!(leads_to(&location.parse().unwrap(), path), leads, "{location} {path}");
        }
    }
}
