//! Body translation of one exchange: which answers' content is translated, and what their heads and the requests' must not
//! say any more. How content is translated is `postern_translate`'s.

mod links;
mod validators;

use std::rc::Rc;

use bytes::Bytes;
use postern_http::{BodyKind, Headers, Known, Method, RequestHead, ResponseHead};
use postern_model::app_url::InternalUrl;
use postern_model::settings::AppSettings;
use postern_translate::{Broken, Coding, ContentInfo, Kinds, Progress, Translator};

use crate::backend::Backend;
use crate::embed::is_built_in;
use crate::failure::{Failed, Fault};
pub(crate) use links::{Outwards, mark};
use validators::Validators;

/// What is remembered of a request to an application whose content is translated.
#[derive(Debug)]
pub(crate) struct Asked {
    kinds: Kinds,
    validators: Validators,
    /// The user has a translated answer already, and asks whether it is still good.
    revalidates: bool,
}

/// An answer's content on its way. Boxed: it is large, and most answers have none.
pub(crate) struct Translation {
    translator: Option<Translator>,
    /// How the backend delimits the content, which is not how users get it.
    pub(crate) from: BodyKind,
    out: Vec<u8>,
}

/// Of which kinds an application's content is translated; `None` where none is.
pub(crate) fn kinds(settings: &AppSettings, internal: &InternalUrl) -> Option<Kinds> {
    let on = settings.translate_body;
    // A program that is its own backend has no other URLs than those it is published under.
    let translated = on.is_on() && !is_built_in(&internal.host);
    translated.then_some(Kinds { html: on.html, css: on.css, json: on.json, js: on.js })
}

/// Takes out of a request what would bring an answer that cannot be translated. `None` where nothing is translated; only where
/// something is, `mark` is asked which links hold.
pub(crate) fn request(head: &mut RequestHead, backend: &Backend, mark: impl FnOnce() -> u32) -> Option<Asked> {
    let kinds = backend.content?;
    if head.upgrade || head.method == Method::Connect || has_directive(&head.headers, NO_TRANSFORM) {
        return None;
    }
    let validators = Validators::new(mark(), kinds);
    // A part of something is neither a part of its translation nor to be translated.
    if !is_media(&head.headers) {
        head.headers.remove(Known::Range);
        head.headers.remove(Known::IfRange);
    }
    offer_codings(&mut head.headers);
    let revalidates = validators.inwards(&mut head.headers);
    Some(Asked { kinds, validators, revalidates })
}

/// Changes an answer's head as its content will be, and begins with that; `None` for an answer that is left alone.
pub(crate) fn response(
    head: &mut ResponseHead,
    asked: &Asked,
    method: &Method,
    links: impl FnOnce() -> Outwards,
) -> Result<Option<Box<Translation>>, Failed> {
    if head.status == 304 {
        if asked.revalidates {
            asked.validators.outwards(&mut head.headers);
        }
        return Ok(None);
    }
    if !is_translated(head, asked.kinds, method) {
        return Ok(None);
    }
    let translation = if *method == Method::Head {
        None
    } else {
        let begun = Translator::new(&info(&head.headers), asked.kinds, Rc::new(links()));
        let Some(translator) = begun.map_err(broken)? else { return Ok(None) };
        Some(Box::new(Translation { translator: Some(translator), from: head.body, out: Vec::new() }))
    };
    asked.validators.outwards(&mut head.headers);
    describe(head);
    Ok(translation)
}

fn is_translated(head: &ResponseHead, kinds: Kinds, method: &Method) -> bool {
    let has_content = match head.body {
        BodyKind::Length(_) | BodyKind::Chunked | BodyKind::UntilClose => !head.body.is_empty(),
        BodyKind::None => *method == Method::Head,
        BodyKind::Upgrade => false,
    };
    let headers = &head.headers;
    // Files that are kept are kept as they are.
    let is_file = headers.get_str(Known::ContentDisposition).is_some_and(|value| begins_with(value, "attachment"));
    has_content
        && head.status != 206
        && !headers.contains(Known::ContentRange)
        && !is_file
        && !has_directive(headers, NO_TRANSFORM)
        && headers.get_all(Known::ContentEncoding).count() <= 1
        && Translator::takes(&info(headers), kinds)
}

