//! Connections to what an application has besides its own internal URL: its further segments, and the hosts below a wildcard.
//! A pool of its own for each.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use postern_http::RequestHead;

use super::Pool;
use crate::backend::Backend;
use crate::failure::{Failed, Fault};
use crate::limits::WILDCARD_HOSTS_MAX;
use crate::resolve::Names;

/// Those that requests asked for.
#[derive(Debug, Default)]
pub(super) struct FurtherPools {
    /// By number.
    segments: RefCell<HashMap<u16, Rc<Pool>>>,
    /// Of a wildcard, by host inside.
    hosts: RefCell<HashMap<Box<str>, Rc<Pool>>>,
}

impl FurtherPools {
    /// Sweeps them; those of hosts that nobody has asked for of late go.
    pub(super) fn sweep(&self) {
        self.segments.borrow().values().for_each(|pool| pool.sweep());
        self.hosts.borrow_mut().retain(|_, pool| {
            pool.sweep();
            !pool.is_unused()
        });
    }
}

impl Pool {
    /// The connections for a request: to the segment of the application that it is for, below a wildcard to the host that it
    /// names. `head`: as users wrote it.
    pub(crate) fn of_request(self: Rc<Self>, head: &RequestHead) -> Result<Rc<Self>, Failed> {
        if self.backend.is_alone() {
            return Ok(self);
        }
        let host = head.authority.host();
        let segment = self.backend.segment_at(host, || head.target.routing_path()).map(Arc::clone);
        let pool = match segment {
            Some(segment) => self.segment(segment),
            None => self,
        };
        if pool.backend.internal.wildcard().is_some() { pool.below(host) } else { Ok(pool) }
    }

    fn segment(&self, backend: Arc<Backend>) -> Rc<Self> {
        let mut segments = self.further.segments.borrow_mut();
        let pool = segments.entry(backend.segment).or_insert_with(|| self.beside(backend, self.names.clone()));
        Rc::clone(pool)
    }

    fn below(&self, asked_host: &str) -> Result<Rc<Self>, Failed> {
        let wildcard = &self.backend;
        // The relay went by the same rule, but this host is in the network that it is not to see.
        let internal = wildcard.internal.at(&wildcard.external, asked_host).ok_or_else(|| {
            let detail = format!("{} is no host that is below {}", asked_host, wildcard.external.host_pattern());
            Failed::new(Fault::ConfigMissing, detail).unprocessed()
        })?;
        let mut hosts = self.further.hosts.borrow_mut();
        if let Some(pool) = hosts.get(&internal.host) {
            return Ok(Rc::clone(pool));
        }
        // Names that were only tried go first, so that a sweep of them costs nobody a connection.
        if hosts.len() >= WILDCARD_HOSTS_MAX {
            hosts.retain(|_, pool| !pool.is_unused());
        }
        if hosts.len() >= WILDCARD_HOSTS_MAX {
            hosts.retain(|_, pool| Rc::strong_count(pool) > 1);
        }
        if hosts.len() >= WILDCARD_HOSTS_MAX {
            let detail = format!("{WILDCARD_HOSTS_MAX} hosts below {} are asked for at once", wildcard.internal.host);
            return Err(Failed::new(Fault::Overloaded, detail).unprocessed());
        }
        let host = internal.host.clone();
        let backend = wildcard.below(internal);
        let backend = backend.map_err(|reason| Failed::new(Fault::ConfigMissing, reason).unprocessed())?;
        let pool = self.beside(Arc::new(backend), self.names.for_chosen());
        hosts.insert(host, Rc::clone(&pool));
        Ok(pool)
    }

    /// Of another backend, for the same worker. What is built into the program has no further parts.
    fn beside(&self, backend: Arc<Backend>, names: Names) -> Rc<Self> {
        let (way, counters) = (self.way.clone(), Arc::clone(&self.counters));
        Self::new(backend, way, self.share, counters, None, names)
    }

    /// No request has it, and no connection is kept.
    fn is_unused(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) == 1 && self.idle.borrow().is_empty() && self.shared.borrow().is_empty()
    }
}
