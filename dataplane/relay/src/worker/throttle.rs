//! How much of what is permitted is let through now. An [`Admitted`] is made here only, and a stream is opened for
//! nothing else.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use postern_model::plan::PlannedApp;

use super::authorise::Permit;
use super::reject::Reject;
use crate::limits::REQUESTS_PER_WORKER_MAX;

/// A request that is let through; holds its place until dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    permit: Permit,
    _place: Place,
}

impl Admitted {
    pub(crate) fn app(&self) -> &Arc<PlannedApp> {
        self.permit.app()
    }
}

/// Requests in progress on one worker.
#[derive(Debug, Default)]
pub(crate) struct InProgress(Rc<Cell<usize>>);

#[derive(Debug)]
struct Place(Rc<Cell<usize>>);

/// Admits a request while the worker has room.
pub(crate) fn throttle(permit: Permit, in_progress: &InProgress) -> Result<Admitted, Reject> {
    if in_progress.0.get() >= REQUESTS_PER_WORKER_MAX {
        return Err(Reject::overloaded());
    }
    in_progress.0.set(in_progress.0.get() + 1);
    Ok(Admitted { permit, _place: Place(Rc::clone(&in_progress.0)) })
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
