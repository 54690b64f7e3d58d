//! What changes in one HTML document: attributes that hold URLs, `<base>`, `<meta>`, `integrity`, style and script.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use memchr::memchr2;

use crate::Links;
use crate::attributes::{policy, refresh, srcset, urls};
use crate::charset::{Charset, bytes, characters, parameter};
use crate::content::{Kinds, Type};
use crate::css::Css;
use crate::html::Edit;
use crate::html::tag::{Attribute, Tag, is_space};
use crate::html::tree::Element;
use crate::limits::{BASE_BYTES_MAX, GROWTH_BYTES_MAX};
use crate::references::{change, resolved};
use crate::strings::{Quotes, Strings};

/// The state of one document.
pub(crate) struct Page {
    links: Rc<dyn Links>,
    kinds: Kinds,
    /// `None` until something tells.
    charset: Option<Charset>,
    /// `SCHEME://HOST` or `//HOST` of `<base>`, if that leads somewhere else.
    base: Option<String>,
    based: bool,
    style: Option<Css>,
    /// What the current `<script>` holds.
    quotes: Option<Quotes>,
    script: Option<Strings>,
}

/// Text that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    Style,
    Script,
}

impl Text {
    /// That of an element, if it is one of these.
    pub(crate) fn of(element: Element) -> Option<Self> {
        let is_script = (element == Element::Script).then_some(Self::Script);
        is_script.or((element == Element::Style).then_some(Self::Style))
    }
}

/// What an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Url,
    Urls,
    Srcset,
}

impl Holds {
    /// By the attribute's name, in lower case.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "href" | "src" | "action" | "formaction" | "data" | "poster" | "cite" | "background" | "longdesc"
            | "manifest" | "codebase" | "profile" | "lowsrc" | "dynsrc" | "xlink:href" => Self::Url,
            "ping" | "archive" => Self::Urls,
            "srcset" | "imagesrcset" => Self::Srcset,
            _ => return None,
        })
    }
}

impl Page {
    pub(crate) fn new(kinds: Kinds, charset: Option<Charset>, links: Rc<dyn Links>) -> Self {
        Self { links, kinds, charset, base: None, based: false, style: None, quotes: None, script: None }
    }

    /// A start tag, whose bytes these are: adds what is to change in it.
    pub(crate) fn tag(&mut self, element: Element, tag: &Tag, bytes: &[u8], edits: &mut Vec<Edit>) {
        let start = Start { tag, bytes };
        if element == Element::Script {
            self.script(&start);
        }
        if tag.attributes().is_empty() {
            return;
        }
        if element == Element::Base {
            self.base(&start);
        } else if element == Element::Meta {
            self.meta(&start, edits);
        } else if matches!(element, Element::Link | Element::Script) {
            self.integrity(element, &start, edits);
        }
        if self.is_left() {
            return;
        }
        for attribute in tag.attributes() {
            let value = start.raw(attribute);
            let external = match Holds::of(attribute.name) {
                Some(holds) if may_lead(value) || holds != Holds::Url => {
                    self.attribute(holds, &resolved(&characters(value)))
                }
                None if attribute.name == "style" && self.kinds.css && may_call(value) => {
                    self.style_attribute(&resolved(&characters(value)))
                }
                Some(_) | None => None,
            };
            edits.extend(external.and_then(|external| set(attribute, value, &external)));
        }
    }

    /// `<base>`: the first one counts, and what begins with a slash belongs to its host from there on.
    fn base(&mut self, start: &Start<'_>) {
        let Some(href) = start.value("href").filter(|_| !self.based) else { return };
        self.based = true;
        let href = resolved(&href);
        let href = trimmed(&href);
        // Browsers take `\` for `/`.
        let (scheme, rest) = match href.strip_prefix(['/', '\\']).and_then(|rest| rest.strip_prefix(['/', '\\'])) {
            Some(rest) => (None, rest),
            None => match href.split_once("://") {
                Some((scheme, rest)) => (Some(scheme), rest),
                None => return,
            },
        };
        let host = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
        let base = scheme.map_or_else(|| format!("//{host}"), |scheme| format!("{scheme}://{host}"));
        // One that is too long is no host, and leads nowhere.
        self.base = Some(if base.len() > BASE_BYTES_MAX { String::from("//") } else { base });
    }

