//! Conditional access: a policy counts with every request, of people and of machines, and in the middle of one.

#[path = "../../../../../control/service/src/geoip/written.rs"]
mod written;

use postern_io::wall_clock;
use postern_model::device::SessionDevice;
use postern_model::directory::{Assignment, Principal};
use postern_model::ids::{AppId, DeviceId};
use postern_model::policy::{DeviceState, Policy, Risk};
use postern_model::session::{AuthMethod, CookieKey, SessionCookie, SessionRecord};
use postern_service::geoip::{Geoip, Systems};

use super::*;
use crate::sessions::tests::record;
use crate::side::testing::{bearer, service_token};

pub(super) fn policy(seq: u32, rest: &str) -> Policy {
    let head =
        format!(r#"{{"id": "p1-{seq}", "name": "p{seq}", "who": {{"include": "all"}}, "apps": {{"include": "all"}}"#);
    serde_json::from_str(&format!("{head}, {rest}}}")).unwrap()
}

fn key() -> CookieKey {
    let secret = postern_model::secret::SecretText::new("07".repeat(32));
    CookieKey { id: 1, secret, created_unix: 1 }
}

/// The application asks, everybody is assigned, and these policies hold.
pub(super) fn with(policies: Vec<Policy>) -> impl FnOnce(&mut Snapshot) {
    move |snapshot| {
        asking([service_token(1, None)])(snapshot);
        let app = *snapshot.apps.keys().next().unwrap();
        let assignment =
            Assignment { app, principal: Principal::Everyone, role: None, expires_unix: None, created_unix_ms: 0 };
        snapshot.assignments.insert(assignment.key(), assignment);
        snapshot.cookie_keys = vec![key()];
        snapshot.policies = policies.into_iter().map(|policy| (policy.id, policy)).collect();
    }
}

/// A session that began a second ago, in the table, and its cookie.
fn signed_in(worker: &Rc<Worker>, methods: &[AuthMethod]) -> String {
    let now = wall_clock();
    let signed_in = SessionRecord {
        authenticated_unix: now.as_secs() - 1,
        expires_unix: now.as_secs() + 86_400,
        methods: methods.iter().copied().collect(),
        ..record(methods.len() as u128, 7)
    };
    let app = worker.published().plan.apps().next().unwrap().id;
    cookie_of(worker, app, signed_in)
}

/// A session in the table, and its cookie at one application.
pub(super) fn cookie_of(worker: &Rc<Worker>, app: AppId, signed_in: SessionRecord) -> String {
    let (published, now) = (worker.published(), wall_clock());
    let cookie = SessionCookie {
        session: signed_in.id,
        issued_unix: now.as_secs(),
        seen_unix: now.as_secs(),
        persistent: false,
    };
    let sealed = published.plan.cookies().seal_session(&cookie, app).unwrap();
    published.sessions.put(signed_in, now);
    format!("cookie: __Host-postern-{app}={sealed}\r\n")
}

pub(super) async fn answer(client: &mut Client, fields: &str) -> (u16, String) {
    client.stream.queue(format!("GET /name HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n").as_bytes());
    let (head, body) = client.response().await.unwrap();
    (head.status, String::from_utf8(body).unwrap())
}

const BLOCKED_THERE: &str = r#""state": "on", "conditions": {"networks": {"include": ["there"]}}, "grant": "block""#;
const MFA: &str = r#""state": "on", "grant": {"require": {"all": ["mfa"]}}"#;

fn there(snapshot: &mut Snapshot, prefix: &str) {
    let network = postern_model::network::Network {
        tenant: TenantId::DEFAULT,
        name: "there".parse().unwrap(),
        prefixes: vec![prefix.parse().unwrap()],
        anonymiser: false,
    };
    snapshot.networks.insert(network.key(), network);
}

#[test]
fn policies_count_with_every_request_of_people() {
    in_the_simulator(80, async {
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, with(Vec::new())))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let (one, two) = (
            signed_in(&worker, &[AuthMethod::Password]),
            signed_in(&worker, &[AuthMethod::Password, AuthMethod::OneTimePassword]),
        );
        let mut client = Client::new().await;
        assert_eq!(answer(&mut client, &one).await, (200, "c1-1".into()));
        // Clients come from 192.0.2.7 here.
        for (prefix, status) in [("198.51.100.0/24", 200), ("192.0.2.0/24", 403)] {
            publish(&worker, |snapshot| {
                with(vec![policy(1, BLOCKED_THERE)])(snapshot);
                there(snapshot, prefix);
            });
            let (found, body) = answer(&mut client, &one).await;
            assert_eq!(found, status, "{prefix}: {body}");
            assert_eq!(body.contains("policy-blocked"), status == 403, "{body}");
        }
        publish(&worker, with(vec![policy(1, MFA)]));
        let (status, body) = answer(&mut client, &one).await;
        assert_eq!(status, 403, "{body}");
        assert!(body.contains("policy-step-up"), "{body}");
        assert_eq!(answer(&mut client, &two).await.0, 200, "they proved two things");
        publish(&worker, with(vec![policy(1, &MFA.replace("on", "report-only"))]));
        assert_eq!(answer(&mut client, &one).await.0, 200, "it only reports");
    });
}

