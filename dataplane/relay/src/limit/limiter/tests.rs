use std::thread;

use super::*;
use crate::limit::testing::plan;

const NOW: u64 = 1 << 40;

#[test]
fn a_burst_then_the_rate_and_how_long_to_wait() {
    let limiter = Limiter::default();
    limiter.set(&plan(Some(10), Some(3), None, None), NOW);
    for _ in 0..3 {
        assert!(limiter.enter(0, NOW).is_ok());
    }
    assert_eq!(limiter.enter(1, NOW), Err(Refused::Rate { rps: 10, wait_ns: 100_000_000 }));
    assert!(limiter.enter(1, NOW + 100_000_000).is_ok());
    let figures = limiter.figures();
    assert_eq!((figures.refused, figures.in_progress), (1, 4));
}

#[test]
fn what_another_limiter_refuses_costs_nothing_here() {
    let limiter = Limiter::default();
    limiter.set(&plan(Some(10), Some(1), Some(1), None), NOW);
    for _ in 0..100 {
        let entered = limiter.enter(0, NOW).unwrap();
        limiter.turn_back(entered);
    }
    assert_eq!(limiter.figures().in_progress, 0);
}

#[test]
fn concurrency_counts_also_those_from_before_it_was_limited() {
    let limiter = Limiter::default();
    let early = limiter.enter(3, NOW).unwrap();
    limiter.set(&plan(None, None, Some(2), None), NOW);
    let second = limiter.enter(0, NOW).unwrap();
    assert_eq!(limiter.enter(1, NOW), Err(Refused::Concurrency { conns: 2 }));
    limiter.leave(early);
    let third = limiter.enter(1, NOW).unwrap();
    limiter.set(&plan(None, None, None, None), NOW);
    limiter.leave(second);
    limiter.leave(third);
    assert_eq!(limiter.figures().in_progress, 0);
}

#[test]
fn threads_never_exceed_the_concurrency_and_leave_nothing_behind() {
    let limiter = Limiter::default();
    limiter.set(&plan(None, None, Some(3), None), NOW);
    let inside = AtomicU64::new(0);
    thread::scope(|scope| {
        for worker in 0..4 {
            let (limiter, inside) = (&limiter, &inside);
            scope.spawn(move || {
                for _ in 0..20_000 {
                    let Ok(entered) = limiter.enter(worker, NOW) else { continue };
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    limiter.admitted(worker);
                    limiter.leave(entered);
                }
            });
        }
    });
    let figures = limiter.figures();
    assert_eq!(figures.in_progress, 0);
    assert_eq!(figures.admitted + figures.refused, 80_000);
}

#[test]
fn content_is_paced_in_turn_and_let_go_by_new_terms() {
    let limiter = Limiter::default();
    assert_eq!(limiter.reserve(1 << 20, NOW), 0, "no limit");
    limiter.set(&plan(None, None, None, Some(1 << 20)), NOW);
    let first = limiter.reserve(1 << 20, NOW);
    let second = limiter.reserve(1 << 20, NOW);
    assert!(first <= NOW && second == NOW + NS_PER_S - BYTES_DEPTH_NS, "{first} {second}");
    let version = limiter.terms().version();
    limiter.set(&plan(None, None, None, Some(1 << 20)), NOW);
    assert_eq!(limiter.terms().version(), version, "nothing changed");
    limiter.set(&plan(None, None, None, Some(1 << 30)), NOW);
    assert_ne!(limiter.terms().version(), version);
    assert!(limiter.reserve(1, NOW) <= NOW);
}

#[test]
fn the_last_second_is_a_rate() {
    let limiter = Limiter::default();
    limiter.sample(NOW);
    for _ in 0..50 {
        limiter.admitted(7);
    }
    limiter.sample(NOW + NS_PER_S / 2);
    assert!((limiter.figures().rate_1s - 100.0).abs() < 0.1);
}
