//! The state and its only writer. Every change goes through [`Control::commit`]: stored with its audit record first, seen by others after.

mod asking;
mod prepared;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::{Rc, Weak};

use anyhow::Context as _;
use postern_model::admin::Problem;
use postern_model::config::{Group, Tenant};
use postern_model::frame;
use postern_model::group_config::GroupConfig;
use postern_model::ids::{Epoch, GroupId, Name, RelayId, TenantId};
use postern_model::link::{TO_RELAY_BYTES_MAX, ToRelay};
use postern_model::settings::is_sticky;
use postern_model::{Change, Delta, Snapshot};
use tokio::sync::watch;

use crate::acme::Acme;
pub(crate) use crate::actor::Actor;
use crate::authority::Authority;
use crate::clock::now_unix_ms;
use crate::countries::Countries;
use crate::directory_sync::Sources;
use crate::domains::DomainSettings;
pub(crate) use crate::draft::{Audit, Draft, Step};
use crate::fleet::Fleet;
use crate::limits::{LOG_BYTES_MAX, LOG_DELTAS_KEPT};
use crate::links;
use crate::oauth;
use crate::password::Hasher;
use crate::problem::problem;
use crate::saml::SamlKeys;
use crate::scim;
use crate::sessions::{GroupsKept, SessionIndex, Touched};
use crate::sign_in::SignIns;
use crate::stage::Staged;
use crate::store::{AuditEntry, Commit, Pin, Store, StoreError};
use crate::systems::Systems;
use crate::traces::Traces;
use crate::vault::own::Changes;

/// The whole of control's state, shared by all tasks of its one thread.
pub(crate) struct Control {
    pub(crate) authority: Authority,
    pub(crate) state_dir: PathBuf,
    pub(crate) started_unix_ms: u64,
    /// Of this process: versions that were told in another one may be of another history.
    pub(crate) epoch: Epoch,
    pub(crate) initialised_unix_ms: u64,
    /// Whether this process initialised the state.
    pub(crate) fresh: bool,
    pub(crate) fleet: RefCell<Fleet>,
    pub(crate) hasher: Hasher,
    pub(crate) sessions: RefCell<SessionIndex>,
    pub(crate) groups_kept: GroupsKept,
    pub(crate) sign_ins: RefCell<SignIns>,
    pub(crate) saml: SamlKeys,
    pub(crate) oauth: RefCell<oauth::InProgress>,
    pub(crate) scim: RefCell<scim::Throttle>,
    pub(crate) sources: RefCell<Sources>,
    pub(crate) own_passwords: RefCell<Changes>,
    pub(crate) traces: RefCell<Traces>,
    pub(crate) acme: Acme,
    pub(crate) domains: DomainSettings,
    /// Where addresses are, if that is known.
    pub(crate) countries: Option<Countries>,
    /// Autonomous systems, where `--geoip-asn` names a database.
    pub(crate) systems: Option<Systems>,
    prepared: prepared::Kept,
    inner: RefCell<Inner>,
    /// Beside `inner`: a snapshot may be held while it is asked.
    store: RefCell<Box<dyn Store>>,
    version: watch::Sender<u64>,
}

struct Inner {
    snapshot: Rc<Snapshot>,
    pins: BTreeMap<RelayId, Pin>,
    log_bytes: u64,
    encoded: Option<(u64, Weak<Vec<u8>>)>,
    /// Operations that are to become one change; set up and taken down within one request, without an await between.
    staged: Option<Box<Staged>>,
}