#[test]
fn a_device_is_told_by_what_it_says_it_is() {
    in_the_simulator(81, async {
        let no_phones =
            r#""state": "on", "conditions": {"platforms": {"include": ["android", "ios"]}}, "grant": "block""#;
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, with(vec![policy(1, no_phones)])))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let cookie = signed_in(&worker, &[AuthMethod::Password]);
        let mut client = Client::new().await;
        let agent = "user-agent: Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36\r\n";
        assert_eq!(answer(&mut client, &format!("{cookie}{agent}")).await.0, 403);
        assert_eq!(answer(&mut client, &format!("{cookie}{}", agent.replace("Android 15", "x86_64"))).await.0, 200);
    });
}

#[test]
fn policies_that_name_machines_count_for_service_tokens_and_no_others_do() {
    in_the_simulator(82, async {
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, with(vec![policy(1, MFA)])))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let token = format!("authorization: {}\r\n", bearer(1));
        let mut client = Client::new().await;
        assert_eq!(answer(&mut client, &token).await.0, 200);
        let machines = r#""state": "on", "conditions": {"clients": {"include": ["service"]}, "networks": {"except": ["there"]}}, "grant": "block""#;
        publish(&worker, |snapshot| {
            with(vec![policy(1, machines)])(snapshot);
            there(snapshot, "198.51.100.0/24");
        });
        let (status, body) = answer(&mut client, &token).await;
        assert_eq!(status, 403, "{body}");
    });
}

#[test]
fn a_policy_that_comes_into_force_ends_what_it_does_not_allow() {
    in_the_simulator(83, async {
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, with(Vec::new())))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let (one, two) = (
            signed_in(&worker, &[AuthMethod::Password]),
            signed_in(&worker, &[AuthMethod::Password, AuthMethod::OneTimePassword]),
        );
        let mut ends = Client::new().await;
        let mut goes_on = Client::new().await;
        for (client, cookie) in [(&ends, &one), (&goes_on, &two)] {
            client.stream.queue(format!("GET /slow HTTP/1.1\r\nhost: {HOST}\r\n{cookie}\r\n").as_bytes());
        }
        sleep(Duration::from_millis(50)).await;
        publish(&worker, with(vec![policy(1, MFA)]));
        let (head, body) = timeout(Duration::from_millis(500), ends.response()).await.unwrap().unwrap();
        assert_eq!(head.status, 403, "{}", String::from_utf8_lossy(&body));
        assert!(timeout(Duration::from_millis(500), goes_on.response()).await.is_err(), "it is still waiting");
    });
}

fn all_in(code: &str) -> Geoip {
    Geoip::read(&*written::database("GeoLite2-Country", &[("192.0.2.0/24", "country", code)])).unwrap()
}

