//! What the kernel refuses before the relay sees it: floods on a pair of links, connection rates on loopback, deny lists, all
//! changed live by the command line.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use postern_tests::client::Client;
use postern_tests::netns::Netns;
use postern_tests::origin::Origin;
use postern_tests::pass_over;
use postern_tests::world::{Options, START_TIMEOUT, World, free_address};
use postern_tests::{programs, within};
use serde_json::Value;

/// A world whose relay filters packets on a pair of links.
struct Guarded {
    world: World,
    client: Client,
    netns: Netns,
    _origin: Origin,
}

/// Other relays may run on this host: its name tells this one's maps.
fn name(test: &str) -> String {
    format!("e2e-{test}-{}", std::process::id())
}

impl Guarded {
    fn start(test: &str, subnet: u8, more: &[&str]) -> Option<Guarded> {
        if !Netns::is_possible() {
            pass_over("network namespaces need root and iproute2");
            return None;
        }
        let netns = Netns::create(subnet).unwrap();
        let listen = free_address(netns.outside()).unwrap();
        let mut relay = vec!["--ebpf".into(), "require".into(), "--name".into(), name(test)];
        relay.extend(["--xdp".to_owned(), netns.link().to_owned()]);
        relay.extend(more.iter().map(|word| (*word).to_owned()));
        let world = World::start(Options { listen: Some(listen), relay, ..Options::default() }).unwrap();
        let origin = Origin::start().unwrap();
        let client = world.publish("app", &origin.url()).unwrap();
        Some(Guarded { world, client, netns, _origin: origin })
    }

    /// A request from the namespace's first address, over a connection of its own.
    fn is_served(&self) -> bool {
        let output = self.curl(self.netns.inside(), "/bytes/100", 2).arg("--fail").output();
        output.is_ok_and(|output| output.status.success() && output.stdout.len() == 100)
    }

    fn curl(&self, from: Ipv4Addr, path: &str, max_s: u32) -> Command {
        let (host, _) = self.client.host.split_once(':').unwrap();
        let mut curl = self.netns.command("curl");
        // Time and failure are of each transfer: without --fail-early every one of many would wait.
        curl.args([
            "--silent",
            "--http1.1",
            "--fail-early",
            "--max-time",
            &max_s.to_string(),
            "--interface",
            &from.to_string(),
        ]);
        curl.args(self.world.curl(host)).arg(format!("https://{}{path}", self.client.host));
        curl
    }
}

/// `postern guard …` for this test's relay.
fn guard(test: &str, arguments: &[&str]) -> Output {
    let mut command = programs::command("postern");
    command.args(["guard", "--instance", &name(test)]).args(arguments).output().unwrap()
}

