//! Deltas against a snapshot: what fits is applied, what does not leaves no trace.

mod acme;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::config::{CertificateOrigin, Preauth};
use crate::ids::UserGroupId;
use crate::limit::{Allowance, LimitScope};
use crate::policy::{PolicyEntry, PolicyInvalid, Resolve};
use crate::secret::SecretText;
use crate::service_token::TokenSecret;

fn tenant(tenant: u32) -> Tenant {
    Tenant { id: TenantId(tenant), name: format!("t{tenant}").parse().unwrap(), app_suffix: None }
}

fn group(tenant: u32, seq: u32) -> Group {
    let id = GroupId::new(TenantId(tenant), seq);
    Group { id, name: id.to_string().parse().unwrap(), directory_sync: false }
}

fn certificate(tenant: u32, seq: u32) -> Certificate {
    Certificate {
        id: CertificateId::new(TenantId(tenant), seq),
        hosts: vec![],
        chain_pem: String::new(),
        key_pem: SecretText::new(String::new()),
        not_after_unix: 0,
        origin: CertificateOrigin::Issued,
        staple: None,
        revoked_unix: None,
    }
}

fn app(tenant: u32, seq: u32, group: (u32, u32), certificate: u32) -> App {
    let id = AppId::new(TenantId(tenant), seq);
    App {
        id,
        name: id.to_string().parse().unwrap(),
        group: GroupId::new(TenantId(group.0), group.1),
        external_url: "https://a.example.com/".into(),
        internal_url: "http://a/".into(),
        preauth: Preauth::Passthrough,
        certificate: CertificateId::new(TenantId(tenant), certificate),
        settings: BTreeMap::new(),
    }
}

fn limit(tenant: u32, kind: u32, app: u32) -> Limit {
    let scope = match kind {
        1 => LimitScope::App(AppId::new(TenantId(tenant), app)),
        _ => LimitScope::Source { app: None },
    };
    Limit { rps: Some(Allowance::At(5)), ..Limit::new(TenantId(tenant), scope) }
}

fn network(tenant: u32, nth: u32) -> Network {
    let prefixes = vec!["192.0.2.0/24".parse().unwrap()];
    Network { tenant: TenantId(tenant), name: format!("n{nth}").parse().unwrap(), prefixes, anonymiser: false }
}

fn device_authority(tenant: u32, nth: u32) -> DeviceAuthority {
    let name = format!("ca{nth}").parse().unwrap();
    DeviceAuthority { tenant: TenantId(tenant), name, certificate: "AAEC".parse().unwrap(), compliant: nth > 1 }
}

fn assignment(app: AppId, kind: u32, tenant: u32) -> Assignment {
    let principal = match kind {
        1 => Principal::User(UserId::new(TenantId(tenant), 1)),
        _ => Principal::Group(UserGroupId::new(TenantId(tenant), 1)),
    };
    Assignment { app, principal, role: None, expires_unix: Some(7), created_unix_ms: 5 }
}

fn service_token(tenant: u32, seq: u32, app: u32) -> ServiceToken {
    let id = ServiceTokenId::new(TenantId(tenant), seq);
    ServiceToken {
        id,
        name: id.to_string().parse().unwrap(),
        key: TokenSecret::new([seq as u8; 32].into()).key(),
        apps: BTreeSet::from([AppId::new(TenantId(1), app)]),
        expires_unix: None,
        enabled: true,
        created_unix_ms: 0,
    }
}

/// About one application of tenant 1 and, where `network` is not 0, one of its own networks.
fn policy(tenant: u32, seq: u32, app: u32, network: u32) -> Policy {
    struct Ids(TenantId);
    impl Resolve for Ids {
        type Error = PolicyInvalid;
        fn user(&self, _: &'static str, name: &str) -> Result<UserId, PolicyInvalid> {
            Ok(name.parse().unwrap())
        }
        fn group(&self, _: &'static str, name: &str) -> Result<UserGroupId, PolicyInvalid> {
            Ok(name.parse().unwrap())
        }
        fn app(&self, _: &'static str, name: &str) -> Result<AppId, PolicyInvalid> {
            Ok(AppId::new(self.0, name.parse().unwrap()))
        }
        fn network(&self, _: &'static str, _: &Name) -> Result<(), PolicyInvalid> {
            Ok(())
        }
    }
    let id = PolicyId::new(TenantId(tenant), seq);
    let entry = PolicyEntry {
        everyone: true,
        apps: Some([app.to_string()].into()),
        networks: (network > 0).then(|| format!("n{network}").parse().unwrap()).into_iter().collect(),
        block: true,
        ..PolicyEntry::default()
    };
    entry.policy(id, id.to_string().parse().unwrap(), &Ids(id.tenant)).unwrap()
}

