//! The grammars of attributes that hold URLs among other things: lists, `srcset`, `meta refresh`.

use std::ops::Range;

use crate::limits::GROWTH_BYTES_MAX;

/// Maps the URLs at `places` of `value`; `None` if none changes, or it would grow too much.
fn replaced(
    value: &str,
    places: impl Iterator<Item = Range<usize>>,
    outwards: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    for place in places {
        if let Some(url) = value.get(place.clone()).and_then(&outwards) {
            out.push_str(value.get(copied..place.start)?);
            out.push_str(&url);
            copied = place.end;
            if out.len() > copied + GROWTH_BYTES_MAX {
                return None;
            }
        }
    }
    if copied == 0 && out.is_empty() {
        return None;
    }
    out.push_str(value.get(copied..)?);
    Some(out)
}

/// URLs with white space between (`ping`).
pub(crate) fn urls(value: &str, outwards: impl Fn(&str) -> Option<String>) -> Option<String> {
    replaced(value, words(value, |character| character.is_ascii_whitespace()), outwards)
}

/// The sources of a content security policy, and what else may be a URL in it. Quotes and semicolons end one, too.
pub(crate) fn policy(value: &str, outwards: impl Fn(&str) -> Option<String>) -> Option<String> {
    let separates = |character: char| character.is_ascii_whitespace() || matches!(character, ';' | '\'');
    replaced(value, words(value, separates), outwards)
}

/// Runs of what is no separator.
fn words(value: &str, separates: impl Fn(char) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = value.get(at..)?;
        let start = at + rest.find(|character: char| !separates(character))?;
        let end = value[start..].find(&separates).map_or(value.len(), |length| start + length);
        at = end;
        Some(start..end)
    })
}

/// `srcset` and `imagesrcset` (HTML Standard, "parse a srcset attribute"): URLs, each with descriptors, with commas between.
pub(crate) fn srcset(value: &str, outwards: impl Fn(&str) -> Option<String>) -> Option<String> {
    replaced(value, candidates(value), outwards)
}

fn candidates(value: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = value.get(at..)?;
        let start = at + rest.find(|character: char| !(character.is_ascii_whitespace() || character == ','))?;
        let run = value[start..].find(|character: char| character.is_ascii_whitespace());
        let end = run.map_or(value.len(), |length| start + length);
        let url = value[start..end].trim_end_matches(',');
        // A comma at its end is all there is to this candidate; else descriptors follow, to the next comma.
        at = if url.len() < end - start { end } else { end + descriptors(&value[end..]) };
        Some(start..start + url.len())
    })
}

/// How long the descriptors are; commas in parentheses are theirs.
fn descriptors(text: &str) -> usize {
    let mut parenthesis = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => parenthesis = true,
            b')' => parenthesis = false,
            b',' if !parenthesis => return at,
            _ => {}
        }
    }
    text.len()
}

/// `content` of `<meta http-equiv=refresh>`: `5; url=…` (HTML Standard, "shared declarative refresh steps").
pub(crate) fn refresh(value: &str, outwards: impl Fn(&str) -> Option<String>) -> Option<String> {
    let place = refresh_url(value)?;
    replaced(value, std::iter::once(place), outwards)
}

fn refresh_url(value: &str) -> Option<Range<usize>> {
    let space = |character: char| character.is_ascii_whitespace();
    let rest = value.trim_start_matches(space).trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if rest.len() == value.len() || !rest.starts_with(|c: char| space(c) || matches!(c, ';' | ',')) {
        return None;
    }
    let mut rest = rest.trim_start_matches(space);
    rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_start_matches(space);
    // The name may be absent: the URL itself, then.
    if let Some(named) = rest.get(..3).filter(|name| name.eq_ignore_ascii_case("url")).and_then(|_| rest.get(3..))
        && let Some(named) = named.trim_start_matches(space).strip_prefix('=')
    {
        rest = named.trim_start_matches(space);
    }
    let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''));
    let text = quote.map_or(rest, |_| &rest[1..]);
    let end = quote.and_then(|quote| text.find(quote)).unwrap_or(text.len());
    let url = text[..end].trim_end_matches(space);
    let start = value.len() - text.len();
    (!url.is_empty()).then(|| start..start + url.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_external(url: &str) -> Option<String> {
        url.strip_prefix("http://in/").map(|rest| format!("https://out/{rest}"))
    }

    #[test]
    fn lists_keep_what_is_between() {
        let lists = [
            ("http://in/a", Some("https://out/a")),
            (" http://in/a\t http://other/ http://in/b ", Some(" https://out/a\t http://other/ https://out/b ")),
            ("img-src 'self' http://in/a; default-src x", Some("img-src 'self' https://out/a; default-src x")),
            ("a b", None),
            ("", None),
        ];
        for (value, expected) in lists {
            assert_eq!(policy(value, to_external).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn what_would_grow_too_much_stays() {
        let long = |url: &str| (url == "/a").then(|| "https://out/".repeat(100));
        let few = "/a ".repeat(50);
        assert!(urls(&few, long).is_some_and(|out| out.len() > 50_000));
        assert_eq!(urls(&"/a ".repeat(100_000), long), None);
        assert_eq!(srcset(&"/a,".repeat(100_000).replace(',', " 1x,"), long), None);
        // What is large and has one URL is not what is meant.
        assert!(urls(&format!("/a {}", "b".repeat(1 << 20)), long).is_some());
    }

    #[test]
    fn srcsets_are_parsed_as_browsers_do() {
        for (value, expected) in [
            ("http://in/a.png", Some("https://out/a.png")),
            ("http://in/a 1x, http://in/b 2x", Some("https://out/a 1x, https://out/b 2x")),
            ("http://in/a,http://in/b 2x", Some("https://out/a,http://in/b 2x")),
            ("http://in/a, http://in/b", Some("https://out/a, https://out/b")),
            (", ,http://in/a 10w ,x.png 20w,http://in/c", Some(", ,https://out/a 10w ,x.png 20w,https://out/c")),
            (
                "data:image/png;base64,AA http://in/a, http://in/b 1x",
                Some("data:image/png;base64,AA http://in/a, https://out/b 1x"),
            ),
            ("a.png (1,http://in/x), http://in/b", Some("a.png (1,http://in/x), https://out/b")),
            ("a.png 1x, b.png 2x", None),
            (",,,", None),
        ] {
            assert_eq!(srcset(value, to_external).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn refreshes_are_found_however_they_are_written() {
        for (value, expected) in [
            ("5; url=http://in/x", Some("5; url=https://out/x")),
            ("0;URL='http://in/x' y", Some("0;URL='https://out/x' y")),
            (" 1.5 , url = \"http://in/x\"", Some(" 1.5 , url = \"https://out/x\"")),
            ("3;http://in/x ", Some("3;https://out/x ")),
            ("0 url=http://in/x", Some("0 url=https://out/x")),
            ("5", None),
            ("url=http://in/x", None),
            ("5;url=", None),
        ] {
            assert_eq!(refresh(value, to_external).as_deref(), expected, "{value}");
        }
    }
}
