//! `postern group …`: groups of users.

use std::collections::BTreeSet;

use anyhow::Result;
use postern_model::admin::{
    ChangeMembers, Changed, CreateUserGroup, List, Members, MembershipTested, SetUserGroup, TestMembership,
    UserGroupChanged, UserGroupDetail, UserGroupView, path,
};
use postern_model::directory::Tested;

use super::Context;
use super::user::via;
use crate::args::{MembersArgs, TestArgs, UserGroupCommand, UserGroupCreateArgs, UserGroupSetArgs};
use crate::client::segment;
use crate::output::{Output, details, joined, short, yes_no};

pub(super) fn run(context: &Context, command: UserGroupCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        UserGroupCommand::Create(args) => {
            let made: UserGroupChanged = client.post(&path::user_groups(&tenant), &creation(args))?;
            output.changed(&made, &format!("group {} ({}) made", made.group.name, made.group.id), &made.warnings)
        }
        UserGroupCommand::List => {
            let list: List<UserGroupView> = client.get(&path::user_groups(&tenant))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        UserGroupCommand::Show { name } => {
            let group: UserGroupDetail = client.get(&path::user_group(&tenant, &segment(&name)))?;
            output.show(&group, show)
        }
        UserGroupCommand::Set(args) => {
            let target = path::user_group(&tenant, &segment(&args.name));
            let changed: UserGroupChanged = client.patch(&target, &change(args))?;
            output.changed(&changed, &format!("group {} is changed", changed.group.name), &changed.warnings)
        }
        UserGroupCommand::Add(args) => {
            let (name, add) = members(args);
            fill(context, &name, &ChangeMembers { add, ..ChangeMembers::default() })
        }
        UserGroupCommand::Remove(args) => {
            let (name, remove) = members(args);
            fill(context, &name, &ChangeMembers { remove, ..ChangeMembers::default() })
        }
        UserGroupCommand::Delete { name, force } => {
            let query = if force { "?force=true" } else { "" };
            let target = format!("{}{query}", path::user_group(&tenant, &segment(&name)));
            let changed: Changed = client.delete(&target)?;
            output.changed(&changed, &format!("group {name} deleted"), &changed.warnings)
        }
        UserGroupCommand::Test(args) => test(context, args),
    }
}

fn creation(args: UserGroupCreateArgs) -> CreateUserGroup {
    let UserGroupCreateArgs { name, description, rule, owners } = args;
    let owners = owners.into_iter().collect();
    CreateUserGroup { name, description: description.unwrap_or_default(), rule, owners }
}

fn change(args: UserGroupSetArgs) -> SetUserGroup {
    let UserGroupSetArgs { name: _, new_name, description, rule, no_rule, owners, owners_removed } = args;
    SetUserGroup {
        name: new_name,
        description,
        rule: if no_rule { Some(None) } else { rule.map(Some) },
        owners_add: owners.into_iter().collect(),
        owners_remove: owners_removed.into_iter().collect(),
    }
}

fn members(args: MembersArgs) -> (String, Members) {
    let all = |names: Vec<String>| names.into_iter().collect::<BTreeSet<String>>();
    (args.name, Members { users: all(args.users), groups: all(args.groups) })
}

fn fill(context: &Context, name: &str, asked: &ChangeMembers) -> Result<()> {
    let Context { client, output } = context;
    let changed: UserGroupChanged = client.patch(&path::members(&client.tenant(), &segment(name)), asked)?;
    let UserGroupView { name, users, groups, .. } = &changed.group;
    output.changed(&changed, &format!("group {name} has {users} users and {groups} groups"), &changed.warnings)
}

fn test(context: &Context, args: TestArgs) -> Result<()> {
    let Context { client, output } = context;
    let TestArgs { name, rule, user } = args;
    let asked = TestMembership { user, rule, group: name.clone() };
    let tested: MembershipTested = client.post(&path::membership_test(&client.tenant()), &asked)?;
    output.show(&tested, |tested| verdict(name.as_deref(), tested) + &tests(*output, &tested.tests))
}

fn verdict(group: Option<&str>, tested: &MembershipTested) -> String {
    let user = &tested.user;
    let verdict = match (group, tested.matches) {
        (Some(group), true) => format!("{user} is in {group}: {}", tested.via.map_or("yes", via)),
        (Some(group), false) => format!("{user} is not in {group}"),
        (None, true) => format!("the rule is true of {user}"),
        (None, false) => format!("the rule is not true of {user}"),
    };
    let inactive = if tested.active { "" } else { "; they do not count now: disabled, or a guest whose time is over" };
    format!("{verdict}{inactive}\n")
}

fn tests(output: Output, tests: &[Tested]) -> String {
    if tests.is_empty() {
        return String::new();
    }
    let table = output
        .table(["TEST", "VALUE", "TRUE"])
        .rows(tests, |tested| [tested.test.clone(), tested.value.clone().unwrap_or_default(), yes_no(tested.holds)]);
    table.render("no tests")
}

fn table(output: Output, groups: &[UserGroupView]) -> String {
    let table =
        output.table(["ID", "NAME", "USERS", "GROUPS", "OWNERS", "RULE", "DESCRIPTION"]).rows(groups, |group| {
            let is_ruled = group.rule.is_some();
            let counted = |count: u32| if is_ruled { String::new() } else { count.to_string() };
            [
                group.id.to_string(),
                group.name.to_string(),
                counted(group.users),
                counted(group.groups),
                group.owners.to_string(),
                group.rule.as_ref().map(ToString::to_string).unwrap_or_default(),
                short(group.description.as_str()),
            ]
        });
    table.render("no groups; make one: postern group create NAME")
}

fn show(detail: &UserGroupDetail) -> String {
    let UserGroupDetail { group, members, owner_logins, user_logins, group_names, nested_in, apps } = detail;
    let logins = |logins: &[postern_model::directory::LoginName]| {
        logins.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let more = group.users.saturating_sub(u32::try_from(user_logins.len()).unwrap_or(u32::MAX));
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    details(&[
        ("id", group.id.to_string()),
        ("name", group.name.to_string()),
        ("description", group.description.to_string()),
        ("rule", group.rule.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("members", format!("{members}, each counted once, without those who are disabled or over")),
        ("owners", logins(owner_logins)),
        ("users", logins(user_logins) + &more),
        ("groups", joined(group_names)),
        ("nested in", joined(nested_in)),
        ("assigned to", joined(apps)),
    ])
}
