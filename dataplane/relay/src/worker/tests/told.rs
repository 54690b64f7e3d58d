//! What applications are told of people who signed in: by the relay alone, and only what holds at that moment.

mod settled;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode, decode_header};
use postern_io::wall_clock;
use postern_model::assertion::{ASSERTION_S, About, AssertionKey, AssertionSigner, JWKS_PATH};
use postern_model::claims::SsoHeaders;
use postern_model::claims::who::OWN_PREFIX;
use postern_model::config::App;
use postern_model::directory::{Assignment, Principal};
use postern_model::identity::IdentityApp;
use postern_model::ids::{AppId, SessionId, UserGroupId};
use postern_model::session::{CookieKey, CookieSealer, SessionCookie, SessionRecord};
use serde_json::Value;

use super::*;
use crate::sessions::tests::record;
use crate::side::testing::{app, bearer, service_token};

const ISSUER: &str = "https://id.example.com";

/// A state where everyone is let in, with the keys of `keys`.
struct State {
    cookie_keys: Vec<CookieKey>,
    assertion_keys: Vec<AssertionKey>,
    settings: Vec<(&'static str, &'static str)>,
    role: &'static str,
    assigned_until_unix: Option<u64>,
}

impl State {
    fn new(settings: &[(&'static str, &'static str)]) -> Self {
        Self {
            cookie_keys: vec![CookieKey::make(1, 0).unwrap()],
            assertion_keys: vec![AssertionKey::make(1, 0).unwrap()],
            settings: settings.to_vec(),
            role: "reader",
            assigned_until_unix: None,
        }
    }

    fn put(&self, snapshot: &mut Snapshot) {
        asking([service_token(1, None)])(snapshot);
        let id = app("http://x/").id;
        for app in snapshot.apps.values_mut() {
            app.settings = self.settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        }
        let identity = App {
            id: AppId::new(TenantId::DEFAULT, 2),
            name: "postern-identity".parse().unwrap(),
            external_url: format!("{ISSUER}/"),
            preauth: Preauth::Passthrough,
            ..app("http://x/")
        };
        snapshot.identity = Some(IdentityApp { app: identity.id, group: GroupId::DEFAULT, device_host: None });
        snapshot.apps.insert(identity.id, identity);
        let role = Some(self.role.parse().unwrap());
        let expires_unix = self.assigned_until_unix;
        let everyone = Assignment { app: id, principal: Principal::Everyone, role, expires_unix, created_unix_ms: 0 };
        snapshot.assignments.insert(everyone.key(), everyone);
        snapshot.cookie_keys.clone_from(&self.cookie_keys);
        snapshot.assertion_keys.clone_from(&self.assertion_keys);
    }

    fn worker(&self) -> Rc<Worker> {
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, |snapshot| self.put(snapshot)))));
        worker.published().sessions.put(anna(), wall_clock());
        worker
    }

    /// In force from here on; `permits` as control's side thread finds that it changes what lets requests pass, or not.
    fn publish(&self, worker: &Rc<Worker>, changes_permits: bool) {
        let before = worker.config.current();
        let mut next = publication(before.sequence + 1, |snapshot| self.put(snapshot));
        next.sessions = Arc::clone(&before.sessions);
        next.permits = before.permits + u64::from(changes_permits);
        worker.config.publish(Arc::new(next));
        worker.look(&mut false);
    }

    fn cookie(&self) -> String {
        let now_unix = wall_clock().as_secs();
        let cookie =
            SessionCookie { session: SessionId(1), issued_unix: now_unix, seen_unix: now_unix, persistent: false };
        let id = app("http://x/").id;
        let sealed = CookieSealer::new(&self.cookie_keys).unwrap().seal_session(&cookie, id).unwrap();
        format!("cookie: __Host-postern-{id}={sealed}\r\n")
    }
}

fn anna() -> SessionRecord {
    let now_unix = wall_clock().as_secs();
    let mut anna = SessionRecord { expires_unix: now_unix + 86_400, authenticated_unix: now_unix, ..record(1, 7) };
    anna.user.login = "anna".parse().unwrap();
    anna.user.display_name = "Anna Bj\u{f6}rk".parse().unwrap();
    anna.user.mail = Some("Anna@Example.com".parse().unwrap());
    anna.user.groups.insert(UserGroupId::new(TenantId::DEFAULT, 1), "staff".parse().unwrap());
    anna
}

