//! Groups of users: made, changed, filled, and asked about. Groups of connectors are in `tenants`.

mod members;

use std::collections::BTreeMap;

use postern_model::admin::{
    Changed, CreateUserGroup, MEMBERS_SHOWN_MAX, MembershipTested, Problem, SetUserGroup, TestMembership,
    UserGroupChanged, UserGroupDetail, UserGroupView,
};
use postern_model::config::Tenant;
use postern_model::directory::{Membership, Principal, Rule, UserGroup};
use postern_model::document::UserGroupEntry;
use postern_model::ids::{Name, TenantId, UserGroupId};

use crate::assignments;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::directory::{Groups, find_group, find_user};
use crate::limits::USER_GROUPS_MAX;
use crate::policies;
use crate::problem::{check_no_id, problem};
use crate::store::{DirectoryChange, GroupSize, Part};

pub(crate) use members::{change_members, exact_members, join, leave_others};

/// `group create`.
pub(crate) fn create(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: CreateUserGroup,
) -> Result<UserGroupChanged, Problem> {
    let CreateUserGroup { name, description, rule, owners } = request;
    let mut draft = Draft::default();
    let id = next_id(control, tenant.id, &mut draft)?;
    let group = UserGroup { id, name, description, membership: membership(rule) };
    put(control, actor, draft, None, &group, &members::owners(control, tenant, &owners)?, &[])?;
    changed(control, group)
}

/// `group set`: what is not given stays.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: SetUserGroup,
) -> Result<UserGroupChanged, Problem> {
    let before = find_group(control, tenant, name)?;
    let SetUserGroup { name, description, rule, owners_add, owners_remove } = request;
    let group = UserGroup {
        id: before.id,
        name: name.unwrap_or_else(|| before.name.clone()),
        description: description.unwrap_or_else(|| before.description.clone()),
        membership: rule.map_or_else(|| before.membership.clone(), membership),
    };
    let joining = members::owners(control, tenant, &owners_add)?;
    let leaving = members::owners(control, tenant, &owners_remove)?;
    put(control, actor, Draft::default(), Some(&before), &group, &joining, &leaving)?;
    changed(control, group)
}

/// `group delete`: only when nothing refers to it, unless `force`.
pub(crate) fn delete(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    force: bool,
) -> Result<Changed, Problem> {
    let group = find_group(control, tenant, name)?;
    let mut draft = Draft::default();
    let apps = assignments::remove_all(&control.snapshot(), Principal::Group(group.id), &mut draft);
    let outer = nested_in(control, &group)?;
    let assigned = apps.iter().map(|app| format!("it is assigned to {app}"));
    let policies = policies::without(control, tenant.id, &mut draft, |policy| policy.without_group(group.id));
    let named = policies.iter().map(|(policy, _)| format!("policy {} names it", policy.name));
    let nested = outer.iter().map(|name| format!("it is nested in {name}"));
    let used: Vec<String> = assigned.chain(nested).chain(named).collect();
    if !force && !used.is_empty() {
        let detail =
            format!("the user group {} is in use: {}; --force takes it out there", group.name, used.join(", "));
        return Err(problem("still-used", detail));
    }
    draft.directory(DirectoryChange::GroupRemoved(group.id));
    let before = assignments::with_apps(summary(&group), &apps);
    draft.audit(Audit { before: Some(before), ..audit("group.delete", &group) });
    let version = control.commit(actor, draft)?;
    let gone = apps.iter().map(|app| format!("{} is no longer assigned to {app}", group.name));
    let gone = gone.chain(outer.iter().map(|outer| format!("{} is no longer nested in {outer}", group.name)));
    let gone = gone.chain(
        policies
            .iter()
            .map(|(policy, nothing)| format!("{} is no longer named by policy {}{nothing}", group.name, policy.name)),
    );
    Ok(Changed { version, warnings: gone.collect() })
}

/// `group list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Result<Vec<UserGroupView>, Problem> {
    let sizes = control.directory(|store| store.group_sizes(tenant.id))?;
    let groups = control.directory(|store| store.user_groups(tenant.id))?;
    let size = |id: UserGroupId| sizes.get(&id).copied().unwrap_or_default();
    Ok(groups.into_iter().map(|group| view(size(group.id), group)).collect())
}