fn next(snapshot: &Snapshot, change: Change) -> Delta {
    Delta { version: snapshot.version + 1, at_unix_ms: 5, tenant: change.tenant(), change }
}

fn any_change() -> impl Strategy<Value = Change> {
    let id = 1u32..3;
    (0u32..32, id.clone(), id.clone(), id.clone(), id).prop_map(|(kind, t, a, b, c)| match kind {
        0 => Change::TenantPut(tenant(t)),
        1 => Change::TenantRemoved { id: TenantId(t) },
        2 => Change::GroupPut(group(t, a)),
        3 => Change::GroupRemoved { id: GroupId::new(TenantId(t), a) },
        4 => Change::CertificatePut(certificate(t, a)),
        5 => Change::CertificateRemoved { id: CertificateId::new(TenantId(t), a) },
        6 | 7 => Change::AppPut(app(t, a, (t, b), c)),
        8 => Change::AppRemoved { id: AppId::new(TenantId(t), a) },
        9 => Change::ConnectorPut(Connector {
            id: ConnectorId::new(TenantId(t), a),
            group: GroupId::new(TenantId(b), c),
            key_sha256: String::new(),
            enrolled_unix_ms: 0,
        }),
        10 => Change::ConnectorRemoved { id: ConnectorId::new(TenantId(t), a) },
        11 => Change::GroupConfigPut {
            group: GroupId::new(TenantId(t), a),
            config: SignedGroupConfig { body: c.to_string(), signature: String::new() },
        },
        12 => Change::LimitPut(limit(t, a, b)),
        13 => Change::LimitRemoved { tenant: TenantId(t), scope: limit(t, a, b).scope },
        14 => Change::NetworkPut(network(t, a)),
        15 => Change::NetworkRemoved { tenant: TenantId(t), name: network(t, a).name },
        16 => Change::AssignmentPut(assignment(AppId::new(TenantId(t), a), b, c)),
        17 => {
            let Assignment { app, principal, .. } = assignment(AppId::new(TenantId(t), a), b, c);
            Change::AssignmentRemoved { app, principal }
        }
        18 => Change::ServiceTokenPut(service_token(t, a, b)),
        19 => Change::ServiceTokenRemoved { id: ServiceTokenId::new(TenantId(t), a) },
        20 | 21 => Change::PolicyPut(policy(t, a, b, c - 1)),
        22 => Change::PolicyRemoved { id: PolicyId::new(TenantId(t), a) },
        23 => Change::DeviceAuthorityPut(device_authority(t, a)),
        24 => Change::DeviceAuthorityRemoved { tenant: TenantId(t), name: device_authority(t, a).name },
        25 => Change::AcmeChallengePut(acme::challenge(t, a)),
        26 => Change::AcmeChallengeRemoved { tenant: TenantId(t), token: acme::challenge(t, a).token },
        27 => Change::AcmeRenewalPut(acme::renewal(t, a)),
        28 => Change::AcmeRenewalRemoved { certificate: acme::renewal(t, a).certificate },
        29 => Change::DomainPut(acme::domain(t, a)),
        30 => Change::DomainRemoved { tenant: TenantId(t), name: acme::domain(t, a).name },
        _ => Change::GroupConfigRemoved { group: GroupId::new(TenantId(t), a) },
    })
}

