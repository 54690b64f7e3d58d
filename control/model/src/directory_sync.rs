//! Directory synchronisation: what a process beside an LDAP directory tells control about users and groups, and what control
//! tells it. It speaks as identity processes do: HTTP/1.1 with JSON inside TLS of its own that ends in control.

mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::directory::{
    AttributeName, DESCRIPTION_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, Line, LoginName, MailAddress, VALUE_BYTES_MAX,
    as_text,
};
use crate::ids::Name;

pub use settings::{Gone, SettingsInvalid, SourceKind, SourceSettings};

/// What a source calls an object for ever, whatever its name becomes: an `entryUUID`, an `objectGUID` in hex.
/// 1 to 64 of `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(Box<str>);

/// Text that is no object's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an object's id: 1 to {OBJECT_ID_BYTES_MAX} of a-z, 0-9 and -")]
pub struct ObjectIdInvalid;

impl ObjectId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectId {
    type Err = ObjectIdInvalid;

    fn from_str(text: &str) -> Result<Self, ObjectIdInvalid> {
        let clean = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if text.is_empty() || text.len() > OBJECT_ID_BYTES_MAX || !clean {
            return Err(ObjectIdInvalid);
        }
        Ok(Self(text.into()))
    }
}

as_text!(ObjectId);

/// What the process read of an object, as a hash: 32 hex digits. Control keeps it and gives it back, so that only what differs
/// is sent. The empty text stands for "changed here since, or never told": whatever is read differs from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digest(Box<str>);

/// Text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: 32 hex digits, or nothing")]
pub struct DigestInvalid;

impl Digest {
    /// The digest as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = DigestInvalid;

    fn from_str(text: &str) -> Result<Self, DigestInvalid> {
        let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex && matches!(text.len(), 0 | 32) { Ok(Self(text.into())) } else { Err(DigestInvalid) }
    }
}

as_text!(Digest);

/// An answer: what was asked for, or that it is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// Done.
    Done(T),
    /// Not done, with a code and why.
    Refused {
        /// Of the catalogue.
        code: String,
        /// What exactly.
        detail: String,
    },
}

/// What is to be read, and when. The question is empty: the certificate says whose configuration it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// What the operator calls the source.
    pub source: Name,
    /// What is read, how it is mapped, and how often.
    pub settings: SourceSettings,
    /// How often an operator asked for a pass: when it grows, one is due now.
    pub runs: u64,
}

/// Nothing, where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// A pass begins. Answered by a [`Pass`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Everything is read, so that what is missing is gone.
    pub full: bool,
    /// [`Config::runs`] as it was when the pass was decided on.
    pub runs: u64,
}

/// A pass: every further question names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Its number.
    pub pass: u64,
}

/// Users, or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// Users.
    User,
    /// Groups.
    Group,
}

/// What does control have of this source? Answered by a [`Known`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskKnown {
    /// The pass.
    pub pass: u64,
    /// Of what.
    pub kind: ObjectKind,
    /// Those behind this one.
    pub after: Option<ObjectId>,
}

/// A page of what control has, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// At most [`KNOWN_MAX`].
    pub items: Vec<KnownObject>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// An object that control has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownObject {
    /// Its id.
    pub id: ObjectId,
    /// What was told of it last.
    pub digest: Digest,
    /// It was gone, and is kept disabled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// Users and groups as they are now: at most [`PUT_MAX`] together. Answered by a [`PutDone`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The pass.
    pub pass: u64,
    /// Users.
    pub users: Vec<SyncUser>,
    /// Groups, without their members.
    pub groups: Vec<SyncGroup>,
}

/// A user as the source has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncUser {
    /// Which one.
    pub id: ObjectId,
    /// Of all that follows.
    pub digest: Digest,
    /// Absent: what the source has cannot be one. A user who is there keeps theirs, and nobody is made.
    pub login: Option<LoginName>,
    /// What people call them.
    pub display_name: Line<DISPLAY_NAME_BYTES_MAX>,
    /// Where they get mail.
    pub mail: Option<MailAddress>,
    /// Attributes that the source is asked for; without a value they are taken away. Others are left alone.
    pub attributes: BTreeMap<AttributeName, Option<Line<VALUE_BYTES_MAX>>>,
    /// Whether the source lets them sign in.
    pub enabled: bool,
}

/// A group as the source has it. Its digest comes with its members: [`Members`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroup {
    /// Which one.
    pub id: ObjectId,
    /// What people call it.
    pub display_name: Line<DESCRIPTION_BYTES_MAX>,
}

/// What became of a [`Put`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutDone {
    /// Objects that were made.
    pub created: u32,
    /// Objects that are not what they were.
    pub changed: u32,
    /// Objects that were refused; control lists them.
    pub refused: u32,
}

/// Who is in a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// A user, or a group.
    pub kind: ObjectKind,
    /// Which one.
    pub id: ObjectId,
}

/// Who of this source is in a group? Answered by [`KnownMembers`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskMembers {
    /// The pass.
    pub pass: u64,
    /// The group.
    pub group: ObjectId,
    /// Those behind this one.
    pub after: Option<Member>,
}

