//! The product's heads as the h2 library's types, and back.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme, Uri};
use http::{Request, Response, StatusCode, request, response};

use super::Pseudo;
use crate::head::{BodyKind, RequestHead, ResponseHead, Scheme};
use crate::headers::Headers;
use crate::known::Known;
use crate::limits::Limits;
use crate::malformed::Malformed;
use crate::method::Method;
use crate::target::TargetForm;

/// A head that HTTP/2 cannot express, or that the library does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message cannot be expressed in HTTP/2")]
pub struct Unfit;

/// A request's head as a client sent it. `protocol` is `:protocol`; `end` says that no content follows; `memory` is a head
/// that is done with, whose memory is used again.
///
/// `CONNECT` with `:protocol` websocket becomes what it means in HTTP/1.1 (RFC 8441 §5): a GET that offers the upgrade,
/// whose `Sec-WebSocket-Key` is the caller's to add.
///
/// # Errors
/// The rule that the request breaks. The connection stays usable: frames delimit messages, whatever these hold.
pub fn received_request(
    memory: RequestHead,
    parts: &request::Parts,
    protocol: Option<&str>,
    end: bool,
    limits: &Limits,
) -> Result<RequestHead, Malformed> {
    let uri = &parts.uri;
    let pseudo = Pseudo {
        method: parts.method.as_str().as_bytes(),
        // The library tells no scheme where there is no authority, but a Host field (RFC 9113 §8.3.1): clients come by TLS.
        scheme: uri.scheme_str().or_else(|| uri.path_and_query().and(without_authority(uri))).map(str::as_bytes),
        authority: uri.authority().map(|authority| authority.as_str().as_bytes()),
        path: uri.path_and_query().map(|path| path.as_str().as_bytes()),
        protocol: protocol.map(str::as_bytes),
    };
    super::request(memory, pseudo, fields(&parts.headers), end, limits)
}

fn without_authority(uri: &http::Uri) -> Option<&'static str> {
    uri.authority().is_none().then_some("https")
}

/// A response's head as a backend sent it. `method` is the request's.
///
/// # Errors
/// The rule that the response breaks.
pub fn received_response(
    parts: &response::Parts,
    method: &Method,
    end: bool,
    limits: &Limits,
) -> Result<ResponseHead, Malformed> {
    super::response(parts.status.as_u16(), fields(&parts.headers), method, end, limits)
}

/// A trailer section as it came.
///
/// # Errors
/// The rule that it breaks.
pub fn received_trailers(map: &HeaderMap, limits: &Limits) -> Result<Headers, Malformed> {
    super::trailers(fields(map), limits)
}

/// A request for a backend.
///
/// # Errors
/// What HTTP/2 cannot express: an upgrade, a CONNECT.
pub fn sent_request(head: &RequestHead, scheme: Scheme) -> Result<Request<()>, Unfit> {
    if head.upgrade || head.target.form() == TargetForm::Authority {
        return Err(Unfit);
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if scheme == Scheme::Https { UriScheme::HTTPS } else { UriScheme::HTTP });
    uri.authority = Some(Authority::try_from(head.authority.as_str()).map_err(|_| Unfit)?);
    uri.path_and_query = Some(PathAndQuery::try_from(head.target.as_str()).map_err(|_| Unfit)?);
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| Unfit)?;
    *request.method_mut() = http::Method::from_bytes(head.method.as_str().as_bytes()).map_err(|_| Unfit)?;
    let mut map = map(head.headers.clone())?;
    if let BodyKind::Length(length) = head.body {
        map.insert(CONTENT_LENGTH, length.into());
    }
    if head.expect_continue {
        map.insert(EXPECT, HeaderValue::from_static("100-continue"));
    }
    *request.headers_mut() = map;
    Ok(request)
}

/// A final response for a client, and the length it states. `upgrade`, which HTTP/2 does not know, is left out.
///
/// # Errors
/// What the library does not take.
pub fn sent_response(mut head: ResponseHead) -> Result<(Response<()>, Option<u64>), Unfit> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).map_err(|_| Unfit)?;
    let length = if let BodyKind::Length(length) = head.body { Some(length) } else { None };
    head.headers.remove(Known::Upgrade);
    let mut map = map(head.headers)?;
    if let Some(length) = length {
        map.insert(CONTENT_LENGTH, length.into());
    }
    *response.headers_mut() = map;
    Ok((response, length))
}

/// An interim response for a client.
///
/// # Errors
/// As [`sent_response`].
pub fn sent_interim(head: &ResponseHead) -> Result<Response<()>, Unfit> {
    let bare = ResponseHead { status: head.status, headers: head.headers.clone(), ..ResponseHead::default() };
    sent_response(bare).map(|(response, _)| response)
}

/// A trailer section to send.
///
/// # Errors
/// What the library does not take.
pub fn sent_trailers(trailers: &Headers) -> Result<HeaderMap, Unfit> {
    map(trailers.clone())
}

fn map(headers: Headers) -> Result<HeaderMap, Unfit> {
    // One more for the length.
    let mut map = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers.shared() {
        let value: Bytes = value;
        let name = HeaderName::from_lowercase(&name).map_err(|_| Unfit)?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Unfit)?;
        map.try_append(name, value).map_err(|_| Unfit)?;
    }
    Ok(map)
}

fn fields(map: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority as Host, PathRules, Target};

    #[test]
    fn a_request_comes_back_as_it_went() {
        let target = Target::parse(b"/a%20b?c=|d", &Method::Post, PathRules::default()).unwrap();
        let mut head = RequestHead::new(Method::Post, Host::parse(b"a.example:81").unwrap(), target);
        head.headers.append("x-own", "\u{e4}").unwrap();
        head.headers.append("cookie", "a; b").unwrap();
        head.headers.append("te", "trailers").unwrap();
        head.body = BodyKind::Length(5);
        head.expect_continue = true;
        let (parts, ()) = sent_request(&head, Scheme::Https).unwrap().into_parts();
        let again = received_request(RequestHead::default(), &parts, None, false, &Limits::default()).unwrap();
        assert_eq!(again.headers, head.headers);
        assert_eq!((again.target, again.authority, again.body), (head.target, head.authority, head.body));
        assert!(again.expect_continue && again.scheme == Some(Scheme::Https));
        let upgrade = RequestHead { upgrade: true, ..RequestHead::default() };
        assert_eq!(sent_request(&upgrade, Scheme::Http).err(), Some(Unfit));
    }

    #[test]
    fn a_response_comes_back_as_it_went() {
        let mut head = ResponseHead::new(426, BodyKind::Length(7));
        for (name, value) in [("server", "x"), ("upgrade", "websocket"), ("set-cookie", "a"), ("set-cookie", "b")] {
            head.headers.append(name, value).unwrap();
        }
        let (response, length) = sent_response(head.clone()).unwrap();
        assert_eq!((length, response.headers()["content-length"].as_bytes()), (Some(7), &b"7"[..]));
        let (parts, ()) = response.into_parts();
        let again = received_response(&parts, &Method::Get, false, &Limits::default()).unwrap();
        head.headers.remove("upgrade");
        assert_eq!((again.status, again.body), (426, BodyKind::Length(7)));
        assert_eq!(again.headers, head.headers);
    }
}
