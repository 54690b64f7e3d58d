//! Groups as SCIM writes them. What changes of a group of 100,000 is said without naming who stays.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value, json};

use super::json::field;
use super::patch::Operation;
use super::user::{external_id, line};
use super::{EXTERNAL_ID_BYTES_MAX, GROUP_SCHEMA, Meta, PatchOp, ScimError, ScimType};
use crate::directory::{DISPLAY_NAME_BYTES_MAX, Line, UserGroup};
use crate::ids::{UserGroupId, UserId};

/// Who is in a group: a user, or another group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberId {
    /// A user.
    User(UserId),
    /// A group.
    Group(UserGroupId),
}

/// What a client says that a group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInput {
    /// `displayName`.
    pub display_name: Line<DISPLAY_NAME_BYTES_MAX>,
    /// `externalId`.
    pub external_id: Option<Line<EXTERNAL_ID_BYTES_MAX>>,
    /// `members`: all of them.
    pub members: BTreeSet<MemberId>,
}

/// What a PATCH changes of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// Another `displayName`.
    pub display_name: Option<Line<DISPLAY_NAME_BYTES_MAX>>,
    /// Another `externalId`, or none.
    pub external_id: Option<Option<Line<EXTERNAL_ID_BYTES_MAX>>>,
    /// Who comes and who goes.
    pub members: MemberSet,
}

/// Who comes into a group and who goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberSet {
    /// Whoever is not in `add` goes.
    pub exact: bool,
    /// Who comes.
    pub add: BTreeSet<MemberId>,
    /// Who goes.
    pub remove: BTreeSet<MemberId>,
}

impl GroupInput {
    /// Reads a group.
    pub fn read(body: &Value) -> Result<Self, ScimError> {
        let Some(body) = body.as_object() else { return Err(ScimError::value("the body", "a group is an object")) };
        let display_name = line(body, "displayName")?;
        Ok(Self {
            display_name: display_name.ok_or_else(|| ScimError::value("displayName", "a group has one"))?,
            external_id: external_id(body)?,
            members: field(body, "members").map(members).transpose()?.unwrap_or_default(),
        })
    }
}

impl GroupChange {
    /// Reads what a PATCH wants: one operation after the other, as one change.
    pub fn read(operations: &[PatchOp]) -> Result<Self, ScimError> {
        let mut change = Self::default();
        operations.iter().try_for_each(|operation| change.add(operation))?;
        Ok(change)
    }

    fn add(&mut self, patch: &PatchOp) -> Result<(), ScimError> {
        let path = &patch.path.attribute;
        let single = |name| Map::from_iter([(String::from(name), patch.value.clone())]);
        let is_remove = patch.operation == Operation::Remove;
        if path.is("members") {
            return self.members.add(patch);
        }
        if patch.path.filter.is_some() {
            return Err(ScimError::bad(ScimType::InvalidPath, "only members have several values"));
        }
        if path.is("displayName") {
            let name = if is_remove { None } else { line(&single("displayName"), "displayName")? };
            self.display_name = Some(name.ok_or_else(|| ScimError::value("displayName", "a group has one"))?);
            return Ok(());
        }
        if path.is("externalId") {
            self.external_id = Some(if is_remove { None } else { external_id(&single("externalId"))? });
            return Ok(());
        }
        let fixed = ["id", "meta"].iter().any(|name| path.is(name) || path.name.eq_ignore_ascii_case(name));
        // Okta says the id again; Entra ID does not.
        if fixed && !path.is("id") {
            return Err(ScimError::bad(ScimType::Mutability, format!("{} is not for clients to change", path.name)));
        }
        Ok(())
    }
}

impl MemberSet {
    fn add(&mut self, patch: &PatchOp) -> Result<(), ScimError> {
        if let Some(filter) = &patch.path.filter {
            let ids = filter.is_one_of("value").filter(|_| patch.operation == Operation::Remove);
            let ids = ids.ok_or_else(|| {
                let detail = "of members, those with a value are removed: members[value eq \"u1-7\"]";
                ScimError::bad(ScimType::InvalidPath, detail)
            })?;
            // An id that nobody can have is in no group.
            ids.iter().filter_map(|id| member(id)).for_each(|id| self.leave(id));
            return Ok(());
        }
        match (patch.operation, &patch.value) {
            (Operation::Add, value) => members(value)?.into_iter().for_each(|id| self.join(id)),
            (Operation::Remove, Value::Null) => *self = Self { exact: true, ..Self::default() },
            // Entra ID of before 2021, and everybody who copied it.
            (Operation::Remove, value) => members(value)?.into_iter().for_each(|id| self.leave(id)),
            (Operation::Replace, Value::Null) => *self = Self { exact: true, ..Self::default() },
            (Operation::Replace, value) => *self = Self { exact: true, add: members(value)?, remove: BTreeSet::new() },
        }
        Ok(())
    }

    fn join(&mut self, id: MemberId) {
        self.remove.remove(&id);
        self.add.insert(id);
    }

    fn leave(&mut self, id: MemberId) {
        self.add.remove(&id);
        self.remove.insert(id);
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Group(id) => id.fmt(f),
        }
    }
}

