//! The heads of requests and responses, the same for HTTP/1.1, HTTP/2 and the tunnel.

use crate::authority::Authority;
use crate::headers::Headers;
use crate::method::Method;
use crate::status;
use crate::target::Target;

/// A validated request. `headers` holds end-to-end fields only; see the crate's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// From an absolute-form target or `:scheme`; `None` when the client did not say.
    pub scheme: Option<Scheme>,
    /// From Host or `:authority`; written as Host. Empty only for HTTP/1.0 without Host.
    pub authority: Authority,
    /// What is asked for.
    pub target: Target,
    /// Version the client speaks.
    pub version: Version,
    /// End-to-end fields, with `te: trailers` and, for an upgrade, `upgrade`.
    pub headers: Headers,
    /// How the content is delimited. Never `UntilClose` or `Upgrade`.
    pub body: BodyKind,
    /// Whether the client keeps the connection for another request.
    pub keep_alive: bool,
    /// Whether the client offers to switch to the protocol named by `upgrade` (RFC 9110 §7.8). Offers of `h2c` and
    /// offers with content are ignored, as the RFC permits.
    pub upgrade: bool,
    /// Whether the client waits for `100 Continue` before its content.
    pub expect_continue: bool,
}

/// A validated response. `headers` holds end-to-end fields only; `content-length` is among them only when `body` is
/// `None` (an answer to HEAD, or a 304).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// Status, 100 to 999.
    pub status: u16,
    /// The reason phrase if it is not the registered one.
    pub reason: String,
    /// Version the server speaks.
    pub version: Version,
    /// End-to-end fields, with `upgrade` in a 101 or 426.
    pub headers: Headers,
    /// How the content is delimited. `Upgrade` means: the connection carries another protocol from here on.
    pub body: BodyKind,
    /// Whether the server keeps the connection for another request.
    pub keep_alive: bool,
}

/// How a message's content is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyKind {
    /// There is none, and no length is stated.
    #[default]
    None,
    /// This many bytes, stated in `Content-Length`.
    Length(u64),
    /// An unstated length with an explicit end; trailers may follow.
    Chunked,
    /// Until the connection ends: HTTP/1 responses only.
    UntilClose,
    /// Raw bytes both ways: after 101, or 2xx to CONNECT.
    Upgrade,
}

/// Version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
}

/// Scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl RequestHead {
    /// A request that has no content.
    pub fn new(method: Method, authority: Authority, target: Target) -> Self {
        Self { method, authority, target, ..Self::default() }
    }

    /// Empties everything and keeps the memory for the next request.
    pub fn clear(&mut self) {
        self.method = Method::Get;
        self.scheme = None;
        self.authority.clear();
        self.target.clear();
        self.version = Version::Http11;
        self.headers.clear();
        self.body = BodyKind::None;
        self.keep_alive = true;
        self.upgrade = false;
        self.expect_continue = false;
    }
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            method: Method::Get,
            scheme: None,
            authority: Authority::default(),
            target: Target::default(),
            version: Version::Http11,
            headers: Headers::default(),
            body: BodyKind::None,
            keep_alive: true,
            upgrade: false,
            expect_continue: false,
        }
    }
}

impl ResponseHead {
    /// A response with the registered reason phrase.
    ///
    /// # Panics
    /// When `status` is not 100 to 999.
    pub fn new(status: u16, body: BodyKind) -> Self {
        assert!((100..1000).contains(&status), "a status has three digits: {status}");
        Self { status, body, ..Self::default() }
    }

    /// 1xx other than 101: another head follows.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// The reason phrase to send.
    pub fn reason(&self) -> &str {
        if self.reason.is_empty() { status::reason(self.status) } else { &self.reason }
    }

    /// Empties everything and keeps the memory for the next response.
    pub fn clear(&mut self) {
        self.status = 200;
        self.reason.clear();
        self.version = Version::Http11;
        self.headers.clear();
        self.body = BodyKind::None;
        self.keep_alive = true;
    }
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self {
            status: 200,
            reason: String::new(),
            version: Version::Http11,
            headers: Headers::default(),
            body: BodyKind::None,
            keep_alive: true,
        }
    }
}

impl BodyKind {
    /// Whether no content can follow: `None` or `Length(0)`.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

impl Scheme {
    /// In lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
