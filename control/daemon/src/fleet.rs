//! What relays said last, in memory only: links, their state, connectors online. Gone with the process, back within seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use postern_model::ids::{AppId, ConnectorId, GroupId, RelayId, SessionId};
use postern_model::link::{CLOCK_SKEW_MS_MAX, ConnectorStatus, RelayStatus};
use tokio::sync::{mpsc, oneshot};

use crate::clock::now_unix_ms;
use crate::limits::QUESTIONS_QUEUED_MAX;
use crate::link::asked::Ask;
use crate::sessions::Followed;

/// Every relay that was heard of since the start.
#[derive(Default)]
pub(crate) struct Fleet {
    relays: BTreeMap<RelayId, RelayLink>,
    sessions: u64,
    /// Counts changes to sessions.
    sessions_changed: u64,
    /// Told whenever a relay came to serve something else, or nothing.
    changed: Arc<tokio::sync::Notify>,
}

/// One relay's link.
#[derive(Default)]
pub(crate) struct RelayLink {
    pub(crate) connected: bool,
    pub(crate) since_unix_ms: u64,
    pub(crate) software: String,
    /// What it reported on this link, or on the last one when it is down.
    pub(crate) status: Option<RelayStatus>,
    /// What it said it serves on this link, or on the last one when it is down; 0 before it said so.
    pub(crate) applied_version: u64,
    /// Why the link is down.
    pub(crate) problem: Option<String>,
    /// The version it refused and why, until it applies a later one.
    pub(crate) rejected: Option<(u64, String)>,
    /// Its clock less ours.
    pub(crate) skew_ms: i64,
    /// Sessions that changed since they were sent last, in the order in which they are sent.
    sessions_unsent: BTreeSet<(Turn, SessionId)>,
    /// Of [`Fleet::sessions_changed`], what it confirmed. All of it, of a relay that holds no sessions.
    sessions_applied: u64,
    sessions_news: Arc<tokio::sync::Notify>,
    session: u64,
    stop: Option<oneshot::Sender<Stop>>,
    asks: Option<mpsc::Sender<Ask>>,
}

/// When a relay is told of a session. One that was revoked does not wait for a hundred thousand whose groups were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    First,
    Later,
}

/// What a session listens to besides its relay.
pub(crate) struct Signals {
    /// It is to end, for this reason.
    pub(crate) stopped: oneshot::Receiver<Stop>,
    /// Questions to its relay.
    pub(crate) asks: mpsc::Receiver<Ask>,
    /// Sessions changed.
    pub(crate) sessions_news: Arc<tokio::sync::Notify>,
}

/// Why a session is to end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Another link of the same relay took over.
    Replaced,
    /// The relay was removed, as this says.
    Removed(String),
}

/// Which of a relay's sessions is speaking: an older one is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) relay: RelayId,
    number: u64,
}

impl Fleet {
    /// A link is up. A session of the same relay that was up ends with a reason, which the receiver gets.
    pub(crate) fn linked(&mut self, relay: RelayId, software: String, sessions: bool) -> (Session, Signals) {
        self.sessions += 1;
        let (stop, stopped) = oneshot::channel();
        let (ask, asks) = mpsc::channel(QUESTIONS_QUEUED_MAX);
        let link = self.relays.entry(relay).or_default();
        if let Some(stop) = link.stop.replace(stop) {
            let _ = stop.send(Stop::Replaced);
        }
        link.connected = true;
        link.since_unix_ms = now_unix_ms();
        link.software = software;
        link.problem = None;
        // The relay may be another process now, without a tunnel and with an older state. It reports within a second.
        link.status = None;
        link.applied_version = 0;
        link.session = self.sessions;
        link.asks = Some(ask);
        link.sessions_unsent.clear();
        link.sessions_applied = if sessions { NOT_IN_STEP } else { u64::MAX };
        let sessions_news = Arc::clone(&link.sessions_news);
        (Session { relay, number: self.sessions }, Signals { stopped, asks, sessions_news })
    }

    /// A link is down.
    pub(crate) fn unlinked(&mut self, session: Session, reason: &str) {
        self.changed.notify_waiters();
        let Some(link) = self.current(session) else { return };
        link.connected = false;
        link.since_unix_ms = now_unix_ms();
        link.problem = Some(reason.into());
        link.stop = None;
        link.asks = None;
        link.sessions_unsent.clear();
    }

    /// These are not what they were: every relay that is linked will be told. Others ask when they come.
    pub(crate) fn sessions_changed(&mut self, changed: &Followed) {
        if changed == &Followed::default() {
            return;
        }
        self.sessions_changed += 1;
        for link in self.relays.values_mut().filter(|link| link.connected) {
            link.sessions_unsent.extend(changed.single.iter().map(|id| (Turn::First, *id)));
            link.sessions_unsent.extend(changed.many.iter().map(|id| (Turn::Later, *id)));
            link.sessions_news.notify_one();
        }
    }

