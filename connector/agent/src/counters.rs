//! What the connector counts, over all its workers. `/metrics` shows it; nothing waits for it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Defines [`Counters`] and its list of names from one table.
macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident: $kind:ident $metric:literal $help:literal,)*) => {
        /// The connector's counters.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $field: Counter,)*
        }

        impl Counters {
            /// Every counter: metric name, type, help and value.
            pub(crate) fn list(&self) -> Vec<(&'static str, &'static str, &'static str, u64)> {
                vec![$(($metric, stringify!($kind), $help, self.$field.value()),)*]
            }
        }
    };
}

counters! {
    tunnels: gauge "postern_connector_tunnels" "Tunnels up now.",
    tunnels_lost: counter "postern_connector_tunnels_lost_total" "Tunnels that ended without being asked to.",
    dials_failed: counter "postern_connector_dials_failed_total" "Dials that led to no tunnel.",
    requests: gauge "postern_connector_requests" "Requests in progress now.",
    requests_total: counter "postern_connector_requests_total" "Requests begun.",
    requests_failed: counter "postern_connector_requests_failed_total" "Requests without a whole answer.",
    requests_retried: counter "postern_connector_requests_retried_total" "Requests sent again because the backend had closed a kept connection.",
    request_bytes: counter "postern_connector_request_bytes_total" "Request bodies sent to backends.",
    response_bytes: counter "postern_connector_response_bytes_total" "Response bodies taken from backends.",
    backend_connections: counter "postern_connector_backend_connections_total" "Connections made to backends.",
    transactions_dropped: counter "postern_connector_transactions_dropped_total" "Records that the transaction log could not take in time.",
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
