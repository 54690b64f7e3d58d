//! Error answers: an RFC 9457 problem for programs, a plain page for people.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::head::{BodyKind, ResponseHead};
use crate::known::Known;
use crate::status;

/// What went wrong, as told to the client. Nothing in it may name an internal host.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// Status of the answer.
    pub status: u16,
    /// Stable code, as in `docs/errors.md`.
    pub code: &'a str,
    /// Short and the same for every occurrence; the status's phrase when empty.
    pub title: &'a str,
    /// What happened this time and what to do.
    pub detail: &'a str,
    /// Where that can be done.
    pub link: Option<Link<'a>>,
    /// Under which the operator finds it.
    pub request_id: &'a str,
    /// RFC 3339, UTC.
    pub time: &'a str,
    /// Where a program sends its user to sign in: an absolute URL.
    pub sign_in: Option<&'a str>,
    /// Whose page it is, where that was said.
    pub brand: Option<Brand<'a>>,
}

/// Whose page it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Brand<'a> {
    /// What stands above everything else, from [`brand_header`]: it is made once, for pages are many and logos large.
    pub header: &'a str,
    /// There is an image in it.
    pub has_logo: bool,
    /// Who helps, as people read it.
    pub support: Option<&'a str>,
    /// Where that leads: `https:` or `mailto:`.
    pub support_url: Option<&'a str>,
}

/// Where a person goes on from an error.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// An absolute URL.
    pub url: &'a str,
    /// What people read.
    pub text: &'a str,
}

/// A rendered answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Media type.
    pub content_type: &'static str,
    /// Content.
    pub body: Bytes,
}

impl Problem<'_> {
    /// As HTML if `accept` prefers it (browsers name `text/html`), else as JSON.
    pub fn render(&self, accept: Option<&[u8]>) -> Page {
        if accept.is_some_and(prefers_html) {
            return Page { content_type: HTML, body: self.html().into() };
        }
        Page { content_type: "application/problem+json", body: self.json().into() }
    }

    /// Head and content of the whole answer. Add what belongs to the case (`Retry-After`) and send the head by
    /// [`crate::h1::encode_response`], the content only if its encoder takes any.
    pub fn answer(&self, accept: Option<&[u8]>) -> (ResponseHead, Bytes) {
        let page = self.render(accept);
        let mut head = ResponseHead::new(self.status, BodyKind::Length(page.body.len() as u64));
        head.headers.append_static(Known::ContentType, page.content_type);
        head.headers.append_static(Known::CacheControl, "no-store");
        head.headers.append_static(Known::Vary, "Accept");
        head.headers.append_static(Known::XContentTypeOptions, "nosniff");
        let has_logo = self.brand.is_some_and(|brand| brand.has_logo);
        let policy = if has_logo { PAGE_POLICY_WITH_LOGO } else { PAGE_POLICY };
        head.headers.append_static(Known::ContentSecurityPolicy, policy);
        (head, page.body)
    }

    fn title(&self) -> &str {
        if self.title.is_empty() { status::reason(self.status) } else { self.title }
    }

    fn json(&self) -> String {
        let mut out = String::with_capacity(256);
        // Writing to a String cannot fail.
        let _ = write!(out, "{{\"type\":\"about:blank\",\"status\":{}", self.status);
        let members = [
            ("title", self.title()),
            ("detail", self.detail),
            ("code", self.code),
            ("request_id", self.request_id),
            ("time", self.time),
        ];
        for (name, value) in members {
            let _ = write!(out, ",\"{name}\":\"");
            json_text(value, &mut out);
            out.push('"');
        }
        let support = self.brand.and_then(|brand| brand.support);
        let more = [("link", self.link.map(|link| link.url)), ("sign_in", self.sign_in), ("support", support)];
        for (name, value) in more {
            let Some(value) = value else { continue };
            let _ = write!(out, ",\"{name}\":\"");
            json_text(value, &mut out);
            out.push('"');
        }
        out.push_str("}\n");
        out
    }

    fn html(&self) -> String {
        let brand = self.brand.unwrap_or_default();
        let mut out = String::with_capacity(PAGE_BYTES + brand.header.len());
        let _ = write!(out, "{PAGE_START}<title>{} ", self.status);
        html_text(self.title(), &mut out);
        out.push_str("</title>\n</head>\n<body>\n<main>\n");
        out.push_str(brand.header);
        out.push_str("<h1>");
        html_text(self.title(), &mut out);
        out.push_str("</h1>\n<p>");
        html_text(self.detail, &mut out);
        out.push_str("</p>\n");
        if let Some(link) = &self.link {
            out.push_str("<p>");
            anchor(link.url, link.text, &mut out);
            out.push_str("</p>\n");
        }
        brand.support(&mut out);
        let _ = write!(out, "<dl>\n<dt>Status</dt><dd>{}</dd>\n", self.status);
        for (name, value) in [("Code", self.code), ("Request id", self.request_id), ("Time (UTC)", self.time)] {
            let _ = write!(out, "<dt>{name}</dt><dd>");
            html_text(value, &mut out);
            out.push_str("</dd>\n");
        }
        out.push_str("</dl>\n</main>\n</body>\n</html>\n");
        out
    }
}

