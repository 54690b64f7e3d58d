//! The elements that are open in a picture or a formula (HTML Standard §13.2.6.5, "the rules for parsing tokens in foreign content",
//! and so much of "in body" as HTML within them takes).

use super::tag::Tag;
use super::tree::{Element, is_html_annotation};

/// What is open, from the outermost `<svg>` or `<math>` on, that itself first; nothing in HTML that is in neither.
#[derive(Debug, Default)]
pub(super) struct OpenElements {
    elements: Vec<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    /// A hash of its name in lower case.
    name: u64,
    kind: Kind,
}

/// The Standard's words: the latter three of them are "integration points" or look like one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Html(Class),
    Svg,
    MathMl,
    /// `<desc>` and others: HTML within SVG, or in a formula's annotation.
    HtmlPoint,
    /// `<mi>` and others: HTML within MathML.
    TextPoint,
    /// `<annotation-xml>` of what is no HTML: only `<svg>` is one of those within HTML.
    Annotation,
}

/// How an element of HTML ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// It has no content.
    Void,
    Paragraph,
    /// "Special", and where it begins a paragraph ends.
    Block,
    /// "Special", and the end of what is around it does not go beyond it.
    Scope,
    /// What is in it is text.
    Raw,
    /// "Special", and of a table or a template: its end tag ends all that is in it.
    Table,
    /// It ends anywhere, and what is in it does not.
    Formatting,
    /// What only HTML has of the rest.
    Inline,
    Plain,
}

/// There are too many.
#[derive(Debug)]
pub(super) struct TooDeep;

impl OpenElements {
    pub(super) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Whether what is here is no HTML: with CDATA sections.
    pub(super) fn is_foreign(&self) -> bool {
        self.elements.last().is_some_and(|last| last.kind.class().is_none())
    }

    /// A start tag; whether its element is one of HTML.
    pub(super) fn start(&mut self, element: Element, tag: &Tag, bytes: &[u8]) -> Result<bool, TooDeep> {
        let name = tag.name(bytes);
        if self.is_foreign_to(element, name) {
            if !element.leads_out(tag) {
                self.start_foreign(element, tag, bytes)?;
                return Ok(false);
            }
            self.leave();
        }
        let kind = match Kind::entered(element) {
            Some(kind) => kind,
            None if self.is_empty() => return Ok(true),
            None => Kind::Html(Class::of(name)),
        };
        let Some(class) = kind.class() else {
            if !tag.is_self_closing() {
                self.push(name, kind)?;
            }
            return Ok(false);
        };
        if matches!(class, Class::Block | Class::Paragraph) {
            self.end_paragraph();
        }
        if class == Class::Formatting && name.eq_ignore_ascii_case(b"a") {
            self.end_html(name);
        }
        let begins = || [&b"table"[..], b"template"].iter().any(|of| name.eq_ignore_ascii_case(of));
        let has_place = class != Class::Table || begins() || self.has_table();
        if class != Class::Void && has_place && !self.is_empty() {
            self.push(name, kind)?;
        }
        Ok(true)
    }

    /// A start tag of XHTML: there nothing ends by itself.
    pub(super) fn start_xml(&mut self, element: Element, tag: &Tag, bytes: &[u8]) -> Result<bool, TooDeep> {
        let name = tag.name(bytes);
        if self.is_foreign_to(element, name) {
            self.start_foreign(element, tag, bytes)?;
            return Ok(false);
        }
        let kind = Kind::entered(element).unwrap_or(Kind::Html(Class::Plain));
        let is_html = kind.class().is_some();
        let is_outside = is_html && self.is_empty();
        if !tag.is_self_closing() && !is_outside {
            self.push(name, kind)?;
        }
        Ok(is_html)
    }

    pub(super) fn end_xml(&mut self, tag: &Tag, bytes: &[u8]) {
        let name = hash(tag.name(bytes));
        if let Some(at) = self.elements.iter().rposition(|open| open.name == name) {
            self.elements.truncate(at);
        }
    }