    /// What is to be sent next of changed sessions, at most `limit`, and the number to confirm it by: that of all changes so far
    /// once nothing is left, else none.
    pub(crate) fn take_changed(&mut self, session: Session, limit: usize) -> (Vec<SessionId>, u64) {
        let newest = self.sessions_changed;
        let Some(link) = self.current(session) else { return (Vec::new(), NOT_IN_STEP) };
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some((_, id)) = link.sessions_unsent.pop_first()
        {
            taken.push(id);
        }
        (taken, if link.sessions_unsent.is_empty() { newest } else { NOT_IN_STEP })
    }

    /// The number of all changes so far.
    pub(crate) const fn newest_sessions(&self) -> u64 {
        self.sessions_changed
    }

    /// The same, for a relay that needs to be told of none of them any more.
    pub(crate) fn told_all(&mut self, session: Session) -> u64 {
        let newest = self.sessions_changed;
        self.current(session).filter(|link| link.sessions_unsent.is_empty()).map_or(NOT_IN_STEP, |_| newest)
    }

    /// A relay goes by the sessions as they were at this number.
    pub(crate) fn sessions_applied(&mut self, session: Session, number: u64) {
        let Some(link) = self.current(session) else { return };
        link.sessions_applied = link.sessions_applied.max(number);
        self.changed.notify_waiters();
    }

    /// A relay could not be linked.
    pub(crate) fn failed(&mut self, relay: RelayId, reason: &str) {
        let link = self.relays.entry(relay).or_default();
        if !link.connected {
            link.problem = Some(reason.into());
        }
    }

