//! Entity tags and dates of translated content (RFC 9110 §8.8, §13).
//!
//! A translation is not the backend's content, and changes when links do: its tag is `W/"…~pKMMMMMMMM"`, where the backend's was
//! `"…"` (K is `s`) or `W/"…"` (`w`), and the `M`s name links and kinds. Users' conditions are mapped back; one that was made under
//! others is dropped. A date cannot say any of that, so translations have none.

use postern_http::{Headers, Known};
use postern_translate::Kinds;

/// What maps tags both ways.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validators {
    mark: u32,
    kinds: Kinds,
}

/// One entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag<'a> {
    weak: bool,
    /// Between the quotes.
    opaque: &'a str,
}

impl Validators {
    /// `mark` names the links.
    pub(super) fn new(mark: u32, kinds: Kinds) -> Self {
        let bits =
            [kinds.html, kinds.css, kinds.json, kinds.js].iter().fold(0, |bits, on| (bits << 1) | u32::from(*on));
        Self { mark: mark ^ bits, kinds }
    }

    /// Maps a request's conditions to what the backend knows. True if the user has a translation that may still be good.
    pub(super) fn inwards(self, headers: &mut Headers) -> bool {
        // What is changed only if it is as it was seen is no question of translations: whichever links they were made under.
        self.list(headers, Known::IfMatch, |_, _| true);
        let to_be_translated = may_be_translated(headers, self.kinds);
        let mut revalidates = false;
        let asked = headers.contains(Known::IfNoneMatch);
        self.list(headers, Known::IfNoneMatch, |translated, current| {
            revalidates |= current;
            // The backend's own tag of what will be translated is from before that was so.
            current || !translated && !to_be_translated
        });
        let all_dropped = asked && !headers.contains(Known::IfNoneMatch);
        if all_dropped || to_be_translated && !revalidates {
            headers.remove(Known::IfModifiedSince);
        }
        revalidates
    }

    /// Maps the backend's tag to the translation's.
    pub(super) fn outwards(self, headers: &mut Headers) {
        headers.remove(Known::LastModified);
        let Some(tag) = headers.get_str(Known::Etag).and_then(Tag::parse) else {
            headers.remove(Known::Etag);
            return;
        };
        let kind = if tag.weak { 'w' } else { 's' };
        let value = format!("W/\"{}{MARKER}{kind}{:08x}\"", tag.opaque, self.mark);
        let set = headers.set(Known::Etag, value);
        debug_assert!(set.is_ok(), "what was a tag stays one");
    }

    /// Maps every tag of a list, and drops those that `keep` (translated, current) does not want. What is no list stays.
    fn list(self, headers: &mut Headers, name: Known, mut keep: impl FnMut(bool, bool) -> bool) {
        let Some(tags) = tags(headers, name) else { return };
        let mut kept = Vec::new();
        for tag in tags {
            let (tag, translated, current) = match tag.original() {
                Some((original, mark)) => (original, true, mark == self.mark),
                None => (tag, false, false),
            };
            if keep(translated, current) {
                let weak = if tag.weak { "W/" } else { "" };
                kept.push(format!("{weak}\"{}\"", tag.opaque));
            }
        }
        if kept.is_empty() {
            headers.remove(name);
            return;
        }
        let set = headers.set(name, kept.join(", "));
        debug_assert!(set.is_ok(), "what were tags stay ones");
    }
}

impl<'a> Tag<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (tag, rest) = Self::first(text)?;
        rest.is_empty().then_some(tag)
    }

    /// The tag that `text` begins with, and what follows.
    fn first(text: &'a str) -> Option<(Self, &'a str)> {
        let (weak, quoted) = match text.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let (opaque, rest) = quoted.strip_prefix('"')?.split_once('"')?;
        Some((Self { weak, opaque }, rest))
    }

    /// Of a translation's tag the backend's, and under which mark it was made.
    fn original(self) -> Option<(Self, u32)> {
        let (opaque, made) = self.opaque.rsplit_once(MARKER)?;
        let (kind, mark) = made.split_at_checked(1)?;
        let weak = match kind {
            "w" => true,
            "s" => false,
            _ => return None,
        };
        let digits = mark.len() == 8 && mark.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mark = u32::from_str_radix(mark, 16).ok().filter(|_| digits)?;
        Some((Self { weak, opaque }, mark))
    }
}

/// The tags of a list; `None` if there is none, or it is `*` or not of the form.
fn tags(headers: &Headers, name: Known) -> Option<Vec<Tag<'_>>> {
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let mut rest = std::str::from_utf8(value).ok()?;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                break;
            }
            let (tag, after) = Tag::first(rest)?;
            tags.push(tag);
            rest = after;
        }
    }
    (!tags.is_empty()).then_some(tags)
}

/// Whether the answer may be of a kind that is translated, as far as browsers say (Fetch §2.2.5, "destination").
fn may_be_translated(headers: &Headers, kinds: Kinds) -> bool {
    let destination = headers.get_str(Known::SecFetchDest).unwrap_or("empty").to_ascii_lowercase();
    match destination.as_str() {
        "document" | "iframe" | "frame" | "fencedframe" | "embed" | "object" => kinds.html,
        "style" => kinds.css,
        "script" | "worker" | "sharedworker" | "serviceworker" | "audioworklet" | "paintworklet" => kinds.js,
        "manifest" | "json" | "speculationrules" => kinds.json,
        // What scripts fetch, and of browsers that do not say: by what they would take, which is mostly anything. Then it is
        // what programs exchange, if that is translated.
        "empty" => {
            let accepted = headers.get_str(Known::Accept).unwrap_or("*/*").to_ascii_lowercase();
            let takes = |what: &str| accepted.contains(what);
            kinds.html && takes("html")
                || kinds.css && takes("text/css")
                || kinds.json && (takes("json") || takes("*/*"))
                || kinds.js && (takes("javascript") || takes("*/*"))
        }
        // Images, fonts, media.
        _ => false,
    }
}

