//! From the external URL to the internal one and back: Host, path prefix, and the fields that hold whole URLs.

use postern_http::{Authority, Headers, Known, PathRules, RequestHead, ResponseHead, Target, TargetForm};
use postern_tunnel::ExternalScheme;

use crate::backend::Backend;
use crate::embed::is_built_in;
use crate::failure::{Failed, Fault};

/// What users wrote in their address bar, kept to translate the answer.
#[derive(Debug, Clone)]
pub(crate) struct External {
    scheme: &'static str,
    authority: Authority,
}

/// Rewrites a request for its backend.
pub(crate) fn request(head: &mut RequestHead, scheme: ExternalScheme, backend: &Backend) -> Result<External, Failed> {
    let scheme = match scheme {
        ExternalScheme::Http => "http://",
        ExternalScheme::Https => "https://",
    };
    // A program that is its own backend has no other names than those it is published under.
    if is_built_in(&backend.internal.host) {
        return Ok(External { scheme, authority: head.authority.clone() });
    }
    let external = External { scheme, authority: std::mem::replace(&mut head.authority, backend.authority.clone()) };
    if backend.external.path != backend.internal.path && head.target.form() == TargetForm::Origin {
        replace_path(head, backend)?;
    }
    for name in [Known::Origin, Known::Referer] {
        replace_url(&mut head.headers, name, |url| external.inwards(url, backend));
    }
    Ok(external)
}

/// Rewrites an answer for the user.
pub(crate) fn response(head: &mut ResponseHead, external: &External, backend: &Backend) {
    for name in [Known::Location, Known::ContentLocation] {
        replace_url(&mut head.headers, name, |url| external.outwards(url, backend));
    }
}

/// The relay routed by the decoded path; only a prefix that stands there as it was published can be replaced.
fn replace_path(head: &mut RequestHead, backend: &Backend) -> Result<(), Failed> {
    let internal_error = |what: &str| Failed::new(Fault::Internal, what).unprocessed();
    let rest = strip_prefix(head.target.as_str(), &backend.external.path);
    let rest = rest.ok_or_else(|| internal_error("the path does not begin with the published one"))?;
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let path = format!("{}{slash}{rest}", backend.internal.path);
    let rules = PathRules { allow_encoded_slash: true };
    head.target = Target::parse(path.as_bytes(), &head.method, rules)
        .map_err(|_| internal_error("the internal path cannot be requested"))?;
    Ok(())
}

/// What follows `prefix` where that ends at a segment's end.
fn strip_prefix<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
}

fn replace_url(headers: &mut Headers, name: Known, replace: impl Fn(&str) -> Option<String>) {
    if !headers.contains(name) {
        return;
    }
    if let Some(replaced) = headers.get_str(name).and_then(replace) {
        // What was a field value stays one: it is put together of two URLs.
        let set = headers.set(name, replaced);
        debug_assert!(set.is_ok(), "a URL is a field value");
    }
}

impl External {
    /// `SCHEME://EXTERNAL/ext/x` → `http://INTERNAL/int/x`; `None` for other URLs.
    fn inwards(&self, url: &str, backend: &Backend) -> Option<String> {
        let rest = url.strip_prefix(self.scheme)?.strip_prefix(self.authority.as_str())?;
        let rest = strip_prefix(rest, if rest.is_empty() { "" } else { &backend.external.path })?;
        let path = if rest.is_empty() { "" } else { &*backend.internal.path };
        Some(format!("{}{path}{rest}", internal_origin(backend)))
    }

    /// The way back, for whole URLs and for paths.
    pub(crate) fn outwards(&self, url: &str, backend: &Backend) -> Option<String> {
        let (origin, rest) = match url.strip_prefix(&internal_origin(backend)) {
            Some(rest) => (format!("{}{}", self.scheme, self.authority.as_str()), rest),
            None if url.starts_with('/')
                && !url.starts_with("//")
                && backend.internal.path != backend.external.path =>
            {
                (String::new(), url)
            }
            None => return None,
        };
        if !(rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
            return None; // http://backend:80801 is not http://backend:8080
        }
        let rest = strip_prefix(rest, &backend.internal.path)?;
        Some(format!("{origin}{}{rest}", backend.external.path))
    }
}

