//! What a keytab holds: whose keys, which versions, for which ciphers. The keys themselves are passed over. The format is MIT's, 0x0502.

use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::{FailureKind, KerberosFailure};

/// One key, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeytabEntry {
    /// Whose: `HTTP/connector.example.com@EXAMPLE.COM`.
    pub principal: String,
    /// Its version (kvno).
    pub version: u32,
    /// Its cipher (enctype) by number.
    pub cipher: u16,
}

/// Reads a keytab.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read(path: &Path) -> Result<Vec<KeytabEntry>, KerberosFailure> {
    let failed = |words: String| KerberosFailure::without_code(FailureKind::Keytab, words);
    let unread = |error: std::io::Error| {
        let words = format!("cannot read {}: {error}", path.display());
        KerberosFailure::without_code(FailureKind::KeytabUnreadable, words)
    };
    let file = std::fs::File::open(path).map_err(unread)?;
    // Room for all at once: a vector that grows leaves copies of keys behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEYTAB_BYTES_MAX + 1));
    let read = file.take(KEYTAB_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(unread)?;
    if bytes.len() > KEYTAB_BYTES_MAX {
        return Err(failed(format!("{} is larger than any keytab", path.display())));
    }
    parse(&bytes).ok_or_else(|| failed(format!("{} is not a keytab, or is damaged", path.display())))
}

/// Its entries; none when it is no keytab. At most [`ENTRIES_MAX`].
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Vec<KeytabEntry>> {
    let mut rest = bytes.strip_prefix(&MAGIC)?;
    let mut entries = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        if length == 0 {
            break;
        }
        let (record, after) = after.split_at_checked(usize::try_from(length.unsigned_abs()).ok()?)?;
        // A negative length is a hole where an entry was.
        if length > 0 {
            entries.push(entry(record)?);
        }
        if entries.len() == ENTRIES_MAX {
            break;
        }
        rest = after;
    }
    Some(entries)
}

fn entry(record: &[u8]) -> Option<KeytabEntry> {
    let mut fields = Fields(record);
    let components = fields.u16()?;
    let realm = fields.text()?;
    let names: Vec<String> = (0..components).map(|_| fields.text()).collect::<Option<_>>()?;
    fields.skip(8)?; // the name's type and the time
    let short = fields.u8()?;
    let cipher = fields.u16()?;
    let key = usize::from(fields.u16()?);
    fields.skip(key)?;
    let version = fields.u32().filter(|version| *version != 0).unwrap_or_else(|| short.into());
    Some(KeytabEntry { principal: format!("{}@{realm}", names.join("/")), version, cipher })
}

impl KeytabEntry {
    /// The cipher's name (RFC 3961 and those after it).
    #[must_use]
    pub const fn cipher_name(&self) -> &'static str {
        match self.cipher {
            1 => "des-cbc-crc",
            3 => "des-cbc-md5",
            16 => "des3-cbc-sha1",
            17 => "aes128-cts-hmac-sha1-96",
            18 => "aes256-cts-hmac-sha1-96",
            19 => "aes128-cts-hmac-sha256-128",
            20 => "aes256-cts-hmac-sha384-192",
            23 => "arcfour-hmac",
            25 => "camellia128-cts-cmac",
            26 => "camellia256-cts-cmac",
            _ => "a cipher unknown here",
        }
    }

    /// Whether KDCs and applications of today may refuse it.
    #[must_use]
    pub const fn is_weak(&self) -> bool {
        matches!(self.cipher, 1..=16 | 23 | 24)
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.u16()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

const MAGIC: [u8; 2] = [5, 2];
/// Some ten thousand keys.
const KEYTAB_BYTES_MAX: usize = 1 << 20;
/// Entries that are looked at.
pub const ENTRIES_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(long: Option<u32>) -> Vec<u8> {
        let mut out = vec![0, 2, 0, 2];
        out.extend(b"EX");
        for name in [b"HTTP".as_slice(), b"c"] {
            out.extend([0, name.len() as u8]);
            out.extend(name);
        }
        out.extend([0, 0, 0, 1, 0, 0, 0, 9, 3, 0, 18, 0, 4]);
        out.extend(b"KEY!");
        out.extend(long.into_iter().flat_map(u32::to_be_bytes));
        out
    }

    fn keytab(records: &[(i32, Vec<u8>)]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for (length, record) in records {
            out.extend(length.to_be_bytes());
            out.extend(record);
        }
        out
    }

    #[test]
    fn entries_are_read_and_holes_passed_over() {
        let (short, long) = (record(None), record(Some(300)));
        let (a, b) = (short.len() as i32, long.len() as i32);
        let entries = parse(&keytab(&[(a, short.clone()), (-a, short), (b, long)])).unwrap();
        let versions: Vec<u32> = entries.iter().map(|entry| entry.version).collect();
        assert_eq!(versions, [3, 300]);
        assert_eq!(entries[0].principal, "HTTP/c@EX");
        assert_eq!((entries[0].cipher_name(), entries[0].is_weak()), ("aes256-cts-hmac-sha1-96", false));
        assert!(!format!("{entries:?}").contains("KEY!"));
    }

    #[test]
    fn what_is_no_keytab_is_refused_wherever_it_is_cut() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(&[5, 1]), None);
        let whole = keytab(&[(record(None).len() as i32, record(None))]);
        for length in 7..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        assert_eq!(parse(&keytab(&[(i32::MIN, Vec::new())])), None);
        let failure = read(Path::new("/nonexistent/keytab")).unwrap_err();
        assert_eq!(failure.kind, FailureKind::KeytabUnreadable);
        assert!(failure.words.starts_with("cannot read /nonexistent/keytab: "), "{failure}");
        assert!(failure.advice().starts_with("look at --keytab: its path"), "{failure}");
    }
}