/// `group show`.
pub(crate) async fn show(control: &Control, tenant: &Tenant, name: &str) -> Result<UserGroupDetail, Problem> {
    let group = find_group(control, tenant, name)?;
    let groups = Groups::of(control, tenant.id)?;
    let members = groups.count(control, group.id, now_unix()).await?;
    let people = |part| control.directory(|store| store.members(group.id, part, MEMBERS_SHOWN_MAX));
    let nested = control.directory(|store| store.nested(tenant.id))?;
    let inner = nested.iter().filter(|(outer, _)| *outer == group.id).map(|(_, inner)| *inner);
    let outer = nested.iter().filter(|(_, inner)| *inner == group.id).map(|(outer, _)| *outer);
    let apps = assignments::apps_of(&control.snapshot(), Principal::Group(group.id));
    Ok(UserGroupDetail {
        members,
        owner_logins: people(Part::Owner)?.into_keys().collect(),
        user_logins: people(Part::Member)?.into_keys().collect(),
        group_names: groups.names(inner),
        nested_in: groups.names(outer),
        apps,
        group: view(size(control, &group)?, group),
    })
}

/// `group test`: what a rule, or a group, makes of a user.
pub(crate) fn test(control: &Control, tenant: &Tenant, request: TestMembership) -> Result<MembershipTested, Problem> {
    let TestMembership { user, rule, group } = request;
    let user = find_user(control, tenant, &user)?;
    let active = user.is_active(now_unix());
    let (rule, via, matches) = match (rule, group) {
        (Some(rule), None) => {
            let matches = rule.matches(&user);
            (Some(rule), None, matches)
        }
        (None, Some(name)) => {
            let group = find_group(control, tenant, &name)?;
            let direct = control.directory(|store| store.groups_with(user.id))?;
            let via = Groups::of(control, tenant.id)?.graph.groups_of(&user, &direct).get(&group.id).copied();
            (group.rule().cloned(), via, via.is_some())
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(problem("request-invalid", "a test needs a rule or a group, one of them"));
        }
    };
    let tests = rule.as_ref().map(|rule| rule.tested(&user)).unwrap_or_default();
    Ok(MembershipTested { user: user.login, matches, via, active, rule, tests })
}

/// `apply`: name, description, rule and owners shall be exactly so. What is in it is [`exact_members`].
pub(crate) fn put_entry(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &Name,
    entry: &UserGroupEntry,
) -> Result<(), Problem> {
    let before = control.directory(|store| store.user_group(tenant.id, name))?;
    let mut draft = Draft::default();
    let id = match &before {
        Some(before) => before.id,
        None => next_id(control, tenant.id, &mut draft)?,
    };
    let UserGroupEntry { description, rule, owners, .. } = entry;
    let membership = membership(rule.clone());
    let group = UserGroup { id, name: name.clone(), description: description.clone(), membership };
    let (joining, leaving) = members::exact_owners(control, tenant, id, owners.as_ref())?;
    put(control, actor, draft, before.as_ref(), &group, &joining, &leaving)
}

/// `apply --prune`: removes groups that the document does not name.
pub(crate) fn prune(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    named: &BTreeMap<Name, UserGroupEntry>,
) -> Result<(), Problem> {
    let groups = control.directory(|store| store.user_groups(tenant.id))?;
    let mut unnamed = groups.iter().filter(|group| !named.contains_key(&group.name));
    unnamed.try_for_each(|group| delete(control, actor, tenant, group.name.as_str(), true).map(drop))
}

/// `export`: with members, where the document names users.
pub(crate) fn entry(
    control: &Control,
    groups: &Groups,
    group: &UserGroup,
    users: bool,
) -> Result<UserGroupEntry, Problem> {
    let people = |part| -> Result<_, Problem> {
        let members = control.directory(|store| store.members(group.id, part, u32::MAX))?;
        Ok(members.into_keys().collect())
    };
    let assigned = group.rule().is_none();
    Ok(UserGroupEntry {
        description: group.description.clone(),
        rule: group.rule().cloned(),
        owners: users.then(|| people(Part::Owner)).transpose()?,
        users: (users && assigned).then(|| people(Part::Member)).transpose()?,
        groups: assigned.then(|| groups.names(groups.graph.nested_in(group.id)).into_iter().collect()),
    })
}

