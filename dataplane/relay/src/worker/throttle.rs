//! How much of what is permitted is let through now. An [`Admitted`] is made here only, and a stream is opened for
//! nothing else.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use postern_io::now;
use postern_model::ids::AppId;
use postern_model::plan::PlannedApp;

use super::authorise::{Permit, Subject};
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

    pub(crate) fn permit(&self) -> &Permit {
        &self.permit
    }

    /// For its review.
    pub(crate) fn permit_mut(&mut self) -> &mut Permit {
        &mut self.permit
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

/// Where a request comes in: its source, and the limits there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entrance<'a> {
    pub(crate) table: &'a LimitTable,
    pub(crate) address: IpAddr,
    pub(crate) worker: u16,
    pub(crate) drops: &'a SourceDrops,
}

/// Admits a request while the worker has room and no limit of the application, its tenant, the user or the source is used up. A source
/// that floods is dropped in the kernel for a while, where there is BPF.
pub(crate) fn throttle(permit: Permit, entrance: &Entrance<'_>, in_progress: &InProgress) -> Result<Admitted, Reject> {
    if in_progress.0.get() >= REQUESTS_PER_WORKER_MAX {
        return Err(Reject::overloaded());
    }
    let limits = match entrance.table.app(permit.app().id) {
        Some(limits) => {
            let from = (entrance.address, permit.subject().and_then(Subject::login));
            let entered = Admission::enter(limits, from, entrance.worker, now().as_nanos());
            Some(entered.map_err(|limited| entrance.refuse(&limited))?)
        }
        None => None,
    };
    in_progress.0.set(in_progress.0.get() + 1);
    Ok(Admitted { permit, limits, _place: Place(Rc::clone(&in_progress.0)) })
}

impl Entrance<'_> {
    /// A request that does not get that far counts at its source all the same: who tries tokens is held back as who asks for
    /// pages is, and takes nothing of what the application and the tenant may have.
    pub(crate) fn turned_away(&self, app: AppId, reject: Reject) -> Reject {
        self.knock(app).err().unwrap_or(reject)
    }

    /// Counts a request at its source, and nowhere else.
    pub(crate) fn knock(&self, app: AppId) -> Result<(), Reject> {
        let Some(limits) = self.table.app(app) else { return Ok(()) };
        let knocked = Admission::knock(limits, self.address, self.worker, now().as_nanos());
        knocked.map_err(|limited| self.refuse(&limited))
    }

    /// One that floods is not answered any more for a while: dropped in the kernel where that can be done, else its
    /// connections are closed as they come.
    fn refuse(&self, limited: &Limited) -> Reject {
        let Self { table, address, drops, .. } = *self;
        if limited.floods && !drops.drop_source(address, SOURCE_DROP_TIME) && !drops.is_spared(address) {
            let now = now();
            table.shut_out(address, now.after(SOURCE_DROP_TIME).as_nanos(), now.as_nanos());
        }
        Reject::limited(limited)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
