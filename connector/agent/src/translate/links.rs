//! Where the tenant's applications are, inside and outside: whole URLs are translated from one side to the other, also those
//! that lead from one application to another.
//!
//! Several applications may be at one place inside. The one with the longest path that the URL begins with has it; of several
//! with the same path the application itself that links there; else the one with the lowest id, the first that was published.

mod places;
mod side;

use std::borrow::Cow;
use std::iter;
use std::net::Ipv6Addr;

use postern_model::app_url::{ExternalUrl, InternalUrl};
use postern_model::group_config::{BackendApp, GroupConfig};
use postern_model::ids::AppId;
use postern_model::settings::{
    EXTERNAL_ALIASES, INTERNAL_ALIASES, PlaceSettings, external_aliases, farm_members, internal_aliases,
};
use postern_translate::absolute::{Absolute, default_port, moved};

use super::{Own, internal_origin};
use crate::backend::authority;
use crate::embed::is_built_in;
use side::{At, Authority, Side};

/// Applications by their hosts on either side. As large as the configuration that it was made of: at most 49 places each, and one
/// on either side for each further segment.
#[derive(Debug, Default)]
pub(crate) struct Links {
    inside: Side,
    outside: Side,
}

/// A place of an application on one side, by its host.
#[derive(Debug)]
struct Place {
    app: AppId,
    /// Which of the own application's segments; of others it does not matter.
    segment: u16,
    tls: bool,
    port: u16,
    /// Empty, or `/a/b`.
    path: Box<str>,
    there: There,
}

/// Where that is on the other side.
#[derive(Debug)]
struct There {
    tls: bool,
    authority: Authority,
    path: Box<str>,
}

/// One segment of an application, with its other names on either side.
struct Entry<'a> {
    app: AppId,
    segment: u16,
    external: &'a ExternalUrl,
    internal: &'a InternalUrl,
    aliases: &'a str,
    names: &'a str,
}

impl Links {
    /// What cannot be read is left out: such an application is not served either.
    pub(crate) fn build(config: &GroupConfig) -> Self {
        let mut links = Self::default();
        for app in &config.apps {
            links.add_own(app);
        }
        for link in &config.links {
            let urls = (ExternalUrl::parse(&link.external_url), InternalUrl::parse(&link.internal_url));
            let (Ok(external), Ok(internal)) = urls else { continue };
            let (external, internal) = (&external, &internal);
            let (aliases, names) = (link.aliases.as_str(), link.names.as_str());
            links.add(&Entry { app: link.app, segment: 0, external, internal, aliases, names });
        }
        links
    }

    /// A whole internal URL (`http://…`, `ws://…`, `//…`) as users write it. None for others, which stay as they are.
    pub(crate) fn outwards(&self, url: &str, own: Own<'_>) -> Option<String> {
        self.url_outwards(&Absolute::split(url)?, own)
    }

    /// A whole external URL as it is inside. None for others.
    pub(crate) fn inwards(&self, url: &str, own: Own<'_>) -> Option<String> {
        let url = Absolute::split(url)?;
        let (from, to) = (&own.backend.external.path, &own.backend.internal.path);
        let own_rest = own.external.has(&url).then(|| moved(url.rest, from, to)).flatten();
        let at = self.outside.find(url.host);
        let place = at.and_then(|at| Some((at, at.places.best(&url, own)?)));
        match (own_rest, place) {
            (Some(rest), None) => Some(own_inside(&url, own, rest)),
            (Some(rest), Some((_, place))) if place.path.len() <= from.len() => Some(own_inside(&url, own, rest)),
            (_, Some((at, place))) => place.translated(&url, place.there.tls, &place.there.authority.of(at.labels)?),
            (None, None) => None,
        }
    }

    /// `http://HOST[:PORT]` of an internal application, as `Access-Control-Allow-Origin` has it. Where several with different
    /// origins outside are there, it is the own application's, or stays.
    pub(crate) fn origin_outwards(&self, origin: &str, own: Own<'_>) -> Option<String> {
        let url = Absolute::split(origin).filter(|url| url.rest.is_empty())?;
        self.url_origin_outwards(&url, own)
    }

