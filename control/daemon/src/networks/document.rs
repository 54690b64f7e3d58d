//! Named networks in a document, and lists of anonymisers, which have a section of their own.

use std::collections::BTreeMap;

use postern_model::Snapshot;
use postern_model::admin::{Problem, SetNetwork};
use postern_model::config::Tenant;
use postern_model::document::Document;
use postern_model::ids::{Name, TenantId};
use postern_model::prefix::IpPrefix;

use super::{remove, set};
use crate::control::{Actor, Control};

/// `apply`: the networks and lists shall be exactly so.
pub(crate) fn make(control: &Control, actor: &Actor, tenant: &Tenant, document: &Document) -> Result<(), Problem> {
    for (named, anonymiser, section) in
        [(&document.networks, false, "network"), (&document.anonymisers, true, "anonymiser")]
    {
        for (name, prefixes) in named {
            let request = SetNetwork { prefixes: prefixes.clone(), anonymiser };
            let made = set(control, actor, tenant, name.as_str(), request);
            made.map_err(|problem| problem.about(format!("{section}.{name}")))?;
        }
    }
    Ok(())
}

/// `apply --prune`, once policies do not name them any more. Lists go only if the document names any: files of before have none.
pub(crate) fn prune(control: &Control, actor: &Actor, tenant: &Tenant, document: &Document) -> Result<(), Problem> {
    let snapshot = control.snapshot();
    let networks =
        entries(&snapshot, tenant.id, false).into_keys().filter(|name| !document.networks.contains_key(name));
    let lists = entries(&snapshot, tenant.id, true).into_keys();
    let lists = lists.filter(|name| !document.anonymisers.is_empty() && !document.anonymisers.contains_key(name));
    networks.chain(lists).try_for_each(|name| remove(control, actor, tenant, name.as_str()).map(drop))
}

/// `export`.
pub(crate) fn entries(snapshot: &Snapshot, tenant: TenantId, anonymiser: bool) -> BTreeMap<Name, Vec<IpPrefix>> {
    let own = snapshot.networks.values().filter(|network| network.tenant == tenant && network.anonymiser == anonymiser);
    own.map(|network| (network.name.clone(), network.prefixes.clone())).collect()
}
