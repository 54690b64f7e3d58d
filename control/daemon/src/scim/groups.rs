//! Groups: asked for, made, replaced, patched, removed. A group has a name of letters that commands and policies use, made of
//! the one that people know it by.

use std::collections::BTreeSet;

use postern_model::admin::{ChangeMembers, CreateUserGroup, Members, Problem, SetUserGroup};
use postern_model::directory::UserGroup;
use postern_model::ids::{Name, UserGroupId};
use postern_model::scim::{
    Answer, Filter, GroupChange, GroupInput, MemberId, MemberSet, PatchOp, ScimError, ScimType, group_json, list_json,
};
use serde_json::Value;

use super::Scim;
use super::query::ListQuery;
use super::reply::{PageSize, meta, ok, problem_of};
use crate::control::{Audit, Draft};
use crate::limits::{SCIM_ANSWER_BYTES_MAX, SCIM_MEMBERS_MAX};
use crate::problem::problem;
use crate::store::{DirectoryChange, Marks, Part};
use crate::user_groups;

/// A group as it is.
struct Known {
    group: UserGroup,
    marks: Marks,
}

impl Known {
    fn display_name(&self) -> &str {
        self.marks.display_name.as_deref().unwrap_or(self.group.name.as_str())
    }
}

impl Scim<'_> {
    pub(super) fn list_groups(&self, query: &ListQuery) -> Result<Answer, ScimError> {
        let mut known = self.all_groups()?;
        let filter = query.filter.as_ref();
        let id = filter.and_then(|filter| filter.conditions().iter().find_map(|one| one.is_eq("id")));
        if let Some(id) = id {
            known.retain(|known| known.group.id.to_string() == id);
        }
        let asks = filter.is_some_and(|filter| filter.asks_for("members"));
        if asks && id.is_none() {
            let detail = "members are asked for of one group: id eq \"ug1-3\" and members[value eq \"u1-7\"]";
            return Err(ScimError::bad(ScimType::InvalidFilter, detail));
        }
        let (mut total, mut page, mut size) = (0, Vec::new(), PageSize::default());
        for known in &known {
            if let Some(filter) = filter
                && !self.is_asked_for(known, filter, asks)?
            {
                continue;
            }
            total += 1;
            if page.len() < query.count && total == query.start + page.len() {
                let members =
                    query.projection.shows("members").then(|| self.shown_members(&known.group)).transpose()?;
                let json = self.group_json(known, members.as_deref());
                if size.has_room(&json) {
                    page.push(query.projection.of(json));
                }
            }
        }
        Ok(ok(list_json(page, total, query.start)))
    }

    fn is_asked_for(&self, known: &Known, filter: &Filter, by_members: bool) -> Result<bool, ScimError> {
        let members = by_members.then(|| self.members(&known.group, u32::MAX)).transpose()?;
        Ok(filter.matches(&self.group_json(known, members.as_deref())))
    }

    pub(super) fn show_group(&self, id: &str) -> Result<Answer, ScimError> {
        let known = self.known_group(id)?;
        self.group_answer(200, &known)
    }

    pub(super) fn create_group(&self) -> Result<Answer, ScimError> {
        let GroupInput { display_name, external_id, members } = GroupInput::read(self.body()?)?;
        self.check_display_name(display_name.as_str(), None)?;
        let add = self.known_members(members)?;
        let Self { control, tenant, actor, .. } = self;
        let (display_name, external_id) = (display_name.as_str(), external_id.map(|id| id.as_str().to_owned()));
        let make = || -> Result<UserGroupId, Problem> {
            let request = CreateUserGroup {
                name: self.free_name(display_name)?,
                description: display_name.parse().unwrap_or_default(),
                rule: None,
                owners: BTreeSet::new(),
            };
            let group = user_groups::create(control, actor, tenant, request)?.group;
            let id = group.id;
            self.link_group(id, (group.name.as_str(), None), (display_name, external_id.as_deref()))?;
            self.change(id, add, Members::default())?;
            Ok(id)
        };
        let (id, _) = control.staged(actor, make, |_, _| true).map_err(problem_of)?;
        self.group_answer(201, &self.known_group(&id.to_string())?)
    }

    pub(super) fn replace_group(&self, id: &str) -> Result<Answer, ScimError> {
        let GroupInput { display_name, external_id, members } = GroupInput::read(self.body()?)?;
        let members = MemberSet { exact: true, add: members, remove: BTreeSet::new() };
        let (display_name, external_id) = (Some(display_name), Some(external_id));
        self.change_group(&self.known_group(id)?, GroupChange { display_name, external_id, members })
    }

    pub(super) fn patch_group(&self, id: &str) -> Result<Answer, ScimError> {
        let known = self.known_group(id)?;
        self.change_group(&known, GroupChange::read(&PatchOp::read(self.body()?)?)?)
    }

    pub(super) fn delete_group(&self, id: &str) -> Result<Answer, ScimError> {
        let known = self.known_group(id)?;
        self.check_version(&self.version(&known.marks))?;
        // What is used stays: without it a policy would mean something else.
        let deleted = user_groups::delete(self.control, &self.actor, &self.tenant, &known.group.id.to_string(), false);
        deleted.map_err(problem_of)?;
        Ok(Answer { status: 204, ..Answer::default() })
    }

    /// All of it as one change.
    fn change_group(&self, known: &Known, change: GroupChange) -> Result<Answer, ScimError> {
        self.check_version(&self.version(&known.marks))?;
        let GroupChange { display_name, external_id, members } = change;
        let display_name = display_name.map_or_else(|| known.display_name().to_owned(), |name| name.to_string());
        if display_name != known.display_name() {
            self.check_display_name(&display_name, Some(known.group.id))?;
        }
        let external_id = match external_id {
            Some(external_id) => external_id.map(|id| id.to_string()),
            None => known.marks.external_id.clone(),
        };
        let (add, remove) = self.comes_and_goes(&known.group, members)?;
        let id = known.group.id;
        let Self { control, tenant, actor, .. } = self;
        let write = || -> Result<(), Problem> {
            let followed = known.group.description.as_str() == known.display_name();
            if followed && display_name != known.display_name() {
                let description = display_name.parse().ok();
                let set = SetUserGroup { description, ..SetUserGroup::default() };
                user_groups::set(control, actor, tenant, &id.to_string(), set)?;
            }
            let before = (known.display_name(), known.marks.external_id.as_deref());
            self.link_group(id, before, (&display_name, external_id.as_deref()))?;
            self.change(id, add, remove)
        };
        control.staged(actor, write, |(), _| true).map_err(problem_of)?;
        self.group_answer(200, &self.known_group(&id.to_string())?)
    }

    fn change(&self, id: UserGroupId, add: Members, remove: Members) -> Result<(), Problem> {
        let request = ChangeMembers { add, remove };
        if request == ChangeMembers::default() {
            return Ok(());
        }
        user_groups::change_members(self.control, &self.actor, &self.tenant, &id.to_string(), &request).map(drop)
    }

    /// What people and the client call a group, where that is not what they do already.
    fn link_group(
        &self,
        id: UserGroupId,
        before: (&str, Option<&str>),
        after: (&str, Option<&str>),
    ) -> Result<(), Problem> {
        if before == after {
            return Ok(());
        }
        let say = |(name, external_id): (&str, Option<&str>)| {
            let external_id = external_id.map(|id| format!(" external_id={id:?}")).unwrap_or_default();
            Some(format!("display_name={name:?}{external_id}"))
        };
        let mut draft = Draft::default();
        draft.audit(Audit {
            action: "scim.link",
            tenant: Some(self.tenant.id),
            target: format!("user-group {id}"),
            before: say(before),
            after: say(after),
        });
        draft.directory(DirectoryChange::ScimGroupPut(id, after.0.to_owned(), after.1.map(ToOwned::to_owned)));
        self.control.commit(&self.actor, draft).map(drop)
    }

    /// Two groups that people cannot tell apart would be a trap.
    fn check_display_name(&self, name: &str, own: Option<UserGroupId>) -> Result<(), ScimError> {
        let lower = name.to_lowercase();
        let others = self.all_groups()?;
        let mut others = others.iter().filter(|other| Some(other.group.id) != own);
        match others.find(|other| other.display_name().to_lowercase() == lower) {
            None => Ok(()),
            Some(other) => {
                let detail = format!("a group with the displayName {name:?} exists already ({})", other.group.id);
                Err(ScimError { status: 409, kind: Some(ScimType::Uniqueness), detail })
            }
        }
    }

    /// A name that no group has, made of the letters of the one for people.
    fn free_name(&self, display_name: &str) -> Result<Name, Problem> {
        let taken = self.control.directory(|store| store.user_groups(self.tenant.id))?;
        let taken: BTreeSet<&str> = taken.iter().map(|group| group.name.as_str()).collect();
        let stem = stem(display_name);
        let free = (1..=taken.len() + 1).map(|nth| if nth == 1 { stem.clone() } else { format!("{stem}-{nth}") });
        let free = free.filter(|name| !taken.contains(name.as_str())).find_map(|name| name.parse().ok());
        free.ok_or_else(|| problem("name-taken", format!("no name is left for {display_name:?}")))
    }

    /// Only what changes, of those that there are.
    fn comes_and_goes(&self, group: &UserGroup, wanted: MemberSet) -> Result<(Members, Members), ScimError> {
        let MemberSet { exact, add, remove } = wanted;
        let add_ids = add.clone();
        let add = self.known_members(add)?;
        let present =
            || -> Result<BTreeSet<MemberId>, ScimError> { Ok(self.members(group, u32::MAX)?.into_iter().collect()) };
        let leaving = match (exact, remove.is_empty()) {
            (true, _) => present()?.into_iter().filter(|id| !add_ids.contains(id)).collect(),
            (false, true) => BTreeSet::new(),
            // Whoever was deleted is in it no longer.
            (false, false) => present()?.intersection(&remove).copied().collect(),
        };
        Ok((add, named(&leaving)))
    }

    /// Users and groups of the token's tenant, every one of them there.
    fn known_members(&self, ids: BTreeSet<MemberId>) -> Result<Members, ScimError> {
        for id in &ids {
            let is_known = match *id {
                MemberId::User(id) => {
                    let user = self.control.directory(|store| store.user(id)).map_err(problem_of)?;
                    user.is_some_and(|user| user.id.tenant == self.tenant.id)
                }
                MemberId::Group(id) => {
                    let group = self.control.directory(|store| store.user_group_by_id(id)).map_err(problem_of)?;
                    group.is_some_and(|group| group.id.tenant == self.tenant.id)
                }
            };
            if !is_known {
                return Err(ScimError::value("members", format!("there is no user or group {id}")));
            }
        }
        Ok(named(&ids))
    }

    /// Who was put into a group.
    fn members(&self, group: &UserGroup, limit: u32) -> Result<Vec<MemberId>, ScimError> {
        let users = self.control.directory(|store| store.members(group.id, Part::Member, limit)).map_err(problem_of)?;
        let nested = self.control.directory(|store| store.nested(group.id.tenant)).map_err(problem_of)?;
        let inner = nested.into_iter().filter(|(outer, _)| *outer == group.id).map(|(_, inner)| MemberId::Group(inner));
        Ok(users.into_values().map(MemberId::User).chain(inner).collect())
    }

    /// The same for an answer: all of them, or none and a refusal, for a list that is cut would be taken for the whole.
    fn shown_members(&self, group: &UserGroup) -> Result<Vec<MemberId>, ScimError> {
        let members = self.members(group, SCIM_MEMBERS_MAX + 1)?;
        if members.len() > SCIM_MEMBERS_MAX as usize {
            return Err(too_many(group));
        }
        Ok(members)
    }

    fn group_answer(&self, status: u16, known: &Known) -> Result<Answer, ScimError> {
        let is_asked = self.call.verb == postern_model::scim::Verb::Get;
        let wanted = self.projection()?.shows("members");
        let members = match wanted.then(|| self.shown_members(&known.group)).transpose() {
            // What was changed was changed: it is told without them.
            Err(_) if !is_asked => None,
            members => members?,
        };
        let json = self.group_json(known, members.as_deref());
        if json.to_string().len() > SCIM_ANSWER_BYTES_MAX {
            return if is_asked {
                Err(too_many(&known.group))
            } else {
                self.resource(status, self.group_json(known, None))
            };
        }
        self.resource(status, json)
    }

    fn all_groups(&self) -> Result<Vec<Known>, ScimError> {
        let groups = self.control.directory(|store| store.user_groups(self.tenant.id)).map_err(problem_of)?;
        let mut marks = self.control.scim_rows(|store| store.group_marks(self.tenant.id)).map_err(problem_of)?;
        let mut all: Vec<Known> = groups
            .into_iter()
            .map(|group| Known { marks: marks.remove(&group.id).unwrap_or_default(), group })
            .collect();
        all.sort_by_key(|known| known.group.id);
        Ok(all)
    }

    fn known_group(&self, id: &str) -> Result<Known, ScimError> {
        let missing = || ScimError::status(404, "there is no such group");
        let id: UserGroupId = id.parse().map_err(|_| missing())?;
        self.all_groups()?.into_iter().find(|known| known.group.id == id).ok_or_else(missing)
    }

    fn group_json(&self, known: &Known, members: Option<&[MemberId]>) -> Value {
        let Known { group, marks } = known;
        let meta = meta(marks, None, format!("{}/Groups/{}", self.place, group.id));
        group_json(group, known.display_name(), marks.external_id.as_deref(), members, &self.place, &meta)
    }
}

