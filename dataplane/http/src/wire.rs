//! Heads in the compact form in which they cross a tunnel. What arrives is validated as if it came from a stranger.
//!
//! ```text
//! request   1, flags, method, body, text(authority), form, text(target), fields
//! response  1, flags, u16 status (big endian), body, text(reason), fields
//! trailers  1, fields
//! fields    varint count, then for each: number of a known name, or 0 and text(name); text(value)
//! text      varint bytes, bytes        varint  LEB128, at most 10 bytes
//! body      0 none, 1 varint length, 2 chunked, 3 until close, 4 upgrade
//! method    number of a common one, or 0 and text
//! flags     bits 0-1 version; of a request: bits 2-3 scheme + 1, bit 4 upgrade, bit 5 expects 100 Continue
//! ```

use crate::field::FieldRef;
use crate::h1::holds_typed_fields;
use crate::head::{BodyKind, RequestHead, ResponseHead, Scheme, Version};
use crate::headers::Headers;
use crate::hop;
use crate::known::{Known, NameSet};
use crate::limits::{Limits, METHOD_BYTES_MAX, NAME_BYTES_MAX, REASON_BYTES_MAX, WIRE_BYTES_MAX};
use crate::malformed::{Malformed, Rule};
use crate::method::Method;
use crate::path::PathRules;
use crate::scan;
use crate::status;
use crate::target::TargetForm;

const FORMAT: u8 = 1;

impl RequestHead {
    /// Appends the tunnel's form. `keep_alive` stays behind: it concerns the client's connection.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.headers.text_bytes() + self.target.as_str().len() + 64);
        let scheme = match self.scheme {
            None => 0,
            Some(Scheme::Http) => 1,
            Some(Scheme::Https) => 2,
        };
        let flags = u8::from(self.upgrade) << 4 | u8::from(self.expect_continue) << 5;
        out.extend_from_slice(&[FORMAT, version_bits(self.version) | scheme << 2 | flags]);
        match self.method.number() {
            Some(number) => out.push(number),
            None => {
                out.push(0);
                put_text(self.method.as_str().as_bytes(), out);
            }
        }
        put_body(self.body, out);
        put_text(self.authority.as_str().as_bytes(), out);
        out.push(match self.target.form() {
            TargetForm::Origin => 0,
            TargetForm::Asterisk => 1,
            TargetForm::Authority => 2,
        });
        put_text(self.target.as_str().as_bytes(), out);
        put_fields(&self.headers, out);
    }

    /// Reads what [`RequestHead::encode`] wrote, and refuses whatever the parser would have refused. `%2f` is accepted:
    /// whether it is allowed was decided where the application was known.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, Malformed> {
        let mut head = Self::default();
        head.decode_again(bytes, limits)?;
        Ok(head)
    }

    /// As [`RequestHead::decode`], in the memory of a head that is done with. Not to be used after an error.
    pub fn decode_again(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Malformed> {
        self.clear();
        let head = self;
        let mut reader = Reader::new(bytes)?;
        let flags = reader.byte()?;
        head.version = version(flags)?;
        head.scheme = match flags >> 2 & 3 {
            0 => None,
            1 => Some(Scheme::Http),
            2 => Some(Scheme::Https),
            // Two bits, so 3.
            _ => return Err(Rule::Tunnel.into()),
        };
        (head.upgrade, head.expect_continue) = (flags & 0x10 != 0, flags & 0x20 != 0);
        head.method = match reader.byte()? {
            0 => Some(Method::parse(reader.text(METHOD_BYTES_MAX)?)?)
                .filter(|method| method.number().is_none())
                .ok_or(Rule::Tunnel)?,
            number => Method::from_number(number).ok_or(Rule::Tunnel)?,
        };
        head.body = reader.body()?;
        read_origin(head, &mut reader, limits)?;
        reader.fields(&mut head.headers, limits)?;
        reader.finish()?;
        let contradicts = flags & 0xc0 != 0
            || matches!(head.body, BodyKind::UntilClose | BodyKind::Upgrade)
            || !offers_upgrade_properly(head)
            || (head.expect_continue && head.body.is_empty())
            || (head.method == Method::Connect && head.body != BodyKind::None)
            || holds_typed_fields(&head.headers);
        if contradicts { Err(Rule::Tunnel.into()) } else { Ok(()) }
    }
}

