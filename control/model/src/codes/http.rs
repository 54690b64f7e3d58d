//! What makes a request or an application's answer malformed. A request gets the status given and its connection is closed;
//! an application that breaks the same rule is `backend-broken`, 502, and the log names the rule.

use super::Code;

/// What most of them have in common.
const MALFORMED: Code = Code {
    code: "",
    status: Some(400),
    title: "",
    cause: "",
    cure: "correct the sender of this message. It breaks HTTP/1.1 (RFC 9112) and is refused, never repaired: programs in a chain would read it differently.",
};

pub(super) const CODES: &[Code] = &[
    Code {
        code: "http-bare-lf",
        title: "A line ends in LF without CR",
        cause: "Lines end in CR LF. A bare LF is read as a line end by some programs and not by others, which request smuggling exploits.",
        ..MALFORMED
    },
    Code {
        code: "http-bare-cr",
        title: "A CR is not followed by LF",
        cause: "A CR inside a line is read differently by different programs.",
        ..MALFORMED
    },
    Code {
        code: "http-head-too-large",
        status: Some(431),
        title: "The head is larger than allowed",
        cause: "Request line and header fields together exceed the limit; most often a cookie has grown.",
        cure: "send less in the header: clear the site's cookies, or make the application set smaller ones.",
    },
    Code {
        code: "http-too-many-fields",
        status: Some(431),
        title: "Too many header fields",
        cause: "The message has more header fields than allowed.",
        cure: "send fewer header fields.",
    },
    Code {
        code: "http-request-line",
        title: "The request line is malformed",
        cause: "The first line is not `method target version` with single spaces; often the client speaks another protocol.",
        ..MALFORMED
    },
    Code {
        code: "http-method",
        title: "The method is malformed",
        cause: "The method is not a token of at most 32 bytes.",
        ..MALFORMED
    },
    Code {
        code: "http-version",
        status: Some(505),
        title: "The HTTP version is not supported",
        cause: "The version is neither HTTP/1.0 nor HTTP/1.1.",
        cure: "use HTTP/1.1.",
    },
    Code {
        code: "http-status-line",
        title: "The status line is malformed",
        cause: "The application's first line is not `version status reason`.",
        cure: "correct the application, or its internal URL: what listens there does not speak HTTP.",
        ..MALFORMED
    },
    Code {
        code: "http-target-too-long",
        status: Some(414),
        title: "The address is too long",
        cause: "Path and query exceed the limit.",
        cure: "send long input in the body, with POST.",
    },
    Code {
        code: "http-target-form",
        title: "The request target has the wrong form",
        cause: "The target has a form that the method does not allow: an absolute URL, an authority or `*` in the wrong place.",
        ..MALFORMED
    },
    Code {
        code: "http-target-byte",
        title: "The address holds a byte that must be encoded",
        cause: "A space, a control character or a byte above 127 stands in the target as it is.",
        cure: "percent-encode it.",
        ..MALFORMED
    },
    Code {
        code: "http-target-fragment",
        title: "The address holds a fragment",
        cause: "What follows `#` is for the client alone and is never sent.",
        ..MALFORMED
    },
    Code {
        code: "http-target-authority",
        title: "The address and Host differ",
        cause: "The host in the request target is another than the Host field's.",
        ..MALFORMED
    },
    Code {
        code: "http-path-escape",
        title: "A percent escape is incomplete",
        cause: "A `%` in the path is not followed by two hexadecimal digits.",
        cure: "percent-encode a literal percent sign as %25.",
        ..MALFORMED
    },
    Code {
        code: "http-path-control",
        title: "The path holds an encoded control character",
        cause: "%00 to %1f and %7f in a path serve attacks on applications.",
        cure: "remove the character from the path.",
        ..MALFORMED
    },
    Code {
        code: "http-path-backslash",
        title: "The path holds a backslash",
        cause: "A backslash, plain or as %5c, is a path separator to some applications and not to others.",
        cure: "use / in paths.",
        ..MALFORMED
    },
    Code {
        code: "http-path-encoded-slash",
        title: "The path holds an encoded slash",
        cause: "%2f is a separator to some applications and not to others; this application does not allow it.",
        cure: "send such values in the query or the body.",
        ..MALFORMED
    },
    Code {
        code: "http-path-dot-segment",
        title: "The path holds a dot segment",
        cause: "A `.` or `..` segment, plain or encoded, could lead outside the published root. Clients resolve them before they send.",
        cure: "resolve the path before it is sent.",
        ..MALFORMED
    },
    Code {
        code: "http-field-colon",
        title: "A header line has no colon",
        cause: "A line of the header is not `name: value`.",
        ..MALFORMED
    },
    Code {
        code: "http-field-name-empty",
        title: "A header field has no name",
        cause: "A line of the header begins with its colon.",
        ..MALFORMED
    },
    Code {
        code: "http-field-name-space",
        title: "White space stands before a colon",
        cause: "`Name : value` is read differently by different programs, which request smuggling exploits.",
        ..MALFORMED
    },
    Code {
        code: "http-field-name",
        title: "A header field's name is malformed",
        cause: "The name holds a byte that no field name may hold.",
        ..MALFORMED
    },
    Code {
        code: "http-field-name-too-long",
        status: Some(431),
        title: "A header field's name is too long",
        cause: "The name is longer than 256 bytes.",
        cure: "use a shorter name.",
    },
    Code {
        code: "http-field-fold",
        title: "A header field is folded",
        cause: "The value continues on a line that begins with white space; HTTP/1.1 no longer has this.",
        ..MALFORMED
    },
    Code {
        code: "http-field-value",
        title: "A header field holds a control character",
        cause: "The value holds NUL, CR, LF or another control character.",
        ..MALFORMED
    },
    Code {
        code: "http-host-missing",
        title: "Host is missing",
        cause: "An HTTP/1.1 request must name its host.",
        ..MALFORMED
    },
    Code {
        code: "http-host-duplicate",
        title: "Host stands twice",
        cause: "Two Host fields let two programs see two hosts.",
        ..MALFORMED
    },
    Code {
        code: "http-host-invalid",
        title: "Host is malformed",
        cause: "Host is not a host name or address with an optional port.",
        ..MALFORMED
    },
    Code {
        code: "http-content-length",
        title: "Content-Length is not a number",
        cause: "Content-Length must be decimal digits only, below 2^64.",
        ..MALFORMED
    },
    Code {
        code: "http-content-length-duplicate",
        title: "Content-Length stands twice",
        cause: "More than one Content-Length lets two programs see two ends of the body, equal or not.",
        ..MALFORMED
    },
    Code {
        code: "http-length-and-encoding",
        title: "Content-Length and Transfer-Encoding together",
        cause: "With both, two programs see two ends of the body: the classic of request smuggling.",
        ..MALFORMED
    },
    Code {
        code: "http-transfer-encoding",
        title: "Transfer-Encoding is not exactly chunked",
        cause: "Lists, repetitions and odd spellings of Transfer-Encoding are read differently by different programs.",
        cure: "send `Transfer-Encoding: chunked`, once.",
        ..MALFORMED
    },
    Code {
        code: "http-transfer-coding",
        status: Some(501),
        title: "The transfer coding is unknown",
        cause: "Only chunked is understood.",
        cure: "send the body chunked or with Content-Length. Compress with Content-Encoding instead.",
    },
    Code {
        code: "http-transfer-encoding-version",
        title: "Transfer-Encoding in HTTP/1.0",
        cause: "HTTP/1.0 has no transfer encodings.",
        cure: "use HTTP/1.1 or Content-Length.",
        ..MALFORMED
    },
    Code {
        code: "http-body-forbidden",
        title: "Content where none is allowed",
        cause: "The message announces content that its status does not allow.",
        cure: "correct the application.",
        ..MALFORMED
    },
    Code {
        code: "http-content-too-large",
        status: Some(413),
        title: "The content is larger than allowed",
        cause: "The body exceeds the limit set for the application.",
        cure: "send less.",
    },
    Code {
        code: "http-unexpected-upgrade",
        title: "An upgrade that nobody asked for",
        cause: "The application switched to a protocol that the request had not offered.",
        cure: "correct the application.",
        ..MALFORMED
    },
    Code {
        code: "http-protocol-unsupported",
        status: Some(501),
        title: "The protocol of an extended CONNECT is not supported",
        cause: "An HTTP/2 client asked by CONNECT with `:protocol` (RFC 8441) for another protocol than websocket.",
        cure: "use WebSocket over HTTP/2, or another upgrade over HTTP/1.1.",
    },
    Code {
        code: "http-connection",
        title: "Connection is malformed",
        cause: "The Connection field is not a short list of tokens.",
        ..MALFORMED
    },
    Code {
        code: "http-expectation",
        status: Some(417),
        title: "The expectation cannot be met",
        cause: "Expect holds something other than `100-continue`.",
        cure: "leave Expect out.",
    },
    Code {
        code: "http-chunk-size",
        title: "A chunk's size is malformed",
        cause: "The size is not 1 to 16 hexadecimal digits.",
        ..MALFORMED
    },
    Code {
        code: "http-chunk-extension",
        title: "A chunk's extension is malformed",
        cause: "An extension is `;name` or `;name=value`; others are read differently by different programs.",
        ..MALFORMED
    },
    Code {
        code: "http-chunk-line",
        title: "A chunk's size line is too long",
        cause: "The line exceeds its limit; extensions that long serve attacks only.",
        ..MALFORMED
    },
    Code {
        code: "http-chunk-end",
        title: "A chunk does not end where it should",
        cause: "The chunk's data is not followed by CR LF: its size was wrong.",
        ..MALFORMED
    },
    Code {
        code: "http-trailers-too-large",
        status: Some(431),
        title: "The trailers are larger than allowed",
        cause: "The trailer section exceeds its limit.",
        cure: "send fewer or shorter trailers.",
    },
    Code {
        code: "http-trailer-forbidden",
        title: "A trailer that may not be one",
        cause: "The trailer would change framing or routing after the fact, such as Content-Length or Host.",
        ..MALFORMED
    },
    Code {
        code: "http-truncated-body",
        title: "The body ended early",
        cause: "The connection ended before the announced content was complete.",
        cure: "try again.",
        ..MALFORMED
    },
    Code {
        code: "http-tunnel-head",
        title: "A head from the tunnel is malformed",
        cause: "Relay and connector do not agree on the format of heads.",
        cure: "use the same or neighbouring minor versions of relay and connector.",
        ..MALFORMED
    },
    Code {
        code: "http-tunnel-head-version",
        title: "A head from the tunnel has an unknown format",
        cause: "The other end of the tunnel is more than one minor version away.",
        cure: "upgrade the older of relay and connector.",
        ..MALFORMED
    },
];
