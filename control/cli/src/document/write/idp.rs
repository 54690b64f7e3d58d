//! External OpenID providers: what differs from the defaults, and never a secret.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use postern_model::document::{Document, ProviderEntry};
use postern_model::external::{ProviderSettings, UnknownUsers};

use super::quoted;

pub(super) fn write(out: &mut String, document: &Document) {
    for (name, entry) in &document.providers {
        provider(out, name.as_str(), entry);
    }
}

// Writing to a string does not fail.

fn provider(out: &mut String, name: &str, entry: &ProviderEntry) {
    let ProviderEntry { settings, client_secret: _, groups } = entry;
    let default = ProviderSettings::new(settings.issuer.clone(), settings.client_id.clone());
    let _ = write!(out, "\n[idp.{name}]\n");
    let mut text = |key: &str, value: &str, default: &str| {
        if value != default {
            let _ = writeln!(out, "{key} = {}", quoted(value));
        }
    };
    text("issuer", &settings.issuer, "");
    text("client-id", &settings.client_id, "");
    text("label", settings.label.as_str(), "");
    text("domain-hint-parameter", &settings.domain_hint_parameter, &default.domain_hint_parameter);
    text("claim-display-name", &settings.display_name_claim, &default.display_name_claim);
    text("claim-mail", &settings.mail_claim, &default.mail_claim);
    text("group-claim", settings.group_claim.as_deref().unwrap_or_default(), "");
    text("ca-pem", settings.ca_pem.as_deref().unwrap_or_default(), "");
    if settings.users == UnknownUsers::Create {
        text("users", "create", "");
    }
    let domains: Vec<String> = settings.domains.iter().cloned().collect();
    list(out, "domain", &domains, &[]);
    list(out, "scopes", &settings.scopes, &default.scopes);
    list(out, "claim-login", &settings.login_claims, &default.login_claims);
    list(out, "device-claim", &settings.device_claims.texts(), &[]);
    for (key, on) in [
        ("trust-mail", settings.trust_mail),
        ("require-mfa", settings.require_mfa),
        ("default", settings.default),
        ("disabled", settings.disabled),
        ("insecure-loopback", settings.insecure_loopback),
    ] {
        if on {
            let _ = writeln!(out, "{key} = true");
        }
    }
    if settings.skew_s != default.skew_s {
        let _ = writeln!(out, "skew = {}", settings.skew_s);
    }
    if settings.fetch_timeout_ms != default.fetch_timeout_ms {
        let _ = writeln!(out, "fetch-timeout-ms = {}", settings.fetch_timeout_ms);
    }
    if !groups.is_empty() {
        let _ = write!(out, "\n[idp.{name}.groups]\n");
    }
    for (claimed, group) in groups {
        let _ = writeln!(out, "{} = {}", quoted(claimed), quoted(group.as_str()));
    }
    if !settings.acr.is_empty() {
        let _ = write!(out, "\n[idp.{name}.acr]\n");
    }
    for (value, methods) in &settings.acr {
        let methods: BTreeSet<String> = methods.iter().map(|method| quoted(method.as_str())).collect();
        let methods: Vec<String> = methods.into_iter().collect();
        let _ = writeln!(out, "{} = [{}]", quoted(value), methods.join(", "));
    }
}

fn list(out: &mut String, key: &str, items: &[String], default: &[String]) {
    if items != default {
        let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
        let _ = writeln!(out, "{key} = [{}]", items.join(", "));
    }
}
