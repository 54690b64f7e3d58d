//! The hash chain of the logs that nobody may rewrite: what a record's hash is taken of ([`Encoder`]), and the walk that finds
//! where a chain is broken ([`Walk`]). The encoding is described in `docs/audit.md`; control and `postern audit verify --file` share this code.

mod walk;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use serde::{Deserialize as DeserializeMacro, Serialize as SerializeMacro};

pub use walk::{Broken, Damage, Walk};

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SerializeMacro, DeserializeMacro)]
#[serde(rename_all = "kebab-case")]
pub enum LogKind {
    /// Who changed what.
    Audit,
    /// Who signed in, or tried to.
    SignIn,
}

impl LogKind {
    /// Its name, also within the hashes: a record of one log is none of the other.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::SignIn => "sign-in",
        }
    }
}

/// The SHA-256 that stands for a record and all before it. As text 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// What stands before the first record.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no hash or mark.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct MarkInvalid {
    text: String,
    expected: &'static str,
}

impl FromStr for ChainHash {
    type Err = MarkInvalid;

    fn from_str(text: &str) -> Result<Self, MarkInvalid> {
        let mut bytes = [0; 32];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if lower => Ok(Self(bytes)),
            Ok(()) | Err(_) => Err(MarkInvalid {
                text: text.chars().take(GIVEN_CHARS_MAX).collect(),
                expected: "a hash of 64 lower-case hex digits",
            }),
        }
    }
}

impl Serialize for ChainHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChainHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A record's number and hash: whoever has noted it can tell later whether the log up to there is still the same.
/// As text `SEQ:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SerializeMacro, DeserializeMacro)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The record's number; 0 stands before the first one.
    pub seq: u64,
    /// Its hash.
    pub hash: ChainHash,
}

impl Mark {
    /// Where every log begins.
    pub const START: Self = Self { seq: 0, hash: ChainHash::ZERO };
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Mark {
    type Err = MarkInvalid;

    fn from_str(text: &str) -> Result<Self, MarkInvalid> {
        let parts = text.split_once(':').filter(|(seq, _)| seq.bytes().all(|b| b.is_ascii_digit()));
        let parsed = parts.and_then(|(seq, hash)| Some(Self { seq: seq.parse().ok()?, hash: hash.parse().ok()? }));
        parsed.ok_or_else(|| MarkInvalid {
            text: text.chars().take(GIVEN_CHARS_MAX).collect(),
            expected: "SEQ:HASH as `postern audit head` prints it",
        })
    }
}

/// A record of a chain.
pub trait Chained: Clone {
    /// Which log it belongs to.
    const LOG: LogKind;

    /// Its number.
    fn seq(&self) -> u64;

    /// Sets number and hashes: the record's place in a chain.
    fn place(&mut self, seq: u64, previous: ChainHash, hash: ChainHash);

    /// The hash of the record before, as the record has it.
    fn previous(&self) -> ChainHash;

    /// Its hash, as the record has it.
    fn hash(&self) -> ChainHash;

    /// Feeds every field but the hashes, in the order of `docs/audit.md`.
    fn encode(&self, encoder: &mut Encoder);

    /// The hash that its content gives.
    fn computed(&self) -> ChainHash {
        let mut encoder = Encoder::new(self.previous(), Self::LOG);
        self.encode(&mut encoder);
        encoder.finish()
    }

    /// The record as the next one behind `last`.
    #[must_use]
    fn behind(mut self, last: Mark) -> Self {
        let seq = last.seq.saturating_add(1);
        self.place(seq, last.hash, ChainHash::ZERO);
        let hash = self.computed();
        self.place(seq, last.hash, hash);
        self
    }

    /// Its number and hash.
    fn mark(&self) -> Mark {
        Mark { seq: self.seq(), hash: self.hash() }
    }
}

/// Feeds the canonical bytes of a record to SHA-256. Every value says what it is and how long, so that no two records give
/// the same bytes.
pub struct Encoder(digest::Context);

impl Encoder {
    fn new(previous: ChainHash, log: LogKind) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&previous.0);
        context.update(&[ENCODING]);
        let mut encoder = Self(context);
        encoder.text(log.as_str());
        encoder
    }

    /// Nothing is there.
    pub fn absent(&mut self) {
        self.0.update(&[0]);
    }

    /// A number.
    pub fn number(&mut self, value: u64) {
        self.0.update(&[1]);
        self.0.update(&value.to_be_bytes());
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.0.update(&[2]);
        self.length(text.len());
        self.0.update(text.as_bytes());
    }

    /// A list of so many entries, which follow.
    pub fn list(&mut self, entries: usize) {
        self.0.update(&[3]);
        self.length(entries);
    }

    /// A number, or nothing.
    pub fn number_or_absent(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.number(value),
            None => self.absent(),
        }
    }

    /// A text, or nothing.
    pub fn text_or_absent(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.absent(),
        }
    }

    fn length(&mut self, length: usize) {
        self.0.update(&(length as u64).to_be_bytes());
    }

    fn finish(self) -> ChainHash {
        let digest = self.0.finish();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        ChainHash(hash)
    }
}

/// Version of the encoding: the byte behind the previous hash.
pub const ENCODING: u8 = 1;
const GIVEN_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests;
