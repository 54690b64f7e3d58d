//! Response heads from bytes. How content is delimited depends on the request too, so it is asked for.

use crate::h1::fields::{self, Line};
use crate::h1::framing::{self, Stated};
use crate::h1::request::version;
use crate::h1::section::Section;
use crate::head::{BodyKind, ResponseHead, Version};
use crate::hop;
use crate::known::{Known, NameSet};
use crate::limits::{Limits, REASON_BYTES_MAX};
use crate::malformed::{Malformed, Rule};
use crate::method::Method;
use crate::scan;
use crate::status;

/// Parses one response head after the other, interim ones included, from a connection's input.
#[derive(Debug, Default)]
pub struct ResponseParser {
    section: Section<ResponseHead>,
}

impl ResponseParser {
    /// A parser that is told the bounds.
    pub fn new(limits: Limits) -> Self {
        Self { section: Section::new(limits) }
    }

    /// Lets the next head use the memory of one that is done with.
    pub fn recycle(&mut self, head: ResponseHead) {
        self.section.recycle(head);
    }

    /// Whether no line of a head has been read.
    pub fn is_idle(&self) -> bool {
        self.section.is_idle()
    }

    /// The head at the start of `input` and its length in bytes, or `None` while it is incomplete: then call again with
    /// the same bytes and more. `method` is the request's, `offered_upgrade` whether that request offered one.
    ///
    /// After an interim head (see [`ResponseHead::is_interim`]) parse the next from the bytes behind it.
    pub fn parse(
        &mut self,
        input: &[u8],
        method: &Method,
        offered_upgrade: bool,
    ) -> Result<Option<(ResponseHead, usize)>, Malformed> {
        let read = self.section.read(input, |head, input, _| {
            let read = read_status_line(input, head);
            fields::only_if_whole(input, 0, read)
        });
        let Some(consumed) = read? else { return Ok(None) };
        self.finish(method, offered_upgrade)?;
        Ok(Some((self.section.take(), consumed)))
    }

    fn finish(&mut self, method: &Method, offered_upgrade: bool) -> Result<(), Rule> {
        let Section { head, limits, .. } = &mut self.section;
        if head.status == 101 && !offered_upgrade {
            return Err(Rule::UnexpectedUpgrade);
        }
        let stated = framing::stated(&head.headers, head.version)?;
        head.body = body(head.status, stated, method)?;
        if let BodyKind::Length(length) = head.body
            && length > limits.body_bytes_max
        {
            return Err(Rule::ContentTooLarge);
        }
        let options = hop::connection_options(&head.headers)?;
        head.keep_alive = !options.close
            && (head.version == Version::Http11 || options.keep_alive)
            && !matches!(head.body, BodyKind::UntilClose | BodyKind::Upgrade);
        // An answer to HEAD, and a 304, state the length that content would have had.
        let describes = head.body == BodyKind::None && head.status >= 200 && head.status != 204;
        let typed = if describes { NameSet::default() } else { LENGTH };
        hop::strip(&mut head.headers, options.names_fields, matches!(head.status, 101 | 426), typed);
        Ok(())
    }
}

/// RFC 9112 §6.3. A 204 may say `Content-Length: 0`, as many servers do; content announced where none can follow would
/// be read as the next response.
fn body(status: u16, stated: Stated, method: &Method) -> Result<BodyKind, Rule> {
    let connected = *method == Method::Connect && (200..300).contains(&status);
    match stated {
        _ if status == 101 || connected => {
            if stated == Stated::Nothing {
                Ok(BodyKind::Upgrade)
            } else {
                Err(Rule::BodyForbidden)
            }
        }
        Stated::Nothing | Stated::Length(0) if status < 200 || status == 204 => Ok(BodyKind::None),
        _ if status < 200 || status == 204 => Err(Rule::BodyForbidden),
        _ if status == 304 || *method == Method::Head => Ok(BodyKind::None),
        Stated::Length(length) => Ok(BodyKind::Length(length)),
        Stated::Chunked => Ok(BodyKind::Chunked),
        Stated::Nothing => Ok(BodyKind::UntilClose),
    }
}

/// `version SP status [SP reason] CRLF`: the second space is often missing and harmless.
fn read_status_line(input: &[u8], head: &mut ResponseHead) -> Result<Line<()>, Rule> {
    let mut end = scan::control(input, 0);
    while input.get(end) == Some(&b'\t') {
        end = scan::control(input, end + 1);
    }
    let Line::Whole((), next) = fields::line_end(input, end, Rule::StatusLine)? else { return Ok(Line::Incomplete) };
    let (text, rest) = input[..end].split_at_checked(8).ok_or(Rule::StatusLine)?;
    head.version = version(text).ok_or(Rule::StatusLine)??;
    let [b' ', hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] = rest else {
        return Err(Rule::StatusLine);
    };
    head.status = [hundreds, tens, ones].into_iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    match rest {
        [] => {}
        [b' ', reason @ ..] => keep_unusual(head, reason),
        // A fourth digit, or any other byte.
        _ => return Err(Rule::StatusLine),
    }
    Ok(Line::Whole((), next))
}

fn keep_unusual(head: &mut ResponseHead, reason: &[u8]) {
    if reason != status::reason(head.status).as_bytes()
        && reason.len() <= REASON_BYTES_MAX
        && let Ok(reason) = std::str::from_utf8(reason)
    {
        head.reason.push_str(reason);
    }
}

const LENGTH: NameSet = NameSet::of(&[Known::ContentLength]);
