//! `guard` on pairs of links: what is dropped is dropped in the kernel and counted by reason, and others are served.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    os::unix::process::ExitStatusExt as _,
    process::{self, Stdio},
    time::{Duration, Instant},
};

use postern_ebpf_loader::{
    BpfError, Guard, GuardCounters, GuardMode, Pinned, Prefix, Rate, SourceLimits, Steer, SteerOptions, interface_index,
};

use crate::{
    link::{ACK, Link, SYN, ip},
    world::{INSTANCE, able, child, eventually, gone, instance, map_id, spawn},
};

/// A listener behind the filter.
struct Guarded {
    guard: Guard,
    steer: Steer,
    listeners: Vec<TcpListener>,
    mode: GuardMode,
}

impl Guarded {
    fn start(test: &str, interface: &str, addresses: &[IpAddr], limits: SourceLimits) -> Self {
        let listeners: Vec<TcpListener> = addresses.iter().map(|ip| TcpListener::bind((*ip, 0)).unwrap()).collect();
        let steer = Steer::load(&instance(test), SteerOptions { limits, ..SteerOptions::default() }).unwrap();
        let mut guard = Guard::load(&steer).unwrap();
        guard.protect(listeners.iter().map(|listener| listener.local_addr().unwrap().port())).unwrap();
        let mode = guard.attach(interface).unwrap();
        Self { guard, steer, listeners, mode }
    }

    fn address(&self) -> SocketAddr {
        self.listeners[0].local_addr().unwrap()
    }

    fn counters(&self) -> GuardCounters {
        self.guard.counters().unwrap()
    }
}

fn unlimited() -> SourceLimits {
    SourceLimits { syns: Rate::UNLIMITED, packets: Rate::UNLIMITED, connections: Rate::UNLIMITED }
}

#[test]
fn a_syn_flood_is_dropped_in_the_driver_while_another_address_connects() {
    if !able() {
        return;
    }
    let link = Link::create();
    let limits = SourceLimits { syns: Rate::new(100, 50), ..unlimited() };
    let guarded = Guarded::start("syns", &link.interface, &[link.here().into()], limits);
    assert_eq!(guarded.mode, GuardMode::Native);
    let (attacker, user) = (link.there(3), link.there(2));
    let begin = Instant::now();
    let connections: Vec<_> = (0..20)
        .map(|_| {
            link.flood(attacker, guarded.address(), SYN, 1000);
            link.connect(user, guarded.address()).unwrap()
        })
        .collect();
    assert_eq!(connections.len(), 20);
    let most = 50 + begin.elapsed().as_millis() as u64 / 10;
    let counters = guarded.counters();
    println!("{counters:?} in {:?}", begin.elapsed());
    assert!(counters.syn_rate >= 20_000 - most && counters.syn_rate < 20_000, "{counters:?}");
    assert_eq!(counters.dropped(), counters.syn_rate, "for no other reason");
}

#[test]
fn a_packet_flood_is_dropped_by_its_own_limit() {
    if !able() {
        return;
    }
    let link = Link::create();
    let limits = SourceLimits { packets: Rate::new(1000, 100), ..unlimited() };
    let guarded = Guarded::start("packets", &link.interface, &[link.here().into()], limits);
    let begin = Instant::now();
    link.flood(link.there(3), guarded.address(), ACK, 10_000);
    let most = 100 + begin.elapsed().as_millis() as u64 + 1;
    let counters = guarded.counters();
    assert!(counters.packet_rate >= 10_000 - most && counters.packet_rate <= 9_900, "{most} {counters:?}");
    assert_eq!((counters.syn_rate, counters.untracked), (0, 0));
    link.connect(link.there(2), guarded.address()).unwrap();
}

#[test]
fn sites_of_ipv6_share_a_bucket() {
    if !able() {
        return;
    }
    let link = Link::create();
    let limits = SourceLimits { syns: Rate::new(1, 5), ..unlimited() };
    let guarded = Guarded::start("v6", &link.interface, &[link.here_v6().into()], limits);
    let begin = Instant::now();
    link.flood(link.there_v6(1, 1), guarded.address(), SYN, 1000);
    link.flood(link.there_v6(1, 2), guarded.address(), SYN, 1000);
    let let_in = 2000 - guarded.counters().syn_rate;
    assert!(let_in <= 5 + begin.elapsed().as_secs() + 1, "{let_in} in {:?}: two buckets", begin.elapsed());
    link.connect(link.there_v6(2, 1), guarded.address()).unwrap();
}

