//! How many connectors may enrol through one relay.

use std::time::Duration;

use postern_model::enrol::{EnrolError, EnrolResponse, code};
use tokio::time::Instant;

use crate::limits::ENROLMENTS_PER_S;

/// Enrolments of the second that runs.
pub(super) struct Enrolments {
    since: Instant,
    count: u32,
}

impl Default for Enrolments {
    fn default() -> Self {
        Self { since: Instant::now(), count: 0 }
    }
}

impl Enrolments {
    pub(super) fn allow(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        self.count <= ENROLMENTS_PER_S
    }
}

pub(super) fn too_many_enrolments() -> String {
    let message = "too many connectors enrol through this relay at once: try again in a second";
    let error = EnrolError { code: code::CONTROL_UNAVAILABLE.into(), message: message.into() };
    serde_json::to_string(&EnrolResponse::Error(error)).unwrap_or_default()
}
