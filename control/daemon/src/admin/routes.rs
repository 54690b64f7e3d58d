//! From method and path to the operation. Every answer comes at once, from memory or SQLite; only what changes
//! applications, limits, networks, assignments, service tokens, policies or connectors waits a moment until the relays have it, and
//! what asks an authority of certificates or the DNS waits for those.

use hyper::{Method, StatusCode};
use postern_model::admin::{Changed, List, Problem, SetNetwork, path};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::directory::{decoded, switch};
use super::overview;
use crate::control::{Actor, Control};
use crate::problem::{not_found, problem};
use crate::{apply, apps, checks, networks, relays, rollout, service_tokens, tenants, throttle, traces};

/// An answer that is not a refusal.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) json: Vec<u8>,
}

/// Answers one request.
pub(super) async fn answer(
    control: &Control,
    actor: &Actor,
    method: &Method,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<Reply, Problem> {
    let ask = Ask { control, actor, method, body };
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        ["v1", "tenants", tenant, "apps", rest @ ..] => ask.apps(tenant, rest).await,
        ["v1", "tenants", tenant, "traces", id] => ask.trace(tenant, id).await,
        ["v1", "tenants", tenant, "apply"] => ask.apply(tenant).await,
        ["v1", "tenants", tenant, "certificates", rest @ ..] => ask.certificates(tenant, rest).await,
        ["v1", "tenants", tenant, "acme"] => ask.acme(tenant).await,
        ["v1", "tenants", tenant, "domains", rest @ ..] => ask.domains(tenant, rest).await,
        ["v1", "tenants", tenant, "limits", rest @ ..] => ask.limits(tenant, rest).await,
        ["v1", "tenants", tenant, "networks", rest @ ..] => ask.networks(tenant, rest).await,
        ["v1", "tenants", tenant, "users", rest @ ..] => ask.users(tenant, rest, query).await,
        ["v1", "tenants", tenant, "user-groups", rest @ ..] => ask.user_groups(tenant, rest, query).await,
        ["v1", "tenants", tenant, "membership-test"] => ask.membership_test(tenant),
        ["v1", "tenants", tenant, "assignments", rest @ ..] => ask.assignments(tenant, rest, query).await,
        ["v1", "tenants", tenant, "access-requests", rest @ ..] => ask.access_requests(tenant, rest, query).await,
        ["v1", "tenants", tenant, "access-reviews", rest @ ..] => ask.access_reviews(tenant, rest, query).await,
        ["v1", "tenants", tenant, "document"] => ask.document(tenant, query),
        ["v1", "tenants", tenant, "service-tokens", rest @ ..] => ask.service_tokens(tenant, rest).await,
        ["v1", "tenants", tenant, "scim", rest @ ..] => ask.scim(tenant, rest),
        ["v1", "tenants", tenant, "directory-sync", rest @ ..] => ask.directory_sync(tenant, rest).await,
        ["v1", "tenants", tenant, "terms", rest @ ..] => ask.terms(tenant, rest, query).await,
        ["v1", "tenants", tenant, "devices", rest @ ..] => ask.devices(tenant, rest, query).await,
        ["v1", "tenants", tenant, "device-settings"] => ask.device_settings(tenant),
        ["v1", "tenants", tenant, "device-authorities", rest @ ..] => ask.device_authorities(tenant, rest).await,
        ["v1", "tenants", tenant, "vault", rest @ ..] => ask.vault(tenant, rest).await,
        ["v1", "tenants", tenant, "sessions", rest @ ..] => ask.sessions(tenant, rest, query).await,
        ["v1", "tenants", tenant, "providers", rest @ ..] => ask.providers(tenant, rest).await,
        ["v1", "tenants", tenant, "kerberos", rest @ ..] => ask.kerberos(tenant, rest),
        ["v1", "tenants", tenant, "clients", rest @ ..] => ask.clients(tenant, rest),
        ["v1", "identity"] => ask.identity().await,
        ["v1", "identity", "device-host"] => ask.device_host().await,
        ["v1", "identity", "saml", rest @ ..] => ask.saml(rest).await,
        ["v1", "tenants", tenant, "policies", rest @ ..] => ask.policies(tenant, rest).await,
        ["v1", "tenants", tenant, "policy-what-if"] => ask.policy_what_if(tenant),
        ["v1", "tenants", tenant, "policy-replay"] => ask.policy_replay(tenant),
        ["v1", "tenants", tenant, "connectors", rest @ ..] => ask.connectors(tenant, rest).await,
        ["v1", "tenants", tenant, "app-suffix"] => ask.app_suffix(tenant).await,
        ["v1", "tenants", rest @ ..] => ask.tenants(rest),
        ["v1", "relays", rest @ ..] => ask.relays(rest, query),
        ["v1", "audit", rest @ ..] => ask.audit(rest, query).await,
        ["v1", "sign-ins", rest @ ..] => ask.sign_ins(rest, query).await,
        _ => ask.whole(path),
    }
}

