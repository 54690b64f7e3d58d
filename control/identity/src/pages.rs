//! The pages: plain HTML without scripts, for every browser and screen reader.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use maud::{DOCTYPE, Markup, html};
use postern_model::identity::{Ask, Factor, Refused, SignedIn};

use crate::server::Page;

/// What a sign-in asks for.
pub(crate) fn ask(ask: &Ask) -> Response<Page> {
    let Ask { flow, factor, tenant, app, login, problem } = ask;
    let body = html! {
        @match factor {
            Factor::Password => {
                h1 { "Sign in" }
                p.where { "to go on to " strong { (app) } @if tenant != "default" { " of " (tenant) } }
                @if let Some(problem) = problem {
                    p.problem role="alert" { (problem.detail) }
                }
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
    };
    let status = match problem.as_ref().map(|problem| problem.code.as_str()) {
        None | Some("sign-in-wrong") => StatusCode::OK,
        Some("sign-in-throttled") => StatusCode::TOO_MANY_REQUESTS,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut page = page(status, "Sign in", &body, None);
    retry_after(&mut page, problem.as_ref());
    page
}

/// Goes on to the application. Not by a redirect: browsers hold every redirect that follows a form against the page's
/// `form-action`, also those that the application answers with, and would go no further than to its own site.
pub(crate) fn goes_on(location: &str) -> Response<Page> {
    let body = html! {
        h1 { "You are signed in" }
        p { a href=(location) { "Go on to the application" } " if it does not open by itself." }
    };
    page(StatusCode::OK, "You are signed in", &body, Some(location))
}

/// Why it cannot go on.
pub(crate) fn refused(status: StatusCode, refused: &Refused) -> Response<Page> {
    let body = html! {
        h1 { "That did not work" }
        p role="alert" { (refused.detail) }
        p.code { "Code: " code { (refused.code) } }
    };
    let mut page = page(status, "That did not work", &body, None);
    retry_after(&mut page, Some(refused));
    page
}

/// Who is signed in.
pub(crate) fn home(signed_in: &SignedIn) -> Response<Page> {
    let body = match &signed_in.login {
        Some(login) => html! {
            h1 { "You are signed in" }
            p { "as " strong { (login) } }
            p { a href="/sign-out" { "Sign out" } }
        },
        None => html! {
            h1 { "You are not signed in" }
            p { "Open the application that you want to use: it brings you here when it needs to." }
        },
    };
    page(StatusCode::OK, "Your sign-in", &body, None)
}

/// Whether they mean it.
pub(crate) fn ask_sign_out(login: &str) -> Response<Page> {
    let body = html! {
        h1 { "Sign out?" }
        p { "You are signed in as " strong { (login) } ". Signing out ends your session in every application." }
        form method="post" action="/sign-out" {
            button type="submit" { "Sign out" }
        }
    };
    page(StatusCode::OK, "Sign out", &body, None)
}

/// The end.
pub(crate) fn signed_out() -> Response<Page> {
    let body = html! {
        h1 { "You are signed out" }
        p { "Close the browser if others use this device." }
    };
    page(StatusCode::OK, "Signed out", &body, None)
}

/// There is no such page.
pub(crate) fn not_found() -> Response<Page> {
    let body = html! {
        h1 { "There is nothing here" }
        p { "Open the application that you want to use." }
    };
    page(StatusCode::NOT_FOUND, "Not found", &body, None)
}

/// An answer without a page.
pub(crate) fn empty(status: StatusCode) -> Response<Page> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    secure(&mut response);
    response
}

/// How pages look.
pub(crate) fn style() -> Response<Page> {
    let mut response = Response::new(Full::new(Bytes::from_static(STYLE.as_bytes())));
    secure(&mut response);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// `leads_to`: where it goes on at once.
fn page(status: StatusCode, title: &str, body: &Markup, leads_to: Option<&str>) -> Response<Page> {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                @if let Some(url) = leads_to {
                    meta http-equiv="refresh" content={ "0;url=" (url) };
                }
                title { (title) }
                link rel="stylesheet" href="/style.css";
            }
            body { main { (body) } }
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(document.into_string())));
    *response.status_mut() = status;
    secure(&mut response);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

fn secure(response: &mut Response<Page>) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not no-referrer: browsers would send forms with the origin null then.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
}

fn retry_after(response: &mut Response<Page>, refused: Option<&Refused>) {
    if let Some(seconds) = refused.and_then(|refused| refused.retry_after_s) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use postern_model::secret::SecretText;

    async fn text(response: Response<Page>) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_others_chose_is_escaped() {
        let refused_page = refused(
            StatusCode::BAD_REQUEST,
            &Refused { code: "<x>".into(), detail: "\"><script>".into(), retry_after_s: None },
        );
        let html = text(refused_page).await;
        assert!(!html.contains("<script>") && !html.contains("<x>"), "{html}");
        let ask_page = ask(&Ask {
            flow: SecretText::new("\"><b>".into()),
            factor: Factor::Password,
            tenant: "<i>".into(),
            app: "<u>".into(),
            login: None,
            problem: None,
        });
        let html = text(ask_page).await;
        assert!(!html.contains("<b>") && !html.contains("<i>") && !html.contains("<u>"), "{html}");
    }

    #[tokio::test]
    async fn who_has_signed_in_goes_on_by_a_page_and_not_by_the_forms_redirect() {
        let page = goes_on("https://a.example.com/.postern/callback?code=c&state=\"s");
        assert_eq!((page.status(), page.headers().get(hyper::header::LOCATION)), (StatusCode::OK, None));
        let html = text(page).await;
        let refresh = r#"<meta http-equiv="refresh" content="0;url=https://a.example.com/.postern/callback?code=c&amp;state=&quot;s">"#;
        assert!(html.contains(refresh), "{html}");
    }

    #[test]
    fn nothing_may_frame_or_keep_a_page() {
        for page in [signed_out(), not_found(), empty(StatusCode::SEE_OTHER)] {
            let headers = page.headers();
            assert_eq!(headers[CACHE_CONTROL], "no-store");
            let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self';"), "{policy}");
        }
    }
}
