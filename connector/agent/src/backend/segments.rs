//! The parts of an application that has several: each with a backend of its own. And the hosts below a wildcard, of which each is
//! made when a request names it.

use std::borrow::Cow;
use std::sync::Arc;

use postern_model::app_url::{ExternalUrl, InternalUrl};
use postern_model::plan::PlaceTable;
use postern_model::settings::{AppSettings, Segment};

use super::{Backend, authority};
use crate::embed::is_built_in;

/// An application's segments besides the first.
#[derive(Debug)]
pub(super) struct Further {
    /// Numbers of segments by where they are, the first one's 0 included: as relays find them.
    table: PlaceTable<u16>,
    segments: Vec<Arc<Backend>>,
}

impl Further {
    /// None of an application without any.
    pub(super) fn build(first: &Backend, settings: &AppSettings) -> Result<Option<Box<Self>>, String> {
        let places = &settings.places;
        if places.segments.is_empty() {
            return Ok(None);
        }
        let mut further = Self { table: PlaceTable::default(), segments: Vec::with_capacity(places.segments.len()) };
        further.table.insert(&first.external, 0);
        for alias in &places.aliases {
            let path = first.external.path.clone();
            further.table.insert(&ExternalUrl { path, ..alias.clone() }, 0);
        }
        for (number, place) in (1..).zip(&places.segments) {
            let Segment { external, internal } = place;
            // They were entrusted to be shown to one backend.
            if settings.sso.is_by_vault() && !internal.is_same_origin(&first.internal) {
                return Err(format!("{internal} is another host than {}, which passwords are for", first.internal));
            }
            if internal.wildcard().is_some() && !external.wildcard {
                return Err(format!("{internal} takes the labels of a wildcard, which {external} is none"));
            }
            let backend = Backend::at(&first.app, settings, (number, place.clone()), Arc::clone(&first.credentials))?;
            further.table.insert(external, number);
            further.segments.push(Arc::new(backend));
        }
        Ok(Some(Box::new(further)))
    }
}

impl Backend {
    /// Whether every request for the application is for this very backend.
    pub(crate) fn is_alone(&self) -> bool {
        self.further.is_none() && self.internal.wildcard().is_none()
    }

    /// The segment that a request is for, if it is another than this, the first. By the rule that relays go by: what they found is
    /// what is found here.
    pub(crate) fn segment_at<'p>(&self, host: &str, path: impl FnOnce() -> Cow<'p, str>) -> Option<&Arc<Self>> {
        let further = self.further.as_ref()?;
        // The application's own name below its tenant's suffix is not in the table: there it is the first.
        let number = further.table.find(host, &path()).copied()?;
        further.segments.get(usize::from(number).checked_sub(1)?)
    }

    /// The application's further segments.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Self> {
        self.further.iter().flat_map(|further| &further.segments).map(|segment| &**segment)
    }

    /// Of a wildcard the backend at one host.
    pub(crate) fn below(&self, internal: InternalUrl) -> Result<Self, String> {
        if is_built_in(&internal.host) || self.internal.wildcard().is_none() {
            return Err(format!("{internal} is not below {}", self.internal));
        }
        // Nothing is parsed again here: users choose the names, and may choose many.
        let tls = self.tls.as_ref().map(|tls| tls.at(&internal.host)).transpose()?;
        Ok(Self {
            app: Arc::clone(&self.app),
            segment: self.segment,
            external: self.external.clone(),
            is_below_wildcard: true,
            further: None,
            authority: authority(&internal)?,
            translation: self.translation.clone(),
            silence_max: self.silence_max,
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            connect_timeout: self.connect_timeout,
            connections_max: self.connections_max,
            http: self.http,
            proxy: self.proxy.clone(),
            // What signs users on is for one backend: with a wildcard it is refused.
            sso: None,
            credentials: Arc::clone(&self.credentials),
            content: self.content,
            tls,
            farm: None,
            internal,
        })
    }
}