fn assert_whole(snapshot: &Snapshot) {
    for app in snapshot.apps.values() {
        assert!(snapshot.groups.contains_key(&app.group) && app.group.tenant == app.id.tenant);
        assert!(snapshot.certificates.contains_key(&app.certificate));
    }
    for connector in snapshot.connectors.values() {
        assert!(snapshot.groups.contains_key(&connector.group));
        assert_eq!(connector.group.tenant, connector.id.tenant);
    }
    let groups = snapshot.groups.keys().map(|id| id.tenant);
    let tenants: Vec<_> = groups.chain(snapshot.certificates.keys().map(|id| id.tenant)).collect();
    assert!(tenants.iter().all(|tenant| snapshot.tenants.contains_key(tenant)));
    assert!(snapshot.group_configs.keys().all(|group| snapshot.groups.contains_key(group)));
    for key in snapshot.limits.keys() {
        assert!(snapshot.tenants.contains_key(&key.tenant), "{key}");
        assert!(key.scope.app().is_none_or(|app| snapshot.apps.contains_key(&app)), "{key}");
    }
    assert!(snapshot.networks.keys().all(|key| snapshot.tenants.contains_key(&key.tenant)));
    assert!(snapshot.device_authorities.keys().all(|key| snapshot.tenants.contains_key(&key.tenant)));
    assert!(snapshot.domains.keys().all(|key| snapshot.tenants.contains_key(&key.tenant)));
    assert!(snapshot.acme_challenges.values().all(|challenge| snapshot.tenants.contains_key(&challenge.tenant)));
    assert!(snapshot.acme_renewals.keys().all(|id| snapshot.certificates.contains_key(id)));
    assert!(snapshot.assignments.keys().all(|key| snapshot.apps.contains_key(&key.app)));
    let by_app: usize = snapshot.apps.keys().map(|app| snapshot.assignments_of(*app).count()).sum();
    assert_eq!(by_app, snapshot.assignments.len());
    for token in snapshot.service_tokens.values() {
        assert!(snapshot.tenants.contains_key(&token.id.tenant));
        assert!(token.apps.iter().all(|app| app.tenant == token.id.tenant && snapshot.apps.contains_key(app)));
    }
    for policy in snapshot.policies.values() {
        let tenant = policy.id.tenant;
        assert!(snapshot.tenants.contains_key(&tenant));
        assert!(policy.named_apps().all(|app| snapshot.apps.contains_key(&app)));
        let key = |name: &Name| NetworkKey { tenant, name: name.clone() };
        assert!(policy.networks().all(|name| snapshot.networks.contains_key(&key(name))));
    }
    assert_eq!(snapshot.requires.is_empty(), snapshot.policies.is_empty());
    assert_eq!(snapshot.check_known(), Ok(()));
}

proptest! {
    #[test]
    fn references_hold_after_any_changes(changes in prop::collection::vec(any_change(), 0..120)) {
        let mut snapshot = Snapshot::default();
        let mut log = Vec::new();
        for change in changes {
            let before = snapshot.clone();
            let delta = next(&snapshot, change);
            match snapshot.apply(&delta) {
                Ok(()) => log.push(delta),
                Err(_) => prop_assert_eq!(&snapshot, &before),
            }
            assert_whole(&snapshot);
        }
        let mut replayed = Snapshot::default();
        for delta in &log {
            let json = serde_json::to_string(delta).unwrap();
            replayed.apply(&serde_json::from_str(&json).unwrap()).unwrap();
        }
        prop_assert_eq!(&replayed, &snapshot);
        let json = serde_json::to_string(&snapshot).unwrap();
        prop_assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
    }
}

#[test]
fn only_the_next_version_fits() {
    let mut snapshot = Snapshot::default();
    let first = next(&snapshot, Change::TenantPut(tenant(1)));
    for version in [0, 2, u64::MAX] {
        let wrong = Delta { version, ..first.clone() };
        assert_eq!(snapshot.apply(&wrong), Err(DeltaError::NotNext { held: 0, found: version }));
    }
    snapshot.apply(&first).unwrap();
    assert!(snapshot.apply(&first).is_err(), "twice");
}

#[test]
fn an_unknown_change_is_skipped_only_when_it_says_so() {
    let wire = r#"{"version":1,"at_unix_ms":0,"change":{"kind":"colour_put","x":1}}"#;
    let refused = serde_json::from_str::<Delta>(wire).unwrap_err().to_string();
    assert!(refused.contains("upgrade"), "{refused}");
    let wire = wire.replace("\"change\"", "\"optional\":true,\"change\"");
    let delta: Delta = serde_json::from_str(&wire).unwrap();
    assert_eq!(delta.change, Change::Skipped { skipped: "colour_put".into() });
    let mut snapshot = Snapshot::default();
    snapshot.apply(&delta).unwrap();
    assert_eq!(snapshot, Snapshot { version: 1, ..Snapshot::default() });
}

#[test]
fn a_reader_that_knows_no_limits_networks_users_or_devices_may_go_on_without_them() {
    for change in [
        Change::LimitPut(limit(1, 1, 1)),
        Change::LimitRemoved { tenant: TenantId(1), scope: LimitScope::Tenant },
        Change::NetworkPut(network(1, 1)),
        Change::NetworkRemoved { tenant: TenantId(1), name: network(1, 1).name },
        Change::DeviceAuthorityPut(device_authority(1, 1)),
        Change::DeviceAuthorityRemoved { tenant: TenantId(1), name: device_authority(1, 1).name },
        Change::AssignmentPut(assignment(AppId::new(TenantId(1), 1), 1, 1)),
        Change::AssignmentRemoved { app: AppId::new(TenantId(1), 1), principal: Principal::Everyone },
    ] {
        let json = serde_json::to_string(&next(&Snapshot::default(), change)).unwrap();
        assert!(json.contains("\"optional\":true"), "{json}");
    }
}

