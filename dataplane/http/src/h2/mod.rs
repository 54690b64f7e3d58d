//! Heads of HTTP/2 (RFC 9113 §8) under the rules of HTTP/1.1's: pseudo fields and fields become the same [`RequestHead`].
//! Frames, HPACK and flow control belong to the h2 library; [`received_request`] and its like speak its types.

mod types;

pub use types::{
    Unfit, received_request, received_response, received_trailers, sent_interim, sent_request, sent_response,
    sent_trailers,
};

use crate::h1::framing::{self, Stated};
use crate::h1::{body, expects_continue};
use crate::head::{BodyKind, RequestHead, ResponseHead, Scheme, Version};
use crate::headers::Headers;
use crate::hop;
use crate::known::{Known, NameSet};
use crate::limits::Limits;
use crate::malformed::{Malformed, Rule};
use crate::method::Method;
use crate::path::PathRules;
use crate::scan;
use crate::status;

/// The pseudo fields of a request (RFC 9113 §8.3.1), with `:protocol` of RFC 8441.
#[derive(Debug, Clone, Copy, Default)]
struct Pseudo<'a> {
    method: &'a [u8],
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
}

/// Makes a request's head. `fields` are the regular fields in order; `end` says that no content follows; `memory` is a head
/// that is done with, whose memory is used again.
///
/// `CONNECT` with `:protocol: websocket` becomes what it means in HTTP/1.1 (RFC 8441 §5): a GET that offers the upgrade,
/// whose `Sec-WebSocket-Key` is the caller's to add.
///
/// # Errors
/// The rule that the request breaks. The connection stays usable: frames delimit messages, whatever these hold.
fn request<'a>(
    memory: RequestHead,
    pseudo: Pseudo<'_>,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    end: bool,
    limits: &Limits,
) -> Result<RequestHead, Malformed> {
    let mut head = memory;
    head.clear();
    head.version = Version::Http2;
    head.method = Method::parse(pseudo.method)?;
    read_fields(&mut head.headers, fields, limits)?;
    assign_target(&mut head, pseudo, limits)?;
    assign_authority(&mut head, pseudo.authority)?;
    head.body = content(&head, end, limits)?;
    head.expect_continue = expects_continue(&head)?;
    if let Some(protocol) = pseudo.protocol {
        offer_upgrade(&mut head, protocol)?;
    }
    hop::strip(&mut head.headers, false, head.upgrade, TYPED);
    Ok(head)
}

/// Makes a trailer section.
///
/// # Errors
/// The rule that it breaks.
fn trailers<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>, limits: &Limits) -> Result<Headers, Malformed> {
    let mut headers = Headers::default();
    read_fields(&mut headers, fields, limits)?;
    if headers.text_bytes() > limits.trailer_bytes_max as usize {
        return Err(Rule::TrailersTooLarge.into());
    }
    hop::check_trailers(&mut headers)?;
    Ok(headers)
}

/// Makes a response's head. `method` is the request's; `end` says that no content follows.
fn response<'a>(
    status: u16,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    method: &Method,
    end: bool,
    limits: &Limits,
) -> Result<ResponseHead, Malformed> {
    let mut head = ResponseHead { status, version: Version::Http2, ..ResponseHead::default() };
    read_fields(&mut head.headers, fields, limits)?;
    let stated = framing::stated(&head.headers, head.version)?;
    head.body = match (stated, end) {
        (Stated::Length(1..), _) if status < 200 || status == 204 => return Err(Rule::BodyForbidden.into()),
        (Stated::Length(length), _) if length > limits.body_bytes_max => return Err(Rule::ContentTooLarge.into()),
        _ if status::has_no_content(status) || *method == Method::Head => BodyKind::None,
        (Stated::Length(1..), true) => return Err(Rule::TruncatedBody.into()),
        (Stated::Length(length), _) => BodyKind::Length(length),
        (Stated::Nothing | Stated::Chunked, true) => BodyKind::None,
        (Stated::Nothing | Stated::Chunked, false) => BodyKind::Chunked,
    };
    // An answer to HEAD, and a 304, state the length that content would have had.
    if head.body != BodyKind::None || status < 200 || status == 204 {
        head.headers.remove(Known::ContentLength);
    }
    hop::strip(&mut head.headers, false, false, NameSet::default());
    head.headers.remove(Known::Te);
    Ok(head)
}