const MARKER: &str = "~p";

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: Kinds = Kinds { html: true, css: true, json: false, js: false };

    fn validators() -> Validators {
        Validators::new(0x00ab_cdef, KINDS)
    }

    fn with(fields: &[(Known, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.append(*name, value).unwrap();
        }
        headers
    }

    /// The tag that a translation of something with `tag` has.
    fn marked(validators: Validators, tag: &str) -> String {
        let mut headers = with(&[(Known::Etag, tag), (Known::LastModified, "Mon, 01 Jan 2024 00:00:00 GMT")]);
        validators.outwards(&mut headers);
        assert!(!headers.contains(Known::LastModified));
        headers.get_str(Known::Etag).unwrap_or_default().to_owned()
    }

    #[test]
    fn a_tag_becomes_weak_and_comes_back() {
        for tag in ["\"abc\"", "W/\"abc\"", "\"\"", "\"a~pb\""] {
            let marked = marked(validators(), tag);
            assert!(marked.starts_with("W/\"") && marked != tag, "{marked}");
            let mut headers = with(&[(Known::IfNoneMatch, marked.as_str()), (Known::IfMatch, marked.as_str())]);
            assert!(validators().inwards(&mut headers), "{tag}");
            assert_eq!(headers.get_str(Known::IfNoneMatch), Some(tag));
            assert_eq!(headers.get_str(Known::IfMatch), Some(tag));
        }
        assert_eq!(marked(validators(), "abc"), "", "what is no tag is left out");
    }

    #[test]
    fn what_was_made_under_other_links_is_not_good_any_more() {
        let others = [Validators::new(1, KINDS), Validators::new(0x00ab_cdef, Kinds { js: true, ..KINDS })];
        for other in others {
            let old = marked(other, "\"abc\"");
            let old = old.as_str();
            let mut headers = with(&[(Known::IfNoneMatch, old), (Known::IfModifiedSince, "x"), (Known::IfMatch, old)]);
            assert!(!validators().inwards(&mut headers));
            assert!(!headers.contains(Known::IfNoneMatch) && !headers.contains(Known::IfModifiedSince));
            assert_eq!(headers.get_str(Known::IfMatch), Some("\"abc\""));
        }
    }

    #[test]
    fn what_is_not_translated_is_asked_for_as_before() {
        let image =
            [(Known::SecFetchDest, "image"), (Known::IfNoneMatch, "\"a\", W/\"b\""), (Known::IfModifiedSince, "x")];
        let mut headers = with(&image);
        assert!(!validators().inwards(&mut headers));
        assert_eq!(headers.get_str(Known::IfNoneMatch), Some("\"a\", W/\"b\""));
        assert!(headers.contains(Known::IfModifiedSince));
        // A page that was kept before it was translated.
        for page in [(Known::SecFetchDest, "document"), (Known::Accept, "text/html,*/*")] {
            let mut headers = with(&[page, (Known::IfNoneMatch, "\"a\""), (Known::IfModifiedSince, "x")]);
            assert!(!validators().inwards(&mut headers));
            assert!(!headers.contains(Known::IfNoneMatch) && !headers.contains(Known::IfModifiedSince));
        }
    }

    #[test]
    fn what_was_kept_before_its_kind_was_translated_is_fetched_anew() {
        let both = [("js", Kinds { js: true, ..KINDS }), ("json", Kinds { json: true, ..KINDS })];
        let asked = |kinds: Kinds, says: &[(Known, &str)]| {
            let mut headers = with(&[(Known::IfNoneMatch, "\"a\""), (Known::IfModifiedSince, "x")]);
            says.iter().for_each(|(name, value)| headers.append(*name, value).unwrap());
            assert!(!Validators::new(1, kinds).inwards(&mut headers));
            let kept = headers.contains(Known::IfNoneMatch);
            assert_eq!(headers.contains(Known::IfModifiedSince), kept, "{says:?}");
            kept
        };
        let destination = |destination| [(Known::SecFetchDest, destination)];
        for (which, kinds) in both {
            assert_eq!(asked(kinds, &destination("script")), which == "json");
            assert_eq!(asked(kinds, &destination("serviceworker")), which == "json");
            assert_eq!(asked(kinds, &destination("manifest")), which == "js");
            assert!(!asked(kinds, &destination("empty")) && !asked(kinds, &[]), "it may be");
            let json = [(Known::SecFetchDest, "empty"), (Known::Accept, "application/json")];
            assert_eq!(asked(kinds, &json), which == "js");
            assert!(asked(kinds, &destination("image")) && asked(kinds, &destination("font")));
        }
        assert!(asked(KINDS, &destination("script")) && asked(KINDS, &destination("empty")));
        assert!(!asked(KINDS, &destination("style")));
    }

    #[test]
    fn what_is_no_list_of_tags_stays() {
        for value in ["*", "abc", "\"a", "\"a\", b"] {
            let mut headers = with(&[(Known::IfNoneMatch, value), (Known::SecFetchDest, "document")]);
            assert!(!validators().inwards(&mut headers));
            assert_eq!(headers.get_str(Known::IfNoneMatch), Some(value));
        }
    }
}