    /// Only to be called when there are any.
    pub(super) fn end(&mut self, element: Element, tag: &Tag, bytes: &[u8]) {
        let name = tag.name(bytes);
        if self.is_foreign() {
            if element == Element::Paragraph {
                return self.leave();
            }
            let hashed = hash(name);
            for (at, open) in self.elements.iter().enumerate().rev() {
                if open.kind.class().is_some() {
                    break;
                }
                if open.name == hashed {
                    return self.elements.truncate(at);
                }
            }
        }
        self.end_html(name);
    }

    /// Whether a start tag is none of HTML here.
    fn is_foreign_to(&self, element: Element, name: &[u8]) -> bool {
        self.elements.last().is_some_and(|last| match last.kind {
            Kind::Html(_) | Kind::HtmlPoint => false,
            Kind::Svg | Kind::MathMl => true,
            Kind::TextPoint => name.eq_ignore_ascii_case(b"mglyph") || name.eq_ignore_ascii_case(b"malignmark"),
            Kind::Annotation => element != Element::Svg,
        })
    }

    fn start_foreign(&mut self, element: Element, tag: &Tag, bytes: &[u8]) -> Result<(), TooDeep> {
        if tag.is_self_closing() {
            return Ok(());
        }
        let in_svg = self.elements.last().is_some_and(|last| last.kind == Kind::Svg);
        let kind = match (in_svg, element) {
            (true, Element::InSvg | Element::Title) => Kind::HtmlPoint,
            (true, _) => Kind::Svg,
            (false, Element::InMath) => Kind::TextPoint,
            (false, Element::AnnotationXml) if is_html_annotation(tag, bytes) => Kind::HtmlPoint,
            (false, Element::AnnotationXml) => Kind::Annotation,
            (false, _) => Kind::MathMl,
        };
        self.push(tag.name(bytes), kind)
    }

    fn push(&mut self, name: &[u8], kind: Kind) -> Result<(), TooDeep> {
        if self.elements.len() >= OPEN_MAX {
            return Err(TooDeep);
        }
        self.elements.push(Open { name: hash(name), kind });
        Ok(())
    }

    /// Out of SVG and MathML, to where HTML is.
    fn leave(&mut self) {
        let is_left = |open: &Open| matches!(open.kind, Kind::Svg | Kind::MathMl | Kind::Annotation);
        let stays = self.elements.iter().rposition(|open| !is_left(open)).map_or(0, |at| at + 1);
        self.elements.truncate(stays);
    }

    fn end_paragraph(&mut self) {
        for (at, open) in self.elements.iter().enumerate().rev() {
            match open.kind {
                Kind::Html(Class::Paragraph) => return self.elements.truncate(at),
                Kind::Html(Class::Scope | Class::Table) | Kind::HtmlPoint | Kind::TextPoint | Kind::Annotation => {
                    return;
                }
                Kind::Html(_) | Kind::Svg | Kind::MathMl => {}
            }
        }
    }

    fn has_table(&self) -> bool {
        self.elements.iter().any(|open| open.kind == Kind::Html(Class::Table))
    }

    /// An end tag by the rules of HTML.
    fn end_html(&mut self, name: &[u8]) {
        let (class, hashed) = (Class::of(name), hash(name));
        for (at, open) in self.elements.iter().enumerate().rev() {
            let open_class = open.kind.class();
            if open.name == hashed && open_class.is_some() {
                let holds = self.elements.iter().skip(at + 1).any(|inner| inner.kind.is_special());
                if class == Class::Formatting && holds {
                    self.elements.remove(at);
                } else {
                    self.elements.truncate(at);
                }
                return;
            }
            let ends_here = match class {
                Class::Table => false,
                Class::Inline | Class::Plain => open.kind.is_special(),
                Class::Void | Class::Paragraph | Class::Block | Class::Scope | Class::Raw | Class::Formatting => {
                    open.kind.is_special() && matches!(open_class, None | Some(Class::Scope | Class::Table))
                }
            };
            if ends_here {
                return;
            }
        }
        // What is open around all of it is not known. Pages end what they began.
        if class.may_be_around(name) {
            self.elements.clear();
        }
    }
}

impl Kind {
    /// Of what begins a picture or a formula wherever it stands.
    fn entered(element: Element) -> Option<Self> {
        let is_math = (element == Element::Math).then_some(Self::MathMl);
        (element == Element::Svg).then_some(Self::Svg).or(is_math)
    }

