use proptest::prelude::*;

use super::*;
use crate::admin::{AuditRecord, PolicyApplied, SignInRecord, SignInResult};
use crate::ids::{AppId, RequestId, TenantId, UserId};
use crate::session::AuthMethod;

fn record(seq: u64) -> AuditRecord {
    AuditRecord {
        seq,
        at_unix_ms: 5_000,
        actor: "uid 0 (root)".into(),
        action: "app.publish".into(),
        tenant: Some(TenantId::DEFAULT),
        target: "app crm (a1-7)".into(),
        before: None,
        after: Some("https://crm.example.com/".into()),
        version: Some(4),
        previous: ChainHash::ZERO,
        hash: ChainHash::ZERO,
    }
}

fn sign_in() -> SignInRecord {
    SignInRecord {
        seq: 1,
        at_unix_ms: 5_000,
        tenant: TenantId::DEFAULT,
        user: Some(UserId::new(TenantId::DEFAULT, 3)),
        login: "anna".into(),
        app: Some(AppId::new(TenantId::DEFAULT, 7)),
        app_name: Some("crm".parse().unwrap()),
        result: SignInResult::Interrupted,
        code: Some("mfa-needed".into()),
        methods: [AuthMethod::Password].into(),
        provider: None,
        source: Some("2001:db8::1".parse().unwrap()),
        user_agent: Some("Mozilla/5.0".into()),
        country: Some("DE".into()),
        asn: Some(64_496),
        device: None,
        device_state: None,
        policies: vec![PolicyApplied { policy: "p1-2".into(), outcome: "mfa".into() }],
        session: None,
        request: Some(RequestId(255)),
        previous: ChainHash::ZERO,
        hash: ChainHash::ZERO,
    }
}

fn chain(length: u64) -> Vec<AuditRecord> {
    let mut last = Mark::START;
    (0..length)
        .map(|_| {
            let next = record(0).behind(last);
            last = next.mark();
            next
        })
        .collect()
}

fn walk(records: &[AuditRecord], expected: Option<Mark>, head: Option<Mark>) -> Result<Walk, (u64, Damage)> {
    let mut walk = Walk::new(Mark::START, expected);
    let walked = records.iter().try_for_each(|record| walk.step(record)).and_then(|()| walk.end(head));
    walked.map(|()| walk).map_err(|broken| (broken.seq, broken.damage))
}

/// Taken from the description in `docs/audit.md` with another program: an encoding that was used stays as it is.
#[test]
fn hashes_are_as_documented() {
    let documented = "2c2d3ca86258e4cbb0e9c5750f8abf9a8baadfc5f509bd68c96cf4be0b78207a";
    assert_eq!(record(1).behind(Mark::START).hash.to_string(), documented);
    let documented = "c89af3dc7e9ac3cea18fb194622c0075cedc5e2580cd95d6f9d0bf2af4215903";
    assert_eq!(sign_in().behind(Mark::START).hash.to_string(), documented);
}

/// Whatever is changed in a record changes its hash.
#[test]
fn every_field_counts() {
    let changes: &[fn(&mut SignInRecord)] = &[
        |r| r.seq = 2,
        |r| r.at_unix_ms += 1,
        |r| r.tenant = TenantId(2),
        |r| r.user = None,
        |r| r.login.push('a'),
        |r| r.app = None,
        |r| r.app_name = None,
        |r| r.result = SignInResult::Success,
        |r| r.code = None,
        |r| r.methods = [AuthMethod::OneTimePassword].into(),
        |r| r.provider = Some("corp".parse().unwrap()),
        |r| r.source = None,
        |r| r.user_agent = Some(String::new()),
        |r| r.country = Some("FR".into()),
        |r| r.asn = None,
        |r| r.device = Some("d".into()),
        |r| r.device_state = Some("compliant".into()),
        |r| r.policies.clear(),
        |r| r.session = Some(crate::ids::SessionId(1)),
        |r| r.request = None,
        |r| r.previous = ChainHash([1; 32]),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = sign_in();
        change(&mut changed);
        assert_ne!(changed.computed(), sign_in().computed(), "change {number}");
    }
    let changes: &[fn(&mut AuditRecord)] = &[
        |r| r.seq = 2,
        |r| r.at_unix_ms += 1,
        |r| r.actor.clear(),
        |r| r.action.clear(),
        |r| r.tenant = None,
        |r| r.target.clear(),
        |r| (r.before, r.after) = (r.after.take(), None),
        |r| r.after = Some(String::new()),
        |r| r.version = None,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = record(1);
        change(&mut changed);
        assert_ne!(changed.computed(), record(1).computed(), "change {number}");
    }
}

#[test]
fn a_whole_chain_is_walked_to_its_end() {
    let chain = chain(5);
    let walked = walk(&chain, None, Some(chain[4].mark())).unwrap();
    assert_eq!((walked.records(), walked.last()), (5, chain[4].mark()));
    for known in &chain {
        assert!(walk(&chain, Some(known.mark()), None).is_ok());
    }
    assert!(walk(&[], None, Some(Mark::START)).is_ok() && walk(&[], Some(Mark::START), None).is_ok());
}

