//! What is in force before there is anything, and what stays the same from one publication to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use postern_model::group_config::SignedGroupConfig;
use postern_model::ids::GroupId;
use postern_model::snapshot::Snapshot;

use crate::published::Published;
use crate::side::identity::Identity;
use crate::side::tls::{ClientCertificates, TlsConfigs};

/// Nothing published: every host is unknown.
pub(super) fn first_publication(configs: &TlsConfigs, identity: &Identity) -> Published {
    let plan = Arc::default();
    let fallback = Arc::clone(identity.self_signed());
    let certificates = ClientCertificates { plan: Arc::clone(&plan), keys: BTreeMap::new(), fallback };
    Published {
        sequence: 0,
        version: 0,
        permits: 0,
        sessions: Arc::default(),
        relay: None,
        tls: configs.clients(Arc::new(certificates)),
        tls13: None,
        devices_tls: None,
        plan,
        tunnel_tls: None,
        group_configs: BTreeMap::new(),
        connectors: BTreeMap::new(),
        limits: Arc::default(),
        networks: Arc::default(),
        countries: Arc::default(),
        challenges: Arc::default(),
    }
}

/// Those that did not change stay the same allocation, so that workers can tell by the pointer.
pub(super) fn shared_group_configs(held: &Published, snapshot: &Snapshot) -> BTreeMap<GroupId, Arc<SignedGroupConfig>> {
    let share = |(group, config): (&GroupId, &SignedGroupConfig)| {
        let same = held.group_configs.get(group).filter(|held| held.as_ref() == config);
        (*group, same.cloned().unwrap_or_else(|| Arc::new(config.clone())))
    };
    snapshot.group_configs.iter().map(share).collect()
}
