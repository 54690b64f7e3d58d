//! Signing out.

use hyper::{Response, StatusCode};
use maud::html;
use postern_model::saml::AppLogout;

use super::page;
use crate::server::Page;

/// Whether they mean it.
pub(crate) fn ask_sign_out(login: &str) -> Response<Page> {
    let body = html! {
        h1 { "Sign out?" }
        p { "You are signed in as " strong { (login) } ". Signing out ends your session in every application." }
        form method="post" action="/sign-out" {
            button type="submit" { "Sign out" }
        }
    };
    page(StatusCode::OK, "Sign out", &body)
}

/// The end; `also_at`: a provider, and where to sign out there; `apps`: those that keep users signed in by themselves.
pub(crate) fn signed_out(also_at: Option<&(String, String)>, apps: &[AppLogout]) -> Response<Page> {
    let body = html! {
        h1 { "You are signed out" }
        @if let Some((provider, address)) = also_at {
            p { "You are still signed in at " (provider) "." }
            p { a.button href=(address) { "Sign out at " (provider) ", too" } }
        }
        @for AppLogout { app, url } in apps {
            p { a.button href=(url) { "Sign out of " (app) ", too" } }
        }
        p { "Close the browser if others use this device." }
    };
    page(StatusCode::OK, "Signed out", &body)
}