async fn asks(client: &mut Client, path: &str, fields: &str) -> (ResponseHead, String) {
    client.stream.queue(format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n").as_bytes());
    let (head, body) = client.response().await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// Every value of a field that the application saw.
fn values<'a>(fields: &'a str, name: &str) -> Vec<&'a str> {
    fields
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(n, _)| *n == name)
        .map(|(_, value)| value)
        .collect()
}

const FORGED: &str = "x-postern-user: root\r\nX_POSTERN_USER: root\r\nX-Postern-Name: root\r\nx-postern.mail: root\r\nX-Staff-Id: root\r\nx_staff_id: root\r\nX-STAFF_ID: root\r\nx-staff-id: root\r\nX_My_Jwt: root\r\nremote-user: root\r\nconnection: x-staff-id, x-postern-user\r\n";

#[test]
fn an_application_is_told_who_it_is_and_only_by_the_relay() {
    in_the_simulator(70, async {
        let state = State::new(&[]);
        let worker = state.worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        for _ in 0..2 {
            let (head, fields) =
                asks(&mut client, "/fields", &format!("{}{}", state.cookie(), FORGED.replace("taff", "tuff"))).await;
            assert_eq!(head.status, 200, "{fields}");
            assert_eq!(values(&fields, "x-postern-user"), ["anna"]);
            assert_eq!(values(&fields, "x-postern-name"), ["UTF-8\\'\\'Anna%20Bj%C3%B6rk"], "as it is shown");
            assert_eq!(values(&fields, "x-postern-mail"), ["Anna@Example.com"]);
            assert_eq!(
                values(&fields, "x_stuff_id"),
                ["root"],
                "what means nothing to this application is not touched"
            );
            assert!(!fields.contains("__Host-postern"), "{fields}");
        }
    });
}

#[test]
fn what_is_configured_is_told_and_every_spelling_of_it_is_the_relays() {
    in_the_simulator(71, async {
        let headers = "X_Staff-Id=id; X-Remote-User=lower(mail); X-Groups=join(',', groups, methods); X-Role=upper(role); X-None=provider";
        let state =
            State::new(&[("sso_headers", headers), ("sso_assertion", "jwt"), ("sso_assertion_header", "X-My-Jwt")]);
        let worker = state.worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let (_, fields) = asks(&mut client, "/fields", &format!("{}{FORGED}", state.cookie())).await;
        assert!(!fields.contains("root"), "{fields}");
        for (name, value) in [
            ("x_staff-id", "u1-7"),
            ("x-remote-user", "anna@example.com"),
            ("x-groups", "staff,pwd"),
            ("x-role", "READER"),
        ] {
            assert_eq!(values(&fields, name), [value], "{fields}");
        }
        assert_eq!(values(&fields, "x-none"), [""; 0], "what is empty is not sent");
        assert_eq!(values(&fields, "x-postern-user"), [""; 0], "nor what is not configured any more");
        assert_eq!(values(&fields, "x-my-jwt").len(), 1);
        // A machine is let in by its token, and nothing is said of a person.
        let token = format!("authorization: {}\r\n", bearer(1));
        let (head, fields) = asks(&mut client, "/fields", &format!("{token}{FORGED}")).await;
        assert_eq!(head.status, 200);
        assert!(!fields.contains("root") && !fields.contains("x-remote-user"), "{fields}");
        assert_eq!(values(&fields, "x-postern-service"), ["machine1"]);
    });
}

#[test]
fn every_request_belongs_to_a_trace() {
    in_the_simulator(79, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let said = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (_, fields) = asks(&mut client, "/fields", &format!("traceparent: {said}\r\ntracestate: a=b\r\n")).await;
        assert_eq!((values(&fields, "traceparent"), values(&fields, "tracestate")), (vec![said], vec!["a=b"]));
        let (_, fields) = asks(&mut client, "/fields", "traceparent: 00-x\r\ntracestate: a=b\r\n").await;
        let begun = values(&fields, "traceparent");
        let [begun] = &begun[..] else { panic!("{fields}") };
        assert!(begun.len() == said.len() && begun.starts_with("00-") && begun.ends_with("-00"), "{fields}");
        assert_eq!(values(&fields, "tracestate"), [""; 0], "it says nothing without the other");
    });
}

