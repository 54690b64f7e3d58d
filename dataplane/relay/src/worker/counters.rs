//! What a worker counts. Each counter has one writer, the worker; `/metrics` shows them worker by worker.

use std::sync::atomic::{AtomicU64, Ordering};

/// Defines [`WorkerCounters`] and its list of names from one table.
macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident: $kind:ident $metric:literal $help:literal,)*) => {
        /// One worker's counters.
        #[derive(Debug, Default)]
        pub struct WorkerCounters {
            $($(#[$doc])* pub $field: Counter,)*
        }

        impl WorkerCounters {
            /// Every counter: metric name, type, help and value.
            pub(crate) fn list(&self) -> Vec<(&'static str, &'static str, &'static str, u64)> {
                vec![$(($metric, stringify!($kind), $help, self.$field.value()),)*]
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections_accepted: counter "postern_relay_connections_accepted_total" "Connections accepted.",
    /// Connections open now.
    connections_open: gauge "postern_relay_connections_open" "Connections open now.",
    /// Connections closed before or in their TLS handshake.
    handshakes_failed: counter "postern_relay_handshakes_failed_total" "Connections that ended before or in their TLS handshake.",
    /// Requests answered, whatever the status.
    requests: counter "postern_relay_requests_total" "Requests answered, whatever the status.",
    /// Requests that the relay answered itself with an error.
    requests_refused: counter "postern_relay_requests_refused_total" "Requests that the relay answered itself, with an error.",
    /// Tunnels open now.
    tunnels_open: gauge "postern_relay_tunnels_open" "Tunnels open now.",
    /// Connections passed on to another worker.
    connections_moved: counter "postern_relay_connections_moved_total" "Connections passed on to another worker.",
}

/// A number that one thread changes and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// `count` more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// One less, for gauges.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
