//! What a decision costs, printed. Run by hand, with the model optimised:
//! `CARGO_PROFILE_TEST_OPT_LEVEL=3 cargo test -p postern-model policy::tests::cost -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use super::*;

/// The last one applies to everybody; of the others, none does.
fn policies(count: u32, other: impl Fn(&mut PolicyParts, u32)) -> Policies {
    let others = (1..count).map(|seq| policy(seq, |p| other(p, seq)));
    Policies::of(&state(others.chain([policy(count, |_| {})])))
}

fn nanoseconds(mut work: impl FnMut()) -> u64 {
    let rounds = 20_000;
    let mut best = u128::MAX;
    for _ in 0..7 {
        let started = Instant::now();
        (0..rounds).for_each(|_| work());
        best = best.min(started.elapsed().as_nanos());
    }
    u64::try_from(best / rounds).unwrap()
}

#[test]
#[ignore = "prints figures that depend on the machine"]
fn a_thousand_policies_of_which_the_last_applies() {
    let (session, terms) = (session(&[AuthMethod::Password]), AcceptedTerms::default());
    let input = input(&session, &terms);
    let mut subject = subject(false);
    subject.groups.extend((10..40).map(|seq| (UserGroupId::new(T, seq), name("g"))));
    type Other = fn(&mut PolicyParts, u32);
    let kinds: [(&str, Other); 8] = [
        ("of other groups", |p, seq| {
            let groups = [UserGroupId::new(T, 100 + seq)].into();
            p.who.include = Scope::Only(People { groups, ..People::default() });
        }),
        ("of other applications", |p, seq| p.apps.include = Scope::Only([AppId::new(T, 100 + seq)].into())),
        ("about another platform", |p, _| {
            p.conditions.platforms = Choice { include: [Platform::Ios].into(), ..Choice::default() }
        }),
        ("about another network", |p, _| {
            p.conditions.networks = Choice { include: [name("lab")].into(), ..Choice::default() }
        }),
        ("about another country", |p, _| {
            p.conditions.countries = Choice { include: ["JP".parse().unwrap()].into(), ..Choice::default() }
        }),
        ("about other times", |p, seq| {
            let (hour, minute) = (seq % 10, seq % 60);
            let window = format!("sat,sun {hour:02}:{minute:02}-12:00 UTC").parse().unwrap();
            p.conditions.times = Choice { include: [window].into(), ..Choice::default() }
        }),
        ("about another method", |p, _| {
            p.conditions.methods = Choice { include: [AuthMethod::HardwareKey].into(), ..Choice::default() }
        }),
        ("about older sessions", |p, seq| p.conditions.auth_age_min_s = Some(1_000_000 + seq)),
    ];
    for (what, other) in kinds {
        for count in [10, 1_000] {
            let policies = policies(count, other);
            let found = nanoseconds(|| drop(black_box(policies.for_subject(&subject, APP))));
            let applicable = policies.for_subject(&subject, APP);
            let decided = nanoseconds(|| drop(black_box(applicable.decide(&input, NOW))));
            println!("{count} policies {what}: {found} ns to find those about a session, {decided} ns to decide");
        }
    }
}
