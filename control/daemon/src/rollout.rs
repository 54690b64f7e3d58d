//! Waits until a change is in force where it counts: at the relays. A relay says so once every one of its workers decides by
//! the new state.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::control::Control;

/// Waits until every relay whose link is up has confirmed `version`, at most [`ROLLOUT_MAX`], and says which have not. A relay
/// that is not linked is not waited for: it gets the change when it comes back.
pub(crate) async fn confirmed(control: &Control, version: u64) -> Vec<String> {
    let deadline = Instant::now() + ROLLOUT_MAX;
    let changed = Arc::clone(control.fleet.borrow().changed());
    loop {
        let mut change = std::pin::pin!(changed.notified());
        change.as_mut().enable();
        let waiting = control.fleet.borrow().unconfirmed(version);
        if waiting.is_empty() || timeout_at(deadline, change).await.is_err() {
            return unconfirmed(control, version);
        }
    }
}

/// One line for each relay that is linked and does not serve `version`.
fn unconfirmed(control: &Control, version: u64) -> Vec<String> {
    let snapshot = control.snapshot();
    let fleet = control.fleet.borrow();
    let behind = |relay: &postern_model::config::Relay| {
        let link = fleet.relay(relay.id).filter(|link| link.connected && link.applied_version < version)?;
        Some(match &link.rejected {
            Some((rejected, reason)) if *rejected >= version => {
                format!(
                    "relay {} refuses this change and serves version {}: {reason}",
                    relay.name, link.applied_version
                )
            }
            _ if link.applied_version == 0 => format!(
                "relay {} has not confirmed this change yet: it has just linked and not said what it serves; postern status shows when it does",
                relay.name
            ),
            _ => format!(
                "relay {} has not confirmed this change yet: it serves version {} of {version}; postern status shows when it does",
                relay.name, link.applied_version
            ),
        })
    };
    snapshot.relays.values().filter_map(behind).collect()
}

/// One line for each relay that cannot be told now: what is taken away it goes on letting pass meanwhile.
pub(crate) fn out_of_reach(control: &Control) -> Vec<String> {
    let snapshot = control.snapshot();
    let fleet = control.fleet.borrow();
    let is_linked = |relay| fleet.relay(relay).is_some_and(|link| link.connected);
    let away = snapshot.relays.values().filter(|relay| !is_linked(relay.id));
    away.map(|relay| format!("relay {} is not linked: it goes by what it was told last until it is", relay.name))
        .collect()
}

/// A relay takes milliseconds; one that takes longer is worth a word, and the command's end.
const ROLLOUT_MAX: Duration = Duration::from_secs(5);
