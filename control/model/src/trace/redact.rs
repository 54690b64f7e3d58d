//! Secrets in what is recorded are replaced by [`REDACTED`]; names stay, so that it can be seen that something was there. Which names are
//! those of secrets is a guess in favour of secrecy: [`is_secret`]. What stands in a path and is no signed token, or in content of other
//! kinds, is not found.

mod content;
mod json;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use content::content;

/// Whether a parameter, field, cookie or member of this name holds a secret, by its words. Case, separators and percent-encoding do not
/// matter.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let plain = if name.contains('%') { percent_decoded(name) } else { name.to_owned() };
    let word: String = plain.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    // The second of several is one, too.
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    if HARMLESS.contains(&word) {
        return false;
    }
    WHOLE.contains(&word) || ENDS.iter().any(|end| word.ends_with(end)) || PARTS.iter().any(|part| word.contains(part))
}

/// A URL, or a target, without userinfo and the values of secret parameters.
#[must_use]
pub fn url(text: &str) -> String {
    without_tokens(&parameters(&without_userinfo(text), Ends::Url, false))
}

/// A field's value; `name` in lower case.
#[must_use]
pub fn header(name: &str, value: &str) -> String {
    match name {
        "cookie" => cookies(value),
        "set-cookie" => set_cookie(value),
        "authorization" | "proxy-authorization" => scheme_of(value),
        "www-authenticate" | "proxy-authenticate" => challenge(value),
        // Programs put tokens there that they can put nowhere else.
        "sec-websocket-protocol" => REDACTED.to_owned(),
        // Of these, only names are told.
        _ if name.starts_with("access-control-") => value.to_owned(),
        _ if is_secret(name) => REDACTED.to_owned(),
        _ => text(value, NESTED_MAX),
    }
}

/// A text in which URLs, parameters and tokens may stand, or JSON.
fn text(value: &str, depth: u32) -> String {
    let plain: Cow<'_, str> = match depth > 0 && is_json_like(value) {
        true => Cow::Owned(json::text_without_secrets(value, depth - 1)),
        false => Cow::Borrowed(value),
    };
    without_tokens(&within(&without_userinfo(&plain), Ends::Text, true, depth))
}

/// `a=…; b=…`: names and order stay.
fn cookies(value: &str) -> String {
    let pair = |pair: &str| pair.split_once('=').map_or(REDACTED.into(), |(name, _)| redacted(name.trim()));
    value.split(';').map(pair).collect::<Vec<_>>().join("; ")
}

/// The cookie's name and the attributes that browsers know stay.
fn set_cookie(value: &str) -> String {
    let mut parts = value.split(';');
    let pair = parts.next().and_then(|pair| pair.split_once('='));
    let mut out = pair.map_or(REDACTED.into(), |(name, _)| redacted(name.trim()));
    for attribute in parts {
        let name = attribute.split('=').next().unwrap_or_default().trim();
        let is_known = ATTRIBUTES.iter().any(|known| name.eq_ignore_ascii_case(known));
        out.push(';');
        match is_known || name.is_empty() {
            true => out.push_str(attribute),
            false => out.extend([" ", REDACTED]),
        }
    }
    out
}

/// Which scheme somebody proved by; nothing of the proof.
fn scheme_of(value: &str) -> String {
    match value.trim().split_once(' ') {
        Some((scheme, _)) if scheme.bytes().all(is_scheme) => format!("{scheme} {REDACTED}"),
        Some(_) | None => REDACTED.to_owned(),
    }
}

