//! How a [`Reject`] is written: head and content.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use postern_http::{BodyKind, Brand, Known, Link, Problem, ResponseHead, brand_header, landing};
use postern_io::wall_clock;
use postern_model::codes;
use postern_model::ids::RequestId;
use postern_model::plan::PlannedApp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Reject;
use crate::worker::additions::Additions;

/// What few answers have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Beside {
    /// What the browser is to keep or forget.
    pub(super) cookies: Vec<String>,
    /// Where the user can do something about it: a URL, and what it is for.
    pub(super) link: Option<(String, &'static str)>,
    /// Further fields of the head.
    pub(super) fields: Vec<(Known, String)>,
    /// What every answer for the application says.
    pub(super) additions: Additions,
    /// Whose page it is, where that was said.
    pub(super) branded: Option<Arc<PlannedApp>>,
    /// Where a program sends its user to sign in.
    pub(super) sign_in: Option<String>,
    /// A script asks, whatever it accepts.
    pub(super) for_script: bool,
}

/// What such an answer shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Why.
    Page,
    Json(String),
    Text(Cow<'static, str>),
    /// A page that leads on to this URL.
    Landing(String),
    Nothing,
}

impl Reject {
    /// What few answers have, of this one.
    pub(super) fn beside_mut(&mut self) -> &mut Beside {
        self.beside.get_or_insert_default()
    }

    /// Head and content of the answer.
    pub(crate) fn answer(&self, request: RequestId, accept: Option<&[u8]>) -> (ResponseHead, Bytes) {
        let (mut head, body) = match &self.content {
            Content::Json(document) => fixed("application/json", document),
            Content::Text(text) => fixed("text/plain; charset=utf-8", text),
            Content::Landing(url) => landing(url),
            Content::Page => self.page(request, accept),
            Content::Nothing => nothing(self.status),
        };
        if let Some((name, value)) = &self.field {
            let set = head.headers.set(*name, value.as_bytes());
            assert!(set.is_ok(), "a number, or text of checked parts, is a field value");
        }
        let Some(beside) = &self.beside else { return (head, body) };
        for cookie in &beside.cookies {
            let appended = head.headers.append(Known::SetCookie, cookie);
            assert!(appended.is_ok(), "base64url and fixed attributes are a field value");
        }
        for (name, value) in &beside.fields {
            let appended = head.headers.append(*name, value);
            debug_assert!(appended.is_ok(), "settings, and parts of a field that came, are a field value");
        }
        beside.additions.add(&mut head.headers);
        (head, body)
    }

    fn page(&self, request: RequestId, accept: Option<&[u8]>) -> (ResponseHead, Bytes) {
        let request_id = request.to_string();
        let time = (OffsetDateTime::UNIX_EPOCH + wall_clock()).format(&Rfc3339).unwrap_or_default();
        let title = codes::lookup(self.code).map_or("", |code| code.title);
        let beside = self.beside.as_deref();
        let link = beside.and_then(|beside| beside.link.as_ref());
        let problem = Problem {
            status: self.status,
            code: self.code,
            title,
            detail: &self.detail,
            link: link.map(|(url, text)| Link { url, text }),
            request_id: &request_id,
            time: &time,
            sign_in: beside.and_then(|beside| beside.sign_in.as_deref()),
            brand: beside.and_then(|beside| brand(beside.branded.as_deref()?)),
        };
        problem.answer(accept.filter(|_| !beside.is_some_and(|beside| beside.for_script)))
    }
}

fn brand(app: &PlannedApp) -> Option<Brand<'_>> {
    let brand = app.settings.answers.brand.as_ref()?;
    let support = brand.support.as_ref();
    let header = || brand_header(brand.title.as_ref().map(|title| title.as_str()), brand.logo.as_deref());
    Some(Brand {
        header: brand.header.get(header),
        has_logo: brand.logo.is_some(),
        support: support.map(|support| &*support.text),
        support_url: support.and_then(|support| support.url.as_deref()),
    })
}

fn nothing(status: u16) -> (ResponseHead, Bytes) {
    // RFC 9110 §8.6: it has no length either.
    let body = if status == 204 { BodyKind::None } else { BodyKind::Length(0) };
    let mut head = ResponseHead::new(status, body);
    head.headers.append_static(Known::CacheControl, "no-store");
    (head, Bytes::new())
}

fn fixed(media_type: &'static str, text: &str) -> (ResponseHead, Bytes) {
    let mut head = ResponseHead::new(200, BodyKind::Length(text.len() as u64));
    head.headers.append_static(Known::ContentType, media_type);
    head.headers.append_static(Known::CacheControl, "no-store");
    head.headers.append_static(Known::XContentTypeOptions, "nosniff");
    (head, Bytes::copy_from_slice(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::testing::app;

    #[test]
    fn what_stands_above_a_page_is_made_once_for_a_configuration() {
        let mut app = app("http://10.0.0.1/");
        app.settings.insert("error_title".into(), "Example & Co".into());
        let planned = PlannedApp::parse(&app).unwrap();
        let (first, second) = (brand(&planned).unwrap().header, brand(&planned).unwrap().header);
        assert_eq!(first, "<header><strong>Example &amp; Co</strong></header>\n");
        assert_eq!(first.as_ptr(), second.as_ptr());
    }
}
