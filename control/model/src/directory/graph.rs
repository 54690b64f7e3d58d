//! Which groups a user is in: those they were put into, those whose rule is true of them, and whatever these are nested in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{NESTING_DEPTH_MAX, Rule, User, UserGroup};
use crate::ids::UserGroupId;

/// A tenant's groups without their users: small however many users there are. Nesting has no cycles, for
/// [`GroupGraph::check_nesting`] was asked before each was stored.
#[derive(Debug, Default)]
pub struct GroupGraph {
    rules: BTreeMap<UserGroupId, Rule>,
    /// What a group is nested in.
    parents: BTreeMap<UserGroupId, BTreeSet<UserGroupId>>,
    /// What is nested in a group.
    children: BTreeMap<UserGroupId, BTreeSet<UserGroupId>>,
}

/// How a user comes to be in a group; the first of these that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// They were put into it.
    Direct,
    /// Its rule is true of them.
    Rule,
    /// They are in a group that is nested in it.
    Nested,
}

/// Why a group cannot be nested in another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NestingInvalid {
    /// It would be in itself.
    #[error("the groups would contain each other")]
    Cycle {
        /// From the group through what is nested in it to itself again.
        path: Vec<UserGroupId>,
    },
    /// Too many levels.
    #[error("groups would be nested {depth} deep: at most {NESTING_DEPTH_MAX}")]
    TooDeep {
        /// Groups from the outermost to the innermost.
        depth: usize,
    },
}

impl GroupGraph {
    /// From all groups of a tenant and what is nested: (outer, inner).
    pub fn new<'g>(
        groups: impl IntoIterator<Item = &'g UserGroup>,
        nested: impl IntoIterator<Item = (UserGroupId, UserGroupId)>,
    ) -> Self {
        let rules = groups.into_iter().filter_map(|group| Some((group.id, group.rule()?.clone())));
        let mut graph = Self { rules: rules.collect(), ..Self::default() };
        for (outer, inner) in nested {
            graph.nest(outer, inner);
        }
        graph
    }

    /// Puts a group into another.
    pub fn nest(&mut self, outer: UserGroupId, inner: UserGroupId) {
        self.parents.entry(inner).or_default().insert(outer);
        self.children.entry(outer).or_default().insert(inner);
    }

    /// Every group that a user is in, given those they were put into. Whether the user counts is not looked at.
    #[must_use]
    pub fn groups_of(&self, user: &User, direct: &BTreeSet<UserGroupId>) -> BTreeMap<UserGroupId, Via> {
        let mut found: BTreeMap<UserGroupId, Via> = direct.iter().map(|id| (*id, Via::Direct)).collect();
        let ruled = self.rules.iter().filter(|(_, rule)| rule.matches(user));
        found.extend(ruled.map(|(id, _)| (*id, Via::Rule)));
        let mut open: Vec<UserGroupId> = found.keys().copied().collect();
        while let Some(inner) = open.pop() {
            for outer in self.parents.get(&inner).into_iter().flatten() {
                // Each group is looked at once: what is found already is not found again.
                if !found.contains_key(outer) {
                    found.insert(*outer, Via::Nested);
                    open.push(*outer);
                }
            }
        }
        found
    }

    /// As [`GroupGraph::groups_of`] for what someone may do: empty for users that do not count now ([`User::is_active`]).
    #[must_use]
    pub fn counted_groups_of(
        &self,
        user: &User,
        direct: &BTreeSet<UserGroupId>,
        now_unix: u64,
    ) -> BTreeSet<UserGroupId> {
        if user.is_active(now_unix) { self.groups_of(user, direct).into_keys().collect() } else { BTreeSet::new() }
    }

    /// What is nested in a group, not looking further in.
    pub fn nested_in(&self, group: UserGroupId) -> impl Iterator<Item = UserGroupId> {
        self.children.get(&group).into_iter().flatten().copied()
    }

    /// The group and everything nested in it.
    #[must_use]
    pub fn within(&self, group: UserGroupId) -> BTreeSet<UserGroupId> {
        reach(&self.children, group)
    }

    /// The rules among some groups: whoever one of them is true of is in one of the groups.
    pub fn rules_of<'g>(&'g self, groups: &'g BTreeSet<UserGroupId>) -> impl Iterator<Item = &'g Rule> {
        self.rules.iter().filter(|(id, _)| groups.contains(id)).map(|(_, rule)| rule)
    }

    /// Whether a group may be nested in another.
    ///
    /// # Errors
    /// When it would be in itself, or nested too deep.
    pub fn check_nesting(&self, outer: UserGroupId, inner: UserGroupId) -> Result<(), NestingInvalid> {
        if let Some(path) = self.path(inner, outer) {
            return Err(NestingInvalid::Cycle { path: std::iter::once(outer).chain(path).collect() });
        }
        let depth = levels(&self.parents, outer) + levels(&self.children, inner);
        if depth > NESTING_DEPTH_MAX { Err(NestingInvalid::TooDeep { depth }) } else { Ok(()) }
    }

    /// From a group through what is nested in it to another, the shortest way.
    fn path(&self, from: UserGroupId, to: UserGroupId) -> Option<Vec<UserGroupId>> {
        let mut came_from: BTreeMap<UserGroupId, UserGroupId> = BTreeMap::new();
        let mut open = std::collections::VecDeque::from([from]);
        while let Some(at) = open.pop_front().filter(|at| *at != to) {
            for inner in self.children.get(&at).into_iter().flatten() {
                if *inner != from && !came_from.contains_key(inner) {
                    came_from.insert(*inner, at);
                    open.push_back(*inner);
                }
            }
        }
        if from != to && !came_from.contains_key(&to) {
            return None;
        }
        let mut path = vec![to];
        while let Some(before) = path.last().filter(|last| **last != from).and_then(|last| came_from.get(last)) {
            path.push(*before);
        }
        path.reverse();
        Some(path)
    }
}

/// A group and everything that can be reached from it.
fn reach(edges: &BTreeMap<UserGroupId, BTreeSet<UserGroupId>>, from: UserGroupId) -> BTreeSet<UserGroupId> {
    let mut found = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        open.extend(edges.get(&at).into_iter().flatten().filter(|next| found.insert(**next)));
    }
    found
}

/// How many groups the longest way from one has, itself included. Level by level, so that ways that meet again are walked once.
fn levels(edges: &BTreeMap<UserGroupId, BTreeSet<UserGroupId>>, from: UserGroupId) -> usize {
    let mut level = BTreeSet::from([from]);
    let mut count = 0;
    // Stored nesting is never deeper; the bound holds whatever was stored.
    while !level.is_empty() && count <= NESTING_DEPTH_MAX {
        level = level.iter().filter_map(|at| edges.get(at)).flatten().copied().collect();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests;
