//! A policy's keys: as files and `policy show` name them, and as the admin API does. A test keeps them complete.

use std::collections::BTreeSet;
use std::fmt::Display;

use postern_model::policy::{PolicyEntry, span};

/// Keys of files, and the fields of [`PolicyEntry`].
pub(crate) const POLICY_KEYS: &[(&str, &str)] = &[
    ("state", "state"),
    ("everyone", "everyone"),
    ("users", "users"),
    ("groups", "groups"),
    ("guests", "guests"),
    ("except-users", "except_users"),
    ("except-groups", "except_groups"),
    ("except-guests", "except_guests"),
    ("all-apps", "all_apps"),
    ("apps", "apps"),
    ("except-apps", "except_apps"),
    ("networks", "networks"),
    ("except-networks", "except_networks"),
    ("countries", "countries"),
    ("except-countries", "except_countries"),
    ("asns", "asns"),
    ("except-asns", "except_asns"),
    ("platforms", "platforms"),
    ("except-platforms", "except_platforms"),
    ("clients", "clients"),
    ("except-clients", "except_clients"),
    ("times", "times"),
    ("except-times", "except_times"),
    ("methods", "methods"),
    ("except-methods", "except_methods"),
    ("strength", "strength"),
    ("auth-age-min", "auth_age_min_s"),
    ("risk-min", "risk_min"),
    ("devices", "devices"),
    ("except-devices", "except_devices"),
    ("block", "block"),
    ("require", "require"),
    ("require-any", "require_any"),
    ("sign-in-frequency", "sign_in_frequency_s"),
    ("idle-max", "idle_max_s"),
    ("lifetime-max", "lifetime_max_s"),
    ("no-persistent", "no_persistent"),
];

/// A value as files write it.
pub(super) enum Written {
    Switch,
    One(String),
    Many(Vec<String>),
}

/// What a policy says, key by key in the order of [`POLICY_KEYS`]; what it says nothing about is left out.
pub(super) fn written(entry: &PolicyEntry) -> Vec<(&'static str, Written)> {
    let mut found = vec![("state", Written::One(entry.state.to_string()))];
    let mut add = |key, written: Option<Written>| found.extend(written.map(|written| (key, written)));
    add("everyone", switch(entry.everyone));
    add("users", entry.users.as_ref().map(list));
    add("groups", entry.groups.as_ref().map(list));
    add("guests", switch(entry.guests));
    add("except-users", some(&entry.except_users));
    add("except-groups", some(&entry.except_groups));
    add("except-guests", switch(entry.except_guests));
    add("all-apps", switch(entry.all_apps));
    add("apps", entry.apps.as_ref().map(list));
    add("except-apps", some(&entry.except_apps));
    add("networks", some(&entry.networks));
    add("except-networks", some(&entry.except_networks));
    add("countries", some(&entry.countries));
    add("except-countries", some(&entry.except_countries));
    add("asns", some(&entry.asns));
    add("except-asns", some(&entry.except_asns));
    add("platforms", some(&entry.platforms));
    add("except-platforms", some(&entry.except_platforms));
    add("clients", some(&entry.clients));
    add("except-clients", some(&entry.except_clients));
    add("times", some(&entry.times));
    add("except-times", some(&entry.except_times));
    add("methods", some(&entry.methods));
    add("except-methods", some(&entry.except_methods));
    add("strength", entry.strength.map(one));
    add("auth-age-min", entry.auth_age_min_s.map(time));
    add("risk-min", entry.risk_min.map(one));
    add("devices", some(&entry.devices));
    add("except-devices", some(&entry.except_devices));
    add("block", switch(entry.block));
    add("require", some(&entry.require));
    add("require-any", some(&entry.require_any));
    add("sign-in-frequency", entry.sign_in_frequency_s.map(time));
    add("idle-max", entry.idle_max_s.map(time));
    add("lifetime-max", entry.lifetime_max_s.map(time));
    add("no-persistent", switch(entry.no_persistent));
    found
}

/// The same as lines for people.
pub(crate) fn policy_lines(entry: &PolicyEntry) -> Vec<(&'static str, String)> {
    let text = |written: Written| match written {
        Written::Switch => "yes".to_owned(),
        Written::One(text) => text,
        Written::Many(texts) => texts.join(", "),
    };
    written(entry).into_iter().map(|(key, value)| (key, text(value))).collect()
}

fn switch(on: bool) -> Option<Written> {
    on.then_some(Written::Switch)
}

fn one(value: impl Display) -> Written {
    Written::One(value.to_string())
}

fn time(seconds: u32) -> Written {
    Written::One(span(u64::from(seconds)))
}

fn list<T: Display>(values: &BTreeSet<T>) -> Written {
    Written::Many(values.iter().map(ToString::to_string).collect())
}

fn some<T: Display>(values: &BTreeSet<T>) -> Option<Written> {
    (!values.is_empty()).then(|| list(values))
}
