//! How much of what is permitted is let through now. An [`Admitted`] is made here only, and a stream is opened for
//! nothing else.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use postern_io::now;
use postern_model::plan::PlannedApp;

use super::authorise::Permit;
use super::reject::Reject;
use crate::handover::SourceDrops;
use crate::limit::{Admission, LimitTable, Limited};
use crate::limits::{REQUESTS_PER_WORKER_MAX, SOURCE_DROP_TIME};

/// A request that is let through; holds its place everywhere until dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    permit: Permit,
    /// `None` where nothing is limited at all: in tests.
    limits: Option<Admission>,
    _place: Place,
}

impl Admitted {
    pub(crate) fn app(&self) -> &Arc<PlannedApp> {
        self.permit.app()
    }

    /// The limiters that pace its content; `None` when none does.
    pub(crate) fn pacing(&self) -> Option<&Admission> {
        self.limits.as_ref().filter(|limits| limits.paces())
    }
}

/// Requests in progress on one worker.
#[derive(Debug, Default)]
pub(crate) struct InProgress(Rc<Cell<usize>>);

impl InProgress {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.get()
    }
}

#[derive(Debug)]
struct Place(Rc<Cell<usize>>);

/// Admits a request while the worker has room and no limit of the application, its tenant or the source is used up. A source
/// that floods is dropped in the kernel for a while, where there is BPF.
pub(crate) fn throttle(
    permit: Permit,
    table: &LimitTable,
    address: IpAddr,
    worker: u16,
    in_progress: &InProgress,
    drops: &SourceDrops,
) -> Result<Admitted, Reject> {
    if in_progress.0.get() >= REQUESTS_PER_WORKER_MAX {
        return Err(Reject::overloaded());
    }
    let limits = match table.app(permit.app().id) {
        Some(limits) => {
            let entered = Admission::enter(limits, address, worker, now().as_nanos());
            Some(entered.map_err(|limited| refuse(&limited, table, address, drops))?)
        }
        None => None,
    };
    in_progress.0.set(in_progress.0.get() + 1);
    Ok(Admitted { permit, limits, _place: Place(Rc::clone(&in_progress.0)) })
}

/// One that floods is not answered any more for a while: dropped in the kernel where that can be done, else its connections
/// are closed as they come.
fn refuse(limited: &Limited, table: &LimitTable, address: IpAddr, drops: &SourceDrops) -> Reject {
    if limited.floods && !drops.drop_source(address, SOURCE_DROP_TIME) && !drops.is_spared(address) {
        let now = now();
        table.shut_out(address, now.after(SOURCE_DROP_TIME).as_nanos(), now.as_nanos());
    }
    Reject::limited(limited)
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
