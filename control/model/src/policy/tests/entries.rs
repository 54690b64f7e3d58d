//! What is a policy, and what it is written as.

use super::*;

#[test]
fn what_makes_no_sense_is_no_policy() {
    type Change = fn(&mut PolicyParts);
    let cases: &[(&str, Change)] = &[
        ("who", |p| {
            p.who.include = Scope::Only(People { guests: true, ..People::default() });
            p.who.except.guests = true;
        }),
        ("apps", |p| {
            p.apps = Apps { include: Scope::Only(BTreeSet::from([APP])), except: BTreeSet::from([APP]) };
        }),
        ("except-apps", |p| p.apps.except = BTreeSet::from([AppId::new(TenantId(9), 1)])),
        ("users", |p| {
            p.who.include = Scope::Only(People { users: [UserId::new(TenantId(9), 1)].into(), ..People::default() });
        }),
        ("except-groups", |p| p.who.except.groups = (1..=257).map(|seq| UserGroupId::new(T, seq)).collect()),
        ("platforms", |p| p.conditions.platforms.except = Platform::ALL.iter().copied().collect()),
        ("countries", |p| {
            p.conditions.countries.include = ["DE".parse().unwrap()].into();
            p.conditions.countries.except = ["DE".parse().unwrap()].into();
        }),
        ("auth-age-min", |p| p.conditions.auth_age_min_s = Some(0)),
        ("block", |p| p.grant = require(&[], &[])),
        ("block", |p| (p.grant, p.session.no_persistent) = (Grant::Block, true)),
        ("require-any", |p| p.grant = require(&[], &["mfa"])),
        ("idle-max", |p| p.session.idle_max_s = Some(SPAN_S_MAX + 1)),
    ];
    for (nth, (key, change)) in cases.iter().enumerate() {
        let mut parts = parts(1);
        change(&mut parts);
        let error = Policy::new(parts.clone()).unwrap_err();
        assert_eq!(error.key, *key, "case {nth}: {error}");
        let json = serde_json::to_string(&parts).unwrap();
        assert!(serde_json::from_str::<Policy>(&json).is_err(), "case {nth} came in from the wire");
    }
    let json = serde_json::to_string(&policy(1, |_| {})).unwrap();
    let newer = json.replace("\"state\"", "\"moon_phase\":\"full\",\"state\"");
    assert!(serde_json::from_str::<Policy>(&newer).unwrap_err().to_string().contains("moon_phase"));
}

#[test]
fn a_list_that_loses_its_last_name_never_means_everything() {
    let only = policy(1, |p| {
        p.who.include = Scope::Only(People { groups: [UserGroupId::new(T, 1)].into(), ..People::default() });
        p.apps.include = Scope::Only(BTreeSet::from([APP]));
        p.grant = Grant::Block;
    });
    let (session, terms) = (session(&[]), AcceptedTerms::default());
    let input = input(&session, &terms);
    assert!(matches!(outcome([&only], &input), Outcome::Block { .. }));
    let nobody = only.without_group(UserGroupId::new(T, 1)).unwrap();
    assert_eq!((nobody.about_nothing(), outcome([&nobody], &input)), (Some("nobody"), Outcome::Allow));
    let nowhere = only.without_app(APP).unwrap();
    assert_eq!(nowhere.about_nothing(), Some("no application"));
    assert_eq!(outcome([&nowhere], &input), Outcome::Allow);
    assert!(only.without_user(UserId::new(T, 3)).is_none(), "it names no user");
    for policy in [nobody, nowhere] {
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        let entry = PolicyEntry::of(&policy, &Ids);
        assert_eq!(entry.policy(policy.id, policy.name.clone(), &Ids), Ok(policy), "it is written as it is");
    }
}

/// Names that are ids.
pub(super) struct Ids;

impl References for Ids {
    fn user(&self, id: UserId) -> String {
        id.to_string()
    }
    fn group(&self, id: UserGroupId) -> String {
        id.to_string()
    }
    fn app(&self, id: AppId) -> String {
        id.to_string()
    }
}

impl Resolve for Ids {
    type Error = PolicyInvalid;
    fn user(&self, _: &'static str, name: &str) -> Result<UserId, PolicyInvalid> {
        Ok(name.parse().unwrap())
    }
    fn group(&self, _: &'static str, name: &str) -> Result<UserGroupId, PolicyInvalid> {
        Ok(name.parse().unwrap())
    }
    fn app(&self, _: &'static str, name: &str) -> Result<AppId, PolicyInvalid> {
        Ok(name.parse().unwrap())
    }
    fn network(&self, _: &'static str, _: &Name) -> Result<(), PolicyInvalid> {
        Ok(())
    }
}

#[test]
fn an_entry_says_whom_and_what_it_is_about() {
    let refused = |entry: serde_json::Value| {
        let entry: PolicyEntry = serde_json::from_value(entry).unwrap();
        entry.policy(PolicyId::new(T, 1), name("p"), &Ids).unwrap_err().key
    };
    use serde_json::json;
    assert_eq!(refused(json!({"all_apps": true, "block": true})), "who");
    assert_eq!(refused(json!({"everyone": true, "block": true})), "apps");
    assert_eq!(refused(json!({"everyone": true, "guests": true, "all_apps": true, "block": true})), "everyone");
    assert_eq!(refused(json!({"everyone": true, "apps": [], "all_apps": true, "block": true})), "apps");
    assert_eq!(refused(json!({"everyone": true, "all_apps": true, "block": true, "require": ["mfa"]})), "block");
    assert_eq!(refused(json!({"everyone": true, "all_apps": true})), "block");
}
