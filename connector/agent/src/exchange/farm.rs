//! A request to an application at several places: to one member after the other until one takes it. Another one gets it only where
//! nothing of it was sent, or where it may be sent twice; and of its content nothing must be gone.

use std::rc::Rc;
use std::sync::Arc;

use postern_http::RequestHead;
use postern_io::now;

use super::Exchange;
use crate::failure::{Failed, Fault};
use crate::farm::Farm;
use crate::pool::Pool;

impl Exchange {
    pub(super) async fn run_in_farm(
        &self,
        farm: &Arc<Farm>,
        pool: &Rc<Pool>,
        mut head: RequestHead,
        end: bool,
    ) -> Result<(), Failed> {
        let asked_for = farm.take_cookie(&mut head.headers);
        let begun = now();
        // A backend may have seen it.
        let mut seen = false;
        let mut failed = Farm::none_up();
        for (nth, at) in farm.order(asked_for, begun).into_iter().enumerate() {
            if nth > 0 {
                self.tunnel.worker.shared.counters.requests_moved.increment();
            }
            let visit = farm.visit(at);
            let marked = farm.mark(at, asked_for, self.meta.scheme);
            let ended = self.run_at(&pool.members[at], head.clone(), end, marked).await;
            drop(visit);
            let Err(error) = ended else { return Ok(()) };
            farm.failed(at, &error, now());
            let may_go_on = !self.incoming.is_taken() && is_of_member(&error) && may_be_sent_again(&error, seen);
            seen |= !error.unprocessed;
            failed = Failed { unprocessed: error.unprocessed && !seen, ..error };
            // Two that are silent take as long as a relay waits for a connection at least.
            if !may_go_on || now().since(begun) > pool.backend.connect_timeout * 3 / 2 {
                break;
            }
        }
        Err(failed)
    }
}

/// Where a backend may have seen it, once: whatever breaks one member by it is not to break them all.
fn may_be_sent_again(failed: &Failed, seen: bool) -> bool {
    failed.unprocessed || failed.repeatable && !seen
}

/// Whether another member could do better.
fn is_of_member(failed: &Failed) -> bool {
    match failed.fault {
        Fault::BackendRefused
        | Fault::BackendUnreachable
        | Fault::BackendTls
        | Fault::BackendBroken
        | Fault::Overloaded => true,
        Fault::BackendTimeout
        | Fault::ConfigMissing
        | Fault::SsoUnavailable
        | Fault::SsoRefused
        | Fault::SsoFailed
        | Fault::SsoRejected
        | Fault::SsoCredentialMissing
        | Fault::SsoCredentialRefused
        | Fault::SsoCredentialStale
        | Fault::ClientBroken
        | Fault::Internal
        | Fault::Cancelled => false,
    }
}
