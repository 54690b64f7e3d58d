//! What changes in one HTML document: attributes that hold URLs, `<base>`, `<meta>`, `integrity`, style and script.

use std::rc::Rc;

use lol_html::html_content::Element;

use crate::Links;
use crate::attributes::{list, refresh, srcset};
use crate::charset::{Charset, parameter};
use crate::content::{Kinds, Type};
use crate::css::Css;
use crate::html::{raw, text};
use crate::limits::{BASE_BYTES_MAX, GROWTH_BYTES_MAX};
use crate::references::resolved;
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

    /// An element that may link: its attributes that hold URLs.
    pub(crate) fn element(&mut self, element: &mut Element<'_, '_>) {
        if self.is_left() {
            return;
        }
        // Of several with one name the first counts, and is the one that would be set. At most as many as hold URLs.
        let mut seen: Vec<String> = Vec::new();
        let mut changed = Vec::new();
        for attribute in element.attributes() {
            let name = attribute.name();
            let Some(holds) = Holds::of(&name).filter(|_| !seen.contains(&name)) else { continue };
            if let Some(external) = self.attribute(holds, &resolved(&attribute.value())) {
                changed.push((name.clone(), external));
            }
            seen.push(name);
        }
        for (name, value) in &changed {
            set(element, name, value);
        }
    }

    /// An element with a style of its own.
    pub(crate) fn styled(&mut self, element: &mut Element<'_, '_>) {
        let Some(value) = element.get_attribute("style").filter(|_| !self.is_left()) else { return };
        if let Some(external) = self.style_attribute(&resolved(&value)) {
            set(element, "style", &external);
        }
    }

    /// `<base>`: the first one counts, and what begins with a slash belongs to its host from there on.
    pub(crate) fn base(&mut self, element: &mut Element<'_, '_>) {
        let Some(href) = element.get_attribute("href").filter(|_| !self.based) else { return };
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
    pub(crate) fn meta(&mut self, element: &mut Element<'_, '_>) {
        if let Some(label) = element.get_attribute("charset") {
            self.declared(&label);
        }
        let Some(content) = element.get_attribute("content") else { return };
        let named = |attribute: &str| element.get_attribute(attribute).unwrap_or_default().to_ascii_lowercase();
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
            "content-security-policy" | "content-security-policy-report-only" => list(&content, outwards),
            _ => {
                let shown = ["og:", "twitter:"].iter().any(|of| property.starts_with(of) || name.starts_with(of));
                if shown { outwards(&content) } else { None }
            }
        };
        if let Some(external) = external {
            set(element, "content", &external);
        }
    }

    /// A hash over what is translated on its way would keep the browser from using it.
    pub(crate) fn integrity(&mut self, element: &mut Element<'_, '_>) {
        if self.is_left() || !element.has_attribute("integrity") {
            return;
        }
        let (place, translated_here) = if element.tag_name() == "script" {
            (element.get_attribute("src"), self.kinds.js)
        } else {
            (element.get_attribute("href"), self.kinds.css || self.kinds.js || self.kinds.json)
        };
        let Some(place) = place else { return };
        let place = resolved(&place);
        let url = trimmed(&place);
        let is_whole = url.starts_with("//") || url.contains("://");
        // Of other applications nobody here knows what of them is translated.
        if self.outwards(url).is_some() || translated_here && !is_whole {
            element.remove_attribute("integrity");
        }
    }

    /// `<script>`: what its text is.
    pub(crate) fn script(&mut self, element: &mut Element<'_, '_>) {
        let kind = element.get_attribute("type").unwrap_or_default();
        let kind = match kind.trim() {
            "" | "module" => Some(Type::JavaScript),
            "importmap" | "speculationrules" => Some(Type::Json),
            other => Type::of(other),
        };
        self.quotes = match kind.filter(|kind| kind.is_in(self.kinds)) {
            Some(Type::JavaScript) => Some(Quotes::JavaScript),
            Some(Type::Json) => Some(Quotes::Json),
            Some(Type::Html | Type::Css) | None => None,
        };
    }

    /// A piece of text, as it stands in the document; `None` if it stays.
    pub(crate) fn text(&mut self, kind: Text, input: &[u8], last: bool) -> Option<Vec<u8>> {
        if self.is_left() {
            return None;
        }
        let wide = self.charset.and_then(Charset::wide);
        let mut out = Vec::new();
        match kind {
            Text::Style => {
                let style = self.style.get_or_insert_with(|| Css::new(wide));
                style.push(input, &*self.links, &mut out);
                if last {
                    style.finish(&mut out);
                    self.style = None;
                }
            }
            Text::Script => {
                let quotes = self.quotes?;
                let script = self.script.get_or_insert_with(|| Strings::new(quotes, wide));
                script.push(input, &*self.links, &mut out);
                if last {
                    script.finish(&mut out);
                    self.script = None;
                }
            }
        }
        (out != input).then_some(out)
    }

    /// What of texts has not come out yet, when nothing more comes.
    pub(crate) fn held(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(mut style) = self.style.take() {
            style.finish(&mut out);
        }
        if let Some(mut script) = self.script.take() {
            script.finish(&mut out);
        }
        out
    }

    fn attribute(&self, holds: Holds, value: &str) -> Option<String> {
        match holds {
            Holds::Url => self.outwards(value),
            Holds::Urls => list(value, |url| self.outwards(url)),
            Holds::Srcset => srcset(value, |url| self.outwards(url)),
        }
    }

    fn style_attribute(&self, value: &str) -> Option<String> {
        if !value.contains('(') {
            return None;
        }
        let sheet = raw(value);
        let (mut css, mut out) = (Css::new(self.charset.and_then(Charset::wide)), Vec::new());
        for piece in sheet.chunks(STYLE_PIECE_BYTES) {
            css.push(piece, &|url: &str| self.outwards(url), &mut out);
            if out.len() > sheet.len() + GROWTH_BYTES_MAX {
                return None;
            }
        }
        css.finish(&mut out);
        (out != *sheet).then(|| text(&out).into_owned())
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

    fn is_left(&self) -> bool {
        self.charset == Some(Charset::Unfit)
    }
}

/// What of an element's style is looked at in one step, after which its translation's length is.
const STYLE_PIECE_BYTES: usize = 1 << 10;

/// White space around a URL is none of it.
fn trimmed(url: &str) -> &str {
    url.trim_matches(|character: char| character <= ' ')
}

fn set(element: &mut Element<'_, '_>, name: &str, value: &str) {
    // The name is one that stands there.
    let _ = element.set_attribute(name, value);
}