    /// An external origin as it is inside.
    pub(crate) fn origin_inwards(&self, origin: &str, own: Own<'_>) -> Option<String> {
        let url = Absolute::split(origin).filter(|url| url.rest.is_empty())?;
        if own.external.has(&url) {
            return Some(internal_origin(own.backend));
        }
        let at = self.outside.find(url.host)?;
        let there = &at.places.of_origin(&url, own)?.there;
        Some([url.scheme_for(there.tls), &*there.authority.of(at.labels)?].concat())
    }

    /// Whether it begins with the origin of an application inside.
    pub(crate) fn is_inside(&self, url: &str) -> bool {
        let Some(url) = Absolute::split(url) else { return false };
        let at = self.inside.find(url.host);
        at.is_some_and(|at| at.places.has_origin_of(&url))
    }

    pub(super) fn url_outwards(&self, url: &Absolute<'_>, own: Own<'_>) -> Option<String> {
        let at = self.inside.find(url.host);
        let Some((at, place)) = at.and_then(|at| Some((at, at.places.best(url, own)?))) else {
            return as_told_outwards(url, own);
        };
        let (tls, authority) = place.outside(at, url, own)?;
        place.translated(url, tls, &authority)
    }

    pub(super) fn url_origin_outwards(&self, url: &Absolute<'_>, own: Own<'_>) -> Option<String> {
        let at = self.inside.find(url.host);
        let (tls, authority) = match at.and_then(|at| Some((at, at.places.of_origin(url, own)?))) {
            Some((at, place)) => place.outside(at, url, own)?,
            None if is_as_told(url, own) => (own.external.tls, Cow::Borrowed(own.external.authority.as_str())),
            None => return None,
        };
        Some([url.scheme_for(tls), &*authority].concat())
    }

    /// An application of this group.
    fn add_own(&mut self, app: &BackendApp) {
        let urls = (ExternalUrl::parse(&app.external_url), InternalUrl::parse(&app.internal_url));
        let (Ok(external), Ok(internal)) = urls else { return };
        let setting = |name: &str| app.settings.get(name).map_or("", String::as_str);
        let (aliases, names) = (setting(INTERNAL_ALIASES), setting(EXTERNAL_ALIASES));
        let (external, internal) = (&external, &internal);
        self.add(&Entry { app: app.id, segment: 0, external, internal, aliases, names });
        let further = PlaceSettings::read(&app.settings).unwrap_or_default().segments;
        for (segment, place) in (1..).zip(&further) {
            let (external, internal) = (&place.external, &place.internal);
            self.add(&Entry { app: app.id, segment, external, internal, aliases: "", names: "" });
        }
        // The members of a farm are places inside as the internal URL is.
        for InternalUrl { tls, host, port, .. } in farm_members(&app.settings) {
            let one = || Authority::One(external.authority("").into());
            let authority = if external.wildcard { Authority::Any } else { one() };
            let there = There { tls: external.tls, authority, path: external.path.clone() };
            let path = internal.path.clone();
            self.inside.add(&host, Place { app: app.id, segment: 0, tls, port, path, there });
        }
    }

    fn add(&mut self, entry: &Entry<'_>) {
        let Entry { external, internal, .. } = *entry;
        // A program that is its own backend has no names inside.
        if is_built_in(&internal.host) {
            return;
        }
        let aliases =
            if entry.aliases.is_empty() { Vec::new() } else { internal_aliases(entry.aliases).unwrap_or_default() };
        let aliases = aliases.iter().map(|alias| alias.place(internal));
        for place in iter::once(internal.clone()).chain(aliases) {
            let authority = match (internal.wildcard(), external.wildcard) {
                (None, false) => Authority::One(external.authority("").into()),
                (None, true) => Authority::Any,
                (Some(_), _) => Authority::Below(external.authority(&below(&external.host)).into()),
            };
            let there = There { tls: external.tls, authority, path: external.path.clone() };
            let InternalUrl { tls, host, port, path } = place;
            self.inside.add(&host, Place { app: entry.app, segment: entry.segment, tls, port, path, there });
        }
        let names = if entry.names.is_empty() { Vec::new() } else { external_aliases(entry.names).unwrap_or_default() };
        let names = names.into_iter().map(|name| ExternalUrl { path: external.path.clone(), ..name });
        for place in iter::once(external.clone()).chain(names) {
            let authority = match (internal.wildcard(), place.wildcard) {
                (None, false) => authority(internal).ok().map(|authority| Authority::One(authority.as_str().into())),
                (None, true) => None,
                (Some(name), _) => {
                    let named = InternalUrl { host: name.into(), ..internal.clone() };
                    authority(&named).ok().map(|authority| Authority::Below(below(authority.as_str()).into()))
                }
            };
            let Some(authority) = authority else { continue };
            let there = There { tls: internal.tls, authority, path: internal.path.clone() };
            let host = place.host_pattern();
            let ExternalUrl { tls, port, path, .. } = place;
            self.outside.add(&host, Place { app: entry.app, segment: entry.segment, tls, port, path, there });
        }
    }
}

