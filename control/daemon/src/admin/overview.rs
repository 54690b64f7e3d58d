//! What is there at a glance: `init`, `status`, `ready`.

use postern_model::Snapshot;
use postern_model::admin::{Initialised, Problem, Ready, Status};

use super::on_one_connector::{self, Alone};
use crate::apps::online_by_group;
use crate::authority::{CA_FILE, WEB_CA_FILE};
use crate::certificates;
use crate::clock::now_unix;
use crate::control::Control;
use crate::devices;
use crate::fleet::Fleet;
use crate::relays;
use crate::tenants::{as_u32, group_name};

/// `POST /v1/init`: what the daemon made at its first start.
pub(crate) fn initialised(control: &Control) -> Result<Initialised, Problem> {
    let default = || crate::control::DEFAULT_NAME.parse();
    let internal = |_| crate::problem::problem("internal", "the first tenant has no name");
    let file = |name: &str| control.state_dir.join(name).display().to_string();
    Ok(Initialised {
        state_dir: control.state_dir.display().to_string(),
        ca_file: file(CA_FILE),
        ca_sha256: control.authority.ca_sha256(),
        web_ca_file: file(WEB_CA_FILE),
        web_ca_sha256: control.authority.web_ca_sha256(),
        tenant: default().map_err(internal)?,
        group: default().map_err(internal)?,
        initialised_unix_ms: control.initialised_unix_ms,
        fresh: control.fresh,
    })
}

/// `GET /v1/status`.
pub(crate) fn status(control: &Control) -> Status {
    let snapshot = control.snapshot();
    let online = control.fleet.borrow().online();
    let alone = on_one_connector::groups(&snapshot, &online_by_group(control, &snapshot));
    let mut warnings = warnings(control, &snapshot);
    warnings.extend(alone.iter().map(Alone::warning));
    Status {
        software: SOFTWARE.into(),
        version: snapshot.version,
        started_unix_ms: control.started_unix_ms,
        store: control.store_description(),
        tenants: as_u32(snapshot.tenants.len()),
        // Where people sign in is no application of theirs.
        apps: as_u32(snapshot.apps.len().saturating_sub(usize::from(snapshot.identity.is_some()))),
        groups: as_u32(snapshot.groups.len()),
        connectors: as_u32(snapshot.connectors.len()),
        connectors_online: as_u32(snapshot.connectors.keys().filter(|id| online.contains(id)).count()),
        relays: snapshot.relays.values().map(|relay| relays::view(control, &snapshot, relay)).collect(),
        warnings,
        groups_on_one_connector: alone.into_iter().map(|alone| alone.group).collect(),
    }
}

/// `GET /v1/ready`.
pub(crate) fn ready(control: &Control) -> Ready {
    let snapshot = control.snapshot();
    let mut missing = relays_missing(control, &snapshot);
    let online = online_by_group(control, &snapshot);
    for group in snapshot.groups.keys() {
        let apps = snapshot.apps_of(*group).count();
        if apps > 0 && !online.contains_key(group) {
            missing.push(format!(
                "connector group {}: no connector is online for its {apps} applications",
                group_name(&snapshot, *group)
            ));
        }
    }
    Ready { ready: missing.is_empty(), missing }
}

fn relays_missing(control: &Control, snapshot: &Snapshot) -> Vec<String> {
    if snapshot.relays.is_empty() {
        return vec!["no relay is known: start one with --control unix:SOCKET, or run postern relay add".into()];
    }
    let fleet = control.fleet.borrow();
    let relay_missing = |relay: &postern_model::config::Relay| {
        let link = fleet.relay(relay.id).filter(|link| link.connected);
        match link {
            None => Some(format!("relay {}: it is not linked", relay.name)),
            Some(link) if link.status.is_none() => {
                Some(format!("relay {}: it has just linked and not reported yet", relay.name))
            }
            Some(link) if link.applied_version < snapshot.version => Some(format!(
                "relay {}: it serves version {} of {}",
                relay.name, link.applied_version, snapshot.version
            )),
            Some(_) => None,
        }
    };
    snapshot.relays.values().filter_map(relay_missing).collect()
}

fn warnings(control: &Control, snapshot: &Snapshot) -> Vec<String> {
    let fleet = control.fleet.borrow();
    let mut warnings = certificates::expiry::warnings(snapshot, now_unix());
    warnings.extend(control.acme.warnings());
    warnings.extend(devices::warnings(snapshot, now_unix()));
    for relay in snapshot.relays.values() {
        let Some(link) = fleet.relay(relay.id) else { continue };
        warnings.extend(link.clock_warning(relay.name.as_str()));
        let own = link.status.iter().flat_map(|status| &status.warnings);
        warnings.extend(own.map(|warning| format!("relay {}: {warning}", relay.name)));
    }
    warnings.extend(corporate_warnings(&fleet, snapshot));
    warnings
}

/// Who could reach an application without Postern and does not.
fn corporate_warnings(fleet: &Fleet, snapshot: &Snapshot) -> Vec<String> {
    let uses = fleet.corporate().into_iter().filter_map(|(id, networks)| Some((snapshot.apps.get(&id)?, networks)));
    let warned = uses.filter(|(app, _)| app.settings.get("corporate_network").is_some_and(|set| set == "warn"));
    warned
        .flat_map(|(app, networks)| {
            networks.into_iter().map(|(network, requests)| {
                format!(
                    "app {}: {requests} requests came from the corporate network {network}: from there {} can be reached directly",
                    app.name, app.internal_url
                )
            })
        })
        .collect()
}

/// Program and version.
pub(crate) const SOFTWARE: &str = concat!("postern-control/", env!("CARGO_PKG_VERSION"));
