//! What is at one host. Pages may have thousands of URLs, and hundreds of applications may be at one host: whose a URL is, is looked up
//! by its origin and its path.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use postern_model::ids::AppId;
use postern_translate::absolute::{Absolute, default_port, leads_up};

use super::Place;
use super::side::Authority;
use crate::translate::Own;

/// By scheme (`tls`) and port.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<(bool, u16), Origin>);

/// Of one origin.
#[derive(Debug, Default)]
struct Origin {
    by_path: BTreeMap<Box<str>, Shared>,
    /// Bytes of the longest path.
    longest: usize,
    /// The first place of each, whatever its path.
    whose: Shared,
    /// The first that leads to the same origin for everybody.
    first: Option<Arc<Place>>,
    /// Another one leads to another origin.
    differs: bool,
}

/// By application and segment.
type Shared = BTreeMap<(AppId, u16), Arc<Place>>;

impl Places {
    pub(super) fn add(&mut self, place: Place) {
        let origin = self.0.entry((place.tls, place.port)).or_default();
        let (key, path, place) = ((place.app, place.segment), place.path.clone(), Arc::new(place));
        origin.longest = origin.longest.max(path.len());
        if place.there.authority != Authority::Any {
            match &origin.first {
                None => origin.first = Some(Arc::clone(&place)),
                Some(first) => origin.differs |= !first.leads_as(&place),
            }
        }
        origin.whose.entry(key).or_insert_with(|| Arc::clone(&place));
        origin.by_path.entry(path).or_default().insert(key, place);
    }

    /// Whether anything is at a URL's origin.
    pub(super) fn has_origin_of(&self, url: &Absolute<'_>) -> bool {
        self.origins(*url).next().is_some()
    }

    /// Whose a URL is.
    pub(super) fn best(&self, url: &Absolute<'_>, own: Own<'_>) -> Option<&Place> {
        let longest = self.origins(*url).map(|origin| origin.longest).max()?;
        prefix_ends(url.rest, longest).find_map(|at| {
            let (path, after) = url.rest.split_at(at);
            let shared = self.origins(*url).filter_map(|origin| origin.by_path.get(path));
            shared.filter_map(|shared| of_path(shared, after, own)).max_by_key(|place| {
                let is_of_app = place.app == own.backend.app.id;
                (place.is_of(own), is_of_app, Reverse(place.app), Reverse(place.segment))
            })
        })
    }

    /// Whose an origin is, if that is one on the other side.
    pub(super) fn of_origin(&self, url: &Absolute<'_>, own: Own<'_>) -> Option<&Place> {
        let origins = move || self.origins(*url);
        if let Some(place) = origins().find_map(|origin| origin.whose.get(&key_of(own))) {
            return Some(place);
        }
        let mut firsts = origins().filter_map(|origin| origin.first.as_ref());
        let first = firsts.next()?;
        let is_one = !origins().any(|origin| origin.differs) && firsts.all(|other| first.leads_as(other));
        is_one.then_some(&**first)
    }

    /// A URL without a scheme may be at two.
    fn origins<'p>(&'p self, url: Absolute<'_>) -> impl Iterator<Item = &'p Origin> {
        let origins = [false, true].map(|tls| (tls, url.port.unwrap_or(default_port(tls))));
        let origins = origins.into_iter().filter(move |(tls, port)| url.is_at(*tls, *port));
        origins.filter_map(move |origin| self.0.get(&origin))
    }
}

/// Where prefixes of a URL's path end that are whole segments, the longest first; none that has more than `longest` bytes. Pages may
/// have URLs that are nothing but slashes, megabytes of them.
pub(super) fn prefix_ends(rest: &str, longest: usize) -> impl Iterator<Item = usize> {
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let reach = end.min(longest.saturating_add(1));
    let slashes = rest.as_bytes()[..reach].iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
    (end <= longest).then_some(end).into_iter().chain(slashes.map(|(at, _)| at))
}

/// Of those at one path that a URL begins with; `after`: what follows in it.
fn of_path<'p>(shared: &'p Shared, after: &str, own: Own<'_>) -> Option<&'p Place> {
    let up = leads_up(after);
    let covers = |place: &&Arc<Place>| place.is_known(own) && (!up || place.may_lead_up());
    let app = own.backend.app.id;
    let of_segment = shared.get(&key_of(own)).filter(covers);
    let of_app = || shared.range((app, 0)..=(app, u16::MAX)).map(|(_, place)| place).find(covers);
    of_segment.or_else(of_app).or_else(|| shared.values().find(covers)).map(|place| &**place)
}

fn key_of(own: Own<'_>) -> (AppId, u16) {
    (own.backend.app.id, own.backend.segment)
}
