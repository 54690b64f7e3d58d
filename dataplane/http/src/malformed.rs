//! Why a message was refused: one stable code for every rule, with the status a client gets.

use std::fmt;

/// A message that broke a [`Rule`]. The connection it came from must be closed after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct Malformed {
    /// The rule it broke.
    pub rule: Rule,
}

impl Malformed {
    /// Stable code, as in `docs/errors.md`.
    pub const fn code(self) -> &'static str {
        self.rule.code()
    }

    /// Status to answer a client with. When a backend broke the rule the answer is 502 whatever this says.
    pub const fn status(self) -> u16 {
        self.rule.status()
    }

    /// What was wrong, in one sentence that quotes nothing of the message.
    pub const fn detail(self) -> &'static str {
        self.rule.detail()
    }
}

impl From<Rule> for Malformed {
    fn from(rule: Rule) -> Self {
        Self { rule }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail(), self.code())
    }
}

macro_rules! rules {
    ($($variant:ident $code:literal $status:literal $detail:literal;)*) => {
        /// A rule of the codec. Codes are stable; their numbers are not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule {
            $(#[doc = $detail] $variant,)*
        }

        impl Rule {
            /// Every rule, for documentation and its checks.
            pub const ALL: &'static [Rule] = &[$(Rule::$variant),*];

            /// Stable code, as in `docs/errors.md`.
            pub const fn code(self) -> &'static str {
                match self { $(Rule::$variant => $code),* }
            }

            /// Status to answer a client with.
            pub const fn status(self) -> u16 {
                match self { $(Rule::$variant => $status),* }
            }

            /// What was wrong.
            pub const fn detail(self) -> &'static str {
                match self { $(Rule::$variant => $detail),* }
            }
        }
    };
}

rules! {
    BareLf "http-bare-lf" 400 "a line ends in LF without CR";
    BareCr "http-bare-cr" 400 "a CR is not followed by LF";
    HeadTooLarge "http-head-too-large" 431 "the head is larger than allowed";
    TooManyFields "http-too-many-fields" 431 "the message has more fields than allowed";
    RequestLine "http-request-line" 400 "the request line is not `method target version` with single spaces";
    Method "http-method" 400 "the method is not a token of at most 32 bytes";
    VersionUnsupported "http-version" 505 "the version is neither HTTP/1.0 nor HTTP/1.1";
    StatusLine "http-status-line" 400 "the status line is not `version status reason`";
    TargetTooLong "http-target-too-long" 414 "the request target is longer than allowed";
    TargetForm "http-target-form" 400 "the request target has a form that the method does not allow";
    TargetByte "http-target-byte" 400 "the request target holds a byte that must be percent-encoded";
    TargetFragment "http-target-fragment" 400 "the request target holds a fragment";
    TargetAuthority "http-target-authority" 400 "the host in the request target differs from Host";
    PathEscape "http-path-escape" 400 "the path holds an incomplete percent escape";
    PathControl "http-path-control" 400 "the path holds an encoded control character";
    PathBackslash "http-path-backslash" 400 "the path holds a backslash, plain or encoded";
    PathEncodedSlash "http-path-encoded-slash" 400 "the path holds an encoded slash, which this application does not allow";
    PathDotSegment "http-path-dot-segment" 400 "the path holds a `.` or `..` segment, plain or encoded";
    FieldColon "http-field-colon" 400 "a field line has no colon";
    FieldNameEmpty "http-field-name-empty" 400 "a field name is empty";
    FieldNameSpace "http-field-name-space" 400 "white space stands before a field's colon";
    FieldName "http-field-name" 400 "a field name is not a token";
    FieldNameTooLong "http-field-name-too-long" 431 "a field name is longer than 256 bytes";
    FieldFold "http-field-fold" 400 "a field value is folded over several lines";
    FieldValue "http-field-value" 400 "a field value holds a control character";
    HostMissing "http-host-missing" 400 "an HTTP/1.1 request has no Host";
    HostDuplicate "http-host-duplicate" 400 "the request has more than one Host";
    HostInvalid "http-host-invalid" 400 "Host is not a host name or address with an optional port";
    ContentLength "http-content-length" 400 "Content-Length is not a number of decimal digits below 2^64";
    ContentLengthDuplicate "http-content-length-duplicate" 400 "the message has more than one Content-Length";
    LengthAndEncoding "http-length-and-encoding" 400 "the message has both Content-Length and Transfer-Encoding";
    TransferEncoding "http-transfer-encoding" 400 "Transfer-Encoding is not exactly `chunked`";
    TransferCoding "http-transfer-coding" 501 "the transfer coding is unknown";
    TransferEncodingVersion "http-transfer-encoding-version" 400 "an HTTP/1.0 message has Transfer-Encoding";
    BodyForbidden "http-body-forbidden" 400 "the message announces content where its status allows none";
    ContentTooLarge "http-content-too-large" 413 "the content is larger than allowed";
    UnexpectedUpgrade "http-unexpected-upgrade" 400 "the response switches to a protocol that the request did not offer";
    Protocol "http-protocol-unsupported" 501 "an extended CONNECT asks for another protocol than websocket";
    Connection "http-connection" 400 "Connection is not a short list of tokens";
    Expectation "http-expectation" 417 "Expect is not `100-continue`";
    ChunkSize "http-chunk-size" 400 "a chunk size is not 1 to 16 hexadecimal digits";
    ChunkExtension "http-chunk-extension" 400 "a chunk extension is not `;name` or `;name=value`";
    ChunkLine "http-chunk-line" 400 "a chunk's size line is longer than allowed";
    ChunkEnd "http-chunk-end" 400 "chunk data is not followed by CRLF";
    TrailersTooLarge "http-trailers-too-large" 431 "the trailer section is larger than allowed";
    TrailerForbidden "http-trailer-forbidden" 400 "a trailer field would change framing or routing";
    TruncatedBody "http-truncated-body" 400 "the connection ended before the content did";
    Tunnel "http-tunnel-head" 400 "a head from the tunnel is not well-formed";
    TunnelVersion "http-tunnel-head-version" 400 "a head from the tunnel has an unknown format version";
}

#[cfg(test)]
mod tests {
    use super::Rule;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_and_kebab_case() {
        let codes: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        assert_eq!(codes.len(), Rule::ALL.len());
        for code in codes {
            assert!(code.starts_with("http-"));
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
        }
    }

    #[test]
    fn statuses_are_client_or_server_errors() {
        for rule in Rule::ALL {
            assert!(matches!(rule.status(), 400 | 413 | 414 | 417 | 431 | 501 | 505), "{rule}");
        }
    }
}