#[test]
fn without_a_native_driver_the_stack_does_the_same_and_says_why() {
    if !able() {
        return;
    }
    let link = Link::create();
    let (bridge, here, there) = link.add_bridge();
    let limits = SourceLimits { syns: Rate::new(1, 10), ..unlimited() };
    let guarded = Guarded::start("generic", &bridge, &[here.into()], limits);
    assert_eq!(guarded.mode, GuardMode::Generic { why: "its driver has no native XDP".to_owned() });
    link.flood(there, guarded.address(), SYN, 1000);
    let counters = guarded.counters();
    assert!(counters.syn_rate >= 980, "{counters:?}");
}

#[test]
fn the_deny_list_is_live_and_other_ports_are_open() {
    if !able() {
        return;
    }
    let link = Link::create();
    let mut guarded = Guarded::start("deny", &link.interface, &[link.here().into()], unlimited());
    let other = TcpListener::bind((link.here(), 0)).unwrap();
    let (user, neighbour) = (link.there(2), link.there(4));
    link.connect(user, guarded.address()).unwrap();
    let prefix = Prefix::new(link.there(2), 31).unwrap();
    assert!(guarded.steer.sources().deny(prefix).unwrap());
    assert!(!guarded.steer.sources().deny(prefix).unwrap(), "it stands there already");
    assert!(link.connect(user, guarded.address()).is_err());
    assert!(guarded.counters().denied > 0);
    link.connect(neighbour, guarded.address()).unwrap();
    link.connect(user, other.local_addr().unwrap()).unwrap();
    assert!(guarded.counters().not_ours > 0);
    assert!(guarded.steer.sources().allow(prefix).unwrap());
    assert!(!guarded.steer.sources().allow(prefix).unwrap(), "it is gone already");
    link.connect(user, guarded.address()).unwrap();
}

#[test]
fn fragments_and_what_is_no_tcp_are_the_kernels_to_judge() {
    if !able() {
        return;
    }
    let link = Link::create();
    let limits = SourceLimits { packets: Rate::new(1, 1), ..unlimited() };
    let mut guarded = Guarded::start("fragments", &link.interface, &[link.here().into()], limits);
    guarded.steer.sources().deny(link.there(3).into()).unwrap();
    let IpAddr::V4(from) = link.there(3) else { panic!("an IPv4 address") };
    link.send_fragments(from, guarded.address(), 50);
    let counters = guarded.counters();
    assert_eq!((counters.fragments, counters.dropped()), (50, 0), "{counters:?}");
    assert!(counters.not_ours > 0, "ARP at least: {counters:?}");
}

#[test]
fn a_source_to_be_dropped_comes_back_by_itself() {
    if !able() {
        return;
    }
    let link = Link::create();
    let mut guarded = Guarded::start("ban", &link.interface, &[link.here().into()], unlimited());
    let user = link.there(2);
    guarded.steer.drop_source(user, Duration::from_millis(900)).unwrap();
    assert!(link.connect(user, guarded.address()).is_err());
    link.connect(link.there(3), guarded.address()).unwrap();
    assert!(guarded.counters().banned > 0);
    assert!(eventually(|| link.connect(user, guarded.address()).is_ok()));
    guarded.steer.drop_source(user, Duration::from_secs(3600)).unwrap();
    assert!(link.connect(user, guarded.address()).is_err());
    assert!(guarded.steer.sources().release(user).unwrap());
    link.connect(user, guarded.address()).unwrap();
}

