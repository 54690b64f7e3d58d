//! Users, user groups and assignments in the admin API.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use crate::directory::{
    AttributeName, DESCRIPTION_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, Line, LoginName, MailAddress, Rule, Tested, User,
    VALUE_BYTES_MAX, Via,
};
use crate::ids::{Name, UserGroupId};
use crate::secret::SecretText;

/// Makes a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// What they type to sign in, unique in the tenant.
    pub login: LoginName,
    /// What people call them.
    #[serde(default)]
    pub display_name: Line<DISPLAY_NAME_BYTES_MAX>,
    /// Where they get mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailAddress>,
    /// What rules ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttributeName, Line<VALUE_BYTES_MAX>>,
    /// Whether they do not belong to the organisation.
    #[serde(default)]
    pub guest: bool,
    /// When a guest's time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix: Option<u64>,
    /// Their password; without one they cannot sign in with a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretText>,
}

/// Changes a user; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUser {
    /// Another login name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginName>,
    /// What people call them; empty for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Line<DISPLAY_NAME_BYTES_MAX>>,
    /// Where they get mail; `null` for nowhere.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub mail: Option<Option<MailAddress>>,
    /// Attributes to set; `null` removes one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttributeName, Option<Line<VALUE_BYTES_MAX>>>,
    /// Whether they are a guest from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<bool>,
    /// When a guest's time is over; `null`: when someone says so.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub expires_unix: Option<Option<u64>>,
    /// Whether they may sign in at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Gives a user a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// The password. Kept as an argon2id hash only.
    pub password: SecretText,
}

/// A page of users, by login name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsersPage {
    /// The users.
    pub items: Vec<User>,
    /// What to give as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<LoginName>,
}

/// A user after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserChanged {
    /// The user.
    pub user: User,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// A user with what follows from what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDetail {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Whether they count now: neither disabled nor a guest whose time is over. Groups and assignments of one who does not
    /// are shown, and have no effect.
    pub active: bool,
    /// The source that they follow, if they follow one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Name>,
    /// The groups they are in.
    pub groups: Vec<GroupOfUser>,
    /// For each application that they are assigned to, the assignment that decides; none while they do not count.
    pub assignments: Vec<AssignmentView>,
}

/// A group that a user is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupOfUser {
    /// Its name.
    pub name: Name,
    /// How they come to be in it.
    pub via: Via,
}

/// Makes a group of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateUserGroup {
    /// Its name, unique in the tenant.
    pub name: Name,
    /// What it is for.
    #[serde(default)]
    pub description: Line<DESCRIPTION_BYTES_MAX>,
    /// Whoever this is true of is in it. Without a rule users and groups are put into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Who looks after it: login names or ids.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub owners: BTreeSet<String>,
}

/// Changes a group of users; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUserGroup {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// What it is for; empty for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Line<DESCRIPTION_BYTES_MAX>>,
    /// Another rule; `null`: users and groups are put into it from now on.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub rule: Option<Option<Rule>>,
    /// Who looks after it from now on, too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub owners_add: BTreeSet<String>,
    /// Who does not any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub owners_remove: BTreeSet<String>,
}

/// Puts users and groups into a group, or takes them out: names or ids. Who is in it, or not in it, already stays so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeMembers {
    /// Who is put into it.
    #[serde(default)]
    pub add: Members,
    /// Who is taken out.
    #[serde(default)]
    pub remove: Members,
}

/// Users and groups by name or id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// Login names or ids.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub users: BTreeSet<String>,
    /// Names or ids of user groups.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserGroupView {
    /// Its id.
    pub id: UserGroupId,
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub description: Line<DESCRIPTION_BYTES_MAX>,
    /// Whoever this is true of is in it; absent where users and groups are put into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Users that were put into it.
    pub users: u32,
    /// Groups that are nested in it.
    pub groups: u32,
    /// Who looks after it.
    pub owners: u32,
}

/// A group of users after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserGroupChanged {
    /// The group.
    pub group: UserGroupView,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// A group with who is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserGroupDetail {
    /// The group.
    #[serde(flatten)]
    pub group: UserGroupView,
    /// Everyone in it who counts now, each once: put into it, by rule, and through what is nested in it.
    pub members: u32,
    /// Who looks after it.
    pub owner_logins: Vec<LoginName>,
    /// Users that were put into it, the first [`MEMBERS_SHOWN_MAX`].
    pub user_logins: Vec<LoginName>,
    /// What is nested in it.
    pub group_names: Vec<Name>,
    /// What it is nested in.
    pub nested_in: Vec<Name>,
    /// Applications that it is assigned to.
    pub apps: Vec<Name>,
}

/// Asks what a rule, or a group, makes of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestMembership {
    /// Who: login name or id.
    pub user: String,
    /// A rule; this or a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// A group: name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What a rule, or a group, makes of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipTested {
    /// Who.
    pub user: LoginName,
    /// Whether the rule is true of them, or they are in the group.
    pub matches: bool,
    /// How they come to be in the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    /// Whether they count now; a group has no effect on one who does not.
    pub active: bool,
    /// The rule that was tested: the one given, or the group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Its tests, each by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Tested>,
}

/// Assigns someone to an application, or changes how. One of user, group and everyone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// The application: name or id.
    pub app: String,
    /// A user: login name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A user group: name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Every user of the tenant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    /// What the application is told they are, if it asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix: Option<u64>,
}

/// An assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentView {
    /// The application's name.
    pub app: Name,
    /// Who, as in a path: `user/anna`, `group/sales`, `everyone`.
    pub principal: String,
    /// What the application is told they are.
    pub role: Option<Name>,
    /// When it ends.
    pub expires_unix: Option<u64>,
    /// Whether it has ended.
    pub expired: bool,
    /// When it was made.
    pub created_unix_ms: u64,
    /// When it last let somebody in, to the day; in lists only. `None`: nobody yet, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_unix: Option<u64>,
}

/// An assignment after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentChanged {
    /// The assignment.
    pub assignment: AssignmentView,
    /// Version of the log that holds it.
    pub version: u64,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// A field that is there, `null` or not: so that `null` can take something away.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Users on a page unless `limit` says otherwise.
pub const USERS_LIMIT_DEFAULT: u32 = 100;
/// Most users on a page: at 4 KiB each, far more than usual, 4 MB of an answer.
pub const USERS_LIMIT_MAX: u32 = 1_000;
/// Users of a group that are named one by one.
pub const MEMBERS_SHOWN_MAX: u32 = 1_000;
