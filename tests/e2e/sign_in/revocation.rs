//! What ends when a right ends: at two relays, in the middle of downloads, WebSockets and streams, within a second.

use std::time::{Duration, Instant};

use postern_tests::client::{Broken, Client, Connection};
use postern_tests::load::Load;
use postern_tests::origin::websocket::{frame, masked_frame};
use postern_tests::world::{Options, START_TIMEOUT, World, free_address, write_secret};

use super::Scene;

const TEXT: u8 = 0x81;
const REVOCATIONS: usize = 100;

/// Two relays of one control, and a client of the wiki at each.
fn two_relays() -> (Scene, [Client; 2]) {
    let second = free_address(std::net::Ipv4Addr::LOCALHOST).unwrap();
    let connector = vec!["--relay".to_owned(), second.to_string()];
    let mut scene = Scene::with(Options { connector, ..Options::default() });
    scene.world.start_second_relay(second).unwrap();
    let open = scene.world.publish("open", &scene.origin.url()).unwrap();
    let at_second = |client: &Client| {
        let mut there = client.clone();
        there.relay = second;
        there
    };
    let (open, there) = (at_second(&open), at_second(&scene.wiki));
    let serves = |_: &World| open.get("/bytes/3").is_ok_and(|answer| answer.status == 200);
    scene.world.expect_within(START_TIMEOUT, "the second relay serves", serves).unwrap();
    let clients = [scene.wiki.clone(), there];
    (scene, clients)
}

/// A request in progress that ends when it is taken back: when it did.
pub(super) struct Running(std::thread::JoinHandle<Option<Instant>>);

impl Running {
    fn start(client: &Client, path: &str, cookie: &str) -> Running {
        Running::showing(client, path, ("Cookie", cookie))
    }

    pub(super) fn showing(client: &Client, path: &str, shown: (&str, &str)) -> Running {
        let mut connection = client.connect().unwrap();
        connection.send_head("GET", path, &[shown]).unwrap();
        let head = connection.head("GET").unwrap();
        assert_eq!(head.status, 200, "{path}");
        Running(std::thread::spawn(move || {
            let outcome = connection.body(&head, |piece| {
                // Slowly, so that there is always more to come.
                std::thread::sleep(Duration::from_micros(piece.len() as u64 / 10));
                true
            });
            let broken = outcome.err().is_some_and(|error| matches!(error.downcast_ref(), Some(Broken::Cut { .. })));
            broken.then(Instant::now)
        }))
    }

    pub(super) fn ended(self) -> Instant {
        self.0.join().unwrap().expect("it looks complete")
    }
}

fn websocket(client: &Client, cookie: &str) -> Connection {
    let (mut connection, _) = client.websocket("/ws", &[("Cookie", cookie)]).unwrap();
    connection.send(&masked_frame(TEXT, b"hello")).unwrap();
    assert_eq!(connection.exactly(7).unwrap(), frame(TEXT, b"hello"));
    connection
}

#[test]
fn every_way_a_right_ends_ends_what_it_let_in_at_every_relay() {
    let (scene, relays) = two_relays();
    let world = &scene.world;
    world.cli(&["group", "create", "staff"]).unwrap();
    world.cli(&["group", "create", "all"]).unwrap();
    world.cli(&["group", "add", "all", "--group", "staff"]).unwrap();
    world.cli(&["assign", "--group", "all", "wiki"]).unwrap();
    let another = world.path("another-password");
    write_secret(&another, "another horse battery\n").unwrap();
    let file = another.display().to_string();
    let document = world.path("document");
    let prune = world.path("prune");
    type Way<'a> = (&'a str, bool, Vec<&'a str>);
    let (document_text, prune_text) = (document.display().to_string(), prune.display().to_string());
    let ways: Vec<Way<'_>> = vec![
        ("session", false, vec!["session", "revoke", "--user", "LOGIN"]),
        ("all", false, vec!["session", "revoke", "--all"]),
        ("disabled", false, vec!["user", "disable", "LOGIN"]),
        ("password", false, vec!["user", "password", "LOGIN", "--password-file", &file]),
        ("deleted", false, vec!["user", "delete", "LOGIN"]),
        ("unassigned", false, vec!["assign", "remove", "--user", "LOGIN", "wiki"]),
        ("left", true, vec!["group", "remove", "staff", "--user", "LOGIN"]),
        ("unnested", true, vec!["group", "remove", "all", "--group", "staff"]),
        ("applied", false, vec!["apply", "-f", &document_text]),
        ("pruned", false, vec!["apply", "--prune", "-f", &prune_text]),
    ];
    for (name, by_group, words) in ways {
        let login = format!("u-{name}");
        scene.add_user(&login, &[]);
        if by_group {
            world.cli(&["group", "add", "staff", "--user", &login]).unwrap();
        } else {
            world.cli(&["assign", "--user", &login, "wiki"]).unwrap();
        }
        let cookie = scene.signed_in(&login).cookie(&scene.wiki.host);
        let paths = ["/stall", "/bytes/1073741824", "/events"];
        let begin = |relay| paths.map(|path| Running::start(relay, path, &cookie));
        let running: Vec<Running> = relays.iter().flat_map(begin).collect();
        let websockets = relays.each_ref().map(|relay| websocket(relay, &cookie));
        if name == "applied" || name == "pruned" {
            let text = world.cli(&["export"]).unwrap();
            let text = if name == "applied" { disabled(&text, &login) } else { without(&text, &login) };
            write_secret(if name == "applied" { &document } else { &prune }, &text).unwrap();
        }
        let words: Vec<&str> = words.iter().map(|word| if *word == "LOGIN" { &*login } else { word }).collect();
        let said = world.cli_output(&words).unwrap();
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        let returned = Instant::now();
        for ended in running.into_iter().map(Running::ended) {
            let late = ended.saturating_duration_since(returned);
            assert!(late < Duration::from_secs(1), "{name}: {late:?} {said}");
        }
        for mut websocket in websockets {
            let (rest, closed) = websocket.drain();
            assert!(closed && rest == frame(0x88, &1008u16.to_be_bytes()), "{name}: {rest:?} {said}");
        }
        assert!(returned.elapsed() < Duration::from_secs(1), "{name}: {:?}", returned.elapsed());
        for relay in &relays {
            let answer = relay.connect().unwrap().request("GET", "/bytes/3", &[("Cookie", &cookie)], b"").unwrap();
            assert!(matches!(answer.status, 401 | 403), "{name}: {answer:?}");
        }
    }
    // Who was disabled by a document and is enabled again signs in anew.
    world.cli(&["user", "enable", "u-disabled"]).unwrap();
    world.cli(&["user", "enable", "u-applied"]).unwrap();
    let left = world.cli(&["session", "list"]).unwrap();
    assert!(!left.contains("u-disabled") && !left.contains("u-applied"), "{left}");
    let count = left.lines().filter(|line| line.contains("u-")).count();
    assert_eq!(world.json(&["identity", "show"]).unwrap()["sessions"], count, "{left}");
}