#[test]
fn the_command_line_reads_and_changes_the_same_maps() {
    if !able() {
        return;
    }
    let link = Link::create();
    let guarded = Guarded::start("pinned", &link.interface, &[link.here().into()], unlimited());
    let mut pinned = Pinned::open(&instance("pinned")).unwrap();
    assert_eq!(pinned.interfaces().unwrap(), [(link.interface.clone(), true)]);
    let limits = SourceLimits { syns: Rate::new(1, 3), ..unlimited() };
    pinned.sources().set_limits(&limits).unwrap();
    link.flood(link.there(2), guarded.address(), SYN, 100);
    assert!(pinned.guard_counters().unwrap().unwrap().syn_rate >= 96);
    assert_eq!(pinned.limits().unwrap(), limits);
    let denied: Vec<Prefix> = ["10.1.0.0/16", "192.0.2.7", "2001:db8::/32"].map(|text| text.parse().unwrap()).to_vec();
    for prefix in denied.iter().rev() {
        pinned.sources().deny(*prefix).unwrap();
    }
    assert_eq!(pinned.sources().denied().unwrap(), denied);
    pinned.sources().drop_source("2001:db8:1:2:3::".parse().unwrap(), Duration::from_secs(60)).unwrap();
    pinned.sources().drop_source("192.0.2.9".parse().unwrap(), Duration::ZERO).unwrap();
    let banned = pinned.sources().banned().unwrap();
    assert_eq!(banned.len(), 1, "the other one is over: {banned:?}");
    assert_eq!(banned[0].0, "2001:db8:1:2::".parse::<IpAddr>().unwrap());
    assert!(banned[0].1 > Duration::from_secs(58));
}

#[test]
fn an_interface_that_is_not_there_or_taken_is_named() {
    if !able() {
        return;
    }
    let link = Link::create();
    let mut guarded = Guarded::start("taken", &link.interface, &[link.here().into()], unlimited());
    let missing = guarded.guard.attach("nosuch0").unwrap_err();
    assert!(matches!(&missing, BpfError::InterfaceUnknown(name) if name == "nosuch0"), "{missing}");
    let other = Steer::load(&instance("taken2"), SteerOptions::default()).unwrap();
    let taken = Guard::load(&other).unwrap().attach(&link.interface).unwrap_err();
    assert!(matches!(&taken, BpfError::InterfaceTaken(name) if *name == link.interface), "{taken}");
}

#[test]
fn an_interface_without_ethernet_headers_is_refused() {
    if !able() {
        return;
    }
    let name = format!("ptun{}", process::id() % 100_000);
    ip(&format!("tuntap add dev {name} mode tun"));
    let link = Link::create();
    let mut guarded = Guarded::start("tunnel", &link.interface, &[link.here().into()], unlimited());
    let refused = guarded.guard.attach(&name).unwrap_err();
    ip(&format!("tuntap del dev {name} mode tun"));
    assert!(matches!(&refused, BpfError::InterfaceNotEthernet(told) if *told == name), "{refused}");
}

#[test]
fn nothing_is_filtered_afterwards() {
    if !able() {
        return;
    }
    let link = Link::create();
    let mut guarded = Guarded::start("after", &link.interface, &[link.here().into()], unlimited());
    let map = map_id(&guarded.steer.pin_directory().join("PORTS").display().to_string());
    guarded.steer.sources().deny(link.there(2).into()).unwrap();
    assert!(link.connect(link.there(2), guarded.address()).is_err());
    let address = guarded.address();
    let Guarded { guard, steer, listeners, .. } = guarded;
    drop(guard);
    link.connect(link.there(2), address).unwrap();
    let pins = steer.pin_directory();
    steer.remove().unwrap();
    assert!(gone(map) && !pins.exists());
    drop(listeners);
}

#[test]
fn a_crash_detaches_and_the_next_start_attaches() {
    if child("guard-crash") {
        let interface = std::env::var("POSTERN_TEST_INTERFACE").unwrap();
        std::mem::forget(Guarded::start("guard-crash", &interface, &[], unlimited()));
        process::abort();
    }
    if !able() {
        return;
    }
    let link = Link::create();
    let instance = instance("guard-crash");
    let status = spawn("guard-crash", "guard::a_crash_detaches_and_the_next_start_attaches")
        .env(INSTANCE, &instance)
        .env("POSTERN_TEST_INTERFACE", &link.interface)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(libc::SIGABRT));
    let steer = Steer::load(&instance, SteerOptions::default()).unwrap();
    let mut guard = Guard::load(&steer).unwrap();
    assert!(eventually(|| guard.attach(&link.interface).is_ok()));
}

#[test]
fn a_removed_interface_is_no_longer_told() {
    if !able() {
        return;
    }
    let link = Link::create();
    let _guarded = Guarded::start("removed", &link.interface, &[link.here().into()], unlimited());
    let pinned = Pinned::open(&instance("removed")).unwrap();
    assert_eq!(pinned.interfaces().unwrap().len(), 1);
    ip(&format!("link del {}", link.interface));
    assert_eq!(interface_index(&link.interface), None);
    assert_eq!(pinned.interfaces().unwrap(), []);
}
