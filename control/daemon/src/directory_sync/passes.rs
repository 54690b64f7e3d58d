//! What is under way of each source, and what became of it. In memory only: after a restart a pass begins anew.

use std::collections::BTreeMap;

use postern_model::admin::LastPass;
use postern_model::directory_sync::{Gone, SourceSettings, TROUBLES_MAX, Trouble};
use postern_model::ids::{ConnectorId, Name, TenantId};

/// All sources.
#[derive(Default)]
pub(crate) struct Sources(BTreeMap<(TenantId, Name), State>);

/// Of one source.
#[derive(Default)]
pub(crate) struct State {
    passes: u64,
    /// Passes that operators asked for.
    pub(super) runs: u64,
    pub(super) runs_done: u64,
    /// What the next full pass may remove, whatever the bound says.
    confirmed: Option<u32>,
    running: Option<Running>,
    pub(super) last: Option<LastPass>,
}

/// A pass under way.
pub(super) struct Running {
    number: u64,
    connector: ConnectorId,
    full: bool,
    runs: u64,
    begun_unix_ms: u64,
    heard_unix_ms: u64,
    /// How many users and groups may be removed, and were declared to be: set once.
    removals: Option<u32>,
    to_confirm: Option<u32>,
    pub(super) created: u32,
    pub(super) changed: u32,
    pub(super) removed: u32,
    troubles: Vec<Trouble>,
    troubles_total: u32,
}

impl Sources {
    pub(super) fn of(&self, tenant: TenantId, source: &Name) -> Option<&State> {
        self.0.get(&(tenant, source.clone()))
    }

    pub(super) fn of_mut(&mut self, tenant: TenantId, source: &Name) -> &mut State {
        self.0.entry((tenant, source.clone())).or_default()
    }

    pub(super) fn forget(&mut self, tenant: TenantId, source: &Name) {
        self.0.remove(&(tenant, source.clone()));
    }

    /// An operator wants a pass; gives its number.
    pub(super) fn ask_run(&mut self, tenant: TenantId, source: &Name, confirmed: Option<u32>) -> u64 {
        let state = self.of_mut(tenant, source);
        state.runs += 1;
        // Without a number: an earlier one counts no longer.
        state.confirmed = confirmed;
        state.runs
    }
}

impl State {
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// A pass begins, unless another process has one that is still heard of.
    pub(super) fn begin(&mut self, connector: ConnectorId, full: bool, runs: u64, now_ms: u64) -> Option<u64> {
        let is_taken = |running: &Running| {
            running.connector != connector && now_ms.saturating_sub(running.heard_unix_ms) < PASS_SILENT_MS_MAX
        };
        if self.running.as_ref().is_some_and(is_taken) {
            return None;
        }
        self.passes += 1;
        self.running = Some(Running {
            number: self.passes,
            connector,
            full,
            runs: runs.min(self.runs),
            begun_unix_ms: now_ms,
            heard_unix_ms: now_ms,
            removals: None,
            to_confirm: None,
            created: 0,
            changed: 0,
            removed: 0,
            troubles: Vec::new(),
            troubles_total: 0,
        });
        Some(self.passes)
    }

    /// Takes one of what the pass may remove.
    pub(super) fn take_removal(&mut self) -> bool {
        self.running.as_mut().is_some_and(Running::take_removal)
    }

    /// The pass that a process asks within, if it is its own.
    pub(super) fn running(&mut self, connector: ConnectorId, pass: u64, now_ms: u64) -> Option<&mut Running> {
        let running = self.running.as_mut()?;
        running.heard_unix_ms = now_ms;
        (running.number == pass && running.connector == connector).then_some(running)
    }

    /// Whether a full pass may remove so many of what there is. Declared once for the whole pass.
    pub(super) fn allow_removals(&mut self, declared: [u32; 2], owned: [u32; 2], settings: &SourceSettings) -> bool {
        let confirmed = self.confirmed;
        let Some(running) = self.running.as_mut().filter(|running| running.full) else { return false };
        if running.removals.is_some() {
            return true;
        }
        let total = declared[0].saturating_add(declared[1]);
        let few = |(declared, owned)| declared <= allowed(owned, settings.max_delete_percent);
        let is_few = declared.into_iter().zip(owned).all(few);
        if !is_few && confirmed.is_none_or(|confirmed| total > confirmed) {
            running.to_confirm = Some(total);
            return false;
        }
        if total > 0 {
            self.confirmed = None;
        }
        running.removals = Some(total);
        true
    }

    /// It is over.
    pub(super) fn end(&mut self, read: [u32; 2], failed: Option<(String, String)>, now_ms: u64) {
        let Some(running) = self.running.take() else { return };
        let (failed, detail) = failed.unzip();
        if running.full {
            self.runs_done = self.runs_done.max(running.runs);
            if failed.is_none() && running.runs >= self.runs {
                // What was confirmed was of this pass, whether anybody was gone in it or not: of no later one.
                self.confirmed = None;
            }
        }
        self.last = Some(LastPass {
            full: running.full,
            ended_unix_ms: now_ms,
            took_ms: now_ms.saturating_sub(running.begun_unix_ms),
            users_read: read[0],
            groups_read: read[1],
            created: running.created,
            changed: running.changed,
            removed: running.removed,
            failed,
            detail,
            to_confirm: running.to_confirm,
            troubles: running.troubles,
            troubles_total: running.troubles_total,
        });
    }
}

