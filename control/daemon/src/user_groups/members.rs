//! Who is put into a group and who looks after it: only what changes is written, person by person.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::admin::{ChangeMembers, Members, Problem, UserGroupChanged};
use postern_model::config::Tenant;
use postern_model::directory::{GroupGraph, LoginName, NestingInvalid, User, UserGroup};
use postern_model::document::UserGroupEntry;
use postern_model::ids::{Name, UserGroupId, UserId};

use super::{audit, changed};
use crate::control::{Actor, Audit, Control, Draft};
use crate::directory::{Groups, find_group, find_user};
use crate::limits::{GROUP_OWNERS_MAX, GROUPS_NESTED_MAX};
use crate::problem::problem;
use crate::store::{DirectoryChange, Part};

/// A user with the name that records show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    id: UserId,
    login: LoginName,
}

/// One change to who belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MemberChange {
    Joined(Part, Person),
    Left(Part, Person),
    Nested(UserGroupId, Name),
    Unnested(UserGroupId, Name),
}

impl MemberChange {
    pub(super) fn into_row(self, group: UserGroupId) -> DirectoryChange {
        match self {
            Self::Joined(part, person) => DirectoryChange::UserJoined(group, part, person.id),
            Self::Left(part, person) => DirectoryChange::UserLeft(group, part, person.id),
            Self::Nested(inner, _) => DirectoryChange::Nested(group, inner),
            Self::Unnested(inner, _) => DirectoryChange::Unnested(group, inner),
        }
    }

    fn line(&self) -> String {
        let role = |part: &Part| match part {
            Part::Member => "",
            Part::Owner => "owner ",
        };
        match self {
            Self::Joined(part, person) => format!("+{}{}", role(part), person.login),
            Self::Left(part, person) => format!("-{}{}", role(part), person.login),
            Self::Nested(_, name) => format!("+group {name}"),
            Self::Unnested(_, name) => format!("-group {name}"),
        }
    }
}

/// As one line: the first of them by name, the others counted.
pub(super) fn summary(changes: &[MemberChange]) -> String {
    let shown: Vec<String> = changes.iter().take(SHOWN_MAX).map(MemberChange::line).collect();
    let more = changes.len().saturating_sub(SHOWN_MAX);
    if more > 0 { format!("{} and {more} more", shown.join(" ")) } else { shown.join(" ") }
}

/// `group add` and `group remove`.
pub(crate) fn change_members(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: &ChangeMembers,
) -> Result<UserGroupChanged, Problem> {
    let group = find_group(control, tenant, name)?;
    let mut changes = Vec::new();
    for (members, joins) in [(&request.remove, false), (&request.add, true)] {
        let Members { users, groups } = members;
        for person in people(control, tenant, users)? {
            let is_in = control.directory(|store| store.groups_with(person.id))?.contains(&group.id);
            if is_in != joins {
                let change = if joins { MemberChange::Joined } else { MemberChange::Left };
                changes.push(change(Part::Member, person));
            }
        }
        for name in groups {
            let inner = find_group(control, tenant, name)?;
            let is_in = control.directory(|store| store.nested(tenant.id))?.contains(&(group.id, inner.id));
            if is_in != joins {
                let change = if joins { MemberChange::Nested } else { MemberChange::Unnested };
                changes.push(change(inner.id, inner.name));
            }
        }
    }
    store(control, actor, &group, changes)?;
    changed(control, group)
}

/// Somebody becomes a member, as part of another change; nothing happens when they are one. Not for groups with a rule.
pub(crate) fn join(draft: &mut Draft, group: &UserGroup, user: &User) {
    let change = MemberChange::Joined(Part::Member, Person { id: user.id, login: user.login.clone() });
    draft.audit(Audit { after: Some(summary(std::slice::from_ref(&change))), ..audit("group.members", group) });
    draft.directory(change.into_row(group.id));
}

