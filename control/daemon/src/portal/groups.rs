//! The groups that a user looks after: who is in them, and who comes and goes. Groups of others are not there for them, and
//! nobody is found by less than their whole login name.

use postern_model::admin::{ChangeMembers, Members, Problem};
use postern_model::directory::{LoginName, UserGroup};
use postern_model::ids::UserGroupId;
use postern_model::portal::{GroupLine, OwnedGroup, OwnedGroups, PortalAnswer};

use super::Caller;
use crate::control::Control;
use crate::directory::Groups;
use crate::limits::{MEMBERS_OF_PAGE_MAX, OWNED_GROUPS_SHOWN_MAX};
use crate::problem::problem;
use crate::store::Part;
use crate::{tenants, user_groups};

pub(super) fn shown(control: &Control, caller: &Caller) -> Result<PortalAnswer, Problem> {
    let mut groups = Vec::new();
    for id in caller.owned.iter().take(OWNED_GROUPS_SHOWN_MAX) {
        groups.extend(control.directory(|store| store.user_group_by_id(*id))?.map(line));
    }
    groups.sort_by(|a: &GroupLine, b| a.name.cmp(&b.name));
    let more = caller.owned.len() > OWNED_GROUPS_SHOWN_MAX;
    Ok(PortalAnswer::Groups(Box::new(OwnedGroups { visitor: caller.visitor(), groups, more })))
}

pub(super) fn one(control: &Control, caller: &Caller, id: UserGroupId) -> Result<PortalAnswer, Problem> {
    let Some(group) = owned(control, caller, id)? else { return Ok(PortalAnswer::Absent {}) };
    let members = control.directory(|store| store.members(id, Part::Member, MEMBERS_OF_PAGE_MAX + 1))?;
    let all = Groups::of(control, id.tenant)?;
    let shown = MEMBERS_OF_PAGE_MAX as usize;
    Ok(PortalAnswer::Group(Box::new(OwnedGroup {
        visitor: caller.visitor(),
        by_rule: group.rule().is_some(),
        more: members.len() > shown,
        members: members.into_keys().take(shown).collect(),
        nested: all.names(all.graph.nested_in(id)).into_iter().take(shown).collect(),
        group: line(group),
    })))
}

/// Somebody is put into one, or taken out; nothing happens when they are in it, or out of it, already.
pub(super) fn change(
    control: &Control,
    caller: &Caller,
    id: UserGroupId,
    login: &str,
    joins: bool,
) -> Result<PortalAnswer, Problem> {
    let Some(group) = owned(control, caller, id)? else { return Ok(PortalAnswer::Absent {}) };
    let login: LoginName =
        login.trim().parse().map_err(|error| problem("group-member-unknown", format!("{error}.")))?;
    // What is near is not said: owners need not learn who else there is.
    if control.directory(|store| store.user_by_login(id.tenant, &login))?.is_none() {
        return Err(problem("group-member-unknown", format!("Nobody has the login name {login}.")));
    }
    let tenant = tenants::find(control, caller.tenant.as_str())?;
    let someone = Members { users: [login.to_string()].into(), ..Members::default() };
    let asked = match joins {
        true => ChangeMembers { add: someone, ..ChangeMembers::default() },
        false => ChangeMembers { remove: someone, ..ChangeMembers::default() },
    };
    user_groups::change_members(control, &caller.actor(), &tenant, group.name.as_str(), &asked)?;
    Ok(PortalAnswer::Done {})
}

fn owned(control: &Control, caller: &Caller, id: UserGroupId) -> Result<Option<UserGroup>, Problem> {
    if !caller.owned.contains(&id) {
        return Ok(None);
    }
    control.directory(|store| store.user_group_by_id(id))
}

fn line(group: UserGroup) -> GroupLine {
    GroupLine { id: group.id, name: group.name, description: group.description.to_string() }
}
