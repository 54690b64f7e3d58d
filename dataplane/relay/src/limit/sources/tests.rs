//! Sources by themselves, and what somebody with many of them can do.

use proptest::prelude::*;

use super::*;
use crate::limit::testing::plan;

const NOW: u64 = 1 << 40;

fn rule(number: u32, rps: u64, burst: u64, conns: Option<u64>) -> SourceRule {
    let limiter = Limiter::default();
    limiter.set(&plan(Some(rps), Some(burst), conns, None), NOW);
    SourceRule::new(number, Arc::new(limiter))
}

fn v4(nth: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + nth).into()
}

fn granted(table: &SourceTable, rule: &SourceRule, source: IpAddr, tries: u32, now: u64) -> u32 {
    let mut granted = 0;
    for _ in 0..tries {
        if let Ok(entered) = table.enter(rule, source, 0, now) {
            table.leave(rule, entered);
            granted += 1;
        }
    }
    granted
}

#[test]
fn each_source_and_each_rule_by_itself() {
    let table = SourceTable::new();
    let (one, other) = (rule(1, 1, 5, None), rule(2, 1, 3, None));
    assert_eq!(granted(&table, &one, v4(1), 10, NOW), 5);
    assert_eq!(granted(&table, &one, v4(2), 10, NOW), 5);
    assert_eq!(granted(&table, &other, v4(1), 10, NOW), 3);
    assert_eq!(granted(&table, &one, v4(1), 10, NOW), 0);
    let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(granted(&table, &one, v6("2001:db8::1"), 10, NOW), 5);
    assert_eq!(granted(&table, &one, v6("2001:db8::ffff:1"), 10, NOW), 0, "the same /64");
    assert_eq!(granted(&table, &one, v6("2001:db8:0:1::1"), 10, NOW), 5);
}

#[test]
fn a_limit_in_use_is_not_reset_by_any_number_of_other_sources() {
    let table = SourceTable::new();
    let rule = rule(1, 1, 5, None);
    assert_eq!(granted(&table, &rule, v4(0), 10, NOW), 5);
    let sources = u32::try_from(4 * SOURCE_SETS * SOURCE_WAYS).unwrap();
    let mut others = 0;
    for nth in 1..sources {
        others += granted(&table, &rule, v4(nth), 1, NOW);
    }
    assert_eq!(granted(&table, &rule, v4(0), 10, NOW), 0, "its bucket is still empty");
    let room = u32::try_from(SOURCE_SETS * SOURCE_WAYS).unwrap();
    let overflow = u32::try_from(5 * OVERFLOW_TIMES).unwrap();
    assert!(others <= room + overflow, "{others} of {room} and {overflow}");
    assert!(others > room * 9 / 10, "the table fills: {others} of {room}");
    // Once the buckets are full again the entries are free for others.
    assert_eq!(granted(&table, &rule, v4(sources), 10, NOW + 60 * NS_PER_S), 5);
}

#[test]
fn an_entry_with_requests_in_progress_stays() {
    let table = SourceTable::new();
    let rule = rule(1, 1_000_000, 10, Some(1));
    let held = table.enter(&rule, v4(0), 0, NOW).unwrap();
    let later = NOW + 3600 * NS_PER_S;
    for nth in 1..u32::try_from(2 * SOURCE_SETS * SOURCE_WAYS).unwrap() {
        granted(&table, &rule, v4(nth), 1, later + u64::from(nth) * 1_000_000);
    }
    let refused = table.enter(&rule, v4(0), 0, later).unwrap_err();
    assert_eq!(refused.refused, Refused::Concurrency { conns: 1 });
    table.leave(&rule, held);
    assert!(table.enter(&rule, v4(0), 0, later).is_ok());
}

