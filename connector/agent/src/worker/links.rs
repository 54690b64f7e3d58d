//! Where the tenant's applications are, for whoever translates links to them.

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
}
