//! `Set-Cookie` (RFC 6265 §4.1): its Domain and Path, so that browsers take the cookie outside as they would inside. Name, value
//! and all other attributes stay byte for byte.

use postern_model::host::is_at_or_below;
use postern_translate::absolute::moved;
use postern_translate::limits::TRANSLATED_BYTES_MAX;

use super::Own;

/// The field as users' browsers get it; None where nothing of it changes, or it would become too long.
pub(super) fn outwards(cookie: &[u8], own: Own<'_>) -> Option<Vec<u8>> {
    let end = cookie.iter().position(|byte| *byte == b';')?;
    let (pair, attributes) = cookie.split_at(end);
    // Its Path is `/`, or it is none (RFC 6265bis §4.1.3.2).
    let is_whole_host = pair.trim_ascii_start().get(..HOST.len()).is_some_and(|name| name.eq_ignore_ascii_case(HOST));
    let attributes = attributes[1..].split(|byte| *byte == b';');
    let is_same = |attribute: &[u8]| matches!(Becomes::of(attribute, own, is_whole_host), Becomes::Same);
    if attributes.clone().all(is_same) {
        return None;
    }
    let mut out = pair.to_vec();
    for attribute in attributes {
        let (kept, path) = match Becomes::of(attribute, own, is_whole_host) {
            Becomes::Same => (attribute, String::new()),
            Becomes::Nothing => continue,
            Becomes::Path { at, path } => (&attribute[..at], path),
        };
        out.push(b';');
        out.extend_from_slice(kept);
        out.extend_from_slice(path.as_bytes());
        if out.len() > TRANSLATED_BYTES_MAX {
            return None;
        }
    }
    Some(out)
}

/// What becomes of an attribute.
enum Becomes {
    Same,
    /// The cookie is the external host's alone.
    Nothing,
    /// This path stands from `at` on.
    Path {
        at: usize,
        path: String,
    },
}

impl Becomes {
    fn of(attribute: &[u8], own: Own<'_>, is_whole_host: bool) -> Self {
        let Some(at) = attribute.iter().position(|byte| *byte == b'=') else { return Self::Same };
        let (name, value) = (attribute[..at].trim_ascii(), attribute[at + 1..].trim_ascii());
        let Ok(value) = std::str::from_utf8(value) else { return Self::Same };
        if name.eq_ignore_ascii_case(b"domain") {
            return if is_left_behind(value, own) { Self::Nothing } else { Self::Same };
        }
        let is_path = name.eq_ignore_ascii_case(b"path") && !is_whole_host;
        let path = if is_path { path(value, own) } else { None };
        path.map_or(Self::Same, |path| Self::Path { at: at + 1, path })
    }
}

/// Whether a cookie's domain is the application's inside and not outside. There it could be widened to nothing but the
/// external host, which is what a cookie without one is for.
fn is_left_behind(domain: &str, own: Own<'_>) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    let is_of = |host: &str| is_at_or_below(host, &domain);
    let aliases = own.backend.translation.aliases.iter().map(|alias| alias.host());
    let inside = std::iter::once(&*own.backend.internal.host).chain(aliases).any(is_of);
    inside && !is_of(own.external.authority.host())
}

/// Where a path inside is outside. One that the published path lies in becomes that one: what else is there is not the application's.
fn path(path: &str, own: Own<'_>) -> Option<String> {
    let (from, to) = (&*own.backend.internal.path, &*own.backend.external.path);
    if !path.starts_with('/') {
        return None;
    }
    let is_around = moved(from, path.trim_end_matches('/'), "").is_some_and(|rest| !rest.is_empty());
    if from == to && !is_around {
        return None;
    }
    let rest = if is_around { "" } else { moved(path, from, to)? };
    let becomes = [to, if rest == "/" { "" } else { rest }].concat();
    Some(if becomes.is_empty() { "/".into() } else { becomes })
}

const HOST: &[u8] = b"__Host-";

