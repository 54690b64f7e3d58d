//! Waits until a change is in force where it counts: at the relays. A relay says so once every one of its workers decides by
//! the new state.

use std::sync::Arc;
use std::time::Duration;

use postern_model::config::Relay;
use tokio::time::{Instant, timeout_at};

use crate::control::Control;
use crate::fleet::RelayLink;

/// Waits until every relay whose link is up has confirmed `version`, at most [`ROLLOUT_MAX`], and says which relays do not serve
/// it. A relay that is not linked is not waited for: it gets the change when it comes back, and is named all the same.
pub(crate) async fn confirmed(control: &Control, version: u64) -> Vec<String> {
    let sessions = control.fleet.borrow().newest_sessions();
    let deadline = Instant::now() + ROLLOUT_MAX;
    let changed = Arc::clone(control.fleet.borrow().changed());
    loop {
        let mut change = std::pin::pin!(changed.notified());
        change.as_mut().enable();
        let waiting = control.fleet.borrow().unconfirmed(version, sessions);
        if waiting.is_empty() || timeout_at(deadline, change).await.is_err() {
            return behind(control, version, sessions);
        }
    }
}

/// One line for each relay that does not serve `version`, linked or not. Asked only after the wait, so that a relay whose link
/// breaks meanwhile is named, too.
fn behind(control: &Control, version: u64, sessions: u64) -> Vec<String> {
    let snapshot = control.snapshot();
    let fleet = control.fleet.borrow();
    let late = |relay: &Relay| match fleet.relay(relay.id) {
        Some(link) if link.applied_version >= version && link.knows_sessions(sessions) => None,
        Some(link) if link.connected => Some(linked_behind(relay, link, version)),
        Some(_) | None => {
            Some(format!("relay {} is not linked: it goes by what it was told last until it is", relay.name))
        }
    };
    snapshot.relays.values().filter_map(late).collect()
}

fn linked_behind(relay: &Relay, link: &RelayLink, version: u64) -> String {
    let (name, serves) = (&relay.name, link.applied_version);
    if serves >= version {
        return format!("relay {name} has not confirmed yet which sessions ended: they may go on there for a moment");
    }
    match &link.rejected {
        Some((rejected, reason)) if *rejected >= version => {
            format!("relay {name} refuses this change and serves version {serves}: {reason}")
        }
        _ if serves == 0 => format!(
            "relay {name} has not confirmed this change yet: it has just linked and not said what it serves; postern status shows when it does"
        ),
        _ => format!(
            "relay {name} has not confirmed this change yet: it serves version {serves} of {version}; postern status shows when it does"
        ),
    }
}

/// A relay takes milliseconds; one that takes longer is worth a word, and the command's end.
const ROLLOUT_MAX: Duration = Duration::from_secs(5);
