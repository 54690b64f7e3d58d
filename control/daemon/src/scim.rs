//! SCIM (RFC 7644): an identity provider asks for users and groups and changes them, by the same functions as administrators.
//! Which tenant is meant is said by the token, and by nothing else.

mod groups;
mod query;
mod reply;
mod settings;
mod throttle;
mod users;

use postern_model::config::Tenant;
use postern_model::scim::{
    Answer, Call, PREFIX, PresentedScimToken, Projection, ScimError, ScimType, Verb, list_json, resource_type,
    resource_types, schema, schemas, service_provider_config,
};
use serde_json::Value;

use crate::clock::{now_unix, now_unix_ms};
use crate::control::{Actor, Control};
use crate::limits::SCIM_RESULTS_MAX;
use crate::store::ScimToken;
use query::ListQuery;
use reply::{ok, refused};

pub(crate) use groups::stem;
pub(crate) use settings::{disable, enable, rotate, show};
pub(crate) use throttle::Throttle;

/// A client that proved who it is, and what it asks.
struct Scim<'a> {
    control: &'a Control,
    tenant: Tenant,
    actor: Actor,
    call: &'a Call,
    /// URL of this server.
    place: String,
}

/// Answers one request.
pub(crate) async fn answer(control: &Control, call: &Call) -> Answer {
    let token = match authenticate(control, call) {
        Ok(token) => token,
        Err(answer) => return *answer,
    };
    let Some(tenant) = control.snapshot().tenants.get(&token.tenant).cloned() else {
        return unauthorised("invalid_token", "the token is not good");
    };
    let Some(place) = place(control) else {
        return refused(&ScimError::status(503, "no place to sign in is published"));
    };
    let scim = Scim { control, tenant, actor: Actor::Scim(token.name), call, place };
    scim.route().await.unwrap_or_else(|error| refused(&error))
}

/// URL of the server, where identity processes serve it.
fn place(control: &Control) -> Option<String> {
    let snapshot = control.snapshot();
    let app = snapshot.apps.get(&snapshot.identity.as_ref()?.app)?;
    Some(format!("{}{PREFIX}", app.external_url.trim_end_matches('/')))
}

/// Whose token it is. Of one that is not good nothing is said but that; of a right one that has expired, that it has.
fn authenticate(control: &Control, call: &Call) -> Result<ScimToken, Box<Answer>> {
    let now_ms = now_unix_ms();
    let shown = call.token.expose();
    let presented = PresentedScimToken::parse(shown);
    let known = match &presented {
        Some(presented) => control.scim_rows(|store| store.scim_token(presented.tenant)),
        None => Ok(None),
    };
    let known = known.map_err(|problem| refused(&ScimError::status(503, problem.detail)))?;
    let is_right = |known: &ScimToken| presented.is_some_and(|presented| known.key.is(&presented.secret.key()));
    let Some(token) = known.filter(is_right) else {
        control.scim.borrow_mut().wrong(call.source, now_ms).map_err(|wait_s| busy("wrong tokens", wait_s))?;
        let error = if shown.is_empty() { "" } else { "invalid_token" };
        return Err(Box::new(unauthorised(error, "show the token that `postern scim enable` gave out")));
    };
    control.scim.borrow_mut().right(token.tenant, now_ms).map_err(|wait_s| busy("requests", wait_s))?;
    if token.expires_unix.is_some_and(|end| end <= now_unix()) {
        let detail = "the token has expired: `postern scim rotate` gives another";
        return Err(Box::new(unauthorised("invalid_token", detail)));
    }
    Ok(token)
}

fn unauthorised(error: &str, detail: &str) -> Answer {
    Answer { challenge: Some(error.to_owned()), ..refused(&ScimError::status(401, detail)) }
}

fn busy(what: &str, wait_s: u64) -> Box<Answer> {
    let error = ScimError::status(429, format!("too many {what}: wait {wait_s} s"));
    Box::new(Answer { retry_after_s: Some(wait_s), ..refused(&error) })
}

