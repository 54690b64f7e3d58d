//! The document's text: sections that `apply` reads, and comments around them that it does not.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use postern_service::failure::one_line;

use super::super::columns::Column;
use super::super::sheet::Row;
use super::{App, Wave};
use crate::document::quoted;

pub(super) fn toml(source: &str, apps: &[App<'_>], left_out: &[String]) -> String {
    let mut out = String::new();
    comment(&mut out, &format!("Made of {source} by postern inventory plan."));
    out.push_str(INTRODUCTION);
    groups(&mut out, apps);
    for wave in Wave::ALL {
        let mut of_wave = apps.iter().filter(|app| app.wave == wave).peekable();
        if of_wave.peek().is_some() {
            out.push('\n');
            comment(&mut out, &format!("── {}", wave.title()));
        }
        of_wave.for_each(|app| write_app(&mut out, app));
    }
    if !left_out.is_empty() {
        out.push('\n');
        comment(&mut out, "── Not in this plan");
    }
    for line in left_out {
        comment(&mut out, line);
    }
    out
}

/// All but the one that every tenant has.
fn groups(out: &mut String, apps: &[App<'_>]) {
    let groups: BTreeSet<&str> = apps.iter().filter_map(|app| app.group).filter(|group| *group != "default").collect();
    for group in groups {
        // Writing to a string does not fail.
        let _ = write!(out, "\n[connector-group.{group}]\n");
    }
}

fn write_app(out: &mut String, app: &App<'_>) {
    out.push('\n');
    comment(out, &format!("{} ({})", app.name(), app.row.place));
    for remark in &app.remarks {
        comment(out, remark);
    }
    let _ = writeln!(out, "[app.{}]", app.name());
    setting(out, "external", &app.external.to_string());
    setting(out, "internal", &app.internal.to_string());
    out.push_str(PREAUTH);
    if let Some(group) = app.group {
        setting(out, "group", group);
    }
    certificate(out, app);
    sign_on(out, app);
    for principal in app.row.words(Column::UsersAndGroups) {
        assignment(out, app.row, principal);
    }
}

fn certificate(out: &mut String, app: &App<'_>) {
    let said = [Column::Certificate, Column::CertificateLocation, Column::CertificateSerial];
    if said.iter().all(|column| app.row.get(*column).is_empty()) {
        return;
    }
    comment(out, "its certificate, once both files are beside this one; without it Postern's own authority issues one");
    comment(out, &format!("cert = {}", quoted(&format!("{}.pem", app.name()))));
    comment(out, &format!("key = {}", quoted(&format!("{}.key", app.name()))));
}

fn sign_on(out: &mut String, app: &App<'_>) {
    let sign_on = &app.sign_on;
    comment(out, &format!("single sign-on: {}", sign_on.advice));
    if app.settings.is_empty() && sign_on.later.is_empty() {
        return;
    }
    let _ = writeln!(out, "[app.{}.settings]", app.name());
    for (name, value) in &app.settings {
        setting(out, name, value);
    }
    for (name, value) in &sign_on.later {
        comment(out, &format!("{name} = {}", quoted(&one_line(value))));
    }
}

/// Of a word that was checked.
fn assignment(out: &mut String, row: &Row, principal: &str) {
    let _ = write!(out, "\n[[assignment]]\napp = {}\n", quoted(row.get(Column::Name)));
    match principal.split_once('/') {
        Some((kind, name)) => setting(out, kind, name),
        None => out.push_str("everyone = true\n"),
    }
}

fn setting(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "{name} = {}", quoted(value));
}

/// One line, whatever an inventory's cell holds: what follows a line's end would be read by `apply`. It is read by people first, who
/// see what is there.
fn comment(out: &mut String, text: &str) {
    let _ = writeln!(out, "# {}", one_line(text));
}

const INTRODUCTION: &str = "\
# Read it through: postern diff -f FILE tells what it would change, postern apply -f FILE makes it so.
# The waves are an order to go in: what needs the least preparation comes first. What is commented out needs something
# first, which stands above it. Users and groups that are assigned must be there: postern user create, postern group create.
";
const PREAUTH: &str = "\
preauth = \"oidc\" # users sign in and are assigned; \"passthrough\" would let everybody's requests through
";
