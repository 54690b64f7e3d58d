//! Towards applications TLS is verified unless the operator says otherwise.

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;
use postern_tests::certificate::{self, Certificate};
use postern_tests::nginx::Nginx;
use postern_tests::world::{self, Options, START_TIMEOUT, World};

#[test]
fn a_backend_certificate_is_verified_by_default() {
    let world = World::usual().unwrap();
    let leaf = certificate::self_signed(world.folder(), "localhost").unwrap();
    let nginx = Nginx::start_tls(world.folder(), &leaf).unwrap();
    let internal = format!("https://localhost:{}/", nginx.address().port());

    let untrusted = world.publish("untrusted", &internal).unwrap();
    let answer = untrusted.get("/small").unwrap();
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("backend-tls"), "{}", answer.text());

    let unverified = world.publish_with("unverified", &internal, &["--set", "backend_tls_verify=false"]).unwrap();
    assert_eq!(unverified.get("/small").unwrap().status, 200);

    let authority = format!("backend_ca=@{}", leaf.certificate.display());
    let trusted = world.publish_with("trusted", &internal, &["--set", &authority]).unwrap();
    let answer = trusted.get("/small").unwrap();
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), world.logs());

    let misnamed = format!("https://127.0.0.1:{}/", nginx.address().port());
    let misnamed = world.publish_with("misnamed", &misnamed, &["--set", &authority]).unwrap();
    assert_eq!(misnamed.get("/small").unwrap().status, 502);
}

#[test]
fn an_application_may_ask_the_connector_for_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = folder.path().join("certificates");
    std::fs::create_dir(&certificates).unwrap();
    let connector = vec!["--client-certificates".into(), certificates.display().to_string()];
    let world = World::start(Options { connector, ..Options::default() }).unwrap();
    let leaf = certificate::self_signed(world.folder(), "localhost").unwrap();
    let own = certificate::self_signed(world.folder(), "connector.test").unwrap();
    let directives = format!(
        "ssl_client_certificate {}; ssl_verify_client on; add_header x-subject $ssl_client_s_dn always;",
        own.certificate.display()
    );
    let nginx = Nginx::start_tls_saying(world.folder(), "nginx-asks", &leaf, &directives).unwrap();
    let internal = format!("https://localhost:{}/", nginx.address().port());
    let authority = format!("backend_ca=@{}", leaf.certificate.display());

    let without = world.publish_with("without", &internal, &["--set", &authority]).unwrap();
    let answer = without.get("/small").unwrap();
    assert_eq!(answer.status, 400, "nginx asks for a certificate: {}", answer.text());

    let settings = ["--set", &authority, "--set", "backend_client_certificate=crm"];
    let client = world.publish_with("with", &internal, &settings).unwrap();
    let answer = client.get("/small").unwrap();
    assert_eq!(answer.status, 502, "the file is not there yet: {}", answer.text());
    assert!(answer.text().contains("backend-tls") && !answer.text().contains("crm.pem"), "{}", answer.text());

    write_pair(&own, &certificates.join("crm.pem"));
    world.connectors[0].signal(Signal::SIGHUP);
    let is_taken = |_: &World| client.get("/small").is_ok_and(|answer| answer.status == 200);
    world.expect_within(START_TIMEOUT, "the certificate is read", is_taken).unwrap();
    let answer = client.get("/small").unwrap();
    assert_eq!(answer.header("x-subject"), Some("CN=connector.test"), "{}", world.logs());
}

fn write_pair(own: &Certificate, file: &std::path::Path) {
    let read = |path| std::fs::read_to_string(path).unwrap();
    world::write_secret(file, &format!("{}{}", read(&own.certificate), read(&own.key))).unwrap();
}

#[test]
fn the_name_that_tls_asks_for_and_verifies_may_be_another_than_the_hosts() {
    let world = World::usual().unwrap();
    let outer = certificate::self_signed(world.folder(), "outer.test").unwrap();
    let inner = certificate::self_signed(world.folder(), "inner.test").unwrap();
    let address = world::free_address(Ipv4Addr::LOCALHOST).unwrap();
    let directives = format!(
        "server_name outer.test; location / {{ return 403; }} }} server {{ listen {address} ssl; server_name inner.test 127.0.0.1;
         ssl_certificate {}; ssl_certificate_key {};",
        inner.certificate.display(),
        inner.key.display()
    );
    let nginx = Nginx::start_tls_at(world.folder(), "nginx-names", address, &outer, &directives).unwrap();
    let internal = format!("https://{}/", nginx.address());
    let authority = format!("backend_ca=@{}", inner.certificate.display());

    let without = world.publish_with("without", &internal, &["--set", &authority]).unwrap();
    assert_eq!(without.get("/small").unwrap().status, 502, "it shows the other certificate");
    let settings = ["--set", &authority, "--set", "backend_sni=inner.test"];
    let client = world.publish_with("with", &internal, &settings).unwrap();
    let answer = client.get("/small").unwrap();
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), world.logs());
    let misnamed = ["--set", &authority, "--set", "backend_sni=outer.test"];
    let misnamed = world.publish_with("misnamed", &internal, &misnamed).unwrap();
    assert_eq!(misnamed.get("/small").unwrap().status, 502, "that one's certificate is not of this authority");
}
