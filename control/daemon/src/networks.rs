//! Named networks: where users could reach an application without Postern, and lists of anonymisers.

use postern_model::Change;
use postern_model::admin::{Changed, NetworkView, Problem, SetNetwork};
use postern_model::config::Tenant;
use postern_model::ids::Name;
use postern_model::network::{
    ANONYMISER_PREFIXES_MAX, ANONYMISER_PREFIXES_TOTAL_MAX, NETWORKS_MAX, Network, NetworkKey, PREFIXES_MAX,
};

use crate::control::{Actor, Audit, Control, Draft};
use crate::problem::{not_found_among, problem};
use crate::{kerberos, policies};

pub(crate) mod document;

/// `network list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Vec<NetworkView> {
    let snapshot = control.snapshot();
    let own = snapshot.networks.values().filter(|network| network.tenant == tenant.id);
    own.map(|network| NetworkView {
        name: network.name.clone(),
        prefixes: if network.anonymiser { Vec::new() } else { network.prefixes.clone() },
        count: network.prefixes.len(),
        anonymiser: network.anonymiser,
    })
    .collect()
}

/// `network set`: a new network, or other addresses for one that is there.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: SetNetwork,
) -> Result<Changed, Problem> {
    let name: Name = name.parse().map_err(|error| problem("request-invalid", format!("{error}")))?;
    let SetNetwork { mut prefixes, anonymiser } = request;
    prefixes.sort_unstable();
    prefixes.dedup();
    let network = Network { tenant: tenant.id, name, prefixes, anonymiser };
    check_size(control, &network)?;
    let before = control.snapshot().networks.get(&network.key()).cloned();
    if before.as_ref() == Some(&network) {
        return Ok(unchanged(control));
    }
    if before.as_ref().is_some_and(|before| before.anonymiser != network.anonymiser) {
        let is = if network.anonymiser { "a corporate network" } else { "a list of anonymisers" };
        return Err(problem("name-taken", format!("{} is {is}: take another name, or remove it first", network.name)));
    }
    let own = control.snapshot().networks.keys().filter(|key| key.tenant == tenant.id).count();
    if before.is_none() && own >= NETWORKS_MAX {
        return Err(problem("limit-reached", format!("the tenant has {NETWORKS_MAX} networks already")));
    }
    let mut draft = Draft::default();
    draft.audit(Audit {
        action: "network.set",
        tenant: Some(tenant.id),
        target: format!("network {}", network.name),
        before: before.as_ref().map(summary),
        after: Some(summary(&network)),
    });
    draft.change(Change::NetworkPut(network));
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// `network remove`.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let network = {
        let snapshot = control.snapshot();
        let key = name.parse().ok().map(|name| NetworkKey { tenant: tenant.id, name });
        let found = key.and_then(|key| snapshot.networks.get(&key).cloned());
        let own = snapshot.networks.keys().filter(|key| key.tenant == tenant.id).map(|key| key.name.as_str());
        found.ok_or_else(|| not_found_among("network", name, own.collect::<Vec<_>>()))?
    };
    if let Some(policy) = policies::naming_network(&control.snapshot(), tenant.id, &network.name) {
        let detail = format!(
            "the network {} is named by the policy {}, which would mean something else without it: change or delete that first",
            network.name, policy.name
        );
        return Err(problem("still-used", detail));
    }
    if kerberos::names_network(control, tenant.id, &network.name)? {
        let detail = format!(
            "the network {} is one in which browsers are asked for Kerberos tickets: postern identity kerberos set, without it",
            network.name
        );
        return Err(problem("still-used", detail));
    }
    let mut draft = Draft::default();
    draft.audit(Audit {
        action: "network.remove",
        tenant: Some(tenant.id),
        target: format!("network {}", network.name),
        before: Some(summary(&network)),
        after: None,
    });
    draft.change(Change::NetworkRemoved { tenant: tenant.id, name: network.name });
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// Lists of anonymisers may be large, each and together: relays get them all.
fn check_size(control: &Control, network: &Network) -> Result<(), Problem> {
    let (what, most) = match network.anonymiser {
        true => ("list of anonymisers", ANONYMISER_PREFIXES_MAX),
        false => ("network", PREFIXES_MAX),
    };
    let count = network.prefixes.len();
    if count == 0 || count > most {
        let detail = format!("a {what} has from 1 to {most} address prefixes, not {count}");
        return Err(problem("request-invalid", detail));
    }
    let snapshot = control.snapshot();
    let others = snapshot.networks.values().filter(|other| other.anonymiser && other.key() != network.key());
    let others: usize = others.map(|other| other.prefixes.len()).sum();
    if network.anonymiser && others + count > ANONYMISER_PREFIXES_TOTAL_MAX {
        let detail = format!(
            "all lists of anonymisers together have at most {ANONYMISER_PREFIXES_TOTAL_MAX} address prefixes; the others have {others}"
        );
        return Err(problem("limit-reached", detail));
    }
    Ok(())
}

fn unchanged(control: &Control) -> Changed {
    Changed { version: control.snapshot().version, warnings: Vec::new() }
}

fn summary(network: &Network) -> String {
    let shown: Vec<String> = network.prefixes.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    let more = network.prefixes.len().saturating_sub(SHOWN_MAX);
    let kind = if network.anonymiser { "anonymisers: " } else { "" };
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{kind}{}{rest}", shown.join(" "))
}

const SHOWN_MAX: usize = 16;
