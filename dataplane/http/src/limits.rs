//! Every bound of the codec, with its arithmetic.

/// What one message may cost before it is refused.
///
/// A connection whose head is incomplete holds at most `head_bytes_max` of input, once more as parsed text
/// (each field gains at most 2 bytes: `: ` for `:`, and 12 bytes of index), so 2 × 32 KiB + 128 × 14 B < 66 KiB.
/// Trailers and chunk lines add at most `trailer_bytes_max + chunk_line_bytes_max` while a body is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Start line, fields and their line ends.
    pub head_bytes_max: u32,
    /// Fields in a head, and again in a trailer section.
    pub fields_max: u32,
    /// The request target as sent, absolute form included.
    pub target_bytes_max: u32,
    /// A chunk's size line with its extensions, without CRLF.
    pub chunk_line_bytes_max: u32,
    /// A trailer section with its line ends.
    pub trailer_bytes_max: u32,
    /// Content of one message, after removal of the chunked coding.
    pub body_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 32 << 10,
            fields_max: 128,
            target_bytes_max: 8 << 10,
            chunk_line_bytes_max: 256,
            trailer_bytes_max: 8 << 10,
            body_bytes_max: u64::MAX,
        }
    }
}

/// A method token; the longest registered one has 17 bytes (`UPDATEREDIRECTREF`).
pub(crate) const METHOD_BYTES_MAX: usize = 32;
/// A field name.
pub(crate) const NAME_BYTES_MAX: usize = 256;
/// A host with port: a DNS name of 253 bytes, a colon, five digits, and the root's dot.
pub(crate) const AUTHORITY_BYTES_MAX: usize = 260;
/// Options in all `Connection` fields of a message.
pub(crate) const CONNECTION_OPTIONS_MAX: usize = 32;
/// A reason phrase; longer ones are replaced by the standard one.
pub(crate) const REASON_BYTES_MAX: usize = 128;
/// A head in tunnel form: names known by number shrink, others gain at most 6 bytes of lengths.
pub(crate) const WIRE_BYTES_MAX: usize = 128 << 10;