/// Checks the group against the others and stores it with its owners, if anything differs from what is there.
fn put(
    control: &Control,
    actor: &Actor,
    mut draft: Draft,
    before: Option<&UserGroup>,
    group: &UserGroup,
    joining: &[members::Person],
    leaving: &[members::Person],
) -> Result<(), Problem> {
    let changes = members::owner_changes(control, group.id, joining, leaving)?;
    if before == Some(group) && changes.is_empty() {
        return Ok(());
    }
    if before.is_none_or(|before| before.name != group.name) {
        check_no_id::<UserGroupId>("group", group.name.as_str())?;
        check_free(control, group)?;
    }
    if before.is_some_and(|before| before.rule().is_none()) && group.rule().is_some() {
        check_empty(control, group)?;
    }
    let action = if before.is_some() { "group.set" } else { "group.create" };
    let after = [summary(group), members::summary(&changes)].join(" ");
    let after = Some(after.trim().to_owned());
    draft.audit(Audit { before: before.map(summary), after, ..audit(action, group) });
    draft.directory(DirectoryChange::GroupPut(group.clone()));
    draft.rest.directory.extend(changes.into_iter().map(|change| change.into_row(group.id)));
    control.commit(actor, draft).map(drop)
}

fn check_free(control: &Control, group: &UserGroup) -> Result<(), Problem> {
    match control.directory(|store| store.user_group(group.id.tenant, &group.name))? {
        None => Ok(()),
        Some(other) => {
            let detail = format!("a user group {} exists already ({})", other.name, other.id);
            Err(problem("name-taken", detail))
        }
    }
}

/// A rule says who is in a group: nobody else can be.
fn check_empty(control: &Control, group: &UserGroup) -> Result<(), Problem> {
    let GroupSize { users, groups, .. } = size(control, group)?;
    if users + groups == 0 {
        return Ok(());
    }
    let detail = format!("{} has {users} users and {groups} groups: take them out before it gets a rule", group.name);
    Err(problem("user-group-dynamic", detail).about("rule"))
}

fn next_id(control: &Control, tenant: TenantId, draft: &mut Draft) -> Result<UserGroupId, Problem> {
    let seq = control.next(counter("user-group", tenant), draft)?;
    if seq as usize > USER_GROUPS_MAX && control.directory(|store| store.user_groups(tenant))?.len() >= USER_GROUPS_MAX
    {
        return Err(problem("limit-reached", format!("the tenant has {USER_GROUPS_MAX} user groups already")));
    }
    Ok(UserGroupId::new(tenant, seq))
}

fn nested_in(control: &Control, group: &UserGroup) -> Result<Vec<Name>, Problem> {
    let nested = control.directory(|store| store.nested(group.id.tenant))?;
    let outer: Vec<UserGroupId> =
        nested.into_iter().filter(|(_, inner)| *inner == group.id).map(|(id, _)| id).collect();
    if outer.is_empty() { Ok(Vec::new()) } else { Ok(Groups::of(control, group.id.tenant)?.names(outer)) }
}

fn size(control: &Control, group: &UserGroup) -> Result<GroupSize, Problem> {
    let sizes = control.directory(|store| store.group_sizes(group.id.tenant))?;
    Ok(sizes.get(&group.id).copied().unwrap_or_default())
}

fn membership(rule: Option<Rule>) -> Membership {
    rule.map_or(Membership::Assigned, |rule| Membership::Dynamic { rule })
}

fn changed(control: &Control, group: UserGroup) -> Result<UserGroupChanged, Problem> {
    Ok(UserGroupChanged { group: view(size(control, &group)?, group), warnings: Vec::new() })
}

fn view(size: GroupSize, group: UserGroup) -> UserGroupView {
    let GroupSize { users, groups, owners } = size;
    let rule = group.rule().cloned();
    UserGroupView { id: group.id, name: group.name, description: group.description, rule, users, groups, owners }
}

fn audit(action: &'static str, group: &UserGroup) -> Audit {
    let target = format!("user-group {} ({})", group.name, group.id);
    Audit { action, tenant: Some(group.id.tenant), target, before: None, after: None }
}

fn summary(group: &UserGroup) -> String {
    let described = (!group.description.as_str().is_empty()).then(|| format!("{:?}", group.description.as_str()));
    let rule = group.rule().map(|rule| format!("rule: {rule}"));
    let kind = rule.unwrap_or_else(|| "assigned".into());
    described.into_iter().chain([kind]).collect::<Vec<_>>().join(" ")
}