impl ResponseHead {
    /// Appends the tunnel's form. `keep_alive` stays behind: it concerns the backend's connection.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.headers.text_bytes() + 64);
        out.extend_from_slice(&[FORMAT, version_bits(self.version)]);
        out.extend_from_slice(&self.status.to_be_bytes());
        put_body(self.body, out);
        put_text(self.reason.as_bytes(), out);
        put_fields(&self.headers, out);
    }

    /// Reads what [`ResponseHead::encode`] wrote, and refuses whatever the parser would have refused.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, Malformed> {
        let mut head = Self::default();
        head.decode_again(bytes, limits)?;
        Ok(head)
    }

    /// As [`ResponseHead::decode`], in the memory of a head that is done with. Not to be used after an error.
    pub fn decode_again(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Malformed> {
        self.clear();
        let head = self;
        let mut reader = Reader::new(bytes)?;
        let flags = reader.byte()?;
        head.version = version(flags)?;
        head.status = u16::from_be_bytes([reader.byte()?, reader.byte()?]);
        head.body = reader.body()?;
        let reason = reader.text(REASON_BYTES_MAX)?;
        if !scan::is_field_value(reason) {
            return Err(Rule::Tunnel.into());
        }
        head.reason.push_str(std::str::from_utf8(reason).map_err(|_| Rule::Tunnel)?);
        reader.fields(&mut head.headers, limits)?;
        reader.finish()?;
        let contradicts = flags & !3 != 0
            || !(100..1000).contains(&head.status)
            || (head.headers.contains(Known::Upgrade) && !matches!(head.status, 101 | 426))
            || !body_fits_status(head.body, head.status)
            || !describes_length_properly(head);
        if contradicts { Err(Rule::Tunnel.into()) } else { Ok(()) }
    }
}

impl Headers {
    /// Appends a trailer section in the tunnel's form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        put_fields(self, out);
    }

    /// Reads a trailer section, which must hold none of the fields that a trailer may not hold.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes)?;
        let mut headers = Self::default();
        reader.fields(&mut headers, limits)?;
        reader.finish()?;
        if headers.iter().any(hop::is_forbidden_trailer) {
            return Err(Rule::TrailerForbidden.into());
        }
        Ok(headers)
    }
}

fn read_origin(head: &mut RequestHead, reader: &mut Reader<'_>, limits: &Limits) -> Result<(), Rule> {
    let authority = reader.text(WIRE_BYTES_MAX)?;
    if !authority.is_empty() {
        head.authority.assign(authority)?;
    }
    if head.authority.as_str().as_bytes() != authority {
        return Err(Rule::HostInvalid);
    }
    let form = reader.byte()?;
    let target = reader.text(limits.target_bytes_max as usize)?;
    match form {
        2 if head.method == Method::Connect => {
            if head.target.assign_authority(target)? != head.authority {
                return Err(Rule::TargetAuthority);
            }
        }
        0 | 1 if head.method != Method::Connect => {
            head.target.assign_path(target, &head.method, PathRules { allow_encoded_slash: true })?;
            if (form == 1) != (head.target.form() == TargetForm::Asterisk) {
                return Err(Rule::TargetForm);
            }
        }
        // Unknown forms, and those that the method does not allow.
        _ => return Err(Rule::TargetForm),
    }
    Ok(())
}

fn offers_upgrade_properly(head: &RequestHead) -> bool {
    let mut protocols = head.headers.values(Known::Upgrade);
    match (protocols.next(), protocols.next()) {
        (None, _) => !head.upgrade,
        (Some(protocol), None) => head.upgrade && head.body.is_empty() && hop::is_safe_protocol(protocol),
        (Some(_), Some(_)) => false,
    }
}

fn body_fits_status(body: BodyKind, status: u16) -> bool {
    match body {
        BodyKind::None => status != 101,
        BodyKind::Upgrade => status == 101 || (200..300).contains(&status),
        BodyKind::Length(_) | BodyKind::Chunked | BodyKind::UntilClose => !status::has_no_content(status),
    }
}

/// `content-length` is a field of its own only where no content follows that it could contradict.
fn describes_length_properly(head: &ResponseHead) -> bool {
    let mut lengths = head.headers.values(Known::ContentLength);
    let Some(length) = lengths.next() else { return true };
    let may_describe = head.body == BodyKind::None && head.status >= 200 && head.status != 204;
    may_describe && scan::decimal(length).is_some() && lengths.next().is_none()
}

fn version_bits(version: Version) -> u8 {
    match version {
        Version::Http10 => 0,
        Version::Http11 => 1,
        Version::Http2 => 2,
    }
}

