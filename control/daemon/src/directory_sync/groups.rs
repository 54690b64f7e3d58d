//! Groups of a source, and who of the source is in them. Whom somebody here put into one stays in it.

use std::collections::BTreeSet;

use postern_model::admin::{ChangeMembers, CreateUserGroup, Members as Named, Problem, SetUserGroup};
use postern_model::directory_sync::{Digest, Member, Members, ObjectId, ObjectKind, SyncGroup};
use postern_model::ids::{Name, UserGroupId};

use super::answer::{Asking, Told};
use super::users::refused;
use crate::control::{Control, Draft};
use crate::limits::SYNC_MEMBERS_LOOKED_AT;
use crate::scim::stem;
use crate::store::{DirectoryChange, SyncChange};
use crate::user_groups;

/// A group is to be there under this name for people. Its name for commands is made of it once, and stays.
pub(super) fn put(control: &Control, asking: &Asking, group: SyncGroup, told: &mut Told) -> Result<(), Problem> {
    let SyncGroup { id: object, display_name } = group;
    let Asking { tenant, actor, .. } = asking;
    if let Some(id) = control.sync_rows(|store| store.sync_group(asking.whose(), &object))? {
        let before = control.directory(|store| store.user_group_by_id(id))?;
        if before.is_some_and(|before| before.description != display_name) {
            let set = SetUserGroup { description: Some(display_name), ..SetUserGroup::default() };
            user_groups::set(control, actor, tenant, &id.to_string(), set)?;
            told.changed += 1;
        }
        return Ok(());
    }
    let name = free_name(control, asking, display_name.as_str())?;
    let request = CreateUserGroup { name, description: display_name.clone(), rule: None, owners: BTreeSet::new() };
    match user_groups::create(control, actor, tenant, request) {
        Ok(made) => {
            told.created += 1;
            mark(control, asking, object, made.group.id, Digest::default())
        }
        Err(problem) => refused(told, display_name.as_str(), problem),
    }
}

/// Some come into a group, some leave it.
pub(super) fn members(control: &Control, asking: &Asking, members: Members, told: &mut Told) -> Result<(), Problem> {
    let Members { pass: _, group: object, add, remove, digest } = members;
    let Some(group) = control.sync_rows(|store| store.sync_group(asking.whose(), &object))? else { return Ok(()) };
    let request = ChangeMembers { add: named(control, asking, &add)?, remove: named(control, asking, &remove)? };
    let Asking { tenant, actor, .. } = asking;
    // Who was refused may be there another time: the group is compared anew until all are.
    let mut whole = request.add.users.len() + request.add.groups.len() == add.len();
    if request != ChangeMembers::default() {
        match user_groups::change_members(control, actor, tenant, &group.to_string(), &request) {
            Ok(_) => told.changed += 1,
            // A circle, one level too many: who is in it by themselves counts all the same.
            Err(problem) if !request.add.groups.is_empty() && problem.code != RULED => {
                whole = false;
                refused(told, object.as_str(), problem)?;
                let mut users = request;
                users.add.groups.clear();
                if let Err(problem) = user_groups::change_members(control, actor, tenant, &group.to_string(), &users) {
                    refused(told, object.as_str(), problem)?;
                }
            }
            Err(problem) => {
                whole = false;
                refused(told, object.as_str(), problem)?;
            }
        }
    }
    match digest.filter(|_| whole) {
        Some(digest) => mark(control, asking, object, group, digest),
        None => Ok(()),
    }
}

/// The source has it no longer: nobody of the source is in it, and it goes unless something names it.
pub(super) fn gone(control: &Control, asking: &Asking, object: &ObjectId, told: &mut Told) -> Result<(), Problem> {
    let Some(id) = control.sync_rows(|store| store.sync_group(asking.whose(), object))? else { return Ok(()) };
    if !asking.take_removal(control) {
        return Ok(());
    }
    let Asking { tenant, actor, .. } = asking;
    let name = id.to_string();
    loop {
        let leaving =
            control.sync_rows(|store| store.sync_members(asking.whose(), id, None, SYNC_MEMBERS_LOOKED_AT))?;
        if leaving.is_empty() {
            break;
        }
        let request = ChangeMembers { add: Named::default(), remove: named(control, asking, &leaving)? };
        user_groups::change_members(control, actor, tenant, &name, &request)?;
    }
    match user_groups::delete(control, actor, tenant, &name, false) {
        Ok(_) => {
            told.removed += 1;
            Ok(())
        }
        // Without it a policy would mean something else.
        Err(problem) => refused(told, object.as_str(), problem),
    }
}

/// Somebody here gave the group a rule, which says alone who is in it.
const RULED: &str = "user-group-dynamic";

/// Those that control has of the source: an entry that was refused is in no group.
fn named(control: &Control, asking: &Asking, members: &[Member]) -> Result<Named, Problem> {
    let mut named = Named::default();
    for member in members {
        match member.kind {
            ObjectKind::User => {
                let found = control.sync_rows(|store| store.sync_user(asking.whose(), &member.id))?;
                named.users.extend(found.map(|(id, _)| id.to_string()));
            }
            ObjectKind::Group => {
                let found = control.sync_rows(|store| store.sync_group(asking.whose(), &member.id))?;
                named.groups.extend(found.map(|id| id.to_string()));
            }
        }
    }
    Ok(named)
}

fn free_name(control: &Control, asking: &Asking, display_name: &str) -> Result<Name, Problem> {
    let stem = stem(display_name);
    for nth in 1..=crate::limits::USER_GROUPS_MAX + 1 {
        let name = if nth == 1 { stem.clone() } else { format!("{stem}-{nth}") };
        let Ok(name) = name.parse() else { continue };
        if control.directory(|store| store.user_group(asking.tenant.id, &name))?.is_none() {
            return Ok(name);
        }
    }
    Err(crate::problem::problem("limit-reached", format!("no name is left for {display_name:?}")))
}

fn mark(
    control: &Control,
    asking: &Asking,
    object: ObjectId,
    group: UserGroupId,
    digest: Digest,
) -> Result<(), Problem> {
    let mut draft = Draft::default();
    let source = asking.source.name.clone();
    draft.directory(DirectoryChange::Sync(SyncChange::Group(source, object, group, digest)));
    control.commit(&asking.actor, draft).map(drop)
}