fn read_fields<'a>(
    headers: &mut Headers,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    limits: &Limits,
) -> Result<(), Rule> {
    let mut crumbs = Vec::new();
    for (name, value) in fields {
        let is_crumb = name == b"cookie" && headers.contains(Known::Cookie);
        if !is_crumb && headers.len() == limits.fields_max as usize {
            return Err(Rule::TooManyFields);
        }
        if !scan::is_token(name) || name.iter().any(u8::is_ascii_uppercase) {
            return Err(Rule::FieldName);
        }
        if name.len() > crate::limits::NAME_BYTES_MAX {
            return Err(Rule::FieldNameTooLong);
        }
        if !scan::is_field_value(value) || scan::trim(value).len() != value.len() {
            return Err(Rule::FieldValue);
        }
        if is_crumb {
            crumbs.extend_from_slice(b"; ");
            crumbs.extend_from_slice(value);
        } else {
            headers.push_checked(name, value);
        }
    }
    join_crumbs(headers, &crumbs);
    // RFC 9113 §8.2.2: a connection has no fields of its own here, apart from `te: trailers`.
    let te_is_plain = headers.values(Known::Te).all(|value| value.eq_ignore_ascii_case(b"trailers"));
    if headers.names().meets(CONNECTION_SPECIFIC) || !te_is_plain {
        return Err(Rule::Connection);
    }
    Ok(())
}

/// RFC 9113 §8.2.3: crumbs become one field again before they leave HTTP/2, and count as one.
fn join_crumbs(headers: &mut Headers, crumbs: &[u8]) {
    if crumbs.is_empty() {
        return;
    }
    let whole = headers.values(Known::Cookie).next().map(|first| [first, crumbs].concat());
    if let Some(whole) = whole {
        let set = headers.set(Known::Cookie, whole);
        assert!(set.is_ok(), "values that were joined were valid");
    }
}

fn assign_target(head: &mut RequestHead, pseudo: Pseudo<'_>, limits: &Limits) -> Result<(), Rule> {
    let plain_connect = head.method == Method::Connect && pseudo.protocol.is_none();
    if plain_connect {
        let (Some(authority), None, None) = (pseudo.authority, pseudo.path, pseudo.scheme) else {
            return Err(Rule::TargetForm);
        };
        return head.target.assign_authority(authority).map(|_| ());
    }
    let (Some(path), Some(scheme)) = (pseudo.path, pseudo.scheme) else { return Err(Rule::TargetForm) };
    if path.len() > limits.target_bytes_max as usize {
        return Err(Rule::TargetTooLong);
    }
    head.scheme = match scheme {
        b"https" => Some(Scheme::Https),
        b"http" => Some(Scheme::Http),
        // What else a gateway may be asked for is not published here.
        _ => return Err(Rule::TargetForm),
    };
    head.target.assign_path(path, &head.method, PathRules::default())
}

/// `:authority` and Host, if both are there, must be the same.
fn assign_authority(head: &mut RequestHead, authority: Option<&[u8]>) -> Result<(), Rule> {
    let mut hosts = head.headers.values(Known::Host);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Rule::HostDuplicate);
    }
    let Some(authority) = authority else {
        return head.authority.assign(host.ok_or(Rule::HostMissing)?);
    };
    head.authority.assign(authority)?;
    match host {
        Some(host) if crate::Authority::parse(host)? != head.authority => Err(Rule::TargetAuthority),
        Some(_) | None => Ok(()),
    }
}

fn content(head: &RequestHead, end: bool, limits: &Limits) -> Result<BodyKind, Rule> {
    let stated = framing::stated(&head.headers, head.version)?;
    let extended = head.method == Method::Connect;
    match (body(stated, &head.method, limits)?, end) {
        (BodyKind::Length(1..), true) => Err(Rule::TruncatedBody),
        (stated @ (BodyKind::None | BodyKind::Length(_)), true) => Ok(stated),
        // What follows a CONNECT is not content.
        (BodyKind::None, false) if extended => Ok(BodyKind::None),
        (BodyKind::None, false) => Ok(BodyKind::Chunked),
        (stated, _) => Ok(stated),
    }
}

