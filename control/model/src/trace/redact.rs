//! Secrets in what is recorded are replaced by [`REDACTED`]; names stay, so that it can be seen that something was there. Which names are
//! those of secrets is a guess in favour of secrecy: [`is_secret`]. What stands in a path, or in content of other kinds, is not found.

mod content;
#[cfg(test)]
mod tests;

pub use content::content;

/// Whether a parameter, field, cookie or member of this name holds a secret, by its words. Case, separators and percent-encoding do not
/// matter.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let plain = if name.contains('%') { percent_decoded(name) } else { name.to_owned() };
    let word: String = plain.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    WHOLE.contains(&word.as_str())
        || ENDS.iter().any(|end| word.ends_with(end))
        || PARTS.iter().any(|part| word.contains(part))
}

/// A URL, or a target, without userinfo and the values of secret parameters.
#[must_use]
pub fn url(text: &str) -> String {
    parameters(&without_userinfo(text), Ends::Url, false)
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
        _ => {
            let text = parameters(&without_userinfo(value), Ends::Text, false);
            if holds_token(&text) { REDACTED.to_owned() } else { text }
        }
    }
}

/// `a=…; b=…`: names and order stay.
fn cookies(value: &str) -> String {
    let pair = |pair: &str| pair.split_once('=').map_or(REDACTED.into(), |(name, _)| redacted(name.trim()));
    value.split(';').map(pair).collect::<Vec<_>>().join("; ")
}

/// The cookie's name and its attributes stay.
fn set_cookie(value: &str) -> String {
    let (pair, attributes) = value.split_once(';').map_or((value, None), |(pair, rest)| (pair, Some(rest)));
    let pair = pair.split_once('=').map_or(REDACTED.into(), |(name, _)| redacted(name.trim()));
    attributes.map_or_else(|| pair.clone(), |rest| format!("{pair};{rest}"))
}

/// Which scheme somebody proved by; nothing of the proof.
fn scheme_of(value: &str) -> String {
    match value.trim().split_once(' ') {
        Some((scheme, _)) if scheme.bytes().all(is_scheme) => format!("{scheme} {REDACTED}"),
        Some(_) | None => REDACTED.to_owned(),
    }
}

/// A challenge has parameters, unless it is a step of a scheme that goes on: then it is a secret of both.
fn challenge(value: &str) -> String {
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    let goes_on = ["negotiate", "ntlm", "kerberos"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if goes_on && !rest.trim().is_empty() { format!("{scheme} {REDACTED}") } else { value.to_owned() }
}

fn is_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Whether a word of it is a signed or encrypted token (RFC 7519), whatever the field is named.
fn holds_token(value: &str) -> bool {
    let is_token = |word: &str| word.starts_with("eyJ") && word.matches('.').count() >= 2;
    value.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '=')).any(is_token)
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
}

impl Ends {
    fn ends(self, c: char) -> bool {
        match self {
            Self::Url => matches!(c, '&' | '#'),
            Self::Text => matches!(c, '&' | '#' | '"' | '\'' | '<' | '>') || c.is_whitespace(),
            Self::Form => c == '&',
        }
    }
}

/// Replaces the values of secret parameters. They begin after `?`, `&`, `#` or `;`, and where the text does if it `begins` with one.
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
            let Some(at) = rest.find(is_before_name) else { break };
            let (before, after) = rest.split_at(at + 1);
            out.push_str(before);
            (rest, at_name) = (after, true);
            continue;
        }
        at_name = false;
        let (spaces, named) = rest.split_at(rest.len() - rest.trim_start().len());
        out.push_str(spaces);
        rest = named;
        let name = &rest[..rest.find(|c: char| c == '=' || is_before_name(c) || ends.ends(c)).unwrap_or(rest.len())];
        let Some(after) = rest[name.len()..].strip_prefix('=') else {
            out.push_str(name);
            rest = &rest[name.len()..];
            continue;
        };
        out.extend([name, "="]);
        let is_new = after.len() <= looked_into;
        if is_new {
            looked_into = after.find(|c: char| ends.ends(c)).map_or(0, |end| after.len() - end);
        }
        let value = &after[..after.len() - looked_into];
        rest = after;
        let is_looked_into = || is_new && (holds_token(value) || hides_secret(value, depth));
        if !value.is_empty() && (is_secret(name) || is_looked_into()) {
            out.push_str(REDACTED);
            rest = &after[value.len()..];
        }
    }
    out.push_str(rest);
    out
}

const fn is_before_name(c: char) -> bool {
    matches!(c, '?' | '&' | '#' | ';')
}

/// Whether a value is itself a URL, encoded, with a secret in it: where to return to after signing in, say.
fn hides_secret(value: &str, depth: u32) -> bool {
    if depth == 0 || !value.contains('%') {
        return false;
    }
    let decoded = percent_decoded(value);
    let plain = without_userinfo(&decoded);
    plain != decoded
        || within(&plain, Ends::Url, true, depth - 1) != plain
        || (decoded != value && hides_secret(&decoded, depth - 1))
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
/// Names that are those of secrets as they are, in lower case without separators.
const WHOLE: [&str; 18] = [
    "auth",
    "code",
    "cvc",
    "cvv",
    "cvv2",
    "hmac",
    "mfa",
    "nonce",
    "pass",
    "pin",
    "pw",
    "relaystate",
    "sessid",
    "sid",
    "sig",
    "state",
    "tan",
    "ticket",
];
/// Ends of such names.
const ENDS: [&str; 3] = ["key", "otp", "pwd"];
/// Parts of such names.
const PARTS: [&str; 29] = [
    "apikey",
    "assertion",
    "authcode",
    "authorization",
    "backupcode",
    "cookie",
    "credential",
    "csrf",
    "devicecode",
    "jwt",
    "kennwort",
    "logincode",
    "onetime",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwort",
    "recoverycode",
    "samlrequest",
    "samlresponse",
    "secret",
    "session",
    "signature",
    "token",
    "usercode",
    "verificationcode",
    "verifier",
    "xsrf",
];