#[test]
fn the_first_break_is_found() {
    let whole = chain(6);
    let head = Some(whole[5].mark());
    let mut changed = whole.clone();
    changed[2].target.push('x');
    assert_eq!(walk(&changed, None, head).unwrap_err(), (3, Damage::Changed));
    // Someone who knows how hashes are taken can make a record whole again, not those behind it.
    changed[2] = changed[2].clone().behind(whole[1].mark());
    assert_eq!(walk(&changed, None, head).unwrap_err(), (4, Damage::Replaced));

    let mut missing = whole.clone();
    missing.drain(2..4);
    assert_eq!(walk(&missing, None, head).unwrap_err(), (3, Damage::Missing));
    missing[2].seq = 3;
    assert_eq!(walk(&missing, None, head).unwrap_err(), (3, Damage::Reordered), "numbered anew");

    let mut swapped = whole.clone();
    swapped.swap(1, 4);
    assert_eq!(walk(&swapped, None, head).unwrap_err(), (2, Damage::Missing), "as a file may have it");
    (swapped[1].seq, swapped[4].seq) = (2, 5);
    assert_eq!(walk(&swapped, None, head).unwrap_err(), (2, Damage::Reordered));
    let twice = [whole[0].clone(), whole[0].clone()];
    assert_eq!(walk(&twice, None, None).unwrap_err(), (1, Damage::Reordered));
}

#[test]
fn what_was_noted_is_compared() {
    let whole = chain(6);
    let cut = &whole[..4];
    assert_eq!(walk(cut, None, Some(whole[5].mark())).unwrap_err(), (5, Damage::Missing), "the log knows its end");
    assert!(walk(cut, None, None).is_ok(), "by itself a file's end is any record");
    assert_eq!(walk(cut, Some(whole[5].mark()), None).unwrap_err(), (5, Damage::Missing));
    let mut anew = vec![record(0).behind(Mark::START)];
    anew[0].actor = "someone else".into();
    anew[0] = anew[0].clone().behind(Mark::START);
    for _ in 1..6 {
        anew.push(record(0).behind(anew[anew.len() - 1].mark()));
    }
    assert!(walk(&anew, None, Some(anew[5].mark())).is_ok(), "rewritten as a whole it is whole");
    assert_eq!(walk(&anew, Some(whole[3].mark()), None).unwrap_err(), (4, Damage::Rewritten));
    assert_eq!(walk(&anew, Some(whole[5].mark()), None).unwrap_err(), (6, Damage::Rewritten));
}

#[test]
fn a_chain_goes_on_behind_what_was_removed() {
    let whole = chain(6);
    let mut walk = Walk::new(whole[2].mark(), Some(whole[1].mark()));
    whole[3..].iter().try_for_each(|record| walk.step(record)).unwrap();
    assert_eq!(walk.end(None).unwrap_err().damage, Damage::OutOfReach);
    let mut walk = Walk::new(Mark::START, None);
    walk.step(&whole[0]).unwrap();
    walk.skip_to(whole[3].mark());
    walk.step(&whole[4]).unwrap();
    assert_eq!(walk.last(), whole[4].mark());
}

#[test]
fn marks_have_one_spelling() {
    let mark = chain(1)[0].mark();
    assert_eq!(mark.to_string().parse(), Ok(mark));
    let hash = "ab".repeat(32);
    for wrong in [
        "",
        "1",
        "1:",
        &format!(":{hash}"),
        &format!("+1:{hash}"),
        &format!("1:{hash}0"),
        &format!("1:{}", "AB".repeat(32)),
    ] {
        assert!(wrong.parse::<Mark>().is_err(), "{wrong}");
    }
}

#[test]
fn a_record_is_the_same_after_json() {
    let record = sign_in().behind(Mark::START);
    let line = crate::admin::ExportLine { log: LogKind::SignIn, encoding: ENCODING, record };
    let json = serde_json::to_string(&line).unwrap();
    let read: crate::admin::ExportLine<SignInRecord> = serde_json::from_str(&json).unwrap();
    assert_eq!(read, line);
    assert_eq!(read.record.computed(), read.record.hash);
}

proptest! {
    /// Text cannot move from one field to the next without a trace.
    #[test]
    fn fields_do_not_run_into_each_other(a in "\\PC{0,9}", b in "\\PC{0,9}", c in "\\PC{0,9}", d in "\\PC{0,9}") {
        let of = |actor: &str, action: &str| {
            AuditRecord { actor: actor.into(), action: action.into(), ..record(1) }.computed()
        };
        prop_assert_eq!((a == c) && (b == d), of(&a, &b) == of(&c, &d));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,90}") {
        let _ = (text.parse::<Mark>(), text.parse::<ChainHash>());
    }
}
