//! Checks, as their owners ask and answer them.

use super::Connection;
use crate::frame::FrameKind;
use crate::message::check::{CHECK_ANSWER_BYTES_MAX, CHECK_BYTES_MAX, Check, CheckAnswer};

impl Connection {
    /// Relay: has the connector look at an application. False, and nothing is sent, where it is of a version that does not know
    /// checks, or has not introduced itself.
    ///
    /// # Panics
    /// If more is asked than [`crate::CHECK_BYTES_MAX`].
    pub fn check(&mut self, check: &Check) -> bool {
        assert!(check.asked.len() <= CHECK_BYTES_MAX, "a check of {} bytes", check.asked.len());
        let known = self.peer.is_some_and(|peer| peer.answers_checks);
        if known {
            self.outbox.control(FrameKind::Check, 0, &check.encode());
        }
        known
    }

    /// Connector: says what it found.
    ///
    /// # Panics
    /// If it found more than [`crate::CHECK_ANSWER_BYTES_MAX`].
    pub fn answer_check(&mut self, answer: &CheckAnswer) {
        assert!(answer.found.len() <= CHECK_ANSWER_BYTES_MAX, "an answer of {} bytes", answer.found.len());
        self.outbox.control(FrameKind::CheckAnswer, 0, &answer.encode());
    }
}
