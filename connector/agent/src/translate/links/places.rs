//! Places of applications on one side, looked up: by host, then port, then path. Hundreds of applications may be at one host, and
//! a page has thousands of URLs, so that neither counts for the other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::iter;
use std::net::Ipv6Addr;

use postern_model::app_url::HOST_BYTES_MAX;
use postern_model::ids::AppId;

use super::super::absolute::{Absolute, default_port, leads_up, moved};

/// All of one side.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<Box<str>, HashMap<(bool, u16), Port>>);

/// What is at one port of a host, with or without TLS.
#[derive(Debug, Default)]
struct Port {
    /// By path: those of one path in the order of their applications.
    paths: HashMap<Box<str>, Vec<Place>>,
    path_bytes_max: usize,
    /// Where each application is on the other side.
    apps: BTreeMap<AppId, There>,
    /// One of those whose origin there is known.
    first: Option<AppId>,
    /// They do not have one and the same.
    is_ambiguous: bool,
}

/// A place of an application.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) app: AppId,
    /// Empty, or `/a/b`.
    pub(super) path: Box<str>,
    pub(super) there: There,
}

/// Where that is on the other side.
#[derive(Debug, Clone)]
pub(super) struct There {
    pub(super) tls: bool,
    /// None where the application has any number of hosts: which one is known only of its own requests.
    pub(super) authority: Option<Box<str>>,
    pub(super) path: Box<str>,
}

impl Places {
    pub(super) fn add(&mut self, host: Box<str>, port: (bool, u16), place: Place) {
        self.0.entry(host).or_default().entry(port).or_default().add(place);
    }

    /// Whether anything is at the URL's origin.
    pub(super) fn has(&self, url: &Absolute<'_>) -> bool {
        self.ports(url).next().is_some()
    }

    /// Whose a URL is: of the longest path that it begins with; there its own application's before others', and of these the first.
    pub(super) fn best(&self, url: &Absolute<'_>, own: AppId) -> Option<&Place> {
        let is_up = leads_up(url.rest);
        let found = self.ports(url).filter_map(|port| port.best(url.rest, own, is_up));
        found.max_by_key(|place| (place.path.len(), place.app == own, Reverse(place.app)))
    }

    /// Whose origin it is, if that is one on the other side.
    pub(super) fn at_origin(&self, url: &Absolute<'_>, own: AppId) -> Option<(AppId, &There)> {
        if let Some(there) = self.ports(url).find_map(|port| port.apps.get(&own)) {
            return Some((own, there));
        }
        if self.ports(url).any(|port| port.is_ambiguous) {
            return None;
        }
        let mut firsts = self.ports(url).filter_map(|port| port.apps.get_key_value(&port.first?));
        let (app, there) = firsts.next()?;
        firsts.all(|(_, other)| other.has_origin_of(there)).then_some((*app, there))
    }

    /// One, or two where the URL names no scheme.
    fn ports(&self, url: &Absolute<'_>) -> impl Iterator<Item = &Port> {
        let (scheme, port) = (url.scheme, url.port);
        let ports = self.by_host(url.host);
        let asked = [false, true].into_iter().filter(move |tls| scheme.is_none_or(|scheme| scheme.tls == *tls));
        asked.filter_map(move |tls| ports?.get(&(tls, port.unwrap_or(default_port(tls)))))
    }

    /// In any case; an IPv6 address in any spelling.
    fn by_host(&self, host: &str) -> Option<&HashMap<(bool, u16), Port>> {
        if host.contains(':') {
            return self.0.get(host.parse::<Ipv6Addr>().ok()?.to_string().as_str());
        }
        let mut lowered = [0; HOST_BYTES_MAX];
        let lowered = lowered.get_mut(..host.len())?;
        lowered.copy_from_slice(host.as_bytes());
        lowered.make_ascii_lowercase();
        self.0.get(std::str::from_utf8(lowered).ok()?)
    }
}

