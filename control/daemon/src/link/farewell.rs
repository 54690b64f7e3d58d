//! A relay that was removed goes on with what it was told last, tokens among it, until it is told of that. So it is dialled on
//! while it cannot be: for some time, and as long as this control runs.

use postern_model::config::Relay;
use tokio::time::Instant;

use crate::control::Control;
use crate::limits::FAREWELL_TIME_MAX;

/// What its dialling task remembers of a relay, for the time after its removal.
#[derive(Default)]
pub(super) struct Farewell {
    /// The key it was known by last: nobody else is told anything.
    key_sha256: Option<String>,
    removed: Option<Instant>,
}

/// There is nobody to tell any more.
pub(super) struct NobodyToTell;

impl Farewell {
    /// The key that the relay must show when it is dialled now; `None` at first use.
    pub(super) fn expected(&mut self, control: &Control, relay: &Relay) -> Result<Option<String>, NobodyToTell> {
        if !is_removed(control, relay) {
            let pinned = control.pin(relay.id).map(|pin| pin.key_sha256);
            self.key_sha256 = pinned.clone().or(self.key_sha256.take());
            return Ok(pinned);
        }
        // One that was never reached was told nothing.
        let key = self.key_sha256.clone().ok_or(NobodyToTell)?;
        let removed = *self.removed.get_or_insert_with(Instant::now);
        if removed.elapsed() > FAREWELL_TIME_MAX || is_another_now(control, relay, &key) {
            return Err(NobodyToTell);
        }
        Ok(Some(key))
    }

    /// It was reached, and showed this key.
    pub(super) fn reached(&mut self, key_sha256: &str) {
        self.key_sha256 = Some(key_sha256.to_owned());
    }
}

pub(super) fn is_removed(control: &Control, relay: &Relay) -> bool {
    !control.snapshot().relays.contains_key(&relay.id)
}

/// Whether a removed relay was added again: under another name it is to go on.
pub(super) fn is_another_now(control: &Control, relay: &Relay, key_sha256: &str) -> bool {
    let has_key = |other: &Relay| control.pin(other.id).is_some_and(|pin| pin.key_sha256 == key_sha256);
    control.snapshot().relays.values().any(|other| other.address == relay.address || has_key(other))
}
