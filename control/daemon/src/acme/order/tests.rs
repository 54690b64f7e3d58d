//! Whose hosts are, and what happens while an authority looks: as far as none answers.

use postern_model::admin::{AddCertificate, PublishIdentity};
use postern_model::config::Tenant;
use postern_model::domain::Domain;
use postern_model::identity::IdentityApp;
use serde_json::json;

use super::*;
use crate::certificates::keep_ordered;
use crate::{apps, identity, tenants, testing};

const HOST: &str = "crm.example.com";

/// A control, and a tenant that has an account with an authority which nobody reaches.
struct World {
    control: Control,
    other: Tenant,
    tenant: TenantId,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = testing::control(folder.path());
        let other = identity::default_tenant(&control.snapshot()).unwrap();
        let create = serde_json::from_value(json!({"name": "acme"})).unwrap();
        tenants::create(&control, &Actor::Control, create).unwrap();
        let tenant = tenants::find(&control, "acme").unwrap().id;
        let directory = "https://127.0.0.1:1/directory";
        let credentials = json!({"id": "https://127.0.0.1:1/account", "key_pkcs8": "AAAA", "directory": directory});
        let kept = Kept {
            directory: directory.into(),
            contact: Vec::new(),
            ca_pem: Some(crate::acme::tests::ca_pem()),
            eab_kid: None,
            account: "https://127.0.0.1:1/account".into(),
            credentials: serde_json::from_value(credentials).unwrap(),
        };
        kept.save(&control, tenant).unwrap();
        Self { control, other, tenant, _folder: folder }
    }

    fn put(&self, change: Change) {
        let mut draft = Draft::default();
        draft.change(change);
        self.control.commit(&Actor::Control, draft).unwrap();
    }

    /// By hand.
    fn give(&self, host: &str) -> CertificateId {
        self.give_pair(pair(host))
    }

    fn give_pair(&self, (certificate_pem, key_pem): (String, SecretText)) -> CertificateId {
        let request = AddCertificate { certificate_pem, key_pem, ocsp: None };
        certificates::add(&self.control, &Actor::Control, &self.tenant(), &request).unwrap().certificate.id
    }

    fn tenant(&self) -> Tenant {
        self.control.snapshot().tenants[&self.tenant].clone()
    }

    /// Another tenant shows that a domain is its own.
    fn lose(&self, domain: &str) {
        let (tenant, token) = (self.other.id, "t".to_owned());
        self.put(Change::DomainPut(Domain { tenant, name: domain.parse().unwrap(), token, verified_unix: Some(1) }));
    }

    /// One that control renews.
    fn managed(&self, host: &str) -> CertificateId {
        let id = self.give(host);
        self.renewed(id);
        id
    }

    fn renewed(&self, certificate: CertificateId) {
        let renewal = postern_model::acme::AcmeRenewal { certificate, challenge: ChallengeKind::Http01 };
        self.put(Change::AcmeRenewalPut(renewal));
    }

    async fn renew(&self, id: CertificateId) -> Problem {
        let hosts = self.control.snapshot().certificates[&id].hosts.clone();
        let kind = ChallengeKind::Http01;
        order(&self.control, &Actor::Control, id.tenant, &hosts, kind, Some(id)).await.unwrap_err()
    }

    fn begin(&self, current: Option<CertificateId>) -> Result<Beginning, Problem> {
        Beginning::of(&self.control.snapshot(), self.tenant, current, &[HOST.to_owned()])
    }

    fn keep(&self, beginning: &Beginning) -> Result<CertificateAdded, Problem> {
        let ((chain_pem, key_pem), hosts) = (pair(HOST), [HOST.to_owned()]);
        let ordered = Ordered { chain_pem, key_pem, hosts: &hosts, challenge: ChallengeKind::Http01 };
        keep_ordered(&self.control, &Actor::Control, self.tenant, beginning, &ordered)
    }

    fn refuses(&self, beginning: &Beginning) {
        let before = self.control.snapshot().version;
        let problem = self.keep(beginning).unwrap_err();
        assert!(problem.detail.contains("it was replaced or removed meanwhile"), "{}", problem.detail);
        assert_eq!((problem.code.as_str(), self.control.snapshot().version), ("acme-failed", before));
    }
}