fn members(value: &Value) -> Result<BTreeSet<MemberId>, ScimError> {
    let wrong = || ScimError::value("members", "it is a list of objects with a value: the id of a user or a group");
    let list = match value {
        Value::Array(list) => list.as_slice(),
        Value::Object(_) => std::slice::from_ref(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(wrong()),
    };
    let id = |value: &Value| {
        let id = field(value.as_object().ok_or_else(wrong)?, "value").and_then(Value::as_str).ok_or_else(wrong)?;
        member(id).ok_or_else(|| {
            let shown: String = id.chars().take(80).collect();
            ScimError::value("members", format!("{shown:?} is not the id of a user or a group"))
        })
    };
    list.iter().map(id).collect()
}

fn member(id: &str) -> Option<MemberId> {
    id.parse().map(MemberId::User).or_else(|_| id.parse().map(MemberId::Group)).ok()
}

/// A group, with what the client calls it, and who is in it where that is asked for. `place` is the server's URL.
#[must_use]
pub fn group_json(
    group: &UserGroup,
    display_name: &str,
    external_id: Option<&str>,
    members: Option<&[MemberId]>,
    place: &str,
    meta: &Meta,
) -> Value {
    let mut json = json!({
        "schemas": [GROUP_SCHEMA],
        "id": group.id.to_string(),
        "displayName": display_name,
        "meta": meta.to_json("Group"),
    });
    if let Some(external_id) = external_id {
        json["externalId"] = external_id.into();
    }
    if let Some(members) = members.filter(|members| !members.is_empty()) {
        let each = members.iter().map(|id| {
            let (kind, folder) = match id {
                MemberId::User(_) => ("User", "Users"),
                MemberId::Group(_) => ("Group", "Groups"),
            };
            json!({"value": id.to_string(), "type": kind, "$ref": format!("{place}/{folder}/{id}")})
        });
        json["members"] = Value::Array(each.collect());
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TenantId;

    fn user(seq: u32) -> MemberId {
        MemberId::User(UserId::new(TenantId::DEFAULT, seq))
    }

    fn read(operations: Value) -> Result<GroupChange, ScimError> {
        GroupChange::read(&PatchOp::read(&json!({"Operations": operations}))?)
    }

    #[test]
    fn members_come_and_go_in_all_forms() {
        let group = MemberId::Group(UserGroupId::new(TenantId::DEFAULT, 3));
        for (operations, exact, add, remove) in [
            (
                json!([{"op": "Add", "path": "members", "value": [{"value": "u1-1"}, {"value": "ug1-3"}]}]),
                false,
                vec![user(1), group],
                vec![],
            ),
            (json!([{"op": "add", "path": "members", "value": {"value": "u1-1"}}]), false, vec![user(1)], vec![]),
            (json!([{"op": "Remove", "path": "members[value eq \"u1-1\"]"}]), false, vec![], vec![user(1)]),
            (json!([{"op": "Remove", "path": "members", "value": [{"value": "u1-1"}]}]), false, vec![], vec![user(1)]),
            (
                json!([{"op": "remove", "path": "members"}, {"op": "add", "path": "members", "value": [{"value": "u1-2"}]}]),
                true,
                vec![user(2)],
                vec![],
            ),
            (json!([{"op": "replace", "path": "members", "value": [{"value": "u1-2"}]}]), true, vec![user(2)], vec![]),
            (
                json!([{"op": "replace", "value": {"id": "ug1-1", "displayName": "x", "members": []}}]),
                true,
                vec![],
                vec![],
            ),
            (
                json!([{"op": "add", "path": "members", "value": [{"value": "u1-1"}]}, {"op": "remove", "path": "members[value eq \"u1-1\"]"}]),
                false,
                vec![],
                vec![user(1)],
            ),
            (json!([{"op": "remove", "path": "members[value eq \"nobody\"]"}]), false, vec![], vec![]),
        ] {
            let found = read(operations.clone()).unwrap_or_else(|error| panic!("{operations}: {error}")).members;
            let expected = MemberSet { exact, add: add.into_iter().collect(), remove: remove.into_iter().collect() };
            assert_eq!(found, expected, "{operations}");
        }
    }

    #[test]
    fn what_no_group_can_be_is_refused() {
        for operation in [
            json!({"op": "remove", "path": "displayName"}),
            json!({"op": "replace", "path": "displayName", "value": ""}),
            json!({"op": "add", "path": "members", "value": ["u1-1"]}),
            json!({"op": "add", "path": "members", "value": [{"value": "anna"}]}),
            json!({"op": "remove", "path": "members[display eq \"anna\"]"}),
            json!({"op": "replace", "path": "members[value eq \"u1-1\"]", "value": {}}),
            json!({"op": "replace", "path": "meta.version", "value": "x"}),
            json!({"op": "replace", "path": "displayName[value eq \"x\"]", "value": "x"}),
        ] {
            assert!(read(json!([operation])).is_err(), "{operation}");
        }
        for body in [json!([]), json!({}), json!({"displayName": "x", "members": "u1-1"})] {
            assert!(GroupInput::read(&body).is_err(), "{body}");
        }
    }
}
