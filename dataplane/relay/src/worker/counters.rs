//! What a worker counts. Each counter has one writer, the worker; `/metrics` shows them worker by worker.

use std::sync::atomic::{AtomicU64, Ordering};

use postern_service::metrics::Kind;

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
            pub(crate) fn list(&self) -> Vec<(&'static str, Kind, &'static str, u64)> {
                vec![$(($metric, Kind::$kind, $help, self.$field.value()),)*]
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections_accepted: Counter "postern_relay_connections_accepted_total" "Connections accepted.",
    /// Connections open now.
    connections_open: Gauge "postern_relay_connections_open" "Connections open now.",
    /// Connections closed before or in their TLS handshake.
    handshakes_failed: Counter "postern_relay_handshakes_failed_total" "Connections that ended before or in their TLS handshake.",
    /// TLS handshakes of clients with a certificate.
    handshakes_full: Counter "postern_relay_handshakes_full_total" "TLS handshakes of clients from the beginning.",
    /// TLS handshakes of clients by a ticket.
    handshakes_resumed: Counter "postern_relay_handshakes_resumed_total" "TLS handshakes of clients that resumed an earlier session.",
    /// Requests answered, whatever the status.
    requests: Counter "postern_relay_worker_requests_total" "Requests answered, whatever the status.",
    /// Requests that the relay answered itself with an error.
    requests_refused: Counter "postern_relay_worker_requests_refused_total" "Requests that the relay answered itself, with an error.",
    /// Tunnels open now.
    tunnels_open: Gauge "postern_relay_tunnels_open" "Tunnels open now.",
    /// Requests in progress now.
    requests_open: Gauge "postern_relay_requests_open" "Requests in progress, as of the last second.",
    /// Streams on tunnels now.
    tunnel_streams_open: Gauge "postern_relay_tunnel_streams_open" "Streams on tunnels, as of the last second.",
    /// Bytes that wait to be sent through tunnels.
    tunnel_queue_bytes: Gauge "postern_relay_tunnel_queue_bytes" "Bytes that wait to be sent through tunnels, as of the last second.",
    /// Connections passed on to another worker.
    connections_moved: Counter "postern_relay_connections_moved_total" "Connections passed on to another worker.",
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
        // One writer: no locked addition is needed.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// One less, for gauges.
    pub fn decrement(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
    }

    /// This and nothing else, for gauges.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
