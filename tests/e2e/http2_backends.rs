//! Applications that speak HTTP/2 themselves: chosen over TLS, demanded, or without TLS.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use postern_tests::certificate;
use postern_tests::nginx::Nginx;
use postern_tests::pattern;
use postern_tests::process::Process;
use postern_tests::within;
use postern_tests::world::{World, free_address};

#[test]
fn over_tls_the_application_chooses() {
    let world = World::usual().unwrap();
    let leaf = certificate::self_signed(world.folder(), "localhost").unwrap();
    let authority = format!("backend_ca=@{}", leaf.certificate.display());
    let modern = Nginx::start_http2(world.folder(), &leaf).unwrap();
    let plain = Nginx::start_tls(world.folder(), &leaf).unwrap();
    let url = |nginx: &Nginx| format!("https://localhost:{}/", nginx.address().port());
    for (name, nginx, setting, protocol) in [
        ("auto", &modern, "auto", "HTTP/2.0"),
        ("demanded", &modern, "2", "HTTP/2.0"),
        ("old", &modern, "1.1", "HTTP/1.1"),
        ("auto-old", &plain, "auto", "HTTP/1.1"),
    ] {
        let setting = format!("backend_http={setting}");
        let more = ["--set", authority.as_str(), "--set", setting.as_str()];
        let client = world.publish_with(name, &url(nginx), &more).unwrap();
        let mut connection = client.connect().unwrap();
        for (path, size) in [("/small", 100), ("/16k", 16 << 10), ("/10m", 10 << 20)] {
            let answer = connection.get(path).unwrap();
            assert_eq!((answer.status, answer.header("x-protocol")), (200, Some(protocol)), "{name} {}", world.logs());
            assert!(answer.body == pattern::bytes(size), "{name} {path}");
        }
        let up = connection.request("PUT", &format!("/up-{name}"), &[], &pattern::bytes(3_000_000)).unwrap();
        assert_eq!(up.status, 201, "{name}");
        assert_eq!(std::fs::read(nginx.file(&format!("up-{name}"))).unwrap(), pattern::bytes(3_000_000));
        let head = connection.request("HEAD", "/16k", &[], b"").unwrap();
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("16384"), 0));
    }
    let impossible = world.publish_with("impossible", &url(&plain), &["--set", &authority, "--set", "backend_http=2"]);
    let answer = impossible.unwrap().get("/small").unwrap();
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("backend-tls"), "{}", answer.text());
}

#[test]
fn without_tls_by_prior_knowledge_with_trailers() {
    let world = World::usual().unwrap();
    let (_nghttpd, address) = nghttpd(&world);
    let internal = format!("http://{address}/");
    let client = world.publish_with("app", &internal, &["--set", "backend_http=h2c"]).unwrap();
    let mut connection = client.connect().unwrap();
    let content = pattern::bytes(2_000_000);
    let answer = connection.request("POST", "/", &[], &content).unwrap();
    assert_eq!(answer.status, 200, "{}", world.logs());
    assert!(answer.body == content, "what was sent came back");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "5".to_owned())]);

    let (host, _) = client.host.split_once(':').unwrap();
    let head = world.path("curl.head");
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--http2", "--max-time", "20", "--data-binary", "12345", "--dump-header"])
        .arg(&head)
        .args(world.curl(host))
        .arg(format!("https://{}/", client.host))
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"12345", "{}", String::from_utf8_lossy(&output.stderr));
    let head = std::fs::read_to_string(head).unwrap();
    assert!(head.starts_with("HTTP/2 200") && head.contains("x-sum: 5"), "trailers from end to end: {head}");
}

#[test]
fn what_cannot_be_is_refused_when_it_is_published() {
    let world = World::usual().unwrap();
    for (internal, setting) in
        [("http://127.0.0.1:1/", "2"), ("https://127.0.0.1:1/", "h2c"), ("http://127.0.0.1:1/", "3")]
    {
        let setting = format!("backend_http={setting}");
        let external = format!("https://x.example.test:{}/", world.relay_address.port());
        let publish = ["app", "publish", "x", "--external", &external, "--internal", internal];
        let output =
            world.cli_output(&[&publish[..], &["--preauth", "passthrough", "--set", &setting]].concat()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("backend_http"), "{setting}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
}

/// nghttp2's own server: sends back what is posted, with a trailer.
fn nghttpd(world: &World) -> (Process, SocketAddr) {
    let address = free_address(Ipv4Addr::LOCALHOST).unwrap();
    let mut command = Command::new("nghttpd");
    command.args([
        "--no-tls",
        "--no-content-length",
        "--echo-upload",
        "--trailer",
        "x-sum: 5",
        "--address",
        "127.0.0.1",
    ]);
    command.arg("--htdocs").arg(world.folder()).arg(address.port().to_string());
    let mut process = Process::spawn("nghttpd", command, &world.path("nghttpd.log")).unwrap();
    let up = within(Duration::from_secs(5), || TcpStream::connect(address).is_ok());
    assert!(up && process.is_alive(), "{}", process.log());
    (process, address)
}
