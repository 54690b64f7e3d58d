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
/// Values by their numbers.
const VERSIONS: [Version; 3] = [Version::Http10, Version::Http11, Version::Http2];
const SCHEMES: [Option<Scheme>; 3] = [None, Some(Scheme::Http), Some(Scheme::Https)];
const FORMS: [TargetForm; 3] = [TargetForm::Origin, TargetForm::Asterisk, TargetForm::Authority];

impl RequestHead {
    /// Appends the tunnel's form. `keep_alive` stays behind: it concerns the client's connection.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.headers.text_bytes() + self.target.as_str().len() + 64);
        let flags = u8::from(self.upgrade) << 4 | u8::from(self.expect_continue) << 5;
        let scheme = number(self.scheme, &SCHEMES) << 2;
        out.extend_from_slice(&[FORMAT, number(self.version, &VERSIONS) | scheme | flags]);
        put_name(self.method.number(), self.method.as_str().as_bytes(), out);
        put_body(self.body, out);
        put_text(self.authority.as_str().as_bytes(), out);
        out.push(number(self.target.form(), &FORMS));
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
        head.version = numbered(flags & 3, &VERSIONS)?;
        head.scheme = numbered(flags >> 2 & 3, &SCHEMES)?;
        (head.upgrade, head.expect_continue) = (flags & 0x10 != 0, flags & 0x20 != 0);
        head.method = match reader.name(METHOD_BYTES_MAX)? {
            Name::Text(text) => Some(Method::parse(text)?).filter(|method| method.number().is_none()),
            Name::Number(number) => Method::from_number(number),
        }
        .ok_or(Rule::Tunnel)?;
        head.body = reader.body()?;
        read_origin(head, &mut reader, limits)?;
        reader.fields(&mut head.headers, limits)?;
        reader.finish()?;
        ensure(
            flags & 0xc0 == 0
                && !matches!(head.body, BodyKind::UntilClose | BodyKind::Upgrade)
                && offers_upgrade_properly(head)
                && (!head.expect_continue || !head.body.is_empty())
                && (head.method != Method::Connect || head.body == BodyKind::None)
                && !holds_typed_fields(&head.headers),
        )
    }
}

impl ResponseHead {
    /// Appends the tunnel's form. `keep_alive` stays behind: it concerns the backend's connection.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.headers.text_bytes() + 64);
        out.extend_from_slice(&[FORMAT, number(self.version, &VERSIONS)]);
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
        head.version = numbered(flags & 3, &VERSIONS)?;
        head.status = u16::from_be_bytes([reader.byte()?, reader.byte()?]);
        head.body = reader.body()?;
        let reason = reader.text(REASON_BYTES_MAX)?;
        if !scan::is_field_value(reason) {
            return Err(Rule::Tunnel.into());
        }
        head.reason.push_str(std::str::from_utf8(reason).map_err(|_| Rule::Tunnel)?);
        reader.fields(&mut head.headers, limits)?;
        reader.finish()?;
        ensure(
            flags & !3 == 0
                && (100..1000).contains(&head.status)
                && (!head.headers.contains(Known::Upgrade) || matches!(head.status, 101 | 426))
                && body_fits_status(head.body, head.status)
                && describes_length_properly(head),
        )
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
    let form = numbered(reader.byte()?, &FORMS);
    let target = reader.text(limits.target_bytes_max as usize)?;
    let form = form.map_err(|_| Rule::TargetForm)?;
    if (form == TargetForm::Authority) != (head.method == Method::Connect) {
        return Err(Rule::TargetForm);
    }
    if form == TargetForm::Authority {
        let authority = head.target.assign_authority(target)?;
        return if authority == head.authority { Ok(()) } else { Err(Rule::TargetAuthority) };
    }
    head.target.assign_path(target, &head.method, PathRules { allow_encoded_slash: true })?;
    if head.target.form() == form { Ok(()) } else { Err(Rule::TargetForm) }
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

/// The number that stands for a value: its place in the table.
fn number<T: PartialEq + Copy, const N: usize>(value: T, table: &[T; N]) -> u8 {
    match table.iter().position(|entry| *entry == value) {
        Some(place) => place as u8,
        None => unreachable!("every value has its place in the table"),
    }
}

fn numbered<T: Copy, const N: usize>(number: u8, table: &[T; N]) -> Result<T, Rule> {
    table.get(usize::from(number)).copied().ok_or(Rule::Tunnel)
}

/// What passes is well-formed by itself; its parts may still contradict each other.
fn ensure(agrees: bool) -> Result<(), Malformed> {
    if agrees { Ok(()) } else { Err(Rule::Tunnel.into()) }
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

/// A name that may have a number; no number is 0.
fn put_name(number: Option<u8>, name: &[u8], out: &mut Vec<u8>) {
    out.push(number.unwrap_or(0));
    if number.is_none() {
        put_text(name, out);
    }
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
    put_name(field.known().map(Known::number), field.name_bytes(), out);
    put_text(field.value(), out);
}

/// A name by its number, never 0, or in full.
enum Name<'a> {
    Number(u8),
    Text(&'a [u8]),
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

    /// The reverse of [`put_name`].
    fn name(&mut self, bytes_max: usize) -> Result<Name<'a>, Rule> {
        match self.byte()? {
            0 => Ok(Name::Text(self.text(bytes_max)?)),
            number => Ok(Name::Number(number)),
        }
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
        headers.reserve(self.rest.len() + 16 * count as usize + SPARE_BYTES, count as usize + SPARE_FIELDS);
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
        let name = self.name(NAME_BYTES_MAX)?;
        let value = self.text(WIRE_BYTES_MAX)?;
        if !scan::is_field_value(value) || scan::trim(value).len() != value.len() {
            return Err(Rule::FieldValue);
        }
        let name = match name {
            Name::Text(name) => name,
            Name::Number(number) => {
                headers.push_known_checked(Known::from_number(number).ok_or(Rule::Tunnel)?, value);
                return Ok(());
            }
        };
        if !scan::is_lowercase_token(name) || Known::find(name).is_some() {
            return Err(Rule::FieldName);
        }
        headers.push_other_checked(name, value);
        Ok(())
    }

    fn finish(self) -> Result<(), Rule> {
        if self.rest.is_empty() { Ok(()) } else { Err(Rule::Tunnel) }
    }
}

/// Hop-by-hop fields apart from the two that may cross a tunnel.
const FOREIGN: NameSet = hop::HOP_BY_HOP.without(Known::Te).without(Known::Upgrade);
/// Room for what is added to nearly every answer, so that it costs no allocation of its own.
const SPARE_FIELDS: usize = 2;
const SPARE_BYTES: usize = 96;
