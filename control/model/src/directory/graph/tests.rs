//! Who is where, against a naive model, and at the size that is promised.

use proptest::prelude::*;

use super::super::user::user;
use super::super::{Membership, UserKind};
use super::*;
use crate::ids::TenantId;

fn id(seq: u32) -> UserGroupId {
    UserGroupId::new(TenantId::DEFAULT, seq)
}

fn group(seq: u32, rule: Option<&str>) -> UserGroup {
    let membership = match rule {
        Some(rule) => Membership::Dynamic { rule: rule.parse().unwrap() },
        None => Membership::Assigned,
    };
    UserGroup { id: id(seq), name: format!("g{seq}").parse().unwrap(), description: Default::default(), membership }
}

fn graph(nested: &[(u32, u32)]) -> GroupGraph {
    GroupGraph::new(&[], nested.iter().map(|(outer, inner)| (id(*outer), id(*inner))))
}

#[test]
fn users_are_in_what_they_were_put_into_in_what_is_true_of_them_and_in_what_holds_these() {
    let groups = [group(1, None), group(2, None), group(3, Some(r#"department == "sales""#)), group(4, None)];
    let graph = GroupGraph::new(&groups, [(id(2), id(1)), (id(4), id(3)), (id(2), id(3))]);
    let anna = user(1, "anna", &[("department", "sales")]);
    let direct = BTreeSet::from([id(1)]);
    let expected =
        BTreeMap::from([(id(1), Via::Direct), (id(2), Via::Nested), (id(3), Via::Rule), (id(4), Via::Nested)]);
    assert_eq!(graph.groups_of(&anna, &direct), expected);
    assert_eq!(graph.within(id(2)), BTreeSet::from([id(1), id(2), id(3)]));
    assert_eq!(graph.rules_of(&graph.within(id(2))).count(), 1);

    let gone = User { kind: UserKind::Guest { expires_unix: Some(5) }, ..anna.clone() };
    assert_eq!(graph.counted_groups_of(&gone, &direct, 4).len(), 4);
    assert_eq!(graph.counted_groups_of(&gone, &direct, 5), BTreeSet::new());
    assert_eq!(graph.counted_groups_of(&User { enabled: false, ..anna }, &direct, 0), BTreeSet::new());
}

#[test]
fn cycles_are_named() {
    let graph = graph(&[(1, 2), (2, 3), (2, 4), (4, 3)]);
    let cycle = |path: &[u32]| Err(NestingInvalid::Cycle { path: path.iter().map(|seq| id(*seq)).collect() });
    assert_eq!(graph.check_nesting(id(1), id(1)), cycle(&[1, 1]));
    assert_eq!(graph.check_nesting(id(2), id(1)), cycle(&[2, 1, 2]));
    assert_eq!(graph.check_nesting(id(3), id(1)), cycle(&[3, 1, 2, 3]));
    assert_eq!(graph.check_nesting(id(1), id(3)), Ok(()));
    assert_eq!(graph.check_nesting(id(5), id(1)), Ok(()));
}

#[test]
fn depth_is_bounded_from_the_outermost_to_the_innermost() {
    let chain = |from: u32, to: u32| (from..to).map(|seq| (seq, seq + 1));
    let nested: Vec<_> = chain(1, 8).chain(chain(11, 18)).collect();
    let graph = graph(&nested);
    assert_eq!(graph.check_nesting(id(8), id(11)), Ok(()), "8 and 8 are 16");
    assert_eq!(graph.check_nesting(id(11), id(20)), Ok(()));
    let mut deeper = nested;
    deeper.push((18, 19));
    let refused = self::graph(&deeper).check_nesting(id(8), id(11));
    assert_eq!(refused, Err(NestingInvalid::TooDeep { depth: 17 }));
}

#[test]
fn a_hundred_thousand_users_in_a_thousand_groups_take_seconds_at_most() {
    // 950 assigned groups in a tree three deep, 50 with rules.
    let ruled = (951..=1000).map(|seq| group(seq, Some(&format!(r#"team == "{}""#, seq % 100))));
    let groups: Vec<UserGroup> = (1..=950).map(|seq| group(seq, None)).chain(ruled).collect();
    let graph = GroupGraph::new(&groups, (2..=950).map(|seq| (id(seq / 10 + 1), id(seq))).filter(|(o, i)| o < i));
    let begun = std::time::Instant::now();
    let mut anna = user(1, "anna", &[("team", "7")]);
    let mut memberships = 0;
    for seq in 1..=100_000u32 {
        anna.id.seq = seq;
        memberships += graph.groups_of(&anna, &BTreeSet::from([id(seq % 950 + 1)])).len();
    }
    assert!(memberships > 100_000);
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// Whether a user is in a group, straight from the definition.
fn is_in(groups: &[UserGroup], nested: &[(u32, u32)], user: &User, direct: &[u32], group: u32) -> bool {
    let ruled = groups.iter().any(|g| g.id.seq == group && g.rule().is_some_and(|rule| rule.matches(user)));
    let inner = || nested.iter().filter(|(outer, _)| *outer == group).map(|(_, inner)| *inner);
    direct.contains(&group) || ruled || inner().any(|inner| is_in(groups, nested, user, direct, inner))
}

proptest! {
    #[test]
    fn everyone_is_where_the_definition_says(
        edges in prop::collection::vec((1u32..9, 1u32..9), 0..24),
        rules in prop::collection::vec(prop::option::of("[ab]"), 8),
        direct in prop::collection::btree_set(1u32..9, 0..4),
        team in "[abc]",
    ) {
        let rule = |rule: &Option<String>| rule.as_ref().map(|team| format!("team == {team:?}"));
        let groups: Vec<UserGroup> =
            (1..).zip(&rules).map(|(seq, text)| group(seq, rule(text).as_deref())).collect();
        let mut graph = GroupGraph::new(&groups, []);
        let mut nested: Vec<(u32, u32)> = Vec::new();
        for (outer, inner) in edges {
            let reaches = |from: u32, to: u32| graph.within(id(from)).contains(&id(to));
            let refused = graph.check_nesting(id(outer), id(inner));
            prop_assert_eq!(refused.is_err(), reaches(inner, outer), "{:?}", refused);
            match refused {
                Ok(()) => {
                    graph.nest(id(outer), id(inner));
                    nested.push((outer, inner));
                }
                Err(NestingInvalid::Cycle { path }) => {
                    prop_assert_eq!((path.first(), path.last()), (Some(&id(outer)), Some(&id(outer))));
                    let is_edge = |pair: &[UserGroupId]| nested.contains(&(pair[0].seq, pair[1].seq));
                    prop_assert!(path[1..].windows(2).all(is_edge), "{:?}", path);
                }
                Err(NestingInvalid::TooDeep { .. }) => prop_assert!(false, "eight groups are not that deep"),
            }
        }
        let anna = user(1, "anna", &[("team", &team)]);
        let direct: Vec<u32> = direct.into_iter().collect();
        let found = graph.groups_of(&anna, &direct.iter().map(|seq| id(*seq)).collect());
        for seq in 1..9 {
            prop_assert_eq!(found.contains_key(&id(seq)), is_in(&groups, &nested, &anna, &direct, seq), "g{}", seq);
        }
    }
}