/// What an older relay must not go on without: with one removal skipped, a revoked token would open its applications.
#[test]
fn no_reader_may_skip_what_takes_permissions_away() {
    let token = service_token(1, 1, 1);
    let policy = policy(1, 1, 1, 0);
    for change in [
        Change::ServiceTokenRemoved { id: token.id },
        Change::ServiceTokenPut(token),
        Change::PolicyRemoved { id: policy.id },
        Change::PolicyPut(policy),
    ] {
        let json = serde_json::to_string(&next(&Snapshot::default(), change)).unwrap();
        assert!(!json.contains("optional"), "{json}");
    }
}

#[test]
fn an_application_that_goes_leaves_its_tokens_behind_without_it() {
    let mut snapshot = Snapshot::default();
    for change in [
        Change::TenantPut(tenant(1)),
        Change::GroupPut(group(1, 1)),
        Change::CertificatePut(certificate(1, 1)),
        Change::AppPut(app(1, 1, (1, 1), 1)),
        Change::ServiceTokenPut(service_token(1, 1, 1)),
        Change::AppRemoved { id: AppId::new(TenantId(1), 1) },
    ] {
        let delta = next(&snapshot, change);
        snapshot.apply(&delta).unwrap();
    }
    let token = snapshot.service_tokens.values().next().unwrap();
    assert!(token.enabled && token.apps.is_empty());
    let other = next(&snapshot, Change::ServiceTokenPut(service_token(1, 2, 1)));
    assert!(snapshot.apply(&other).unwrap_err().to_string().contains("a1-1, which does not exist"));
}

#[test]
fn what_goes_never_makes_a_policy_wider() {
    let mut snapshot = Snapshot::default();
    let mut done = |change| {
        let delta = next(&snapshot, change);
        snapshot.apply(&delta).map(|()| snapshot.clone())
    };
    for change in [
        Change::TenantPut(tenant(1)),
        Change::GroupPut(group(1, 1)),
        Change::CertificatePut(certificate(1, 1)),
        Change::AppPut(app(1, 1, (1, 1), 1)),
        Change::AppPut(app(1, 2, (1, 1), 1)),
        Change::NetworkPut(network(1, 1)),
        Change::PolicyPut(policy(1, 1, 1, 1)),
    ] {
        done(change).unwrap();
    }
    let gone = Change::NetworkRemoved { tenant: TenantId(1), name: network(1, 1).name };
    let refused = done(gone.clone()).unwrap_err().to_string();
    assert_eq!(refused, "t1/n1 is still used by p1-1");
    assert!(done(Change::PolicyPut(policy(1, 2, 1, 2))).unwrap_err().to_string().contains("t1/n2, which does not"));
    let after = done(Change::AppRemoved { id: AppId::new(TenantId(1), 1) }).unwrap();
    let left = after.policies.values().next().unwrap();
    assert_eq!((left.named_apps().count(), left.about_nothing()), (0, Some("no application")));
    assert!(after.requires.contains("policies"));
    let after = done(Change::PolicyRemoved { id: PolicyId::new(TenantId(1), 1) }).unwrap();
    assert!(after.policies.is_empty() && after.requires.is_empty());
    done(gone).unwrap();
}

#[test]
fn every_kind_of_change_is_known_on_the_wire() {
    let relay = Relay { id: RelayId(1), name: "r".parse().unwrap(), address: None };
    let more = [Change::RelayPut(relay), Change::RelayRemoved { id: RelayId(1) }];
    for change in more {
        let delta = Delta { version: 1, at_unix_ms: 0, tenant: change.tenant(), change };
        let json = serde_json::to_string(&delta).unwrap();
        assert_eq!(serde_json::from_str::<Delta>(&json).unwrap(), delta);
    }
}

#[test]
fn a_state_that_needs_more_is_refused() {
    let mut snapshot = Snapshot::default();
    assert_eq!(snapshot.check_known(), Ok(()));
    snapshot.requires.insert("colours".into());
    assert!(snapshot.check_known().unwrap_err().to_string().contains("upgrade"));
}
