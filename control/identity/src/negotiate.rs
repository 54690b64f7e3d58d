//! Signing in without a question (SPNEGO, RFC 4559): a page that asks who somebody is comes with a challenge where control says
//! that it may. Browsers that have a ticket answer the challenge by asking once more, and never see the page; all others show it.
//!
//! ```text
//! GET ──► page with 401 and Negotiate ──► GET with a ticket ──► control decides
//!            (a browser without shows it)     └── with anything else, or a ticket that is not good ──► page, 200
//! ```
//!
//! A request that answers is never challenged again: there is no loop, and no second round (RFC 4178 §3.1 would allow one).

use std::sync::Once;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use postern_model::identity::Ask;
use postern_model::negotiate::{GiveTicket, TICKET_PATH, TicketOutcome};

use crate::control::Control;
use crate::request::client;
use crate::server::Page;
use crate::sign_in::{redirect, step};
use crate::{cookies, external, pages};

/// With a page: what it asks for may be answered with a ticket instead.
#[derive(Clone)]
pub(crate) struct Negotiable(pub(crate) Box<Ask>);

/// Somebody with a good ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// `anna@EXAMPLE.COM`
    pub(crate) principal: String,
    /// What proves to the browser that this is the service; empty when it did not ask.
    pub(crate) answer: Vec<u8>,
}

/// What a request says to a challenge, whether there was one or not.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Nothing,
    /// Not by Kerberos: another scheme, NTLM, or what is no token at all.
    Other,
    Token(Vec<u8>),
}

/// Makes of a page that may be answered with a ticket what the browser gets.
pub(crate) async fn answer(control: &Control, head: &Parts, mut page: Response<Page>) -> Response<Page> {
    let Some(Negotiable(ask)) = page.extensions_mut().remove::<Negotiable>() else { return page };
    if control.acceptor.is_none() {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| tracing::warn!("Kerberos tickets sign users in, but this process has no --keytab"));
        return page;
    }
    // What a browser sends again must be no form.
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return page;
    }
    let said = said(&head.headers);
    // Some programs show a ticket before they are asked for one: whoever signed out is not let in by that either.
    if said != Said::Other && cookies::is_signed_out(&head.headers) && !is_wanted(head) {
        return match wanting(head) {
            // It goes to an external provider by itself: as ever.
            _ if ask.external.straight_to.is_some() => page,
            Some(link) => pages::ask_or_negotiate(&ask, Some(&link)),
            None => page,
        };
    }
    match said {
        Said::Token(token) => taken(control, head, ask, token).await,
        Said::Other => page,
        Said::Nothing => challenged(&ask, page),
    }
}

fn challenged(ask: &Ask, page: Response<Page>) -> Response<Page> {
    let mut page = if ask.external.straight_to.is_some() { pages::go_on(&external::address(ask), ask) } else { page };
    *page.status_mut() = StatusCode::UNAUTHORIZED;
    page.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(SCHEME));
    page
}

/// Verifies a ticket and asks control whose it is.
async fn taken(control: &Control, head: &Parts, ask: Box<Ask>, token: Vec<u8>) -> Response<Page> {
    let Some((acceptor, client)) = control.acceptor.as_ref().zip(client(&head.headers)) else {
        return pages::ask(&ask);
    };
    let accepted = acceptor.accept(token).await;
    let was_accepted = accepted.is_some();
    let (outcome, proof) = match accepted {
        Some(accepted) => (TicketOutcome::Principal(accepted.principal), Some(accepted.answer)),
        None => (TicketOutcome::Refused, None),
    };
    let given = GiveTicket { flow: ask.flow.clone(), outcome, client };
    let mut page = step(control.ask(TICKET_PATH, &given).await, redirect);
    // Control may say once more that a ticket counts; this one does not.
    let is_asked_anew = page.extensions_mut().remove::<Negotiable>().is_some();
    let proof = proof.filter(|proof| !proof.is_empty()).map(|proof| format!("{SCHEME} {}", STANDARD.encode(proof)));
    if let Some(Ok(proof)) = proof.map(HeaderValue::try_from) {
        page.headers_mut().insert(WWW_AUTHENTICATE, proof);
    }
    // A second factor or terms may still be asked for, on pages that know nothing of this.
    let goes_on = page.status().is_success() || page.status() == StatusCode::SEE_OTHER;
    if was_accepted && !is_asked_anew && goes_on && cookies::is_signed_out(&head.headers) {
        page.headers_mut().append(SET_COOKIE, cookies::forget_signed_out());
    }
    page
}

/// The one field that counts; of two, neither does.
fn said(headers: &HeaderMap) -> Said {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = fields.next() else { return Said::Nothing };
    let token = first.to_str().ok().filter(|_| fields.next().is_none()).and_then(|field| {
        let (scheme, token) = field.split_once(' ')?;
        scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim())
    });
    let token = token.filter(|token| token.len() <= TOKEN_CHARS_MAX).and_then(|token| STANDARD.decode(token).ok());
    match token {
        Some(token) if !token.is_empty() && !token.starts_with(NTLM) => Said::Token(token),
        Some(_) | None => Said::Other,
    }
}

/// Somebody who signed out wants in again, and says so.
fn is_wanted(head: &Parts) -> bool {
    let query = head.uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == WANTED && value == "now")
}

/// The same address, wanting.
fn wanting(head: &Parts) -> Option<String> {
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let separator = if query.is_empty() { "" } else { "&" };
    path.starts_with('/').then(|| format!("{path}?{query}{separator}{WANTED}=now"))
}

const SCHEME: &str = "Negotiate";
const WANTED: &str = "negotiate";
/// MS-NLMP §2.2.1: what browsers without a ticket send instead.
const NTLM: &[u8] = b"NTLMSSP\0";
/// 48 KiB in base64; relays take no head that is longer.
const TOKEN_CHARS_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn said_in(fields: &[&str]) -> Said {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, HeaderValue::from_str(field).unwrap());
        }
        said(&headers)
    }

    #[test]
    fn a_token_is_told_from_everything_else() {
        assert_eq!(said_in(&[]), Said::Nothing);
        for field in ["Negotiate YWJj", "negotiate YWJj", "NEGOTIATE  YWJj "] {
            assert_eq!(said_in(&[field]), Said::Token(b"abc".into()), "{field}");
        }
        let ntlm = format!("Negotiate {}", STANDARD.encode(b"NTLMSSP\0\x01\0\0\0"));
        let long = format!("Negotiate {}", "A".repeat(TOKEN_CHARS_MAX + 4));
        for field in
            [&*ntlm, &long, "NTLM TlRMTVNTUAAB", "Basic YTpi", "Negotiate", "Negotiate ", "Negotiate !", "Negotiate a"]
        {
            assert_eq!(said_in(&[field]), Said::Other, "{field}");
        }
        assert_eq!(said_in(&["Negotiate YWJj", "Negotiate YWJj"]), Said::Other, "two");
    }

    #[test]
    fn who_signed_out_comes_back_by_the_same_address() {
        let head = |uri: &str| hyper::Request::builder().uri(uri).body(()).unwrap().into_parts().0;
        let plain = head("/authorize?app=a1-1&state=s");
        assert!(!is_wanted(&plain));
        let link = wanting(&plain).unwrap();
        assert_eq!(link, "/authorize?app=a1-1&state=s&negotiate=now");
        assert!(is_wanted(&head(&link)));
        assert_eq!(wanting(&head("/portal/sign-in")).unwrap(), "/portal/sign-in?negotiate=now");
        assert!(!is_wanted(&head("/authorize?state=negotiate=now")));
    }
}
