//! The same for what stands in an answer's head.

use postern_translate::absolute::{Absolute, moved};
use postern_translate::fields;
use postern_translate::limits::TRANSLATED_BYTES_MAX;

/// A field of the kind that the first byte chooses: nothing but its URLs changes, and none that leads inside is left.
pub(crate) fn field(data: &[u8]) {
    let Some((&choice, value)) = data.split_first() else { return };
    let Ok(value) = std::str::from_utf8(value) else { return };
    let translate = FIELDS[usize::from(choice) % FIELDS.len()];
    assert_eq!(translate(value, &|_| None), None, "nothing leads inside");
    let same = translate(value, &|url| Some(url.to_owned()));
    assert!(same.is_none_or(|same| same == value), "URLs that become themselves change it");
    let Some(becomes) = translate(value, &outwards) else { return };
    assert!(becomes.len() <= value.len() + TRANSLATED_BYTES_MAX, "{} bytes", becomes.len());
    assert_eq!(translate(&becomes, &outwards), None, "something was left in {becomes:?}");
}

/// A URL or a path: its parts are pieces of it, and what is moved to another place does not lead out of that.
pub(crate) fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(url) = Absolute::split(text) {
        assert!(url.rest.is_empty() || url.rest.starts_with(['/', '?', '#']), "{url:?}");
        assert!(!url.host.is_empty() && !url.host.contains(['/', '?', '#', '@']), "{url:?}");
        assert!(text.ends_with(url.rest) && text.contains(url.host), "{url:?}");
        let scheme = url.scheme_for(url.scheme.is_some_and(|scheme| scheme.tls));
        assert!(url.scheme.is_none() || text.to_ascii_lowercase().starts_with(scheme), "{url:?}");
    }
    let rest = Absolute::split(text).map_or(text, |url| url.rest);
    for (from, to) in PLACES {
        let Some(after) = moved(rest, from, to) else { continue };
        let becomes = [to, after].concat();
        assert!(segments(&becomes).starts_with(&segments(to)), "{rest:?} leads out of {to} as {becomes:?}");
    }
}

/// Where a browser ends up (URL Standard, path state).
fn segments(url: &str) -> Vec<String> {
    let path = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    let plain: String = path.chars().filter(|letter| !matches!(letter, '\t' | '\r' | '\n')).collect();
    let mut segments = Vec::new();
    for segment in plain.split(['/', '\\']).skip(1) {
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            ".." => drop(segments.pop()),
            "." => {}
            _ => segments.push(segment.to_owned()),
        }
    }
    segments
}

/// As if `http://in/` were published.
fn outwards(url: &str) -> Option<String> {
    url.strip_prefix("http://in/").map(|rest| format!("http://outside/{rest}"))
}

type Translate = dyn Fn(&str) -> Option<String>;
const FIELDS: [fn(&str, &Translate) -> Option<String>; 3] = [
    |value, translate| fields::targets(value, translate),
    |value, translate| fields::refresh(value, translate),
    |value, translate| fields::policy(value, translate, translate),
];
const PLACES: [(&str, &str); 4] = [("", "/shop"), ("/base", "/shop"), ("/base", "/base"), ("/base/v1", "/shop/a")];
