//! Certificates that were ordered by ACME: stored as if an operator had given them, so that successors reach whoever shows them.

use postern_model::acme::{AcmeRenewal, ChallengeKind};
use postern_model::admin::{CertificateAdded, Problem};
use postern_model::ids::{CertificateId, TenantId};
use postern_model::secret::SecretText;
use postern_model::{Change, Snapshot};

use super::{Chosen, added, put, put_given};
use crate::clock::now_unix;
use crate::control::{Actor, Control, Draft};
use crate::pem::Given;

/// What an authority issued.
pub(crate) struct Ordered<'a> {
    pub(crate) chain_pem: String,
    pub(crate) key_pem: SecretText,
    /// What was ordered.
    pub(crate) hosts: &'a [String],
    pub(crate) challenge: ChallengeKind,
}

/// Stores it in the place of `current`, of one for exactly these hosts, or anew, and has it renewed the same way.
pub(crate) fn keep_ordered(
    control: &Control,
    actor: &Actor,
    tenant: TenantId,
    current: Option<CertificateId>,
    ordered: &Ordered<'_>,
) -> Result<CertificateAdded, Problem> {
    let given = Given::check(&ordered.chain_pem, &ordered.key_pem, now_unix())?;
    ordered.hosts.iter().try_for_each(|host| given.must_cover(host))?;
    let snapshot = control.snapshot();
    let mut draft = Draft::default();
    let Chosen { id, warnings } = match current.and_then(|id| snapshot.certificates.get(&id)) {
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
