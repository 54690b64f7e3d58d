//! A user's password in an application.

use hyper::Response;
use maud::{Markup, html};
use postern_model::portal::{PASSWORDS_PATH, PasswordPage, PasswordState};
use postern_model::vault::{PASSWORD_BYTES_MAX, USER_BYTES_MAX};

use super::{ago, page};
use crate::server::Page;

/// What is stored, and the form that stores another one.
pub(crate) fn password(shown: &PasswordPage) -> Response<Page> {
    let PasswordPage { visitor, app, label, url, state, .. } = shown;
    let address = format!("{PASSWORDS_PATH}{app}");
    let title = format!("Your password for {label}");
    let has_own = matches!(state, PasswordState::Own | PasswordState::Stale);
    // Only a guess: what is stored nobody knows here, and must not be replaced by one that was overlooked.
    let name = if has_own { "" } else { visitor.login.as_str() };
    let body = html! {
        p { a href="/" { "My Apps" } }
        h1 { (title) }
        p { (said(shown)) }
        @if let Some(url) = url.as_ref().filter(|_| *state == PasswordState::Own) {
            p { a href=(url) { "Open " (label) } }
        }
        form.enter method="post" action=(address) {
            input type="hidden" name="action" value="save";
            label for="name" { "User name in " (label) }
            // Nothing that the browser keeps for this host: what it keeps here is what people sign in with.
            input #name name="name" required maxlength=(USER_BYTES_MAX) value=(name) autocomplete="off"
                autocapitalize="none" spellcheck="false";
            label for="password" { "Password in " (label) }
            input #password name="password" type="password" required maxlength=(PASSWORD_BYTES_MAX)
                autocomplete="new-password" aria-describedby="which";
            p #which .where { "The one that you have in " (label) ", not the one that you sign in with here. It is sealed at once: only what connects to the application can read it." }
            button type="submit" { @if has_own { "Replace" } @else { "Save" } }
        }
        @if has_own {
            form method="post" action=(address) {
                input type="hidden" name="action" value="remove";
                button.quiet type="submit" { "Remove the password" }
            }
        }
    };
    page(visitor, PASSWORDS_PATH, &title, &body)
}

fn said(shown: &PasswordPage) -> Markup {
    let when = shown.set_unix.map_or_else(|| "before".to_owned(), |set| ago(set, shown.now_unix));
    html! {
        @match shown.state {
            PasswordState::Missing => { "None is stored. You are signed on to the application with the one that you enter here." },
            PasswordState::Own => { strong { "A password is stored." } " It was entered " (when) ". Nobody can see it here; enter another one when it has changed in the application." },
            PasswordState::Stale => { strong { "The password has to be entered anew." } " One was entered " (when) ", and the application has moved since, or has another key." },
            PasswordState::Shared => { "You are signed on with a password that all share. One that you enter here is used instead of it." },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use postern_model::portal::Visitor;

    async fn html_of(state: PasswordState) -> String {
        let page = PasswordPage {
            visitor: Visitor {
                login: "anna@example.com".parse().unwrap(),
                display_name: String::new(),
                tenant: "default".parse().unwrap(),
                owns_groups: false,
            },
            app: "a1-7".parse().unwrap(),
            label: "<script>\"&".into(),
            url: Some("https://crm.example.com/?a=\"".into()),
            state,
            set_unix: Some(100),
            now_unix: 7_400,
        };
        let body = password(&page).into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_entered_and_what_others_chose_is_escaped() {
        for state in [PasswordState::Missing, PasswordState::Own, PasswordState::Stale, PasswordState::Shared] {
            let html = html_of(state).await;
            assert!(!html.contains("<script") && !html.contains("a=\"\""), "{html}");
            for part in [
                "<form class=\"enter\" method=\"post\" action=\"/passwords/a1-7\">",
                "type=\"password\"",
                "autocomplete=\"new-password\"",
                "for=\"name\"",
                "for=\"password\"",
            ] {
                assert!(html.contains(part), "{part} in {html}");
            }
        }
    }

    #[tokio::test]
    async fn only_ones_own_can_be_removed() {
        for (state, words, has_own) in [
            (PasswordState::Missing, "None is stored", false),
            (PasswordState::Own, "It was entered 2 hours ago", true),
            (PasswordState::Stale, "entered anew", true),
            (PasswordState::Shared, "that all share", false),
        ] {
            let html = html_of(state).await;
            assert!(html.contains(words), "{words} in {html}");
            assert_eq!(html.contains("value=\"remove\""), has_own, "{html}");
            assert_eq!(html.contains("value=\"anna@example.com\""), !has_own, "{html}");
            assert_eq!(html.contains(">Open "), state == PasswordState::Own, "{html}");
        }
    }
}