/// `apply`, first: takes out of the group whom the document does not name there. Done for all groups before anything is put
/// into one, so that nesting can be turned around.
pub(crate) fn leave_others(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &Name,
    entry: &UserGroupEntry,
) -> Result<(), Problem> {
    // A group that is not there yet has nobody to lose.
    let Some(group) = control.directory(|store| store.user_group(tenant.id, name))? else { return Ok(()) };
    let empty = entry.rule.is_some();
    let mut changes = Vec::new();
    if empty || entry.users.is_some() {
        let present = control.directory(|store| store.members(group.id, Part::Member, u32::MAX))?;
        let stays = |login: &LoginName| entry.users.as_ref().is_some_and(|users| users.contains(login));
        let leaving = present.into_iter().filter(|(login, _)| empty || !stays(login));
        changes.extend(leaving.map(|(login, id)| MemberChange::Left(Part::Member, Person { id, login })));
    }
    if empty || entry.groups.is_some() {
        let groups = Groups::of(control, tenant.id)?;
        let stays = |name: &Name| entry.groups.as_ref().is_some_and(|groups| groups.contains(name));
        let inner = groups.graph.nested_in(group.id).filter_map(|id| groups.all.get(&id));
        let leaving = inner.filter(|inner| empty || !stays(&inner.name));
        changes.extend(leaving.map(|inner| MemberChange::Unnested(inner.id, inner.name.clone())));
    }
    store(control, actor, &group, changes)
}

/// `apply`, then: puts into the group whom the document names there.
pub(crate) fn exact_members(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &Name,
    entry: &UserGroupEntry,
) -> Result<(), Problem> {
    let group = find_group(control, tenant, name.as_str())?;
    let mut changes = Vec::new();
    if let Some(users) = entry.users.as_ref().filter(|users| !users.is_empty()) {
        let present = control.directory(|store| store.members(group.id, Part::Member, u32::MAX))?;
        for login in users.iter().filter(|login| !present.contains_key(*login)) {
            let person = person(control, tenant, login.as_str()).map_err(|problem| problem.about("users"))?;
            changes.push(MemberChange::Joined(Part::Member, person));
        }
    }
    if let Some(names) = entry.groups.as_ref().filter(|names| !names.is_empty()) {
        let nested = control.directory(|store| store.nested(tenant.id))?;
        for name in names {
            let inner = find_group(control, tenant, name.as_str()).map_err(|problem| problem.about("groups"))?;
            if !nested.contains(&(group.id, inner.id)) {
                changes.push(MemberChange::Nested(inner.id, inner.name));
            }
        }
    }
    store(control, actor, &group, changes)
}

/// Users who are to look after a group, or not any more.
pub(super) fn owners(control: &Control, tenant: &Tenant, names: &BTreeSet<String>) -> Result<Vec<Person>, Problem> {
    people(control, tenant, names).map_err(|problem| problem.about("owners"))
}

/// Who joins and who leaves so that these are the owners; nobody where they are not given.
pub(super) fn exact_owners(
    control: &Control,
    tenant: &Tenant,
    group: UserGroupId,
    wanted: Option<&BTreeSet<LoginName>>,
) -> Result<(Vec<Person>, Vec<Person>), Problem> {
    let Some(wanted) = wanted else { return Ok((Vec::new(), Vec::new())) };
    let present = control.directory(|store| store.members(group, Part::Owner, u32::MAX))?;
    let joining = wanted.iter().filter(|login| !present.contains_key(*login)).map(ToString::to_string).collect();
    let leaving = present.into_iter().filter(|(login, _)| !wanted.contains(login));
    let leaving = leaving.map(|(login, id)| Person { id, login }).collect();
    Ok((owners(control, tenant, &joining)?, leaving))
}