/// A document as it was exported, in which a user is disabled.
fn disabled(document: &str, login: &str) -> String {
    let heading = format!("[user.\"{login}\"]");
    assert!(document.contains(&heading), "{document}");
    document.replace(&heading, &format!("{heading}\ndisabled = true"))
}

/// The same without the user, and with what refers to them.
fn without(document: &str, login: &str) -> String {
    document.replace(&format!("\"{login}\""), "\"nobody-else\"")
}

#[test]
fn a_hundred_revocations_under_load_reach_every_relay_within_a_second() {
    let (scene, relays) = two_relays();
    scene.world.cli(&["throttle", "set", "source", "--rps", "100000"]).unwrap();
    let kept = scene.signed_in("anna");
    let cookie = kept.cookie(&scene.wiki.host);
    let open = scene.wiki.for_host(&scene.wiki.host.replace("wiki", "open"));
    let load = Load::start(&open, 4, "/bytes/1000", 1000);
    let mut took = Vec::new();
    for _ in 0..REVOCATIONS {
        let (person, session) = scene.session_of("anna");
        let shown = person.cookie(&scene.wiki.host);
        let running = relays.each_ref().map(|relay| Running::start(relay, "/stall", &shown));
        let begun = Instant::now();
        let said = scene.world.cli_output(&["session", "revoke", &session]).unwrap();
        assert!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
        let returned = Instant::now();
        for relay in &relays {
            let answer = relay.connect().unwrap().request("GET", "/bytes/3", &[("Cookie", &shown)], b"").unwrap();
            assert_eq!(answer.status, 401, "confirmed, and still let in");
        }
        for ended in running.map(Running::ended) {
            assert!(ended.saturating_duration_since(returned) < Duration::from_secs(1));
            took.push(ended.duration_since(begun));
        }
    }
    let outcome = load.stop();
    assert_eq!((outcome.wrong, outcome.cut, outcome.failed), (0, 0, 0), "{outcome:?}");
    took.sort();
    let at = |percent: usize| took[(took.len() * percent).div_ceil(100) - 1];
    println!(
        "{REVOCATIONS} revocations at 2 relays beside {} requests: p50 {:?}, p99 {:?}, max {:?}, from the command's start",
        outcome.right,
        at(50),
        at(99),
        at(100)
    );
    assert!(at(99) < Duration::from_secs(1), "{:?}", at(99));
    for relay in &relays {
        let answer = relay.connect().unwrap().request("GET", "/bytes/3", &[("Cookie", &cookie)], b"").unwrap();
        assert_eq!(answer.status, 200, "another session of the same person goes on");
    }
}

#[test]
fn a_relay_that_was_away_lets_in_nobody_whose_session_ended_meanwhile() {
    let (mut scene, relays) = two_relays();
    let person = scene.signed_in("anna");
    let cookie = person.cookie(&scene.wiki.host);
    let shows = |relay: &Client| {
        relay
            .connect()
            .unwrap()
            .request("GET", "/bytes/3", &[("Cookie", &cookie)], b"")
            .map_or(0, |answer| answer.status)
    };
    assert_eq!(relays.each_ref().map(shows), [200, 200]);
    let running = Running::start(&relays[1], "/stall", &cookie);
    scene.world.second_relay.as_mut().unwrap().pause();
    let said = scene.world.cli_output(&["session", "revoke", "--user", "anna"]).unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("second") && said.contains("has not confirmed yet which sessions ended"), "{said}");
    assert_eq!(shows(&relays[0]), 401);
    scene.world.second_relay.as_mut().unwrap().resume();
    let resumed = Instant::now();
    assert!(running.ended().saturating_duration_since(resumed) < Duration::from_secs(1));
    assert_eq!(shows(&relays[1]), 401);
}
