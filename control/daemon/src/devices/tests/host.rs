//! The host where devices are shown, and its certificate.

use postern_model::document::{Apply, Document};
use postern_model::ids::CertificateId;
use postern_model::secret::SecretText;

use super::*;
use crate::{apply, certificates};

#[test]
fn the_device_host_has_nothing_else_and_a_certificate() {
    let world = World::new();
    let asked = |host: &str| SetDeviceHost { host: host.parse().unwrap(), certificate_pem: None, key_pem: None };
    let set_host = |host: &str| set_host(&world.control, &Actor::Control, asked(host));
    assert_eq!(code(set_host("device.example.com")), "not-found", "people sign in nowhere");
    let external_url: String = "https://login.example.com:8443/".into();
    let publish = || PublishIdentity { external_url: external_url.clone(), certificate_pem: None, key_pem: None };
    identity::publish(&world.control, &Actor::Control, publish()).unwrap();
    assert_eq!(code(set_host("login.example.com")), "app-url-conflict");
    let set = set_host("device.example.com").unwrap();
    assert_eq!(set.identity.device_url.as_deref(), Some("https://device.example.com:8443"));
    let covers = |host: &str| world.control.snapshot().certificates.values().any(|one| one.hosts == [host]);
    assert!(covers("device.example.com"));
    identity::publish(&world.control, &Actor::Control, publish()).unwrap();
    assert!(device_url(&world.control).is_some(), "publishing once more keeps it");

    let app = |url: &str| {
        let entry = serde_json::json!({"name": "x", "external_url": url, "internal_url": "http://10.0.0.5/", "preauth": "passthrough"});
        apps::publish(&world.control, &Actor::Control, &world.tenant, serde_json::from_value(entry).unwrap())
    };
    assert_eq!(code(app("https://device.example.com/x/")), "app-url-conflict");
    app("https://*.example.com/").unwrap();
    let moved = set_host("other.example.com").unwrap();
    assert!(moved.warnings[0].contains("below the wildcard of x"), "{:?}", moved.warnings);
    assert!(!covers("device.example.com"), "nothing shows it any more");
    remove_host(&world.control, &Actor::Control).unwrap();
    assert!(device_url(&world.control).is_none());
    assert_eq!(code(remove_host(&world.control, &Actor::Control)), "not-found");
    set_host("device.example.com").unwrap();
    identity::unpublish(&world.control, &Actor::Control).unwrap();
    assert!(!covers("device.example.com"));
}

impl World {
    fn with_device_host(pair: Option<(String, SecretText)>) -> Self {
        let world = Self::new();
        let external_url = "https://login.elsewhere.com/".into();
        let publish = PublishIdentity { external_url, certificate_pem: None, key_pem: None };
        identity::publish(&world.control, &Actor::Control, publish).unwrap();
        if pair.is_none() {
            world.publish("x", "https://*.example.com/");
        }
        let (certificate_pem, key_pem) = pair.unzip();
        let asked = SetDeviceHost { host: "device.example.com".parse().unwrap(), certificate_pem, key_pem };
        set_host(&world.control, &Actor::Control, asked).unwrap();
        world
    }

    fn publish(&self, name: &str, external_url: &str) {
        let entry = serde_json::json!({"name": name, "external_url": external_url, "internal_url": "http://10.0.0.5/", "preauth": "passthrough"});
        apps::publish(&self.control, &Actor::Control, &self.tenant, serde_json::from_value(entry).unwrap()).unwrap();
    }

    /// The certificates that are good for the device host, as they are listed.
    fn good(&self) -> Vec<CertificateId> {
        let all = certificates::list(&self.control, &self.tenant);
        let good =
            all.iter().filter(|view| view.device_host.as_ref().is_some_and(|h| h.as_str() == "device.example.com"));
        good.map(|view| view.id).collect()
    }

    fn drop_certificate(&self, id: CertificateId) -> Result<(), Problem> {
        certificates::remove(&self.control, &Actor::Control, &self.tenant, &id.to_string()).map(drop)
    }

    /// `apply --prune` of what is there, without certificates.
    fn prune(&self) {
        let exported = apply::export(&self.control, &self.tenant, false).unwrap();
        let document = Document { certificates: Vec::new(), ..exported };
        let asked = Apply { document, prune: true, create_tenant: false, dry_run: false, force: false };
        apply::apply(&self.control, &Actor::Control, "default", asked).unwrap();
    }
}

fn pair(host: &str) -> (String, SecretText) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (dated("", -1..30).not_before, dated("", -1..30).not_after);
    let key = key();
    (params.self_signed(&key).unwrap().pem(), SecretText::new(key.serialize_pem()))
}

#[test]
fn the_only_certificate_of_the_device_host_is_not_removed() {
    let world = World::with_device_host(Some(pair("device.example.com")));
    let first = world.good();
    assert_eq!(first.len(), 1);
    assert_eq!(code(world.drop_certificate(first[0])), "still-used");
    let (certificate_pem, key_pem) = pair("*.example.com");
    let wider = postern_model::admin::AddCertificate { certificate_pem, key_pem, ocsp: None };
    certificates::add(&world.control, &Actor::Control, &world.tenant, &wider).unwrap();
    assert_eq!(world.good().len(), 2);
    world.prune();
    let left = world.good();
    assert_eq!(left.len(), 1, "of two that no document names one stays");
    assert_eq!(code(world.drop_certificate(left[0])), "still-used");
    remove_host(&world.control, &Actor::Control).unwrap();
    world.drop_certificate(left[0]).unwrap();
}

#[test]
fn a_certificate_that_was_issued_for_an_application_stays_for_the_device_host() {
    let world = World::with_device_host(None);
    let certificate = world.good();
    assert_eq!(certificate.len(), 1, "that of the wildcard is good for it");
    apps::unpublish(&world.control, &Actor::Control, &world.tenant, "x").unwrap();
    assert_eq!(world.good(), certificate);
    let move_to = |host: &str| {
        let asked = SetDeviceHost { host: host.parse().unwrap(), certificate_pem: None, key_pem: None };
        set_host(&world.control, &Actor::Control, asked).unwrap();
    };
    move_to("other.example.com");
    assert!(world.control.snapshot().certificates.contains_key(&certificate[0]), "it is good for that, too");
    remove_host(&world.control, &Actor::Control).unwrap();
    assert!(!world.control.snapshot().certificates.contains_key(&certificate[0]), "it is shown nowhere any more");
}