#[test]
fn a_page_that_asks_for_much_at_once_is_no_flood() {
    let table = SourceTable::new();
    let rule = rule(1, 1_000_000, 1_000_000, Some(10));
    let held: Vec<_> = (0..10).map(|_| table.enter(&rule, v4(1), 0, NOW).unwrap()).collect();
    for nth in 1..FLOOD_TURNED_AWAY_MIN {
        assert!(!table.enter(&rule, v4(1), 0, NOW + nth).unwrap_err().floods, "{nth}");
    }
    assert!(table.enter(&rule, v4(1), 0, NOW).unwrap_err().floods);
    held.into_iter().for_each(|entered| table.leave(&rule, entered));
}

#[test]
fn one_that_floods_is_told_from_one_that_tries_now_and_then() {
    let table = SourceTable::new();
    let rule = rule(1, 1, 1, None);
    let try_at = |now| table.enter(&rule, v4(1), 0, now).map(|entered| table.leave(&rule, entered));
    try_at(NOW).unwrap();
    for nth in 1..FLOOD_REFUSALS_MIN {
        assert!(!try_at(NOW + nth).unwrap_err().floods, "{nth}");
    }
    assert!(try_at(NOW + 1000).unwrap_err().floods);
    let next = NOW + WINDOW_NS;
    try_at(next).unwrap();
    assert!(!try_at(next + 1).unwrap_err().floods, "a new window begins");
}

#[test]
fn who_is_shut_out_may_come_again_later() {
    let table = SourceTable::new();
    assert!(!table.is_shut_out(v4(1), NOW));
    table.shut_out(v4(1), NOW + 60 * NS_PER_S, NOW);
    table.shut_out(v4(1), NOW + 60 * NS_PER_S, NOW + NS_PER_S);
    table.shut_out("2001:db8::1".parse().unwrap(), NOW + 90 * NS_PER_S, NOW);
    assert!(table.is_shut_out(v4(1), NOW + 59 * NS_PER_S) && !table.is_shut_out(v4(2), NOW));
    assert!(!table.is_shut_out(v4(1), NOW + 60 * NS_PER_S), "asked for twice, it is not twice as long");
    assert!(table.is_shut_out("2001:db8::2".parse().unwrap(), NOW + 60 * NS_PER_S), "the same /64");
    // It is no limit: rules go on by themselves.
    assert_eq!(granted(&table, &rule(1, 1, 5, None), v4(1), 10, NOW), 5);
}

#[test]
fn the_worst_are_shown_by_address() {
    let table = SourceTable::new();
    let rule = rule(1, 1, 1, None);
    for (nth, tries) in [(1, 3), (2, 9), (3, 1)] {
        granted(&table, &rule, v4(nth), tries, NOW);
    }
    granted(&table, &rule, "2001:db8::1".parse().unwrap(), 6, NOW);
    let seen: Vec<(String, u64)> = table
        .worst(&rule, 2, NOW)
        .iter()
        .map(|seen| (format!("{}/{}", seen.address, seen.bits), seen.refused))
        .collect();
    assert_eq!(seen, [("10.0.0.2/32".into(), 8), ("2001:db8::/64".into(), 5)]);
}

#[test]
fn threads_share_a_sources_rate() {
    let table = SourceTable::new();
    let rule = rule(1, 1, 1000, Some(4));
    let granted: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| granted(&table, &rule, v4(1), 5_000, NOW))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // Two threads may meet in making the entry: then each has its own for one request.
    assert!((1000..=1003).contains(&granted), "{granted}");
    assert_eq!(rule.limiter.figures().in_progress, 0);
}

proptest! {
    #[test]
    fn no_source_gets_more_than_its_own(
        steps in prop::collection::vec((0u32..40, 0u64..300_000_000), 1..400),
    ) {
        let (table, rule) = (SourceTable::new(), rule(1, 10, 4, None));
        let mut now = NOW;
        let mut counts = [0u64; 40];
        for (source, step) in steps {
            now += step;
            counts[source as usize] += u64::from(granted(&table, &rule, v4(source), 3, now));
        }
        let most = 4 + (now - NOW) / 100_000_000;
        prop_assert!(counts.iter().all(|count| *count <= most), "{:?} of {}", counts, most);
    }
}
