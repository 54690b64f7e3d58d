//! Several operations as one change: while a stage is set up, the operations see and change a state that nobody else sees;
//! then it is committed as a whole, or forgotten. Rows of the directory are not here: the store's own stage has them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use postern_model::ids::GroupId;
use postern_model::{Change, Delta, Snapshot};

use crate::control::{Draft, Step};
use crate::sessions::Touched;
use crate::store::{AuditEntry, Commit};

/// Operations that are not committed yet.
pub(crate) struct Staged {
    pub(crate) snapshot: Rc<Snapshot>,
    base: Rc<Snapshot>,
    changes: Vec<Change>,
    /// Groups whose signed configuration changes.
    groups: BTreeSet<GroupId>,
    /// Numbers that the stage gave out last, by what they count.
    counters: BTreeMap<String, u32>,
    rest: Commit,
    touched: BTreeSet<Touched>,
}

impl Staged {
    pub(crate) fn new(base: Rc<Snapshot>) -> Self {
        let snapshot = Rc::clone(&base);
        let (changes, groups, counters) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        let (rest, touched) = (Commit::default(), BTreeSet::new());
        Self { snapshot, base, changes, groups, counters, rest, touched }
    }

    /// Adds an operation's changes. What is to be signed is only noted: the end decides what is signed.
    pub(crate) fn add(&mut self, draft: Draft) -> Result<(), postern_model::snapshot::DeltaError> {
        let Draft { steps, rest, touched } = draft;
        self.touched.extend(touched);
        for step in steps {
            match step {
                Step::Change(change) => {
                    let version = self.snapshot.version + 1;
                    let delta = Delta { version, at_unix_ms: 0, tenant: change.tenant(), change };
                    // Who holds the one before keeps it.
                    Rc::make_mut(&mut self.snapshot).apply(&delta)?;
                    self.changes.push(delta.change);
                }
                Step::Sign { group, .. } => drop(self.groups.insert(group)),
            }
        }
        self.counters.extend(rest.counters);
        self.rest.tokens.extend(rest.tokens);
        self.rest.tokens_removed.extend(rest.tokens_removed);
        self.rest.pins.extend(rest.pins);
        self.rest.sessions.extend(rest.sessions);
        self.rest.factors.extend(rest.factors);
        self.rest.requests.extend(rest.requests);
        self.rest.used.extend(rest.used);
        self.rest.reviews.extend(rest.reviews);
        self.rest.clients.extend(rest.clients);
        self.rest.audit.extend(rest.audit);
        self.rest.sign_ins.extend(rest.sign_ins);
        self.rest.cuts.extend(rest.cuts);
        Ok(())
    }

    /// The last number given out under a name, if the stage gave one out.
    pub(crate) fn counter(&self, name: &str) -> Option<u32> {
        self.counters.get(name).copied()
    }

    /// What the audit log will say.
    pub(crate) fn audit(&self) -> &[AuditEntry] {
        &self.rest.audit
    }

    /// All of it as one draft. Groups come first, then their configurations, so that connectors know an application before
    /// relays route to it; those of applications that go stay in them until relays have let go.
    pub(crate) fn into_draft(self) -> Draft {
        let Self { snapshot, base, changes, groups, counters, mut rest, touched } = self;
        rest.counters.extend(counters);
        let mut draft = Draft { steps: Vec::new(), rest, touched };
        let (first, then): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(is_ground);
        let (then, last): (Vec<Change>, Vec<Change>) =
            then.into_iter().partition(|change| !is_removal_of_ground(change));
        first.into_iter().for_each(|change| draft.change(change));
        let leaving: BTreeMap<GroupId, Vec<_>> = groups
            .iter()
            .map(|group| {
                let stays = |id| snapshot.apps.get(&id).is_some_and(|app| app.group == *group);
                (*group, base.apps_of(*group).filter(|app| !stays(app.id)).collect())
            })
            .collect();
        let present = |group: &&GroupId| snapshot.groups.contains_key(group);
        for group in groups.iter().filter(present) {
            let backends = snapshot.apps_of(*group).chain(leaving[group].iter().copied());
            draft.sign(*group, backends.map(|app| crate::apps::backend(&snapshot, app)).collect());
        }
        then.into_iter().for_each(|change| draft.change(change));
        for group in groups.iter().filter(present).filter(|group| !leaving[group].is_empty()) {
            draft.sign(*group, crate::apps::backends(&snapshot, *group, None, None));
        }
        last.into_iter().for_each(|change| draft.change(change));
        draft
    }
}

/// What everything else stands on.
const fn is_ground(change: &Change) -> bool {
    matches!(change, Change::TenantPut(_) | Change::GroupPut(_))
}

const fn is_removal_of_ground(change: &Change) -> bool {
    matches!(change, Change::TenantRemoved { .. } | Change::GroupRemoved { .. })
}
