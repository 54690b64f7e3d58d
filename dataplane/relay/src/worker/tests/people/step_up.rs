//! What a policy misses in a session is asked for where people sign in, as far as it can be.

use postern_model::session::AuthMethod;

use super::super::policies::policy;
use super::*;

/// A policy that is on, what is missed by it of a session that was shown, and the code where that cannot be helped.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const CASES: &[Case] = &[
    (r#""grant": {"require": {"all": ["mfa"]}}"#, &[("acr_values", "mfa")], ""),
    (r#""grant": {"require": {"any": ["mfa", "registered-device"]}}"#, &[("acr_values", "mfa")], ""),
    (r#""grant": {"require": {}}, "session": {"sign_in_frequency_s": 300}"#, &[("prompt", "login")], ""),
    (r#""grant": {"require": {}}, "session": {"idle_max_s": 300}"#, &[("prompt", "login")], ""),
    (
        r#""grant": {"require": {"all": ["mfa"]}}, "session": {"lifetime_max_s": 300}"#,
        &[("acr_values", "mfa"), ("prompt", "login")],
        "",
    ),
    (r#""grant": {"require": {"all": ["registered-device"]}}"#, &[], "policy-step-up"),
    (
        r#""grant": {"require": {"all": ["mfa", "terms/use", "terms/lab"]}}"#,
        &[("acr_values", "mfa"), ("terms", "lab use")],
        "",
    ),
    (r#""grant": {"require": {"all": ["terms/use"]}}"#, &[("terms", "use")], ""),
    (r#""grant": {"require": {"any": ["mfa", "terms/use"]}}"#, &[("acr_values", "mfa")], ""),
    (r#""grant": {"require": {"any": ["compliant-device", "terms/use"]}}"#, &[("terms", "use")], ""),
    (r#""grant": {"require": {"any": ["terms/use", "terms/lab"]}}"#, &[("terms", "lab~use")], ""),
    (
        r#""grant": {"require": {"all": ["terms/new"], "any": ["terms/use", "terms/lab"]}}"#,
        &[("terms", "lab~use new")],
        "",
    ),
    (r#""grant": {"require": {"all": ["compliant-device", "terms/use"]}}"#, &[], "policy-step-up"),
    (r#""grant": "block""#, &[], "policy-blocked"),
];

#[test]
fn what_a_policy_misses_is_asked_for_where_people_sign_in() {
    in_the_simulator(86, async {
        let (worker, _control) = scene();
        let _tunnel = connect(&worker, 1).await;
        let signed_in = SessionRecord {
            authenticated_unix: wall_clock().as_secs() - 400,
            methods: [AuthMethod::Password].into(),
            ..session(1)
        };
        sessions(&worker).put(signed_in, wall_clock());
        let cookie = format!("cookie: {}\r\n", cookie_of(&worker, APP, 400));
        let mut client = Client::new().await;
        for (rest, missed, code) in CASES {
            publish_for_people(&worker, |snapshot| {
                let policy = policy(1, &format!(r#""state": "on", {rest}"#));
                snapshot.policies.insert(policy.id, policy);
            });
            let (head, body) = client.asks("/name", &format!("{PAGE}{cookie}")).await;
            if missed.is_empty() {
                assert_eq!(head.status, 403, "{rest}");
                assert!(body.contains(code), "{rest}");
            } else {
                assert_eq!(head.status, 302, "{rest}");
                let asked = query(location(&head));
                for name in ["acr_values", "prompt", "terms"] {
                    let wanted = missed.iter().find(|(missed, _)| *missed == name).map(|(_, value)| *value);
                    assert_eq!(asked.get(name).map(String::as_str), wanted, "{rest}: {name}");
                }
            }
            // Programs are not sent anywhere.
            let (head, _) = client.asks("/name", &cookie).await;
            assert!(matches!(head.status, 401 | 403), "{rest}: {}", head.status);
        }
    });
}

#[test]
fn where_no_device_can_be_shown_nobody_is_sent_for_one() {
    in_the_simulator(96, async {
        let (worker, _control) = scene();
        publish_for_people(&worker, |snapshot| {
            let policy = policy(1, r#""state": "on", "grant": {"require": {"all": ["registered-device"]}}"#);
            snapshot.policies.insert(policy.id, policy);
        });
        sessions(&worker).put(session(1), wall_clock());
        let (head, body) = Client::new().await.asks("/name", &format!("{PAGE}{}", shows_cookie(&worker))).await;
        assert!(head.status == 403 && body.contains("policy-step-up"), "{body}");
    });
}
