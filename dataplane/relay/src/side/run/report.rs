//! What control and the relay's own pages are told of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_model::link::{RelayStatus, ToControl};

use super::Side;
use crate::side::admin::Shown;
use crate::worker::drain::DrainState;

impl Side {
    pub(super) fn send_status(&mut self) {
        self.receiver.traces.sweep();
        let workers = self.receiver.reports.states();
        let published = self.keeper.handle().current();
        let known = |id| published.connectors.contains_key(&id);
        let status = self.book.status(&self.constant, &workers, published.version, known, unix_ms());
        let status = RelayStatus { corporate: published.networks.report(), ..status };
        if self.linked {
            self.tell_control(ToControl::Status(self.keeper.report(status.clone())));
        }
        let draining = self.drain.state() != DrainState::Running;
        self.view.show(Shown {
            accepting: self.told_ready,
            linked: self.linked,
            draining,
            status,
            kernel: self.kernel,
        });
    }
}

pub(super) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

pub(super) fn unix_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}
