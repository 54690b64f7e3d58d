//! Towards applications TLS is verified unless the operator says otherwise.

use std::path::Path;
use std::process::Command;

use postern_tests::nginx::Nginx;
use postern_tests::world::World;

#[test]
fn a_backend_certificate_is_verified_by_default() {
    let world = World::usual().unwrap();
    let (certificate, key) = (world.path("backend.pem"), world.path("backend.key"));
    self_signed(&certificate, &key);
    let nginx = Nginx::start_tls(world.folder(), &certificate, &key).unwrap();
    let internal = format!("https://localhost:{}/", nginx.address().port());

    let untrusted = world.publish("untrusted", &internal).unwrap();
    let answer = untrusted.get("/small").unwrap();
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("backend-tls"), "{}", answer.text());

    let unverified = world
        .publish_with(
            "unverified",
            &internal,
            &["--set", "backend_tls_verify=false"],
        )
        .unwrap();
    assert_eq!(unverified.get("/small").unwrap().status, 200);

    let authority = format!("backend_ca=@{}", certificate.display());
    let trusted = world
        .publish_with("trusted", &internal, &["--set", &authority])
        .unwrap();
    let answer = trusted.get("/small").unwrap();
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), world.logs());

    let misnamed = format!("https://127.0.0.1:{}/", nginx.address().port());
    let misnamed = world
        .publish_with("misnamed", &misnamed, &["--set", &authority])
        .unwrap();
    assert_eq!(misnamed.get("/small").unwrap().status, 502);
}

fn self_signed(certificate: &Path, key: &Path) {
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
