//! Networks that lose, hold and cut connections, and addresses that matter.

use std::time::Duration;

use postern_tests::cut::Cut;
use postern_tests::load::Load;
use postern_tests::netns::Netns;
use postern_tests::origin::Origin;
use postern_tests::pass_over;
use postern_tests::world::{Options, START_TIMEOUT, World, free_address};

/// One connector that dials the relay directly and one that dials through a network that misbehaves.
fn world_with_a_bad_network() -> (World, Cut) {
    let mut world = World::usual().unwrap();
    let cut = Cut::to(world.relay_address).unwrap();
    world.connectors_dial(cut.address());
    let token = world.token("default").unwrap();
    world.start_connector(1, &token).unwrap();
    world.expect_within(START_TIMEOUT, "both connectors online", |world| world.connectors_online() == 2).unwrap();
    (world, cut)
}

#[test]
fn a_black_hole_is_left_within_a_second() {
    let (world, cut) = world_with_a_bad_network();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap().timeout(Duration::from_secs(5));
    let load = Load::start(&client, 8, "/bytes/1000", 1000);
    world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > 500).unwrap();
    load.forget_gap();
    cut.hold(true);
    std::thread::sleep(Duration::from_secs(3));
    cut.hold(false);
    world.expect_within(START_TIMEOUT, "both connectors online again", |world| world.connectors_online() == 2).unwrap();
    let outcome = load.stop();
    assert_eq!((outcome.wrong, outcome.failed), (0, 0), "{outcome:?}\n{}", world.logs());
    assert!(outcome.gap < Duration::from_secs(1), "{outcome:?}");
}

#[test]
fn cut_tunnels_come_back_and_lose_no_request() {
    let (world, cut) = world_with_a_bad_network();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let load = Load::start(&client, 8, "/bytes/1000", 1000);
    for _ in 0..5 {
        let before = load.right();
        world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > before + 200).unwrap();
        cut.cut();
        std::thread::sleep(Duration::from_millis(300));
        world
            .expect_within(START_TIMEOUT, "both connectors online again", |world| world.connectors_online() == 2)
            .unwrap();
    }
    let outcome = load.stop();
    assert_eq!((outcome.wrong, outcome.failed), (0, 0), "{outcome:?}\n{}", world.logs());
}

#[test]
fn the_application_learns_the_clients_own_address() {
    if !Netns::is_possible() {
        pass_over("network namespaces need root and iproute2");
        return;
    }
    let netns = Netns::create(1).unwrap();
    let listen = free_address(netns.outside()).unwrap();
    let world = World::start(Options { listen: Some(listen), ..Options::default() }).unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let (host, _) = client.host.split_once(':').unwrap();
    let mut curl = netns.command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "10"]).args(world.curl(host));
    let output = curl.arg(format!("https://{}/head", client.host)).output().unwrap();
    let head = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(
        head.contains(&format!("x-forwarded-for: {}", netns.inside())),
        "{head}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(head.contains(&format!("for={}", netns.inside())), "{head}");
}
