//! What a client is told of a user, by what was granted.

use std::collections::BTreeSet;

use postern_model::oauth::{Scope, Scopes};
use postern_model::session::{SessionRecord, is_multi_factor};
use serde_json::{Map, Value, json};

/// Claims of userinfo: those of ID tokens, too.
pub(super) fn of_user(record: &SessionRecord, scopes: &Scopes) -> Map<String, Value> {
    let user = &record.user;
    let mut claims = Map::new();
    claims.insert("sub".into(), json!(user.id));
    if scopes.contains(&Scope::Profile) {
        claims.insert("preferred_username".into(), json!(user.login.as_str()));
        if !user.display_name.as_str().is_empty() {
            claims.insert("name".into(), json!(user.display_name.as_str()));
        }
    }
    if let Some(mail) = user.mail.as_ref().filter(|_| scopes.contains(&Scope::Email)) {
        claims.insert("email".into(), json!(mail.as_str()));
    }
    if scopes.contains(&Scope::Groups) {
        let groups: Vec<&str> = user.groups.values().map(|name| name.as_str()).collect();
        claims.insert("groups".into(), json!(groups));
    }
    claims
}

/// When and how they proved who they are.
pub(super) fn of_sign_in(record: &SessionRecord) -> Map<String, Value> {
    let methods: BTreeSet<&str> = record.methods.iter().map(|method| method.as_str()).collect();
    let mut claims = Map::new();
    claims.insert("auth_time".into(), json!(record.authenticated_unix));
    claims.insert("amr".into(), json!(methods));
    if is_multi_factor(&record.methods) {
        claims.insert("acr".into(), json!(postern_model::identity::ACR_MULTI_FACTOR));
    }
    claims
}