fn offer_upgrade(head: &mut RequestHead, protocol: &[u8]) -> Result<(), Rule> {
    if head.method != Method::Connect || protocol != b"websocket" {
        return Err(Rule::Protocol);
    }
    head.method = Method::Get;
    head.upgrade = true;
    head.headers.remove(Known::SecWebsocketKey);
    head.headers.push_known_checked(Known::Upgrade, protocol);
    Ok(())
}

/// Taken from the fields into typed ones.
const TYPED: NameSet = NameSet::of(&[Known::Host, Known::ContentLength, Known::Expect]);

const CONNECTION_SPECIFIC: NameSet = hop::HOP_BY_HOP.without(Known::Te);

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Pseudo<'static> = Pseudo {
        method: b"GET",
        scheme: Some(b"https"),
        authority: Some(b"a.example"),
        path: Some(b"/x?y"),
        protocol: None,
    };

    fn made(pseudo: Pseudo<'_>, fields: &[(&str, &str)], end: bool) -> Result<RequestHead, Rule> {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        request(RequestHead::default(), pseudo, fields, end, &Limits::default()).map_err(|malformed| malformed.rule)
    }

    #[test]
    fn an_ordinary_request_is_as_in_http_1() {
        let fields = [("accept", "*/*"), ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("te", "trailers")];
        let head = made(GET, &fields, true).unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str(), head.authority.as_str()), ("GET", "/x?y", "a.example"));
        assert_eq!((head.body, head.version, head.scheme), (BodyKind::None, Version::Http2, Some(Scheme::Https)));
        let fields: Vec<_> = head.headers.iter().map(|f| (f.name(), String::from_utf8_lossy(f.value()))).collect();
        let wanted = [("accept", "*/*"), ("cookie", "a=1; b=2"), ("x", "y"), ("te", "trailers")];
        assert_eq!(fields, wanted.map(|(name, value)| (name, value.into())));
        let mut encoded = Vec::new();
        head.encode(&mut encoded);
        assert_eq!(RequestHead::decode(&encoded, &Limits::default()).unwrap(), head);
    }

    #[test]
    fn content_is_as_stated_or_of_unknown_length() {
        let post = Pseudo { method: b"POST", ..GET };
        assert_eq!(made(post, &[], false).unwrap().body, BodyKind::Chunked);
        assert_eq!(made(post, &[("content-length", "5")], false).unwrap().body, BodyKind::Length(5));
        assert_eq!(made(post, &[("content-length", "0")], true).unwrap().body, BodyKind::Length(0));
        assert_eq!(made(post, &[("content-length", "5")], true), Err(Rule::TruncatedBody));
        let expecting = made(post, &[("expect", "100-continue")], false).unwrap();
        assert!(expecting.expect_continue && !expecting.headers.contains("expect"));
    }

    #[test]
    fn what_http_2_forbids_and_what_http_1_forbids_is_refused() {
        let refused = |pseudo: Pseudo<'_>, fields: &[(&str, &str)], rule| {
            assert_eq!(made(pseudo, fields, true), Err(rule), "{pseudo:?} {fields:?}");
        };
        refused(GET, &[("connection", "close")], Rule::Connection);
        refused(GET, &[("transfer-encoding", "chunked")], Rule::Connection);
        refused(GET, &[("upgrade", "websocket")], Rule::Connection);
        refused(GET, &[("te", "gzip")], Rule::Connection);
        refused(GET, &[("Accept", "x")], Rule::FieldName);
        refused(GET, &[(":path", "x")], Rule::FieldName);
        refused(GET, &[("a", " x")], Rule::FieldValue);
        refused(GET, &[("a", "x\0")], Rule::FieldValue);
        refused(GET, &[("host", "b.example")], Rule::TargetAuthority);
        refused(GET, &[("host", "a.example"), ("host", "a.example")], Rule::HostDuplicate);
        refused(Pseudo { authority: None, ..GET }, &[], Rule::HostMissing);
        refused(Pseudo { authority: Some(b"u@a.example"), ..GET }, &[], Rule::HostInvalid);
        refused(Pseudo { path: Some(b"/a/../b"), ..GET }, &[], Rule::PathDotSegment);
        refused(Pseudo { path: Some(b"https://a.example/"), ..GET }, &[], Rule::TargetForm);
        refused(Pseudo { path: None, ..GET }, &[], Rule::TargetForm);
        refused(Pseudo { scheme: Some(b"ftp"), ..GET }, &[], Rule::TargetForm);
        refused(Pseudo { method: b"GE T", ..GET }, &[], Rule::Method);
        let many: Vec<_> = (0..200).map(|_| ("a", "b")).collect();
        assert_eq!(made(GET, &many, true), Err(Rule::TooManyFields));
        let crumbs: Vec<_> = (0..200).map(|_| ("cookie", "b=c")).collect();
        let whole = made(GET, &crumbs, true).unwrap();
        assert_eq!((whole.headers.len(), whole.headers.get_str("cookie").unwrap().len()), (1, 200 * 5 - 2));
        assert!(made(GET, &[("host", "A.example")], true).is_ok());
    }

    #[test]
    fn an_extended_connect_offers_the_upgrade_that_http_1_would() {
        let connect = Pseudo { method: b"CONNECT", protocol: Some(b"websocket"), ..GET };
        let fields = [("sec-websocket-version", "13"), ("origin", "https://a.example"), ("cookie", "s=1")];
        let head = made(connect, &fields, false).unwrap();
        assert!(head.upgrade && head.method == Method::Get && head.body == BodyKind::None);
        assert_eq!(head.headers.get_str("upgrade"), Some("websocket"));
        assert_eq!(head.headers.get_str("cookie"), Some("s=1"));
        let other = Pseudo { protocol: Some(b"connect-udp"), ..connect };
        assert_eq!(made(other, &[], false), Err(Rule::Protocol));
        assert_eq!(made(Pseudo { protocol: Some(b"websocket"), ..GET }, &[], false), Err(Rule::Protocol));
        let plain = Pseudo { method: b"CONNECT", authority: Some(b"a.example:443"), ..Pseudo::default() };
        assert_eq!(made(plain, &[], false).unwrap().target.as_str(), "a.example:443");
    }

    #[test]
    fn trailers_hold_no_framing() {
        let section = |name: &'static str| {
            let fields = [(name.as_bytes(), &b"v"[..])];
            trailers(fields.into_iter(), &Limits::default()).map_err(|malformed| malformed.rule)
        };
        assert_eq!(section("grpc-status").unwrap().len(), 1);
        assert_eq!(section("authorization").unwrap().len(), 0);
        assert_eq!(section("content-length"), Err(Rule::TrailerForbidden));
    }

    #[test]
    fn a_response_is_as_in_http_1() {
        let made = |status, fields: &[(&str, &str)], method: Method, end| {
            let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            let head =
                response(status, fields, &method, end, &Limits::default()).map_err(|malformed| malformed.rule)?;
            let mut encoded = Vec::new();
            head.encode(&mut encoded);
            assert_eq!(ResponseHead::decode(&encoded, &Limits::default()).unwrap(), head);
            Ok((head.body, head.headers.contains("content-length")))
        };
        let five = [("content-length", "5")];
        assert_eq!(made(200, &five, Method::Get, false), Ok((BodyKind::Length(5), false)));
        assert_eq!(made(200, &five, Method::Head, true), Ok((BodyKind::None, true)));
        assert_eq!(made(304, &five, Method::Get, true), Ok((BodyKind::None, true)));
        assert_eq!(made(200, &[], Method::Get, false), Ok((BodyKind::Chunked, false)));
        assert_eq!(made(200, &[], Method::Get, true), Ok((BodyKind::None, false)));
        assert_eq!(made(103, &[("link", "</a>")], Method::Get, false), Ok((BodyKind::None, false)));
        assert_eq!(made(200, &five, Method::Get, true), Err(Rule::TruncatedBody));
        assert_eq!(made(204, &five, Method::Get, true), Err(Rule::BodyForbidden));
        assert_eq!(made(200, &[("connection", "close")], Method::Get, true), Err(Rule::Connection));
    }
}
