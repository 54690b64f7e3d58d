//! The way in for who has a Kerberos ticket and signed out.

use maud::{Markup, html};

/// `link`: where a ticket is asked for.
pub(super) fn offer(link: Option<&str>) -> Markup {
    html! {
        @if let Some(link) = link {
            ul.providers aria-label="Without a password" {
                li { a.button href=(link) { "Sign in as on this computer" } }
            }
        }
    }
}
