//! Whose processes may ask control, through a relay: those where people sign in, and those that read a directory.

use std::sync::Arc;

use super::{Plan, PlannedApp};
use crate::ids::GroupId;
use crate::snapshot::Snapshot;

/// Where people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedIdentity {
    /// The application that they do it at.
    pub app: Arc<PlannedApp>,
    /// Whose connectors are identity processes.
    pub group: GroupId,
}

impl Plan {
    /// Where people sign in.
    #[must_use]
    pub const fn identity(&self) -> Option<&PlannedIdentity> {
        self.identity.as_ref()
    }

    /// Whether a group's connectors are processes that read a directory: they may ask control.
    #[must_use]
    pub fn is_directory_sync(&self, group: GroupId) -> bool {
        self.directory_sync.contains(&group)
    }

    pub(super) fn note_who_asks(&mut self, snapshot: &Snapshot) {
        let sources = snapshot.groups.values().filter(|group| group.directory_sync);
        self.directory_sync = sources.map(|group| group.id).collect();
        let identity = snapshot.identity.as_ref();
        self.identity = identity.and_then(|identity| {
            let app = Arc::clone(self.apps.get(&identity.app)?);
            Some(PlannedIdentity { app, group: identity.group })
        });
    }
}