#[test]
fn a_country_is_looked_up_where_a_policy_names_one_and_again_in_another_database() {
    in_the_simulator(88, async {
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, with(Vec::new())))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let cookie = signed_in(&worker, &[AuthMethod::Password]);
        let token = format!("authorization: {}\r\n", bearer(1));
        let mut client = Client::new().await;
        let blocks = |code: &str, clients: &str| {
            let conditions = format!(r#"{{"countries": {{"include": ["{code}"]}}{clients}}}"#);
            policy(1, &format!(r#""state": "on", "conditions": {conditions}, "grant": "block""#))
        };
        publish(&worker, with(vec![blocks("ZZ", "")]));
        assert_eq!(answer(&mut client, &cookie).await.0, 403, "without a database no country is known");
        publish(&worker, with(vec![blocks("KP", "")]));
        assert_eq!(answer(&mut client, &cookie).await.0, 200);
        for (code, status) in [("KP", 403), ("DE", 200), ("KP", 403)] {
            worker.published().countries.replace(all_in(code));
            assert_eq!(answer(&mut client, &cookie).await.0, status, "{code}");
        }
        publish(&worker, with(vec![blocks("KP", r#", "clients": {"include": ["service"]}"#)]));
        for (code, status) in [("DE", 200), ("KP", 403)] {
            worker.published().countries.replace(all_in(code));
            assert_eq!(answer(&mut client, &token).await.0, status, "a machine in {code}");
        }
    });
}

#[test]
fn another_database_ends_what_it_does_not_allow() {
    in_the_simulator(89, async {
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, with(Vec::new())))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let cookie = signed_in(&worker, &[AuthMethod::Password]);
        let blocked = r#""state": "on", "conditions": {"countries": {"include": ["KP"]}}, "grant": "block""#;
        publish(&worker, with(vec![policy(1, blocked)]));
        let mut client = Client::new().await;
        client.stream.queue(format!("GET /slow HTTP/1.1\r\nhost: {HOST}\r\n{cookie}\r\n").as_bytes());
        sleep(Duration::from_millis(50)).await;
        worker.published().countries.replace(all_in("KP"));
        worker.look(&mut false);
        let (head, _) = timeout(Duration::from_millis(500), client.response()).await.unwrap().unwrap();
        assert_eq!(head.status, 403);
    });
}

#[test]
fn the_risk_of_the_sign_in_counts_with_every_request() {
    in_the_simulator(90, async {
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, with(Vec::new())))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let risky = r#""state": "on", "conditions": {"risk_min": "medium"}, "grant": "block""#;
        publish(&worker, with(vec![policy(1, risky)]));
        let mut client = Client::new().await;
        let app = worker.published().plan.apps().next().unwrap().id;
        let now = wall_clock().as_secs();
        for (id, risk, status) in [(1, Risk::Low, 200), (2, Risk::Medium, 403), (3, Risk::High, 403)] {
            let signed_in =
                SessionRecord { risk, expires_unix: now + 86_400, authenticated_unix: now, ..record(id, 7) };
            let cookie = cookie_of(&worker, app, signed_in);
            assert_eq!(answer(&mut client, &cookie).await.0, status, "{risk}");
        }
    });
}

#[test]
fn an_autonomous_system_is_looked_up_where_a_policy_names_one() {
    in_the_simulator(91, async {
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, with(Vec::new())))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let cookie = signed_in(&worker, &[AuthMethod::Password]);
        let token = format!("authorization: {}\r\n", bearer(1));
        let mut client = Client::new().await;
        let blocks = |asn: &str, clients: &str| {
            let conditions = format!(r#"{{"asns": {{"include": ["{asn}"]}}{clients}}}"#);
            policy(1, &format!(r#""state": "on", "conditions": {conditions}, "grant": "block""#))
        };
        let all_in = |asn: u32| Systems::read(&*written::systems(&[("192.0.2.0/24", asn)])).unwrap();
        publish(&worker, with(vec![blocks("AS0", "")]));
        assert_eq!(answer(&mut client, &cookie).await.0, 403, "without a database none is known");
        publish(&worker, with(vec![blocks("AS64500", "")]));
        assert_eq!(answer(&mut client, &cookie).await.0, 200);
        for (asn, status) in [(64_500, 403), (64_501, 200), (64_500, 403)] {
            worker.published().countries.replace_systems(all_in(asn));
            assert_eq!(answer(&mut client, &cookie).await.0, status, "AS{asn}");
        }
        publish(&worker, with(vec![blocks("AS64500", r#", "clients": {"include": ["service"]}"#)]));
        for (asn, status) in [(64_501, 200), (64_500, 403)] {
            worker.published().countries.replace_systems(all_in(asn));
            assert_eq!(answer(&mut client, &token).await.0, status, "a machine in AS{asn}");
        }
    });
}

#[test]
fn who_comes_from_one_of_a_hundred_thousand_anonymisers_is_found() {
    in_the_simulator(92, async {
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, with(Vec::new())))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let cookie = signed_in(&worker, &[AuthMethod::Password]);
        let mut client = Client::new().await;
        for (last, status) in [("198.51.100.1/32", 200), ("192.0.2.0/24", 403)] {
            publish(&worker, |snapshot| {
                with(vec![policy(1, BLOCKED_THERE)])(snapshot);
                let others = (0..99_999u32).map(|n| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255));
                let network = postern_model::network::Network {
                    tenant: TenantId::DEFAULT,
                    name: "there".parse().unwrap(),
                    prefixes: others.chain([last.to_owned()]).map(|text| text.parse().unwrap()).collect(),
                    anonymiser: true,
                };
                snapshot.networks.insert(network.key(), network);
            });
            assert_eq!(answer(&mut client, &cookie).await.0, status, "{last}");
            assert!(worker.published().plan.networks(TenantId::DEFAULT).is_empty(), "it is no corporate network");
        }
    });
}

#[test]
fn the_device_of_the_session_counts_with_every_request() {
    in_the_simulator(91, async {
        let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, with(Vec::new())))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let compliant = r#""state": "on", "grant": {"require": {"all": ["compliant-device"]}}"#;
        publish(&worker, with(vec![policy(1, compliant)]));
        let mut client = Client::new().await;
        let (app, now) = (worker.published().plan.apps().next().unwrap().id, wall_clock());
        let (expires_unix, authenticated_unix) = (now.as_secs() + 86_400, now.as_secs());
        let signed_in = |state: Option<DeviceState>| {
            let id = DeviceId::new(TenantId::DEFAULT, 1);
            let device = state.map(|state| SessionDevice::new(id, "laptop".parse().unwrap(), state));
            SessionRecord { device, expires_unix, authenticated_unix, ..record(1, 7) }
        };
        let cookie = cookie_of(&worker, app, signed_in(None));
        assert_eq!(answer(&mut client, &cookie).await.0, 403, "none was shown");
        // It ends by itself, in the middle of a request, too: nobody tells.
        let device = SessionDevice {
            compliant_until_unix: Some(now.as_secs() + 5),
            until_unix: Some(now.as_secs() + 9),
            ..SessionDevice::new(DeviceId::new(TenantId::DEFAULT, 1), "laptop".parse().unwrap(), DeviceState::Compliant)
        };
        let ends = SessionRecord { device: Some(device), ..signed_in(None) };
        worker.published().sessions.change(&[ends], &[], now);
        assert_eq!(answer(&mut client, &cookie).await.0, 200);
        let mut waits = Client::new().await;
        waits.stream.queue(format!("GET /slow HTTP/1.1\r\nhost: {HOST}\r\n{cookie}\r\n").as_bytes());
        let (head, _) = timeout(Duration::from_secs(7), waits.response()).await.unwrap().unwrap();
        assert_eq!(head.status, 403);
        assert_eq!(answer(&mut client, &cookie).await.0, 403, "it is registered only");
        publish(&worker, with(vec![policy(1, &compliant.replace("compliant", "registered"))]));
        assert_eq!(answer(&mut client, &cookie).await.0, 200);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(answer(&mut client, &cookie).await.0, 403);
        publish(&worker, with(vec![policy(1, compliant)]));
        // The same session, told anew: the connection remembers nothing of what it was.
        for (state, status) in [
            (DeviceState::Compliant, 200),
            (DeviceState::Registered, 403),
            (DeviceState::Compliant, 200),
            (DeviceState::Unknown, 403),
        ] {
            worker.published().sessions.change(&[signed_in(Some(state))], &[], now);
            assert_eq!(answer(&mut client, &cookie).await.0, status, "{state}");
        }
    });
}
