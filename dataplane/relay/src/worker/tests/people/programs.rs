//! Programs that ask in a user's name, by an access token of the OpenID provider: what lets them in, what the application hears,
//! what ends it, and what forged, stolen and misused tokens get.

use postern_model::access_token::{ACCESS_TOKEN_TYPE, AccessClaims};
use postern_model::assertion::{AssertionKey, AssertionSigner};
use postern_model::ids::ClientId;
use postern_model::settings::AppSettings;

use super::super::policies::policy;
use super::*;

thread_local! {
    /// Keys are random: the publications of one test have the same ones.
    static KEY: AssertionKey = AssertionKey::make(1, 0).unwrap();
}

pub(super) fn with_keys(snapshot: &mut Snapshot) {
    snapshot.assertion_keys = vec![KEY.with(Clone::clone)];
}

fn signer() -> AssertionSigner {
    KEY.with(|key| AssertionSigner::new([key]).unwrap())
}

fn claims() -> AccessClaims {
    let now = wall_clock().as_secs();
    AccessClaims {
        iss: format!("https://{LOGIN}"),
        aud: format!("https://{HOST}/"),
        sub: USER,
        client_id: ClientId::new(TenantId::DEFAULT, 1),
        scope: "app:app".into(),
        sid: SESSION,
        iat: now,
        nbf: now,
        exp: now + 600,
        auth_time: now,
        amr: Default::default(),
        jti: "x".into(),
    }
}

pub(super) fn signed(change: impl FnOnce(&mut AccessClaims)) -> String {
    let mut claims = claims();
    change(&mut claims);
    signer().sign_claims(ACCESS_TOKEN_TYPE, &claims, wall_clock().as_secs()).unwrap()
}

