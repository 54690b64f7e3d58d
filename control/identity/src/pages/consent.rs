//! The page that asks a user whether a client of the OpenID provider may have what it asks for.

use hyper::{Response, StatusCode};
use maud::html;
use postern_model::oauth::Consent;

use super::{Rights, page, page_with};
use crate::server::Page;

/// The question.
pub(crate) fn consent(asked: &Consent) -> Response<Page> {
    let Consent { consent, client, on_a_device, user_code, login, asks_for, browser: _ } = asked;
    let body = html! {
        h1 { "Allow " (client) "?" }
        p { "You are signed in as " strong { (login) } ". " strong { (client) } " asks to:" }
        ul { @for line in asks_for { li { (line) } } }
        @if let Some(code) = user_code {
            p.problem {
                "It is a program on some device, which shows the code " strong { (code) } " now. Allow it only if you have \
                 started it yourself: whoever sent you this code otherwise would be you."
            }
        } @else if *on_a_device {
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

/// Where a user enters the code that a program shows.
pub(crate) fn device(user_code: &str) -> Response<Page> {
    let body = html! {
        h1 { "Sign in for a device" }
        p { "Enter the code that the program shows. If somebody sent you the code, close this page." }
        form method="post" action="/device" {
            label for="user_code" { "Code" }
            input #user_code name="user_code" value=(user_code) required maxlength="20" autocomplete="off"
                autocapitalize="characters" spellcheck="false" autofocus;
            button type="submit" { "Continue" }
        }
    };
    page(StatusCode::OK, "Sign in for a device", &body)
}

/// The program hears of it by itself.
pub(crate) fn device_done() -> Response<Page> {
    let body = html! {
        h1 { "That is all" }
        p { "The program on your device knows your answer in a few seconds. You may close this page." }
    };
    page(StatusCode::OK, "That is all", &body)
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
            user_code: None,
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
        let page = consent(&Consent { user_code: Some("BCDF-GHJK".into()), ..asked });
        let body = page.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("<strong>BCDF-GHJK</strong>"), "{text}");
        let body = device("\"><script>").into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(!text.contains("<script>") && text.contains("&quot;"), "{text}");
    }
}
