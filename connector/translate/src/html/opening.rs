//! What `<` begins, and where what is no tag ends.

/// What `<` begins.
pub(super) enum Opening {
    /// It has not all come.
    Unknown,
    /// Nothing.
    Text,
    Tag,
    Bogus,
    /// With `<!--` and `<![CDATA[` before it.
    Comment,
    Cdata,
}

/// The last bytes of a comment or a CDATA section, the very last one at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tail {
    bytes: [u8; 3],
    /// So many of them have come.
    count: usize,
}

impl Opening {
    /// By the bytes from `<` on.
    pub(super) fn of(bytes: &[u8], has_cdata: bool) -> Self {
        match bytes.get(1) {
            None => Self::Unknown,
            Some(byte) if byte.is_ascii_alphabetic() => Self::Tag,
            Some(b'/') => match bytes.get(2) {
                None => Self::Unknown,
                Some(byte) if byte.is_ascii_alphabetic() => Self::Tag,
                Some(_) => Self::Bogus,
            },
            Some(b'?') => Self::Bogus,
            Some(b'!') if bytes.starts_with(COMMENT) => Self::Comment,
            Some(b'!') if has_cdata && bytes.starts_with(CDATA) => Self::Cdata,
            Some(b'!') if COMMENT.starts_with(bytes) || has_cdata && CDATA.starts_with(bytes) => Self::Unknown,
            Some(b'!') => Self::Bogus,
            Some(_) => Self::Text,
        }
    }
}

impl Tail {
    /// The last bytes once `more` has come, too.
    pub(super) fn and(self, more: &[u8]) -> Self {
        let Self { mut bytes, count } = self;
        for byte in &more[more.len().saturating_sub(bytes.len())..] {
            bytes.rotate_left(1);
            bytes[2] = *byte;
        }
        Self { bytes, count: bytes.len().min(count + more.len()) }
    }

    /// Whether `>` ends the comment here: behind `--` or `--!`, or at once (`<!-->`, `<!--->`).
    pub(super) fn ends_comment(self) -> bool {
        match (self.count, self.bytes) {
            (0, _) | (1.., [_, b'-', b'-']) | (3.., [b'-', b'-', b'!']) => true,
            (count, [_, _, last]) => count == 1 && last == b'-',
        }
    }

    pub(super) fn ends_cdata(self) -> bool {
        matches!((self.count, self.bytes), (2.., [_, b']', b']']))
    }
}

pub(super) const COMMENT: &[u8] = b"<!--";
pub(super) const CDATA: &[u8] = b"<![CDATA[";
/// `</`, `<!` or `<?`: the next byte may be its end.
pub(super) const BOGUS_BYTES: usize = 2;
