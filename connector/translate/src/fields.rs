//! Fields that hold URLs among other things: only the URLs change. What is not of its field's form stays as it is, byte for byte.

use std::ops::Range;

use crate::limits::TRANSLATED_BYTES_MAX;

/// `Link` (RFC 8288 §3) and `If` (RFC 4918 §10.4): each `<URL>` outside of texts in quotes and of parentheses, in which `If` has
/// conditions.
pub fn targets(value: &str, translate: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut spliced = Spliced::of(value);
    let bytes = value.as_bytes();
    let (mut at, mut quoted, mut depth) = (0, false, 0u32);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth = depth.saturating_add(1),
            b')' if !quoted => depth = depth.saturating_sub(1),
            b'<' if !quoted => {
                let Some(length) = value[at..].find('>') else { break };
                let target = at + 1..at + length;
                at = target.end;
                if depth == 0
                    && let Some(url) = translate(&value[target.clone()])
                {
                    spliced.replace(target, &url);
                }
            }
            _ => {}
        }
        at += 1;
    }
    spliced.finish()
}

/// `Refresh`: `5; url=URL`, with or without quotes and `url=`, as browsers read it (HTML, "shared declarative refresh steps").
pub fn refresh(value: &str, translate: impl Fn(&str) -> Option<String>) -> Option<String> {
    let after = value[value.find([';', ','])? + 1..].trim_start();
    let url = after.split_at_checked(3).filter(|(name, _)| name.eq_ignore_ascii_case("url"));
    let url = url.and_then(|(_, rest)| rest.trim_start().strip_prefix('=')).map_or(after, str::trim_start);
    let quote = url.chars().next().filter(|first| matches!(first, '"' | '\''));
    let start = value.len() - url.len() + usize::from(quote.is_some());
    let end = quote.and_then(|quote| value[start..].find(quote)).map_or(value.len(), |length| start + length);
    let translated = translate(&value[start..end])?;
    let mut spliced = Spliced::of(value);
    spliced.replace(start..end, &translated);
    spliced.finish()
}

/// `Content-Security-Policy`: the sources of each directive that has some, and where violations are reported to. What the others
/// say is no URL, though it may be spelt as a host: the group of `report-to`, the flags of `sandbox`. `source` translates a source
/// that names a host, with or without a scheme; `translate` all other URLs.
pub fn policy(
    value: &str,
    source: impl Fn(&str) -> Option<String>,
    translate: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let mut spliced = Spliced::of(value);
    let (mut at, mut directive) = (0, None);
    for piece in value.split_inclusive([' ', '\t', ';', ',']) {
        let token = piece.trim_end_matches([' ', '\t', ';', ',']);
        if !token.is_empty() {
            let becomes = match directive {
                None => {
                    directive = Some(Directive::of(token));
                    None
                }
                Some(Directive::Sources) => source(token).or_else(|| translate(token)),
                Some(Directive::Reports) => translate(token),
                Some(Directive::Other) => None,
            };
            if let Some(url) = becomes {
                spliced.replace(at..at + token.len(), &url);
            }
        }
        if piece.ends_with([';', ',']) {
            directive = None;
        }
        at += piece.len();
    }
    spliced.finish()
}

/// What the values of a directive are (Content Security Policy Level 3 §6).
#[derive(Debug, Clone, Copy)]
enum Directive {
    Sources,
    Reports,
    Other,
}

impl Directive {
    fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "base-uri" | "form-action" | "frame-ancestors" | "navigate-to" => Self::Sources,
            "report-uri" => Self::Reports,
            _ if SOURCE_LISTS.iter().any(|end| name.ends_with(end)) => Self::Sources,
            _ => Self::Other,
        }
    }
}

/// What the names of directives with sources end with.
const SOURCE_LISTS: [&str; 3] = ["-src", "-src-elem", "-src-attr"];

/// A text of which pieces are replaced, from the front to the back. Nothing is allocated before the first is.
struct Spliced<'a> {
    text: &'a str,
    out: String,
    /// So much of the text is in `out`.
    copied: usize,
    too_long: bool,
}

impl<'a> Spliced<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, out: String::new(), copied: 0, too_long: false }
    }

    fn replace(&mut self, piece: Range<usize>, with: &str) {
        self.too_long |= self.out.len() + (piece.start - self.copied) + with.len() > TRANSLATED_BYTES_MAX;
        if self.too_long {
            return;
        }
        self.out.push_str(&self.text[self.copied..piece.start]);
        self.out.push_str(with);
        self.copied = piece.end;
    }

    /// None when nothing was replaced, or the text would become too long.
    fn finish(mut self) -> Option<String> {
        if self.copied == 0 || self.too_long {
            return None;
        }
        self.out.push_str(&self.text[self.copied..]);
        Some(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if `http://in` were inside.
    fn out(url: &str) -> Option<String> {
        url.strip_prefix("http://in").map(|rest| format!("https://out.example{rest}"))
    }

    #[test]
    fn each_target_outside_of_quotes_is_translated() {
        for (value, becomes) in [
            ("<http://in/a>; rel=preload", Some("<https://out.example/a>; rel=preload")),
            (
                "<http://in/a>;rel=\"<http://in/b>\", </c>, <http://in/d>",
                Some("<https://out.example/a>;rel=\"<http://in/b>\", </c>, <https://out.example/d>"),
            ),
            ("<x>; title=\"a\\\"<http://in/>\"", None),
            ("<http://in/", None),
            ("http://in/", None),
            ("", None),
            (
                "<http://in/a> (<http://in/token> [\"<http://in/etag>\"]) <http://in/b> (Not <x>)",
                Some(
                    "<https://out.example/a> (<http://in/token> [\"<http://in/etag>\"]) <https://out.example/b> (Not <x>)",
                ),
            ),
        ] {
            assert_eq!(targets(value, out).as_deref(), becomes, "{value}");
        }
    }

    #[test]
    fn a_refresh_is_read_as_browsers_do() {
        for (value, becomes) in [
            ("5; url=http://in/a", Some("5; url=https://out.example/a")),
            ("0;URL = 'http://in/a' x", Some("0;URL = 'https://out.example/a' x")),
            ("1,\"http://in/a", Some("1,\"https://out.example/a")),
            ("1; http://in/", Some("1; https://out.example/")),
            ("5", None),
            ("5;", None),
            ("5; url=/a", None),
            ("5; url=\u{e4}", None),
            ("5; ur\u{e4}", None),
        ] {
            assert_eq!(refresh(value, out).as_deref(), becomes, "{value}");
        }
    }

    #[test]
    fn what_would_become_too_long_stays() {
        let many = "<http://in/a>,".repeat(TRANSLATED_BYTES_MAX / 16);
        assert_eq!(targets(&many, out), None);
    }
}