impl Brand<'_> {
    fn support(&self, out: &mut String) {
        let Some(support) = self.support else { return };
        out.push_str("<p>If you need help: ");
        match self.support_url {
            Some(url) => anchor(url, support, out),
            None => html_text(support, out),
        }
        out.push_str("<br>Have what stands below at hand.</p>\n");
    }
}

/// What stands above everything else on an organisation's page, as HTML: who speaks, and a `data:` URI of an image.
#[must_use]
pub fn brand_header(title: Option<&str>, logo: Option<&str>) -> String {
    let mut out = String::new();
    if title.is_none() && logo.is_none() {
        return out;
    }
    out.push_str("<header>");
    if let Some(logo) = logo {
        // Beside a name it says nothing more.
        let _ = write!(out, "<img alt=\"{}\" src=\"", if title.is_some() { "" } else { "Logo" });
        html_text(logo, &mut out);
        out.push_str("\">");
    }
    if let Some(title) = title {
        out.push_str("<strong>");
        html_text(title, &mut out);
        out.push_str("</strong>");
    }
    out.push_str("</header>\n");
    out
}

/// A page of this very site that leads on to `url`. What its cookies forbid other sites to cause is allowed then, which it is not
/// for a redirect that another site began.
pub fn landing(url: &str) -> (ResponseHead, Bytes) {
    let mut out = String::with_capacity(1024);
    let _ = write!(out, "{PAGE_START}<meta http-equiv=\"refresh\" content=\"0;url=");
    html_text(url, &mut out);
    out.push_str("\">\n<title>Signed in</title>\n</head>\n<body>\n<main>\n<p>You are signed in. ");
    anchor(url, "Go on", &mut out);
    out.push_str("</p>\n</main>\n</body>\n</html>\n");
    let mut head = ResponseHead::new(200, BodyKind::Length(out.len() as u64));
    head.headers.append_static(Known::ContentType, HTML);
    head.headers.append_static(Known::CacheControl, "no-store");
    head.headers.append_static(Known::XContentTypeOptions, "nosniff");
    head.headers.append_static(Known::ReferrerPolicy, "no-referrer");
    head.headers.append_static(Known::ContentSecurityPolicy, PAGE_POLICY);
    (head, out.into())
}

fn anchor(url: &str, text: &str, out: &mut String) {
    out.push_str("<a href=\"");
    html_text(url, out);
    out.push_str("\">");
    html_text(text, out);
    out.push_str("</a>");
}

/// Whether `text/html` is accepted at least as much as the JSON types that are named.
fn prefers_html(accept: &[u8]) -> bool {
    let mut html = 0;
    let mut json = 0;
    for range in accept.split(|&byte| byte == b',') {
        let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let media = parts.next().unwrap_or_default();
        let weight = parts.find_map(weight).unwrap_or(1000);
        if [&b"text/html"[..], b"application/xhtml+xml"].iter().any(|name| media.eq_ignore_ascii_case(name)) {
            html = html.max(weight);
        } else if [&b"application/json"[..], b"application/problem+json"]
            .iter()
            .any(|name| media.eq_ignore_ascii_case(name))
        {
            json = json.max(weight);
        }
    }
    html > 0 && html >= json
}

/// `q=0.5` in thousandths.
fn weight(parameter: &[u8]) -> Option<u32> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let value: f32 = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some((value.clamp(0.0, 1.0) * 1000.0) as u32)
}

