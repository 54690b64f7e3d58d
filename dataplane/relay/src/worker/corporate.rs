//! Whether a request had better not come through the relay at all: from a corporate network the application can be reached
//! directly.

use std::net::IpAddr;
use std::sync::Arc;

use postern_http::{RequestHead, TargetForm};
use postern_model::plan::PlannedApp;

use super::authorise::Permit;
use super::reject::Reject;
use crate::network::NetworkTable;

/// Lets a request go on, or sends it to the internal URL. `network` becomes the one it came from.
pub(crate) fn corporate(
    permit: Permit,
    networks: &NetworkTable,
    head: &RequestHead,
    address: IpAddr,
    network: &mut Option<Arc<str>>,
) -> Result<Permit, Reject> {
    let Some(own) = networks.app(permit.app().id) else { return Ok(permit) };
    *network = own.seen(address).cloned();
    // An upgrade is served all the same: browsers do not follow redirects of WebSockets.
    if network.is_none() || !own.redirects || head.upgrade {
        return Ok(permit);
    }
    match internal_url(permit.app(), head) {
        Some(url) => Err(Reject::corporate_redirect(url)),
        None => Ok(permit),
    }
}

/// The same place at the internal URL, query included; as the connector would ask for it.
fn internal_url(app: &PlannedApp, head: &RequestHead) -> Option<String> {
    if head.target.form() != TargetForm::Origin {
        return None;
    }
    let rest = head.target.as_str().strip_prefix(&*app.external.path)?;
    let internal = app.internal.at(&app.external, head.authority.host())?.to_string();
    let base = internal.trim_end_matches('/');
    match rest.bytes().next() {
        Some(b'/') => Some(format!("{base}{rest}")),
        Some(b'?') | None => Some(format!("{base}/{rest}")),
        Some(_) => None, // the prefix is spelt otherwise in the path than it was published
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HTTP;
    use crate::side::testing::app;
    use postern_http::h1::RequestParser;

    fn internal(external: &str, internal: &str, target: &str) -> Option<String> {
        let mut app = app(internal);
        app.external_url = external.into();
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, _) = RequestParser::new(HTTP).parse(request.as_bytes()).unwrap().unwrap();
        internal_url(&PlannedApp::parse(&app).unwrap(), &head)
    }

    #[test]
    fn a_wildcards_host_is_the_one_that_was_asked_for() {
        let mut app = app("http://*.corp/x/");
        app.external_url = "https://*.apps.example.com/".into();
        let inside = |host: &str| {
            let request = format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let (head, _) = RequestParser::new(HTTP).parse(request.as_bytes()).unwrap().unwrap();
            internal_url(&PlannedApp::parse(&app).unwrap(), &head)
        };
        assert_eq!(inside("crm.apps.example.com:8443").as_deref(), Some("http://crm.corp/x/a"));
        assert_eq!(inside("apps.example.com"), None);
    }

    #[test]
    fn paths_are_mapped_as_the_connector_maps_them() {
        for (external, base, target, expected) in [
            ("https://a.example.com/", "http://b:81/", "/", Some("http://b:81/")),
            ("https://a.example.com/", "https://b/", "/x/y?z=%20", Some("https://b/x/y?z=%20")),
            ("https://a.example.com/crm/", "http://b/app/", "/crm/x?y", Some("http://b/app/x?y")),
            ("https://a.example.com/crm/", "http://b/app/", "/crm?y", Some("http://b/app/?y")),
            ("https://a.example.com/crm/", "http://b/", "/crm", Some("http://b/")),
            ("https://a.example.com/crm/", "http://b/", "/%63rm/x", None),
            (
                "https://a.example.com/",
                "http://[2001:db8::1]:8080/",
                "//evil.example/",
                Some("http://[2001:db8::1]:8080//evil.example/"),
            ),
        ] {
            assert_eq!(internal(external, base, target).as_deref(), expected, "{target}");
        }
    }
}
