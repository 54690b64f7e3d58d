//! From the external URL to the internal one and back: Host, path prefix, and the fields that hold URLs, Domain and Path of
//! cookies. Then the operator's own rules for this application.

pub(crate) mod links;
mod set_cookie;

use postern_http::{
    Authority, Headers, InvalidField, Known, Method, Name, PathRules, RequestHead, ResponseHead, Target, TargetForm,
};
use postern_model::claims::{HeaderRule, HeaderRules};
use postern_translate::absolute::{Absolute, default_port, moved};
use postern_translate::fields;
use postern_tunnel::ExternalScheme;

use crate::backend::Backend;
use crate::embed::is_built_in;
use crate::failure::{Failed, Fault};
use links::Links;

/// What users wrote in their address bar, kept to translate the answer.
#[derive(Debug, Clone)]
pub(crate) struct External {
    tls: bool,
    authority: Authority,
    /// Heads are, both ways.
    translated: bool,
}

/// The application that something is translated for, and how its user reached it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) backend: &'a Backend,
    pub(crate) external: &'a External,
}

/// Rewrites a request for its backend.
pub(crate) fn request(
    head: &mut RequestHead,
    scheme: ExternalScheme,
    backend: &Backend,
    links: &Links,
) -> Result<External, Failed> {
    let tls = match scheme {
        ExternalScheme::Http => false,
        ExternalScheme::Https => true,
    };
    // A program that is its own backend has no other names than those it is published under.
    if is_built_in(&backend.internal.host) {
        return Ok(External { tls, authority: head.authority.clone(), translated: false });
    }
    let translated = backend.translation.headers;
    let internal = if translated { backend.authority.clone() } else { head.authority.clone() };
    let external = External { tls, authority: std::mem::replace(&mut head.authority, internal), translated };
    if is_moved(&backend.external.path, &backend.internal.path) && head.target.form() == TargetForm::Origin {
        replace_path(head, backend)?;
    }
    if translated {
        fields_inwards(head, Own { backend, external: &external }, links);
    }
    apply(&backend.translation.request_rules, &mut head.headers);
    Ok(external)
}

