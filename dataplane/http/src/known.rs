//! Field names that have a number: lookups compare one byte and tunnels carry one. Numbers are part of the tunnel's
//! contract, so names are only ever added at the end.

macro_rules! known {
    ($($variant:ident $text:literal)*) => {
        /// A field name with a number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each variant is the field of its name")]
        pub enum Known {
            $($variant),*
        }

        impl Known {
            /// Every known name, in the order of their numbers.
            pub const ALL: &'static [Known] = &[$(Known::$variant),*];

            /// The name in lower case.
            pub const fn as_str(self) -> &'static str {
                TEXT[self as usize]
            }
        }

        static TEXT: &[&str] = &[$($text),*];
        static LINE_STARTS: &[&str] = &[$(concat!($text, ": ")),*];
    };
}

known! {
    Accept "accept"
    AcceptCharset "accept-charset"
    AcceptEncoding "accept-encoding"
    AcceptLanguage "accept-language"
    AcceptRanges "accept-ranges"
    AccessControlAllowCredentials "access-control-allow-credentials"
    AccessControlAllowHeaders "access-control-allow-headers"
    AccessControlAllowMethods "access-control-allow-methods"
    AccessControlAllowOrigin "access-control-allow-origin"
    AccessControlExposeHeaders "access-control-expose-headers"
    AccessControlMaxAge "access-control-max-age"
    AccessControlRequestHeaders "access-control-request-headers"
    AccessControlRequestMethod "access-control-request-method"
    Age "age"
    Allow "allow"
    AltSvc "alt-svc"
    Authorization "authorization"
    CacheControl "cache-control"
    Connection "connection"
    ContentDisposition "content-disposition"
    ContentEncoding "content-encoding"
    ContentLanguage "content-language"
    ContentLength "content-length"
    ContentLocation "content-location"
    ContentRange "content-range"
    ContentSecurityPolicy "content-security-policy"
    ContentType "content-type"
    Cookie "cookie"
    CrossOriginEmbedderPolicy "cross-origin-embedder-policy"
    CrossOriginOpenerPolicy "cross-origin-opener-policy"
    CrossOriginResourcePolicy "cross-origin-resource-policy"
    Date "date"
    Depth "depth"
    Destination "destination"
    Dnt "dnt"
    Etag "etag"
    Expect "expect"
    Expires "expires"
    Forwarded "forwarded"
    From "from"
    GrpcAcceptEncoding "grpc-accept-encoding"
    GrpcEncoding "grpc-encoding"
    GrpcMessage "grpc-message"
    GrpcStatus "grpc-status"
    GrpcTimeout "grpc-timeout"
    Host "host"
    Http2Settings "http2-settings"
    IfMatch "if-match"
    IfModifiedSince "if-modified-since"
    IfNoneMatch "if-none-match"
    IfRange "if-range"
    IfUnmodifiedSince "if-unmodified-since"
    KeepAlive "keep-alive"
    LastEventId "last-event-id"
    LastModified "last-modified"
    Link "link"
    Location "location"
    LockToken "lock-token"
    MaxForwards "max-forwards"
    Origin "origin"
    Overwrite "overwrite"
    PermissionsPolicy "permissions-policy"
    Pragma "pragma"
    Priority "priority"
    ProxyAuthenticate "proxy-authenticate"
    ProxyAuthenticationInfo "proxy-authentication-info"
    ProxyAuthorization "proxy-authorization"
    ProxyConnection "proxy-connection"
    Range "range"
    Referer "referer"
    ReferrerPolicy "referrer-policy"
    Refresh "refresh"
    RetryAfter "retry-after"
    SecChUa "sec-ch-ua"
    SecChUaMobile "sec-ch-ua-mobile"
    SecChUaPlatform "sec-ch-ua-platform"
    SecFetchDest "sec-fetch-dest"
    SecFetchMode "sec-fetch-mode"
    SecFetchSite "sec-fetch-site"
    SecFetchUser "sec-fetch-user"
    SecWebsocketAccept "sec-websocket-accept"
    SecWebsocketExtensions "sec-websocket-extensions"
    SecWebsocketKey "sec-websocket-key"
    SecWebsocketProtocol "sec-websocket-protocol"
    SecWebsocketVersion "sec-websocket-version"
    Server "server"
    ServerTiming "server-timing"
    SetCookie "set-cookie"
    StrictTransportSecurity "strict-transport-security"
    Te "te"
    TimingAllowOrigin "timing-allow-origin"
    Traceparent "traceparent"
    Tracestate "tracestate"
    Trailer "trailer"
    TransferEncoding "transfer-encoding"
    Upgrade "upgrade"
    UpgradeInsecureRequests "upgrade-insecure-requests"
    UserAgent "user-agent"
    Vary "vary"
    Via "via"
    Warning "warning"
    WwwAuthenticate "www-authenticate"
    XContentTypeOptions "x-content-type-options"
    XForwardedFor "x-forwarded-for"
    XForwardedHost "x-forwarded-host"
    XForwardedPort "x-forwarded-port"
    XForwardedProto "x-forwarded-proto"
    XFrameOptions "x-frame-options"
    XPoweredBy "x-powered-by"
    XRealIp "x-real-ip"
    XRequestId "x-request-id"
    XRequestedWith "x-requested-with"
    XXssProtection "x-xss-protection"
    XPosternAssertion "x-postern-assertion"
    XPosternMail "x-postern-mail"
    XPosternName "x-postern-name"
    XPosternService "x-postern-service"
    XPosternUser "x-postern-user"
}

