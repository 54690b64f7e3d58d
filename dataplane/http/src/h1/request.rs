//! Request heads from bytes. Every rule of DESIGN §9 that concerns a head is applied here.

use crate::h1::fields::{self, Line};
use crate::h1::framing::{self, Stated};
use crate::h1::section::Section;
use crate::head::{BodyKind, RequestHead, Version};
use crate::headers::Headers;
use crate::hop::{self, ConnectionOptions};
use crate::known::{Known, NameSet};
use crate::limits::Limits;
use crate::malformed::{Malformed, Rule};
use crate::method::Method;
use crate::path::PathRules;
use crate::scan;
use crate::target::Origin;

/// Parses one request head after the other from a connection's input.
#[derive(Debug, Default)]
pub struct RequestParser {
    section: Section<RequestHead>,
    paths: PathRules,
    /// What the request line said of the origin, until the Host is known too.
    origin: Origin,
}

impl RequestParser {
    /// A parser with the strict path rules.
    pub fn new(limits: Limits) -> Self {
        Self { section: Section::new(limits), ..Self::default() }
    }

    /// With laxer path rules; the application's own are applied by [`crate::Target::admit`] once it is known.
    pub fn with_path_rules(mut self, paths: PathRules) -> Self {
        self.paths = paths;
        self
    }

    /// Lets the next head use the memory of one that is done with.
    pub fn recycle(&mut self, head: RequestHead) {
        self.section.recycle(head);
    }

    /// Whether no line of a head has been read: if no input waits either, the connection may end here.
    pub fn is_idle(&self) -> bool {
        self.section.is_idle()
    }

    /// The head at the start of `input` and its length in bytes, or `None` while it is incomplete: then call again with
    /// the same bytes and more. One empty line before the request line is ignored (RFC 9112 §2.2).
    ///
    /// After an error the connection must be closed: where the next message begins is unknown.
    pub fn parse(&mut self, input: &[u8]) -> Result<Option<(RequestHead, usize)>, Malformed> {
        let (origin, paths) = (&mut self.origin, self.paths);
        let read = self.section.read(input, |head, input, limits| {
            let at = if input.starts_with(b"\r\n") { 2 } else { 0 };
            let line = fields::only_if_whole(input, at, split_request_line(input, at))?;
            let Line::Whole(line, next) = line else { return Ok(Line::Incomplete) };
            *origin = line.assign(head, paths, limits)?;
            Ok(Line::Whole((), next))
        });
        let Some(consumed) = read? else { return Ok(None) };
        self.finish()?;
        Ok(Some((self.section.take(), consumed)))
    }

    /// Turns the fields that concern this connection into typed ones.
    fn finish(&mut self) -> Result<(), Rule> {
        let Section { head, limits, .. } = &mut self.section;
        assign_host(head, std::mem::take(&mut self.origin))?;
        let stated = framing::stated(&head.headers, head.version)?;
        head.body = body(stated, &head.method, limits)?;
        let options = hop::connection_options(&head.headers)?;
        head.keep_alive = match head.version {
            Version::Http10 => options.keep_alive && !options.close,
            Version::Http11 | Version::Http2 => !options.close,
        };
        head.expect_continue = expects_continue(head)?;
        head.upgrade = offers_upgrade(head, options);
        hop::strip(&mut head.headers, options.names_fields, head.upgrade, TYPED);
        Ok(())
    }
}

struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: Version,
}

impl RequestLine<'_> {
    fn assign(self, head: &mut RequestHead, paths: PathRules, limits: &Limits) -> Result<Origin, Rule> {
        if self.target.len() > limits.target_bytes_max as usize {
            return Err(Rule::TargetTooLong);
        }
        head.method = Method::parse(self.method)?;
        head.version = self.version;
        head.target.assign(self.target, &head.method, paths)
    }
}