    /// `<meta>`: the charset, `refresh`, a policy, and what other sites show of the page.
    fn meta(&mut self, start: &Start<'_>, edits: &mut Vec<Edit>) {
        if let Some(label) = start.value("charset") {
            self.declared(&label);
        }
        let Some(attribute) = start.tag.attribute("content") else { return };
        let content = characters(start.raw(attribute));
        let named = |attribute: &str| start.value(attribute).unwrap_or_default().to_ascii_lowercase();
        let (pragma, property, name) = (named("http-equiv"), named("property"), named("name"));
        if pragma == "content-type" {
            if let Some(label) = parameter(&content) {
                self.declared(label);
            }
            return;
        }
        if self.is_left() {
            return;
        }
        let content = resolved(&content);
        let outwards = |url: &str| self.outwards(url);
        let external = match pragma.as_str() {
            "refresh" => refresh(&content, outwards),
            "content-security-policy" | "content-security-policy-report-only" => policy(&content, outwards),
            _ => {
                let shown = ["og:", "twitter:"].iter().any(|of| property.starts_with(of) || name.starts_with(of));
                if shown { self.within(&content) } else { None }
            }
        };
        edits.extend(external.and_then(|external| set(attribute, start.raw(attribute), &external)));
    }

    /// A hash over what is translated on its way would keep the browser from using it.
    fn integrity(&self, element: Element, start: &Start<'_>, edits: &mut Vec<Edit>) {
        let Some(attribute) = start.tag.attribute("integrity").filter(|_| !self.is_left()) else { return };
        let (place, translated_here) = if element == Element::Script {
            (start.value("src"), self.kinds.js)
        } else {
            (start.value("href"), self.kinds.css || self.kinds.js || self.kinds.json)
        };
        let Some(place) = place else { return };
        let place = resolved(&place);
        let url = trimmed(&place);
        let is_whole = url.starts_with("//") || url.contains("://");
        // Of other applications nobody here knows what of them is translated.
        if self.outwards(url).is_some() || translated_here && !is_whole {
            edits.push(start.without(attribute));
        }
    }

    /// `<script>`: what its text is.
    fn script(&mut self, start: &Start<'_>) {
        let kind = start.value("type").unwrap_or_default();
        let kind = match kind.trim() {
            "" | "module" => Some(Type::JavaScript),
            "importmap" | "speculationrules" => Some(Type::Json),
            other => Type::of(other),
        };
        self.quotes = match kind.filter(|kind| kind.is_in(self.kinds)) {
            Some(Type::JavaScript) => Some(Quotes::JavaScript),
            Some(Type::Json) => Some(Quotes::Json),
            Some(Type::Html | Type::Xhtml | Type::Css) | None => None,
        };
    }

    /// A piece of the text of a `<style>` or `<script>`, as it stands in the document.
    pub(crate) fn text(&mut self, kind: Text, input: &[u8], out: &mut Vec<u8>) {
        let wide = self.charset.and_then(Charset::wide);
        match (kind, self.quotes) {
            (Text::Style, _) if self.kinds.css => {
                self.style.get_or_insert_with(|| Css::new(wide)).push(input, &*self.links, out);
            }
            (Text::Script, Some(quotes)) => {
                self.script.get_or_insert_with(|| Strings::new(quotes, wide)).push(input, &*self.links, out);
            }
            (Text::Style | Text::Script, _) => out.extend_from_slice(input),
        }
    }

    /// The text is over: what of it has not come out yet.
    pub(crate) fn end_text(&mut self, out: &mut Vec<u8>) {
        if let Some(mut style) = self.style.take() {
            style.finish(out);
        }
        if let Some(mut script) = self.script.take() {
            script.finish(out);
        }
    }

    fn attribute(&self, holds: Holds, value: &str) -> Option<String> {
        match holds {
            Holds::Url => self.within(value),
            Holds::Urls => urls(value, |url| self.outwards(url)),
            Holds::Srcset => srcset(value, |url| self.outwards(url)),
        }
    }

    /// A URL with the white space around it.
    fn within(&self, value: &str) -> Option<String> {
        let begun = value.trim_start_matches(is_around);
        let url = begun.trim_end_matches(is_around);
        let external = self.outwards(url)?;
        if url.len() == value.len() {
            return Some(external);
        }
        let (before, behind) = (&value[..value.len() - begun.len()], &begun[url.len()..]);
        Some(format!("{before}{external}{behind}"))
    }

