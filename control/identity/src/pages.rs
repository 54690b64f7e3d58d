//! The pages: plain HTML, for every browser and screen reader. Only keys (WebAuthn) need a script, from this host.

mod consent;
mod factors;
mod negotiate;
pub(crate) mod portal;
mod refused;
mod saml;
mod sign_out;
mod terms;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use maud::{DOCTYPE, Markup, html};
use postern_model::identity::{Account, Ask, Factor, Refused};

use crate::external;
use crate::server::Page;
pub(crate) use refused::refused;
pub(crate) use saml::{post, saml_script};
pub(crate) use sign_out::{ask_sign_out, signed_out};

pub(crate) use consent::{consent, device, device_done, goes_back};

/// What a sign-in asks for.
pub(crate) fn ask(ask: &Ask) -> Response<Page> {
    ask_or_negotiate(ask, None)
}

/// The same; `ticket`: where a Kerberos ticket is asked for instead.
pub(crate) fn ask_or_negotiate(ask: &Ask, ticket: Option<&str>) -> Response<Page> {
    let Ask { flow, factor, tenant, app, login, problem, external: _, negotiate: _ } = ask;
    let problem = problem.as_ref();
    let body = html! {
        @match factor {
            Factor::Second(second) => (factors::second(flow, second, problem)),
            Factor::Enrol(enrolment) => (factors::enrol(flow, enrolment, problem)),
            Factor::Recovery(codes) => (factors::recovery(flow, codes)),
            Factor::Terms(page) => (terms::terms(flow, page, app)),
            Factor::Login => {
                (heading(app, tenant, problem))
                form method="post" action="/sign-in/name" {
                    input type="hidden" name="flow" value=(flow.expose());
                    label for="login" { "User name" }
                    input #login name="login" autocomplete="username" autocapitalize="none" spellcheck="false"
                        required maxlength="254" autofocus;
                    button type="submit" { "Continue" }
                }
            }
            Factor::Password => {
                (heading(app, tenant, problem))
                form method="post" action="/sign-in" {
                    input type="hidden" name="flow" value=(flow.expose());
                    label for="login" { "User name" }
                    input #login name="login" autocomplete="username" autocapitalize="none" spellcheck="false"
                        required maxlength="254" autofocus[login.is_none()]
                        value=(login.as_ref().map_or("", |login| login.as_str()));
                    label for="password" { "Password" }
                    input #password name="password" type="password" autocomplete="current-password" required
                        maxlength="1024" autofocus[login.is_some()];
                    label.choice for="keep" {
                        input #keep name="keep" type="checkbox";
                        span { "Keep me signed in on this device" }
                    }
                    button type="submit" { "Sign in" }
                }
            }
        }
        (negotiate::offer(ticket))
        (providers(ask))
    };
    let status = match problem.map(|problem| problem.code.as_str()) {
        None | Some("sign-in-wrong" | "sign-in-code-wrong" | "sign-in-key-refused") => StatusCode::OK,
        // A 401 would have to ask for a ticket once more.
        Some("kerberos-ticket-refused" | "kerberos-user-refused") => StatusCode::OK,
        Some("sign-in-throttled") => StatusCode::TOO_MANY_REQUESTS,
        Some(code) => refused::status_of(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
    };
    let title = match factor {
        Factor::Login | Factor::Password => "Sign in",
        Factor::Second(_) => "One more step",
        Factor::Enrol(_) => "Set up a second factor",
        Factor::Recovery(_) => "Recovery codes",
        Factor::Terms(_) => "Terms of use",
    };
    let script = match factor {
        Factor::Second(second) => second.key.is_some(),
        Factor::Enrol(_) => true,
        Factor::Login | Factor::Password | Factor::Recovery(_) | Factor::Terms(_) => false,
    };
    let mut page = page_with(status, title, &body, Rights { leads_to: None, script });
    retry_after(&mut page, problem);
    page
}

/// Goes on to the application. Not by a redirect: browsers hold every redirect that follows a form against the page's
/// `form-action`, also those that the application answers with, and would go no further than to its own site.
pub(crate) fn goes_on(location: &str) -> Response<Page> {
    let body = html! {
        h1 { "You are signed in" }
        p { a href=(location) { "Go on to the application" } " if it does not open by itself." }
    };
    page_with(StatusCode::OK, "You are signed in", &body, Rights { leads_to: Some(location), script: false })
}

fn heading(app: &str, tenant: &str, problem: Option<&Refused>) -> Markup {
    html! {
        h1 { "Sign in" }
        p.where { "to go on to " strong { (app) } @if tenant != "default" { " of " (tenant) } }
        @if let Some(problem) = problem {
            p.problem role="alert" { (problem.detail) }
            @if problem.code != "sign-in-wrong" { p.code { "Code: " code { (problem.code) } } }
        }
    }
}

/// Other ways to sign in. Links and not forms: browsers let no form's answer redirect to another site.
fn providers(ask: &Ask) -> Markup {
    html! {
        @if !ask.external.providers.is_empty() {
            ul.providers aria-label="Other ways to sign in" {
                @for offer in &ask.external.providers {
                    li { a.button href=(external::address_of(&ask.flow, &offer.name, None)) { "Sign in with " (offer.label) } }
                }
            }
        }
    }
}

/// Goes on to the device host by itself, where the browser asks its user which certificate it is to show.
pub(crate) fn to_device(location: &str, app: &str) -> Response<Page> {
    let body = html! {
        h1 { "Your device" }
        p.where { "to go on to " strong { (app) } }
        p { "Your browser is to show which device this is. If it asks for a certificate, choose the one of your device." }
        p { a.button href=(location) { "Continue" } }
    };
    page_with(StatusCode::OK, "Your device", &body, Rights { leads_to: Some(location), script: false })
}

/// Goes on to a provider by itself.
pub(crate) fn go_on(address: &str, ask: &Ask) -> Response<Page> {
    let provider = ask.external.providers.iter().find(|offer| Some(&offer.name) == ask.external.straight_to.as_ref());
    let label = provider.map_or("your organisation", |offer| offer.label.as_str());
    let body = html! {
        h1 { "Sign in" }
        p { "You sign in with " strong { (label) } "." }
        p { a.button href=(address) { "Continue" } }
    };
    page_with(StatusCode::OK, "Sign in", &body, Rights { leads_to: Some(address), script: false })
}

/// Nobody is signed in: a way to be. `tenant`: whose users, where a link says so.
pub(crate) fn nobody(tenant: Option<&str>) -> Response<Page> {
    let mut address = String::from("/portal/sign-in");
    if let Some(tenant) = tenant {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("tenant", tenant).finish();
        address = format!("{address}?{query}");
    }
    let body = html! {
        h1 { "You are not signed in" }
        p { "Sign in to see your applications, or open the one that you want to use: it brings you here when it needs to." }
        p { a.button href=(address) { "Sign in" } }
    };
    page(StatusCode::OK, "My Apps", &body)
}

/// A user's own page.
pub(crate) fn account(account: &Account) -> Response<Page> {
    page(StatusCode::OK, "Your second factors", &factors::account(account))
}

/// There is no such page.
pub(crate) fn not_found() -> Response<Page> {
    let body = html! {
        h1 { "There is nothing here" }
        p { "Open the application that you want to use." }
    };
    page(StatusCode::NOT_FOUND, "Not found", &body)
}

/// An answer without a page.
pub(crate) fn empty(status: StatusCode) -> Response<Page> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    secure(&mut response, Rights::default());
    response
}

