//! As much of a document's tree as decides how bytes are read: whether this is HTML, SVG or MathML (CDATA sections, and no raw
//! text, in the latter two), and what a start tag makes of the text behind it (HTML Standard §13.2.6). Which elements are open is
//! not kept: where markup is nested as no page would nest it, browsers may read it otherwise.

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
    fn leads_out(self, tag: &Tag) -> bool {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Space {
    Html,
    Svg,
    MathMl,
}

/// Where in a document this is.
#[derive(Debug)]
pub(crate) struct Tree {
    space: Space,
    /// What is around it, outermost first.
    around: Vec<Space>,
    /// XHTML: `<x/>` closes whatever it is, and CDATA sections are anywhere.
    is_xml: bool,
}

impl Tree {
    pub(crate) fn new(is_xml: bool) -> Self {
        Self { space: Space::Html, around: Vec::new(), is_xml }
    }

    pub(crate) fn has_cdata(&self) -> bool {
        self.is_xml || self.space != Space::Html
    }

    pub(crate) fn is_html(&self) -> bool {
        self.space == Space::Html
    }

    /// `None` if SVG and HTML are in each other deeper than [`SPACES_MAX`].
    pub(crate) fn tag(&mut self, element: Element, tag: &Tag, bytes: &[u8]) -> Option<Reading> {
        if tag.is_end() {
            self.end(element);
            return Some(Reading::Markup);
        }
        let is_closed = tag.is_self_closing();
        if !self.is_html() && element.leads_out(tag) {
            self.leave_to_html();
        }
        let inner = match (self.space, element) {
            (_, Element::Svg) => Space::Svg,
            (_, Element::Math) => Space::MathMl,
            (Space::Svg, Element::InSvg | Element::Title) | (Space::MathMl, Element::InMath) => Space::Html,
            (Space::MathMl, Element::AnnotationXml) if is_html_annotation(tag, bytes) => Space::Html,
            (Space::Html, _) if !(is_closed && self.is_xml) => return Some(reading(element)),
            (Space::Html | Space::Svg | Space::MathMl, _) => return Some(Reading::Markup),
        };
        if !is_closed {
            if self.around.len() >= SPACES_MAX {
                return None;
            }
            self.around.push(self.space);
            self.space = inner;
        }
        Some(Reading::Markup)
    }

    fn end(&mut self, element: Element) {
        let leaves = match (self.space, element) {
            (Space::Svg, Element::Svg) | (Space::MathMl, Element::Math) => true,
            (Space::Html, Element::InSvg | Element::Title) => self.around.last() == Some(&Space::Svg),
            (Space::Html, Element::InMath | Element::AnnotationXml) => self.around.last() == Some(&Space::MathMl),
            (Space::Svg | Space::MathMl, Element::Paragraph) => return self.leave_to_html(),
            _ => false,
        };
        if leaves {
            self.space = self.around.pop().unwrap_or(Space::Html);
        }
    }

    fn leave_to_html(&mut self) {
        while self.space != Space::Html {
            self.space = self.around.pop().unwrap_or(Space::Html);
        }
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

fn is_html_annotation(tag: &Tag, bytes: &[u8]) -> bool {
    let encoding = tag.attribute("encoding").and_then(|encoding| bytes.get(encoding.value.clone()));
    encoding.is_some_and(|encoding| {
        [&b"text/html"[..], b"application/xhtml+xml"].iter().any(|html| encoding.eq_ignore_ascii_case(html))
    })
}

/// No page has as many; each is one byte that is kept.
const SPACES_MAX: usize = 1 << 10;

#[cfg(test)]
mod tests {
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
            ("<svg><title>", (Reading::Markup, false)),
            ("<svg><p><style>", (Reading::Raw("style"), false)),
            ("<svg></p><style>", (Reading::Raw("style"), false)),
            ("<svg><font><style>", (Reading::Markup, true)),
            ("<svg><font color=x><style>", (Reading::Raw("style"), false)),
            ("<svg><math></svg><style>", (Reading::Markup, true)),
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
        assert!(read(&"<svg><desc>".repeat(SPACES_MAX / 2), false).is_some());
        assert_eq!(read(&"<svg><desc>".repeat(SPACES_MAX / 2 + 1), false), None);
    }
}