impl Scim<'_> {
    async fn route(&self) -> Result<Answer, ScimError> {
        let segments: Vec<&str> = self.call.path.trim_matches('/').split('/').collect();
        let place = &self.place;
        match (self.call.verb, segments.as_slice()) {
            (Verb::Get, ["ServiceProviderConfig"]) => Ok(ok(service_provider_config(place, SCIM_RESULTS_MAX))),
            (Verb::Get, ["ResourceTypes"]) => self.all(resource_types(place)),
            (Verb::Get, ["ResourceTypes", name]) => one(resource_type(place, name), "resource type"),
            (Verb::Get, ["Schemas"]) => self.all(schemas(place)),
            (Verb::Get, ["Schemas", id]) => one(schema(place, &decoded(id)), "schema"),
            (Verb::Get, ["Users"]) => self.list_users(&self.query()?).await,
            (Verb::Get, ["Groups"]) => self.list_groups(&self.query()?),
            (Verb::Post, ["Users", ".search"]) => self.list_users(&ListQuery::of_body(self.body()?)?).await,
            (Verb::Post, ["Groups", ".search"]) => self.list_groups(&ListQuery::of_body(self.body()?)?),
            (Verb::Post, ["Users"]) => self.create_user().await,
            (Verb::Get, ["Users", id]) => self.show_user(id),
            (Verb::Put, ["Users", id]) => self.replace_user(id).await,
            (Verb::Patch, ["Users", id]) => self.patch_user(id).await,
            (Verb::Delete, ["Users", id]) => self.delete_user(id),
            (Verb::Post, ["Groups"]) => self.create_group(),
            (Verb::Get, ["Groups", id]) => self.show_group(id),
            (Verb::Put, ["Groups", id]) => self.replace_group(id),
            (Verb::Patch, ["Groups", id]) => self.patch_group(id),
            (Verb::Delete, ["Groups", id]) => self.delete_group(id),
            (_, ["Me" | "Bulk", ..] | [""] | [".search"]) => {
                Err(ScimError::status(501, "Me, Bulk and questions across resource types are not supported"))
            }
            (_, ["ServiceProviderConfig" | "ResourceTypes" | "Schemas" | "Users" | "Groups", ..]) => {
                Err(ScimError::status(405, "this cannot be done here"))
            }
            _ => Err(ScimError::status(404, "there is no such endpoint")),
        }
    }

    /// What describes the server is not filtered (RFC 7644 §4).
    fn all(&self, resources: Vec<Value>) -> Result<Answer, ScimError> {
        if self.query()?.filter.is_some() {
            return Err(ScimError::status(403, "what describes the server is not filtered"));
        }
        let total = resources.len();
        Ok(ok(list_json(resources, total, 1)))
    }

    fn query(&self) -> Result<ListQuery, ScimError> {
        ListQuery::of_url(&self.call.query)
    }

    /// What answers about single resources show.
    fn projection(&self) -> Result<Projection, ScimError> {
        self.query().map(|query| query.projection)
    }

    fn body(&self) -> Result<&Value, ScimError> {
        let missing = || ScimError::bad(ScimType::InvalidSyntax, "there is no JSON body");
        self.call.body.as_ref().ok_or_else(missing)
    }

    /// Refuses to change another version than the one that is meant.
    fn check_version(&self, version: &str) -> Result<(), ScimError> {
        match &self.call.if_match {
            Some(wanted) if !names(wanted, version) => {
                Err(ScimError::status(412, format!("the resource has changed: its version is {version}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// An answer with a resource, or that the client has it.
    fn resource(&self, status: u16, resource: Value) -> Result<Answer, ScimError> {
        let text = |name: &str| resource["meta"][name].as_str().map(ToOwned::to_owned);
        let (etag, location) = (text("version"), text("location"));
        let has_it = |known: &String| etag.as_ref().is_some_and(|version| names(known, version));
        if self.call.verb == Verb::Get && self.call.if_none_match.as_ref().is_some_and(has_it) {
            return Ok(Answer { status: 304, etag, ..Answer::default() });
        }
        Ok(Answer { status, body: Some(self.projection()?.of(resource)), etag, location, ..Answer::default() })
    }
}

fn one(found: Option<Value>, what: &str) -> Result<Answer, ScimError> {
    found.map(ok).ok_or_else(|| ScimError::status(404, format!("there is no such {what}")))
}

/// Whether a list of ETags names this one: compared weakly (RFC 9110 §8.8.3.2).
fn names(list: &str, version: &str) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    list.trim() == "*" || list.split(',').any(|tag| plain(tag) == plain(version))
}

/// A URN in a path: clients write `:` as `%3A`, or not.
fn decoded(segment: &str) -> String {
    segment.replace("%3A", ":").replace("%3a", ":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_weakly() {
        for list in ["W/\"3\"", "\"3\"", "*", "W/\"1\", W/\"3\""] {
            assert!(names(list, "W/\"3\""), "{list}");
        }
        assert!(!names("W/\"33\"", "W/\"3\"") && !names("", "W/\"3\""));
    }
}