/// Challenges have parameters, unless one is a step of a scheme that goes on: then it is a secret of both.
fn challenge(value: &str) -> String {
    let mut is_quoted = false;
    let challenges = value.split(|c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    challenges.map(one_challenge).collect::<Vec<_>>().join(",")
}

/// One of them, or one parameter.
fn one_challenge(value: &str) -> String {
    let named = value.trim_start();
    let spaces = &value[..value.len() - named.len()];
    let (scheme, rest) = named.split_once(' ').unwrap_or((named, ""));
    let goes_on = ["negotiate", "ntlm", "kerberos"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    // RFC 9110 §11.2: padding is all that a token has of these.
    let is_token = !rest.trim().trim_end_matches('=').contains(['=', '"']) && !scheme.contains('=');
    match !rest.trim().is_empty() && (goes_on || is_token) {
        true => format!("{spaces}{scheme} {REDACTED}"),
        false => value.to_owned(),
    }
}

fn is_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Whether a word of it is a signed or encrypted token (RFC 7519), whatever the field is named.
fn holds_token(value: &str) -> bool {
    value.split(is_between_words).any(is_token)
}

/// Such words are replaced; what stands around them stays.
fn without_tokens(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for part in value.split_inclusive(is_between_words) {
        let word = part.trim_end_matches(is_between_words);
        out.push_str(if is_token(word) { REDACTED } else { word });
        out.push_str(&part[word.len()..]);
    }
    out
}

const fn is_between_words(c: char) -> bool {
    !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// What an object begins with in base64, and two dots.
fn is_token(word: &str) -> bool {
    word.find("eyJ").is_some_and(|at| word[at..].matches('.').count() >= 2)
}

fn redacted(name: &str) -> String {
    format!("{name}={REDACTED}")
}

/// `https://user:pass@host/` in any place of the text: what stands before the `@`.
fn without_userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//") {
        let (before, after) = rest.split_at(at + 2);
        out.push_str(before);
        let ends = after.find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>') || c.is_whitespace());
        let (authority, others) = after.split_at(ends.unwrap_or(after.len()));
        match authority.rsplit_once('@') {
            Some((_, host)) => out.extend([REDACTED, "@", host]),
            None => out.push_str(authority),
        }
        rest = others;
    }
    out.push_str(rest);
    out
}

/// Where a parameter's value ends.
#[derive(Clone, Copy)]
enum Ends {
    /// At the next parameter.
    Url,
    /// There, and where the URL in a text does.
    Text,
    /// At the next pair of a form.
    Form,
    /// There, and at the end of the line.
    Lines,
}

impl Ends {
    fn ends(self, c: char) -> bool {
        match self {
            Self::Url => matches!(c, '&' | '#'),
            Self::Text => matches!(c, '&' | '#' | '"' | '\'' | '<' | '>') || c.is_whitespace(),
            Self::Form => c == '&',
            Self::Lines => matches!(c, '&' | '\n' | '\r'),
        }
    }

    /// A parameter's name may begin behind it.
    fn is_before_name(self, c: char) -> bool {
        let is_between = match self {
            Self::Url | Self::Form => false,
            Self::Text => c == ',' || c.is_whitespace(),
            Self::Lines => matches!(c, '\n' | '\r'),
        };
        is_between || matches!(c, '?' | '&' | '#' | ';')
    }

    /// Where the value begins and ends in what stands behind the name; a quoted one between its marks.
    fn value_of(self, after: &str) -> (usize, usize) {
        let mark = after.chars().next().filter(|c| matches!(self, Self::Text) && matches!(*c, '"' | '\''));
        let Some(mark) = mark else {
            return (0, after.find(|c: char| self.ends(c)).unwrap_or(after.len()));
        };
        let mut escaped = false;
        let end = after[1..].find(|c: char| {
            let ends = c == mark && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        (1, end.map_or(after.len(), |end| end + 1))
    }
}

/// Replaces the values of secret parameters. They begin after `?`, `&`, `#` or `;`, and where the text does if it `begins` with one; in
/// texts after white space and commas, too.
fn parameters(text: &str, ends: Ends, begins: bool) -> String {
    within(text, ends, begins, NESTED_MAX)
}

fn within(text: &str, ends: Ends, begins: bool, depth: u32) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut at_name) = (text, begins);
    // Bytes behind the last value that was looked into: what stands in one ends there too, and is not looked into again.
    let mut looked_into = usize::MAX;
    while !rest.is_empty() {
        if !at_name {
            let Some(at) = rest.find(|c: char| ends.is_before_name(c)) else { break };
            let behind = rest[at..].chars().next().map_or(rest.len(), |c| at + c.len_utf8());
            let (before, after) = rest.split_at(behind);
            out.push_str(before);
            (rest, at_name) = (after, true);
            continue;
        }
        at_name = false;
        let (spaces, named) = rest.split_at(rest.len() - rest.trim_start().len());
        out.push_str(spaces);
        rest = named;
        let is_behind = |c: char| c == '=' || ends.is_before_name(c) || ends.ends(c);
        let name = &rest[..rest.find(is_behind).unwrap_or(rest.len())];
        let Some(after) = rest[name.len()..].strip_prefix('=') else {
            out.push_str(name);
            rest = &rest[name.len()..];
            continue;
        };
        out.extend([name, "="]);
        let is_new = after.len() <= looked_into;
        let (begin, end) = match is_new {
            true => ends.value_of(after),
            false => (0, after.len() - looked_into),
        };
        looked_into = after.len() - end;
        let value = &after[begin..end];
        rest = after;
        let is_looked_into = || is_new && (holds_token(value) || hides_secret(value, depth));
        if !value.is_empty() && (is_secret(name) || is_looked_into()) {
            out.push_str(&after[..begin]);
            out.push_str(REDACTED);
            rest = &after[end..];
        }
    }
    out.push_str(rest);
    out
}

/// Whether a value is itself a URL, encoded, or JSON, with a secret in it: where to return to after signing in, say.
fn hides_secret(value: &str, depth: u32) -> bool {
    if depth == 0 {
        return false;
    }
    if hides_in_json(value, depth) {
        return true;
    }
    if !value.contains('%') {
        return false;
    }
    let decoded = percent_decoded(value);
    let plain = without_userinfo(&decoded);
    plain != decoded
        || holds_token(&plain)
        || within(&plain, Ends::Url, true, depth - 1) != plain
        || (decoded != value && hides_secret(&decoded, depth - 1))
}

fn hides_in_json(value: &str, depth: u32) -> bool {
    is_json_like(value) && json::text_without_secrets(value, depth - 1) != value
}

fn is_json_like(value: &str) -> bool {
    value.trim_start().starts_with(['{', '['])
}

/// What is no encoding stays.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let [first, rest @ ..] = bytes {
        let digit = |nth: usize| rest.get(nth).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                bytes = &rest[2..];
            }
            _ => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What stands in a secret's place.