pub(super) struct Ask<'a> {
    pub(super) control: &'a Control,
    pub(super) actor: &'a Actor,
    pub(super) method: &'a Method,
    body: &'a [u8],
}

impl Ask<'_> {
    fn whole(&self, path: &str) -> Result<Reply, Problem> {
        match (self.method, path) {
            (&Method::POST, path::INIT) => reply(&overview::initialised(self.control)?),
            (&Method::GET, path::STATUS) => reply(&overview::status(self.control)),
            (&Method::GET, path::READY) => {
                let ready = overview::ready(self.control);
                let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                Ok(Reply { status, ..reply(&ready)? })
            }
            _ => Err(self.no_route()),
        }
    }

    fn tenants(&self, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(tenants::list(control)?)),
            (&Method::POST, []) => created(&tenants::create(control, actor, self.body()?)?),
            (&Method::GET, [tenant]) => reply(&tenants::show(control, &tenants::find(control, tenant)?)?),
            (&Method::DELETE, [tenant]) => reply(&tenants::delete(control, actor, &tenants::find(control, tenant)?)?),
            (_, [tenant, "connector-groups", rest @ ..]) => self.groups(tenant, rest),
            _ => Err(self.no_route()),
        }
    }

    fn groups(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(tenants::list_groups(control, &tenant)?)),
            (&Method::POST, []) => created(&tenants::create_group(control, actor, &tenant, self.body()?)?),
            (&Method::GET, [group]) => reply(&tenants::show_group(control, &tenant, group)?),
            (&Method::DELETE, [group]) => reply(&tenants::delete_group(control, actor, &tenant, group)?),
            (&Method::POST, [group, "tokens"]) => {
                created(&tenants::create_token(control, actor, &tenant, group, self.body()?)?)
            }
            _ => Err(self.no_route()),
        }
    }

    async fn connectors(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(tenants::list_connectors(control, &tenant))),
            (&Method::GET, [id]) => reply(&tenants::show_connector(control, &tenant, id)?),
            (&Method::DELETE, [id]) => self.confirmed(tenants::remove_connector(control, actor, &tenant, id)?).await,
            _ => Err(self.no_route()),
        }
    }

    async fn trace(&self, tenant: &str, id: &str) -> Result<Reply, Problem> {
        if self.method != Method::POST {
            return Err(self.no_route());
        }
        let tenant = tenants::find(self.control, tenant)?;
        reply(&traces::collect(self.control, self.actor, &tenant, id, self.body()?).await?)
    }

    async fn apply(&self, tenant: &str) -> Result<Reply, Problem> {
        if self.method != Method::POST {
            return Err(self.no_route());
        }
        let mut applied = apply::apply(self.control, self.actor, tenant, self.body()?)?;
        if !applied.dry_run {
            applied.warnings.extend(rollout::confirmed(self.control, applied.version).await);
        }
        reply(&applied)
    }

    async fn apps(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(apps::list(control, &tenant))),
            (&Method::POST, []) => {
                let mut published = apps::publish(control, actor, &tenant, self.body()?)?;
                published.warnings.extend(rollout::confirmed(control, published.version).await);
                created(&published)
            }
            (&Method::GET, [app]) => reply(&apps::show(control, &tenant, app)?),
            (&Method::POST, [app, "check"]) => reply(&checks::check(control, actor, &tenant, app, self.body()?).await?),
            (&Method::POST, [app, "trace"]) => {
                created(&traces::begin(control, actor, &tenant, app, self.body()?).await?)
            }
            (&Method::PATCH, [app]) => {
                let mut changed = apps::set(control, actor, &tenant, app, self.body()?)?;
                changed.warnings.extend(rollout::confirmed(control, changed.version).await);
                reply(&changed)
            }
            (&Method::DELETE, [app]) => {
                let mut changed = apps::unpublish(control, actor, &tenant, app)?;
                changed.warnings.extend(rollout::confirmed(control, changed.version).await);
                reply(&changed)
            }
            _ => Err(self.no_route()),
        }
    }

    async fn limits(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(throttle::list(control, &tenant))),
            (&Method::PATCH, []) => {
                let mut changed = throttle::set(control, actor, &tenant, &self.body()?)?;
                changed.warnings.extend(rollout::confirmed(control, changed.version).await);
                reply(&changed)
            }
            (&Method::DELETE, [_, ..]) => {
                self.confirmed(throttle::unset(control, actor, &tenant, &decoded(rest)?.join("/"))?).await
            }
            _ => Err(self.no_route()),
        }
    }

    async fn networks(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(networks::list(control, &tenant))),
            (&Method::PUT, [name]) => {
                let request: SetNetwork = self.body()?;
                self.confirmed(networks::set(control, actor, &tenant, name, request)?).await
            }
            (&Method::DELETE, [name]) => self.confirmed(networks::remove(control, actor, &tenant, name)?).await,
            _ => Err(self.no_route()),
        }
    }

    async fn service_tokens(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(service_tokens::list(control, &tenant))),
            (&Method::POST, []) => {
                let mut issued = service_tokens::create(control, actor, &tenant, self.body()?)?;
                issued.warnings.extend(rollout::confirmed(control, issued.version).await);
                created(&issued)
            }
            (&Method::GET, [token]) => reply(&service_tokens::show(control, &tenant, token)?),
            (&Method::PATCH, [token]) => {
                let mut changed = service_tokens::set(control, actor, &tenant, token, &self.body()?)?;
                changed.warnings.extend(rollout::confirmed(control, changed.version).await);
                reply(&changed)
            }
            (&Method::POST, [token, "rotate"]) => {
                let mut issued = service_tokens::rotate(control, actor, &tenant, token, &self.body()?)?;
                issued.warnings.extend(rollout::confirmed(control, issued.version).await);
                created(&issued)
            }
            (&Method::DELETE, [token]) => self.confirmed(service_tokens::revoke(control, actor, &tenant, token)?).await,
            _ => Err(self.no_route()),
        }
    }

    /// Answers once the change is in force.
    pub(super) async fn confirmed(&self, mut changed: Changed) -> Result<Reply, Problem> {
        changed.warnings.extend(rollout::confirmed(self.control, changed.version).await);
        reply(&changed)
    }

    fn relays(&self, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let Self { control, actor, .. } = *self;
        match (self.method, rest) {
            (&Method::GET, []) => reply(&list(relays::list(control))),
            (&Method::POST, []) => created(&relays::add(control, actor, self.body()?)?),
            (&Method::GET, [relay]) => reply(&relays::show(control, relay)?),
            (&Method::DELETE, [relay]) => reply(&relays::remove(control, actor, relay, switch(query, "keep_keys")?)?),
            _ => Err(self.no_route()),
        }
    }

    /// The body as JSON; an empty one stands for an empty object.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let body = if self.body.is_empty() { b"{}" } else { self.body };
        serde_json::from_slice(body).map_err(|error| problem("request-invalid", format!("the request body: {error}")))
    }

    pub(super) fn no_route(&self) -> Problem {
        not_found("resource for this method", self.method.as_str())
    }
}

pub(super) fn list<T>(items: Vec<T>) -> List<T> {
    List { items }
}

pub(super) fn reply(value: &impl Serialize) -> Result<Reply, Problem> {
    let json = serde_json::to_vec(value);
    let json = json.map_err(|error| problem("internal", error.to_string()))?;
    Ok(Reply { status: StatusCode::OK, json })
}

pub(super) fn created(value: &impl Serialize) -> Result<Reply, Problem> {
    Ok(Reply { status: StatusCode::CREATED, ..reply(value)? })
}
