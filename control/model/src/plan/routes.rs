//! Which application a path of a host belongs to: the longest prefix that ends at a segment's end. And the same rule for the
//! places of one application.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::PlannedApp;
use super::by_host::{ByHost, Fnv};
use crate::app_url::ExternalUrl;
use crate::settings::TlsMin;

/// The applications of one external host, by path prefix.
#[derive(Debug, Default)]
pub struct HostRoutes {
    by_path: ByPath<Arc<PlannedApp>>,
    /// One of them is for TLS 1.3 alone: which one a connection is for, nobody knows while it begins.
    pub(super) asks_tls13: bool,
}

/// Values by external URL, found as relays find applications: exact host before wildcard, the longest wildcard, then the longest
/// path.
#[derive(Debug)]
pub struct PlaceTable<T>(ByHost<ByPath<T>>);

/// Values by path prefix.
#[derive(Debug)]
struct ByPath<T> {
    routes: HashMap<Box<str>, T, BuildHasherDefault<Fnv>>,
    /// Segments of the deepest prefix: no need to look further into a path.
    depth_max: usize,
}

impl HostRoutes {
    /// The application for a path (without query): the longest prefix that ends at a segment boundary. It says the place that was
    /// found: [`PlannedApp::external`] and [`PlannedApp::internal`] are that one's.
    #[must_use]
    pub fn route(&self, path: &str) -> Option<&Arc<PlannedApp>> {
        self.by_path.find(path)
    }

    /// Adds an application; gives back who has the same prefix already.
    pub(super) fn insert(&mut self, app: Arc<PlannedApp>) -> Option<Arc<PlannedApp>> {
        let asks_tls13 = app.settings.tls_min == TlsMin::Tls13;
        let path = app.external.path.clone();
        if let Some(other) = self.by_path.insert(path, app) {
            return Some(Arc::clone(other));
        }
        self.asks_tls13 |= asks_tls13;
        None
    }

    /// One of them, if there is any.
    pub(super) fn any(&self) -> Option<&Arc<PlannedApp>> {
        self.by_path.routes.values().next()
    }
}

impl<T> PlaceTable<T> {
    /// Adds a value. Gives back the one that is at that very place already, which stays.
    pub fn insert(&mut self, url: &ExternalUrl, value: T) -> Option<&T> {
        self.0.entry(&url.host_pattern()).insert(url.path.clone(), value)
    }

    /// What a host (no port, any case) and a path (without query) lead to.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<&T> {
        self.0.find(host, usize::MAX)?.find(path)
    }
}

impl<T> ByPath<T> {
    fn find(&self, path: &str) -> Option<&T> {
        let mut found = self.routes.get("");
        let ends = path.bytes().enumerate().skip(1).filter(|(_, byte)| *byte == b'/');
        let ends = ends.map(|(at, _)| at).chain(std::iter::once(path.len()));
        for end in ends.take(self.depth_max) {
            found = path.get(..end).and_then(|prefix| self.routes.get(prefix)).or(found);
        }
        found
    }

    fn insert(&mut self, path: Box<str>, value: T) -> Option<&T> {
        if self.routes.contains_key(&path) {
            return self.routes.get(&path);
        }
        self.depth_max = self.depth_max.max(path.matches('/').count());
        self.routes.insert(path, value);
        None
    }
}

impl<T> Default for PlaceTable<T> {
    fn default() -> Self {
        Self(ByHost::default())
    }
}

impl<T> Default for ByPath<T> {
    fn default() -> Self {
        Self { routes: HashMap::default(), depth_max: 0 }
    }
}
