//! More is asked for than a session shows: by a relay that missed it, or by policies.

use super::*;

#[tokio::test]
async fn what_a_relay_missed_is_asked_for_once_more() {
    let world = World::new("off").await;
    let (multi_factor, again) =
        (Missed { multi_factor: true, ..Missed::default() }, Missed { again: true, ..Missed::default() });
    let browser = world.signed_in(world.after_password().await).unwrap();
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "the session is enough");
    let ask = asked(world.begin_missing(Some(&browser), again));
    assert_eq!(ask.factor, Factor::Password);
    let newer = world.signed_in(world.password(&ask.flow).await).unwrap();
    assert!(world.session(&browser).is_none() && world.session(&newer).is_some(), "it took the other's place");
    let ask = asked(world.begin_missing(Some(&newer), multi_factor.clone()));
    assert!(matches!(ask.factor, Factor::Enrol(_)), "{ask:?}");
    let ask = asked(world.begin_missing(None, multi_factor));
    let ask = asked(world.password(&ask.flow).await);
    assert!(matches!(ask.factor, Factor::Enrol(_)), "{ask:?}");
}

#[tokio::test]
async fn policies_ask_for_what_they_want_before_there_is_a_session() {
    let mut world = World::new("off").await;
    world.keep = true;
    world.set_policy(r#""grant": {"require": {}}, "session": {"no_persistent": true}"#);
    let browser = world.signed_in(world.after_password().await).unwrap();
    assert!(!world.session(&browser).unwrap().persistent, "whatever was ticked");
    world.set_policy(r#""grant": {"require": {}}, "session": {"sign_in_frequency_s": 3600}"#);
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "they have just signed in");
    world.set_policy(r#""grant": {"require": {"any": ["mfa", "registered-device"]}}"#);
    let ask = asked(world.after_password().await);
    assert!(matches!(ask.factor, Factor::Enrol(_)), "{ask:?}");
    // For what nobody can do here the relay refuses, and says so.
    world.set_policy(r#""grant": {"require": {"all": ["registered-device"]}}"#);
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)));
    world.set_policy(r#""grant": "block""#);
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)));
}

#[tokio::test]
async fn the_log_has_what_policies_said_and_the_request() {
    let world = World::new("off").await;
    world.set_policy(r#""grant": {"require": {"all": ["mfa"]}}"#);
    let rest = r#""who": {"include": "all"}, "apps": {"include": "all"}, "grant": "block""#;
    for (id, state) in [("p1-2", "report-only"), ("p1-3", "off")] {
        let policy = format!(r#"{{"id": "{id}", "name": "{state}", "state": "{state}", {rest}}}"#);
        let mut draft = Draft::default();
        draft.change(postern_model::Change::PolicyPut(serde_json::from_str(&policy).unwrap()));
        world.control.commit(&Actor::Control, draft).unwrap();
    }
    world.enrolled().await;
    let span = Span { first: 1, last: 1_000, order: Order::OldestFirst, limit: 1_000 };
    let all = world.control.records(|store| store.sign_ins(&SignInFilter::default(), span)).unwrap();
    let said = |record: &postern_model::admin::SignInRecord| {
        assert_eq!(record.request, Some(postern_model::ids::RequestId(7)));
        let said = record.policies.iter().map(|policy| format!("{}: {}", policy.policy, policy.outcome));
        (record.code.clone(), said.collect::<Vec<_>>())
    };
    let logged: Vec<_> = all.iter().map(said).collect();
    let reported = "report-only: report-only: block";
    assert_eq!(
        logged,
        [
            (Some("mfa-needed".into()), vec!["p: needs mfa".into(), reported.into()]),
            (None, vec!["p: allow".into(), reported.into()])
        ]
    );
}

#[tokio::test]
async fn a_session_that_lay_idle_for_as_long_as_a_policy_allows_is_not_enough() {
    let world = World::new("off").await;
    let browser = world.signed_in(world.after_password().await).unwrap();
    let session = world.session(&browser).unwrap();
    let mut draft = Draft::default();
    draft.session(SessionChange::Put(Box::new(StoredSession { seen_unix: session.seen_unix - 1_000, ..session })));
    world.control.commit(&Actor::Control, draft).unwrap();
    world.set_policy(r#""grant": {"require": {}}, "session": {"idle_max_s": 2000}"#);
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)));
    world.set_policy(r#""grant": {"require": {}}, "session": {"idle_max_s": 900}"#);
    assert_eq!(asked(world.begin(Some(&browser))).factor, Factor::Password);
}

#[tokio::test]
async fn an_old_session_proves_all_of_it_again_before_factors_change() {
    let world = World::new("off").await;
    let browser = world.signed_in(world.after_password().await).unwrap();
    let mut old = world.session(&browser).unwrap();
    old.authenticated_unix -= crate::limits::ENROL_FRESH_S;
    let mut draft = Draft::default();
    draft.session(SessionChange::Put(Box::new(old)));
    world.control.commit(&Actor::Control, draft).unwrap();
    for action in
        [AccountAction::Show, AccountAction::Add, AccountAction::Remove("totp".into()), AccountAction::RenewCodes]
    {
        let AccountAnswer::Step(step) = world.account(&browser, action) else { panic!() };
        assert!(matches!(asked(*step).factor, Factor::Password));
    }
    world.set_app(&[("mfa", "required")]);
    let ask = asked(world.begin(Some(&browser)));
    assert!(matches!(ask.factor, Factor::Password), "whoever found it open must not set a factor up");
    assert!(matches!(asked(world.password(&ask.flow).await).factor, Factor::Enrol(_)));
}

#[tokio::test]
async fn a_country_counts_at_sign_in_as_it_does_later() {
    let mut world = World::new("off").await;
    world.set_policy(r#""conditions": {"countries": {"except": ["DE"]}}, "grant": {"require": {"all": ["mfa"]}}"#);
    for (country, asks) in [(None, true), (Some("DE"), false), (Some("FR"), true)] {
        let path = world.folder.path().join("countries.mmdb");
        world.control.countries = country.map(|code| {
            let entries = [("127.0.0.0/8", "country", code)];
            std::fs::write(&path, crate::countries::written::database("GeoLite2-Country", &entries)).unwrap();
            crate::countries::Countries::open(&path).unwrap()
        });
        let step = world.after_password().await;
        let asked = matches!(&step, Step::Ask(ask) if matches!(ask.factor, Factor::Enrol(_)));
        assert_eq!(asked, asks, "{country:?}: {step:?}");
    }
}