impl Control {
    /// Takes over a store, initialising it when it is empty.
    pub(crate) fn open(authority: Authority, mut store: Box<dyn Store>, state_dir: PathBuf) -> anyhow::Result<Self> {
        let loaded = store.load()?;
        let fresh = loaded.is_none();
        let (snapshot, initialised, log_bytes) = match loaded {
            Some(loaded) => (loaded.snapshot, loaded.initialised_unix_ms, loaded.log_bytes),
            None => (Snapshot::default(), now_unix_ms(), 0),
        };
        let pins = store.pins()?.into_iter().collect();
        let sessions = SessionIndex::new(store.session_users()?);
        let (version, _) = watch::channel(snapshot.version);
        let saml = SamlKeys::open(&state_dir)?;
        let mut control = Self {
            authority,
            state_dir,
            started_unix_ms: now_unix_ms(),
            epoch: random_epoch()?,
            initialised_unix_ms: initialised,
            fresh,
            fleet: RefCell::default(),
            hasher: Hasher::new(),
            sessions: RefCell::new(sessions),
            groups_kept: GroupsKept::default(),
            sign_ins: RefCell::default(),
            saml,
            oauth: RefCell::default(),
            scim: RefCell::default(),
            sources: RefCell::default(),
            own_passwords: RefCell::default(),
            traces: RefCell::default(),
            acme: Acme::default(),
            domains: DomainSettings::default(),
            countries: None,
            systems: None,
            prepared: prepared::Kept::default(),
            inner: RefCell::new(Inner { snapshot: Rc::new(snapshot), pins, log_bytes, encoded: None, staged: None }),
            store: RefCell::new(store),
            version,
        };
        if fresh {
            control.initialise()?;
            // The time that the next start will read, not one of a moment before.
            if let Some(stored) = control.store.get_mut().load()? {
                control.initialised_unix_ms = stored.initialised_unix_ms;
            }
        }
        links::sign_outdated(&control)?;
        Ok(control)
    }

    /// The state now; within a stage, the stage's. Whoever holds it holds that one: a commit makes another, and changes none.
    pub(crate) fn snapshot(&self) -> Rc<Snapshot> {
        let inner = self.inner.borrow();
        Rc::clone(inner.staged.as_ref().map_or(&inner.snapshot, |staged| &staged.snapshot))
    }

    /// Runs operations whose commits become one: stored as a whole if all of them succeed and `keep` says so after a look
    /// at what the audit log will say, else forgotten. `operations` must not await.
    pub(crate) fn staged<T>(
        &self,
        actor: &Actor,
        operations: impl FnOnce() -> Result<T, Problem>,
        keep: impl FnOnce(&T, &[AuditEntry]) -> bool,
    ) -> Result<(T, u64), Problem> {
        let base = self.snapshot();
        let version = base.version;
        self.store.borrow_mut().begin().map_err(store_failed)?;
        self.inner.borrow_mut().staged = Some(Box::new(Staged::new(base)));
        let outcome = operations();
        let staged = self.inner.borrow_mut().staged.take();
        let kept = match &outcome {
            Ok(value) => staged.filter(|staged| keep(value, staged.audit())),
            Err(_) => None,
        };
        let version = match kept {
            Some(staged) => self.commit(actor, staged.into_draft()),
            None => Ok(version),
        };
        // Without effect once it is committed.
        self.store.borrow_mut().forget().map_err(store_failed)?;
        Ok((outcome?, version?))
    }

    /// Whether operations are being staged: what needs the whole is checked at its end then.
    pub(crate) fn is_staging(&self) -> bool {
        self.inner.borrow().staged.is_some()
    }

    /// Tells of every new version.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Stores a change, then lets everyone see it. Nothing is changed when it fails.
    pub(crate) fn commit(&self, actor: &Actor, mut draft: Draft) -> Result<u64, Problem> {
        let mut inner = self.inner.borrow_mut();
        if inner.staged.is_some() {
            return inner.stage(&mut **self.store.borrow_mut(), draft);
        }
        let mut touched = std::mem::take(&mut draft.touched);
        let commit = self.complete(actor, draft, &inner.snapshot)?;
        // A copy is made only where something changes in it: sign-ins come often.
        let mut next = (!commit.deltas.is_empty()).then(|| Snapshot::clone(&inner.snapshot));
        if let Some(next) = &mut next {
            for delta in &commit.deltas {
                next.apply(delta).map_err(|error| problem("still-used", error.to_string()))?;
            }
        }
        inner.log_bytes += self.store.borrow_mut().commit(&commit).map_err(store_failed)?;
        if let Some(next) = next {
            inner.snapshot = Rc::new(next);
        }
        touched.extend(commit.directory.iter().filter_map(Touched::by));
        self.tell_of_sessions(&commit, &touched);
        for (relay, pin) in commit.pins {
            match pin {
                Some(pin) => drop(inner.pins.insert(relay, pin)),
                None => drop(inner.pins.remove(&relay)),
            }
        }
        inner.checkpoint_when_due(&mut **self.store.borrow_mut());
        let version = inner.snapshot.version;
        drop(inner);
        self.version.send_if_modified(|held| std::mem::replace(held, version) != version);
        Ok(version)
    }

