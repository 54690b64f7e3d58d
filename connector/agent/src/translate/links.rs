//! Where the tenant's applications are, inside and outside: whole URLs are translated from one side to the other, also those
//! that lead from one application to another.
//!
//! Several applications may be at one place inside. The one with the longest path that the URL begins with has it; of several
//! with the same path the application itself that links there; else the one with the lowest id, the first that was published.

mod places;

use std::iter;
use std::net::Ipv6Addr;

use postern_model::app_url::{ExternalUrl, InternalUrl};
use postern_model::group_config::GroupConfig;
use postern_model::ids::AppId;
use postern_model::settings::{INTERNAL_ALIASES, internal_aliases};

use super::absolute::{Absolute, default_port, moved};
use super::{Own, internal_origin};
use crate::backend::authority;
use crate::embed::is_built_in;
use places::{Place, Places, There};

/// Applications by their hosts on either side. As large as the configuration that it was made of: at most 17 places each.
#[derive(Debug, Default)]
pub(crate) struct Links {
    inside: Places,
    outside: Places,
}

impl Links {
    /// What cannot be read is left out: such an application is not served either.
    pub(crate) fn build(config: &GroupConfig) -> Self {
        let mut links = Self::default();
        for app in &config.apps {
            let aliases = app.settings.get(INTERNAL_ALIASES).map_or("", String::as_str);
            links.add(app.id, &app.external_url, &app.internal_url, aliases);
        }
        for link in &config.links {
            links.add(link.app, &link.external_url, &link.internal_url, &link.aliases);
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
        let place = self.outside.best(&url, own.backend.app.id);
        match (own_rest, place) {
            (Some(rest), None) => Some(own_inside(&url, own, rest)),
            (Some(rest), Some(place)) if place.path.len() <= from.len() => Some(own_inside(&url, own, rest)),
            (_, Some(place)) => place.translated(&url, place.there.tls, place.there.authority.as_deref()?),
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
        let (_, there) = self.outside.at_origin(&url, own.backend.app.id)?;
        Some([url.scheme_for(there.tls), there.authority.as_deref()?].concat())
    }

    /// Whether it begins with the origin of an application inside.
    pub(crate) fn is_inside(&self, url: &str) -> bool {
        Absolute::split(url).is_some_and(|url| self.inside.has(&url))
    }

    pub(super) fn url_outwards(&self, url: &Absolute<'_>, own: Own<'_>) -> Option<String> {
        let Some(place) = self.inside.best(url, own.backend.app.id) else { return as_told_outwards(url, own) };
        let (tls, authority) = outside(place.app, &place.there, own)?;
        place.translated(url, tls, authority)
    }

    pub(super) fn url_origin_outwards(&self, url: &Absolute<'_>, own: Own<'_>) -> Option<String> {
        let (tls, authority) = match self.inside.at_origin(url, own.backend.app.id) {
            Some((app, there)) => outside(app, there, own)?,
            None if is_as_told(url, own) => (own.external.tls, own.external.authority.as_str()),
            None => return None,
        };
        Some([url.scheme_for(tls), authority].concat())
    }

    fn add(&mut self, app: AppId, external: &str, internal: &str, aliases: &str) {
        let (Ok(external), Ok(internal)) = (ExternalUrl::parse(external), InternalUrl::parse(internal)) else { return };
        // A program that is its own backend has no names inside.
        if is_built_in(&internal.host) {
            return;
        }
        let aliases = if aliases.is_empty() { Vec::new() } else { internal_aliases(aliases).unwrap_or_default() };
        let aliases = aliases.iter().map(|alias| alias.place(&internal));
        for place in iter::once(internal.clone()).chain(aliases) {
            let authority = (!external.wildcard).then(|| external.authority("").into());
            let there = There { tls: external.tls, authority, path: external.path.clone() };
            self.inside.add(place.host, (place.tls, place.port), Place { app, path: place.path, there });
        }
        if !external.wildcard {
            let authority = authority(&internal).ok().map(|authority| authority.as_str().into());
            let there = There { tls: internal.tls, authority, path: internal.path };
            let place = Place { app, path: external.path, there };
            self.outside.add(external.host, (external.tls, external.port), place);
        }
    }
}

/// Scheme and authority outside; of the own application as its user wrote them.
fn outside<'a>(app: AppId, there: &'a There, own: Own<'a>) -> Option<(bool, &'a str)> {
    if app == own.backend.app.id {
        return Some((own.external.tls, own.external.authority.as_str()));
    }
    Some((there.tls, there.authority.as_deref()?))
}

fn own_inside(url: &Absolute<'_>, own: Own<'_>, rest: &str) -> String {
    let Own { backend, .. } = own;
    [url.scheme_for(backend.internal.tls), backend.authority.as_str(), &*backend.internal.path, rest].concat()
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
