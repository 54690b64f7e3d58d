//! Conditional access policies in the admin API.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::directory::LoginName;
use crate::ids::{Name, PolicyId};
use crate::policy::{
    Asn, ClientKind, Country, DeviceState, Outcome, Platform, PolicyEntry, Risk, SessionControls, Traced,
};
use crate::session::AuthMethod;

/// Makes a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreatePolicy {
    /// Its name, unique in the tenant.
    pub name: Name,
    /// What it says.
    pub policy: PolicyEntry,
    /// Whether it may lock everybody out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Changes a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPolicy {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Keys of a [`PolicyEntry`], each with its whole new value; `null` takes one away. What is absent stays (RFC 7396).
    #[serde(default)]
    pub policy: Map<String, Value>,
    /// Whether it may lock everybody out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// Its id.
    pub id: PolicyId,
    /// Its name.
    pub name: Name,
    /// What it says, everything by name.
    pub policy: PolicyEntry,
    /// What it is about no more, where what it named is gone: `nobody`, `no application`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about_nothing: Option<String>,
}

/// A policy after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChanged {
    /// As it is now.
    pub policy: PolicyView,
    /// Version of the log that holds the change.
    pub version: u64,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Asks what the policies would make of a request. What is not said is unknown; for who signed in, a password just now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    /// Who: login name or id.
    pub user: String,
    /// The application: name or id.
    pub app: String,
    /// Where from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The country of that address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The autonomous system of that address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// What the device runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of program asks; a browser unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientKind>,
    /// When; now unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_unix: Option<u64>,
    /// How they signed in; with a password unless given.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub methods: BTreeSet<AuthMethod>,
    /// How long ago.
    #[serde(default)]
    pub auth_age_s: u32,
    /// How likely it is that it was someone else; low unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// What is known of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceState>,
    /// Terms that they accepted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub terms: BTreeSet<Name>,
    /// Whether the session outlasts the browser.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub persistent: bool,
}

/// What the policies would make of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIfAnswer {
    /// Who.
    pub user: LoginName,
    /// Where to.
    pub app: Name,
    /// What the policies in force say together.
    pub outcome: Outcome,
    /// What they make of the session.
    pub session: SessionControls,
    /// Each policy of the tenant, whether it applies, and why.
    pub policies: Vec<Traced>,
    /// Through whom the user is assigned to the application (`group/staff`); nothing: they are not.
    pub assigned: Option<String>,
    /// What keeps the user out whatever `outcome` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_out: Option<String>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}