#[test]
fn what_is_configured_is_not_said_in_trailers_either() {
    in_the_simulator(76, async {
        let state = State::new(&[("sso_headers", "X_Staff-Id=id")]);
        let worker = state.worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let trailers = "x-staff-id: root\r\nX_STAFF_ID: root\r\nx-postern-user: root\r\nx-sum: 1\r\n";
        let (cookie, host) = (state.cookie(), HOST);
        client.stream.queue(
            format!("POST /trailers HTTP/1.1\r\nhost: {host}\r\n{cookie}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{trailers}\r\n").as_bytes(),
        );
        let (head, body) = client.response().await.unwrap();
        assert_eq!((head.status, String::from_utf8(body).unwrap().as_str()), (200, "hix-sum: 1\n"));
    });
}

#[test]
fn what_changes_is_told_with_the_next_request_of_the_same_connection() {
    in_the_simulator(72, async {
        let mut state = State::new(&[("sso_headers", "X-Role=role")]);
        let worker = state.worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let cookie = state.cookie();
        let role = async |client: &mut Client, name: &str| {
            let (head, fields) = asks(client, "/fields", &cookie).await;
            assert_eq!(head.status, 200, "{fields}");
            values(&fields, name).join("|")
        };
        assert_eq!(role(&mut client, "x-role").await, "reader");
        state.role = "editor";
        state.publish(&worker, true);
        assert_eq!(role(&mut client, "x-role").await, "editor");
        state.settings = vec![("sso_headers", "X-Other=role")];
        state.publish(&worker, false);
        assert_eq!(role(&mut client, "x-role").await, "", "settings let nobody pass: the cookie is remembered");
        assert_eq!(role(&mut client, "x-other").await, "editor");
        let mut other = anna();
        other.user.login = "anna.berg".parse().unwrap();
        state.settings = vec![];
        state.publish(&worker, false);
        assert_eq!(role(&mut client, "x-postern-user").await, "anna");
        worker.published().sessions.change(&[other], &[], wall_clock());
        assert_eq!(role(&mut client, "x-postern-user").await, "anna.berg");
    });
}

#[test]
fn what_does_not_fit_is_not_cut_but_refused() {
    in_the_simulator(73, async {
        let state = State::new(&[("sso_headers", "X-Groups=join(',', groups)")]);
        let worker = state.worker();
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let mut crowd = anna();
        let group =
            |seq| (UserGroupId::new(TenantId::DEFAULT, seq), format!("a-rather-long-name-{seq}").parse().unwrap());
        crowd.user.groups = (0..300).map(group).collect();
        worker.published().sessions.change(&[crowd], &[], wall_clock());
        let mut client = Client::new().await;
        let (head, body) = asks(&mut client, "/fields", &state.cookie()).await;
        assert_eq!(head.status, 500);
        assert!(body.contains("\"code\":\"sso-too-long\"") && body.contains("x-groups"), "{body}");
        assert_eq!(tunnel.open_streams(), 0);
    });
}

/// What a backend does: the keys from where the relay shows them, then issuer, audience and signature.
fn verify(jwks: &str, token: &str, audience: &str, with_times: bool) -> Result<TokenData<Value>, ErrorKind> {
    let set: JwkSet = serde_json::from_str(jwks).unwrap();
    let kid = decode_header(token).unwrap().kid.unwrap();
    let key = set.find(&kid).ok_or(ErrorKind::InvalidSignature)?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    (validation.validate_exp, validation.validate_nbf, validation.leeway) = (with_times, with_times, 0);
    decode(token, &DecodingKey::from_jwk(key).unwrap(), &validation).map_err(|error| error.kind().clone())
}

