//! `steer`'s limits on sources, on loopback: refused connections, counted by reason.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use postern_ebpf_common::bucket::take;
use postern_ebpf_loader::{Rate, SourceLimits, Steer, SteerOptions, WorkerState, monotonic_ns};
use socket2::{Domain, Socket, Type};

use crate::world::{Relay, able, eventually, instance, listener};

const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn connect_from(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

fn refused(result: io::Result<TcpStream>) -> bool {
    result.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn limit(relay: &mut Relay, connections: Rate) {
    let limits = SourceLimits { connections, ..SourceLimits::default() };
    relay.steer.sources().set_limits(&limits).unwrap();
}

#[test]
fn a_source_that_opens_too_many_connections_is_refused_and_others_are_not() {
    let Some(mut relay) = Relay::start("rate", 2) else {
        return;
    };
    limit(&mut relay, Rate::new(10, 5));
    let begin = Instant::now();
    let mut open: Vec<TcpStream> = Vec::new();
    let mut refusals = 0;
    for _ in 0..50 {
        match connect_from(FIRST, relay.address) {
            Ok(connection) => open.push(connection),
            result => {
                assert!(refused(result));
                refusals += 1;
            }
        }
    }
    let most = 5 + begin.elapsed().as_millis() as usize / 100;
    assert!((5..=most).contains(&open.len()), "{} of at most {most}", open.len());
    let counters = relay.steer.counters().unwrap();
    assert_eq!((counters.connection_rate, counters.untracked), (refusals, 0));
    for _ in 0..5 {
        open.push(connect_from(SECOND, relay.address).unwrap());
    }
    assert_eq!(counters.refused(), refusals);

    thread::sleep(Duration::from_millis(110));
    connect_from(FIRST, relay.address).unwrap();
    limit(&mut relay, Rate::UNLIMITED);
    for _ in 0..20 {
        open.push(connect_from(FIRST, relay.address).unwrap());
    }
    relay.stop();
}

#[test]
fn the_rate_is_kept_whatever_the_number_of_workers() {
    for workers in [1, 8] {
        let Some(mut relay) = Relay::start(&format!("kept{workers}"), workers) else {
            return;
        };
        let rate = Rate::new(200, 50);
        limit(&mut relay, rate);
        let begin = Instant::now();
        // What the very arithmetic grants at the times of the tries: on a busy machine they come in bunches.
        let (mut granted, mut wanted, mut bucket) = (0u64, 0u64, 0);
        while begin.elapsed() < Duration::from_secs(1) {
            if let Some(next) = take(bucket, monotonic_ns(), &rate) {
                bucket = next;
                wanted += 1;
            }
            granted += u64::from(connect_from(FIRST, relay.address).is_ok());
        }
        let most = 50.0 + begin.elapsed().as_secs_f64() * 200.0 + 1.0;
        println!("{workers} workers: {granted} granted, {wanted} wanted, {most:.1} at most");
        assert!(granted.abs_diff(wanted) as f64 <= 0.02 * wanted as f64 + 1.0, "{granted} of {wanted}");
        assert!(granted as f64 <= most, "{granted} of at most {most}");
        relay.stop();
    }
}

#[test]
fn denied_and_dropped_sources_are_refused_as_told() {
    let Some(mut relay) = Relay::start("refused", 2) else {
        return;
    };
    relay.steer.sources().deny("127.0.0.2/31".parse().unwrap()).unwrap();
    assert!(refused(connect_from(SECOND, relay.address)));
    connect_from(FIRST, relay.address).unwrap();
    relay.steer.sources().allow("127.0.0.2/31".parse().unwrap()).unwrap();
    connect_from(SECOND, relay.address).unwrap();
    relay.steer.drop_source(FIRST, Duration::from_millis(300)).unwrap();
    assert!(refused(connect_from(FIRST, relay.address)));
    connect_from(SECOND, relay.address).unwrap();
    let counters = relay.steer.counters().unwrap();
    assert_eq!((counters.denied, counters.banned, counters.connection_rate), (1, 1, 0));
    assert!(eventually(|| connect_from(FIRST, relay.address).is_ok()));
    relay.stop();
}

#[test]
fn ipv6_sources_are_limited_too() {
    if !able() {
        return;
    }
    let listener = listener((Ipv6Addr::LOCALHOST, 0).into());
    let address = listener.local_addr().unwrap();
    let limits = SourceLimits { connections: Rate::new(1, 2), ..SourceLimits::default() };
    let mut steer = Steer::load(&instance("rate6"), SteerOptions { limits, ..SteerOptions::default() }).unwrap();
    let slot = steer.join(0, &listener, 0).unwrap();
    steer.set_state(slot, WorkerState::Active).unwrap();
    steer.attach(&listener).unwrap();
    let source = Ipv6Addr::LOCALHOST.into();
    let results: Vec<_> = (0..4).map(|_| connect_from(source, address)).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
    limit_is_lifted(&mut steer);
    steer.sources().deny("::1".parse().unwrap()).unwrap();
    assert!(refused(connect_from(source, address)));
    Steer::detach(&listener).unwrap();
    steer.remove().unwrap();
}

fn limit_is_lifted(steer: &mut Steer) {
    let limits = SourceLimits { connections: Rate::UNLIMITED, ..SourceLimits::default() };
    steer.sources().set_limits(&limits).unwrap();
}