    fn class(self) -> Option<Class> {
        match self {
            Self::Html(class) => Some(class),
            Self::Svg | Self::MathMl | Self::HtmlPoint | Self::TextPoint | Self::Annotation => None,
        }
    }

    fn is_special(self) -> bool {
        match self {
            Self::Html(class) => !matches!(class, Class::Void | Class::Formatting | Class::Inline | Class::Plain),
            Self::HtmlPoint | Self::TextPoint | Self::Annotation => true,
            Self::Svg | Self::MathMl => false,
        }
    }
}

impl Class {
    fn of(name: &[u8]) -> Self {
        let mut lower = [0; CLASS_NAME_BYTES_MAX];
        let Some(lower) = lower.get_mut(..name.len()) else { return Self::Plain };
        for (to, from) in lower.iter_mut().zip(name) {
            *to = from.to_ascii_lowercase();
        }
        match &*lower {
            b"area" | b"base" | b"basefont" | b"bgsound" | b"br" | b"col" | b"embed" | b"frame" | b"hr" | b"image"
            | b"img" | b"input" | b"keygen" | b"link" | b"meta" | b"param" | b"source" | b"track" | b"wbr"
            // These are open already, or have no place.
            | b"html" | b"head" | b"body" | b"frameset" => Self::Void,
            b"p" => Self::Paragraph,
            b"address" | b"article" | b"aside" | b"blockquote" | b"center" | b"dd" | b"details" | b"dialog" | b"dir"
            | b"div" | b"dl" | b"dt" | b"fieldset" | b"figcaption" | b"figure" | b"footer" | b"form" | b"h1" | b"h2"
            | b"h3" | b"h4" | b"h5" | b"h6" | b"header" | b"hgroup" | b"li" | b"listing" | b"main" | b"menu" | b"nav"
            | b"ol" | b"plaintext" | b"pre" | b"search" | b"section" | b"summary" | b"ul" | b"xmp" => Self::Block,
            b"applet" | b"button" | b"marquee" | b"object" | b"select" => Self::Scope,
            b"iframe" | b"noembed" | b"noframes" | b"noscript" | b"script" | b"style" | b"textarea" | b"title" => Self::Raw,
            b"caption" | b"colgroup" | b"table" | b"tbody" | b"td" | b"template" | b"tfoot" | b"th" | b"thead"
            | b"tr" => Self::Table,
            b"a" | b"b" | b"big" | b"code" | b"em" | b"font" | b"i" | b"nobr" | b"s" | b"small" | b"strike"
            | b"strong" | b"tt" | b"u" => Self::Formatting,
            b"abbr" | b"bdi" | b"bdo" | b"cite" | b"data" | b"del" | b"dfn" | b"ins" | b"kbd" | b"label" | b"legend"
            | b"map" | b"mark" | b"optgroup" | b"option" | b"output" | b"picture" | b"q" | b"rt" | b"ruby" | b"samp"
            | b"slot" | b"span" | b"sub" | b"sup" | b"time" | b"var" => Self::Inline,
            _ => Self::Plain,
        }
    }

    /// Whether this is of HTML, and may have SVG in it: its end tag in SVG is that of an element around it.
    fn may_be_around(self, name: &[u8]) -> bool {
        match self {
            Self::Paragraph | Self::Block | Self::Scope | Self::Table | Self::Formatting | Self::Inline => true,
            Self::Plain => name.contains(&b'-') && !FOREIGN.iter().any(|of| name.eq_ignore_ascii_case(of.as_bytes())),
            Self::Void | Self::Raw => false,
        }
    }
}

/// FNV-1a. Two names that come to the same are taken for one.
fn hash(name: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    name.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// `blockquote`, `figcaption`.
const CLASS_NAME_BYTES_MAX: usize = 10;
/// All other names with a hyphen are of elements that pages define.
const FOREIGN: [&str; 8] = [
    "annotation-xml",
    "color-profile",
    "font-face",
    "font-face-format",
    "font-face-name",
    "font-face-src",
    "font-face-uri",
    "missing-glyph",
];
/// No picture has as many in each other. Each takes 16 bytes, and an end tag may have to look at all of them.
pub(super) const OPEN_MAX: usize = 1 << 10;
