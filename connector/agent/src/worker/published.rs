//! Which links hold, for whoever translates content.

use super::Worker;

impl Worker {
    /// Another number when links lead somewhere else.
    pub(crate) fn links_mark(&self) -> u32 {
        self.table.borrow().as_ref().map_or(0, |table| table.links_mark)
    }
}