    /// What a commit changed of sessions goes to the relays.
    fn tell_of_sessions(&self, commit: &Commit, touched: &BTreeSet<Touched>) {
        if commit.sessions.is_empty() && touched.is_empty() {
            return;
        }
        self.groups_kept.forget();
        let changed = self.sessions.borrow_mut().follow(&commit.sessions, touched);
        self.fleet.borrow_mut().sessions_changed(&changed);
    }

    /// The next number under `name`; taken once the draft is committed.
    pub(crate) fn next(&self, name: impl Into<String>, draft: &mut Draft) -> Result<u32, Problem> {
        let name = name.into();
        let inner = self.inner.borrow();
        let drafted = draft.rest.counters.iter().rev().find(|(counter, _)| *counter == name).map(|(_, last)| *last);
        let staged = || inner.staged.as_ref().and_then(|staged| staged.counter(&name));
        let last = match drafted.or_else(staged) {
            Some(last) => last,
            None => self.store.borrow_mut().counter(&name).map_err(store_failed)?,
        };
        let next = last.checked_add(1).ok_or_else(|| problem("limit-reached", "no ids are left"))?;
        draft.rest.counters.push((name, next));
        Ok(next)
    }

    /// Deltas after `version`, a few at once; `None` when only a snapshot will do.
    pub(crate) fn deltas_after(&self, version: u64, limit: u32) -> Result<Option<Vec<Delta>>, StoreError> {
        let inner = self.inner.borrow();
        if version == 0 || version > inner.snapshot.version {
            return Ok(None);
        }
        let newest = inner.snapshot.version;
        let deltas = self.store.borrow_mut().deltas_after(version, limit)?;
        Ok(deltas.filter(|deltas| version == newest || !deltas.is_empty()))
    }

    /// The snapshot as a link message and its version. Encoded once for all relays that need it at a time: one of a few versions
    /// ago that is still being sent will do, for the deltas since follow, unless `newest` is asked for.
    pub(crate) fn encoded_snapshot(&self, newest: bool) -> anyhow::Result<(u64, Rc<Vec<u8>>)> {
        let mut inner = self.inner.borrow_mut();
        let version = inner.snapshot.version;
        let oldest = if newest { version } else { version.saturating_sub(LOG_DELTAS_KEPT / 2) };
        let shared = inner.encoded.as_ref().filter(|(held, _)| *held >= oldest);
        if let Some(shared) = shared.and_then(|(held, message)| Some((*held, message.upgrade()?))) {
            return Ok(shared);
        }
        let message = ToRelay::Snapshot(Box::new(Snapshot::clone(&inner.snapshot)));
        let message = Rc::new(frame::encode(&message, TO_RELAY_BYTES_MAX)?);
        inner.encoded = Some((version, Rc::downgrade(&message)));
        Ok((version, message))
    }

    /// The key a relay is known by.
    pub(crate) fn pin(&self, relay: RelayId) -> Option<Pin> {
        self.inner.borrow().pins.get(&relay).cloned()
    }

    fn initialise(&self) -> anyhow::Result<()> {
        let name: Name = DEFAULT_NAME.parse()?;
        let mut draft = Draft::default();
        draft.change(Change::TenantPut(Tenant { id: TenantId::DEFAULT, name: name.clone(), app_suffix: None }));
        draft.change(Change::GroupPut(Group { id: GroupId::DEFAULT, name, directory_sync: false }));
        draft.sign(GroupId::DEFAULT, Vec::new());
        draft.rest.counters = vec![("tenant".into(), 1), (counter("group", TenantId::DEFAULT), 1)];
        draft.audit(Audit {
            action: "init",
            tenant: Some(TenantId::DEFAULT),
            target: format!("state {}", self.state_dir.display()),
            before: None,
            after: Some(format!("control CA {}", self.authority.ca_sha256())),
        });
        self.commit(&Actor::Control, draft)?;
        Ok(())
    }