/// A page of a group's members, by kind and id. Those that are in it by hand, or of another source, are not named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownMembers {
    /// At most [`KNOWN_MAX`].
    pub items: Vec<Member>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// Who comes into a group and who leaves it: at most [`MEMBERS_MAX`] together. Answered by a [`PutDone`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The pass.
    pub pass: u64,
    /// The group.
    pub group: ObjectId,
    /// Who joins.
    pub add: Vec<Member>,
    /// Who leaves.
    pub remove: Vec<Member>,
    /// With the last part: of name and members as they then are.
    pub digest: Option<Digest>,
}

/// Objects that the source has no longer: at most [`GONE_MAX`] at a time. Answered by a [`PutDone`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The pass, a full one.
    pub pass: u64,
    /// How many users are gone in this pass, all told: control refuses at once what is too many.
    pub users_total: u32,
    /// How many groups.
    pub groups_total: u32,
    /// Users.
    pub users: Vec<ObjectId>,
    /// Groups.
    pub groups: Vec<ObjectId>,
}

/// A pass is over. Answered by [`Nothing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The pass; without one, it could not even begin.
    pub pass: Option<u64>,
    /// Users that were read.
    pub users: u32,
    /// Groups that were read.
    pub groups: u32,
    /// Why it did not come to its end: a code and what exactly.
    pub failed: Option<(String, String)>,
    /// Objects that could not be taken as they are: at most [`TROUBLES_MAX`].
    pub troubles: Vec<Trouble>,
    /// How many there were.
    pub troubles_total: u32,
}

/// An object that could not be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Which one, as the source names it.
    pub object: Line<TROUBLE_BYTES_MAX>,
    /// What is wrong with it, and what was done.
    pub what: Line<TROUBLE_BYTES_MAX>,
}

impl Trouble {
    /// Texts are cut, and signs that a line cannot have become a mark.
    #[must_use]
    pub fn new(object: &str, what: &str) -> Self {
        Self { object: shown(object), what: shown(what) }
    }
}

fn shown(text: &str) -> Line<TROUBLE_BYTES_MAX> {
    let unclean = |c: char| c.is_control() || crate::directory::is_bidi_control(c);
    let mut line = String::new();
    for c in text.chars().map(|c| if unclean(c) { '\u{fffd}' } else { c }) {
        if line.len() + c.len_utf8() + '…'.len_utf8() > TROUBLE_BYTES_MAX {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line.parse().unwrap_or_default()
}

/// Where control answers what.
pub mod path {
    /// [`super::Nothing`] to [`super::Config`].
    pub const CONFIG: &str = "/v1/directory-sync/config";
    /// [`super::Begin`] to [`super::Pass`].
    pub const BEGIN: &str = "/v1/directory-sync/begin";
    /// [`super::AskKnown`] to [`super::Known`].
    pub const KNOWN: &str = "/v1/directory-sync/known";
    /// [`super::Put`] to [`super::PutDone`].
    pub const PUT: &str = "/v1/directory-sync/put";
    /// [`super::AskMembers`] to [`super::KnownMembers`].
    pub const KNOWN_MEMBERS: &str = "/v1/directory-sync/known-members";
    /// [`super::Members`] to [`super::PutDone`].
    pub const MEMBERS: &str = "/v1/directory-sync/members";
    /// [`super::Removed`] to [`super::PutDone`].
    pub const REMOVED: &str = "/v1/directory-sync/removed";
    /// [`super::End`] to [`super::Nothing`].
    pub const END: &str = "/v1/directory-sync/end";
}

/// Longest id of an object.
pub const OBJECT_ID_BYTES_MAX: usize = 64;
/// Objects of one page of what control has: at about 130 bytes each 260 KB.
pub const KNOWN_MAX: usize = 2_000;
/// Objects of one [`Put`]: control writes them in one transaction, and others wait meanwhile.
pub const PUT_MAX: usize = 200;
/// Members of one [`Members`].
pub const MEMBERS_MAX: usize = 1_000;
/// Objects of one [`Removed`].
pub const GONE_MAX: usize = 200;
/// Objects in trouble that are listed; all are counted.
pub const TROUBLES_MAX: usize = 100;
/// One line about one of them.
pub const TROUBLE_BYTES_MAX: usize = 400;
/// Sources of one tenant.
pub const SOURCES_MAX: usize = 16;
/// Connector groups whose connectors are processes of a source are called so, with the source's name behind.
pub const GROUP_PREFIX: &str = "directory-sync-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_digests_have_one_form() {
        assert!("0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef".parse::<ObjectId>().is_ok());
        for wrong in ["", "A", "a b", "a\n", "ä", &"a".repeat(65)] {
            assert!(wrong.parse::<ObjectId>().is_err(), "{wrong:?}");
        }
        assert!("".parse::<Digest>().is_ok() && "0f".repeat(16).parse::<Digest>().is_ok());
        for wrong in ["0", "gone", &"0F".repeat(16), &"0".repeat(33)] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_told_of_an_object_fits_a_line() {
        let trouble = Trouble::new("cn=a\u{1b}[2J\u{202e}b", &"ä".repeat(4_000));
        assert_eq!(trouble.object.as_str(), "cn=a\u{fffd}[2J\u{fffd}b");
        assert!(trouble.what.as_str().ends_with('…') && trouble.what.as_str().len() <= TROUBLE_BYTES_MAX);
    }
}
