//! Refusals: what an administrator gets instead of a change. Title and status come from the catalogue of codes.

use std::str::FromStr;

use postern_model::admin::Problem;
use postern_model::codes;
use postern_service::suggest::nearest;

/// A refusal with a catalogued code.
pub(crate) fn problem(code: &'static str, detail: impl Into<String>) -> Problem {
    let entry = codes::lookup(code);
    Problem {
        code: code.into(),
        title: entry.map_or(code, |entry| entry.title).into(),
        detail: detail.into(),
        status: entry.and_then(|entry| entry.status).unwrap_or(500),
        pointer: None,
    }
}

/// There is no `what` called `name`.
pub(crate) fn not_found(what: &str, name: &str) -> Problem {
    let name: String = name.chars().take(80).collect();
    problem("not-found", format!("there is no {what} {name:?}"))
}

/// The same, with the nearest of the names there are.
pub(crate) fn not_found_among<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
    let mut problem = not_found(what, name);
    if let Some(nearest) = nearest(name, known) {
        problem.detail.push_str(&format!("; did you mean {nearest:?}?"));
    }
    problem
}

/// Refuses a new name that reads as an id of the same kind: names are looked for first, so that a command which means the id
/// would hit the one with the name.
pub(crate) fn check_no_id<Id: FromStr>(what: &str, name: &str) -> Result<(), Problem> {
    match name.parse::<Id>() {
        Ok(_) => Err(problem("request-invalid", format!("{name} cannot be a {what}'s name: it reads as an id"))),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_used_here_is_catalogued() {
        let sources = [
            include_str!("problem.rs"),
            include_str!("apps.rs"),
            include_str!("certificates.rs"),
            include_str!("tenants.rs"),
            include_str!("relays.rs"),
            include_str!("apply.rs"),
            include_str!("throttle.rs"),
            include_str!("traces.rs"),
            include_str!("networks.rs"),
            include_str!("directory.rs"),
            include_str!("users.rs"),
            include_str!("user_groups.rs"),
            include_str!("user_groups/members.rs"),
            include_str!("assignments.rs"),
            include_str!("password.rs"),
            include_str!("service_tokens.rs"),
            include_str!("directory_sync.rs"),
            include_str!("directory_sync/answer.rs"),
            include_str!("directory_sync/groups.rs"),
            include_str!("sessions.rs"),
            include_str!("identity.rs"),
            include_str!("oauth/clients.rs"),
            include_str!("policies.rs"),
            include_str!("scim/settings.rs"),
            include_str!("scim/groups.rs"),
            include_str!("policies/explain.rs"),
            include_str!("policies/names.rs"),
            include_str!("policies/replay.rs"),
            include_str!("policies/what_if.rs"),
            include_str!("control.rs"),
            include_str!("admin/mod.rs"),
            include_str!("admin/routes.rs"),
            include_str!("admin/directory.rs"),
            include_str!("admin/audit.rs"),
            include_str!("audit.rs"),
            include_str!("admin/policies.rs"),
            include_str!("pem.rs"),
            include_str!("apps/icons.rs"),
            include_str!("apps/places.rs"),
            include_str!("tenants/app_suffix.rs"),
            include_str!("portal.rs"),
            include_str!("portal/sessions.rs"),
            include_str!("portal/requests.rs"),
            include_str!("portal/groups.rs"),
            include_str!("access_requests.rs"),
            include_str!("access_reviews.rs"),
            include_str!("portal/reviews.rs"),
            include_str!("saml.rs"),
            include_str!("saml/keys.rs"),
            include_str!("vault.rs"),
            include_str!("devices.rs"),
            include_str!("devices/authorities.rs"),
            include_str!("devices/enrol.rs"),
            include_str!("devices/host.rs"),
            include_str!("devices/operate.rs"),
            include_str!("vault/own.rs"),
            include_str!("acme.rs"),
            include_str!("acme/account.rs"),
            include_str!("acme/order.rs"),
            include_str!("domains.rs"),
        ];
        for source in sources {
            for rest in source.split("problem(\"").skip(1) {
                let code = rest.split('"').next().unwrap_or_default();
                let entry = codes::lookup(code).unwrap_or_else(|| panic!("{code} is missing"));
                assert!(entry.status.is_some(), "{code} has no status");
            }
        }
    }
}