fn pair(host: &str) -> (String, SecretText) {
    let key = KeyPair::generate().unwrap();
    let chain_pem = CertificateParams::new(vec![host.to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    (chain_pem, SecretText::new(key.serialize_pem()))
}

#[tokio::test]
async fn nothing_is_renewed_for_a_host_that_became_another_tenants() {
    let world = World::new();
    let id = world.managed(HOST);
    assert_eq!(world.renew(id).await.code, "acme-failed", "the authority is asked");
    world.lose("example.com");
    assert_eq!(world.renew(id).await.code, "domain-taken");
    world.put(Change::DomainRemoved { tenant: world.other.id, name: "example.com".parse().unwrap() });
    assert_eq!(world.renew(id).await.code, "acme-failed");
    let entry = json!({"name": "x", "external_url": "https://crm.example.com/", "internal_url": "http://10.0.0.5/", "preauth": "passthrough"});
    let entry = serde_json::from_value(entry).unwrap();
    apps::publish(&world.control, &Actor::Control, &world.other, entry).unwrap();
    let problem = world.renew(id).await;
    assert_eq!(problem.code, "app-url-conflict");
    assert!(problem.detail.contains("it publishes x there"), "{}", problem.detail);
}

#[tokio::test]
async fn a_renewal_that_is_refused_is_shown_and_tried_later() {
    let world = World::new();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    params.not_after = time::OffsetDateTime::now_utc() + time::Duration::DAY;
    let chain_pem = params.self_signed(&key).unwrap().pem();
    let id = world.give_pair((chain_pem, SecretText::new(key.serialize_pem())));
    world.renewed(id);
    world.lose("example.com");
    let watched = crate::acme::renew::watch(&world.control);
    assert!(tokio::time::timeout(Duration::from_secs(1), watched).await.is_err(), "it watches on");
    let shown = certificates::show(&world.control, &world.tenant(), &id.to_string()).unwrap().renewal.unwrap();
    let now = crate::clock::now_unix();
    assert!(shown.failures == 1 && shown.next_unix > now + 300, "{shown:?}");
    assert!(shown.error.as_ref().unwrap().contains("has verified that example.com is its own"), "{shown:?}");
    assert_eq!(world.control.acme.warnings().len(), 1);
}

#[tokio::test]
async fn challenges_are_taken_back_when_an_order_is_over_or_nobody_waits_for_it() {
    let world = World::new();
    let id = world.managed(HOST);
    for (tenant, token) in [(world.tenant, "own"), (world.other.id, "others")] {
        world.put(Change::AcmeChallengePut(AcmeChallenge {
            tenant,
            host: HOST.into(),
            challenge: ChallengeKind::Http01,
            token: token.into(),
            key_authorization: format!("{token}.thumbprint"),
        }));
    }
    let left = || world.control.snapshot().acme_challenges.keys().cloned().collect::<Vec<_>>();
    assert_eq!(left(), ["others", "own"]);
    assert_eq!(world.renew(id).await.code, "acme-failed");
    assert_eq!(left(), ["others"], "another tenant's order is not over");
    // Whoever waited for that one is gone.
    let watched = crate::acme::renew::watch(&world.control);
    assert!(tokio::time::timeout(Duration::from_secs(1), watched).await.is_err(), "it watches on");
    assert!(left().is_empty(), "{:?}", left());
}

#[tokio::test]
async fn nothing_is_renewed_for_another_tenants_own_names_and_device_host() {
    let world = World::new();
    let (below, device) = (world.managed("x.apps.example.net"), world.managed("device.example.com"));
    let other = Tenant { app_suffix: Some("apps.example.net".into()), ..world.other.clone() };
    world.put(Change::TenantPut(other));
    let problem = world.renew(below).await;
    assert!(problem.detail.contains("applications are below apps.example.net"), "{}", problem.detail);
    assert_eq!(world.renew(device).await.code, "acme-failed", "nobody has it");
    let external_url = "https://login.example.org/".into();
    let publish = PublishIdentity { external_url, certificate_pem: None, key_pem: None };
    identity::publish(&world.control, &Actor::Control, publish).unwrap();
    let before = world.control.snapshot().identity.clone().unwrap();
    let device_host = Some("device.example.com".parse().unwrap());
    world.put(Change::IdentityPut(IdentityApp { device_host, ..before }));
    let problem = world.renew(device).await;
    assert!(problem.detail.contains("browsers show their devices there"), "{}", problem.detail);
}

#[test]
fn an_order_takes_no_place_of_what_was_given_meanwhile() {
    let world = World::new();
    let id = world.managed(HOST);
    world.keep(&world.begin(Some(id)).unwrap()).unwrap();
    let beginnings = [world.begin(Some(id)).unwrap(), world.begin(None).unwrap()];
    assert_eq!(world.give(HOST), id);
    beginnings.iter().for_each(|beginning| world.refuses(beginning));
    assert!(world.begin(Some(id)).is_err(), "it is renewed by hand now");
    let ordered = world.keep(&world.begin(None).unwrap()).unwrap();
    assert!(ordered.certificate.id == id && ordered.certificate.renewal.is_some(), "whoever orders it anew says so");
}

#[test]
fn an_order_brings_back_nothing_that_was_removed_meanwhile() {
    let world = World::new();
    let id = world.managed(HOST);
    let beginning = world.begin(Some(id)).unwrap();
    world.put(Change::AcmeRenewalRemoved { certificate: id });
    world.refuses(&beginning);
    world.renewed(id);
    let (renewing, ordering) = (world.begin(Some(id)).unwrap(), world.begin(None).unwrap());
    world.put(Change::CertificateRemoved { id });
    world.refuses(&renewing);
    assert_ne!(world.keep(&ordering).unwrap().certificate.id, id, "an operator asked for it");
    // Nor is the new one overwritten, if another one is given while an authority looks.
    let another = world.begin(None).unwrap();
    world.give(HOST);
    world.refuses(&another);
}

#[test]
fn what_does_not_cover_all_that_was_ordered_is_not_kept() {
    let world = World::new();
    let id = world.managed(HOST);
    let before = world.control.snapshot().version;
    for (issued_for, ordered_for) in [(HOST, &[HOST, "erp.example.com"][..]), ("erp.example.com", &[HOST])] {
        let hosts: Vec<String> = ordered_for.iter().map(|host| (*host).to_owned()).collect();
        for current in [None, Some(id)] {
            let (chain_pem, key_pem) = pair(issued_for);
            let ordered = Ordered { chain_pem, key_pem, hosts: &hosts, challenge: ChallengeKind::Http01 };
            let beginning = world.begin(current).unwrap();
            let kept = keep_ordered(&world.control, &Actor::Control, world.tenant, &beginning, &ordered);
            let problem = kept.unwrap_err();
            assert_eq!(problem.code, "certificate-invalid");
            assert!(problem.detail.contains("the certificate does not cover"), "{}", problem.detail);
            assert_eq!(world.control.snapshot().version, before, "{issued_for} for {hosts:?}");
        }
    }
}

#[test]
fn an_authority_looks_at_what_was_ordered_once() {
    let mut left = BTreeSet::from(["a.test", "b.test"]);
    assert_eq!(ordered(&mut left, "B.test").unwrap(), "b.test");
    for wrong in ["b.test", "c.test", "*.a.test", "", "a.test\n"] {
        assert!(ordered(&mut left, wrong).unwrap_err().contains("was not ordered"), "{wrong:?}");
    }
    assert!(ordered(&mut left, &"x".repeat(1_000_000)).unwrap_err().len() < 400);
    assert_eq!(ordered(&mut left, "a.test").unwrap(), "a.test");
    assert!(ordered(&mut left, "a.test").is_err() && left.is_empty());
}
