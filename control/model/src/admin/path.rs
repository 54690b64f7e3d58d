//! Paths, so that client and server cannot differ.

mod authority;
mod device;
mod tenant;
mod terms;
mod trace;
mod vault;

pub use authority::{
    acme, certificate, certificate_renew, certificates, certificates_ordered, domain, domain_verify, domains,
};
pub use device::{
    IDENTITY_DEVICE_HOST, device, device_authorities, device_authority, device_settings, device_step, devices,
};
pub use tenant::{tenant, tenant_app_suffix};
pub use terms::{terms, terms_acceptances, terms_named};
pub use trace::{app_trace, trace};
pub use vault::{vault, vault_key, vault_of_user, vault_sealing, vault_shared};

/// `POST`.
pub const INIT: &str = "/v1/init";
/// `GET`, `POST`.
pub const TENANTS: &str = "/v1/tenants";
/// `GET`, `POST`.
pub const RELAYS: &str = "/v1/relays";
/// `GET`, `PUT`, `DELETE`.
pub const IDENTITY: &str = "/v1/identity";
/// The place to sign in as a SAML identity provider.
pub const IDENTITY_SAML: &str = "/v1/identity/saml";
/// Its next key is made, or signs from now on.
pub const IDENTITY_SAML_ROTATE: &str = "/v1/identity/saml/rotate";
/// `GET`.
pub const STATUS: &str = "/v1/status";
/// `GET`.
pub const READY: &str = "/v1/ready";
/// `GET`.
pub const AUDIT: &str = "/v1/audit";
/// `GET`.
pub const AUDIT_HEAD: &str = "/v1/audit/head";
/// `GET`.
pub const AUDIT_VERIFY: &str = "/v1/audit/verify";
/// `GET`.
pub const SIGN_INS: &str = "/v1/sign-ins";
/// `GET`.
pub const SIGN_INS_VERIFY: &str = "/v1/sign-ins/verify";

/// `GET`, `DELETE`.
#[must_use]
pub fn relay(relay: &str) -> String {
    format!("{RELAYS}/{relay}")
}

/// `GET`, `POST`.
#[must_use]
pub fn groups(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/connector-groups")
}

/// `GET`, `DELETE`.
#[must_use]
pub fn group(tenant: &str, group: &str) -> String {
    format!("{TENANTS}/{tenant}/connector-groups/{group}")
}

/// `POST`.
#[must_use]
pub fn tokens(tenant: &str, group: &str) -> String {
    format!("{TENANTS}/{tenant}/connector-groups/{group}/tokens")
}

/// `GET`.
#[must_use]
pub fn connectors(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/connectors")
}

/// `GET`, `DELETE`.
#[must_use]
pub fn connector(tenant: &str, connector: &str) -> String {
    format!("{TENANTS}/{tenant}/connectors/{connector}")
}

/// `GET`, `POST`.
#[must_use]
pub fn apps(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/apps")
}

/// `GET`, `PATCH`, `DELETE`.
#[must_use]
pub fn app(tenant: &str, app: &str) -> String {
    format!("{TENANTS}/{tenant}/apps/{app}")
}

/// `POST`.
#[must_use]
pub fn app_check(tenant: &str, app: &str) -> String {
    format!("{TENANTS}/{tenant}/apps/{app}/check")
}

/// `POST`.
#[must_use]
pub fn sessions_revoke(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/sessions/revoke")
}

/// `GET`.
#[must_use]
pub fn sessions(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/sessions")
}

/// `GET`.
#[must_use]
pub fn document(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/document")
}

/// `POST`.
#[must_use]
pub fn apply(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/{APPLY}")
}

/// Last segment of `POST /v1/tenants/T/apply`, whose body may be large.
pub const APPLY: &str = "apply";

/// `GET`, `PATCH`.
#[must_use]
pub fn limits(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/limits")
}

/// `DELETE`; a scope's slashes stay.
#[must_use]
pub fn limit(tenant: &str, scope: &str) -> String {
    format!("{TENANTS}/{tenant}/limits/{scope}")
}

/// `GET`.
#[must_use]
pub fn limiters(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/limiters")
}

/// `GET`.
#[must_use]
pub fn networks(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/{NETWORKS}")
}

/// Last segment but one of `PUT /v1/tenants/T/networks/N`, whose body may be large.
pub const NETWORKS: &str = "networks";

/// `PUT`, `DELETE`.
#[must_use]
pub fn network(tenant: &str, network: &str) -> String {
    format!("{TENANTS}/{tenant}/networks/{network}")
}

/// Access requests.
#[must_use]
pub fn access_requests(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/access-requests")
}

/// Access reviews: `GET`, `POST`.
#[must_use]
pub fn access_reviews(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/access-reviews")
}

/// One of them.
#[must_use]
pub fn access_review(tenant: &str, review: &str) -> String {
    format!("{}/{review}", access_reviews(tenant))
}

/// What is done with it: `decide` or `finish`.
#[must_use]
pub fn access_review_step(tenant: &str, review: &str, step: &str) -> String {
    format!("{}/{step}", access_review(tenant, review))
}

