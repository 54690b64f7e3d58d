//! Where a redirect leads: on within the application as it is configured, or away. Nothing else is followed: an application must not
//! lead its connector to other hosts.

use postern_http::{Known, Method, PathRules, ResponseHead, Target};
use url::Url;

use crate::backend::Backend;

/// Where an answer leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// To this path and query of the same application.
    Here(String),
    /// To another host, scheme, port, or out of the published path.
    Elsewhere {
        /// Scheme and host, with the path, as it may be shown.
        to: String,
        /// It carries a SAML request.
        saml: bool,
    },
    /// It is no redirect.
    Nowhere,
}

/// As it may be shown: queries, and parameters of a path, may be secrets.
pub(super) fn shown(target: &str) -> &str {
    target.find(['?', ';']).map_or(target, |end| &target[..end])
}

/// Of the answer to `target`.
pub(super) fn leads(backend: &Backend, target: &str, head: &ResponseHead) -> Leads {
    if !matches!(head.status, 301 | 302 | 303 | 307 | 308) {
        return Leads::Nowhere;
    }
    let Some(location) = head.headers.get_str(Known::Location) else { return Leads::Nowhere };
    let scheme = if backend.tls.is_some() { "https" } else { "http" };
    let base = format!("{scheme}://{}{target}", backend.authority.as_str());
    let Some(url) = Url::parse(&base).ok().and_then(|base| Some((base.clone(), base.join(location).ok()?))) else {
        return Leads::Elsewhere { to: String::from("what is no URL"), saml: false };
    };
    let (base, to) = url;
    let inside =
        if to.origin() == base.origin() { below(&backend.internal.path, to.path()) } else { external(backend, &to) };
    let query = to.query().map(|query| format!("?{query}")).unwrap_or_default();
    let inside = inside.map(|path| format!("{path}{query}")).filter(|next| is_plain(next));
    match inside {
        Some(next) => Leads::Here(next),
        None => {
            let saml = to.query_pairs().any(|(name, _)| name == "SAMLRequest");
            let host = to.host_str().unwrap_or_default();
            let port = to.port().map(|port| format!(":{port}")).unwrap_or_default();
            Leads::Elsewhere { to: format!("{}://{host}{port}{}", to.scheme(), shown(to.path())), saml }
        }
    }
}

/// An application that knows the name it is published under leads there, as it should.
fn external(backend: &Backend, to: &Url) -> Option<String> {
    let external = &backend.external;
    let same = to.scheme() == external.scheme()
        && to.host_str() == Some(&*external.host)
        && to.port_or_known_default() == Some(external.port)
        && !external.wildcard;
    let path = if same { below(&external.path, to.path())? } else { return None };
    path.strip_prefix(&*external.path).map(|rest| format!("{}{rest}", backend.internal.path))
}

/// Whether no server can read it as a path outside.
fn is_plain(target: &str) -> bool {
    Target::parse(target.as_bytes(), &Method::Get, PathRules::default()).is_ok()
}

fn below(prefix: &str, path: &str) -> Option<String> {
    let rest = path.strip_prefix(prefix)?;
    rest.starts_with('/').then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendTable;
    use crate::backend::tests::{app, config};
    use postern_http::BodyKind;
    use std::sync::Arc;

    fn leading(location: &str) -> Leads {
        leading_of("https://app1.example.com/", location)
    }

    fn leading_of(external: &str, location: &str) -> Leads {
        let mut app = app(1, "http://10.0.0.1:8080/base/", &[]);
        app.external_url = external.into();
        let table = BackendTable::build(&config(1, vec![app]), None);
        let backend: Arc<Backend> = Arc::clone(table.apps.values().next().unwrap());
        let mut head = ResponseHead::new(302, BodyKind::None);
        head.headers.set(Known::Location, location).unwrap();
        leads(&backend, "/base/", &head)
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for target in ["/base/", "/base/?ticket=secret", "/base/;jsessionid=secret", "/base/;a=secret?b=secret"] {
            assert_eq!(shown(target), "/base/");
        }
    }

    #[test]
    fn where_it_is_published_is_known_by_its_scheme_too() {
        let here = Leads::Here("/base/x".to_owned());
        let (plain, secured) = ("http://app1.example.com/", "https://app1.example.com/");
        assert_eq!(leading_of(plain, "http://app1.example.com/x"), here);
        assert_eq!(leading_of(secured, "https://app1.example.com/x"), here);
        for (external, away) in [
            (plain, "https://app1.example.com/x"),
            (plain, "https://app1.example.com:80/x"),
            (plain, "ftp://app1.example.com:80/x"),
            (secured, "http://app1.example.com/x"),
        ] {
            assert!(matches!(leading_of(external, away), Leads::Elsewhere { .. }), "{external}: {away}");
        }
    }

    #[test]
    fn an_application_leads_its_connector_nowhere_else() {
        let here = |path: &str| Leads::Here(path.to_owned());
        assert_eq!(leading("login?next=%2f"), here("/base/login?next=%2f"));
        assert_eq!(leading("http://10.0.0.1:8080/base/x"), here("/base/x"));
        assert_eq!(leading("https://app1.example.com/x"), here("/base/x"), "as it is published");
        for away in [
            "http://10.0.0.2:8080/base/x",
            "http://10.0.0.1/base/x",
            "https://10.0.0.1:8080/base/x",
            "//169.254.169.254/base/",
            "/admin",
            "/base/../admin",
            "/base/%2e%2e/admin",
            "/base/..%2fadmin",
            "/basement",
            "file:///etc/passwd",
            "gopher://10.0.0.1:8080/base/",
            "http://[",
        ] {
            assert!(matches!(leading(away), Leads::Elsewhere { .. }), "{away}: {:?}", leading(away));
        }
    }

    #[test]
    fn queries_are_not_shown_and_saml_is_seen() {
        let Leads::Elsewhere { to, saml } = leading("https://idp.example/sso?SAMLRequest=SECRET") else { panic!() };
        assert_eq!((to.as_str(), saml), ("https://idp.example/sso", true));
        let Leads::Elsewhere { to, .. } = leading("https://other.example/in;jsessionid=SECRET/x") else { panic!() };
        assert_eq!(to, "https://other.example/in", "a session is named in the path, too");
    }
}
