//! `postern doctor` on this host: beside a relay that serves, where something is wrong, and as a user without rights.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use postern_tests::world::{World, free_address};
use postern_tests::{certificate, pass_over, programs};
use rustls::{ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

/// The report, and the exit status.
fn examined(output: &Output) -> (Value, Option<i32>) {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{said}"));
    assert_eq!(report["passed"], output.status.success(), "{report:#}");
    assert!(said.is_empty(), "progress is for terminals: {said}");
    (report, output.status.code())
}

fn doctor(world: &World, arguments: &[&str]) -> (Value, Option<i32>) {
    let began = Instant::now();
    let output = world.cli_output(&[&["doctor", "-o", "json"], arguments].concat()).unwrap();
    assert!(began.elapsed() < Duration::from_secs(40), "checks are bounded: {:?}", began.elapsed());
    examined(&output)
}

/// Result and words of a check; `about` is the relay or address that it is about, empty where there is one only.
fn found(report: &Value, check: &str, about: &str) -> (String, String) {
    let checks = report["checks"].as_array().unwrap();
    let is_it = |one: &&Value| one["check"] == check && one["about"].as_str().unwrap_or_default() == about;
    let one = checks.iter().find(is_it).unwrap_or_else(|| panic!("no {check} {about}: {report:#}"));
    let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    (word("result"), format!("{} | {}", word("seen"), word("cure")))
}

#[test]
fn beside_a_relay_that_serves_nothing_fails() {
    let world = World::usual().unwrap();
    world.publish("app", "http://127.0.0.1:1/").unwrap();
    let relay = world.relay_address.to_string();
    let state = world.path("relay").display().to_string();
    let (report, status) =
        doctor(&world, &["--role", "relay", "--listen", &relay, "--state-dir", &state, "--relay", &relay]);
    assert_eq!(status, Some(0), "{report:#}");
    assert_eq!(found(&report, "kernel", "").0, "ok", "{report:#}");
    let (result, said) = found(&report, "listen", &relay);
    assert!(result == "ok" && said.contains("the relay listens (pid"), "{said}");
    for check in ["dns", "egress", "tls", "relay-clock"] {
        assert_eq!(found(&report, check, &relay).0, "ok", "{report:#}");
    }
    assert_ne!(found(&report, "state-dir", &state).0, "fail");
    let (result, said) = found(&report, "connectors", "");
    assert!(result == "warn" && said.contains("default") && said.contains("three"), "{said}");
    let status = world.json(&["status"]).unwrap();
    assert!(status["warnings"].to_string().contains("Have three"), "{status}");

    let table = world.cli_output(&["doctor", "--relay", &relay]).unwrap();
    let text = String::from_utf8_lossy(&table.stdout);
    assert!(text.starts_with("CHECK") && text.ends_with("nothing failed\n"), "{text}");
}

/// A server whose certificate is nobody's of Postern.
fn inspector(world: &World) -> SocketAddr {
    let made = certificate::self_signed(world.folder(), "inspection.corp").unwrap();
    let chain: Vec<_> = CertificateDer::pem_file_iter(&made.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&made.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        }
    });
    address
}

#[test]
fn a_dead_relay_another_certificate_and_a_taken_port_are_named() {
    let world = World::bare(postern_tests::world::Options::default()).unwrap();
    let closed = free_address(Ipv4Addr::LOCALHOST).unwrap().to_string();
    let inspected = inspector(&world).to_string();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let relays = format!("{closed},{inspected},relay.invalid:443");
    let (report, status) = doctor(&world, &["--relay", &relays, "--listen", &taken]);
    assert_eq!(status, Some(1), "{report:#}");
    let (result, said) = found(&report, "egress", &closed);
    assert!(result == "fail" && said.contains("refused") && said.contains("firewall"), "{said}");
    let (result, said) = found(&report, "tls", &inspected);
    let expected = format!("TLS inspected by inspection.corp: exempt {inspected}");
    assert!(result == "fail" && said.contains(&expected), "{said}");
    let (result, said) = found(&report, "dns", "relay.invalid:443");
    assert!(result == "fail" && said.contains("cannot be resolved"), "{said}");
    let (result, said) = found(&report, "listen", &taken);
    assert!(result == "fail" && said.contains(&format!("pid {}", std::process::id())), "{said}");
    let (result, said) = found(&report, "connectors", "");
    assert!(result == "ok" && said.contains("not looked at"), "no control is needed: {said}");

    let usage = world.cli_output(&["doctor", "--relay", "relay.invalid"]).unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

/// As proxies do for CONNECT; others than the relay are refused.
fn proxy(relay: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut client = stream.unwrap();
            let mut asked = [0; 1024];
            let bytes = client.read(&mut asked).unwrap();
            if !String::from_utf8_lossy(&asked[..bytes]).starts_with(&format!("CONNECT {relay} HTTP/1.1\r\n")) {
                client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
                continue;
            }
            let server = TcpStream::connect(relay).unwrap();
            client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
            }
        }
    });
    address
}

#[test]
fn a_relay_is_looked_at_through_a_proxy_that_lets_it() {
    let world = World::usual().unwrap();
    let relay = world.relay_address.to_string();
    let by = format!("http://{}", proxy(world.relay_address));
    let (report, status) = doctor(&world, &["--relay", &relay, "--proxy", &by]);
    assert_eq!(status, Some(0), "{report:#}");
    assert_eq!((found(&report, "egress", &relay).0, found(&report, "tls", &relay).0), ("ok".into(), "ok".into()));
    let other = "192.0.2.1:443";
    let (report, status) = doctor(&world, &["--relay", other, "--proxy", &by]);
    let (result, said) = found(&report, "egress", other);
    assert!(status == Some(1) && result == "fail" && said.contains("refuses CONNECT 192.0.2.1:443 with 403"), "{said}");
}

#[test]
fn without_rights_it_says_what_it_cannot_have() {
    if !nix::unistd::geteuid().is_root() {
        pass_over("becoming another user needs root");
        return;
    }
    let world = World::usual().unwrap();
    // Where it was built, others may not go.
    let copy = world.path("postern");
    std::fs::copy(programs::path("postern"), &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&copy);
    command.args(["doctor", "-o", "json", "--listen", "127.0.0.1:81", "--relay", &world.relay_address.to_string()]);
    command.current_dir("/").env_clear().stdin(Stdio::null()).uid(NOBODY).gid(NOBODY);
    let (report, status) = examined(&command.output().unwrap());
    assert_eq!(status, Some(0), "{report:#}");
    let (result, said) = found(&report, "bpf", "");
    assert!(result == "warn" && said.contains("CAP_BPF"), "{said}");
    assert_ne!(found(&report, "listen", "127.0.0.1:81").0, "fail", "{report:#}");
    assert_eq!(found(&report, "tls", &world.relay_address.to_string()).0, "ok", "{report:#}");
}

const NOBODY: u32 = 65_534;