impl Running {
    pub(super) fn trouble(&mut self, object: &str, what: &str) {
        self.troubles(vec![Trouble::new(object, what)], 1);
    }

    pub(super) fn troubles(&mut self, troubles: Vec<Trouble>, total: u32) {
        let room = TROUBLES_MAX.saturating_sub(self.troubles.len());
        self.troubles.extend(troubles.into_iter().take(room));
        self.troubles_total = self.troubles_total.saturating_add(total);
    }

    /// Takes one of what may be removed.
    fn take_removal(&mut self) -> bool {
        let left = self.removals.and_then(|left| left.checked_sub(1));
        self.removals = left.or(self.removals);
        left.is_some()
    }
}

/// One of a few may always be gone.
fn allowed(owned: u32, percent: u8) -> u32 {
    let share = u64::from(owned) * u64::from(percent) / 100;
    let least = u32::from(percent > 0);
    u32::try_from(share).unwrap_or(u32::MAX).max(least)
}

/// What becomes of users who are gone, in the audit log's words.
pub(super) const fn word(gone: Gone) -> &'static str {
    match gone {
        Gone::Disable => "disabled, for the directory has them no longer",
        Gone::Delete => "deleted, for the directory has them no longer",
    }
}

/// A process that is not heard of for so long has lost its pass to another one.
const PASS_SILENT_MS_MAX: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::directory_sync::SourceKind;

    const ONE: ConnectorId = ConnectorId::new(TenantId::DEFAULT, 1);
    const OTHER: ConnectorId = ConnectorId::new(TenantId::DEFAULT, 2);

    fn settings(percent: u8) -> SourceSettings {
        SourceSettings { max_delete_percent: percent, ..SourceSettings::of(SourceKind::Ldap) }
    }

    #[test]
    fn too_many_removals_stop_until_their_number_is_confirmed() {
        let name: Name = "corp".parse().unwrap();
        let mut sources = Sources::default();
        let asked = |sources: &mut Sources, declared, full| {
            let state = sources.of_mut(TenantId::DEFAULT, &name);
            state.begin(ONE, full, 0, 0);
            state.allow_removals(declared, [100, 10], &settings(20))
        };
        assert!(asked(&mut sources, [20, 2], true));
        assert!(!asked(&mut sources, [21, 0], true), "users");
        assert!(!asked(&mut sources, [0, 3], true), "groups");
        assert!(!asked(&mut sources, [1, 0], false), "who was not looked for is not gone");
        sources.ask_run(TenantId::DEFAULT, &name, Some(30));
        assert!(!asked(&mut sources, [31, 0], true), "more than was confirmed");
        assert!(asked(&mut sources, [30, 0], true));
        assert!(!asked(&mut sources, [30, 0], true), "once");
        let state = sources.of_mut(TenantId::DEFAULT, &name);
        state.begin(ONE, true, 0, 0);
        assert!(state.allow_removals([1, 0], [2, 0], &settings(20)), "one of a few");
        let running = state.running.as_mut().unwrap();
        assert!(running.take_removal() && !running.take_removal(), "no more than were declared");
        state.begin(ONE, true, 0, 0);
        assert!(!state.allow_removals([1, 0], [2, 0], &settings(0)), "0 % is none");
    }

    #[test]
    fn a_confirmation_ends_with_its_pass_though_nobody_was_gone_in_it() {
        let name: Name = "corp".parse().unwrap();
        let mut sources = Sources::default();
        let run = sources.ask_run(TenantId::DEFAULT, &name, Some(30));
        let state = sources.of_mut(TenantId::DEFAULT, &name);
        let over = |state: &mut State, full, runs, failed: Option<(String, String)>| {
            state.begin(ONE, full, runs, 0);
            state.end([0, 0], failed, 0);
            state.confirmed
        };
        assert_eq!(over(state, true, run - 1, None), Some(30), "it began before it was confirmed");
        assert_eq!(over(state, false, run, None), Some(30), "nobody was looked for");
        assert_eq!(over(state, true, run, Some((String::new(), String::new()))), Some(30), "it failed");
        assert_eq!(over(state, true, run, None), None);
        state.begin(ONE, true, run, 0);
        assert!(!state.allow_removals([30, 0], [100, 10], &settings(20)), "weeks later");
    }

    #[test]
    fn a_source_has_one_pass_at_a_time() {
        let mut state = State::default();
        let first = state.begin(ONE, true, 0, 0).unwrap();
        assert_eq!(state.begin(OTHER, true, 0, 1), None);
        assert!(state.running(OTHER, first, 1).is_none(), "of another process");
        assert!(state.running(ONE, first, 2).is_some());
        let next = state.begin(OTHER, true, 0, 2 + PASS_SILENT_MS_MAX).unwrap();
        assert!(state.running(ONE, first, 3).is_none() && state.running(OTHER, next, 3).is_some());
    }
}
