//! Directory synchronisation in the admin API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::directory_sync::{SourceKind, SourceSettings, Trouble};
use crate::ids::Name;

/// `directory-sync add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddSource {
    /// What it is called.
    pub name: Name,
    /// What its settings are unless something else is said.
    pub kind: SourceKind,
    /// Settings by their keys.
    pub settings: Map<String, Value>,
}

/// `directory-sync set`: what is not given stays, what is `null` goes back to the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSource {
    /// Settings by their keys.
    pub settings: Map<String, Value>,
}

/// `directory-sync run`: a full pass, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSource {
    /// That pass may remove so many users and groups, whatever the bound says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_removals: Option<u32>,
}

/// A pass was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAsked {
    /// Done once [`SourceView::runs_done`] is no less.
    pub run: u64,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// Its name.
    pub name: Name,
    /// The connector group of its processes.
    pub group: Name,
    /// What is read.
    pub settings: SourceSettings,
    /// Its processes that are online.
    pub online: u32,
    /// Users that are its own and not gone.
    pub users: u32,
    /// Groups that are its own.
    pub groups: u32,
    /// Passes that operators asked for and that are over.
    pub runs_done: u64,
    /// Whether one is under way.
    pub running: bool,
    /// The last one that is over, since control started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastPass>,
}

/// A pass that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPass {
    /// Whether everything was read.
    pub full: bool,
    /// When it was over.
    pub ended_unix_ms: u64,
    /// How long it took.
    pub took_ms: u64,
    /// Users that were read.
    pub users_read: u32,
    /// Groups that were read.
    pub groups_read: u32,
    /// Users and groups that were made.
    pub created: u32,
    /// Users and groups that were changed.
    pub changed: u32,
    /// Users and groups that were gone, and are now removed or disabled.
    pub removed: u32,
    /// Why it did not come to its end: a code of the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// What exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many users and groups were gone, where that was too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_confirm: Option<u32>,
    /// Entries that could not be taken as they are, the first of them.
    pub troubles: Vec<Trouble>,
    /// How many there were.
    pub troubles_total: u32,
}

/// A source after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceChanged {
    /// The source.
    pub source: SourceView,
    /// What an operator should know.
    pub warnings: Vec<String>,
}
