//! Signing in by external providers: sends browsers there, judges what they bring back, and tells control who it is. What has to
//! come back is kept by control, for one browser and once, so that any identity process may be the one that it comes to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{Response, StatusCode};
use postern_model::external::{
    AskProbes, ByIssuer, EndExternal, EndedExternal, ExternalIdentity, ExternalOutcome, ExternalStart, FinishExternal,
    GiveLogin, KeepExternal, Kept, Probed, Probes, ProviderGrant, ProvidersOf, StartExternal, StartedExternal,
    TakeExternal, TakenExternal, path,
};
use postern_model::identity::{Ask, ClientInfo, Refused, SignedIn, Step};
use postern_model::ids::{Name, TenantId};
use postern_model::secret::SecretText;
use postern_oidc::{
    Callback, Cause, ClaimMapping, ExternalUser, Pending, Prompt, Provider, ProviderSettings, SignInFailure, SignInWish,
};

use crate::control::Control;
use crate::request::{Fields, client, is_own_form};
use crate::server::Page;
use crate::sign_in::{bad_request, foreign_form, redirect, step, unanswered};
use crate::{cookies, pages};

/// Providers that were asked already, with what is known of them: descriptions, keys, logout tokens that came.
#[derive(Default)]
pub(crate) struct Providers(RefCell<BTreeMap<(TenantId, Name), Arc<Provider>>>);

impl Providers {
    /// As its settings are now; what was known of it is forgotten when they change.
    fn known(&self, grant: &ProviderGrant) -> Result<Arc<Provider>, SignInFailure> {
        let settings = settings(grant);
        let key = (grant.tenant, grant.name.clone());
        if let Some(known) = self.0.borrow().get(&key).filter(|known| *known.settings() == settings) {
            return Ok(Arc::clone(known));
        }
        let made = Provider::new(settings)
            .map_err(|error| SignInFailure { cause: Cause::ProviderMisconfigured, detail: error.to_string() })?;
        let made = Arc::new(made);
        let mut all = self.0.borrow_mut();
        if all.len() >= PROVIDERS_KNOWN_MAX {
            all.clear();
        }
        all.insert(key, Arc::clone(&made));
        Ok(made)
    }
}

/// `POST /sign-in/name`: a user name, whose domain may lead to a provider.
pub(crate) async fn login(control: &Control, headers: &HeaderMap, body: &[u8]) -> Response<Page> {
    if !is_own_form(headers) {
        return pages::refused(&foreign_form());
    }
    let Some(mut fields) = Fields::parse(body) else { return bad_request() };
    let given = GiveLogin { flow: SecretText::new(fields.take("flow")), login: fields.take("login") };
    match control.ask(path::LOGIN, &given).await {
        // Browsers let a form's answer redirect to no other site: the page goes on by itself.
        Ok(Step::Ask(ask)) if ask.external.straight_to.is_some() => pages::go_on(&address(&ask), &ask),
        other => step(other, |location| Some(pages::goes_on(location))),
    }
}

/// A sign-in whose browser goes straight to a provider.
pub(crate) fn straight(ask: &Ask) -> Response<Page> {
    see_other(&address(ask))
}

/// Where a browser goes on to a provider from here.
pub(crate) fn address(ask: &Ask) -> String {
    match &ask.external.straight_to {
        Some(provider) => address_of(&ask.flow, provider, ask.external.login_hint.as_deref()),
        None => String::from("/"),
    }
}

/// The same for one of several.
pub(crate) fn address_of(flow: &SecretText, provider: &Name, hint: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("flow", flow.expose()).append_pair("provider", provider.as_str());
    if let Some(hint) = hint {
        query.append_pair("hint", hint);
    }
    format!("/external?{}", query.finish())
}

/// `GET /external`: the browser wants to go to a provider.
pub(crate) async fn begin(control: &Control, headers: &HeaderMap, query: &str) -> Response<Page> {
    let asked = Fields::parse(query.as_bytes()).zip(client(headers));
    let Some((mut fields, client)) = asked else { return bad_request() };
    let Ok(provider) = fields.get("provider").parse::<Name>() else { return bad_request() };
    let flow = SecretText::new(fields.take("flow"));
    let hint = Some(fields.take("hint")).filter(|hint| !hint.is_empty() && hint.len() <= HINT_BYTES_MAX);
    let start = StartExternal { flow, provider, browser: cookies::external(headers) };
    let start_at = match control.ask(path::START, &start).await {
        Ok(StartedExternal::Go(start_at)) => *start_at,
        Ok(StartedExternal::Refused(refused)) => return pages::refused(&refused),
        Err(error) => return unanswered(&error),
    };
    let StartExternal { flow, provider, .. } = start;
    match sent(control, &start_at, hint).await {
        Ok((location, pending)) => {
            let keep = KeepExternal {
                flow,
                provider,
                state: SecretText::new(pending.state().to_owned()),
                pending: SecretText::new(serde_json::to_string(&pending).unwrap_or_default()),
                browser: start_at.browser.clone(),
            };
            match control.ask(path::KEEP, &keep).await {
                Ok(Kept { kept: true }) => {
                    let mut page = see_other(&location);
                    page.headers_mut()
                        .extend(cookies::keep_external(&start_at.browser).map(|value| (SET_COOKIE, value)));
                    page
                }
                Ok(Kept { kept: false }) => bad_request(),
                Err(error) => unanswered(&error),
            }
        }
        Err(failure) => finish(control, flow, &start_at.provider, client, Err(failure)).await,
    }
}

