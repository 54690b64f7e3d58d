//! The page that brings a signed answer to an application: a form that a script of this host sends at once, or a button.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY};
use hyper::{Response, StatusCode};
use maud::html;
use postern_model::saml::SamlPost;
use postern_model::settings::origin;

use super::{not_found, page, style};
use crate::server::Page;

/// The form. It may be sent to that application's origin and to no other.
pub(crate) fn post(to: &SamlPost) -> Response<Page> {
    let SamlPost { action, response, relay_state } = to;
    let Some(origin) = origin(action) else { return not_found() };
    let body = html! {
        h1 { "Going on to the application" }
        p { "If it does not open by itself:" }
        form method="post" action=(action) data-saml {
            input type="hidden" name="SAMLResponse" value=(response);
            @if let Some(state) = relay_state { input type="hidden" name="RelayState" value=(state); }
            button type="submit" { "Go on to the application" }
        }
        script src="/saml.js" {}
    };
    let mut page = page(StatusCode::OK, "Going on", &body);
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action {origin}; frame-ancestors 'none'; base-uri 'none'"
    );
    let headers = page.headers_mut();
    match HeaderValue::from_str(&policy) {
        Ok(policy) => headers.insert(CONTENT_SECURITY_POLICY, policy),
        Err(_) => return not_found(),
    };
    // So that the application is told which site the form is of; the address of this page says what was asked.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    page
}

/// What it runs.
pub(crate) fn saml_script() -> Response<Page> {
    let mut response = style();
    *response.body_mut() = Full::new(Bytes::from_static(SCRIPT.as_bytes()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    response
}

const SCRIPT: &str = include_str!("../saml.js");

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn shown(action: &str, relay_state: &str) -> (StatusCode, String, String) {
        let relay_state = Some(relay_state.to_owned());
        let page = post(&SamlPost { action: action.into(), response: "PGEvPg==".into(), relay_state });
        let (head, body) = page.into_parts();
        let policy = head.headers[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, policy, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_form_goes_to_one_origin_and_works_without_a_script() {
        let (status, policy, html) = shown("https://wiki.example.com:8443/acs?x=1", "back").await;
        assert_eq!(status, StatusCode::OK);
        assert!(policy.contains("; form-action https://wiki.example.com:8443; "), "{policy}");
        assert!(policy.contains("script-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
        assert!(
            html.contains(r#"<form method="post" action="https://wiki.example.com:8443/acs?x=1" data-saml>"#),
            "{html}"
        );
        assert!(html.contains(r#"name="SAMLResponse" value="PGEvPg==""#) && html.contains("<button type=\"submit\">"));
        assert_eq!(html.matches("<script").count(), 1);
    }

    #[tokio::test]
    async fn what_an_application_wants_back_is_a_value_and_nothing_else() {
        let (_, _, html) = shown("https://wiki.example.com/acs", "\"><script>alert(1)</script><input name='").await;
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;"), "{html}");
        let (status, policy, html) = shown("javascript:alert(1)", "").await;
        assert!(status == StatusCode::NOT_FOUND && policy.contains("form-action 'self'") && !html.contains("<form"));
    }
}
