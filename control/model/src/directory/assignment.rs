//! Assignments: who may open an application.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{User, as_text};
use crate::ids::{AppId, IdInvalid, Name, UserGroupId, UserId};

/// One user, group or everyone, assigned to one application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// What they may open.
    pub app: AppId,
    /// Who.
    pub principal: Principal,
    /// What the application is told they are, if it asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
    /// From this second on it counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix: Option<u64>,
    /// When it was made.
    pub created_unix_ms: u64,
}

/// Who is assigned. As text: `u1-7`, `ug1-3`, `everyone`. In the order in which they decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A user.
    User(UserId),
    /// Whoever is in a group, nested ones included.
    Group(UserGroupId),
    /// Every user of the tenant, guests too.
    Everyone,
}

/// An assignment's place among all: one for each application and principal. As text: `a1-7/u1-3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssignmentKey {
    /// The application.
    pub app: AppId,
    /// Who.
    pub principal: Principal,
}

impl Assignment {
    /// Its place among all assignments.
    #[must_use]
    pub const fn key(&self) -> AssignmentKey {
        AssignmentKey { app: self.app, principal: self.principal }
    }

    /// Whether its time is not over.
    #[must_use]
    pub const fn is_current(&self, now_unix: u64) -> bool {
        match self.expires_unix {
            Some(expires_unix) => now_unix < expires_unix,
            None => true,
        }
    }
}

/// The assignment that lets a user into an application, if one does: their own before one of their groups (those of
/// [`super::GroupGraph::counted_groups_of`]; of several the group that was made first) before everyone's. What has expired
/// decides nothing, and users that do not count now have none.
#[must_use]
pub fn assigned<'a>(
    assignments: &'a BTreeMap<AssignmentKey, Assignment>,
    user: &User,
    groups: &BTreeSet<UserGroupId>,
    app: AppId,
    now_unix: u64,
) -> Option<&'a Assignment> {
    if !user.is_active(now_unix) || user.id.tenant != app.tenant {
        return None;
    }
    let own = std::iter::once(Principal::User(user.id));
    let principals = own.chain(groups.iter().copied().map(Principal::Group)).chain([Principal::Everyone]);
    let mut found = principals.filter_map(|principal| assignments.get(&AssignmentKey { app, principal }));
    found.find(|assignment| assignment.is_current(now_unix))
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Group(id) => id.fmt(f),
            Self::Everyone => f.write_str(EVERYONE),
        }
    }
}

impl FromStr for Principal {
    type Err = IdInvalid;

    fn from_str(text: &str) -> Result<Self, IdInvalid> {
        if text == EVERYONE {
            return Ok(Self::Everyone);
        }
        text.parse().map(Self::Group).or_else(|_: IdInvalid| text.parse().map(Self::User))
    }
}

as_text!(Principal);

impl fmt::Display for AssignmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.principal)
    }
}

impl FromStr for AssignmentKey {
    type Err = IdInvalid;

    fn from_str(text: &str) -> Result<Self, IdInvalid> {
        let (app, principal) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self { app: app.parse()?, principal: principal.parse()? })
    }
}

as_text!(AssignmentKey);

const EVERYONE: &str = "everyone";

#[cfg(test)]
mod tests {
    use super::super::user::user;
    use super::*;
    use crate::ids::TenantId;
    use proptest::prelude::*;

    const APP: AppId = AppId::new(TenantId::DEFAULT, 1);

    fn principal(seq: u32) -> Principal {
        match seq {
            0 => Principal::Everyone,
            1 | 2 => Principal::User(UserId::new(TenantId::DEFAULT, seq)),
            _ => Principal::Group(UserGroupId::new(TenantId::DEFAULT, seq)),
        }
    }

    fn assignment(seq: u32, expires_unix: Option<u64>) -> Assignment {
        Assignment { app: APP, principal: principal(seq), role: None, expires_unix, created_unix_ms: 0 }
    }

    fn all(given: &[Assignment]) -> BTreeMap<AssignmentKey, Assignment> {
        given.iter().map(|assignment| (assignment.key(), assignment.clone())).collect()
    }

    #[test]
    fn the_nearest_current_one_decides() {
        let anna = user(1, "anna", &[]);
        let groups = BTreeSet::from([4, 3].map(|seq| UserGroupId::new(TenantId::DEFAULT, seq)));
        let mut given =
            all(&[assignment(0, None), assignment(4, None), assignment(3, Some(10)), assignment(1, Some(5))]);
        let who = |given: &BTreeMap<_, _>, now| assigned(given, &anna, &groups, APP, now).map(|a| a.principal);
        assert_eq!(who(&given, 4), Some(principal(1)));
        assert_eq!(who(&given, 5), Some(principal(3)));
        assert_eq!(who(&given, 10), Some(principal(4)));
        given.remove(&assignment(4, None).key());
        assert_eq!(who(&given, 10), Some(Principal::Everyone));
        let other = AppId::new(TenantId::DEFAULT, 2);
        assert_eq!(assigned(&given, &anna, &groups, other, 0), None);
        let disabled = User { enabled: false, ..anna };
        assert_eq!(assigned(&given, &disabled, &groups, APP, 0), None);
    }

    #[test]
    fn keys_are_text() {
        for text in ["a1-7/u1-3", "a1-7/ug1-3", "a1-7/everyone"] {
            assert_eq!(text.parse::<AssignmentKey>().unwrap().to_string(), text);
        }
        for wrong in ["", "a1-7", "a1-7/", "a1-7/g1-3", "u1-3/u1-3", "a1-7/everyone/x"] {
            assert!(wrong.parse::<AssignmentKey>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nobody_is_let_in_by_what_is_not_theirs_or_over(
            given in prop::collection::btree_map(0u32..8, prop::option::of(0u64..20), 0..8),
            groups in prop::collection::btree_set(3u32..8, 0..4),
            now in 0u64..20,
        ) {
            let assignments = all(&given.iter().map(|(seq, expires)| assignment(*seq, *expires)).collect::<Vec<_>>());
            let ids = groups.iter().map(|seq| UserGroupId::new(TenantId::DEFAULT, *seq)).collect();
            let mine = |seq: u32| seq == 0 || seq == 1 || groups.contains(&seq);
            let right = |(seq, expires): (&u32, &Option<u64>)| mine(*seq) && expires.is_none_or(|expires| now < expires);
            let found = assigned(&assignments, &user(1, "anna", &[]), &ids, APP, now);
            prop_assert_eq!(found.is_some(), given.iter().any(right));
            if let Some(found) = found {
                prop_assert!(found.is_current(now));
                let better = assignments.values().filter(|a| a.is_current(now) && a.principal < found.principal);
                let theirs = |p: Principal| match p {
                    Principal::User(id) => id.seq == 1,
                    Principal::Group(id) => groups.contains(&id.seq),
                    Principal::Everyone => true,
                };
                prop_assert!(!better.into_iter().any(|a| theirs(a.principal)));
            }
        }
    }
}
