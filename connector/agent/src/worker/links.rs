//! Where the tenant's applications are, for whoever translates links to them.

use std::sync::Arc;

use super::Worker;
use crate::translate::links::Links;

impl Worker {
    /// By the configuration in force.
    pub(crate) fn with_links<T>(&self, ask: impl FnOnce(&Links) -> T) -> T {
        match &*self.table.borrow() {
            Some(table) => ask(&table.links),
            None => ask(&Links::default()),
        }
    }

    /// The same to keep, for content that comes later.
    pub(crate) fn links(&self) -> Arc<Links> {
        self.table.borrow().as_ref().map(|table| Arc::clone(&table.links)).unwrap_or_default()
    }

    /// Another number when links lead somewhere else.
    pub(crate) fn links_mark(&self) -> u32 {
        self.table.borrow().as_ref().map_or(0, |table| table.links_mark)
    }
}
