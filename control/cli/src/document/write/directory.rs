//! Users, user groups and assignments.

use std::fmt::{Display, Write as _};

use postern_model::document::{AssignmentEntry, Document, UserEntry, UserGroupEntry};

use super::quoted;
use crate::time_text::utc;

pub(super) fn write(out: &mut String, document: &Document) {
    for (login, entry) in &document.users {
        user(out, &format!("user.{}", quoted(login.as_str())), entry);
    }
    for (name, entry) in &document.user_groups {
        group(out, name.as_str(), entry);
    }
    for entry in &document.assignments {
        assignment(out, entry);
    }
}

fn user(out: &mut String, section: &str, entry: &UserEntry) {
    let UserEntry { display_name, mail, attributes, guest, expires_unix, disabled } = entry;
    let _ = write!(out, "\n[{section}]\n");
    text(out, "display-name", Some(display_name).filter(|name| !name.as_str().is_empty()));
    text(out, "mail", mail.as_ref());
    switch(out, "guest", *guest);
    text(out, "expires", expires_unix.map(utc));
    switch(out, "disabled", *disabled);
    if !attributes.is_empty() {
        let _ = write!(out, "\n[{section}.attributes]\n");
    }
    for (name, value) in attributes {
        text(out, name.as_str(), Some(value));
    }
}

fn group(out: &mut String, name: &str, entry: &UserGroupEntry) {
    let UserGroupEntry { description, rule, owners, users, groups } = entry;
    let _ = write!(out, "\n[group.{name}]\n");
    text(out, "description", Some(description).filter(|text| !text.as_str().is_empty()));
    text(out, "rule", rule.as_ref());
    list(out, "owners", owners.as_ref());
    list(out, "users", users.as_ref());
    list(out, "groups", groups.as_ref());
}

fn assignment(out: &mut String, entry: &AssignmentEntry) {
    let AssignmentEntry { app, user, group, everyone, role, expires_unix } = entry;
    out.push_str("\n[[assignment]]\n");
    text(out, "app", Some(app));
    text(out, "user", user.as_ref());
    text(out, "group", group.as_ref());
    switch(out, "everyone", *everyone);
    text(out, "role", role.as_ref());
    text(out, "expires", expires_unix.map(utc));
}

// Writing to a string does not fail.

fn text(out: &mut String, key: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        let _ = writeln!(out, "{key} = {}", quoted(&value.to_string()));
    }
}

fn switch(out: &mut String, key: &str, on: bool) {
    if on {
        let _ = writeln!(out, "{key} = true");
    }
}

/// A line for each, so that versions of a file compare well.
fn list<T: Display>(out: &mut String, key: &str, items: Option<impl IntoIterator<Item = T>>) {
    let Some(items) = items else { return };
    let items: Vec<String> = items.into_iter().map(|item| format!("    {},\n", quoted(&item.to_string()))).collect();
    let _ =
        if items.is_empty() { writeln!(out, "{key} = []") } else { writeln!(out, "{key} = [\n{}]", items.concat()) };
}
