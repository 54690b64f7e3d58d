//! Wrong settings: one line that says what is wrong and what to do, exit status 1, or 2 for wrong usage.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::Duration;

use postern_tests::certificate;
use postern_tests::process::Process;
use postern_tests::programs;
use postern_tests::world::{Options, World, free_address};

const FAIL_TIMEOUT: Duration = Duration::from_secs(15);

fn outcome(world: &World, name: &str, command: Command) -> (Option<i32>, String) {
    let log = world.path(&format!("{name}.outcome"));
    let mut process = Process::spawn(name, command, &log).unwrap();
    let status = process.wait(FAIL_TIMEOUT);
    (status.and_then(|status| status.code()), process.log())
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_known_one() {
    let world = World::bare(Options::default()).unwrap();
    for (program, line, nearest) in [
        ("postern-control", "state-dri = \"x\"", "state-dir"),
        ("postern-relay", "listne = \"127.0.0.1:1\"", "listen"),
        ("postern-connector", "relya = \"127.0.0.1:1\"", "relay"),
    ] {
        let file = world.path("config.toml");
        std::fs::write(&file, format!("# settings\n{line}\n")).unwrap();
        let mut command = programs::command(program);
        command.arg("--config").arg(&file);
        let (status, said) = outcome(&world, program, command);
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("config.toml:2") && said.contains(nearest), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let mut world = World::bare(Options::default()).unwrap();
    world.start_control().unwrap();
    let taken = TcpListener::bind(world.relay_address).unwrap();
    let (status, said) = outcome(&world, "relay", world.relay_command());
    drop(taken);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(&world.relay_address.to_string()) && said.contains("port-in-use"), "{said}");
}

#[test]
fn wrong_usage_is_status_2() {
    let world = World::bare(Options::default()).unwrap();
    for program in ["postern-control", "postern-relay", "postern-connector", "postern"] {
        let mut command = programs::command(program);
        command.arg("--no-such-flag");
        let (status, said) = outcome(&world, program, command);
        assert_eq!(status, Some(2), "{program}: {said}");
    }
}

#[test]
fn a_state_folder_is_used_by_one_process() {
    let mut world = World::bare(Options::default()).unwrap();
    world.start_control().unwrap();
    let (status, said) = outcome(&world, "second control", world.control_command());
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("state-dir-locked"), "{said}");
}

#[test]
fn what_is_not_there_yet_is_refused_not_ignored() {
    let mut world = World::bare(Options::default()).unwrap();
    world.start_control().unwrap();
    let publish =
        ["app", "publish", "x", "--external", "https://x.example.test/", "--preauth", "passthrough", "--internal"];
    let lanes = world.cli_output(&[&publish[..], &["tls://127.0.0.1:1"]].concat()).unwrap();
    assert_eq!(lanes.status.code(), Some(1));
    let said = String::from_utf8_lossy(&lanes.stderr).into_owned();
    assert!(said.contains("not available yet"), "{said}");

    let mut postgres = programs::command("postern-control");
    postgres.arg("--state-dir").arg(world.path("other")).args(["--store", "postgres://localhost/postern"]);
    let (status, said) = outcome(&world, "postgres", postgres);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("not yet available") || said.contains("not-yet-available"), "{said}");
}

#[test]
fn a_certificate_that_does_not_match_its_key_or_host_is_refused() {
    let mut world = World::bare(Options::default()).unwrap();
    world.start_control().unwrap();
    for name in ["one.example.test", "two.example.test"] {
        certificate::self_signed(world.folder(), name).unwrap();
    }
    let publish = |host: &str, certificate: &str, key: &str| {
        let external = format!("https://{host}.example.test/");
        let certificate = world.path(&format!("{certificate}.example.test.pem"));
        let key = world.path(&format!("{key}.example.test.key"));
        let arguments = [
            "app",
            "publish",
            host,
            "--external",
            &external,
            "--internal",
            "http://127.0.0.1:1/",
            "--preauth",
            "passthrough",
        ];
        let files = ["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
        world.cli_output(&[&arguments[..], &files[..]].concat()).unwrap()
    };
    assert!(publish("one", "one", "one").status.success());
    for (host, certificate, key) in [("two", "two", "one"), ("three", "two", "two"), ("two", "missing", "two")] {
        let output = publish(host, certificate, key);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{host} {certificate} {key}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
}

#[test]
fn a_relay_needs_an_address_that_is_here() {
    let mut world = World::bare(Options::default()).unwrap();
    world.start_control().unwrap();
    let port = free_address(Ipv4Addr::LOCALHOST).unwrap().port();
    let mut command = programs::command("postern-relay");
    command.arg("--state-dir").arg(world.path("r")).arg("--control").arg(format!("unix:{}", world.socket().display()));
    command.args(["--listen", &format!("192.0.2.1:{port}")]);
    let (status, said) = outcome(&world, "relay", command);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("address-unavailable"), "{said}");
}
