//! What the connector counts, over all its workers. `/metrics` shows it; nothing waits for it.

use std::sync::atomic::{AtomicU64, Ordering};

use postern_service::metrics::{Kind, Page};

use crate::failure::Fault;

/// Defines [`Counters`] and its list of names from one table.
macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident: $kind:ident $metric:literal $help:literal,)*) => {
        /// The connector's counters.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $field: Counter,)*
            failures: [Counter; Fault::ALL.len()],
        }

        impl Counters {
            /// Writes every counter.
            pub(crate) fn describe(&self, page: &mut Page) {
                $(page.single($metric, Kind::$kind, $help, self.$field.value());)*
                self.describe_failures(page);
            }
        }
    };
}

counters! {
    tunnels: Gauge "postern_connector_tunnels" "Tunnels up now.",
    tunnels_lost: Counter "postern_connector_tunnels_lost_total" "Tunnels that ended without being asked to.",
    dials_failed: Counter "postern_connector_dials_failed_total" "Dials that led to no tunnel.",
    requests: Gauge "postern_connector_requests" "Requests in progress now.",
    requests_total: Counter "postern_connector_requests_total" "Requests begun.",
    requests_failed: Counter "postern_connector_requests_failed_total" "Requests without a whole answer.",
    requests_retried: Counter "postern_connector_requests_retried_total" "Requests sent again because the backend had closed a kept connection.",
    requests_moved: Counter "postern_connector_requests_moved_total" "Requests sent to another member of a farm because one could not take them.",
    request_bytes: Counter "postern_connector_request_bytes_total" "Request bodies sent to backends.",
    response_bytes: Counter "postern_connector_response_bytes_total" "Response bodies taken from backends.",
    backend_connections_open: Gauge "postern_connector_backend_connections_open" "Connections to backends open now, in use or kept.",
    backend_connections: Counter "postern_connector_backend_connections_total" "Connections made to backends.",
    transactions_dropped: Counter "postern_connector_transactions_dropped_total" "Records that the transaction log could not take in time.",
}

impl Counters {
    /// A request came to no whole answer.
    pub(crate) fn failed(&self, fault: Fault) {
        self.requests_failed.increment();
        self.failures[fault as usize].increment();
    }

    fn describe_failures(&self, page: &mut Page) {
        let help = "Requests without a whole answer, by what went wrong.";
        let mut family = page.family("postern_connector_failures_total", Kind::Counter, help);
        for (fault, count) in Fault::ALL.into_iter().zip(&self.failures) {
            family.sample(&[("kind", fault.kind())], count.value());
        }
    }
}

/// A number that many threads change.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// One less, for gauges.
    pub(crate) fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
