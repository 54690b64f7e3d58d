//! What an operator says about a provider.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{DeviceClaims, LABEL_BYTES_MAX};
use crate::directory::Line;
use crate::session::AuthMethod;

/// A provider's settings, without its secret and without the groups that its claims fill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// What users call it, on pages; empty: its name.
    #[serde(default)]
    pub label: Line<LABEL_BYTES_MAX>,
    /// Its issuer identifier, exactly as it writes it itself. It stays: users are linked by it.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// What is asked for; `openid` is always.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// Claims that a new user's login name comes from: the first that there is.
    #[serde(default = "default_login_claims")]
    pub login_claims: Vec<String>,
    /// The claim that says what people call the user.
    #[serde(default = "default_display_name_claim")]
    pub display_name_claim: String,
    /// The claim that says where the user gets mail.
    #[serde(default = "default_mail_claim")]
    pub mail_claim: String,
    /// Takes mail addresses that the provider does not say to have verified.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust_mail: bool,
    /// The claim that names the user's groups; `None`: groups are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_claim: Option<String>,
    /// Users whose login name ends in `@` and one of these go straight to it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub domains: BTreeSet<String>,
    /// The query parameter that tells it of which domain a user is: `domain_hint`, or Google's `hd`.
    #[serde(default = "default_domain_hint")]
    pub domain_hint_parameter: String,
    /// What becomes of users that nobody linked.
    #[serde(default)]
    pub users: UnknownUsers,
    /// What a value of `acr` says about how the user signed in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acr: BTreeMap<String, BTreeSet<AuthMethod>>,
    /// What its claims say of the device that a user signs in on; empty: its word counts for nothing there.
    #[serde(default, skip_serializing_if = "DeviceClaims::is_empty")]
    pub device_claims: DeviceClaims,
    /// Lets in only who proved more than one factor, as the provider says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_mfa: bool,
    /// Browsers that begin to sign in go straight to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// Nobody signs in by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// PEM certificates of the only authorities that its TLS certificate may come from; `None`: the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// By how many seconds its clock may differ: 0 to 300.
    #[serde(default = "default_skew_s")]
    pub skew_s: u32,
    /// How long one answer of it may take: 100 to 30,000 ms.
    #[serde(default = "default_fetch_timeout_ms")]
    pub fetch_timeout_ms: u32,
    /// Allows `http://` to the identity process's own host. For tests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_loopback: bool,
}

impl ProviderSettings {
    /// Settings with every default.
    #[must_use]
    pub fn new(issuer: String, client_id: String) -> Self {
        Self {
            label: Line::default(),
            issuer,
            client_id,
            scopes: default_scopes(),
            login_claims: default_login_claims(),
            display_name_claim: default_display_name_claim(),
            mail_claim: default_mail_claim(),
            trust_mail: false,
            group_claim: None,
            domains: BTreeSet::new(),
            domain_hint_parameter: default_domain_hint(),
            users: UnknownUsers::default(),
            acr: BTreeMap::new(),
            device_claims: DeviceClaims::default(),
            require_mfa: false,
            default: false,
            disabled: false,
            ca_pem: None,
            skew_s: default_skew_s(),
            fetch_timeout_ms: default_fetch_timeout_ms(),
            insecure_loopback: false,
        }
    }
}

/// What becomes of users that a provider vouches for and nobody linked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownUsers {
    /// They stay out: an operator links users that exist.
    #[default]
    Existing,
    /// A user is made at the first sign-in, if the login name is free.
    Create,
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn default_login_claims() -> Vec<String> {
    ["preferred_username", "email"].map(str::to_owned).to_vec()
}

fn default_display_name_claim() -> String {
    "name".to_owned()
}

fn default_mail_claim() -> String {
    "email".to_owned()
}

fn default_domain_hint() -> String {
    "domain_hint".to_owned()
}

const fn default_skew_s() -> u32 {
    60
}

const fn default_fetch_timeout_ms() -> u32 {
    5_000
}
