//! HTML: every start tag and the text of `<style>` and `<script>` go by [`Page`]; everything else passes byte for byte.
//!
//! The parser is told that the text is windows-1252, whatever it is: that maps every byte to a character and back, so that
//! nothing can be lost, and URLs are ASCII. What charset it really is matters where a byte looks like ASCII and is not.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use encoding_rs::WINDOWS_1252;
use lol_html::errors::RewritingError;
use lol_html::html_content::{BailOut, ContentType, DocumentEnd, Element, TextChunk};
use lol_html::{
    AsciiCompatibleEncoding, DocumentContentHandlers, ElementContentHandlers, HandlerResult, HtmlRewriter,
    MemorySettings, OutputSink, Selector, Settings,
};

use crate::Links;
use crate::charset::Charset;
use crate::content::Kinds;
use crate::limits::HTML_BYTES_MAX;
use crate::page::{Page, Text};

/// One document.
pub(crate) struct Html {
    /// None once it met more than it may hold: the rest passes as it is.
    rewriter: Option<HtmlRewriter<'static, Sink>>,
    written: Rc<RefCell<Vec<u8>>>,
}

/// What the parser has written.
struct Sink(Rc<RefCell<Vec<u8>>>);

impl OutputSink for Sink {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        self.0.borrow_mut().extend_from_slice(chunk);
    }
}

impl Html {
    pub(crate) fn new(kinds: Kinds, charset: Option<Charset>, links: Rc<dyn Links>) -> Self {
        let page = Rc::new(RefCell::new(Page::new(kinds, charset, links)));
        let written = Rc::default();
        let rewriter = HtmlRewriter::new(settings(&page, kinds), Sink(Rc::clone(&written)));
        Self { rewriter: Some(rewriter), written }
    }

    pub(crate) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let Some(rewriter) = &mut self.rewriter else {
            out.extend_from_slice(input);
            return;
        };
        // Whatever goes wrong, all input comes out.
        if rewriter.write(input).is_err() {
            self.rewriter = None;
        }
        out.append(&mut self.written.borrow_mut());
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(rewriter) = self.rewriter.take() {
            // As in `push`.
            let _ = rewriter.end();
        }
        out.append(&mut self.written.borrow_mut());
    }
}

/// Handlers of one element run in the order in which they stand here.
fn settings(page: &Rc<RefCell<Page>>, kinds: Kinds) -> Settings<'static, 'static> {
    let memory = MemorySettings::new()
        .with_max_allowed_memory_usage(HTML_BYTES_MAX)
        .with_graceful_bail_out_on_memory_limit_exceeded(true);
    let (at_end, at_bail_out) = (Rc::clone(page), Rc::clone(page));
    let mut settings = Settings::new()
        .with_strict(false)
        .with_memory_settings(memory)
        .with_graceful_bail_out_on_content_handler_error(true)
        .append_document_content_handler(DocumentContentHandlers::default().end(
            move |end: &mut DocumentEnd<'_>| -> HandlerResult {
                end.append(&text(&at_end.borrow_mut().held()), ContentType::Html);
                Ok(())
            },
        ))
        .append_bail_out_handler(move |_: &RewritingError, out: &mut BailOut<'_>| {
            out.append(&text(&at_bail_out.borrow_mut().held()), ContentType::Html);
        });
    if let Some(encoding) = AsciiCompatibleEncoding::new(WINDOWS_1252) {
        settings = settings.with_encoding(encoding);
    }
    settings = elements(settings, page, "base", Page::base);
    settings = elements(settings, page, "meta", Page::meta);
    settings = elements(settings, page, "link, script", Page::integrity);
    if kinds.css {
        settings = elements(settings, page, "[style]", Page::styled);
        settings = texts(settings, page, "style", Text::Style);
    }
    if kinds.js || kinds.json {
        settings = elements(settings, page, "script", Page::script);
        settings = texts(settings, page, "script", Text::Script);
    }
    elements(settings, page, MAY_LINK, Page::element)
}

/// Any but those that most pages are made of and that have no attribute with a URL: these are not even taken apart, unless
/// for their style.
const MAY_LINK: &str = concat!(
    "*:not(div):not(span):not(p):not(li):not(ul):not(ol):not(b):not(i):not(strong):not(em):not(small):not(br)",
    ":not(h1):not(h2):not(h3):not(h4):not(label):not(option):not(dt):not(dd):not(code):not(pre)"
);

fn elements(
    settings: Settings<'static, 'static>,
    page: &Rc<RefCell<Page>>,
    which: &str,
    look: fn(&mut Page, &mut Element<'_, '_>),
) -> Settings<'static, 'static> {
    let page = Rc::clone(page);
    let handlers: ElementContentHandlers<'static> =
        ElementContentHandlers::default().element(move |element: &mut Element<'_, '_>| -> HandlerResult {
            look(&mut page.borrow_mut(), element);
            Ok(())
        });
    settings.append_element_content_handler((Cow::Owned(selector(which)), handlers))
}

fn texts(
    settings: Settings<'static, 'static>,
    page: &Rc<RefCell<Page>>,
    which: &str,
    kind: Text,
) -> Settings<'static, 'static> {
    let page = Rc::clone(page);
    let handlers: ElementContentHandlers<'static> =
        ElementContentHandlers::default().text(move |chunk: &mut TextChunk<'_>| -> HandlerResult {
            let replaced = page.borrow_mut().text(kind, &raw(chunk.as_str()), chunk.last_in_text_node());
            if let Some(replaced) = replaced {
                chunk.replace(&text(&replaced), ContentType::Html);
            }
            Ok(())
        });
    settings.append_element_content_handler((Cow::Owned(selector(which)), handlers))
}

fn selector(which: &str) -> Selector {
    which.parse().expect("the selectors above are valid")
}

/// What stands in the document for `characters` that the parser decoded.
pub(crate) fn raw(characters: &str) -> Cow<'_, [u8]> {
    WINDOWS_1252.encode(characters).0
}

/// The way back of [`raw`].
pub(crate) fn text(raw: &[u8]) -> Cow<'_, str> {
    WINDOWS_1252.decode_without_bom_handling(raw).0
}