impl Known {
    /// The name's number on the wire, from 1.
    pub(crate) const fn number(self) -> u8 {
        self as u8 + 1
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number.checked_sub(1)?)).copied()
    }

    /// `name: `, as it begins a line.
    pub(crate) const fn line_start(self) -> &'static str {
        LINE_STARTS[self as usize]
    }

    /// This name's bit in a [`NameSet`].
    pub(crate) const fn bit(self) -> u128 {
        1 << self as u8
    }

    /// Finds `name`, which must be in lower case.
    pub(crate) fn find(name: &[u8]) -> Option<Self> {
        let (first, last) = (name.first()?, name.last()?);
        let mut slot = slot(name.len(), *first, name[name.len() / 2], *last);
        while let Some(known) = SLOTS[slot] {
            if known.as_str().as_bytes() == name {
                return Some(known);
            }
            slot = (slot + 1) % SLOTS.len();
        }
        None
    }
}

/// A set of known names, as bits; and whether names without a number are in it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NameSet(u128);

/// Names without a number. No number has this bit.
const OTHERS: u128 = 1 << 127;

impl NameSet {
    pub(crate) const fn of(names: &[Known]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < names.len() {
            bits |= names[at].bit();
            at += 1;
        }
        Self(bits)
    }

    pub(crate) const fn has(self, name: Known) -> bool {
        self.0 & name.bit() != 0
    }

    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn with(self, name: Known) -> Self {
        Self(self.0 | name.bit())
    }

    pub(crate) const fn without(self, name: Known) -> Self {
        Self(self.0 & !name.bit())
    }

    pub(crate) const fn with_others(self) -> Self {
        Self(self.0 | OTHERS)
    }

    pub(crate) const fn has_others(self) -> bool {
        self.0 & OTHERS != 0
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

const fn slot(len: usize, first: u8, middle: u8, last: u8) -> usize {
    let mixed = len * 0x9e5 + first as usize * 0x2d1 + middle as usize * 0x1b + last as usize * 0x4f;
    mixed % SLOT_COUNT
}

const SLOT_COUNT: usize = 512;

/// Open addressing, filled to less than a quarter: most lookups compare one name.
static SLOTS: [Option<Known>; SLOT_COUNT] = {
    assert!(Known::ALL.len() <= 127, "numbers fit a NameSet beside OTHERS, and leave 0 for unknown names");
    let mut slots = [None; SLOT_COUNT];
    let mut at = 0;
    while at < Known::ALL.len() {
        let name = TEXT[at].as_bytes();
        let mut slot = slot(name.len(), name[0], name[name.len() / 2], name[name.len() - 1]);
        while slots[slot].is_some() {
            slot = (slot + 1) % SLOT_COUNT;
        }
        slots[slot] = Some(Known::ALL[at]);
        at += 1;
    }
    slots
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan;

    #[test]
    fn every_name_is_found_and_numbered() {
        for &known in Known::ALL {
            assert_eq!(Known::find(known.as_str().as_bytes()), Some(known));
            assert_eq!(Known::from_number(known.number()), Some(known));
            assert_eq!(known.line_start(), format!("{}: ", known.as_str()));
            assert!(scan::is_lowercase_token(known.as_str().as_bytes()), "what equals it is taken for a token");
        }
        assert_eq!(Known::from_number(0), None);
        assert_eq!(Known::from_number(255), None);
        for name in ["", "a", "hos", "hostt", "x-forwarded-fo", "x_forwarded_for"] {
            assert_eq!(Known::find(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn numbers_of_the_tunnel_contract_stay() {
        let pinned = [
            (1, Known::Accept),
            (28, Known::Cookie),
            (46, Known::Host),
            (88, Known::SetCookie),
            (98, Known::UserAgent),
            (113, Known::XXssProtection),
            (118, Known::XPosternUser),
        ];
        for (number, known) in pinned {
            assert_eq!(known.number(), number, "{}", known.as_str());
        }
    }
}
