//! Applications that ask who is there: who is refused and what he is told, what the application hears, and what ends when a
//! permission is taken back.

use postern_io::wall_clock;

use super::websockets::{echoed, opened_with, rest};
use super::*;
use crate::side::testing::{bearer, service_token};

fn both() -> [ServiceToken; 2] {
    [service_token(1, None), service_token(2, None)]
}

/// So many seconds from now.
fn seconds(count: u64) -> Option<u64> {
    Some(wall_clock().as_secs() + count)
}

fn shows(seq: u8) -> String {
    format!("authorization: {}\r\n", bearer(seq))
}

impl Client {
    pub(super) fn ask(&self, method: &str, path: &str, fields: &str) {
        self.stream.queue(format!("{method} {path} HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n").as_bytes());
    }

    pub(super) async fn asks(&mut self, path: &str, fields: &str) -> (ResponseHead, String) {
        self.ask("GET", path, fields);
        let (head, body) = self.response().await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }
}

#[test]
fn nobody_passes_but_who_shows_a_good_token_in_the_one_place_for_it() {
    in_the_simulator(60, async {
        let disabled = ServiceToken { enabled: false, ..service_token(5, None) };
        let elsewhere = ServiceToken { apps: Default::default(), ..service_token(4, None) };
        let tokens = [service_token(1, seconds(3600)), service_token(3, seconds(0)), elsewhere, disabled];
        let worker = worker_asking(tokens);
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let mut client = Client::new().await;
        let good = shows(1);
        let (invalid, scope) = (Some("invalid_token"), Some("insufficient_scope"));
        for (fields, status, code, error) in [
            (String::new(), 401, "sign-in-required", None),
            ("authorization: Basic bWU6bWU=\r\n".into(), 401, "sign-in-required", None),
            (good.replace("Bearer", "Token"), 401, "sign-in-required", None),
            (good.replace("authorization", "proxy-authorization"), 401, "sign-in-required", None),
            (good.replace("authorization", "x-authorization"), 401, "sign-in-required", None),
            (good.replace("authorization: Bearer ", "cookie: token="), 401, "sign-in-required", None),
            (format!("{good}{good}"), 401, "access-token-invalid", invalid),
            (format!("{good}authorization: Basic bWU6bWU=\r\n"), 401, "access-token-invalid", invalid),
            (good.replace("_AQE", "_AQF"), 401, "access-token-invalid", invalid),
            (good.replace("Bearer ", "Bearer  "), 401, "access-token-invalid", invalid),
            (shows(2), 401, "access-token-invalid", invalid),
            (shows(5), 401, "access-token-invalid", invalid),
            (shows(3), 401, "access-token-expired", invalid),
            (shows(4), 403, "access-token-not-for-app", scope),
        ] {
            let (head, body) = client.asks("/name", &fields).await;
            assert_eq!(head.status, status, "{fields}{body}");
            assert!(body.contains(&format!("\"code\":\"{code}\"")), "{fields}{body}");
            let challenge = head.headers.get_str(Known::WwwAuthenticate).unwrap();
            let metadata = format!("resource_metadata=\"https://{HOST}/.well-known/oauth-protected-resource\"");
            let error = error.map(|error| format!(", error=\"{error}\"")).unwrap_or_default();
            assert_eq!(challenge, format!("Bearer realm=\"postern\", {metadata}{error}"));
        }
        assert_eq!(tunnel.open_streams(), 0);
        let in_query = format!("/name?access_token={}", bearer(1).split_off(7));
        assert_eq!(client.asks(&in_query, "").await.0.status, 401);
        // Remembered or not, shown in whatever case the scheme has.
        for fields in [&good, &good, &good.replace("Bearer", "bEARER")] {
            assert_eq!(client.asks("/name", fields).await.1, "c1-1");
        }
    });
}

#[test]
fn the_application_hears_who_asks_from_the_relay_alone() {
    in_the_simulator(61, async {
        let worker = worker_asking(both());
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let forged = "x-postern-service: root\r\nX_POSTERN_SERVICE: root\r\nX-Postern-Service: root\r\nremote_user: root\r\nX-Forwarded-User: root\r\nconnection: x-postern-service\r\nx-mine: 1\r\n";
        let (_, fields) = client.asks("/fields", &format!("{}{forged}", shows(2))).await;
        assert!(!fields.contains("root") && !fields.contains("authorization"), "{fields}");
        assert!(fields.contains("x-postern-service: machine2\n") && fields.contains("x-mine: 1\n"), "{fields}");

        publish(&worker, |_| {});
        let (_, fields) = client.asks("/fields", "authorization: Basic bWU6bWU=\r\nremote-user: me\r\n").await;
        assert!(fields.contains("authorization: (14 bytes)") && fields.contains("remote-user: me"), "{fields}");
        assert!(!fields.contains("x-postern-service"), "{fields}");
        for token in [shows(2), shows(9), shows(2).replace("_AgI", "_"), shows(2).replace("Bearer", "bearer ")] {
            let (head, fields) = client.asks("/fields", &token).await;
            assert_eq!(head.status, 200);
            assert!(!fields.contains("authorization"), "not its own: {fields}");
        }
        let (_, fields) = client.asks("/fields", "authorization: Bearer its-own\r\n").await;
        assert!(fields.contains("authorization: (14 bytes)"), "an open application's own credentials: {fields}");
    });
}