fn named(ids: &BTreeSet<MemberId>) -> Members {
    let mut members = Members::default();
    for id in ids {
        match id {
            MemberId::User(id) => members.users.insert(id.to_string()),
            MemberId::Group(id) => members.groups.insert(id.to_string()),
        };
    }
    members
}

fn too_many(group: &UserGroup) -> ScimError {
    let detail = format!("{} has more members than an answer holds: ask with excludedAttributes=members", group.id);
    ScimError::bad(ScimType::TooMany, detail)
}

/// `Sales & Marketing (EMEA)` becomes `sales-marketing-emea`. It leaves room for a number, and reads as no id.
pub(crate) fn stem(display_name: &str) -> String {
    let letters = display_name.chars().map(|c| c.to_ascii_lowercase());
    let words: String = letters.map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
    let joined = words.split_ascii_whitespace().collect::<Vec<_>>().join("-");
    let cut: String = joined.chars().take(STEM_CHARS_MAX).collect();
    let stem = cut.trim_matches('-');
    match stem {
        "" => "group".into(),
        id if id.parse::<UserGroupId>().is_ok() => format!("group-{id}"),
        _ => stem.to_owned(), // any other is a name
    }
}

/// A name has 63 bytes.
const STEM_CHARS_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_what_people_call_a_group() {
        for (display_name, expected) in [
            ("sales", "sales"),
            ("Sales & Marketing (EMEA)", "sales-marketing-emea"),
            ("  --Ärzte-- ", "rzte"),
            ("営業", "group"),
            ("ug1-3", "group-ug1-3"),
            (&"x-".repeat(60), "x-".repeat(24).trim_matches('-')),
        ] {
            assert_eq!(stem(display_name), expected);
            assert!(stem(display_name).parse::<Name>().is_ok(), "{display_name}");
        }
    }
}