impl Place {
    /// Scheme and authority outside; of what the user asked for as its user wrote them.
    fn outside<'a>(&'a self, at: At<'a>, url: &Absolute<'_>, own: Own<'a>) -> Option<(bool, Cow<'a, str>)> {
        let is_own_host = at.labels.is_empty() || url.host.eq_ignore_ascii_case(&own.backend.internal.host);
        if self.is_of(own) && is_own_host {
            return Some((own.external.tls, Cow::Borrowed(own.external.authority.as_str())));
        }
        Some((self.there.tls, self.there.authority.of(at.labels)?))
    }

    fn translated(&self, url: &Absolute<'_>, tls: bool, authority: &str) -> Option<String> {
        let rest = moved(url.rest, &self.path, &self.there.path)?;
        Some([url.scheme_for(tls), authority, &*self.there.path, rest].concat())
    }

    /// Whether what is below its path may lead out of it again: where both sides are a whole host, that leads nowhere else.
    fn may_lead_up(&self) -> bool {
        self.path.is_empty() && self.there.path.is_empty()
    }

    /// Whether both lead to one origin on the other side.
    fn leads_as(&self, other: &Self) -> bool {
        (self.there.tls, &self.there.authority) == (other.there.tls, &other.there.authority)
    }

    /// Whether it is what the request is for: of the same segment of the application.
    fn is_of(&self, own: Own<'_>) -> bool {
        (self.app, self.segment) == (own.backend.app.id, own.backend.segment)
    }

    fn is_known(&self, own: Own<'_>) -> bool {
        self.is_of(own) || self.there.authority != Authority::Any
    }
}

fn own_inside(url: &Absolute<'_>, own: Own<'_>, rest: &str) -> String {
    let Own { backend, .. } = own;
    [url.scheme_for(backend.internal.tls), backend.authority.as_str(), &*backend.internal.path, rest].concat()
}

/// What is below a name, or an authority.
fn below(name: &str) -> String {
    format!(".{name}")
}

/// Whether an application means itself by it that takes the scheme from `X-Forwarded-Proto` and everything else from `Host`, as
/// many do: of the one it was told its users', of the other its own. Nothing is there, unless something else is published from there.
fn is_as_told(url: &Absolute<'_>, own: Own<'_>) -> bool {
    let Own { backend, external } = own;
    let (tls, host) = (external.tls, backend.authority.host());
    let port = backend.authority.port().unwrap_or(default_port(tls));
    let may_be = external.translated && tls != backend.internal.tls && url.scheme.is_some() && url.is_at(tls, port);
    may_be
        && match url.host.parse::<Ipv6Addr>() {
            Ok(address) => host.trim_matches(['[', ']']) == address.to_string(),
            Err(_) => host.eq_ignore_ascii_case(url.host),
        }
}

fn as_told_outwards(url: &Absolute<'_>, own: Own<'_>) -> Option<String> {
    let (from, to) = (&*own.backend.internal.path, &*own.backend.external.path);
    let rest = moved(url.rest, from, to).filter(|_| is_as_told(url, own))?;
    Some([url.scheme_for(own.external.tls), own.external.authority.as_str(), to, rest].concat())
}

#[cfg(test)]
mod tests;