/// The application would show what the connector signs users on with.
#[test]
fn no_application_is_traced() {
    in_the_simulator(64, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        for method in ["TRACE", "trace", "TRACK"] {
            client.ask(method, "/", "");
            let (head, body) = client.response().await.unwrap();
            assert_eq!(head.status, 405, "{method}");
            assert!(head.headers.get_str(Known::Allow).unwrap().starts_with("GET, "));
            assert!(String::from_utf8(body).unwrap().contains("method-refused"));
        }
        assert_eq!(client.asks("/", "").await.0.status, 200);
    });
}

#[test]
fn the_relay_says_how_to_be_let_in() {
    in_the_simulator(62, async {
        let worker = worker_asking(both());
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let place = "/.well-known/oauth-protected-resource";
        for path in [place.to_owned(), format!("{place}/"), format!("{place}/deep/er?x")] {
            let (head, body) = client.asks(&path, "").await;
            assert_eq!(head.status, 200, "{body}");
            assert_eq!(head.headers.get_str(Known::ContentType), Some("application/json"));
            assert_eq!(body, format!(r#"{{"resource":"https://{HOST}","bearer_methods_supported":["header"]}}"#));
        }
        client.ask("POST", place, "content-length: 0\r\n");
        let (head, body) = client.response().await.unwrap();
        assert_eq!((head.status, head.headers.get_str(Known::Allow)), (405, Some("GET, HEAD")));
        assert!(String::from_utf8(body).unwrap().contains("metadata-method"));
        assert_eq!(client.asks(&format!("{place}s"), "").await.0.status, 401, "something else");
        publish(&worker, |_| {});
        assert_eq!(
            client.asks(place, "").await.0.body,
            BodyKind::Chunked,
            "an open application has its own page there"
        );
    });
}

/// A download of 5 MB that has begun.
async fn downloading(fields: &str) -> Client {
    let mut client = Client::new().await;
    client.ask("GET", "/zeros/5000000", fields);
    client.more().await.unwrap();
    client
}

/// How long it takes until an answer is found to be incomplete.
async fn cut(client: &mut Client) -> Duration {
    let begun = now();
    let outcome = timeout(Duration::from_secs(5), client.response()).await.expect("it is not waited for");
    assert!(outcome.is_err(), "a part was presented as the whole");
    now().since(begun)
}

#[test]
fn what_a_token_let_in_ends_with_it_and_nothing_else_does() {
    type Take = fn(&mut ServiceToken);
    let ways: [(&str, Take); 4] = [
        ("disabled", |token| token.enabled = false),
        ("rotated", |token| token.key = crate::side::testing::service_secret(9).key()),
        ("without the application", |token| token.apps.clear()),
        ("expired", |token| token.expires_unix = seconds(0)),
    ];
    for (way, take) in ways {
        in_the_simulator(63, async move {
            let worker = worker_asking(both());
            serve_clients(&worker);
            let tunnel = connect(&worker, 1).await;
            let mut waiting = Client::new().await;
            waiting.ask("GET", "/slow", &shows(1));
            let mut uploading = Client::new().await;
            uploading.ask("POST", "/echo", &format!("{}content-length: 10\r\n", shows(1)));
            uploading.stream.queue(b"hello");
            let mut reading = downloading(&shows(1)).await;
            let mut other = downloading(&shows(2)).await;
            sleep(Duration::from_millis(50)).await;
            publish(&worker, asking(both()));
            sleep(Duration::from_millis(50)).await;
            assert_eq!(tunnel.open_streams(), 4, "a change of something else ends nothing");

            let mut taken = service_token(1, None);
            take(&mut taken);
            publish(&worker, asking([taken, service_token(2, None)]));
            let (head, body) = timeout(Duration::from_millis(500), waiting.response()).await.unwrap().unwrap();
            let body = String::from_utf8(body).unwrap();
            assert_eq!(head.status, 401, "{way}: {body}");
            let code = if way == "expired" { "access-token-expired" } else { "access-revoked" };
            assert!(body.contains(code), "{way}: {body}");
            assert!(cut(&mut uploading).await < Duration::from_millis(500), "{way}");
            assert!(cut(&mut reading).await < Duration::from_millis(500), "{way}");
            assert_eq!(tunnel.open_streams(), 1, "{way}");
            assert_eq!(other.response().await.unwrap().1.len(), 5_000_000);
            assert_ne!(Client::new().await.asks("/name", &shows(1)).await.0.status, 200, "{way}");
        });
    }
}

#[test]
fn a_removed_token_and_a_removed_application_end_what_is_in_progress() {
    in_the_simulator(64, async {
        let worker = worker_asking(both());
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut first = downloading(&shows(1)).await;
        let mut second = downloading(&shows(2)).await;
        publish(&worker, asking([service_token(2, None)]));
        assert!(cut(&mut first).await < Duration::from_millis(500));
        publish(&worker, |snapshot| {
            asking([])(snapshot);
            snapshot.apps.clear();
        });
        assert!(cut(&mut second).await < Duration::from_millis(500));
    });
}

#[test]
fn an_application_that_begins_to_ask_ends_what_nobody_is_known_for_and_one_that_stops_nothing() {
    in_the_simulator(65, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut unknown = downloading("").await;
        let mut unasked = downloading(&shows(2)).await;
        publish(&worker, asking(both()));
        assert!(cut(&mut unknown).await < Duration::from_millis(500));
        let mut known = downloading(&shows(1)).await;
        publish(&worker, |_| {});
        assert_eq!(unasked.response().await.unwrap().1.len(), 5_000_000, "it had shown what is asked for now");
        assert_eq!(known.response().await.unwrap().1.len(), 5_000_000);
    });
}

#[test]
fn a_tokens_end_is_an_end_in_the_middle_too() {
    in_the_simulator(66, async {
        let begun = now();
        let worker = worker_asking([service_token(1, seconds(10)), service_token(2, seconds(5000))]);
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut waiting = Client::new().await;
        waiting.ask("GET", "/slow", &shows(1));
        let websocket = opened_with(&shows(2)).await;
        let (head, body) = waiting.response().await.unwrap();
        let at = now().since(begun).as_millis();
        assert!((10_000..10_100).contains(&at), "at {at} ms");
        assert_eq!(head.status, 401);
        assert!(String::from_utf8(body).unwrap().contains("access-token-expired"));
        // Further away than a permit is trusted without a look at the clock, and idle in between.
        sleep(Duration::from_secs(3000)).await;
        echoed(&websocket, &[0x81, 1, b'a']).await;
        assert_eq!(rest(&websocket).await, POLICY);
        let at = now().since(begun).as_secs();
        assert!((5000..5002).contains(&at), "at {at} s");
    });
}

/// 1008.
const POLICY: [u8; 4] = [0x88, 2, 3, 0xf0];

#[test]
fn a_websocket_is_told_and_one_in_the_middle_of_a_frame_is_cut() {
    in_the_simulator(67, async {
        let worker = worker_asking(both());
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let idle = opened_with(&shows(1)).await;
        let other = opened_with(&shows(2)).await;
        let busy = opened_with(&shows(1)).await;
        echoed(&busy, &[0x81, 5, b'h', b'e']).await;
        publish(&worker, asking([service_token(2, None)]));
        let begun = now();
        assert_eq!(rest(&idle).await, POLICY);
        assert!(now().since(begun) < Duration::from_secs(1), "{:?}", now().since(begun));
        // What comes after the permission has gone reaches nobody.
        busy.stream.queue(b"llo");
        assert!(!busy.stream.read().await.is_ok_and(|bytes| !bytes.is_empty()));
        assert!(now().since(begun) < Duration::from_secs(1), "{:?}", now().since(begun));
        sleep(Duration::from_millis(100)).await;
        assert_eq!(tunnel.open_streams(), 1);
        echoed(&other, &[0x81, 1, b'a']).await;
    });
}

#[test]
fn what_is_no_websocket_is_cut() {
    in_the_simulator(68, async {
        let worker = worker_asking(both());
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let mut client = Client::new().await;
        client.ask("GET", "/switch", &format!("{}connection: upgrade\r\nupgrade: echo\r\n", shows(1)));
        client.more().await.unwrap();
        publish(&worker, asking([]));
        sleep(Duration::from_millis(50)).await;
        assert_eq!(tunnel.open_streams(), 0);
        let ended = async { while client.more().await.is_ok() {} };
        timeout(Duration::from_millis(100), ended).await.expect("its connection ends");
    });
}

#[test]
fn what_is_taken_back_while_the_mailbox_is_full_ends_within_a_second_all_the_same() {
    in_the_simulator(69, async {
        let worker = worker_asking(both());
        serve_clients(&worker);
        connect(&worker, 1).await;
        worker.wake_on_change();
        spawn(Rc::clone(&worker).housekeep()).detach();
        let mut waiting = Client::new().await;
        waiting.ask("GET", "/slow", &shows(1));
        sleep(Duration::from_millis(50)).await;
        assert!(worker.send_to(0, ToWorker::Look).is_err(), "its mailbox takes nothing");
        worker.config.publish(Arc::new(publication(2, asking([]))));
        worker.drain.wake_all();
        let (head, body) = timeout(Duration::from_millis(1100), waiting.response()).await.unwrap().unwrap();
        assert_eq!(head.status, 401);
        assert!(String::from_utf8(body).unwrap().contains("access-revoked"));
    });
}
