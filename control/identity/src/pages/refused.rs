//! Why it cannot go on. Which status that is the catalogue of codes says, and nothing else.

use hyper::{Response, StatusCode};
use maud::html;
use postern_model::codes;
use postern_model::identity::Refused;

use super::{page, retry_after};
use crate::server::Page;

/// A page that leads nowhere. A code that is not in the catalogue, or comes with no answer there, is the request's fault.
pub(crate) fn refused(refused: &Refused) -> Response<Page> {
    let body = html! {
        h1 { "That did not work" }
        p role="alert" { (refused.detail) }
        p.code { "Code: " code { (refused.code) } }
    };
    let mut page = page(status_of(&refused.code).unwrap_or(StatusCode::BAD_REQUEST), "That did not work", &body);
    retry_after(&mut page, Some(refused));
    page
}

/// What the catalogue says.
pub(super) fn status_of(code: &str) -> Option<StatusCode> {
    codes::lookup(code).and_then(|entry| StatusCode::from_u16(entry.status?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::RETRY_AFTER;

    #[test]
    fn a_refusal_has_the_status_of_its_code() {
        for (code, status) in [
            ("device-required", 403),
            ("device-return-unknown", 403),
            ("policy-step-up", 403),
            ("terms-declined", 403),
            ("sign-in-form-foreign", 403),
            ("sign-in-over", 400),
            ("sign-in-request-invalid", 400),
            ("sign-in-unavailable", 503),
            ("internal", 500),
            ("of-a-newer-control", 400),
        ] {
            let page = refused(&Refused { code: code.into(), detail: "why".into(), retry_after_s: None });
            assert_eq!(page.status().as_u16(), status, "{code}");
        }
        let wait = Refused { code: "sign-in-throttled".into(), detail: "wait".into(), retry_after_s: Some(7) };
        let page = refused(&wait);
        assert_eq!((page.status().as_u16(), page.headers()[RETRY_AFTER].to_str().unwrap()), (429, "7"));
    }
}
