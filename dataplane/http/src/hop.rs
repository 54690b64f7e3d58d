//! Fields that concern one connection only (RFC 9110 §7.6.1) and fields that a trailer section may not hold (§6.5.1).

use crate::field::FieldRef;
use crate::forwarding;
use crate::headers::Headers;
use crate::known::{Known, NameSet};
use crate::limits::CONNECTION_OPTIONS_MAX;
use crate::malformed::Rule;
use crate::scan;

/// What `Connection` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ConnectionOptions {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    /// Names other fields, which are to be removed.
    pub(crate) names_fields: bool,
}

/// Removes `Connection`, the fields it lists, `Keep-Alive`, `Proxy-*`, `Transfer-Encoding`, `HTTP2-Settings`, `TE` unless
/// it says `trailers` (which stays alone), and `Upgrade` unless `keep_upgrade`.
///
/// The HTTP/1.1 parsers have done so already; this is for heads from other sources.
pub fn strip_hop_by_hop(headers: &mut Headers, keep_upgrade: bool) {
    let names_fields = connection_options(headers).map_or(true, |options| options.names_fields);
    strip(headers, names_fields, keep_upgrade, NameSet::default());
}

/// As [`strip_hop_by_hop`], and removes `also`, in one pass.
pub(crate) fn strip(headers: &mut Headers, names_fields: bool, keep_upgrade: bool, also: NameSet) {
    if names_fields {
        remove_listed(headers);
    }
    let trailers = headers.values(Known::Te).any(says_trailers);
    let upgrade = if keep_upgrade { headers.values(Known::Upgrade).next().map(<[u8]>::to_vec) } else { None };
    headers.remove_known(HOP_BY_HOP.union(also));
    if trailers {
        headers.push_known_checked(Known::Te, b"trailers");
    }
    if let Some(upgrade) = upgrade {
        headers.push_known_checked(Known::Upgrade, &upgrade);
    }
}

/// Whether a trailer field must not be merged into a head or acted upon: framing, routing, authentication, request
/// modifiers, response control and content format (RFC 9110 §6.5.1). The body decoder refuses those of framing and
/// routing and drops the others.
pub fn is_forbidden_trailer(field: FieldRef<'_>) -> bool {
    field.known().is_some_and(|known| REFUSED_TRAILERS.has(known) || DROPPED_TRAILERS.has(known))
}

/// Fields of framing and routing are refused, others that a trailer may not hold are dropped: RFC 9110 §6.5.1 lets a
/// recipient discard them. An attack is not worth carrying on, an unwise `Date` not worth losing the answer.
pub(crate) fn check_trailers(trailers: &mut Headers) -> Result<(), Rule> {
    if trailers.names().meets(REFUSED_TRAILERS) {
        return Err(Rule::TrailerForbidden);
    }
    trailers.remove_known(DROPPED_TRAILERS);
    trailers.retain(|field| !forwarding::is_protected(field, &[]) && !forwarding::is_identity(field));
    Ok(())
}

/// Whether it is spelled so that a backend may take it for a field that delimits content, which it is not: programs that read
/// names as variables (CGI, WSGI) have no `-` in them, and some put `Content_Length` and `Content-Length` together.
pub(crate) fn is_framing_alike(field: FieldRef<'_>) -> bool {
    field.known().is_none() && forwarding::is_among(field.name_bytes(), &[], &FRAMING)
}

/// Reads every `Connection` field.
pub(crate) fn connection_options(headers: &Headers) -> Result<ConnectionOptions, Rule> {
    let mut options = ConnectionOptions::default();
    let mut count = 0;
    for value in headers.values(Known::Connection) {
        // All that most clients ever say.
        if value.eq_ignore_ascii_case(b"keep-alive") {
            options.keep_alive = true;
            continue;
        }
        for option in list(value) {
            count += 1;
            if count > CONNECTION_OPTIONS_MAX || !scan::is_token(option) {
                return Err(Rule::Connection);
            }
            options.take(option);
        }
    }
    Ok(options)
}

impl ConnectionOptions {
    fn take(&mut self, option: &[u8]) {
        match option {
            _ if option.eq_ignore_ascii_case(b"close") => self.close = true,
            _ if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
            _ if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            // `te` has its own rule.
            _ if option.eq_ignore_ascii_case(b"te") => {}
            _ => self.names_fields = true,
        }
    }
}

/// Removes the fields that `Connection` lists, but not those with a rule of their own.
pub(crate) fn remove_listed(headers: &mut Headers) {
    let listed: Vec<String> = headers
        .values(Known::Connection)
        .flat_map(list)
        .take(CONNECTION_OPTIONS_MAX)
        .filter_map(|option| Some(std::str::from_utf8(option).ok()?.to_ascii_lowercase()))
        .filter(|option| !matches!(option.as_str(), "connection" | "upgrade" | "te"))
        .collect();
    for name in listed {
        headers.remove(name.as_str());
    }
}