    /// A relay was removed: its session ends.
    pub(crate) fn removed(&mut self, relay: RelayId, reason: &str) {
        let link = self.relays.remove(&relay);
        if let Some(stop) = link.and_then(|link| link.stop) {
            let _ = stop.send(Stop::Removed(reason.into()));
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn reported(&mut self, session: Session, status: RelayStatus) {
        let Some(link) = self.current(session) else { return };
        link.applied_version = status.applied_version;
        link.note_clock(status.time_unix_ms);
        link.status = Some(status);
        self.changed.notify_waiters();
    }

    pub(crate) fn applied(&mut self, session: Session, version: u64) {
        let Some(link) = self.current(session) else { return };
        link.applied_version = version;
        if link.rejected.as_ref().is_some_and(|(rejected, _)| *rejected <= version) {
            link.rejected = None;
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn rejected(&mut self, session: Session, version: u64, reason: String) {
        let Some(link) = self.current(session) else { return };
        link.rejected = Some((version, reason));
        self.changed.notify_waiters();
    }

    pub(crate) fn clock(&mut self, session: Session, time_unix_ms: u64) {
        if let Some(link) = self.current(session) {
            link.note_clock(time_unix_ms);
        }
    }

    /// Notified after every such change. The waiter looks when it gets its turn, which is after the change.
    pub(crate) fn changed(&self) -> &Arc<tokio::sync::Notify> {
        &self.changed
    }

    /// Relays whose link is up and that neither serve `version` nor refused it, or do not go by the sessions as they were at
    /// `sessions`.
    pub(crate) fn unconfirmed(&self, version: u64, sessions: u64) -> Vec<RelayId> {
        let refused = |link: &RelayLink| link.rejected.as_ref().is_some_and(|(rejected, _)| *rejected >= version);
        let behind = |link: &RelayLink| link.applied_version < version && !refused(link);
        let waiting = |link: &RelayLink| link.connected && (behind(link) || link.sessions_applied < sessions);
        self.relays.iter().filter(|(_, link)| waiting(link)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn relay(&self, relay: RelayId) -> Option<&RelayLink> {
        self.relays.get(&relay)
    }

    /// Relays whose link is up, and the way to ask them.
    pub(crate) fn askable(&self) -> Vec<(RelayId, mpsc::Sender<Ask>)> {
        self.relays.iter().filter_map(|(id, link)| Some((*id, link.asks.clone()?))).collect()
    }

    /// Where a connector was reported, and how. Reports of relays whose link is down do not count.
    pub(crate) fn connector(&self, connector: ConnectorId) -> impl Iterator<Item = (RelayId, &ConnectorStatus)> {
        self.reports().filter(move |(_, status)| status.id == connector)
    }

    /// Requests from corporate networks at all relays, by application and network.
    pub(crate) fn corporate(&self) -> BTreeMap<AppId, BTreeMap<String, u64>> {
        let mut sums: BTreeMap<AppId, BTreeMap<String, u64>> = BTreeMap::new();
        let statuses = self.relays.values().filter_map(|link| link.status.as_ref());
        for corporate in statuses.flat_map(|status| &status.corporate) {
            *sums.entry(corporate.app).or_default().entry(corporate.network.clone()).or_default() += corporate.requests;
        }
        sums
    }

    /// Connectors online at one relay or more.
    pub(crate) fn online(&self) -> std::collections::BTreeSet<ConnectorId> {
        self.reports().filter(|(_, status)| status.online).map(|(_, status)| status.id).collect()
    }

    /// Connectors online, and whether each has a keytab where it said so.
    pub(crate) fn keytabs(&self) -> impl Iterator<Item = (ConnectorId, Option<bool>)> {
        self.reports().filter(|(_, status)| status.online).map(|(_, status)| (status.id, status.has_keytab))
    }

    fn reports(&self) -> impl Iterator<Item = (RelayId, &ConnectorStatus)> {
        let linked = self.relays.iter().filter(|(_, link)| link.connected);
        let reports = linked.filter_map(|(id, link)| Some((*id, link.status.as_ref()?)));
        reports.flat_map(|(id, status)| status.connectors.iter().map(move |status| (id, status)))
    }

    fn current(&mut self, session: Session) -> Option<&mut RelayLink> {
        self.relays.get_mut(&session.relay).filter(|link| link.session == session.number)
    }
}

impl RelayLink {
    /// Whether it goes by the sessions as they were at this number.
    pub(crate) const fn knows_sessions(&self, sessions: u64) -> bool {
        self.sessions_applied >= sessions
    }

    /// What to do about the relay's clock, if anything.
    pub(crate) fn clock_warning(&self, name: &str) -> Option<String> {
        if self.skew_ms.unsigned_abs() <= CLOCK_SKEW_MS_MAX {
            return None;
        }
        let direction = if self.skew_ms > 0 { "ahead of" } else { "behind" };
        let seconds = self.skew_ms.unsigned_abs() / 1000;
        Some(format!(
            "the clock of relay {name} is {seconds} s {direction} control's: certificates will be refused; synchronise both (timedatectl set-ntp true)"
        ))
    }

    fn note_clock(&mut self, time_unix_ms: u64) {
        if time_unix_ms != 0 {
            let difference = i128::from(time_unix_ms) - i128::from(now_unix_ms());
            self.skew_ms = i64::try_from(difference).unwrap_or(i64::MAX);
        }
    }
}

/// Of a relay whose sessions were not compared yet.
pub(crate) const NOT_IN_STEP: u64 = 0;

/// Counts by group.
pub(crate) fn by_group(groups: impl IntoIterator<Item = GroupId>) -> BTreeMap<GroupId, u32> {
    let mut counts = BTreeMap::new();
    for group in groups {
        *counts.entry(group).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(connector: &str) -> RelayStatus {
        let connector = ConnectorStatus {
            id: connector.parse().unwrap(),
            online: true,
            tunnels: 1,
            software: "x".into(),
            has_keytab: None,
            since_unix_ms: 1,
            rtt_us: 5,
        };
        RelayStatus { applied_version: 7, connectors: vec![connector], ..RelayStatus::default() }
    }

    #[test]
    fn what_ended_is_told_before_what_may_be_as_it_was() {
        let mut fleet = Fleet::default();
        let (session, _signals) = fleet.linked(RelayId(1), "x".into(), true);
        let many = (0..5).map(SessionId).collect();
        fleet.sessions_changed(&Followed { many, ..Followed::default() });
        assert_eq!(fleet.told_all(session), NOT_IN_STEP);
        fleet.sessions_changed(&Followed { single: BTreeSet::from([SessionId(9)]), ..Followed::default() });
        let (first, n) = fleet.take_changed(session, 2);
        assert_eq!((first, n), (vec![SessionId(9), SessionId(0)], NOT_IN_STEP));
        let (rest, n) = fleet.take_changed(session, 9);
        assert_eq!((rest.len(), n), (4, 2), "all are confirmed together");
        assert_eq!(fleet.told_all(session), 2);
    }

    #[test]
    fn a_new_link_knows_nothing_of_what_the_last_one_reported() {
        let mut fleet = Fleet::default();
        let relay = RelayId(1);
        let (first, _signals) = fleet.linked(relay, "x".into(), false);
        fleet.reported(first, status("c1-1"));
        assert_eq!((fleet.online().len(), fleet.unconfirmed(7, 0)), (1, vec![]));
        fleet.unlinked(first, "gone");
        assert_eq!(
            (fleet.online().len(), fleet.unconfirmed(8, 0)),
            (0, vec![]),
            "what is not linked is not waited for"
        );

        let (second, _signals) = fleet.linked(relay, "x".into(), false);
        assert_eq!((fleet.online().len(), fleet.unconfirmed(7, 0)), (0, vec![relay]));
        fleet.reported(first, status("c1-1"));
        assert!(fleet.online().is_empty(), "a link that was replaced reports nothing any more");
        fleet.reported(second, status("c1-2"));
        assert_eq!((fleet.online().len(), fleet.unconfirmed(7, 0)), (1, vec![]), "a report confirms, too");
    }
}
