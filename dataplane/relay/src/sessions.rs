//! The sessions that this relay knows, shared by its workers: fetched once, changed and ended by control. A relay that control
//! cannot reach goes on with those it knows, until their own times are over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use postern_model::ids::SessionId;
use postern_model::session::SessionRecord;

use crate::limits::{SESSION_GONE_KEPT, SESSIONS_HELD_MAX};

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct SessionTable {
    entries: RwLock<HashMap<SessionId, Entry>>,
    /// Counts what may end a request in progress: records that changed or ended. New ones end nothing.
    changes: AtomicU64,
}

#[derive(Debug)]
enum Entry {
    Held(Arc<Held>),
    /// Control said there is none, and need not be asked again for a while.
    Gone {
        until: Duration,
    },
}

/// A session, and what is known of its use.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) record: SessionRecord,
    /// Second of its last use, and of the last that control was told of.
    seen_unix: AtomicU64,
    told_unix: AtomicU64,
}

/// What is known of a session.
#[derive(Debug)]
pub(crate) enum Found {
    Held(Arc<Held>),
    /// It does not exist.
    Gone,
    /// Control must be asked.
    Unknown,
}

impl SessionTable {
    /// See [`SessionTable::changes`].
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(crate) fn find(&self, id: SessionId, now: Duration) -> Found {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        match entries.get(&id) {
            Some(Entry::Held(held)) => Found::Held(Arc::clone(held)),
            Some(Entry::Gone { until }) if *until > now => Found::Gone,
            Some(Entry::Gone { .. }) | None => Found::Unknown,
        }
    }

    /// A record that was asked for. One that was held already is another now.
    pub(crate) fn put(&self, record: SessionRecord, now: Duration) -> Arc<Held> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut entries, now);
        let id = record.id;
        let before = match entries.get(&id) {
            Some(Entry::Held(held)) => Some(Arc::clone(held)),
            Some(Entry::Gone { .. }) | None => None,
        };
        if let Some(before) = before.as_ref().filter(|before| before.record == record) {
            return Arc::clone(before);
        }
        let held = Arc::new(Held::new(record, before.as_deref()));
        entries.insert(id, Entry::Held(Arc::clone(&held)));
        drop(entries);
        if before.is_some() {
            self.changes.fetch_add(1, Ordering::Release);
        }
        held
    }

    /// Control says so of a session that was asked for.
    pub(crate) fn is_gone(&self, id: SessionId, now: Duration) {
        self.change(&[], &[id], now);
    }

    /// What changed and what ended. Of those that are not held nothing is kept, but that what ended is gone.
    pub(crate) fn change(&self, changed: &[SessionRecord], ended: &[SessionId], now: Duration) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let mut ends_something = false;
        for record in changed {
            if let Some(Entry::Held(held)) = entries.get_mut(&record.id) {
                *held = Arc::new(Held::new(record.clone(), Some(held)));
                ends_something = true;
            }
        }
        for id in ended {
            make_room(&mut entries, now);
            let gone = Entry::Gone { until: now + SESSION_GONE_KEPT };
            ends_something |= matches!(entries.insert(*id, gone), Some(Entry::Held(_)));
        }
        drop(entries);
        if ends_something {
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// Those that are held, and their records' digests.
    pub(crate) fn held(&self) -> Vec<(SessionId, u64)> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let records = entries.values().filter_map(Entry::held);
        records.map(|held| (held.record.id, held.record.digest())).collect()
    }

    /// Uses that control was not told of, which it is now. Forgets what is over.
    pub(crate) fn take_seen(&self, now: Duration) -> Vec<(SessionId, u64)> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| !entry.is_over(now));
        let held = entries.values().filter_map(Entry::held);
        let used = held.filter_map(|held| {
            let seen = held.seen_unix.load(Ordering::Relaxed);
            (held.told_unix.swap(seen, Ordering::Relaxed) < seen).then_some((held.record.id, seen))
        });
        used.collect()
    }

    /// Everything ends here: this relay is no relay any more.
    pub(crate) fn clear(&self) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.changes.fetch_add(1, Ordering::Release);
    }
}

impl Entry {
    const fn held(&self) -> Option<&Arc<Held>> {
        match self {
            Self::Held(held) => Some(held),
            Self::Gone { .. } => None,
        }
    }

    fn is_in_use(&self) -> bool {
        self.held().is_some_and(|held| Arc::strong_count(held) > 1)
    }

    fn is_over(&self, now: Duration) -> bool {
        match self {
            Self::Held(held) => held.record.expires_unix <= now.as_secs(),
            Self::Gone { until } => *until <= now,
        }
    }
}

impl Held {
    fn new(record: SessionRecord, before: Option<&Self>) -> Self {
        let of = |field: fn(&Self) -> &AtomicU64| before.map_or(0, |before| field(before).load(Ordering::Relaxed));
        Self {
            record,
            seen_unix: AtomicU64::new(of(|held| &held.seen_unix)),
            told_unix: AtomicU64::new(of(|held| &held.told_unix)),
        }
    }

