//! The embedded directory: users, user groups, and who is assigned to which application. What is decided here is decided
//! from values alone: no store, no clock.

mod assignment;
mod graph;
mod login;
mod rule;
mod text;
mod user;

pub use assignment::{Assignment, AssignmentKey, Principal, assigned};
pub use graph::{GroupGraph, NestingInvalid, Via};
pub use login::{LoginInvalid, LoginName};
pub use rule::{Rule, RuleInvalid, Tested};
pub use text::{AttributeInvalid, AttributeName, Line, LineInvalid, MailAddress, MailInvalid, is_bidi_control};
pub use user::{Membership, User, UserGroup, UserKind};

/// Serialises a type as the text that it reads from.
macro_rules! as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use as_text;

/// Attributes of one user: with [`VALUE_BYTES_MAX`] at most 64 KiB each, and in practice some hundred bytes.
pub const ATTRIBUTES_MAX: usize = 64;
/// One attribute's value.
pub const VALUE_BYTES_MAX: usize = 1_024;
/// A user's name for people.
pub const DISPLAY_NAME_BYTES_MAX: usize = 256;
/// What a user group is for.
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// A login name, as long as a mail address may be (RFC 5321 §4.5.3.1.3).
pub const LOGIN_BYTES_MAX: usize = 254;
/// A rule as text, and as it is written out.
pub const RULE_BYTES_MAX: usize = 4_096;
/// Parentheses and `not` inside each other: what reads, prints and decides a rule recurses as deep.
pub const RULE_DEPTH_MAX: usize = 32;
/// The last second of the year 9999: what ends later could not be written down (RFC 3339).
pub const END_UNIX_MAX: u64 = 253_402_300_799;
/// Groups inside each other, the outermost included: who belongs where is found by walking up as many levels.
pub const NESTING_DEPTH_MAX: usize = 16;
