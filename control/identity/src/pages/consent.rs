//! The page that asks a user whether a client of the OpenID provider may have what it asks for.

use hyper::{Response, StatusCode};
use maud::html;
use postern_model::oauth::Consent;

use super::{Rights, page, page_with};
use crate::server::Page;

/// The question.
pub(crate) fn consent(asked: &Consent) -> Response<Page> {
    let Consent { consent, client, on_a_device, login, asks_for, browser: _ } = asked;
    let body = html! {
        h1 { "Allow " (client) "?" }
        p { "You are signed in as " strong { (login) } ". " strong { (client) } " asks to:" }
        ul { @for line in asks_for { li { (line) } } }
        @if *on_a_device {
            p.problem { "It is a program on your device. Allow it only if you have started it yourself, just now." }
        }
        form method="post" action="/oauth/consent" {
            input type="hidden" name="consent" value=(consent.expose());
            button type="submit" name="answer" value="allow" { "Allow" }
            button type="submit" name="answer" value="refuse" { "Do not allow" }
        }
    };
    page(StatusCode::OK, "Allow access?", &body)
}

/// Goes back to the client, as [`super::goes_on`] does to an application.
pub(crate) fn goes_back(location: &str) -> Response<Page> {
    let body = html! {
        h1 { "That is all" }
        p { a href=(location) { "Go back to the program" } " if it does not open by itself." }
    };
    page_with(StatusCode::OK, "That is all", &body, Rights { leads_to: Some(location), script: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use postern_model::secret::SecretText;

    #[tokio::test]
    async fn the_question_names_client_user_and_scopes_and_escapes_them() {
        let asked = Consent {
            consent: SecretText::new("key".into()),
            client: "<b>app".into(),
            on_a_device: true,
            login: "anna".parse().unwrap(),
            asks_for: vec!["use wiki in your name".into()],
            browser: None,
        };
        let page = consent(&asked);
        assert_eq!(page.headers()["cache-control"], "no-store");
        let body = page.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        for part in ["&lt;b&gt;app", "anna", "use wiki in your name", r#"value="key""#, "on your device"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("<b>app"));
    }
}
