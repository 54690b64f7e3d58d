//! As much of a document's tree as decides how bytes are read: whether this is HTML, SVG or MathML (CDATA sections, and no raw
//! text, in the latter two), and what a start tag makes of the text behind it (HTML Standard §13.2.6).
//!
//! What is open in SVG and MathML is kept ([`super::open`]); what is open around it, or in HTML that is in neither, is not.
//! Browsers may therefore read otherwise from there on, to the end of the picture or the text that is meant, where
//!
//! - an end tag in SVG or MathML is that of an HTML element that is not open around it, or lies beyond a table cell or the like:
//!   `<svg></div>`, `<div><td><svg></div>`. It is taken for the end of the picture, which pages do leave open (`<div><svg></div>`);
//! - a start tag in HTML that is in a picture ends or depends on what is around that: `<td><svg><desc><td>`, `<form>` in `<form>`;
//! - formatting elements end out of order in such HTML, and browsers open them again: `<svg><desc><p><b></p>text`;
//! - browsers ignore tags: all but a few in `<frameset>`, and in `<template><col>`.
//!
//! No such page comes to harm, for what changes in a tag is only what a URL begins with ([`crate::references::change`]): no quote,
//! angle bracket, white space or backslash comes or goes. The text that was no tag has another URL then, or the tag its old one.

use super::open::OpenElements;
use super::tag::Tag;

/// What decides here, or what a page looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    Base,
    Link,
    Meta,
    Script,
    Style,
    /// `<textarea>` and others in which tags are text, with their name.
    Raw(&'static str),
    Title,
    Plaintext,
    Svg,
    Math,
    /// `<desc>`, `<foreignObject>`: HTML within SVG.
    InSvg,
    /// `<mi>` and others: HTML within MathML.
    InMath,
    AnnotationXml,
    Font,
    /// Leads out of SVG and MathML, wherever it begins.
    Html,
    /// `<p>`, `<br>`: the same, and where they end.
    Paragraph,
    Other,
}

impl Element {
    pub(crate) fn of(name: &[u8]) -> Self {
        let mut lower = [0; ELEMENT_NAME_BYTES_MAX];
        let Some(lower) = lower.get_mut(..name.len()) else { return Self::Other };
        for (to, from) in lower.iter_mut().zip(name) {
            *to = from.to_ascii_lowercase();
        }
        match &*lower {
            b"p" | b"br" => Self::Paragraph,
            b"base" => Self::Base,
            b"link" => Self::Link,
            b"meta" => Self::Meta,
            b"script" => Self::Script,
            b"style" => Self::Style,
            b"title" => Self::Title,
            b"textarea" => Self::Raw("textarea"),
            b"iframe" => Self::Raw("iframe"),
            b"xmp" => Self::Raw("xmp"),
            b"noembed" => Self::Raw("noembed"),
            b"noframes" => Self::Raw("noframes"),
            // Browsers run scripts.
            b"noscript" => Self::Raw("noscript"),
            b"plaintext" => Self::Plaintext,
            b"svg" => Self::Svg,
            b"math" => Self::Math,
            b"desc" | b"foreignobject" => Self::InSvg,
            b"mi" | b"mo" | b"mn" | b"ms" | b"mtext" => Self::InMath,
            b"annotation-xml" => Self::AnnotationXml,
            b"font" => Self::Font,
            b"b" | b"big" | b"blockquote" | b"body" | b"center" | b"code" | b"dd" | b"div" | b"dl" | b"dt" | b"em"
            | b"embed" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"head" | b"hr" | b"i" | b"img" | b"li"
            | b"listing" | b"menu" | b"nobr" | b"ol" | b"pre" | b"ruby" | b"s" | b"small" | b"span" | b"strong"
            | b"strike" | b"sub" | b"sup" | b"table" | b"tt" | b"u" | b"ul" | b"var" => Self::Html,
            _ => Self::Other,
        }
    }

    /// Whether its start tag ends SVG and MathML around it.
    pub(super) fn leads_out(self, tag: &Tag) -> bool {
        let colours = || ["color", "face", "size"].iter().any(|name| tag.attribute(name).is_some());
        matches!(self, Self::Html | Self::Paragraph | Self::Meta) || self == Self::Font && colours()
    }
}

/// `annotation-xml`.
const ELEMENT_NAME_BYTES_MAX: usize = 14;

/// How the text behind a tag is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// With tags in it.
    Markup,
    /// To the end tag of that name.
    Raw(&'static str),
    /// To the document's end.
    Plain,
}

/// Where in a document this is.
#[derive(Debug)]
pub(crate) struct Tree {
    open: OpenElements,
    /// XHTML: `<x/>` closes whatever it is, and CDATA sections are anywhere.
    is_xml: bool,
}

impl Tree {
    pub(crate) fn new(is_xml: bool) -> Self {
        Self { open: OpenElements::default(), is_xml }
    }

    pub(crate) fn has_cdata(&self) -> bool {
        self.is_xml || self.open.is_foreign()
    }

    /// `None` if more is open in SVG or MathML than is kept.
    pub(crate) fn tag(&mut self, element: Element, tag: &Tag, bytes: &[u8]) -> Option<Reading> {
        if self.open.is_empty() && (tag.is_end() || !matches!(element, Element::Svg | Element::Math)) {
            let is_empty = tag.is_end() || self.is_xml && tag.is_self_closing();
            return Some(if is_empty { Reading::Markup } else { reading(element) });
        }
        let is_html = match (tag.is_end(), self.is_xml) {
            (false, false) => self.open.start(element, tag, bytes).ok()?,
            (false, true) => self.open.start_xml(element, tag, bytes).ok()? && !tag.is_self_closing(),
            (true, false) => {
                self.open.end(element, tag, bytes);
                false
            }
            (true, true) => {
                self.open.end_xml(tag, bytes);
                false
            }
        };
        Some(if is_html { reading(element) } else { Reading::Markup })
    }
}

