//! The same for what nobody but Postern may say: fields, and cookies.

use postern_http::{
    Headers, Known, Scheme, add_forwarding, strip_cookies, strip_identity, strip_inbound, strip_set_cookies,
};
use postern_model::settings::OWN_COOKIES;

/// Lines of `NAME:VALUE`, from a client and from a backend: nothing of ours is left, whoever reads it, and nothing else is lost.
pub(crate) fn ours(data: &[u8]) {
    let headers = fields(data);
    inbound(&headers);
    cookies(&headers);
    set_cookies(&headers);
}

/// Those that are fields at all.
fn fields(data: &[u8]) -> Headers {
    let mut headers = Headers::default();
    for line in data.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let Ok(name) = std::str::from_utf8(&line[..colon]) else { continue };
        let _ = headers.append(name, line[colon + 1..].trim_ascii());
    }
    headers
}

fn inbound(headers: &Headers) {
    let mut left = headers.clone();
    strip_inbound(&mut left, &[]);
    strip_identity(&mut left);
    for field in left.iter() {
        let read = as_read(field.name());
        assert!(!PREFIXES.iter().any(|prefix| read.starts_with(prefix)), "{} is left", field.name());
        assert!(!NAMES.contains(&read.as_str()), "{} is left", field.name());
        assert!(!FRAMING.contains(&read.as_str()) || field.name() == read, "{} is left", field.name());
    }
    assert_eq!(of_application(&left), of_application(headers), "others are lost");
    add_forwarding(&mut left, ([192, 0, 2, 7], 4242).into(), Scheme::Https, "app.example.com");
    for (name, value) in TOLD {
        assert_eq!(left.get_all(name).collect::<Vec<_>>(), [value.as_bytes()], "{name}");
    }
}

/// As programs do that have variables of fields.
fn as_read(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

fn of_application(headers: &Headers) -> Vec<(&str, &[u8])> {
    let named = headers.iter().filter(|field| field.name().starts_with("x-app"));
    named.map(|field| (field.name(), field.value())).collect()
}

fn cookies(headers: &Headers) {
    for keep in [None, Some(KEPT)] {
        let mut left = headers.clone();
        strip_cookies(&mut left, &OWN_COOKIES, keep);
        let is_ours = |pair: &[u8]| {
            let is_kept = keep.is_some_and(|keep| pair.starts_with(&[keep.as_bytes(), b"="].concat()));
            begins_as_ours(pair) && !is_kept
        };
        assert_eq!(pairs(&left).into_iter().find(|pair| is_ours(pair)), None, "one of ours is left");
        let others: Vec<&[u8]> = pairs(headers).into_iter().filter(|pair| !is_ours(pair)).collect();
        assert_eq!(pairs(&left), others, "others are lost");
    }
}

fn pairs(headers: &Headers) -> Vec<&[u8]> {
    let lines = headers.get_all(Known::Cookie);
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.filter(|pair| !pair.is_empty()).collect()
}

fn set_cookies(headers: &Headers) {
    let mut left = headers.clone();
    strip_set_cookies(&mut left, &OWN_COOKIES, None);
    for value in left.get_all(Known::SetCookie) {
        let sent = sent_back(value);
        assert!(!begins_as_ours(sent), "one of ours is set: {}", value.escape_ascii());
    }
}

/// What browsers send back from there on (RFC 6265bis §5.6, §5.8.3): of a cookie without a name its value.
fn sent_back(set: &[u8]) -> &[u8] {
    let pair = set.split(|byte| *byte == b';').next().unwrap_or_default();
    let name = pair.iter().position(|byte| *byte == b'=').map_or(&b""[..], |end| &pair[..end]);
    if name.trim_ascii().is_empty() {
        let value = pair.iter().position(|byte| *byte == b'=').map_or(pair, |end| &pair[end + 1..]);
        return value.trim_ascii();
    }
    pair.trim_ascii()
}

fn begins_as_ours(pair: &[u8]) -> bool {
    let begins =
        |prefix: &str| pair.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
    OWN_COOKIES.iter().any(|prefix| begins(prefix))
}

const KEPT: &str = "postern-session-own";
const PREFIXES: [&str; 4] = ["x-forwarded-", "x-postern-", "x-webauth-", "x-remote-"];
const NAMES: [&str; 6] = ["forwarded", "x-forwarded", "x-real-ip", "client-cert", "remote-user", "x-user"];
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];
const TOLD: [(&str, &str); 4] = [
    ("forwarded", "for=192.0.2.7;host=app.example.com;proto=https"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "app.example.com"),
];
