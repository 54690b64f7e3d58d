//! The headers that tell an application who asks: which may be, and what each says.

use std::fmt;
use std::str::FromStr;

use super::{Claims, Expression, ExpressionInvalid, HEADERS_BYTES_MAX, HEADERS_MAX, TooLong, field_value, parser};

/// What `sso_headers` says: each name once, whatever its spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SsoHeaders(Vec<SsoHeader>);

/// One header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsoHeader {
    /// Its name.
    pub name: HeaderName,
    /// What it says.
    pub value: Expression,
}

/// A header's name that may tell who asks, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderName {
    name: Box<str>,
    /// With `-` for each `_`: what every spelling of it comes to.
    dashed: Box<str>,
}

/// A header that cannot tell who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderNameInvalid {
    /// Not of the form.
    #[error("a header's name: 1 to {NAME_BYTES_MAX} letters, digits, - and _, first a letter")]
    Malformed,
    /// It decides where a request goes, how it is read or who it is of.
    #[error("a header that has no meaning of its own in HTTP, to proxies or to Postern")]
    Taken,
}

/// A value, or all of them together, is too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}: what is to be told of the user is too long")]
pub struct TooLongFor(pub HeaderName);

impl SsoHeaders {
    /// What an application that asks who is there is told unless it says otherwise.
    #[must_use]
    pub fn standard() -> Self {
        STANDARD.parse().unwrap_or_default()
    }

    /// Every header.
    pub fn iter(&self) -> impl Iterator<Item = &SsoHeader> + Clone {
        self.0.iter()
    }

    /// Name and value of each header that has a value.
    ///
    /// # Errors
    /// When one is too long, or all together are: a part of them would say something else.
    pub fn values(&self, claims: &Claims<'_>) -> Result<Vec<(&HeaderName, String)>, TooLongFor> {
        let (mut values, mut bytes) = (Vec::with_capacity(self.0.len()), 0);
        for SsoHeader { name, value } in &self.0 {
            let too_long = |_: TooLong| TooLongFor(name.clone());
            let text = value.evaluate(claims).map_err(too_long)?;
            let Some(text) = field_value(&text).map_err(too_long)? else { continue };
            bytes += name.as_str().len() + text.len();
            if bytes > HEADERS_BYTES_MAX {
                return Err(too_long(TooLong));
            }
            values.push((name, text));
        }
        Ok(values)
    }
}

impl FromStr for SsoHeaders {
    type Err = ExpressionInvalid;

    fn from_str(text: &str) -> Result<Self, ExpressionInvalid> {
        if text == NONE {
            return Ok(Self::default());
        }
        parser::headers(text, HEADERS_MAX).map(Self)
    }
}

impl HeaderName {
    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The name with `-` for each `_`: what every spelling of it comes to.
    #[must_use]
    pub fn dashed(&self) -> &str {
        &self.dashed
    }

    /// Whether backends may take both for the same: `X_User` and `x-user`.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.dashed == other.dashed
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for HeaderName {
    type Err = HeaderNameInvalid;

    fn from_str(text: &str) -> Result<Self, HeaderNameInvalid> {
        let is_first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_first || !is_name || text.len() > NAME_BYTES_MAX {
            return Err(HeaderNameInvalid::Malformed);
        }
        let name = text.to_ascii_lowercase();
        let dashed = name.replace('_', "-");
        let has_meaning = TAKEN.contains(&&*dashed) || TAKEN_PREFIXES.iter().any(|prefix| dashed.starts_with(prefix));
        if has_meaning { Err(HeaderNameInvalid::Taken) } else { Ok(Self { name: name.into(), dashed: dashed.into() }) }
    }
}

const NONE: &str = "none";
const STANDARD: &str = "X-Postern-User=login; X-Postern-Name=display-name; X-Postern-Mail=mail";
const NAME_BYTES_MAX: usize = 64;
const TAKEN_PREFIXES: &[&str] = &[
    "accept",
    "access-control-",
    "content-",
    "cross-origin-",
    "grpc-",
    "http2-",
    "if-",
    "proxy-",
    "sec-",
    "x-http-method",
    "x-method-",
];
/// Besides what HTTP gives a meaning: `X-Forwarded-…` that say where a request came from or was sent to (`X-Forwarded-User` is
/// free), those that some applications take for the place that was asked for, and what Postern says of machines.
const TAKEN: &[&str] = &[
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "depth",
    "destination",
    "dnt",
    "early-data",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "last-event-id",
    "last-modified",
    "link",
    "location",
    "lock-token",
    "max-forwards",
    "origin",
    "overwrite",
    "permissions-policy",
    "pragma",
    "priority",
    "range",
    "referer",
    "referrer-policy",
    "refresh",
    "retry-after",
    "server",
    "server-timing",
    "set-cookie",
    "strict-transport-security",
    "te",
    "timeout",
    "timing-allow-origin",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-content-type-options",
    "x-forwarded",
    "x-forwarded-by",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-frame-options",
    "x-host",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-postern-service",
    "x-powered-by",
    "x-real-ip",
    "x-request-id",
    "x-requested-with",
    "x-rewrite-url",
    "x-xss-protection",
];
