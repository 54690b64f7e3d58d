//! An application at several places, each a real nginx: they share requests, one may die under load, browsers stay with theirs.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use postern_tests::client::Client;
use postern_tests::load::Load;
use postern_tests::nginx::Nginx;
use postern_tests::world::{self, Options, START_TIMEOUT, World};

const KILLS: usize = 4;

/// It says who it is, and what cookie it got.
fn member(world: &World, name: &str, address: SocketAddr) -> Nginx {
    let says = format!("add_header x-member {name} always; add_header x-cookie $http_cookie always;");
    Nginx::start_saying(world.folder(), name, address, &says).unwrap()
}

fn three(world: &World) -> Vec<Nginx> {
    let start = |name: &&str| member(world, name, world::free_address(Ipv4Addr::LOCALHOST).unwrap());
    ["one", "two", "three"].iter().map(start).collect()
}

fn publish(world: &World, members: &[Nginx], settings: &[&str]) -> Client {
    let url = |member: &Nginx| format!("http://{}", member.address());
    let farm = members[1..].iter().map(url).collect::<Vec<_>>().join(",");
    let farm = format!("backend_farm={farm}");
    let mut more = vec!["--set", &farm];
    more.extend(settings.iter().flat_map(|setting| ["--set", *setting]));
    world.publish_with("app", &format!("{}/", url(&members[0])), &more).unwrap()
}

fn who(client: &Client, cookie: &str) -> (String, Option<String>) {
    let mut connection = client.connect().unwrap();
    let headers = [("cookie", cookie)];
    let headers = if cookie.is_empty() { &headers[1..] } else { &headers[..] };
    let answer = connection.request("GET", "/small", headers, b"").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.header("x-cookie").unwrap_or_default().contains("postern-member"), "the member sees its cookie");
    (answer.header("x-member").unwrap().to_owned(), answer.header("set-cookie").map(str::to_owned))
}

#[test]
fn a_member_is_killed_and_brought_back_under_load_and_no_request_is_lost() {
    let world = World::start(Options { connectors: 2, ..Options::default() }).unwrap();
    let mut members = three(&world);
    let settings = ["health_check=/small", "health_interval=500ms"];
    let client = publish(&world, &members, &settings);
    let seen: BTreeSet<String> = (0..12).map(|_| who(&client, "").0).collect();
    assert_eq!(seen.len(), 3, "{seen:?}");
    let load = Load::start(&client, 16, "/small", 100);
    for kill in 0..KILLS {
        let before = load.right();
        world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > before + 200).unwrap();
        let (name, address) = (["two", "three"][kill % 2], members[1 + kill % 2].address());
        drop(members.remove(1 + kill % 2));
        let before = load.right();
        world.expect_within(START_TIMEOUT, "load flows without it", |_| load.right() > before + 500).unwrap();
        members.insert(1 + kill % 2, member(&world, name, address));
        let is_back = |_: &World| who(&client, "").0 == name;
        world.expect_within(START_TIMEOUT, "it is used again", is_back).unwrap();
    }
    let outcome = load.stop();
    eprintln!("{KILLS} kills of members: {outcome:?}");
    assert_eq!((outcome.wrong, outcome.failed, outcome.cut), (0, 0, 0), "{outcome:?}\n{}", world.logs());
}

#[test]
fn a_browser_stays_with_its_member_at_every_connector_and_after_their_restart() {
    let mut world = World::start(Options { connectors: 2, ..Options::default() }).unwrap();
    let mut members = three(&world);
    let client = publish(&world, &members, &["balance=sticky", "cookie_same_site=strict"]);
    let (name, set) = who(&client, "");
    let set = set.unwrap();
    assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{set}");
    assert!(!set.contains("127.0.0.1"), "{set}");
    let cookie = set.split(';').next().unwrap();
    let stays = |client: &Client| (0..20).all(|_| who(client, cookie) == (name.clone(), None));
    assert!(stays(&client));
    for connector in 0..2 {
        world.restart_connector(connector).unwrap();
        world.expect_within(START_TIMEOUT, "both online", |world| world.connectors_online() == 2).unwrap();
    }
    world.wait_published(&client).unwrap();
    assert!(stays(&client));

    let at = ["one", "two", "three"].iter().position(|other| *other == name).unwrap();
    drop(members.remove(at));
    let (other, moved) = who(&client, cookie);
    assert!(other != name && moved.is_some(), "{other} {moved:?}");
    let moved = moved.unwrap();
    assert_eq!(who(&client, moved.split(';').next().unwrap()), (other, None));
}

#[test]
fn without_any_member_users_are_told_and_the_log_names_them() {
    let world = World::usual().unwrap();
    let members = three(&world);
    let places: Vec<String> = members.iter().map(|member| format!("http://{}/", member.address())).collect();
    let settings = ["health_check=/small", "health_interval=500ms", "health_fails=1", "health_passes=1"];
    let client = publish(&world, &members, &settings);
    drop(members);
    std::thread::sleep(Duration::from_secs(2));
    let answer = client.get("/small").unwrap();
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("backend-unreachable"), "{}", answer.text());
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    let log = world.connectors[0].log();
    assert!(log.contains("farm: no member is up") && places.iter().all(|place| log.contains(place)), "{log}");
}

#[test]
fn what_is_no_farm_is_refused_when_it_is_published() {
    let world = World::usual().unwrap();
    let publish = |setting: &str| {
        let arguments = ["app", "publish", "x", "--external", "https://x.example.test/", "--internal", "http://a/"];
        let more = ["--preauth", "passthrough", "--set", setting];
        let output = world.cli_output(&[&arguments[..], &more[..]].concat()).unwrap();
        assert!(!output.status.success(), "{setting}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (setting, says) in [
        ("backend_farm=https://b", "must begin as the internal URL does"),
        ("backend_farm=http://a", "is the internal URL"),
        ("backend_farm=http://b/path/", "must have no paths"),
        ("balance=sticky", "needs backend_farm"),
        ("backend_sni=a.example", "needs an https:// internal URL"),
    ] {
        let said = publish(setting);
        assert!(said.contains(says), "{setting}: {said}");
    }
}