/// What becomes of one: `approve` or `deny`.
#[must_use]
pub fn access_request_decision(tenant: &str, request: &str, decision: &str) -> String {
    format!("{TENANTS}/{tenant}/access-requests/{request}/{decision}")
}

/// `GET`, `POST`.
#[must_use]
pub fn service_tokens(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/service-tokens")
}

/// `GET`, `PATCH`, `DELETE`.
#[must_use]
pub fn service_token(tenant: &str, token: &str) -> String {
    format!("{TENANTS}/{tenant}/service-tokens/{token}")
}

/// `POST`.
#[must_use]
pub fn service_token_rotate(tenant: &str, token: &str) -> String {
    format!("{TENANTS}/{tenant}/service-tokens/{token}/rotate")
}

/// `GET`, `POST`, `DELETE`.
#[must_use]
pub fn scim(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/scim")
}

/// `POST`.
#[must_use]
pub fn scim_rotate(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/scim/rotate")
}

/// `GET`, `POST`.
#[must_use]
pub fn directory_sources(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/directory-sync")
}

/// `GET`, `PATCH`, `DELETE`.
#[must_use]
pub fn directory_source(tenant: &str, source: &str) -> String {
    format!("{TENANTS}/{tenant}/directory-sync/{source}")
}

/// `POST`.
#[must_use]
pub fn directory_source_run(tenant: &str, source: &str) -> String {
    format!("{TENANTS}/{tenant}/directory-sync/{source}/run")
}

/// `GET`.
#[must_use]
pub fn histograms(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/histograms")
}

/// `GET`.
#[must_use]
pub fn request(tenant: &str, id: crate::ids::RequestId) -> String {
    format!("{TENANTS}/{tenant}/requests/{id}")
}

/// `GET`, `POST`.
#[must_use]
pub fn users(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/users")
}

/// `GET`, `PATCH`, `DELETE`.
#[must_use]
pub fn user(tenant: &str, user: &str) -> String {
    format!("{TENANTS}/{tenant}/users/{user}")
}

/// `GET`, `POST`.
#[must_use]
pub fn clients(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/clients")
}

/// `GET`, `PATCH`, `DELETE`.
#[must_use]
pub fn client(tenant: &str, client: &str) -> String {
    format!("{TENANTS}/{tenant}/clients/{client}")
}

/// `POST`.
#[must_use]
pub fn client_rotate(tenant: &str, client: &str) -> String {
    format!("{TENANTS}/{tenant}/clients/{client}/rotate")
}

/// `GET`, `PUT`, `DELETE`.
#[must_use]
pub fn kerberos(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/kerberos")
}

/// `GET`, `POST`.
#[must_use]
pub fn providers(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/providers")
}

/// `GET`, `PATCH`, `DELETE`.
#[must_use]
pub fn provider(tenant: &str, provider: &str) -> String {
    format!("{TENANTS}/{tenant}/providers/{provider}")
}

/// `GET`.
#[must_use]
pub fn provider_probe(tenant: &str, provider: &str) -> String {
    format!("{TENANTS}/{tenant}/providers/{provider}/probe")
}

/// `POST`.
#[must_use]
pub fn user_link(tenant: &str, user: &str) -> String {
    format!("{TENANTS}/{tenant}/users/{user}/link")
}

/// `PUT`.
#[must_use]
pub fn password(tenant: &str, user: &str) -> String {
    format!("{TENANTS}/{tenant}/users/{user}/password")
}

/// `GET`, `DELETE`: all of them.
#[must_use]
pub fn factors(tenant: &str, user: &str) -> String {
    format!("{TENANTS}/{tenant}/users/{user}/factors")
}

/// `DELETE`.
#[must_use]
pub fn factor(tenant: &str, user: &str, factor: &str) -> String {
    format!("{TENANTS}/{tenant}/users/{user}/factors/{factor}")
}

/// `GET`, `POST`.
#[must_use]
pub fn user_groups(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/user-groups")
}

/// `GET`, `PATCH`, `DELETE`.
#[must_use]
pub fn user_group(tenant: &str, group: &str) -> String {
    format!("{TENANTS}/{tenant}/user-groups/{group}")
}

/// `PATCH`.
#[must_use]
pub fn members(tenant: &str, group: &str) -> String {
    format!("{TENANTS}/{tenant}/user-groups/{group}/members")
}

/// `POST`.
#[must_use]
pub fn membership_test(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/membership-test")
}

/// `GET`, `PUT`.
#[must_use]
pub fn assignments(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/assignments")
}

/// `DELETE`; a principal's slash stays.
#[must_use]
pub fn assignment(tenant: &str, app: &str, principal: &str) -> String {
    format!("{TENANTS}/{tenant}/assignments/{app}/{principal}")
}

/// `GET`, `POST`.
#[must_use]
pub fn policies(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/policies")
}

/// `GET`, `PATCH`, `DELETE`.
#[must_use]
pub fn policy(tenant: &str, policy: &str) -> String {
    format!("{TENANTS}/{tenant}/policies/{policy}")
}

/// `POST`.
#[must_use]
pub fn policy_what_if(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/policy-what-if")
}

/// `POST`.
#[must_use]
pub fn policy_replay(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/policy-replay")
}