/// `http://INTERNAL`, as its backend calls itself.
pub(crate) fn internal_origin(backend: &Backend) -> String {
    let scheme = if backend.internal.tls { "https" } else { "http" };
    format!("{scheme}://{}", backend.authority.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendTable;
    use crate::backend::tests::{app, config};
    use postern_http::{BodyKind, Method};
    use std::sync::Arc;

    fn backend(external: &str, internal: &str) -> Arc<Backend> {
        let mut app = app(1, internal, &[]);
        app.external_url = external.into();
        let table = BackendTable::build(&config(1, vec![app]), None);
        Arc::clone(table.apps.values().next().unwrap())
    }

    fn asked(target: &str) -> RequestHead {
        let target = Target::parse(target.as_bytes(), &Method::Get, PathRules::default()).unwrap();
        RequestHead::new(Method::Get, Authority::parse(b"ext.example:8443").unwrap(), target)
    }

    #[test]
    fn host_and_path_become_the_backends() {
        let backend = backend("https://ext.example/shop/", "http://10.0.0.1:81/base/v1/");
        for (from, to) in [
            ("/shop", "/base/v1/"),
            ("/shop/", "/base/v1/"),
            ("/shop/a%20b?q=/shop", "/base/v1/a%20b?q=/shop"),
            ("/shop?x", "/base/v1/?x"),
        ] {
            let mut head = asked(from);
            request(&mut head, ExternalScheme::Https, &backend).unwrap();
            assert_eq!((head.target.as_str(), head.authority.as_str()), (to, "10.0.0.1:81"), "{from}");
        }
        assert!(request(&mut asked("/shopping"), ExternalScheme::Https, &backend).is_err());
    }

    #[test]
    fn equal_paths_are_left_alone() {
        let backend = backend("https://ext.example/", "http://10.0.0.1/");
        let mut head = asked("//a;x=%41?");
        request(&mut head, ExternalScheme::Https, &backend).unwrap();
        assert_eq!(head.target.as_str(), "//a;x=%41?");
    }

    #[test]
    fn origin_and_referer_go_in() {
        let backend = backend("https://ext.example/shop/", "https://in.example/");
        let mut head = asked("/shop/");
        head.headers.append(Known::Origin, "https://ext.example:8443").unwrap();
        head.headers.append(Known::Referer, "https://ext.example:8443/shop/a?b").unwrap();
        request(&mut head, ExternalScheme::Https, &backend).unwrap();
        assert_eq!(head.headers.get_str(Known::Origin), Some("https://in.example"));
        assert_eq!(head.headers.get_str(Known::Referer), Some("https://in.example/a?b"));
        let mut head = asked("/shop/");
        head.headers.append(Known::Origin, "https://evil.example").unwrap();
        request(&mut head, ExternalScheme::Https, &backend).unwrap();
        assert_eq!(head.headers.get_str(Known::Origin), Some("https://evil.example"));
    }

    #[test]
    fn who_came_without_tls_is_led_on_without() {
        let backend = backend("http://ext.example/shop/", "http://10.0.0.1:81/base/");
        for (scheme, other, name) in [(ExternalScheme::Http, "https", "http"), (ExternalScheme::Https, "http", "https")]
        {
            let mut head = asked("/shop/");
            head.headers.append(Known::Referer, format!("{name}://ext.example:8443/shop/a")).unwrap();
            head.headers.append(Known::Origin, format!("{other}://ext.example:8443")).unwrap();
            let external = request(&mut head, scheme, &backend).unwrap();
            assert_eq!(head.headers.get_str(Known::Referer), Some("http://10.0.0.1:81/base/a"));
            assert_eq!(head.headers.get_str(Known::Origin), Some(&*format!("{other}://ext.example:8443")));
            let mut head = ResponseHead::new(302, BodyKind::None);
            head.headers.append(Known::Location, "http://10.0.0.1:81/base/x").unwrap();
            response(&mut head, &external, &backend);
            assert_eq!(head.headers.get_str(Known::Location), Some(&*format!("{name}://ext.example:8443/shop/x")));
        }
    }

    #[test]
    fn locations_come_out() {
        let backend = backend("https://ext.example/shop/", "http://10.0.0.1:81/base/");
        let external = request(&mut asked("/shop/"), ExternalScheme::Https, &backend).unwrap();
        for (from, to) in [
            ("http://10.0.0.1:81/base/x?y#z", "https://ext.example:8443/shop/x?y#z"),
            ("/base/x", "/shop/x"),
            ("x/y", "x/y"),
            ("http://10.0.0.1:811/base/x", "http://10.0.0.1:811/base/x"),
            ("http://10.0.0.1:81/elsewhere", "http://10.0.0.1:81/elsewhere"),
            ("https://login.example/base/", "https://login.example/base/"),
            ("//other.example/base/", "//other.example/base/"),
        ] {
            let mut head = ResponseHead::new(302, BodyKind::None);
            head.headers.append(Known::Location, from).unwrap();
            response(&mut head, &external, &backend);
            assert_eq!(head.headers.get_str(Known::Location), Some(to));
        }
    }
}
