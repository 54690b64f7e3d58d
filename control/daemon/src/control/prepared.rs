//! What decisions are made with: prepared once for a version of the state, not for each decision. A tenant may have thousands of
//! policies, and lists of hundreds of thousands of addresses.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use postern_model::Snapshot;
use postern_model::ids::TenantId;
use postern_model::policy::Policies;
use postern_model::prefix::PrefixSet;

use super::Control;

/// Of one version of the state.
pub(crate) struct Prepared {
    pub(crate) policies: Policies,
    anonymisers: HashMap<TenantId, Vec<PrefixSet>>,
}

/// The newest that was asked for.
#[derive(Default)]
pub(super) struct Kept(RefCell<Option<(u64, Rc<Prepared>)>>);

impl Control {
    /// Of the state now.
    pub(crate) fn prepared(&self) -> Rc<Prepared> {
        let snapshot = self.snapshot();
        // What a stage makes has a version that something else may get.
        if self.inner.borrow().staged.is_some() {
            return Rc::new(Prepared::of(&snapshot));
        }
        let mut kept = self.prepared.0.borrow_mut();
        if let Some((version, prepared)) = &*kept
            && *version == snapshot.version
        {
            return Rc::clone(prepared);
        }
        let prepared = Rc::new(Prepared::of(&snapshot));
        *kept = Some((snapshot.version, Rc::clone(&prepared)));
        prepared
    }
}

impl Prepared {
    fn of(snapshot: &Snapshot) -> Self {
        let mut anonymisers: HashMap<TenantId, Vec<PrefixSet>> = HashMap::new();
        for list in snapshot.networks.values().filter(|network| network.anonymiser) {
            anonymisers.entry(list.tenant).or_default().push(list.prefixes.iter().collect());
        }
        Self { policies: Policies::of(snapshot), anonymisers }
    }

    /// Whether a list of a tenant's has an address as an anonymiser's.
    pub(crate) fn is_anonymiser(&self, tenant: TenantId, address: IpAddr) -> bool {
        self.anonymisers.get(&tenant).is_some_and(|lists| lists.iter().any(|list| list.contains(address)))
    }
}