pub const REDACTED: &str = "[redacted]";
/// Encoded URLs in encoded URLs are looked at so deep.
const NESTED_MAX: u32 = 4;
/// Of a Set-Cookie.
const ATTRIBUTES: [&str; 9] =
    ["domain", "expires", "httponly", "max-age", "partitioned", "path", "priority", "samesite", "secure"];
/// Names that only end as those of secrets do.
const HARMLESS: [&str; 6] = ["bypass", "compass", "encompass", "pushpin", "spin", "trespass"];
/// Names that are those of secrets as they are, in lower case without separators and a number at their end.
const WHOLE: [&str; 12] =
    ["code", "cvc", "cvv", "hmac", "mfa", "nonce", "relaystate", "sid", "sig", "state", "tan", "ticket"];
/// Ends of such names.
const ENDS: [&str; 7] = ["auth", "key", "otp", "pass", "pin", "pw", "pwd"];
/// Parts of such names.
const PARTS: [&str; 35] = [
    "apikey",
    "assertion",
    "authcode",
    "authorization",
    "backupcode",
    "bearer",
    "cookie",
    "credential",
    "csrf",
    "devicecode",
    "jwt",
    "kennwort",
    "logincode",
    "onetime",
    "otpattempt",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwort",
    "recoverycode",
    "samlart",
    "samlrequest",
    "samlresponse",
    "secret",
    "sessid",
    "session",
    "signature",
    "smscode",
    "token",
    "totp",
    "usercode",
    "verificationcode",
    "verifier",
    "xsrf",
];