/// In HTML.
fn reading(element: Element) -> Reading {
    match element {
        Element::Script => Reading::Raw("script"),
        Element::Style => Reading::Raw("style"),
        Element::Title => Reading::Raw("title"),
        Element::Raw(name) => Reading::Raw(name),
        Element::Plaintext => Reading::Plain,
        Element::Base
        | Element::Link
        | Element::Meta
        | Element::Svg
        | Element::Math
        | Element::InSvg
        | Element::InMath
        | Element::AnnotationXml
        | Element::Font
        | Element::Html
        | Element::Paragraph
        | Element::Other => Reading::Markup,
    }
}

pub(super) fn is_html_annotation(tag: &Tag, bytes: &[u8]) -> bool {
    let encoding = tag.attribute("encoding").and_then(|encoding| bytes.get(encoding.value.clone()));
    encoding.is_some_and(|encoding| {
        [&b"text/html"[..], b"application/xhtml+xml"].iter().any(|html| encoding.eq_ignore_ascii_case(html))
    })
}

#[cfg(test)]
mod tests {
    use super::super::open::OPEN_MAX;
    use super::*;

    /// How the text behind the last of `tags` is read, and whether CDATA sections may be in it.
    fn read(tags: &str, is_xml: bool) -> Option<(Reading, bool)> {
        let (mut tree, mut tag, mut reading) = (Tree::new(is_xml), Tag::new(), Reading::Markup);
        for text in tags.split_inclusive('>') {
            tag.begin(text.as_bytes());
            assert_eq!(tag.scan(text.as_bytes()), Some(text.len()), "{text}");
            reading = tree.tag(Element::of(tag.name(text.as_bytes())), &tag, text.as_bytes())?;
        }
        Some((reading, tree.has_cdata()))
    }

    #[test]
    fn raw_text_is_only_in_html() {
        for (tags, expected) in [
            ("<p>", (Reading::Markup, false)),
            ("<STYLE>", (Reading::Raw("style"), false)),
            ("<textarea/>", (Reading::Raw("textarea"), false)),
            ("<plaintext>", (Reading::Plain, false)),
            ("<svg><style>", (Reading::Markup, true)),
            ("<svg/><style>", (Reading::Raw("style"), false)),
            ("<svg></svg><style>", (Reading::Raw("style"), false)),
            ("<svg><foreignObject><style>", (Reading::Raw("style"), false)),
            ("<svg><foreignObject><style></style></foreignObject><style>", (Reading::Markup, true)),
            ("<svg><title>", (Reading::Markup, true)),
            ("<svg><p><style>", (Reading::Raw("style"), false)),
            ("<svg></p><style>", (Reading::Raw("style"), false)),
            ("<svg><font><style>", (Reading::Markup, true)),
            ("<svg><font color=x><style>", (Reading::Raw("style"), false)),
            // What begins in SVG is of SVG, and in MathML of that.
            ("<svg><math></svg><style>", (Reading::Raw("style"), false)),
            ("<svg><math><mi><style>", (Reading::Markup, true)),
            ("<math><svg><desc><style>", (Reading::Markup, true)),
            ("<math><annotation-xml><svg><desc><style>", (Reading::Raw("style"), false)),
            ("<math><mi><mglyph><style>", (Reading::Markup, true)),
            // HTML within SVG begins with what is in there.
            ("<svg><desc><p>", (Reading::Markup, false)),
            ("<svg><desc><p></p>", (Reading::Markup, true)),
            ("<svg><desc><br>", (Reading::Markup, true)),
            ("<svg><desc><title></title><style>", (Reading::Raw("style"), false)),
            ("<svg><desc><desc></desc><style>", (Reading::Raw("style"), false)),
            ("<svg><desc><p><div></p></div></desc><style>", (Reading::Markup, true)),
            ("<svg><desc><p></desc></svg>", (Reading::Markup, false)),
            ("<svg><desc><b><a><a></b></a></desc><style>", (Reading::Markup, true)),
            ("<svg><desc></p></div><style></style>", (Reading::Markup, true)),
            // An end tag of what is around it ends it, too; and of what only SVG has does not.
            ("<div><svg></div><style>", (Reading::Raw("style"), false)),
            ("<x-y><svg></x-y><style>", (Reading::Raw("style"), false)),
            ("<svg><g></path></g></font-face><style>", (Reading::Markup, true)),
            ("<td><svg><desc><b></td><style>", (Reading::Raw("style"), false)),
            ("<math><mi><style>", (Reading::Raw("style"), false)),
            ("<math><annotation-xml><style>", (Reading::Markup, true)),
            ("<math><annotation-xml encoding=Text/HTML><style>", (Reading::Raw("style"), false)),
            ("<math><annotation-xml encoding='text/html'></annotation-xml><style>", (Reading::Markup, true)),
        ] {
            assert_eq!(read(tags, false), Some(expected), "{tags}");
        }
    }

    #[test]
    fn in_xml_everything_may_close_itself() {
        assert_eq!(read("<script/>", true), Some((Reading::Markup, true)));
        assert_eq!(read("<script>", true), Some((Reading::Raw("script"), true)));
        assert_eq!(read("<script/>", false), Some((Reading::Raw("script"), false)));
    }

    #[test]
    fn depth_is_bounded() {
        assert!(read(&"<svg><desc>".repeat(OPEN_MAX / 2), false).is_some());
        assert_eq!(read(&"<svg><desc>".repeat(OPEN_MAX / 2 + 1), false), None);
    }
}
