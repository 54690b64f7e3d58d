//! What a body is, by its media type, and what of it is translated.

use std::rc::Rc;

use crate::Links;
use crate::charset::{Charset, MARK_BYTES, parameter};
use crate::css::Css;
use crate::html::Html;
use crate::strings::{Quotes, Strings};

/// What an answer's head says of its content.
#[derive(Debug, Clone, Copy, Default)]
pub struct ContentInfo<'a> {
    /// `Content-Type`; empty if there is none.
    pub content_type: &'a str,
    /// `Content-Encoding`; empty if there is none.
    pub content_encoding: &'a str,
}

/// Of which kinds URLs are translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds {
    /// Attributes of HTML.
    pub html: bool,
    /// Style sheets; in HTML, too, if `html`.
    pub css: bool,
    /// Strings of JSON that are URLs; in HTML, too, if `html`.
    pub json: bool,
    /// String literals of JavaScript that are URLs; in HTML, too, if `html`.
    pub js: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Html,
    Xhtml,
    Css,
    Json,
    JavaScript,
}

impl Type {
    /// By `Content-Type`; `None` for everything else, event streams among it.
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "text/html" => Some(Self::Html),
            "application/xhtml+xml" => Some(Self::Xhtml),
            "text/css" => Some(Self::Css),
            "application/json" | "text/json" => Some(Self::Json),
            "text/javascript"
            | "application/javascript"
            | "application/x-javascript"
            | "text/ecmascript"
            | "application/ecmascript" => Some(Self::JavaScript),
            other if other.ends_with("+json") => Some(Self::Json),
            _ => None,
        }
    }

    pub(crate) fn is_in(self, kinds: Kinds) -> bool {
        match self {
            Self::Html | Self::Xhtml => kinds.html,
            Self::Css => kinds.css,
            Self::Json => kinds.json,
            Self::JavaScript => kinds.js,
        }
    }
}

/// A decoded body on its way.
pub(crate) struct Content {
    kind: Type,
    kinds: Kinds,
    /// As the head says.
    charset: Option<Charset>,
    links: Rc<dyn Links>,
    stage: Stage,
}

enum Stage {
    /// Too few bytes to tell whether there is a byte order mark.
    Begin(Vec<u8>),
    Html(Box<Html>),
    Css(Css),
    Strings(Strings),
    /// It passes as it is.
    Left,
}

impl Content {
    /// `None` if its charset says already that it is to be left alone.
    pub(crate) fn new(kind: Type, kinds: Kinds, content_type: &str, links: Rc<dyn Links>) -> Option<Self> {
        let charset = charset_of(content_type);
        (charset != Some(Charset::Unfit)).then(|| Self { kind, kinds, charset, links, stage: Stage::Begin(Vec::new()) })
    }

    /// Whether the charset that the head says is one that can be handled.
    pub(crate) fn fits(content_type: &str) -> bool {
        charset_of(content_type) != Some(Charset::Unfit)
    }

    pub(crate) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let Stage::Begin(first) = &mut self.stage else { return self.feed(input, out) };
        first.extend_from_slice(input);
        if first.len() >= MARK_BYTES {
            self.begin(out);
        }
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if matches!(self.stage, Stage::Begin(_)) {
            self.begin(out);
        }
        match &mut self.stage {
            Stage::Html(html) => html.finish(out),
            Stage::Css(css) => css.finish(out),
            Stage::Strings(strings) => strings.finish(out),
            Stage::Begin(_) | Stage::Left => {}
        }
    }

    /// A byte order mark counts more than the head, as it does for browsers (Encoding Standard, "decode").
    fn begin(&mut self, out: &mut Vec<u8>) {
        let Stage::Begin(first) = std::mem::replace(&mut self.stage, Stage::Left) else { return };
        let charset = Charset::by_mark(&first).or(self.charset);
        let wide = charset.and_then(Charset::wide);
        if charset != Some(Charset::Unfit) {
            let html = |is_xml| Html::new(self.kinds, charset, Rc::clone(&self.links), is_xml);
            self.stage = match self.kind {
                Type::Html => Stage::Html(Box::new(html(false))),
                Type::Xhtml => Stage::Html(Box::new(html(true))),
                Type::Css => Stage::Css(Css::new(wide)),
                Type::Json => Stage::Strings(Strings::new(Quotes::Json, wide)),
                Type::JavaScript => Stage::Strings(Strings::new(Quotes::JavaScript, wide)),
            };
        }
        self.feed(&first, out);
    }

    fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        match &mut self.stage {
            Stage::Html(html) => html.push(input, out),
            Stage::Css(css) => css.push(input, &*self.links, out),
            Stage::Strings(strings) => strings.push(input, &*self.links, out),
            Stage::Begin(_) | Stage::Left => out.extend_from_slice(input),
        }
    }
}

fn charset_of(content_type: &str) -> Option<Charset> {
    parameter(content_type).and_then(Charset::by_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_by_their_essence() {
        for (content_type, kind) in [
            ("Text/HTML; charset=utf-8", Some(Type::Html)),
            ("application/xhtml+xml", Some(Type::Xhtml)),
            ("text/css", Some(Type::Css)),
            ("application/problem+json", Some(Type::Json)),
            ("text/javascript;x", Some(Type::JavaScript)),
            ("text/event-stream", None),
            ("text/plain", None),
            ("", None),
        ] {
            assert_eq!(Type::of(content_type), kind, "{content_type}");
        }
    }
}