pub(crate) fn says_trailers(value: &[u8]) -> bool {
    list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// `name[/version]` of one protocol that is not HTTP itself, of whatever version: `h2c` would carry requests past every check, and
/// so would the names that its drafts had (`h2c-14`).
pub(crate) fn is_safe_protocol(value: &[u8]) -> bool {
    let name = value.split(|&byte| byte == b'/').next().unwrap_or_default();
    let begins = |with: &&[u8]| name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let is_http = [&b"h2"[..], b"http", b"spdy", b"tls"].iter().any(begins);
    !is_http && value.splitn(2, |&byte| byte == b'/').all(scan::is_token)
}

/// The non-empty elements of a comma-separated list without quoted strings.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(scan::trim).filter(|element| !element.is_empty())
}

const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// Never forwarded, and never in a head from the tunnel, apart from `te: trailers` and an agreed `upgrade`.
pub(crate) const HOP_BY_HOP: NameSet = NameSet::of(&[
    Known::Connection,
    Known::Http2Settings,
    Known::KeepAlive,
    Known::ProxyAuthenticate,
    Known::ProxyAuthenticationInfo,
    Known::ProxyAuthorization,
    Known::ProxyConnection,
    Known::Te,
    Known::TransferEncoding,
    Known::Upgrade,
]);

pub(crate) const REFUSED_TRAILERS: NameSet = NameSet::of(&[
    Known::Connection,
    Known::ContentLength,
    Known::Expect,
    Known::Host,
    Known::Http2Settings,
    Known::KeepAlive,
    Known::MaxForwards,
    Known::ProxyConnection,
    Known::Te,
    Known::Trailer,
    Known::TransferEncoding,
    Known::Upgrade,
]);

pub(crate) const DROPPED_TRAILERS: NameSet = NameSet::of(&[
    Known::Age,
    Known::Authorization,
    Known::CacheControl,
    Known::ContentEncoding,
    Known::ContentRange,
    Known::ContentType,
    Known::Cookie,
    Known::Date,
    Known::Expires,
    Known::Forwarded,
    Known::IfMatch,
    Known::IfModifiedSince,
    Known::IfNoneMatch,
    Known::IfRange,
    Known::IfUnmodifiedSince,
    Known::Location,
    Known::Origin,
    Known::Pragma,
    Known::ProxyAuthenticate,
    Known::ProxyAuthenticationInfo,
    Known::ProxyAuthorization,
    Known::Range,
    Known::Referer,
    Known::RetryAfter,
    Known::SetCookie,
    Known::StrictTransportSecurity,
    Known::Vary,
    Known::Warning,
    Known::WwwAuthenticate,
    Known::XForwardedFor,
    Known::XForwardedHost,
    Known::XForwardedPort,
    Known::XForwardedProto,
    Known::XRealIp,
]);

#[cfg(test)]
mod tests {
    use postern_model::claims::{Direction, HeaderRules};

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.append(*name, value).unwrap();
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_are_removed() {
        let mut all = headers(&[
            ("connection", "close, X-Secret"),
            ("accept", "a"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip;q=0.5, trailers"),
            ("upgrade", "websocket"),
            ("transfer-encoding", "chunked"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("b", "c"),
        ]);
        let mut upgrading = all.clone();
        strip_hop_by_hop(&mut all, false);
        assert_eq!(all, headers(&[("accept", "a"), ("b", "c"), ("te", "trailers")]));
        strip_hop_by_hop(&mut upgrading, true);
        assert_eq!(upgrading, headers(&[("accept", "a"), ("b", "c"), ("te", "trailers"), ("upgrade", "websocket")]));
    }

    #[test]
    fn what_only_looks_like_framing_is_taken_out() {
        let mut all = headers(&[
            ("Content_Length", "5"),
            ("transfer_encoding", "chunked"),
            ("Transfer.Encoding", "chunked"),
            ("content_lengths", "a"),
            ("content_type", "b"),
            ("contentxlength", "c"),
        ]);
        let kept = headers(&[("content_lengths", "a"), ("content_type", "b"), ("contentxlength", "c")]);
        let mut trailers = all.clone();
        forwarding::strip_inbound(&mut all, &[]);
        assert_eq!(all, kept);
        check_trailers(&mut trailers).unwrap();
        assert_eq!(trailers, kept);
        let real = headers(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        assert!(real.iter().all(|field| !is_framing_alike(field)));
    }

    #[test]
    fn no_operators_rule_is_about_what_is_removed_or_delimits() {
        let removed = Known::ALL.iter().filter(|known| HOP_BY_HOP.has(**known)).map(|known| known.as_str());
        for name in removed.chain(FRAMING) {
            for direction in [Direction::Request, Direction::Response] {
                assert!(HeaderRules::parse(&format!("set {name} \"x\""), direction).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn connection_is_a_bounded_list_of_tokens() {
        let options =
            connection_options(&headers(&[("connection", "Keep-Alive,, UPGRADE ,"), ("connection", "te")])).unwrap();
        assert_eq!(options, ConnectionOptions { keep_alive: true, upgrade: true, ..Default::default() });
        let many = ["a"; CONNECTION_OPTIONS_MAX + 1].join(",");
        for value in ["a b", "close;x", "\"close\"", &many] {
            assert_eq!(connection_options(&headers(&[("connection", value)])), Err(Rule::Connection), "{value}");
        }
    }
}