/// `GET /external/callback/TENANT/NAME`: the browser came back.
pub(crate) async fn callback(control: &Control, headers: &HeaderMap, place: &str, query: &str) -> Response<Page> {
    let place = place.split_once('/').and_then(|(tenant, name)| Some((tenant.parse().ok()?, name.parse().ok()?)));
    let Some(((tenant, provider), client)) = place.zip(client(headers)) else { return pages::not_found() };
    let callback = match Callback::parse(query) {
        Ok(callback) => callback,
        Err(failure) => return unbound(&failure),
    };
    let unknown = || pages::refused(&no_sign_in());
    let Some((state, browser)) = callback.state().zip(cookies::external(headers)) else { return unknown() };
    let take = TakeExternal { tenant, provider, state: SecretText::new(state.to_owned()), browser };
    let (flow, pending, grant) = match control.ask(path::TAKE, &take).await {
        Ok(TakenExternal::Taken { flow, pending, provider }) => (flow, pending, provider),
        Ok(TakenExternal::Refused(refused)) => return pages::refused(&refused),
        Err(error) => return unanswered(&error),
    };
    let Ok(pending) = serde_json::from_str::<Pending>(pending.expose()) else { return unknown() };
    let outcome = match control.providers.known(&grant) {
        Ok(provider) => provider.finish(pending, &callback, now_unix()).await,
        Err(failure) => Err(failure),
    };
    finish(control, flow, &grant, client, outcome).await
}