fn info(headers: &Headers) -> ContentInfo<'_> {
    ContentInfo {
        content_type: headers.get_str(Known::ContentType).unwrap_or_default(),
        content_encoding: headers.get_str(Known::ContentEncoding).unwrap_or_default(),
    }
}

/// What was true of the backend's content is not of its translation.
fn describe(head: &mut ResponseHead) {
    let headers = &mut head.headers;
    headers.remove(Known::ContentLength);
    for digest in DIGESTS {
        headers.remove(*digest);
    }
    let set = headers.set(Known::AcceptRanges, "none");
    debug_assert!(set.is_ok(), "a fixed value is one");
    if let BodyKind::Length(_) = head.body {
        head.body = BodyKind::Chunked;
    }
}

/// Browsers say that it is for something of which nothing is translated, and players cannot do without ranges.
fn is_media(headers: &Headers) -> bool {
    let destination = headers.get_str(Known::SecFetchDest);
    destination.is_some_and(|destination| MEDIA.iter().any(|media| media.eq_ignore_ascii_case(destination)))
}

/// Only what can be taken off again is offered. A request without the field gets what it would have got.
fn offer_codings(headers: &mut Headers) {
    if !headers.contains(Known::AcceptEncoding) {
        return;
    }
    let offered = headers.get_all(Known::AcceptEncoding).filter_map(|value| std::str::from_utf8(value).ok());
    let kept: Vec<&str> =
        offered.flat_map(|value| value.split(',')).map(str::trim).filter(|one| is_known(one)).collect();
    let kept = if kept.is_empty() { "identity".to_owned() } else { kept.join(", ") };
    let set = headers.set(Known::AcceptEncoding, kept);
    debug_assert!(set.is_ok(), "what was a field value stays one");
}

fn is_known(offer: &str) -> bool {
    let name = offer.split(';').next().unwrap_or_default().trim();
    Coding::NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn has_directive(headers: &Headers, directive: &str) -> bool {
    let values = headers.get_all(Known::CacheControl).filter_map(|value| std::str::from_utf8(value).ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(directive))
}

fn begins_with(value: &str, token: &str) -> bool {
    value.trim_start().get(..token.len()).is_some_and(|start| start.eq_ignore_ascii_case(token))
}

const MEDIA: [&str; 5] = ["audio", "video", "image", "font", "track"];
/// Of either side (RFC 9111 §5.2).
const NO_TRANSFORM: &str = "no-transform";
/// Digests of content, in heads and trailers (RFC 9530, and those before it).
const DIGESTS: &[&str] = &["content-md5", "digest", "content-digest", "repr-digest"];

impl Translation {
    /// Takes from the front of `content` and says what comes out, and whether to call again.
    pub(crate) fn push(&mut self, content: &mut &[u8]) -> Result<(Bytes, Progress), Failed> {
        let Some(translator) = &mut self.translator else { return Ok((Bytes::new(), Progress::Hungry)) };
        let progress = translator.push(content, &mut self.out).map_err(broken)?;
        Ok((self.take(), progress))
    }

    /// The content's end: what is left of it.
    pub(crate) fn finish(&mut self) -> Result<Bytes, Failed> {
        if let Some(translator) = self.translator.take() {
            translator.finish(&mut self.out).map_err(broken)?;
        }
        Ok(self.take())
    }

    /// What trailers say of the backend's content.
    pub(crate) fn trailers(trailers: &mut Headers) {
        for digest in DIGESTS {
            trailers.remove(*digest);
        }
    }

    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.out))
    }
}

fn broken(broken: Broken) -> Failed {
    let fault = match broken {
        Broken::Memory(_) => Fault::Overloaded,
        Broken::Invalid(_) | Broken::Truncated(_) | Broken::Expands(_) => Fault::BackendBroken,
    };
    Failed::new(fault, broken.to_string())
}

#[cfg(test)]
mod tests;
