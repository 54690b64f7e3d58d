//! Certificates that were ordered by ACME: stored as if an operator had given them, so that successors reach whoever shows them.

use std::collections::BTreeMap;

use postern_model::acme::{AcmeRenewal, ChallengeKind};
use postern_model::admin::{CertificateAdded, Problem};
use postern_model::config::Certificate;
use postern_model::host::covers;
use postern_model::ids::{CertificateId, TenantId};
use postern_model::secret::SecretText;
use postern_model::{Change, Snapshot};

use super::{Chosen, added, for_same_hosts, put, put_given};
use crate::clock::now_unix;
use crate::control::{Actor, Control, Draft};
use crate::pem::Given;
use crate::problem::problem;

/// What an authority issued.
pub(crate) struct Ordered<'a> {
    pub(crate) chain_pem: String,
    pub(crate) key_pem: SecretText,
    /// What was ordered.
    pub(crate) hosts: &'a [String],
    pub(crate) challenge: ChallengeKind,
}

/// What an order's certificate may take the place of, as it is when the order begins.
pub(crate) struct Beginning {
    /// The one that is renewed.
    current: Option<CertificateId>,
    /// Chains of the tenant's certificates for such hosts.
    chains: BTreeMap<CertificateId, String>,
}

impl Beginning {
    /// Refuses what is renewed no more.
    pub(crate) fn of(
        snapshot: &Snapshot,
        tenant: TenantId,
        current: Option<CertificateId>,
        hosts: &[String],
    ) -> Result<Self, Problem> {
        let is_near = |c: &&Certificate| {
            c.id.tenant == tenant && (current == Some(c.id) || hosts.first().is_some_and(|host| covers(&c.hosts, host)))
        };
        let near = snapshot.certificates.values().filter(is_near);
        let chains = near.map(|c| (c.id, c.chain_pem.clone())).collect();
        let beginning = Self { current, chains };
        beginning.check(snapshot, current)?;
        Ok(beginning)
    }

    /// Refuses to take the place of what an operator did since: an order takes minutes.
    fn check(&self, snapshot: &Snapshot, replaced: Option<CertificateId>) -> Result<(), Problem> {
        let is_same = |id: CertificateId| {
            let chain = snapshot.certificates.get(&id).map(|certificate| &certificate.chain_pem);
            chain.is_some() && chain == self.chains.get(&id)
        };
        let is_renewed = self.current.is_none_or(|id| snapshot.acme_renewals.contains_key(&id));
        match replaced {
            Some(id) if !is_same(id) || !is_renewed => {
                let detail = format!("no successor of certificate {id} is kept: it was replaced or removed meanwhile");
                Err(problem("acme-failed", detail))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Stores it in the place of the one that is renewed, of one for exactly these hosts, or anew; it is renewed the same way.
pub(crate) fn keep_ordered(
    control: &Control,
    actor: &Actor,
    tenant: TenantId,
    beginning: &Beginning,
    ordered: &Ordered<'_>,
) -> Result<CertificateAdded, Problem> {
    let given = Given::check(&ordered.chain_pem, &ordered.key_pem, now_unix())?;
    ordered.hosts.iter().try_for_each(|host| given.must_cover(host))?;
    let snapshot = control.snapshot();
    let same = || for_same_hosts(&snapshot, tenant, &given.hosts).map(|certificate| certificate.id);
    beginning.check(&snapshot, beginning.current.or_else(same))?;
    let mut draft = Draft::default();
    let Chosen { id, warnings } = match beginning.current.and_then(|id| snapshot.certificates.get(&id)) {
        Some(before) => put(before.id, Some(before), given, None, &mut draft),
        None => put_given(control, tenant, given, None, &mut draft)?,
    };
    let renewal = AcmeRenewal { certificate: id, challenge: ordered.challenge };
    if snapshot.acme_renewals.get(&id) != Some(&renewal) {
        draft.change(Change::AcmeRenewalPut(renewal));
    }
    added(control, actor, id, warnings, draft)
}

/// An operator gave a successor by hand, and looks after it from now on.
pub(super) fn by_hand(snapshot: &Snapshot, id: CertificateId, draft: &mut Draft) {
    if snapshot.acme_renewals.contains_key(&id) {
        draft.change(Change::AcmeRenewalRemoved { certificate: id });
    }
}
