//! What a client that is not let in may find out: where and how an application that asks who is there takes credentials
//! (RFC 9728). The relay answers that itself.

use postern_http::{Method, RequestHead};
use postern_model::plan::{Plan, PlannedApp};

use super::reject::Reject;
use super::sign_in::issuer_of;

/// The path that metadata under `path` is about; `None` when `path` is no place of metadata.
pub(crate) fn described(path: &str) -> Option<&str> {
    let about = path.strip_prefix(WELL_KNOWN)?;
    (about.is_empty() || about.starts_with('/')).then_some(about)
}

/// Where an application's metadata is, for `WWW-Authenticate`.
pub(crate) fn metadata_url(head: &RequestHead, app: &PlannedApp) -> String {
    let (host, path) = (head.authority.as_str(), &app.external.path);
    format!("https://{host}{WELL_KNOWN}{path}")
}

/// An application's metadata. Where people sign in, programs get tokens for them: that is the authorization server. Service tokens
/// come from the operator.
pub(crate) fn metadata(head: &RequestHead, app: &PlannedApp, plan: &Plan) -> Reject {
    if !matches!(head.method, Method::Get | Method::Head) {
        return Reject::metadata_method();
    }
    // Host and path are made of checked letters: there is nothing to escape.
    let (host, path) = (head.authority.as_str(), &app.external.path);
    let servers = plan.identity().map(|identity| {
        let (issuer, name) = (issuer_of(identity), &app.name);
        format!(r#","authorization_servers":["{issuer}"],"scopes_supported":["app:{name}"]"#)
    });
    let servers = servers.unwrap_or_default();
    let methods = r#""bearer_methods_supported":["header"]"#;
    Reject::metadata(format!(r#"{{"resource":"https://{host}{path}",{methods}{servers}}}"#))
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segments_are_places_of_metadata() {
        for (path, about) in [
            ("/.well-known/oauth-protected-resource", Some("")),
            ("/.well-known/oauth-protected-resource/", Some("/")),
            ("/.well-known/oauth-protected-resource/crm/x", Some("/crm/x")),
            ("/.well-known/oauth-protected-resources", None),
            ("/x/.well-known/oauth-protected-resource", None),
            ("/", None),
        ] {
            assert_eq!(described(path), about, "{path}");
        }
    }
}