#[test]
fn an_assertion_verifies_with_the_keys_that_the_relay_shows_and_is_renewed_before_it_ends() {
    in_the_simulator(74, async {
        let state = State::new(&[("sso_assertion", "jwt")]);
        let worker = state.worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let (head, jwks) = asks(&mut client, JWKS_PATH, "").await;
        assert_eq!((head.status, head.headers.get_str(Known::CacheControl)), (200, Some("public, max-age=300")));
        assert_eq!(head.headers.get_all(Known::CacheControl).count(), 1);
        assert!(!jwks.contains("\"d\""), "{jwks}");
        let cookie = state.cookie();
        let told = async |client: &mut Client| {
            let (_, fields) = asks(client, "/fields", &cookie).await;
            assert_eq!(values(&fields, "x-postern-user"), ["anna"]);
            values(&fields, "x-postern-assertion").join("|")
        };
        let first = told(&mut client).await;
        let claims = verify(&jwks, &first, &format!("https://{HOST}/"), false).unwrap().claims;
        let now_unix = wall_clock().as_secs();
        assert_eq!(
            (&claims["sub"], &claims["login"], &claims["role"]),
            (&"u1-7".into(), &"anna".into(), &"reader".into())
        );
        assert_eq!((claims["iat"].as_u64(), claims["exp"].as_u64()), (Some(now_unix), Some(now_unix + ASSERTION_S)));
        assert_eq!(verify(&jwks, &first, "https://other.example.com/", false).unwrap_err(), ErrorKind::InvalidAudience);
        assert_eq!(told(&mut client).await, first, "one for many requests");
        // A connection that is idle for longer is closed.
        for _ in 0..3 {
            sleep(Duration::from_secs(50)).await;
            assert_eq!(told(&mut client).await, first);
        }
        sleep(Duration::from_secs(40)).await;
        let second = told(&mut client).await;
        assert_ne!(second, first);
        let claims = verify(&jwks, &second, &format!("https://{HOST}/"), false).unwrap().claims;
        assert!(claims["iat"].as_u64().unwrap() >= now_unix + 180, "{claims}");
    });
}

#[test]
fn without_a_key_nobody_is_vouched_for_and_without_the_setting_there_are_no_keys_to_see() {
    in_the_simulator(75, async {
        let mut state = State::new(&[("sso_assertion", "jwt")]);
        state.assertion_keys.clear();
        let worker = state.worker();
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let mut client = Client::new().await;
        for path in ["/fields", JWKS_PATH] {
            let (head, body) = asks(&mut client, path, &state.cookie()).await;
            assert_eq!(head.status, 503, "{body}");
            assert!(body.contains("sso-unavailable"), "{body}");
        }
        assert_eq!(tunnel.open_streams(), 0);
        state.settings.clear();
        state.publish(&worker, false);
        assert_eq!(asks(&mut client, JWKS_PATH, "").await.0.status, 401, "a path like others");
    });
}

#[test]
fn a_verifier_refuses_what_is_over_changed_or_signed_with_a_key_that_is_gone() {
    let (old, new) = (AssertionKey::make(1, 0).unwrap(), AssertionKey::make(2, 100_000).unwrap());
    let signer = AssertionSigner::new([&old, &new]).unwrap();
    let everyone = Assignment {
        app: app("http://x/").id,
        principal: Principal::Everyone,
        role: None,
        expires_unix: None,
        created_unix_ms: 0,
    };
    let record = SessionRecord { expires_unix: u64::MAX, ..record(1, 1) };
    let about = About { issuer: ISSUER, audience: "https://a/", record: &record, assignment: &everyone };
    let now_unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let sign = |at| signer.sign(&about, at).unwrap().token;
    let jwks = signer.jwks().unwrap();
    assert!(verify(jwks, &sign(now_unix), "https://a/", true).is_ok());
    assert!(verify(jwks, &sign(now_unix - ASSERTION_S + 30), "https://a/", true).is_ok());
    let refused = |jwks: &str, token: &str| verify(jwks, token, "https://a/", true).unwrap_err();
    assert_eq!(refused(jwks, &sign(now_unix - ASSERTION_S - 1)), ErrorKind::ExpiredSignature);
    assert_eq!(refused(jwks, &sign(now_unix + 60)), ErrorKind::ImmatureSignature);
    let (token, other) = (sign(now_unix), sign(now_unix));
    let mixed = format!("{}.{}", token.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
    assert_eq!(refused(jwks, &mixed), ErrorKind::InvalidSignature);
    let after = AssertionSigner::new([&old]).unwrap();
    assert_eq!(refused(after.jwks().unwrap(), &token), ErrorKind::InvalidSignature, "signed with the newer one");
}

#[test]
fn no_name_that_http_gives_a_meaning_can_be_configured() {
    let is_ours = |known: &&Known| known.as_str().starts_with(OWN_PREFIX);
    assert_eq!(Known::ALL.iter().filter(is_ours).count(), 5, "they say who asks, and are ours to say");
    for known in Known::ALL.iter().filter(|known| !is_ours(known)) {
        let text = format!("{}=login", known.as_str());
        assert!(text.parse::<SsoHeaders>().is_err(), "{text}");
        assert!(text.replace('-', "_").parse::<SsoHeaders>().is_err(), "{text}");
    }
}