fn guarded(test: &str, arguments: &[&str]) {
    let output = guard(test, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn show(test: &str) -> Value {
    let output = guard(test, &["show", "-o", "json"]);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_flood_is_dropped_in_the_driver_and_counted_while_another_address_is_served() {
    let Some(guarded_world) = Guarded::start("flood", 2, &["--syn-rate", "200"]) else { return };
    let link = guarded_world.netns.link();
    let shown = format!("steer, guard on {link} (native)");
    let is_told = |world: &World| world.cli(&["relay", "list", "-o", "json"]).is_ok_and(|list| list.contains(&shown));
    guarded_world.world.expect_within(START_TIMEOUT, "the status says so", is_told).unwrap();
    assert!(guarded_world.is_served());
    let SocketAddr::V4(to) = guarded_world.world.relay_address else { panic!("an IPv4 address") };
    let flood = guarded_world.netns.flood(to).unwrap();
    let served = (0..20).filter(|_| guarded_world.is_served()).count();
    let sent = flood.sent();
    drop(flood);
    let shown = show("flood");
    let dropped = shown["packets"]["dropped_syn_rate"].as_u64().unwrap();
    eprintln!("{sent} SYN packets sent, {dropped} dropped in the kernel; {served} of 20 requests served meanwhile");
    assert_eq!(served, 20, "{shown}\n{}", guarded_world.world.logs());
    assert!(sent > 10_000 && dropped >= sent * 9 / 10, "{shown}");
    assert_eq!(shown["packets"]["dropped_denied"], 0, "for no other reason: {shown}");
    let told = within(Duration::from_secs(15), || guarded_world.world.logs().contains("above the SYN rate"));
    assert!(told, "the relay's log tells what the kernel dropped");
}

#[test]
fn the_deny_list_and_limits_are_live_and_nothing_stays() {
    let Some(guarded_world) = Guarded::start("deny", 3, &[]) else { return };
    let user = guarded_world.netns.inside().to_string();
    assert!(guarded_world.is_served());
    guarded("deny", &["deny", "add", &user]);
    assert!(!guarded_world.is_served());
    assert_eq!(show("deny")["denied"], serde_json::json!([user]));
    guarded("deny", &["deny", "remove", &user]);
    assert!(guarded_world.is_served());
    guarded("deny", &["drop", &user, "--for", "1h"]);
    assert!(!guarded_world.is_served());
    guarded("deny", &["release", &user]);
    assert!(guarded_world.is_served());
    guarded("deny", &["set", "--packet-rate", "1", "--packet-burst", "2"]);
    assert!(!guarded_world.is_served());
    let shown = show("deny");
    assert!(shown["packets"]["dropped_packet_rate"].as_u64() > Some(0), "{shown}");
    guarded("deny", &["set", "--packet-rate", "0"]);
    assert!(guarded_world.is_served());

    let Guarded { world, netns, .. } = guarded_world;
    let attached = |netns: &Netns| {
        let link = Command::new("ip").args(["link", "show", "dev", netns.link()]).output().unwrap();
        String::from_utf8_lossy(&link.stdout).contains("xdp")
    };
    assert!(attached(&netns));
    drop(world);
    assert!(!attached(&netns));
    let after = guard("deny", &["show"]);
    let said = String::from_utf8_lossy(&after.stderr);
    assert!(!after.status.success() && said.contains("guard-unavailable"), "{said}");
}

#[test]
fn a_killed_relay_leaves_no_filter_and_the_next_one_has_its_own() {
    let Some(mut guarded_world) = Guarded::start("killed", 4, &["--deny", "198.51.100.0/24"]) else { return };
    guarded("killed", &["deny", "add", &guarded_world.netns.inside().to_string()]);
    guarded_world.world.relay().kill();
    let output = guard("killed", &["show"]);
    assert!(!output.status.success(), "the maps of a dead relay are not shown");
    guarded_world.world.start_relay().unwrap();
    assert!(within(START_TIMEOUT, || guarded_world.is_served()), "{}", guarded_world.world.logs());
    assert_eq!(
        show("killed")["denied"],
        serde_json::json!(["198.51.100.0/24"]),
        "what the command line says, and no more"
    );
}

#[test]
fn on_loopback_steer_keeps_the_connection_rate() {
    if !nix::unistd::geteuid().is_root() {
        pass_over("loading BPF programs needs root");
        return;
    }
    let relay = vec!["--ebpf".into(), "require".into(), "--name".into(), name("rate")];
    let world = World::start(Options { relay, ..Options::default() }).unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    guarded("rate", &["set", "--connection-rate", "1", "--connection-burst", "5"]);
    let tries: Vec<bool> = (0..40).map(|_| connects_from(Ipv4Addr::LOCALHOST, world.relay_address)).collect();
    let opened = tries.iter().filter(|opened| **opened).count();
    assert!((1..10).contains(&opened), "{opened}");
    assert!(connects_from(Ipv4Addr::new(127, 0, 0, 9), world.relay_address), "another source is free");
    let shown = show("rate");
    assert!(shown["connections"]["refused_connection_rate"].as_u64() >= Some(30), "{shown}");
    guarded("rate", &["set", "--connection-rate", "10000"]);
    assert_eq!(client.get("/bytes/10").unwrap().status, 200);
}

#[test]
fn a_source_that_floods_the_throttle_is_dropped_in_the_kernel() {
    let Some(guarded_world) = Guarded::start("throttle", 5, &[]) else { return };
    let (flooding, other) = (guarded_world.netns.inside(), guarded_world.netns.other());
    guarded_world.world.cli(&["throttle", "set", "source", "--rps", "1", "--burst", "5"]).unwrap();
    let is_dropped = || {
        let shown = show("throttle");
        shown["dropped_for_a_while"][0]["source"] == flooding.to_string()
    };
    let flooded = within(START_TIMEOUT, || {
        let _ = guarded_world.curl(flooding, "/bytes/10?[1-500]", 3).output();
        is_dropped()
    });
    assert!(flooded, "{}\n{}", show("throttle"), guarded_world.world.logs());
    assert!(!guarded_world.is_served());
    let before = show("throttle")["packets"]["dropped_for_a_while"].as_u64();
    assert!(before > Some(0));
    let answer = guarded_world.curl(other, "/bytes/10", 5).output().unwrap();
    assert_eq!(answer.stdout.len(), 10, "another source is served: {}", guarded_world.world.logs());
    guarded("throttle", &["release", &flooding.to_string()]);
    let answer = guarded_world.curl(flooding, "/bytes/10", 5).output().unwrap();
    assert!(!answer.stdout.is_empty(), "it is let in again, within its limit or with a 429");
}

#[test]
fn a_source_with_a_connectors_tunnel_is_never_dropped() {
    if !nix::unistd::geteuid().is_root() {
        pass_over("loading BPF programs needs root");
        return;
    }
    let relay = vec!["--ebpf".into(), "require".into(), "--name".into(), name("spared")];
    let world = World::start(Options { relay, ..Options::default() }).unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    world.cli(&["throttle", "set", "source", "--rps", "1", "--burst", "5"]).unwrap();
    let refused = within(START_TIMEOUT, || client.get("/bytes/10").is_ok_and(|answer| answer.status == 429));
    assert!(refused, "the limit holds");
    // A flooding source's connections are closed: then another one.
    let (mut refusals, deadline) = (0, Instant::now() + 3 * START_TIMEOUT);
    while refusals < 400 {
        assert!(Instant::now() < deadline, "only {refusals} refusals: {}", world.logs());
        let Ok(mut connection) = client.connect() else { continue };
        while connection.get("/bytes/10").is_ok_and(|answer| answer.status == 429) {
            refusals += 1;
        }
    }
    let shown = show("spared");
    assert_eq!(shown["dropped_for_a_while"], serde_json::json!([]), "{shown}");
    assert_eq!(shown["connections"]["refused_for_a_while"], 0, "{shown}");
    assert_eq!(world.connectors_online(), 1);
}

fn connects_from(source: Ipv4Addr, to: SocketAddr) -> bool {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    use std::os::fd::AsRawFd;
    let SocketAddr::V4(to) = to else { panic!("an IPv4 address") };
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0))).unwrap();
    connect(socket.as_raw_fd(), &SockaddrIn::from(to)).is_ok()
}

