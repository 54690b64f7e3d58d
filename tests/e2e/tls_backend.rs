//! Towards applications TLS is verified unless the operator says otherwise.

use postern_tests::certificate;
use postern_tests::nginx::Nginx;
use postern_tests::world::World;

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