/// `POST /external/backchannel-logout`: a provider tells that somebody signed out there (Back-Channel Logout 1.0 §2.5).
pub(crate) async fn backchannel_logout(control: &Control, body: &[u8]) -> Response<Page> {
    let ended = async {
        let mut fields = Fields::parse(body)?;
        let token = SecretText::new(fields.take("logout_token"));
        let issuer = claimed_issuer(token.expose())?;
        let asked: Result<ProvidersOf, _> = control.ask(path::PROVIDERS, &ByIssuer { issuer }).await;
        for grant in asked.ok()?.items {
            let Ok(provider) = control.providers.known(&grant) else { continue };
            match provider.logout_notice(&token, now_unix()).await {
                Ok(notice) => {
                    let end = EndExternal {
                        tenant: grant.tenant,
                        provider: grant.name,
                        issuer: notice.issuer,
                        subject: notice.subject,
                        session: notice.session,
                    };
                    let ended: EndedExternal = control.ask(path::END, &end).await.ok()?;
                    tracing::info!(provider = %end.provider, ended = ended.ended, "an identity provider tells of a logout");
                    return ended.ended;
                }
                Err(refused) => {
                    tracing::warn!(provider = %grant.name, code = refused.code(), "a logout token is refused: {refused}");
                }
            }
        }
        None
    };
    if ended.await.is_some() {
        return pages::empty(StatusCode::OK);
    }
    let mut page = Response::new(Page::from(r#"{"error":"invalid_request"}"#));
    *page.status_mut() = StatusCode::BAD_REQUEST;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    page.headers_mut().insert(hyper::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}

/// Where somebody who signed out here can sign out at their provider, too.
pub(crate) async fn sign_out_at(control: &Control, was: &SignedIn) -> Option<(String, String)> {
    let (grant, back_to) = was.provider.as_ref().zip(was.signed_out_uri.as_ref())?;
    let provider = control.providers.known(grant).ok()?;
    match provider.sign_out(None, back_to).await {
        Ok(found) => found.map(|(url, _)| (provider.settings().label.clone(), url.into())),
        Err(failure) => {
            tracing::warn!(provider = %grant.name, code = failure.code(), detail = failure.detail, "no sign-out at the provider");
            None
        }
    }
}

/// Asks providers that operators want to know about, for as long as the process runs.
pub(crate) async fn probe(control: &Control) {
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        let asked: Result<Probes, _> = control.ask(path::PROBES, &AskProbes {}).await;
        for grant in asked.map(|asked| asked.items).unwrap_or_default() {
            // Anew: what is known of it may be an hour old.
            let failed = match Provider::new(settings(&grant)) {
                Ok(provider) => provider.probe().await.err().map(|failure| (failure.code().to_owned(), failure.detail)),
                Err(error) => Some(("provider-misconfigured".to_owned(), error.to_string())),
            };
            let failed = failed.map(|(code, detail)| Refused { code, detail, retry_after_s: None });
            let probed = Probed { tenant: grant.tenant, provider: grant.name, failed };
            let told: Result<Kept, _> = control.ask(path::PROBED, &probed).await;
            if let Err(error) = told {
                tracing::warn!(%error, "what became of a provider's probe is not told");
            }
        }
    }
}

async fn sent(
    control: &Control,
    start: &ExternalStart,
    hint: Option<String>,
) -> Result<(String, Pending), SignInFailure> {
    let provider = control.providers.known(&start.provider)?;
    let domain = hint.as_deref().and_then(|hint| hint.rsplit_once('@')).map(|(_, domain)| domain.to_owned());
    let wish = SignInWish {
        redirect_uri: start.redirect_uri.clone(),
        domain_hint: domain.filter(|domain| start.provider.settings.domains.contains(domain)),
        login_hint: hint,
        // By the standard the same as the prompt; what came of it can be verified.
        max_age_s: start.again.then_some(0),
        prompt: start.again.then_some(Prompt::Login),
        ..SignInWish::default()
    };
    let (url, pending) = provider.begin(&wish, now_unix()).await?;
    Ok((url.into(), pending))
}

async fn finish(
    control: &Control,
    flow: SecretText,
    grant: &ProviderGrant,
    client: ClientInfo,
    outcome: Result<ExternalUser, SignInFailure>,
) -> Response<Page> {
    let outcome = match outcome {
        Ok(user) => ExternalOutcome::User(Box::new(identity(user))),
        Err(failure) => {
            let code = failure.code();
            tracing::warn!(provider = %grant.name, code, detail = failure.detail, "a sign-in by an identity provider failed");
            let detail = failure.words(&settings(grant).label);
            ExternalOutcome::Failed(Refused { code: code.to_owned(), detail, retry_after_s: None })
        }
    };
    let finish = FinishExternal { flow, provider: grant.name.clone(), client, outcome };
    step(control.ask(path::FINISH, &finish).await, redirect)
}

fn identity(user: ExternalUser) -> ExternalIdentity {
    ExternalIdentity {
        issuer: user.issuer,
        subject: user.subject,
        login: user.login,
        display_name: user.display_name,
        mail: user.mail,
        mail_verified: user.mail_verified,
        groups: user.groups,
        groups_left_out: user.groups_left_out,
        methods: user.methods,
        auth_time_unix: user.auth_time_unix,
        session: user.session,
        device: user.device,
    }
}

fn settings(grant: &ProviderGrant) -> ProviderSettings {
    let from = &grant.settings;
    let mut settings =
        ProviderSettings::new(grant.name.clone(), &from.issuer, &from.client_id, grant.client_secret.clone());
    if !from.label.as_str().is_empty() {
        settings.label = from.label.to_string();
    }
    settings.scopes.clone_from(&from.scopes);
    settings.skew_s = from.skew_s;
    settings.claims = ClaimMapping {
        login: from.login_claims.clone(),
        display_name: from.display_name_claim.clone(),
        mail: from.mail_claim.clone(),
        groups: from.group_claim.clone(),
        acr: from.acr.clone(),
        devices: from.device_claims.clone(),
    };
    settings.domain_hint_parameter.clone_from(&from.domain_hint_parameter);
    settings.ca.clone_from(&from.ca_pem);
    settings.fetch_timeout_ms = from.fetch_timeout_ms;
    settings.insecure_loopback = from.insecure_loopback;
    settings
}

/// Whose a token says it is, to know whom to ask: nothing else of it is believed before its signature is.
fn claimed_issuer(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1).filter(|_| token.len() <= TOKEN_BYTES_MAX)?;
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

fn see_other(location: &str) -> Response<Page> {
    let Ok(location) = HeaderValue::from_str(location) else { return bad_request() };
    let mut page = pages::empty(StatusCode::SEE_OTHER);
    page.headers_mut().insert(LOCATION, location);
    page
}

/// A failure that belongs to no sign-in.
fn unbound(failure: &SignInFailure) -> Response<Page> {
    tracing::warn!(code = failure.code(), detail = failure.detail, "an answer of an identity provider is refused");
    let detail = failure.words("The identity provider");
    let refused = Refused { code: failure.code().to_owned(), detail, retry_after_s: None };
    pages::refused(&refused)
}

fn no_sign_in() -> Refused {
    let detail = "This answer belongs to no sign-in of this browser. Open the application once more.";
    Refused { code: "external-state-unknown".into(), detail: detail.into(), retry_after_s: None }
}

pub(crate) fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const PROBE_EVERY: Duration = Duration::from_secs(2);
/// Sixteen tenants with as many providers as they may have; beyond that they are described anew.
const PROVIDERS_KNOWN_MAX: usize = 256;
const TOKEN_BYTES_MAX: usize = 16 << 10;
const HINT_BYTES_MAX: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logout_token_is_only_asked_whose_it_is() {
        let token = format!("x.{}.y", URL_SAFE_NO_PAD.encode(r#"{"iss":"https://a.example"}"#));
        assert_eq!(claimed_issuer(&token).as_deref(), Some("https://a.example"));
        for none in ["", "a", "a.b", "a.!.c", "a.e30.c", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
            assert_eq!(claimed_issuer(none), None, "{none}");
        }
    }
}