    fn style_attribute(&self, value: &str) -> Option<String> {
        if !value.contains('(') {
            return None;
        }
        let sheet = bytes(value)?;
        let (mut css, mut out) = (Css::new(self.charset.and_then(Charset::wide)), Vec::new());
        for piece in sheet.chunks(STYLE_PIECE_BYTES) {
            css.push(piece, &|url: &str| self.outwards(url), &mut out);
            if out.len() > sheet.len() + GROWTH_BYTES_MAX {
                return None;
            }
        }
        css.finish(&mut out);
        (sheet != out).then(|| characters(&out).into_owned())
    }

    fn outwards(&self, url: &str) -> Option<String> {
        let url = trimmed(url);
        // What else there is leads on from where the page itself is.
        if !url.starts_with(['/', 'h', 'H', 'w', 'W']) {
            return None;
        }
        match &self.base {
            Some(base) if url.starts_with('/') && !url.starts_with("//") => {
                self.links.outwards(&format!("{base}{url}"))
            }
            Some(_) | None => self.links.outwards(url),
        }
    }

    /// Browsers heed the first declaration, and none if the head or a mark says it.
    fn declared(&mut self, label: &str) {
        if self.charset.is_none() {
            self.charset = Charset::by_label(label).map(|charset| {
                // Who can read such a declaration has no UTF-16 before them (HTML Standard, "prescan").
                let utf_16 = label.trim().get(..6).is_some_and(|label| label.eq_ignore_ascii_case("utf-16"));
                if utf_16 { Charset::Plain } else { charset }
            });
        }
    }

    /// Nothing of it changes from there on.
    pub(crate) fn is_left(&self) -> bool {
        self.charset == Some(Charset::Unfit)
    }
}

/// What of an element's style is looked at in one step, after which its translation's length is.
const STYLE_PIECE_BYTES: usize = 1 << 10;

fn trimmed(url: &str) -> &str {
    url.trim_matches(is_around)
}

/// White space around a URL is none of it; but what browsers put in a NUL's place is.
fn is_around(character: char) -> bool {
    matches!(character, '\u{1}'..=' ')
}

/// A start tag and its bytes.
struct Start<'a> {
    tag: &'a Tag,
    bytes: &'a [u8],
}

impl<'a> Start<'a> {
    fn raw(&self, attribute: &Attribute) -> &'a [u8] {
        self.bytes.get(attribute.value.clone()).unwrap_or_default()
    }

    fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.tag.attribute(name).map(|attribute| characters(self.raw(attribute)))
    }

    /// Takes an attribute out, with the white space before it; what stands around it stays apart.
    fn without(&self, attribute: &Attribute) -> Edit {
        let Range { start, end } = attribute.whole;
        let before = self.bytes.get(..start).unwrap_or_default();
        let start = before.iter().rposition(|byte| !is_space(*byte)).map_or(start, |last| last + 1);
        // A slash that is left before the end would close the element.
        let is_apart = match self.bytes.get(end) {
            Some(b'>') => !before.get(..start).is_some_and(|before| before.ends_with(b"/")),
            next => next.is_none_or(|next| is_space(*next)),
        };
        Edit { place: start..end, with: if is_apart { Vec::new() } else { vec![b' '] } }
    }
}

/// Whether a value may be a URL that leads to an application: a look at its first byte tells of most that they are none.
fn may_lead(value: &[u8]) -> bool {
    let first = value.iter().find(|byte| **byte > b' ');
    first.is_some_and(|first| matches!(first, b'/' | b'h' | b'H' | b'w' | b'W' | b'&'))
}

/// Whether a style may have `url(…)` in it.
fn may_call(value: &[u8]) -> bool {
    memchr2(b'(', b'&', value).is_some()
}

/// Puts `value` in an attribute's place, with the quotes that are there.
fn set(attribute: &Attribute, raw: &[u8], value: &str) -> Option<Edit> {
    let raw = characters(raw);
    let (place, with) = change(&raw, value, attribute.quote);
    let with = bytes(&with)?.into_owned();
    // One character is one byte of the page.
    let characters_in = |text: &str| if text.is_ascii() { text.len() } else { text.chars().count() };
    let at = |at: usize| attribute.value.start + characters_in(raw.get(..at).unwrap_or_default());
    let place = at(place.start)..at(place.end);
    let is_nothing = attribute.quote.is_none() && with.is_empty() && place == attribute.value;
    Some(Edit { place, with: if is_nothing { b"\"\"".to_vec() } else { with } })
}
