//! Limits of users: what they ask for counts together over all applications, by whatever session.

use postern_io::wall_clock;
use postern_model::directory::{Assignment, Principal};
use postern_model::ids::AppId;
use postern_model::limit::{Allowance, Limit, LimitScope};
use postern_model::session::SessionRecord;

use super::policies::{answer, cookie_of, with};
use super::*;
use crate::limit::LimitTable;
use crate::sessions::tests::record;
use crate::side::testing::bearer;

const FIRST: AppId = AppId::new(TenantId::DEFAULT, 1);
const SECOND: AppId = AppId::new(TenantId::DEFAULT, 2);

/// Publishes two applications that ask, open to everyone, with this limit of user 7.
fn limited(worker: &Rc<Worker>, limit: Limit) {
    let change = |snapshot: &mut Snapshot| {
        with(Vec::new())(snapshot);
        let mut second = snapshot.apps[&FIRST].clone();
        (second.id, second.name) = (SECOND, "second".parse().unwrap());
        second.external_url = format!("https://{HOST}/fields/");
        snapshot.apps.insert(SECOND, second);
        let everyone = Principal::Everyone;
        let assignment =
            Assignment { app: SECOND, principal: everyone, role: None, expires_unix: None, created_unix_ms: 0 };
        snapshot.assignments.insert(assignment.key(), assignment);
        snapshot.service_tokens.values_mut().for_each(|token| token.apps = [FIRST, SECOND].into());
        snapshot.limits.insert(limit.key(), limit);
    };
    let held = worker.published();
    let mut next =
        Published { sessions: Arc::clone(&held.sessions), ..publication(worker.config.sequence() + 1, change) };
    next.limits = Arc::new(LimitTable::next(&held.limits, &next.plan, now().as_nanos()));
    worker.config.publish(Arc::new(next));
    worker.look(&mut false);
}

fn of_user(login: &str) -> Limit {
    Limit::new(TenantId::DEFAULT, LimitScope::User(login.parse().unwrap()))
}

/// Session `id` of user `seq`, who is called `userSEQ`.
fn session(id: u128, seq: u32) -> SessionRecord {
    let now = wall_clock().as_secs();
    SessionRecord { authenticated_unix: now - 1, expires_unix: now + 86_400, ..record(id, seq) }
}

fn start(limit: Limit) -> Rc<Worker> {
    let worker = worker_asking([]);
    serve_clients(&worker);
    limited(&worker, limit);
    worker
}

async fn ask(client: &mut Client, path: &str, fields: &str) -> ResponseHead {
    client.stream.queue(format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n").as_bytes());
    client.response().await.unwrap().0
}

#[test]
fn a_users_requests_count_together_over_applications_and_sessions() {
    in_the_simulator(90, async {
        let worker = start(Limit { rps: Some(Allowance::At(1)), burst: Some(3), ..of_user("user7") });
        connect(&worker, 1).await;
        let first = cookie_of(&worker, FIRST, session(1, 7));
        let second = cookie_of(&worker, SECOND, session(2, 7));
        let other = cookie_of(&worker, FIRST, session(3, 8));
        let token = format!("authorization: {}\r\n", bearer(1));
        let (mut one, mut two) = (Client::new().await, Client::new().await);
        assert_eq!(ask(&mut one, "/name", &first).await.status, 200);
        assert_eq!(ask(&mut two, "/fields/", &second).await.status, 200);
        assert_eq!(ask(&mut one, "/name", &first).await.status, 200);
        let refused = ask(&mut two, "/fields/", &second).await;
        assert_eq!((refused.status, refused.headers.get_str(Known::RetryAfter)), (429, Some("1")));
        let (status, body) = answer(&mut one, &first).await;
        assert_eq!(status, 429, "{body}");
        assert!(body.contains("The limit user/user7 (1 request a second) is used up"), "{body}");
        for _ in 0..5 {
            assert_eq!(ask(&mut one, "/name", &other).await.status, 200, "another user");
            assert_eq!(ask(&mut one, "/name", &token).await.status, 200, "a machine is no user");
        }
        sleep(Duration::from_millis(1_100)).await;
        assert_eq!(ask(&mut one, "/name", &first).await.status, 200);
    });
}

#[test]
fn a_users_requests_in_progress_are_counted() {
    in_the_simulator(91, async {
        let worker = start(Limit { conns: Some(Allowance::At(1)), ..of_user("user7") });
        connect(&worker, 1).await;
        let first = cookie_of(&worker, FIRST, session(1, 7));
        let waits = Client::new().await;
        waits.stream.queue(format!("GET /slow HTTP/1.1\r\nhost: {HOST}\r\n{first}\r\n").as_bytes());
        sleep(Duration::from_millis(50)).await;
        let mut client = Client::new().await;
        let (status, body) = answer(&mut client, &first).await;
        assert_eq!(status, 429, "{body}");
        assert!(body.contains("user/user7 (1 requests at a time)"), "{body}");
        drop(waits);
        sleep(Duration::from_millis(50)).await;
        assert_eq!(answer(&mut client, &first).await.0, 200);
    });
}

#[test]
fn a_users_content_is_paced_until_the_limit_is_gone() {
    in_the_simulator(92, async {
        let worker = start(Limit { bps: Some(Allowance::At(100_000)), ..of_user("user7") });
        connect(&worker, 1).await;
        let (slow, other) = (cookie_of(&worker, FIRST, session(1, 7)), cookie_of(&worker, FIRST, session(2, 8)));
        let mut client = Client::new().await;
        let begun = now();
        assert_eq!(ask(&mut client, "/zeros/300000", &slow).await.status, 200);
        let took = now().since_origin() - begun.since_origin();
        assert!((Duration::from_secs(2)..Duration::from_secs(4)).contains(&took), "{took:?}");
        let begun = now();
        assert_eq!(ask(&mut client, "/zeros/300000", &other).await.status, 200);
        assert!(now().since_origin() - begun.since_origin() < Duration::from_millis(500), "another user");
        // The limit is another user's from now on: what is in progress goes on at once.
        client.stream.queue(format!("GET /zeros/3000000 HTTP/1.1\r\nhost: {HOST}\r\n{slow}\r\n").as_bytes());
        sleep(Duration::from_secs(1)).await;
        limited(&worker, Limit { bps: Some(Allowance::At(100_000)), ..of_user("user9") });
        let (head, body) = timeout(Duration::from_secs(2), client.response()).await.unwrap().unwrap();
        assert_eq!((head.status, body.len()), (200, 3_000_000));
    });
}

#[test]
fn a_user_who_is_renamed_leaves_the_limit_of_the_old_name() {
    in_the_simulator(93, async {
        let worker = start(Limit { rps: Some(Allowance::At(1)), burst: Some(1), ..of_user("user7") });
        connect(&worker, 1).await;
        let cookie = cookie_of(&worker, FIRST, session(1, 7));
        let mut client = Client::new().await;
        assert_eq!(answer(&mut client, &cookie).await.0, 200);
        assert_eq!(answer(&mut client, &cookie).await.0, 429);
        let mut renamed = session(1, 7);
        renamed.user.login = "anna@example.com".parse().unwrap();
        worker.published().sessions.change(&[renamed], &[], wall_clock());
        assert_eq!(answer(&mut client, &cookie).await.0, 200);
    });
}