fn json_text(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

fn html_text(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

/// What a page without a header takes, or somewhat more.
const PAGE_BYTES: usize = 2 << 10;

/// The page loads nothing and runs nothing.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// But for the image that stands in it.
const PAGE_POLICY_WITH_LOGO: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";

const PAGE_START: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"robots\" content=\"noindex\">
<style>
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 }
main { max-width: 40rem; margin: 12vh auto 0; padding: 0 1.5rem }
header { display: flex; align-items: center; gap: .75rem; margin-bottom: 2rem }
header img { max-height: 3rem; max-width: 12rem }
h1 { font-size: 1.75rem; line-height: 1.2 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin-top: 2rem; font-size: .875rem }
dd { margin: 0; font-family: ui-monospace, monospace; overflow-wrap: anywhere }
</style>
";

#[cfg(test)]
mod tests {
    use super::*;

    const PROBLEM: Problem<'static> = Problem {
        status: 503,
        code: "connector-none",
        title: "",
        detail: "No <connector> of \"wiki\" & co is online.",
        link: None,
        request_id: "0123456789abcdef0123456789abcdef",
        time: "2026-01-02T03:04:05Z",
        sign_in: None,
        brand: None,
    };

    #[test]
    fn programs_get_a_problem() {
        for accept in [
            None,
            Some("*/*"),
            Some("application/json"),
            Some("application/json, text/html;q=0.9"),
            Some("text/html;q=0"),
        ] {
            let page = PROBLEM.render(accept.map(str::as_bytes));
            assert_eq!(page.content_type, "application/problem+json", "{accept:?}");
            assert_eq!(
                page.body,
                "{\"type\":\"about:blank\",\"status\":503,\"title\":\"Service Unavailable\",\
                 \"detail\":\"No <connector> of \\\"wiki\\\" & co is online.\",\"code\":\"connector-none\",\
                 \"request_id\":\"0123456789abcdef0123456789abcdef\",\"time\":\"2026-01-02T03:04:05Z\"}\n"
            );
        }
    }

    #[test]
    fn browsers_get_an_escaped_page() {
        let accept = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let (head, body) = PROBLEM.answer(Some(accept));
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains("No &lt;connector&gt; of &quot;wiki&quot; &amp; co is online."), "{text}");
        assert!(text.contains("<html lang=\"en\">") && text.contains("<h1>Service Unavailable</h1>"));
        assert!(text.contains("connector-none") && text.contains("0123456789abcdef0123456789abcdef"));
        assert_eq!(head.body, BodyKind::Length(body.len() as u64));
        assert_eq!(head.headers.get_str("content-type"), Some("text/html; charset=utf-8"));
    }

    #[test]
    fn where_to_go_on_is_said_to_both_and_escaped() {
        let link = Some(Link { url: "https://login.example.com/passwords/a1-7?a=\"&", text: "Enter <it>" });
        let problem = Problem { link, ..PROBLEM };
        let html = String::from_utf8(problem.render(Some(b"text/html")).body.to_vec()).unwrap();
        let shown = "<p><a href=\"https://login.example.com/passwords/a1-7?a=&quot;&amp;\">Enter &lt;it&gt;</a></p>";
        assert!(html.contains(shown), "{html}");
        let json = String::from_utf8(problem.render(None).body.to_vec()).unwrap();
        assert!(json.ends_with(",\"link\":\"https://login.example.com/passwords/a1-7?a=\\\"&\"}\n"), "{json}");
    }

    #[test]
    fn whose_page_it_is_is_shown_and_escaped() {
        let header = brand_header(Some("Example & Co"), Some("data:image/png;base64,AAAA"));
        let brand = Brand {
            header: &header,
            has_logo: true,
            support: Some("help@example.com"),
            support_url: Some("mailto:help@example.com"),
        };
        let (head, body) = Problem { brand: Some(brand), ..PROBLEM }.answer(Some(b"text/html"));
        let text = std::str::from_utf8(&body).unwrap();
        let shown =
            "<header><img alt=\"\" src=\"data:image/png;base64,AAAA\"><strong>Example &amp; Co</strong></header>";
        assert!(text.contains(shown), "{text}");
        assert!(text.contains("<a href=\"mailto:help@example.com\">help@example.com</a>"), "{text}");
        assert!(head.headers.get_str(Known::ContentSecurityPolicy).unwrap().contains("img-src data:;"));
        let (head, body) =
            Problem { brand: Some(Brand { has_logo: false, header: "", ..brand }), ..PROBLEM }.answer(None);
        assert!(!head.headers.get_str(Known::ContentSecurityPolicy).unwrap().contains("img-src"));
        assert!(std::str::from_utf8(&body).unwrap().ends_with(",\"support\":\"help@example.com\"}\n"));
        assert_eq!(brand_header(None, None), "");
        assert_eq!(brand_header(None, Some("data:x")), "<header><img alt=\"Logo\" src=\"data:x\"></header>\n");
    }

    #[test]
    fn programs_are_told_where_their_user_signs_in() {
        let page = Problem { sign_in: Some("https://app.example.com/"), ..PROBLEM }.render(None);
        assert!(std::str::from_utf8(&page.body).unwrap().ends_with(",\"sign_in\":\"https://app.example.com/\"}\n"));
    }

    #[test]
    fn a_landing_leads_on_to_the_escaped_url() {
        let (head, body) = landing("https://app.example.com/?a=1&b=\"");
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains("content=\"0;url=https://app.example.com/?a=1&amp;b=&quot;\""), "{text}");
        assert_eq!((head.status, head.body), (200, BodyKind::Length(body.len() as u64)));
    }

    #[test]
    fn control_characters_cannot_break_json() {
        let page = Problem { detail: "a\n\u{1}\\", ..PROBLEM }.render(None);
        assert!(std::str::from_utf8(&page.body).unwrap().contains("a\\u000a\\u0001\\\\"));
    }
}