impl Port {
    fn add(&mut self, place: Place) {
        if place.there.authority.is_some() {
            let first = *self.first.get_or_insert(place.app);
            self.is_ambiguous |= self.apps.get(&first).is_some_and(|first| !first.has_origin_of(&place.there));
        }
        self.apps.entry(place.app).or_insert_with(|| place.there.clone());
        self.path_bytes_max = self.path_bytes_max.max(place.path.len());
        let of_path = self.paths.entry(place.path.clone()).or_default();
        of_path.insert(of_path.partition_point(|other| other.app <= place.app), place);
    }

    /// `is_up`: browsers go up on the way, so that it leads out of every place but a whole host that is one there, too.
    fn best(&self, rest: &str, own: AppId, is_up: bool) -> Option<&Place> {
        let stays = |place: &&Place| !is_up || place.path.is_empty() && place.there.path.is_empty();
        prefixes(rest, self.path_bytes_max).find_map(|path| {
            let places = self.paths.get(path)?;
            let own = places.binary_search_by_key(&own, |place| place.app).ok().and_then(|at| places.get(at));
            own.filter(stays)
                .or_else(|| places.iter().filter(|place| place.there.authority.is_some()).find(|place| stays(place)))
        })
    }
}

impl Place {
    pub(super) fn translated(&self, url: &Absolute<'_>, tls: bool, authority: &str) -> Option<String> {
        let rest = moved(url.rest, &self.path, &self.there.path)?;
        Some([url.scheme_for(tls), authority, &*self.there.path, rest].concat())
    }
}

impl There {
    fn has_origin_of(&self, other: &Self) -> bool {
        (self.tls, &self.authority) == (other.tls, &other.authority)
    }
}

/// The path of a URL's rest and whatever whole segments it begins with, the longest first, none longer than that.
fn prefixes(rest: &str, bytes_max: usize) -> impl Iterator<Item = &str> {
    let path = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let mut end = Some(path.len());
    let all = iter::from_fn(move || {
        let prefix = &path[..end?];
        end = prefix.rfind('/');
        Some(prefix)
    });
    all.skip_while(move |prefix| prefix.len() > bytes_max)
}

#[cfg(test)]
mod tests {
    use postern_model::ids::TenantId;

    use super::*;

    #[test]
    fn prefixes_are_whole_segments() {
        let all = |rest, max| prefixes(rest, max).collect::<Vec<_>>();
        assert_eq!(all("/a/bc/d?e/f", 100), ["/a/bc/d", "/a/bc", "/a", ""]);
        assert_eq!(all("/a/bc/d#e", 5), ["/a/bc", "/a", ""]);
        assert_eq!(all("/a/", 100), ["/a/", "/a", ""]);
        assert_eq!(all("", 0), [""]);
        assert_eq!(all("?/", 0), [""]);
    }

    /// As long as it takes to look at every place for every URL, this test takes minutes.
    #[test]
    fn each_of_many_at_one_host_is_found() {
        const COUNT: u32 = 20_000;
        let mut places = Places::default();
        for seq in 1..=COUNT {
            let there = There { tls: true, authority: Some("out.example".into()), path: format!("/{seq}").into() };
            let app = AppId::new(TenantId::DEFAULT, seq);
            places.add("in".into(), (false, 80), Place { app, path: format!("/app/{seq}").into(), there });
        }
        let own = AppId::new(TenantId::DEFAULT, COUNT + 1);
        for seq in 1..=COUNT {
            let url = format!("//in/app/{seq}/x/y/z");
            let best = places.best(&Absolute::split(&url).unwrap(), own).unwrap();
            assert_eq!(best.app.seq, seq);
        }
        let origin = Absolute::split("http://in").unwrap();
        assert_eq!(places.at_origin(&origin, own).unwrap().1.authority.as_deref(), Some("out.example"));
    }
}
