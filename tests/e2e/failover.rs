//! Two connectors, one of which dies or freezes: requests go on, and nothing false is ever presented as complete.

use std::time::Duration;

use postern_tests::load::Load;
use postern_tests::nginx::Nginx;
use postern_tests::origin::Origin;
use postern_tests::world::{Options, START_TIMEOUT, World};

const KILLS: usize = 20;

fn two_connectors() -> World {
    World::start(Options { connectors: 2, ..Options::default() }).unwrap()
}

#[test]
fn killed_connectors_lose_nothing_that_had_not_begun_to_arrive() {
    let mut world = two_connectors();
    let nginx = Nginx::start(world.folder()).unwrap();
    let client = world.publish("web", &format!("http://{}/", nginx.address())).unwrap();
    let load = Load::start(&client, 16, "/16k", 16 * 1024);
    for kill in 0..KILLS {
        let victim = kill % 2;
        let before = load.right();
        world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > before + 200).unwrap();
        world.connectors[victim].kill();
        world.expect_within(START_TIMEOUT, "its loss noticed", |world| world.connectors_online() == 1).unwrap();
        world.restart_connector(victim).unwrap();
        world
            .expect_within(START_TIMEOUT, "both connectors online again", |world| world.connectors_online() == 2)
            .unwrap();
    }
    let outcome = load.stop();
    eprintln!("{KILLS} kills: {outcome:?}");
    assert_eq!((outcome.wrong, outcome.failed), (0, 0), "{outcome:?}\n{}", world.logs());
    assert!(outcome.cut < 20 * KILLS as u64, "{outcome:?}");
}

#[test]
fn a_frozen_connector_is_left_within_a_second() {
    let world = two_connectors();
    let nginx = Nginx::start(world.folder()).unwrap();
    let client = world.publish("web", &format!("http://{}/", nginx.address())).unwrap().timeout(Duration::from_secs(5));
    let load = Load::start(&client, 8, "/1k", 1024);
    for victim in 0..2 {
        let before = load.right();
        world.expect_within(START_TIMEOUT, "load flows", |_| load.right() > before + 200).unwrap();
        load.forget_gap();
        world.connectors[victim].pause();
        std::thread::sleep(Duration::from_millis(2500));
        world.connectors[victim].resume();
        world
            .expect_within(START_TIMEOUT, "both connectors online again", |world| world.connectors_online() == 2)
            .unwrap();
    }
    let outcome = load.stop();
    eprintln!("frozen: {outcome:?}");
    assert_eq!((outcome.wrong, outcome.failed), (0, 0), "{outcome:?}\n{}", world.logs());
    assert!(outcome.gap < Duration::from_secs(1), "{outcome:?}");
}

#[test]
fn equal_connectors_carry_equal_shares() {
    let world = two_connectors();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let load = Load::start(&client, 16, "/bytes/100", 100);
    world.expect_within(START_TIMEOUT, "load", |_| load.right() > 2000).unwrap();
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome:?}");
    let counts: Vec<_> = world.connectors.iter().map(|connector| cpu_ticks(connector.pid())).collect();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most * 2 <= least * 3 + 20, "CPU ticks of two equal connectors: {counts:?}");
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