/// How pages look.
pub(crate) fn style() -> Response<Page> {
    let mut response = Response::new(Full::new(Bytes::from_static(STYLE.as_bytes())));
    secure(&mut response, Rights::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// What pages with keys run.
pub(crate) fn script() -> Response<Page> {
    let mut response = style();
    *response.body_mut() = Full::new(Bytes::from_static(SCRIPT.as_bytes()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    response
}

/// What a page may do besides being seen.
#[derive(Clone, Copy, Default)]
struct Rights<'a> {
    /// Where it goes on at once.
    leads_to: Option<&'a str>,
    /// Whether it asks for a key.
    script: bool,
}

fn page(status: StatusCode, title: &str, body: &Markup) -> Response<Page> {
    page_with(status, title, body, Rights::default())
}

fn page_with(status: StatusCode, title: &str, body: &Markup, rights: Rights<'_>) -> Response<Page> {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                @if let Some(url) = rights.leads_to {
                    meta http-equiv="refresh" content={ "0;url=" (url) };
                }
                title { (title) }
                link rel="stylesheet" href="/style.css";
                @if rights.script { script src="/webauthn.js" defer {} }
            }
            body { main { (body) } }
        }
    };
    of_document(status, document, rights)
}

fn of_document(status: StatusCode, document: Markup, rights: Rights<'_>) -> Response<Page> {
    let mut response = Response::new(Full::new(Bytes::from(document.into_string())));
    *response.status_mut() = status;
    secure(&mut response, rights);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

fn secure(response: &mut Response<Page>, rights: Rights<'_>) {
    let policy = if rights.script { POLICY_WITH_SCRIPT } else { POLICY };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not no-referrer: browsers would send forms with the origin null then.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
}

fn retry_after(response: &mut Response<Page>, refused: Option<&Refused>) {
    if let Some(seconds) = refused.and_then(|refused| refused.retry_after_s) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// RFC 6797: a year of this host.
const HSTS: &str = "max-age=31536000";
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const POLICY_WITH_SCRIPT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("webauthn.js");

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use postern_model::external::{Offer, Offers};
    use postern_model::identity::{Enrolment, KeyOffer, SecondFactor, TotpOffer};
    use postern_model::secret::SecretText;

    async fn text(response: Response<Page>) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_others_chose_is_escaped() {
        let refused_page = refused(&Refused { code: "<x>".into(), detail: "\"><script>".into(), retry_after_s: None });
        let html = text(refused_page).await;
        assert!(!html.contains("<script>") && !html.contains("<x>"), "{html}");
        let ask_page = ask(&Ask {
            flow: SecretText::new("\"><b>".into()),
            factor: Factor::Password,
            tenant: "<i>".into(),
            app: "<u>".into(),
            login: None,
            problem: None,
            external: Offers {
                providers: vec![Offer { name: "a".parse().unwrap(), label: "<s>".into() }],
                ..Offers::default()
            },
            negotiate: false,
        });
        let html = text(ask_page).await;
        assert!(
            !html.contains("<b>") && !html.contains("<i>") && !html.contains("<u>") && !html.contains("<s>"),
            "{html}"
        );
    }

    #[tokio::test]
    async fn who_has_signed_in_goes_on_by_a_page_and_not_by_the_forms_redirect() {
        let page = goes_on("https://a.example.com/.postern/callback?code=c&state=\"s");
        assert_eq!((page.status(), page.headers().get(hyper::header::LOCATION)), (StatusCode::OK, None));
        let html = text(page).await;
        let refresh = r#"<meta http-equiv="refresh" content="0;url=https://a.example.com/.postern/callback?code=c&amp;state=&quot;s">"#;
        assert!(html.contains(refresh), "{html}");
    }

    fn asked(factor: Factor) -> Response<Page> {
        ask(&Ask {
            flow: SecretText::new("flow".into()),
            factor,
            tenant: "default".into(),
            app: "wiki".into(),
            login: Some("anna".parse().unwrap()),
            problem: Some(Refused { code: "sign-in-code-wrong".into(), detail: "wrong".into(), retry_after_s: None }),
            external: Offers::default(),
            negotiate: false,
        })
    }

    #[tokio::test]
    async fn codes_are_asked_for_so_that_everybody_can_give_them() {
        let page = asked(Factor::Second(SecondFactor { totp: true, recovery: false, key: None }));
        assert!(!page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("script"));
        let html = text(page).await;
        for part in
            ["role=\"alert\"", "for=\"code\"", "autocomplete=\"one-time-code\"", "inputmode=\"numeric\"", "code-hint"]
        {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("<script"));
    }

    #[tokio::test]
    async fn a_page_for_keys_runs_our_script_and_no_other() {
        let key = KeyOffer {
            challenge: "c".into(),
            rp_id: "login.example.com".into(),
            user: "u".into(),
            login: "\"><script>".into(),
            display_name: "'<b>".into(),
            exclude: Vec::new(),
        };
        let totp = TotpOffer { secret: SecretText::new("GEZDGNBV".into()), uri: SecretText::new("otpauth://x".into()) };
        let page = asked(Factor::Enrol(Enrolment { totp: Some(totp), key }));
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        let html = text(page).await;
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert!(html.contains("<script src=\"/webauthn.js\" defer>") && html.contains("<svg") && !html.contains("<b>"));
        assert!(html.contains("GEZDGNBV") && html.contains("otpauth://x"));
    }

    #[test]
    fn nothing_may_frame_or_keep_a_page() {
        for page in [signed_out(None, &[]), not_found(), empty(StatusCode::SEE_OTHER)] {
            let headers = page.headers();
            assert_eq!(headers[CACHE_CONTROL], "no-store");
            let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self';"), "{policy}");
        }
    }
}
