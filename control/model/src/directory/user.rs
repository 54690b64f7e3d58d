//! Users and the groups they are in. Passwords are not here: the store keeps their hashes, and nobody else sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    AttributeName, DESCRIPTION_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, Line, LoginName, MailAddress, Rule, VALUE_BYTES_MAX,
};
use crate::ids::{Name, UserGroupId, UserId};

/// Someone who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id, which stays when the login name changes.
    pub id: UserId,
    /// What they type to sign in, unique in the tenant.
    pub login: LoginName,
    /// What people call them; may be empty.
    #[serde(default)]
    pub display_name: Line<DISPLAY_NAME_BYTES_MAX>,
    /// Where they get mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailAddress>,
    /// What rules ask for: at most [`super::ATTRIBUTES_MAX`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttributeName, Line<VALUE_BYTES_MAX>>,
    /// Whether they belong to the organisation.
    #[serde(flatten)]
    pub kind: UserKind,
    /// Whether they may sign in at all.
    pub enabled: bool,
    /// When they were made.
    pub created_unix_ms: u64,
    /// When their password was set; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_set_unix_ms: Option<u64>,
}

/// Whether a user belongs to the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum UserKind {
    /// Yes.
    Member,
    /// No: let in for a while.
    Guest {
        /// From this second on they are nobody; `None`: until someone says otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_unix: Option<u64>,
    },
}

/// A group of users. Who is in an assigned group stands beside it, person by person: a group of 100,000 is not written anew
/// for one who joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserGroup {
    /// Its id.
    pub id: UserGroupId,
    /// Its name, unique in the tenant.
    pub name: Name,
    /// What it is for; may be empty.
    pub description: Line<DESCRIPTION_BYTES_MAX>,
    /// How users come into it.
    pub membership: Membership,
}

/// How users come into a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// Users and other groups are put into it.
    Assigned,
    /// Whoever the rule is true of.
    Dynamic {
        /// What must be true.
        rule: Rule,
    },
}

impl User {
    /// Whether they count: not disabled, and no guest whose time is over. Who does not is in no group and has no assignment
    /// that would let them in, whatever is written down; as soon as they count again, all of it holds again.
    #[must_use]
    pub const fn is_active(&self, now_unix: u64) -> bool {
        match self.kind {
            UserKind::Guest { expires_unix: Some(expires_unix) } => self.enabled && now_unix < expires_unix,
            UserKind::Guest { expires_unix: None } | UserKind::Member => self.enabled,
        }
    }
}

impl UserKind {
    /// As rules and people see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Guest { .. } => "guest",
        }
    }

    /// When a guest's time is over.
    #[must_use]
    pub const fn expires_unix(self) -> Option<u64> {
        match self {
            Self::Member => None,
            Self::Guest { expires_unix } => expires_unix,
        }
    }
}

impl UserGroup {
    /// Its rule, if it has one.
    #[must_use]
    pub const fn rule(&self) -> Option<&Rule> {
        match &self.membership {
            Membership::Assigned => None,
            Membership::Dynamic { rule } => Some(rule),
        }
    }
}

/// A user for tests: enabled, a member, with the attributes given.
#[cfg(test)]
pub(super) fn user(seq: u32, login: &str, attributes: &[(&str, &str)]) -> User {
    User {
        id: UserId::new(crate::ids::TenantId::DEFAULT, seq),
        login: login.parse().unwrap(),
        display_name: Line::default(),
        mail: None,
        attributes: attributes.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
        kind: UserKind::Member,
        enabled: true,
        created_unix_ms: 0,
        password_set_unix_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_flat_json() {
        let guest = UserKind::Guest { expires_unix: Some(10) };
        let user = User { kind: guest, ..user(1, "anna", &[("team", "a")]) };
        let json = serde_json::to_value(&user).unwrap();
        assert_eq!((&json["kind"], &json["expires_unix"]), (&"guest".into(), &10.into()));
        assert_eq!(serde_json::from_value::<User>(json).unwrap(), user);
    }

    #[test]
    fn who_is_disabled_or_over_does_not_count() {
        let member = user(1, "anna", &[]);
        let guest = |expires_unix| User { kind: UserKind::Guest { expires_unix }, ..member.clone() };
        assert!(member.is_active(u64::MAX) && guest(None).is_active(u64::MAX));
        assert!(guest(Some(10)).is_active(9) && !guest(Some(10)).is_active(10));
        for user in [member.clone(), guest(None), guest(Some(10))] {
            assert!(!User { enabled: false, ..user }.is_active(0));
        }
    }
}