/// Rewrites an answer for the user. Rules are for final answers.
pub(crate) fn response(head: &mut ResponseHead, own: Own<'_>, links: &Links) {
    if own.external.translated {
        fields_outwards(&mut head.headers, own, links);
    }
    if !head.is_interim() {
        apply(&own.backend.translation.response_rules, &mut head.headers);
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

/// Whether two prefixes differ. Most are empty, and may be at no address at all: to compare them byte by byte reads none, but the
/// processor tries, which takes it longer than the rest of a request's translation.
fn is_moved(external: &str, internal: &str) -> bool {
    external.len() != internal.len() || (!external.is_empty() && external != internal)
}

/// What follows `prefix` where that ends at a segment's end.
fn strip_prefix<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
}

/// Of what is not there nothing but its bit in a set is looked at.
fn fields_inwards(head: &mut RequestHead, own: Own<'_>, links: &Links) {
    let headers = &mut head.headers;
    // No page that users have open is at an internal URL: whoever says so would pass for the application itself.
    let or_nobody = |origin: &str| links.is_inside(origin).then(|| "null".to_owned());
    rewrite(headers, Known::Origin, |origin| links.origin_inwards(origin, own).or_else(|| or_nobody(origin)));
    if headers.get_str(Known::Referer).is_some_and(|url| links.is_inside(url)) {
        headers.remove(Known::Referer);
    }
    rewrite(headers, Known::Referer, |url| links.inwards(url, own));
    // Of WebDAV (RFC 4918 §10.3, §10.4): `If` has no bit, and other methods have no use for it.
    if !matches!(head.method, Method::Get | Method::Head | Method::Post | Method::Options) {
        // What is to be written stays within what was let in: others are asked about where they are published.
        if let Some(destination) = headers.get(Known::Destination) {
            let only = headers.get_all(Known::Destination).nth(1).is_none();
            let inside = std::str::from_utf8(destination).ok().filter(|_| only).and_then(|url| own_inwards(url, own));
            match inside {
                Some(inside) => {
                    let set = headers.set(Known::Destination, inside);
                    debug_assert!(set.is_ok(), "a URL is a field value");
                }
                None => {
                    headers.remove(Known::Destination);
                }
            }
        }
        rewrite(headers, "if", |value| fields::targets(value, |url| own_inwards(url, own)));
    }
}

/// A URL or a path of this application's as it is inside; None for all others.
fn own_inwards(url: &str, own: Own<'_>) -> Option<String> {
    let (from, to) = (&*own.backend.external.path, &*own.backend.internal.path);
    let Some(absolute) = Absolute::split(url) else {
        let rest = moved(url, from, to).filter(|_| url.starts_with('/') && !url.starts_with("//"))?;
        return beneath(to, rest);
    };
    let rest = own.external.has(&absolute).then(|| moved(absolute.rest, from, to)).flatten()?;
    Some([&*internal_origin(own.backend), to, rest].concat())
}

fn fields_outwards(headers: &mut Headers, own: Own<'_>, links: &Links) {
    let outwards = |url: &str| outwards(url, own, links);
    let source = |token: &str| source(token, own, links);
    rewrite(headers, Known::Location, outwards);
    rewrite(headers, Known::ContentLocation, outwards);
    rewrite(headers, Known::Refresh, |value| fields::refresh(value, outwards));
    rewrite(headers, Known::Link, |value| fields::targets(value, outwards));
    rewrite(headers, Known::AccessControlAllowOrigin, |origin| links.origin_outwards(origin, own));
    headers.rewrite(Known::SetCookie, |cookie| set_cookie::outwards(cookie, own));
    rewrite(headers, Known::ContentSecurityPolicy, |value| fields::policy(value, source, outwards));
    rewrite(headers, REPORT_ONLY, |value| fields::policy(value, source, outwards));
}

/// A source of a policy that names a host, with or without scheme and path. Of one without a path all of the host is meant.
fn source(token: &str, own: Own<'_>, links: &Links) -> Option<String> {
    if token.starts_with(['\'', '/']) {
        return None;
    }
    // What ends with a colon is a scheme: `data:`.
    let host = || Some(token).filter(|token| !token.ends_with(':')).and_then(Absolute::split_host);
    let url = Absolute::split(token).or_else(host)?;
    if url.rest.is_empty() { links.url_origin_outwards(&url, own) } else { links.url_outwards(&url, own) }
}

/// A whole internal URL, of whatever application of the tenant's, or a path of this one's, as users write it. None for what
/// stays as it is. For URLs in content, too.
pub(crate) fn outwards(url: &str, own: Own<'_>, links: &Links) -> Option<String> {
    let paths = (&*own.backend.internal.path, &*own.backend.external.path);
    links.outwards(url, own).or_else(|| moved_path(url, paths))
}

/// A path in which one prefix takes another's place; None for others, and where both are the same.
fn moved_path(path: &str, (from, to): (&str, &str)) -> Option<String> {
    if from == to || !path.starts_with('/') || path.starts_with("//") {
        return None;
    }
    beneath(to, moved(path, from, to)?)
}

/// The path that `rest` is below the prefix `to`.
fn beneath(to: &str, rest: &str) -> Option<String> {
    // With nothing before it that would be a host.
    if to.is_empty() && rest.starts_with('/') && rest[1..].starts_with(['/', '\\']) {
        return None;
    }
    let slash = if to.is_empty() && !rest.starts_with('/') { "/" } else { "" };
    Some([to, slash, rest].concat())
}

fn rewrite<'n>(headers: &mut Headers, name: impl Into<Name<'n>>, translate: impl Fn(&str) -> Option<String>) {
    headers.rewrite(name, |value| Some(translate(std::str::from_utf8(value).ok()?)?.into_bytes()));
}

fn apply(rules: &HeaderRules, headers: &mut Headers) {
    for rule in rules.iter() {
        let applied: Result<(), InvalidField> = match rule {
            HeaderRule::Set { name, value } => headers.set(&**name, &**value),
            HeaderRule::Append { name, value } => headers.append(&**name, &**value),
            HeaderRule::Remove { name } => {
                headers.remove(&**name);
                Ok(())
            }
        };
        debug_assert!(applied.is_ok(), "rules were read as fields");
    }
}

impl External {
    /// Whether a URL is at the host that the user reached, as it was reached.
    fn has(&self, url: &Absolute<'_>) -> bool {
        let port = self.authority.port().unwrap_or(default_port(self.tls));
        url.host.eq_ignore_ascii_case(self.authority.host()) && url.is_at(self.tls, port)
    }
}

/// `http://INTERNAL`, as its backend calls itself.
pub(crate) fn internal_origin(backend: &Backend) -> String {
    let scheme = if backend.internal.tls { "https" } else { "http" };
    format!("{scheme}://{}", backend.authority.as_str())
}

const REPORT_ONLY: &str = "content-security-policy-report-only";

#[cfg(test)]
mod tests;