    /// It is used at this second.
    pub(crate) fn seen(&self, now_unix: u64) {
        // Nearly always it is known: many requests come in a second.
        if self.seen_unix.load(Ordering::Relaxed) < now_unix {
            self.seen_unix.fetch_max(now_unix, Ordering::Relaxed);
        }
    }
}

/// What is over goes first, then whatever comes: who was forgotten is asked for again. What requests in progress or connections
/// hold on to stays: of what is not in the table they would not hear when it ends. There are no more of those than of them.
fn make_room(entries: &mut HashMap<SessionId, Entry>, now: Duration) {
    if entries.len() < SESSIONS_HELD_MAX {
        return;
    }
    entries.retain(|_, entry| !entry.is_over(now));
    let too_many = (entries.len() + 1).saturating_sub(SESSIONS_HELD_MAX - SESSIONS_HELD_MAX / 16);
    if entries.len() >= SESSIONS_HELD_MAX {
        let idle = entries.iter().filter(|(_, entry)| !entry.is_in_use()).map(|(id, _)| *id);
        let chosen: Vec<SessionId> = idle.take(too_many).collect();
        for id in chosen {
            entries.remove(&id);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use postern_model::directory::Line;
    use postern_model::ids::{TenantId, UserId};
    use postern_model::session::{AuthMethod, Subject};
    use std::collections::{BTreeMap, BTreeSet};

    /// A session of user `u1-SEQ`, signed in with a password at second 0, good for a day.
    pub(crate) fn record(id: u128, seq: u32) -> SessionRecord {
        SessionRecord {
            id: SessionId(id),
            user: Subject {
                id: UserId::new(TenantId::DEFAULT, seq),
                login: format!("user{seq}").parse().unwrap(),
                display_name: Line::default(),
                mail: None,
                attributes: BTreeMap::new(),
                guest: false,
                groups: BTreeMap::new(),
                expires_unix: None,
            },
            authenticated_unix: 0,
            methods: BTreeSet::from([AuthMethod::Password]),
            provider: None,
            expires_unix: 86_400,
            idle_s: 3_600,
            persistent: false,
            source: None,
            risk: Default::default(),
            terms: Default::default(),
            device: None,
            claimed_device: Default::default(),
        }
    }

    const NOW: Duration = Duration::from_secs(100);

    fn is_held(table: &SessionTable, id: u128) -> bool {
        matches!(table.find(SessionId(id), NOW), Found::Held(_))
    }

    #[test]
    fn what_ended_is_found_no_more_and_ends_what_is_in_progress() {
        let table = SessionTable::default();
        table.put(record(1, 1), NOW);
        assert!(is_held(&table, 1));
        assert_eq!(table.changes(), 0, "a new session ends nothing");
        table.change(&[record(2, 1)], &[SessionId(3)], NOW);
        assert!(!is_held(&table, 2), "nobody asked for it");
        assert_eq!(table.changes(), 0);
        table.change(&[], &[SessionId(1)], NOW);
        assert!(matches!(table.find(SessionId(1), NOW), Found::Gone));
        assert_eq!(table.changes(), 1);
        assert!(matches!(table.find(SessionId(1), NOW + SESSION_GONE_KEPT), Found::Unknown));
    }

    #[test]
    fn a_record_that_changed_is_another_and_keeps_its_use() {
        let table = SessionTable::default();
        table.put(record(1, 1), NOW).seen(90);
        let mut other = record(1, 1);
        other.persistent = true;
        table.change(&[other.clone()], &[], NOW);
        assert_eq!(table.changes(), 1);
        assert_eq!(table.held(), [(SessionId(1), other.digest())]);
        assert_eq!(table.take_seen(NOW), [(SessionId(1), 90)]);
        assert_eq!(table.take_seen(NOW), [], "told once");
        table.put(other, NOW);
        assert_eq!(table.changes(), 1, "the same record changes nothing");
    }

    #[test]
    fn what_a_request_holds_on_to_is_not_forgotten_for_want_of_room() {
        let table = SessionTable::default();
        let in_use: Vec<_> = (0..10).map(|id| table.put(record(id, 1), NOW)).collect();
        for id in 10..2 * SESSIONS_HELD_MAX as u128 {
            table.put(record(id, 1), NOW);
        }
        assert!(table.held().len() <= SESSIONS_HELD_MAX + in_use.len());
        for held in &in_use {
            table.change(&[], &[held.record.id], NOW);
        }
        assert_eq!(table.changes(), 10, "each ends what is in progress");
    }

    #[test]
    fn memory_is_bounded_and_what_is_over_goes() {
        let table = SessionTable::default();
        for id in 0..SESSIONS_HELD_MAX as u128 + 10 {
            table.put(record(id, 1), NOW);
        }
        assert!(table.held().len() <= SESSIONS_HELD_MAX);
        table.take_seen(Duration::from_secs(86_400));
        assert_eq!(table.held(), []);
        table.put(record(1, 1), NOW);
        table.clear();
        assert!(!is_held(&table, 1));
    }
}