#[cfg(test)]
mod tests {
    use postern_tunnel::ExternalScheme;

    use super::super::request;
    use super::super::tests::{asked, backend_with};
    use super::*;

    fn outside(external: &str, internal: &str, cookie: &str) -> String {
        let settings = [("internal_aliases", "http://wiki")];
        let (backend, links) = backend_with(external, internal, &settings);
        let mut head = asked(&format!("{}/", backend.external.path));
        let external = request(&mut head, ExternalScheme::Https, &backend, &links).unwrap();
        let own = Own { backend: &backend, external: &external };
        let translated = outwards(cookie.as_bytes(), own);
        translated.map_or_else(|| cookie.to_owned(), |cookie| String::from_utf8(cookie).unwrap())
    }

    #[test]
    fn a_domain_inside_becomes_the_external_host_alone() {
        let out = |cookie| outside("https://ext.example/", "http://app.corp.local/", cookie);
        for (cookie, becomes) in [
            ("a=b; Domain=app.corp.local; Secure", "a=b; Secure"),
            ("a=b;domain=.CORP.local;HttpOnly", "a=b;HttpOnly"),
            ("a=b; Domain=wiki ; SameSite=None", "a=b; SameSite=None"),
            ("a=\"Domain=wiki\"", "a=\"Domain=wiki\""),
            ("a=b; Domain=other.local", "a=b; Domain=other.local"),
            ("a=b; Domain=pp.corp.local", "a=b; Domain=pp.corp.local"),
            ("a=b; Domain=ext.example; Path=/x", "a=b; Domain=ext.example; Path=/x"),
            ("a=b; Domain=", "a=b; Domain="),
            ("a=b; Path=/x; ;Max-Age = 5", "a=b; Path=/x; ;Max-Age = 5"),
            ("a", "a"),
        ] {
            assert_eq!(out(cookie), becomes, "{cookie}");
        }
        let same = |cookie| outside("https://ext.example/", "http://in.ext.example/", cookie);
        assert_eq!(same("a=b; Domain=ext.example"), "a=b; Domain=ext.example", "it is good on both sides");
    }

    #[test]
    fn a_path_is_moved() {
        for (external, internal, from, to) in [
            ("/shop", "/base", "/base", "/shop"),
            ("/shop", "/base", "/base/x/", "/shop/x/"),
            ("/shop", "/base", "/", "/shop"),
            ("/shop", "/base/v1", "/base/", "/shop"),
            ("/shop", "/base", "/based", "/based"),
            ("/shop", "/base", "/base/../x", "/base/../x"),
            ("/shop", "", "/", "/shop"),
            ("/shop", "", "/x", "/shop/x"),
            ("", "/base", "/base", "/"),
            ("", "/base", "/base/", "/"),
            ("", "/base", "/", "/"),
            ("/same", "/same", "/same/x", "/same/x"),
            ("/same", "/same", "/same", "/same"),
            ("/same", "/same", "/same/", "/same/"),
            ("/same", "/same", "/", "/same"),
            ("/a/b", "/a/b", "/a", "/a/b"),
            ("", "", "/", "/"),
            ("", "", "//", "//"),
            ("", "", "/x/../y", "/x/../y"),
            ("/shop", "/base", "x", "x"),
        ] {
            let (external, internal) = (format!("https://ext.example{external}/"), format!("http://app{internal}/"));
            let becomes = outside(&external, &internal, &format!("a=b; Path={from};Secure; SameSite=Lax"));
            assert_eq!(becomes, format!("a=b; Path={to};Secure; SameSite=Lax"), "{internal} {external} {from}");
        }
        let many = format!("a=b{}", ";path=/".repeat(1_000));
        let moved = outside("https://ext.example/a-rather-long-path/", "http://app/base/", &many);
        assert_eq!(moved, many, "one that would become too long stays");
        let whole = "__Host-a=b; Path=/; Secure";
        assert_eq!(outside("https://ext.example/shop/", "http://app/base/", whole), whole);
    }
}