fn version(flags: u8) -> Result<Version, Rule> {
    match flags & 3 {
        0 => Ok(Version::Http10),
        1 => Ok(Version::Http11),
        2 => Ok(Version::Http2),
        // Two bits, so 3.
        _ => Err(Rule::Tunnel),
    }
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(text: &[u8], out: &mut Vec<u8>) {
    put_varint(text.len() as u64, out);
    out.extend_from_slice(text);
}

fn put_body(body: BodyKind, out: &mut Vec<u8>) {
    match body {
        BodyKind::None => out.push(0),
        BodyKind::Length(length) => {
            out.push(1);
            put_varint(length, out);
        }
        BodyKind::Chunked => out.push(2),
        BodyKind::UntilClose => out.push(3),
        BodyKind::Upgrade => out.push(4),
    }
}

fn put_fields(headers: &Headers, out: &mut Vec<u8>) {
    put_varint(headers.len() as u64, out);
    headers.iter().for_each(|field| put_field(field, out));
}

fn put_field(field: FieldRef<'_>, out: &mut Vec<u8>) {
    match field.known() {
        Some(known) => out.push(known.number()),
        None => {
            out.push(0);
            put_text(field.name_bytes(), out);
        }
    }
    put_text(field.value(), out);
}

/// Reads from the front; everything that is missing or too large is an error.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Rule> {
        if bytes.len() > WIRE_BYTES_MAX {
            return Err(Rule::HeadTooLarge);
        }
        match bytes {
            [FORMAT, rest @ ..] => Ok(Self { rest }),
            [] => Err(Rule::Tunnel),
            [..] => Err(Rule::TunnelVersion),
        }
    }

    fn byte(&mut self) -> Result<u8, Rule> {
        let (&byte, rest) = self.rest.split_first().ok_or(Rule::Tunnel)?;
        self.rest = rest;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, Rule> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Rule::Tunnel);
            }
            value |= bits << shift;
            if byte < 0x80 {
                // One spelling only.
                return if byte == 0 && shift > 0 { Err(Rule::Tunnel) } else { Ok(value) };
            }
        }
        Err(Rule::Tunnel)
    }

    fn text(&mut self, bytes_max: usize) -> Result<&'a [u8], Rule> {
        let bytes = usize::try_from(self.varint()?).map_err(|_| Rule::Tunnel)?;
        if bytes > bytes_max {
            return Err(Rule::Tunnel);
        }
        let (text, rest) = self.rest.split_at_checked(bytes).ok_or(Rule::Tunnel)?;
        self.rest = rest;
        Ok(text)
    }

    fn body(&mut self) -> Result<BodyKind, Rule> {
        match self.byte()? {
            0 => Ok(BodyKind::None),
            1 => Ok(BodyKind::Length(self.varint()?)),
            2 => Ok(BodyKind::Chunked),
            3 => Ok(BodyKind::UntilClose),
            4 => Ok(BodyKind::Upgrade),
            // Unknown.
            _ => Err(Rule::Tunnel),
        }
    }

    fn fields(&mut self, headers: &mut Headers, limits: &Limits) -> Result<(), Rule> {
        let count = self.varint()?;
        if count > u64::from(limits.fields_max) {
            return Err(Rule::TooManyFields);
        }
        headers.reserve(self.rest.len() + 16 * count as usize, count as usize);
        for _ in 0..count {
            self.field(headers)?;
        }
        let foreign = headers.names().meets(FOREIGN);
        let te_is_plain = headers.values(Known::Te).all(|value| value == b"trailers");
        if foreign || !te_is_plain {
            return Err(Rule::Tunnel);
        }
        Ok(())
    }

    fn field(&mut self, headers: &mut Headers) -> Result<(), Rule> {
        let number = self.byte()?;
        let name = if number == 0 { Some(self.text(NAME_BYTES_MAX)?) } else { None };
        let value = self.text(WIRE_BYTES_MAX)?;
        if !scan::is_field_value(value) || scan::trim(value).len() != value.len() {
            return Err(Rule::FieldValue);
        }
        let Some(name) = name else {
            headers.push_known_checked(Known::from_number(number).ok_or(Rule::Tunnel)?, value);
            return Ok(());
        };
        if !scan::is_token(name) || name.iter().any(u8::is_ascii_uppercase) || Known::find(name).is_some() {
            return Err(Rule::FieldName);
        }
        headers.push_checked(name, value);
        Ok(())
    }

    fn finish(self) -> Result<(), Rule> {
        if self.rest.is_empty() { Ok(()) } else { Err(Rule::Tunnel) }
    }
}

/// Hop-by-hop fields apart from the two that may cross a tunnel.
const FOREIGN: NameSet = hop::HOP_BY_HOP.without(Known::Te).without(Known::Upgrade);
