//! The steps of signing in as pages: each asks control what comes next.

use std::collections::BTreeSet;

use hyper::header::{HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{Response, StatusCode};
use postern_model::identity::{
    ACR_MULTI_FACTOR, AccountAction, AccountAnswer, AccountRequest, Begin, Browser, BrowserGrant, DEVICE, FactorAnswer,
    GiveFactor, GivePassword, KeyAssertion, KeyCreated, MISSED_TERMS_MAX, Missed, PROMPT_LOGIN, Refused, SignedIn,
    Step, TERMS, TermsShown, path,
};
use postern_model::secret::SecretText;
use postern_model::terms::AnyTerms;

use crate::control::{Control, Unanswered};
use crate::negotiate::Negotiable;
use crate::request::{Fields, client, is_own_form};
use crate::server::Page;
use crate::{cookies, device, external, pages, saml};

/// `GET /authorize`: a browser comes from a relay.
pub(crate) async fn begin(control: &Control, headers: &HeaderMap, query: &str) -> Response<Page> {
    let asked = Fields::parse(query.as_bytes()).zip(client(headers));
    let Some((mut fields, client)) = asked else { return bad_request() };
    let Ok(app) = fields.get("app").parse() else { return bad_request() };
    if fields.get("code_challenge_method") != "S256" {
        return bad_request();
    }
    let Some(missed) = missed(&fields) else { return bad_request() };
    let begin = Begin {
        app,
        missed,
        redirect_uri: fields.take("redirect_uri"),
        state: fields.take("state"),
        challenge: fields.take("code_challenge"),
        browser: cookies::browser(headers),
        client,
    };
    step(control.ask(path::BEGIN, &begin).await, redirect)
}

/// What the relay says that is missing; nothing else than what relays say.
fn missed(fields: &Fields) -> Option<Missed> {
    let is = |name: &str, only: &str| match fields.get(name) {
        "" => Some(false),
        value => (value == only).then_some(true),
    };
    let terms = fields.get(TERMS).split(' ').filter(|any| !any.is_empty()).map(|any| any.parse().ok());
    let terms = terms.collect::<Option<BTreeSet<AnyTerms>>>()?;
    if terms.iter().flat_map(AnyTerms::names).count() > MISSED_TERMS_MAX {
        return None;
    }
    Some(Missed {
        multi_factor: is("acr_values", ACR_MULTI_FACTOR)?,
        again: is("prompt", PROMPT_LOGIN)?,
        terms,
        device: is(DEVICE, "1")?,
    })
}

/// `POST /sign-in`: login name and password.
pub(crate) async fn password(control: &Control, headers: &HeaderMap, body: &[u8]) -> Response<Page> {
    if !is_own_form(headers) {
        return pages::refused(&foreign_form());
    }
    let asked = Fields::parse(body).zip(client(headers));
    let Some((mut fields, client)) = asked else { return bad_request() };
    let given = GivePassword {
        flow: SecretText::new(fields.take("flow")),
        login: fields.take("login"),
        password: SecretText::new(fields.take("password")),
        keep: fields.get("keep") == "on",
        client,
    };
    step(control.ask(path::PASSWORD, &given).await, |location| Some(pages::goes_on(location)))
}

/// `POST /sign-in/factor`: anything other than a password.
pub(crate) async fn factor(control: &Control, headers: &HeaderMap, body: &[u8]) -> Response<Page> {
    if !is_own_form(headers) {
        return pages::refused(&foreign_form());
    }
    let asked = Fields::parse(body).zip(client(headers));
    let Some((mut fields, client)) = asked else { return bad_request() };
    let flow = SecretText::new(fields.take("flow"));
    let Some(answer) = answer(&mut fields) else { return bad_request() };
    let mut terms = None;
    // Pages of an older control name none.
    if matches!(answer, FactorAnswer::Terms(_)) && names_terms(&fields) {
        let named = fields.get("name").parse().ok().zip(fields.get("version").parse().ok());
        let Some((name, version)) = named else { return bad_request() };
        terms = Some(TermsShown { name, version });
    }
    let next = control.ask(path::FACTOR, &GiveFactor { flow, answer, terms, client }).await;
    step(next, |location| Some(pages::goes_on(location)))
}

fn names_terms(fields: &Fields) -> bool {
    ["name", "version"].iter().any(|field| !fields.get(field).is_empty())
}

fn answer(fields: &mut Fields) -> Option<FactorAnswer> {
    Some(match fields.take("answer").as_str() {
        "code" => FactorAnswer::Code(SecretText::new(fields.take("code"))),
        "enrol-code" => FactorAnswer::EnrolCode(SecretText::new(fields.take("code"))),
        "key" => FactorAnswer::Key(KeyAssertion {
            credential: fields.take("credential"),
            client_data: fields.take("client_data"),
            authenticator_data: fields.take("authenticator_data"),
            signature: fields.take("signature"),
        }),
        "enrol-key" => FactorAnswer::EnrolKey(KeyCreated {
            client_data: fields.take("client_data"),
            attestation: fields.take("attestation"),
            name: fields.take("name"),
        }),
        "seen" => FactorAnswer::Seen,
        "terms-accept" => FactorAnswer::Terms(true),
        "terms-decline" => FactorAnswer::Terms(false),
        _ => return None,
    })
}

/// `GET /account`.
pub(crate) async fn account(control: &Control, headers: &HeaderMap) -> Response<Page> {
    account_page(control, headers, AccountAction::Show).await
}

/// `POST /account`.
pub(crate) async fn change_account(control: &Control, headers: &HeaderMap, body: &[u8]) -> Response<Page> {
    if !is_own_form(headers) {
        return pages::refused(&foreign_form());
    }
    let Some(mut fields) = Fields::parse(body) else { return bad_request() };
    let action = match fields.take("action").as_str() {
        "add" => AccountAction::Add,
        "remove" => AccountAction::Remove(fields.take("factor")),
        "codes" => AccountAction::RenewCodes,
        _ => return bad_request(),
    };
    account_page(control, headers, action).await
}

async fn account_page(control: &Control, headers: &HeaderMap, action: AccountAction) -> Response<Page> {
    let Some(client) = client(headers) else { return bad_request() };
    let Some(browser) = cookies::browser(headers) else { return pages::nobody(None) };
    match control.ask(path::ACCOUNT, &AccountRequest { browser, action, client }).await {
        Ok(AccountAnswer::Nobody) => pages::nobody(None),
        Ok(AccountAnswer::Step(next)) => step(Ok(*next), |location| Some(pages::goes_on(location))),
        Ok(AccountAnswer::Account(account)) => pages::account(&account),
        Err(error) => unanswered(&error),
    }
}

/// `GET /sign-out`: asks once more, for a link from elsewhere must not sign anybody out.
pub(crate) async fn ask_sign_out(control: &Control, headers: &HeaderMap) -> Response<Page> {
    match who(control, headers).await {
        Ok(SignedIn { login: Some(login), .. }) => pages::ask_sign_out(login.as_str()),
        // An application's sign-out leads here, after the session ended.
        Ok(SignedIn { login: None, .. }) => stays_out(pages::signed_out(None, &[])),
        Err(error) => unanswered(&error),
    }
}

/// `POST /sign-out`.
pub(crate) async fn sign_out(control: &Control, headers: &HeaderMap) -> Response<Page> {
    if !is_own_form(headers) {
        return pages::refused(&foreign_form());
    }
    let (mut also, mut apps) = (None, Vec::new());
    if let Some(secret) = cookies::browser(headers) {
        let ended: Result<SignedIn, _> = control.ask(path::SIGN_OUT, &Browser { secret }).await;
        match ended {
            Ok(was) => {
                also = external::sign_out_at(control, &was).await;
                apps = was.apps;
            }
            Err(error) => return unanswered(&error),
        }
    }
    let mut page = pages::signed_out(also.as_ref(), &apps);
    page.headers_mut().append(SET_COOKIE, cookies::forget());
    stays_out(page)
}

/// Nobody who signed out is signed in again without a word, by what their computer knows.
fn stays_out(mut page: Response<Page>) -> Response<Page> {
    page.headers_mut().append(SET_COOKIE, cookies::signed_out());
    page
}

async fn who(control: &Control, headers: &HeaderMap) -> Result<SignedIn, Unanswered> {
    match cookies::browser(headers) {
        Some(secret) => control.ask(path::BROWSER, &Browser { secret }).await,
        None => Ok(SignedIn::default()),
    }
}

/// `go_on`: how the browser comes to its application.
pub(crate) fn step(
    step: Result<Step, Unanswered>,
    go_on: impl FnOnce(&str) -> Option<Response<Page>>,
) -> Response<Page> {
    match step {
        Ok(Step::Ask(ask)) => {
            let is_straight = ask.external.straight_to.is_some();
            let mut page = if is_straight { external::straight(&ask) } else { pages::ask(&ask) };
            if ask.negotiate {
                page.extensions_mut().insert(Negotiable(ask));
            }
            page
        }
        Ok(Step::Refused(refused)) => pages::refused(&refused),
        Ok(Step::Consent(asked)) => with_cookie(pages::consent(&asked), asked.browser.as_ref()),
        Ok(Step::Device(asked)) => device::asked(&asked),
        Ok(Step::Done(done)) => {
            let page = match &done.saml {
                Some(end) => Some(saml::ended(end)),
                None => go_on(&done.location),
            };
            let Some(page) = page else { return bad_request() };
            with_cookie(page, done.browser.as_ref())
        }
        Err(error) => unanswered(&error),
    }
}

fn with_cookie(mut page: Response<Page>, grant: Option<&BrowserGrant>) -> Response<Page> {
    if let Some(cookie) = grant.and_then(cookies::keep) {
        page.headers_mut().append(SET_COOKIE, cookie);
    }
    page
}

pub(crate) fn redirect(location: &str) -> Option<Response<Page>> {
    let mut page = pages::empty(StatusCode::SEE_OTHER);
    page.headers_mut().insert(LOCATION, HeaderValue::from_str(location).ok()?);
    Some(page)
}

pub(crate) fn unanswered(error: &Unanswered) -> Response<Page> {
    tracing::error!(%error, "control is not reached: nobody can sign in");
    let detail = "Nobody can sign in at the moment. Try again in a minute.";
    let refused =
        Refused { code: "sign-in-unavailable".into(), detail: detail.into(), retry_after_s: Some(RETRY_AFTER_S) };
    pages::refused(&refused)
}

pub(crate) fn bad_request() -> Response<Page> {
    let detail = "This is not how an application begins a sign-in. Open the application itself.";
    let refused = Refused { code: "sign-in-request-invalid".into(), detail: detail.into(), retry_after_s: None };
    pages::refused(&refused)
}

pub(crate) fn foreign_form() -> Refused {
    let detail = "This form did not come from this page. Open the application itself.";
    Refused { code: "sign-in-form-foreign".into(), detail: detail.into(), retry_after_s: None }
}

const RETRY_AFTER_S: u64 = 10;