pub(super) fn shows_token(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// As [`scene`], with keys, and the session held.
pub(super) fn programs() -> (Rc<Worker>, Control) {
    let (worker, control) = scene();
    publish_for_people(&worker, with_keys);
    sessions(&worker).put(session(1), wall_clock());
    (worker, control)
}

#[test]
fn a_program_is_let_in_by_its_users_token_and_the_application_hears_the_user() {
    in_the_simulator(170, async {
        let (worker, _control) = programs();
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let token = shows_token(&signed(|_| {}));
        for _ in 0..2 {
            let (head, fields) = client.asks("/fields", &format!("{token}x-postern-user: root\r\n")).await;
            assert_eq!(head.status, 200, "{fields}");
            assert!(fields.contains("x-postern-user: user1\n") && !fields.contains("root"), "{fields}");
            assert!(!fields.contains("authorization"), "the token stays here: {fields}");
            assert_eq!(set_cookies(&head), [""; 0], "programs get no cookie");
        }
        // What is not ours is the application's own, with a cookie.
        let own = "authorization: Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUifQ.\r\n";
        let (_, fields) = client.asks("/fields", &format!("{own}{}", shows_cookie(&worker))).await;
        assert!(fields.contains("authorization: ("), "{fields}");
        assert_eq!(client.asks("/fields", own).await.0.status, 401, "and lets nobody in");
    });
}

#[test]
fn a_session_that_is_not_held_is_asked_for_once_and_one_that_is_gone_lets_nobody_in() {
    in_the_simulator(171, async {
        let (worker, mut control) = scene();
        publish_for_people(&worker, with_keys);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let token = shows_token(&signed(|_| {}));
        client.ask("GET", "/name", &token);
        let (id, call) = control.asked().await;
        assert_eq!(call, Call::Session { session: SESSION });
        control.replies(id, good());
        assert_eq!(client.response().await.unwrap().0.status, 200);
        assert_eq!(client.asks("/name", &token).await.0.status, 200);
        assert!(control.is_asked_nothing());
        control.says(&[], &[SESSION]);
        let (head, body) = client.asks("/name", &token).await;
        assert_eq!(head.status, 401);
        assert!(body.contains("access-token-invalid"), "{body}");
        let challenge = head.headers.get_str(Known::WwwAuthenticate).unwrap();
        assert!(challenge.contains("resource_metadata=") && challenge.contains("invalid_token"), "{challenge}");
    });
}

#[test]
fn forged_stolen_and_misused_tokens_let_nobody_in() {
    in_the_simulator(172, async {
        let (worker, _control) = programs();
        let tunnel = connect(&worker, 1).await;
        let mut client = Client::new().await;
        let good = signed(|_| {});
        let (message, _) = good.rsplit_once('.').unwrap();
        let other = AssertionSigner::new([&AssertionKey::make(1, 0).unwrap()]).unwrap();
        let now = wall_clock().as_secs();
        let with_cookie = shows_cookie(&worker);
        for (token, status, code) in [
            (format!("{message}."), 401, "access-token-invalid"),
            (format!("{good}x"), 401, "access-token-invalid"),
            (other.sign_claims(ACCESS_TOKEN_TYPE, &claims(), now).unwrap(), 401, "access-token-invalid"),
            (signer().sign_claims("JWT", &claims(), now).unwrap(), 401, "access-token-invalid"),
            (signed(|claims| claims.exp = now), 401, "access-token-expired"),
            (signed(|claims| claims.nbf = now + 3_600), 401, "access-token-invalid"),
            (signed(|claims| claims.aud = "https://other.example.com/".into()), 403, "access-token-not-for-app"),
            (signed(|claims| claims.aud = format!("https://{LOGIN}")), 403, "access-token-not-for-app"),
            (signed(|claims| claims.scope = "openid app:other".into()), 403, "access-token-not-for-app"),
            (signed(|claims| claims.scope = String::new()), 403, "access-token-not-for-app"),
            (signed(|claims| claims.sub = UserId::new(TenantId::DEFAULT, 2)), 401, "access-token-invalid"),
            (signed(|claims| claims.sub = UserId::new(TenantId(2), 1)), 401, "access-token-invalid"),
        ] {
            // A cookie beside it helps nothing: the token is what counts.
            for fields in [shows_token(&token), format!("{}{with_cookie}", shows_token(&token))] {
                let (head, body) = client.asks("/name", &fields).await;
                assert_eq!(head.status, status, "{body}");
                assert!(body.contains(code), "{code}: {body}");
            }
        }
        let twice = format!("{}authorization: Basic bWU6bWU=\r\n{with_cookie}", shows_token(&good));
        assert_eq!(client.asks("/name", &twice).await.0.status, 401);
        let twice = format!("authorization: Basic bWU6bWU=\r\n{}{with_cookie}", shows_token(&good));
        assert_eq!(client.asks("/name", &twice).await.0.status, 401);
        let elsewhere = signed(|claims| claims.iss = "https://evil.example".into());
        assert_eq!(client.asks("/name", &shows_token(&elsewhere)).await.0.status, 401);
        assert_eq!(tunnel.open_streams(), 0);
    });
}

#[test]
fn a_remembered_token_still_ends() {
    in_the_simulator(173, async {
        let (worker, _control) = programs();
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let token = shows_token(&signed(|claims| claims.exp = claims.iat + 5));
        assert_eq!(client.asks("/name", &token).await.0.status, 200);
        sleep(Duration::from_secs(6)).await;
        let (head, body) = client.asks("/name", &token).await;
        assert_eq!(head.status, 401);
        assert!(body.contains("access-token-expired"), "{body}");
        // Its key is taken away: what was signed with it counts no more, on the same connection either.
        let token = shows_token(&signed(|_| {}));
        assert_eq!(client.asks("/name", &token).await.0.status, 200);
        publish_for_people(&worker, |snapshot| snapshot.assertion_keys = vec![AssertionKey::make(2, 1).unwrap()]);
        let (head, body) = client.asks("/name", &token).await;
        assert!(head.status == 401 && body.contains("access-token-invalid"), "{body}");
    });
}

#[test]
fn what_a_connection_remembers_of_a_token_is_for_no_other_application() {
    in_the_simulator(177, async {
        let (worker, _control) = programs();
        publish_for_people(&worker, |snapshot| {
            with_keys(snapshot);
            with_second(snapshot);
        });
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let first = shows_token(&signed(|_| {}));
        let second = shows_token(&signed(|claims| {
            claims.aud = format!("https://{HOST}/second/");
            claims.scope = "app:second".into();
        }));
        for (token, own, other) in [(&first, "/name", "/second/"), (&second, "/second/", "/name")] {
            for _ in 0..2 {
                assert_eq!(client.asks(own, token).await.0.status, 200, "{own}");
                let (head, body) = client.asks(other, token).await;
                assert_eq!(head.status, 403, "{other}");
                assert!(body.contains("access-token-not-for-app"), "{body}");
            }
        }
    });
}

#[test]
fn an_application_that_asks_nobody_sees_no_token_either() {
    in_the_simulator(175, async {
        let (worker, _control) = programs();
        connect(&worker, 1).await;
        publish_for_people(&worker, |snapshot| {
            with_keys(snapshot);
            snapshot.apps.get_mut(&APP).unwrap().preauth = Preauth::Passthrough;
        });
        let mut client = Client::new().await;
        let own = "authorization: Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUifQ.\r\n";
        for token in [signed(|_| {}), format!("{}x", signed(|claims| claims.aud = "https://x.example/".into()))] {
            let (head, fields) = client.asks("/fields", &shows_token(&token)).await;
            assert_eq!(head.status, 200);
            assert!(!fields.contains("authorization"), "it would be good elsewhere: {fields}");
        }
        let (_, fields) = client.asks("/fields", own).await;
        assert!(fields.contains("authorization: ("), "the application's own: {fields}");
    });
}

#[test]
fn assignment_second_factor_and_metadata_are_as_for_browsers() {
    in_the_simulator(174, async {
        let (worker, _control) = programs();
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let token = shows_token(&signed(|_| {}));
        assert_eq!(client.asks("/name", &token).await.0.status, 200);
        publish_for_people(&worker, |snapshot| {
            with_keys(snapshot);
            snapshot.assignments.clear();
        });
        let (head, body) = client.asks("/name", &token).await;
        assert_eq!(head.status, 403);
        assert!(body.contains("not-assigned"), "{body}");
        publish_for_people(&worker, |snapshot| {
            with_keys(snapshot);
            let app = snapshot.apps.get_mut(&APP).unwrap();
            app.settings.insert("mfa".into(), "required".into());
            AppSettings::parse(&app.settings).unwrap();
        });
        let (head, body) = client.asks("/name", &token).await;
        assert_eq!(head.status, 403);
        assert!(body.contains("policy-step-up"), "{body}");
        let (_, metadata) = client.asks("/.well-known/oauth-protected-resource", "").await;
        let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
        assert_eq!(metadata["authorization_servers"][0], format!("https://{LOGIN}"));
        assert_eq!(metadata["scopes_supported"][0], "app:app");
    });
}

#[test]
fn policies_are_asked_as_for_a_browser_and_know_a_program() {
    in_the_simulator(175, async {
        let (worker, _control) = programs();
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let token = shows_token(&signed(|_| {}));
        let cookie = shows_cookie(&worker);
        let native = r#""conditions": {"clients": {"include": ["native"]}}, "grant": "block""#;
        let mfa = r#""grant": {"require": {"all": ["mfa"]}}"#;
        for (rest, code, browser) in [(native, "policy-blocked", 200), (mfa, "policy-step-up", 302)] {
            publish_for_people(&worker, |snapshot| {
                with_keys(snapshot);
                let policy = policy(1, &format!(r#""state": "on", {rest}"#));
                snapshot.policies.insert(policy.id, policy);
            });
            // Also where it says that it opens a page: a program is sent nowhere.
            let (head, body) = client.asks("/name", &format!("{PAGE}{token}")).await;
            assert_eq!(head.status, 403, "{rest}: {body}");
            assert!(body.contains(code), "{code}: {body}");
            assert_eq!(client.asks("/name", &format!("{PAGE}{cookie}")).await.0.status, browser, "{rest}");
        }
    });
}
