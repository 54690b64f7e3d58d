//! A document as TOML that reads back as the same.

use std::fmt::Write as _;

use postern_model::config::Preauth;
use postern_model::document::{AppEntry, CertificateEntry, Document, LimitEntry, RelayEntry};

mod client;
mod device;
mod directory;
mod idp;
mod policy;
mod sign_in;

/// The text, with what a reader needs to know in front.
pub(crate) fn toml(tenant: &str, document: &Document) -> String {
    let mut out = format!("{INTRODUCTION}\ntenant = {}\n", quoted(tenant));
    // Writing to a string does not fail.
    for name in &document.connector_groups {
        let _ = write!(out, "\n[connector-group.{name}]\n");
    }
    for (name, RelayEntry { address, fingerprint }) in &document.relays {
        let _ = write!(out, "\n[relay.{name}]\naddress = {}\n", quoted(address));
        if let Some(fingerprint) = fingerprint {
            let _ = writeln!(out, "fingerprint = {}", quoted(fingerprint));
        }
    }
    for CertificateEntry { sha256, hosts, .. } in &document.certificates {
        let hosts: Vec<String> = hosts.iter().map(|host| quoted(host)).collect();
        let sha256 = quoted(sha256.as_deref().unwrap_or_default());
        let _ = write!(out, "\n[[certificate]]\nsha256 = {sha256}\nhosts = [{}]\n", hosts.join(", "));
    }
    if !document.networks.is_empty() {
        out.push_str("\n[network]\n");
    }
    for (name, prefixes) in &document.networks {
        let prefixes: Vec<String> = prefixes.iter().map(|prefix| quoted(&prefix.to_string())).collect();
        let _ = writeln!(out, "{name} = [{}]", prefixes.join(", "));
    }
    sign_in::write(&mut out, document);
    for (name, entry) in &document.apps {
        app(&mut out, name.as_str(), entry);
    }
    for (scope, entry) in &document.limits {
        limit(&mut out, scope, entry);
    }
    directory::write(&mut out, document);
    idp::write(&mut out, document);
    client::write(&mut out, document);
    policy::write(&mut out, document);
    device::write(&mut out, document);
    out
}

fn app(out: &mut String, name: &str, entry: &AppEntry) {
    let AppEntry { external_url, internal_url, preauth, group, settings, .. } = entry;
    let preauth = match preauth {
        Preauth::Passthrough => "passthrough",
        Preauth::Oidc => "oidc",
    };
    let _ = write!(out, "\n[app.{name}]\nexternal = {}\ninternal = {}\n", quoted(external_url), quoted(internal_url));
    let _ = writeln!(out, "preauth = {}", quoted(preauth));
    if let Some(group) = group {
        let _ = writeln!(out, "group = {}", quoted(group.as_str()));
    }
    if !settings.is_empty() {
        let _ = write!(out, "\n[app.{name}.settings]\n");
    }
    for (name, value) in settings {
        let _ = writeln!(out, "{name} = {}", quoted(value));
    }
}

fn limit(out: &mut String, scope: &str, entry: &LimitEntry) {
    let LimitEntry { rps, burst, conns, bps } = entry;
    let _ = write!(out, "\n[throttle.{}]\n", quoted(scope));
    for (name, value) in [("rps", rps), ("conns", conns), ("bps", bps)] {
        match value {
            Some(postern_model::limit::Allowance::At(number)) => {
                let _ = writeln!(out, "{name} = {number}");
            }
            Some(postern_model::limit::Allowance::Unlimited) => {
                let _ = writeln!(out, "{name} = \"none\"");
            }
            None => {}
        }
    }
    if let Some(burst) = burst {
        let _ = writeln!(out, "burst = {burst}");
    }
}

/// As a TOML string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

const INTRODUCTION: &str = "\
# Made by `postern export`; `postern apply -f FILE` makes it so, `postern diff -f FILE` tells what that would change.
# What is absent stays as it is, unless --prune is given. Keys and passwords are never exported: a certificate is named by
# its fingerprint, or given by its files with cert and key. Relays that come to control's own socket are not named.
";
