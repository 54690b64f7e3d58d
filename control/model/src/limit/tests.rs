//! Scopes, quantities, bounds and defaults.

use proptest::prelude::*;

use super::*;
use crate::ids::AppId;

fn scope(text: &str) -> LimitScope {
    LimitScope::known(text)
}

#[test]
fn scopes_have_one_spelling() {
    for text in [
        "tenant",
        "app/a1-7",
        "app/a1-7/source",
        "user/alice",
        "user/anna.berg+test@example.com",
        "source",
        "source/10.0.0.0/8",
        "source/2001:db8::/32",
    ] {
        let parsed = scope(text);
        assert!(!matches!(parsed, LimitScope::Other(_)), "{text}");
        assert_eq!(parsed.to_string(), text);
        let key = LimitKey { tenant: TenantId(3), scope: parsed };
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, format!("\"t3/{text}\""));
        assert_eq!(serde_json::from_str::<LimitKey>(&json).unwrap(), key);
    }
}

#[test]
fn a_scope_of_a_newer_version_is_kept() {
    let text = r#"{"tenant":"t1","scope":"country/is","rps":5}"#;
    let limit: Limit = serde_json::from_str(text).unwrap();
    assert_eq!(limit.scope, LimitScope::Other("country/is".into()));
    assert_eq!(serde_json::to_string(&limit).unwrap(), text);
}

#[test]
fn what_people_write_wrong_is_named() {
    let parse = |text: &str| LimitScope::parse::<ScopeInvalid>(text, |_| Ok(AppId::new(TenantId(1), 1)));
    assert_eq!(parse("app/wiki/source").unwrap(), LimitScope::Source { app: Some(AppId::new(TenantId(1), 1)) });
    for (text, says) in [
        ("apps/wiki", "app/NAME"),
        ("app/wiki/x", "app/NAME"),
        ("user/A", "has capital letters: write a"),
        ("user/a b", "is not a login name"),
        ("user/", "is not a login name"),
        ("users/a", "user/LOGIN"),
        ("source/10.1.0.0/8", "write 10.0.0.0/8"),
        ("source/x", "not an address prefix"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn quantities_have_units() {
    for (text, number) in [("50", 50), ("10k", 10_000), ("5M", 5_000_000), ("64Ki", 65_536), ("1G", 1_000_000_000)] {
        assert_eq!(quantity(text), Ok(number));
    }
    for wrong in ["", "-1", "1.5", "k", "10K", "99999999999G", " 1"] {
        assert!(quantity(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn absurd_limits_are_refused_by_field() {
    let limit = |rps: Option<u64>, burst, bps: Option<u64>| Limit {
        rps: rps.map(Allowance::At),
        burst,
        bps: bps.map(Allowance::At),
        ..Limit::new(TenantId(1), LimitScope::Tenant)
    };
    for (limit, says) in [
        (limit(Some(0), None, None), "rps = 0: must be from 1 to 10000000"),
        (limit(Some(10_000_001), None, None), "rps = 10000001: must be from 1 to 10000000"),
        (limit(Some(1), Some(0), None), "burst = 0: must be from 1 to 10000000"),
        (limit(None, None, Some(1023)), "bps = 1023: must be from 1024 to 1000000000000"),
    ] {
        assert_eq!(limit.check().unwrap_err().to_string(), says);
    }
    assert_eq!(limit(None, Some(5), None).check(), Ok(()), "the tenant has a rate by default");
    let source = Limit { scope: LimitScope::Source { app: None }, ..limit(None, Some(5), None) };
    assert!(source.check().unwrap_err().to_string().contains("goes with rps"));
}

#[test]
fn defaults_hold_until_set() {
    let bounds = |set: Option<Limit>| {
        let key = LimitKey { tenant: TenantId(1), scope: LimitScope::Tenant };
        let planned = PlannedLimit::new(key, "tenant".into(), set.as_ref());
        (planned.rps.limit, planned.burst.limit, planned.conns.limit, planned.origin())
    };
    let empty = Limit::new(TenantId(1), LimitScope::Tenant);
    assert_eq!(bounds(None), (Some(100_000), Some(10_000), None, Origin::Default));
    let set = Limit { conns: Some(Allowance::At(5)), ..empty.clone() };
    assert_eq!(bounds(Some(set)), (Some(100_000), Some(10_000), Some(5), Origin::Set));
    let set = Limit { rps: Some(Allowance::Unlimited), ..empty.clone() };
    assert_eq!(bounds(Some(set)), (None, None, None, Origin::Set));
    let set = Limit { rps: Some(Allowance::At(3)), ..empty };
    assert_eq!(bounds(Some(set)), (Some(3), Some(2), None, Origin::Set));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
        let _ = (scope(&text), quantity(&text), text.parse::<Allowance>());
    }

    #[test]
    fn users_that_were_limited_by_a_plain_name_still_are(name in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
        prop_assert!(name.parse::<crate::ids::Name>().is_ok());
        let of_user = matches!(scope(&format!("user/{name}")), LimitScope::User(_));
        prop_assert!(of_user);
    }
}