#[test]
fn an_interface_without_native_xdp_is_filtered_all_the_same_and_the_status_says_so() {
    if !Netns::is_possible() {
        pass_over("interfaces need root and iproute2");
        return;
    }
    // A bridge has no driver of its own.
    let bridge = Bridge::create();
    let relay = ["--ebpf", "require", "--xdp", &bridge.0].map(str::to_owned).to_vec();
    let world = World::start(Options { connectors: 0, relay, ..Options::default() }).unwrap();
    let shown = format!("steer, guard on {} (generic)", bridge.0);
    let warning = format!("--xdp {}: its driver has no native XDP; the kernel's stack filters instead", bridge.0);
    let is_told = |world: &World| {
        let list = world.cli(&["relay", "list", "-o", "json"]).unwrap_or_default();
        list.contains(&shown) && list.contains(&warning)
    };
    world.expect_within(START_TIMEOUT, "the status says so", is_told).unwrap();
    assert_eq!(world.logs().matches(&warning).count(), 1, "one warning: {}", world.logs());
}

struct Bridge(String);

impl Bridge {
    fn create() -> Bridge {
        let bridge = Bridge(format!("ptb{}", std::process::id()));
        let made = Command::new("ip").args(["link", "add", &bridge.0, "type", "bridge"]).status().unwrap();
        assert!(made.success());
        bridge
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).output();
    }
}
