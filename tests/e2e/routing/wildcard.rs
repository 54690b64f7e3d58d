//! `https://*.apps.example.test/` and `http://*.corp.test/`: which host users name inside, and which none of them may.

use std::net::TcpListener;
use std::process::Command;

use postern_tests::netns::Netns;
use postern_tests::origin::Origin;
use postern_tests::pass_over;
use postern_tests::process::Process;
use postern_tests::world::{Options, START_TIMEOUT, World, write_secret};

use super::{at, is_served, refused, seen};

/// A connector to which the names in `hosts` are known.
fn start_connector(world: &mut World, hosts: &str) {
    let file = world.path("hosts");
    std::fs::write(&file, hosts).unwrap();
    write_secret(&world.path("token-0"), &world.token("default").unwrap()).unwrap();
    let own = world.connector_command(0);
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    command.args(["--mount", "--", "sh", "-c", script]).arg(&file).arg(own.get_program()).args(own.get_args());
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let connector = Process::spawn("postern-connector 0", command, &world.path("connector-0.log")).unwrap();
    world.connectors.push(connector);
}

#[test]
fn hosts_below_a_wildcard_are_found_by_their_names_inside() {
    if !Netns::is_possible() {
        pass_over("an address besides loopback, and names for it, need root and iproute2");
        return;
    }
    let netns = Netns::create(44).unwrap();
    let mut world = World::start(Options { connectors: 0, ..Options::default() }).unwrap();
    // On another host than the connector.
    let origin = Origin::start_at(netns.listen().unwrap()).unwrap();
    let (address, own) = (netns.inside(), netns.outside());
    let _listening = TcpListener::bind((own, origin.address().port())).unwrap();
    let hosts = format!(
        "127.0.0.1 localhost\n{address} crm.corp.test\n{address} deep.crm.corp.test\n127.0.0.1 itself.corp.test\n{own} own.corp.test\n169.254.1.1 link.corp.test\n"
    );
    start_connector(&mut world, &hosts);
    world.expect_within(START_TIMEOUT, "the connector is online", |world| world.connectors_online() == 1).unwrap();
    let (external, port) = (format!("https://{}/", at(&world, "*.apps.example.test")), origin.address().port());
    let internal = format!("http://*.corp.test:{port}/");
    let publish =
        ["app", "publish", "all", "--external", &external, "--internal", &internal, "--preauth", "passthrough"];
    world.cli(&publish).unwrap();
    let client = world.client(&at(&world, "crm.apps.example.test")).unwrap();
    world.expect_within(START_TIMEOUT, "it is served", |_| is_served(&client)).unwrap();
    let head = seen(&client, "/head?x");
    assert!(head.contains(&format!("\r\nhost: crm.corp.test:{port}\r\n")), "{head}");
    assert!(head.contains(&format!("x-forwarded-host: {}\r\n", client.host)), "{head}");
    // Links to any of them come out.
    for (inside, outside) in [("crm", "crm"), ("wiki", "wiki"), ("deep.crm", "deep.crm")] {
        let answer = client.get(&format!("/redirect?http://{inside}.corp.test:{port}/x")).unwrap();
        let expected = format!("https://{}/x", at(&world, &format!("{outside}.apps.example.test")));
        assert_eq!(answer.header("location"), Some(expected.as_str()));
    }
    // The connector's own host, what is on its link alone, and names that nobody has.
    for name in ["itself", "own", "link", "nowhere"] {
        let answer = client.for_host(&at(&world, &format!("{name}.apps.example.test"))).get("/head").unwrap();
        assert_eq!(answer.status, 502, "{name}: {}", answer.text());
        assert!(answer.text().contains("backend-unreachable"), "{name}: {}", answer.text());
    }
    // An application at one of its hosts goes before it; what a wildcard cannot be is refused.
    let one = world.publish_with("one", &origin.url(), &[]).unwrap();
    let exact = format!("https://{}/", at(&world, "one.apps.example.test"));
    world.cli(&["app", "set", "one", "--external", &exact]).unwrap();
    let one = one.for_host(&at(&world, "one.apps.example.test"));
    world.expect_within(START_TIMEOUT, "the exact host is served", |_| is_served(&one)).unwrap();
    assert!(seen(&one, "/head").contains(&format!("\r\nhost: {}\r\n", origin.address())));
    let error = refused(&world, &["app", "set", "one", "--internal", &internal]);
    assert!(error.contains("an internal wildcard needs an external one"), "{error}");
    let again =
        ["app", "publish", "again", "--external", &external, "--internal", &internal, "--preauth", "passthrough"];
    let error = refused(&world, &again);
    assert!(error.contains("already published as all"), "{error}");
}