/// `method SP target SP version CRLF`.
fn split_request_line(input: &[u8], at: usize) -> Result<Line<RequestLine<'_>>, Rule> {
    let rest = input.get(at..).unwrap_or_default();
    let Some(method_end) = rest.iter().position(|&byte| !scan::is_token_byte(byte)) else {
        return Ok(Line::Incomplete);
    };
    match rest[method_end] {
        b' ' if method_end > 0 => {}
        b'\n' => return Err(Rule::BareLf),
        b' ' | b'\t' | b'\r' => return Err(Rule::RequestLine),
        // Any other byte that no token may hold.
        _ => return Err(Rule::Method),
    }
    let target = &rest[method_end + 1..];
    let Some(target_end) = scan::blank(target) else { return Ok(Line::Incomplete) };
    match target[target_end] {
        b' ' if target_end > 0 => {}
        b'\n' if !target[..target_end].ends_with(b"\r") => return Err(Rule::BareLf),
        b' ' | b'\r' | b'\t' => return Err(Rule::RequestLine),
        // A control character.
        _ => return Err(Rule::TargetByte),
    }
    let version_at = at + method_end + 1 + target_end + 1;
    let version_end = scan::control(input, version_at);
    let Line::Whole((), next) = fields::line_end(input, version_end, Rule::RequestLine)? else {
        return Ok(Line::Incomplete);
    };
    let version = version(&input[version_at..version_end]).ok_or(Rule::RequestLine)??;
    Ok(Line::Whole(RequestLine { method: &rest[..method_end], target: &target[..target_end], version }, next))
}

/// `None` when it is not a version at all.
pub(super) fn version(bytes: &[u8]) -> Option<Result<Version, Rule>> {
    match bytes {
        b"HTTP/1.1" => Some(Ok(Version::Http11)),
        b"HTTP/1.0" => Some(Ok(Version::Http10)),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Some(Err(Rule::VersionUnsupported))
        }
        // Lower case, further digits, anything else.
        _ => None,
    }
}

fn assign_host(head: &mut RequestHead, origin: Origin) -> Result<(), Rule> {
    let mut hosts = head.headers.values(Known::Host);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Rule::HostDuplicate);
    }
    match host {
        Some(host) => head.authority.assign(host)?,
        None if head.version != Version::Http10 => return Err(Rule::HostMissing),
        None => head.authority.clear(),
    }
    head.scheme = origin.scheme;
    let Some(authority) = origin.authority else { return Ok(()) };
    if host.is_some() && authority != head.authority {
        return Err(Rule::TargetAuthority);
    }
    head.authority = authority;
    Ok(())
}

pub(crate) fn body(stated: Stated, method: &Method, limits: &Limits) -> Result<BodyKind, Rule> {
    match stated {
        Stated::Nothing => Ok(BodyKind::None),
        _ if *method == Method::Connect => Err(Rule::BodyForbidden),
        Stated::Length(length) if length > limits.body_bytes_max => Err(Rule::ContentTooLarge),
        Stated::Length(length) => Ok(BodyKind::Length(length)),
        Stated::Chunked => Ok(BodyKind::Chunked),
    }
}

/// An HTTP/1.0 client's expectation is ignored (RFC 9110 §10.1.1), as is one without content.
pub(crate) fn expects_continue(head: &RequestHead) -> Result<bool, Rule> {
    let mut values = head.headers.values(Known::Expect);
    let Some(value) = values.next() else { return Ok(false) };
    if !value.eq_ignore_ascii_case(b"100-continue") || values.next().is_some() {
        return Err(Rule::Expectation);
    }
    Ok(head.version != Version::Http10 && !head.body.is_empty())
}

fn offers_upgrade(head: &RequestHead, options: ConnectionOptions) -> bool {
    let mut values = head.headers.values(Known::Upgrade);
    let (Some(protocol), None) = (values.next(), values.next()) else { return false };
    options.upgrade && head.version == Version::Http11 && head.body.is_empty() && hop::is_safe_protocol(protocol)
}

/// Taken from the fields into typed ones by [`RequestParser::finish`]; hop-by-hop ones go their own way.
const TYPED: NameSet = NameSet::of(&[Known::Host, Known::ContentLength, Known::Expect]);

/// Fields that a request head from elsewhere must not hold either.
pub(crate) fn holds_typed_fields(headers: &Headers) -> bool {
    headers.names().meets(TYPED)
}
