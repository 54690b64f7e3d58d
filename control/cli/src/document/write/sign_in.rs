//! What else sign-ins go by, as it reads back: texts and lists stand in the file itself.

use std::fmt::Write as _;

use postern_model::document::{Document, TermsEntry};
use postern_model::ids::Name;
use postern_model::negotiate::KerberosSignIn;
use postern_model::prefix::IpPrefix;
use postern_model::sso::SsoLogin;
use postern_model::terms::TermsFormat;

use super::quoted;

pub(super) fn write(out: &mut String, document: &Document) {
    if !document.anonymisers.is_empty() {
        out.push_str("\n[anonymiser]\n");
    }
    // Writing to a string does not fail.
    for (name, prefixes) in &document.anonymisers {
        let lines = prefixes.chunks(PREFIXES_A_LINE).map(|line| format!("  {},\n", list(line)));
        let _ = write!(out, "{name} = [\n{}]\n", lines.collect::<String>());
    }
    if let Some(KerberosSignIn { realms, networks, login }) = &document.kerberos {
        let realms: Vec<String> = realms.iter().map(|realm| quoted(realm)).collect();
        let networks: Vec<String> = networks.iter().map(|name| quoted(name.as_str())).collect();
        let _ = write!(out, "\n[kerberos]\nrealm = [{}]\nnetwork = [{}]\n", realms.join(", "), networks.join(", "));
        if *login != SsoLogin::default() {
            let _ = writeln!(out, "login = {}", quoted(login.as_str()));
        }
    }
    for (name, entry) in &document.terms {
        terms(out, name, entry);
    }
}

fn list(prefixes: &[IpPrefix]) -> String {
    let prefixes: Vec<String> = prefixes.iter().map(|prefix| quoted(&prefix.to_string())).collect();
    prefixes.join(", ")
}

fn terms(out: &mut String, name: &Name, entry: &TermsEntry) {
    let TermsEntry { title, text, format, every_s } = entry;
    let _ = write!(out, "\n[terms.{name}]\ntitle = {}\n", quoted(title.as_str()));
    if *format == TermsFormat::Markdown {
        out.push_str("format = \"markdown\"\n");
    }
    if let Some(every_s) = every_s {
        let _ = writeln!(out, "every = {}", quoted(&span(*every_s)));
    }
    let _ = writeln!(out, "text = {}", quoted(text.as_str()));
}

/// In the largest unit that says it exactly.
fn span(seconds: u32) -> String {
    let exact = [(86_400, "d"), (3_600, "h"), (60, "m")].into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    let (unit, letter) = exact.unwrap_or((1, "s"));
    format!("{}{letter}", seconds / unit)
}

const PREFIXES_A_LINE: usize = 8;