    fn complete(&self, actor: &Actor, draft: Draft, base: &Snapshot) -> Result<Commit, Problem> {
        let Draft { mut steps, rest: mut commit, touched: _ } = draft;
        commit.at_unix_ms = now_unix_ms();
        let after = links::After::of(base, &mut steps);
        for (step, version) in steps.into_iter().zip(base.version + 1..) {
            let change = match step {
                Step::Change(change) => change,
                Step::Sign { group, mut apps } => {
                    for app in apps.iter_mut().filter(|app| is_sticky(&app.settings)) {
                        app.member_key = Some(self.authority.member_key(app.id));
                    }
                    let (tenant, links) = (group.tenant, after.links(group));
                    self.signed(GroupConfig { tenant, group, version, apps, links })?
                }
            };
            let tenant = change.tenant();
            commit.deltas.push(Delta { version, at_unix_ms: commit.at_unix_ms, tenant, change });
        }
        let last = commit.deltas.last().map(|delta| delta.version);
        for entry in &mut commit.audit {
            entry.actor = actor.to_string();
            entry.version = last;
        }
        Ok(commit)
    }

    fn signed(&self, config: GroupConfig) -> Result<Change, Problem> {
        let group = config.group;
        let config = self.authority.sign(&config);
        let config = config.map_err(|error| problem("internal", error.to_string()))?;
        Ok(Change::GroupConfigPut { group, config })
    }
}

impl Inner {
    /// Adds to the stage what would be committed without one: rows go into the store's stage, the rest waits.
    fn stage(&mut self, store: &mut dyn Store, mut draft: Draft) -> Result<u64, Problem> {
        let rows = std::mem::take(&mut draft.rest.directory);
        store.stage(&rows, &std::mem::take(&mut draft.rest.providers)).map_err(store_failed)?;
        draft.touched.extend(rows.iter().filter_map(Touched::by));
        let Some(staged) = &mut self.staged else { return Ok(self.snapshot.version) };
        staged.add(draft).map_err(|error| problem("still-used", error.to_string()))?;
        Ok(staged.snapshot.version)
    }

    fn checkpoint_when_due(&mut self, store: &mut dyn Store) {
        if self.log_bytes < LOG_BYTES_MAX {
            return;
        }
        let keep_after = self.snapshot.version.saturating_sub(LOG_DELTAS_KEPT);
        match store.checkpoint(&self.snapshot, keep_after) {
            Ok(()) => self.log_bytes = 0,
            Err(error) => tracing::warn!(%error, "no checkpoint could be made; the log grows until one can"),
        }
    }
}

fn random_epoch() -> anyhow::Result<Epoch> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).context("there is no randomness")?;
    Ok(Epoch(u128::from_be_bytes(bytes)))
}

/// The name under which ids of one kind are counted in a tenant.
pub(crate) fn counter(kind: &str, tenant: TenantId) -> String {
    format!("{kind}/{tenant}")
}

fn store_failed(error: StoreError) -> Problem {
    tracing::error!(%error, "the store failed");
    problem("store-failed", format!("the change was not stored: {error}"))
}

/// Name of the first tenant and of every tenant's first group.
pub(crate) const DEFAULT_NAME: &str = "default";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// Whoever reads while something is changed further down must not bring control down.
    #[test]
    fn a_change_while_the_state_is_held_is_none_of_what_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let control = testing::control(folder.path());
        let held = control.snapshot();
        let put = |seq: u32, name: &str| {
            let mut draft = Draft::default();
            let id = GroupId::new(TenantId::DEFAULT, seq);
            draft.change(Change::GroupPut(Group { id, name: name.parse().unwrap(), directory_sync: false }));
            control.commit(&Actor::Control, draft)
        };
        let version = put(2, "two").unwrap();
        assert_eq!((held.version + 1, held.groups.len()), (version, 1));
        let staged = || {
            let within = control.snapshot();
            put(3, "three")?;
            Ok((within.groups.len(), control.snapshot().groups.len()))
        };
        let (counts, _) = control.staged(&Actor::Control, staged, |_, _| true).unwrap();
        assert_eq!((counts, control.snapshot().groups.len()), ((2, 3), 3));
    }
}
