//! Users, user groups and assignments.

use std::collections::BTreeMap;
use std::str::FromStr;

use postern_model::directory::{AttributeName, Line, LoginName, VALUE_BYTES_MAX};
use postern_model::document::{AssignmentEntry, UserEntry, UserGroupEntry};
use postern_service::failure::Failure;

use super::super::reader::{Section, Value};
use super::{ASSIGNMENT, Reading, USER, USER_GROUP, name};
use crate::time_text::unix;

impl<'a> Reading<'a> {
    pub(super) fn user(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let login: LoginName = value.key().parse().map_err(|error| value.refuse(error))?;
        let section = value.section(format!("{USER}.\"{login}\""), USER_KEYS)?;
        let pointer = format!("{USER}.{login}");
        self.note(pointer.clone(), &section);
        let attributes = section.get("attributes").map(|value| self.attributes(&pointer, &value));
        let entry = UserEntry {
            display_name: optional(&section, "display-name")?.unwrap_or_default(),
            mail: optional(&section, "mail")?,
            attributes: attributes.transpose()?.unwrap_or_default(),
            guest: optional(&section, "guest")?.unwrap_or_default(),
            expires_unix: end(&section)?,
            disabled: optional(&section, "disabled")?.unwrap_or_default(),
        };
        self.document.users.insert(login, entry);
        Ok(())
    }

    fn attributes(
        &mut self,
        user: &str,
        value: &Value<'a>,
    ) -> Result<BTreeMap<AttributeName, Line<VALUE_BYTES_MAX>>, Failure> {
        let section = value.names()?;
        section.note(&format!("{user}.attributes"), &mut self.places);
        let attribute = |value: Value<'a>| {
            let name = value.key().parse().map_err(|error| value.refuse(error))?;
            Ok((name, value.parse()?))
        };
        section.entries().map(attribute).collect()
    }

    pub(super) fn user_group(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        let section = value.section(format!("{USER_GROUP}.{name}"), USER_GROUP_KEYS)?;
        self.note(format!("{USER_GROUP}.{name}"), &section);
        let entry = UserGroupEntry {
            description: optional(&section, "description")?.unwrap_or_default(),
            rule: optional(&section, "rule")?,
            owners: set(&section, "owners")?,
            users: set(&section, "users")?,
            groups: set(&section, "groups")?,
        };
        self.document.user_groups.insert(name, entry);
        Ok(())
    }

    pub(super) fn assignments(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        for (nth, section) in value.sections(ASSIGNMENT_KEYS)?.into_iter().enumerate() {
            self.note(format!("{ASSIGNMENT}.{nth}"), &section);
            let entry = AssignmentEntry {
                app: section.need("app")?.parse()?,
                user: optional(&section, "user")?,
                group: optional(&section, "group")?,
                everyone: optional(&section, "everyone")?.unwrap_or_default(),
                role: optional(&section, "role")?,
                expires_unix: end(&section)?,
            };
            self.document.assignments.push(entry);
        }
        Ok(())
    }
}

fn optional<T: FromStr<Err: std::fmt::Display>>(section: &Section<'_>, key: &str) -> Result<Option<T>, Failure> {
    section.get(key).map(|value| value.parse()).transpose()
}

fn set<T: FromStr<Err: std::fmt::Display> + Ord>(
    section: &Section<'_>,
    key: &str,
) -> Result<Option<std::collections::BTreeSet<T>>, Failure> {
    section.get(key).map(|value| Ok(value.list()?.into_iter().collect())).transpose()
}

/// A point in time, as text or as TOML's own; a span such as 30d would be another end with each apply.
fn end(section: &Section<'_>) -> Result<Option<u64>, Failure> {
    let Some(value) = section.get("expires") else { return Ok(None) };
    let text = value.time()?;
    let end = unix(&text).map_err(|error| value.refuse(format_args!("`expires` = `{text}`: {error}")))?;
    Ok(Some(end))
}

const USER_KEYS: &[&str] = &["display-name", "mail", "attributes", "guest", "expires", "disabled"];
const USER_GROUP_KEYS: &[&str] = &["description", "rule", "owners", "users", "groups"];
const ASSIGNMENT_KEYS: &[&str] = &["app", "user", "group", "everyone", "role", "expires"];