/// What really changes of a group's owners.
pub(super) fn owner_changes(
    control: &Control,
    group: UserGroupId,
    joining: &[Person],
    leaving: &[Person],
) -> Result<Vec<MemberChange>, Problem> {
    if joining.is_empty() && leaving.is_empty() {
        return Ok(Vec::new());
    }
    let present = control.directory(|store| store.members(group, Part::Owner, u32::MAX))?;
    let (left, stay): (BTreeMap<_, _>, BTreeMap<_, _>) =
        present.into_iter().partition(|(_, id)| leaving.iter().any(|person| person.id == *id));
    let joined: Vec<&Person> = joining.iter().filter(|person| !stay.contains_key(&person.login)).collect();
    if stay.len() + joined.len() > GROUP_OWNERS_MAX {
        return Err(problem("limit-reached", format!("a group has at most {GROUP_OWNERS_MAX} owners")).about("owners"));
    }
    let left = left.into_iter().map(|(login, id)| MemberChange::Left(Part::Owner, Person { id, login }));
    let joined = joined.into_iter().cloned().map(|person| MemberChange::Joined(Part::Owner, person));
    Ok(left.chain(joined).collect())
}

fn store(control: &Control, actor: &Actor, group: &UserGroup, changes: Vec<MemberChange>) -> Result<(), Problem> {
    if changes.is_empty() {
        return Ok(());
    }
    check(control, group, &changes)?;
    let mut draft = Draft::default();
    draft.audit(Audit { after: Some(summary(&changes)), ..audit("group.members", group) });
    draft.rest.directory.extend(changes.into_iter().map(|change| change.into_row(group.id)));
    control.commit(actor, draft).map(drop)
}

fn check(control: &Control, group: &UserGroup, changes: &[MemberChange]) -> Result<(), Problem> {
    let joins = |change: &MemberChange| matches!(change, MemberChange::Joined(..) | MemberChange::Nested(..));
    if group.rule().is_some() && changes.iter().any(joins) {
        let detail = format!("the rule of {} says who is in it: nobody can be put into it", group.name);
        return Err(problem("user-group-dynamic", detail));
    }
    let nested = changes.iter().filter(|change| matches!(change, MemberChange::Nested(..))).count();
    if nested == 0 {
        return Ok(());
    }
    let mut groups = Groups::of(control, group.id.tenant)?;
    if groups.graph.nested_in(group.id).count() + nested > GROUPS_NESTED_MAX {
        return Err(problem("limit-reached", format!("at most {GROUPS_NESTED_MAX} groups are nested in one group")));
    }
    for change in changes {
        match change {
            MemberChange::Nested(inner, _) => {
                nest(&mut groups.graph, group.id, *inner).map_err(|error| cycle(&groups, &error))?;
            }
            // What leaves makes room for nothing here: it is taken out by a change of its own.
            MemberChange::Unnested(..) | MemberChange::Joined(..) | MemberChange::Left(..) => {}
        }
    }
    Ok(())
}

fn nest(graph: &mut GroupGraph, outer: UserGroupId, inner: UserGroupId) -> Result<(), NestingInvalid> {
    graph.check_nesting(outer, inner)?;
    graph.nest(outer, inner);
    Ok(())
}

/// Names the way around: `sales → emea → sales`, each containing the next.
fn cycle(groups: &Groups, error: &NestingInvalid) -> Problem {
    let detail = match error {
        NestingInvalid::Cycle { path } => {
            let names: Vec<String> = groups.names(path.iter().copied()).iter().map(ToString::to_string).collect();
            format!("{error}: {}", names.join(" → "))
        }
        NestingInvalid::TooDeep { .. } => error.to_string(),
    };
    problem("user-group-cycle", detail).about("groups")
}

fn people(control: &Control, tenant: &Tenant, names: &BTreeSet<String>) -> Result<Vec<Person>, Problem> {
    names.iter().map(|name| person(control, tenant, name)).collect()
}

fn person(control: &Control, tenant: &Tenant, name: &str) -> Result<Person, Problem> {
    let user = find_user(control, tenant, name)?;
    Ok(Person { id: user.id, login: user.login })
}

const SHOWN_MAX: usize = 16;
