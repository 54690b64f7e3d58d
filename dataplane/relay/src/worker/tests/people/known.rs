//! People with a session: what their cookie lets them do, for how long, and what ends with it.

use super::*;

#[test]
fn a_session_is_asked_for_once_however_many_requests_wait() {
    in_the_simulator(74, async {
        let (worker, mut control) = scene();
        connect(&worker, 1).await;
        let shown = shows_cookie(&worker);
        let mut clients = Vec::new();
        for _ in 0..5 {
            let client = Client::new().await;
            client.ask("GET", "/name", &shown);
            clients.push(client);
        }
        let (id, call) = control.asked().await;
        assert_eq!(call, Call::Session { session: SESSION });
        sleep(Duration::from_millis(50)).await;
        assert!(control.is_asked_nothing());
        control.replies(id, good());
        for client in &mut clients {
            assert_eq!(client.response().await.unwrap().1, b"c1-1");
        }
        assert_eq!(clients[0].asks("/name", &shown).await.1, "c1-1");
        assert!(control.is_asked_nothing());
    });
}

#[test]
fn a_session_that_control_does_not_know_is_none_and_not_asked_for_again_at_once() {
    in_the_simulator(75, async {
        let (worker, mut control) = scene();
        let shown = shows_cookie(&worker);
        let mut client = Client::new().await;
        client.ask("GET", "/name", &format!("{shown}{PAGE}"));
        let (id, _) = control.asked().await;
        control.replies(id, Reply::Refused);
        assert_eq!(client.response().await.unwrap().0.status, 302);
        assert_eq!(client.asks("/name", &shown).await.0.status, 401);
        assert!(control.is_asked_nothing());
        sleep(SESSION_GONE_KEPT).await;
        client.ask("GET", "/name", &shown);
        control.asked().await;
    });
}

#[test]
fn without_control_nobody_is_let_in_who_is_not_known_and_is_told_so() {
    in_the_simulator(76, async {
        let (worker, mut control) = scene();
        connect(&worker, 1).await;
        let shown = shows_cookie(&worker);
        let mut client = Client::new().await;
        let begun = now();
        client.ask("GET", "/name", &shown);
        control.asked().await;
        let (head, body) = client.response().await.unwrap();
        assert!(now().since(begun) < CALL_TIMEOUT + Duration::from_millis(100));
        assert_eq!((head.status, head.headers.get_str(Known::RetryAfter).is_some()), (503, true));
        assert!(String::from_utf8(body).unwrap().contains("sign-in-unavailable"));

        worker.side.calls().link(None);
        let begun = now();
        assert_eq!(client.asks("/name", &shown).await.0.status, 503);
        assert!(now().since(begun) < Duration::from_millis(100), "nobody waits for a control that is not linked");
        sessions(&worker).put(session(1), wall_clock());
        assert_eq!(client.asks("/name", &shown).await.1, "c1-1", "who is known goes on");
    });
}

#[test]
fn what_was_taken_back_while_control_was_asked_is_not_let_in() {
    in_the_simulator(77, async {
        let (worker, mut control) = scene();
        let tunnel = connect(&worker, 1).await;
        let mut client = Client::new().await;
        client.ask("POST", "/echo", &format!("{}content-length: 0\r\n", shows_cookie(&worker)));
        let (id, _) = control.asked().await;
        publish_for_people(&worker, |snapshot| snapshot.assignments.clear());
        control.replies(id, good());
        let (head, body) = client.response().await.unwrap();
        assert_eq!(head.status, 403, "{}", String::from_utf8_lossy(&body));
        assert!(String::from_utf8(body).unwrap().contains("not-assigned"));
        assert_eq!(tunnel.open_streams(), 0);

        // Its session ended meanwhile: the record that comes late is followed by its end.
        let mut client = Client::new().await;
        sessions(&worker).clear();
        publish_for_people(&worker, |_| {});
        client.ask("GET", "/name", &shows_cookie(&worker));
        let (id, _) = control.asked().await;
        control.replies(id, good());
        control.says(&[], &[SESSION]);
        let (head, _) = client.response().await.unwrap();
        assert_eq!(head.status, 401);
    });
}

#[test]
fn a_cookie_counts_for_its_application_alone_and_only_as_it_was_sealed() {
    in_the_simulator(78, async {
        let (worker, mut control) = scene();
        connect(&worker, 1).await;
        sessions(&worker).put(session(1), wall_clock());
        let mut client = Client::new().await;
        let right = cookie_of(&worker, APP, 0);
        assert_eq!(client.asks("/name", &format!("cookie: {right}\r\n")).await.1, "c1-1");
        let sealed = right.split_once('=').unwrap().1;
        let last = if right.ends_with('A') { 'B' } else { 'A' };
        for wrong in [
            cookie_of(&worker, IDENTITY, 0),
            format!("{right}; {right}"),
            format!("{right}\r\ncookie: {right}"),
            format!("{}{last}", &right[..right.len() - 1]),
            format!("{right}="),
            format!("__host-postern-{APP}={sealed}"),
            format!("__Host-postern-{IDENTITY}={sealed}"),
            format!("__Host-postern-{APP}=\"{sealed}\""),
            format!("__Host-postern-{APP}="),
        ] {
            let (head, _) = client.asks("/name", &format!("cookie: {wrong}\r\n")).await;
            assert_eq!(head.status, 401, "{wrong}");
        }
        assert!(control.is_asked_nothing());
        assert_eq!(client.asks("/name", &format!("cookie: {right}\r\n")).await.1, "c1-1", "others cost it nothing");
    });
}

#[test]
fn what_a_connection_remembers_of_a_cookie_is_for_no_other_application() {
    in_the_simulator(176, async {
        let (worker, _control) = scene();
        publish_for_people(&worker, with_second);
        connect(&worker, 1).await;
        sessions(&worker).put(session(1), wall_clock());
        let mut client = Client::new().await;
        let sealed = sealed_for(&worker, APP);
        let first = format!("cookie: __Host-postern-{APP}={sealed}\r\n");
        for _ in 0..2 {
            assert_eq!(client.asks("/name", &first).await.0.status, 200);
            // The same bytes, under the name of the other application's cookie.
            let moved = format!("cookie: __Host-postern-{SECOND}={sealed}\r\n");
            assert_eq!(client.asks("/second/", &moved).await.0.status, 401, "it was sealed for the first");
        }
        // They may go there, with a cookie that was sealed for it.
        let own = sealed_for(&worker, SECOND);
        let fields = format!("cookie: __Host-postern-{SECOND}={own}\r\n");
        assert_eq!(client.asks("/second/", &fields).await.0.status, 200);
        let moved = format!("cookie: __Host-postern-{APP}={own}\r\n");
        assert_eq!(client.asks("/name", &moved).await.0.status, 401, "nor the other way round");
    });
}

/// The value of a fresh cookie.
fn sealed_for(worker: &Worker, app: AppId) -> String {
    let cookie = cookie_of(worker, app, 0);
    cookie.split_once('=').unwrap().1.to_owned()
}

#[test]
fn a_session_ends_when_it_is_not_used_and_in_any_case_at_its_end() {
    in_the_simulator(79, async {
        let (worker, mut control) = scene();
        connect(&worker, 1).await;
        let idle_s = 600;
        sessions(&worker).put(SessionRecord { idle_s: 600, ..session(1) }, wall_clock());
        let mut shown = shows_cookie(&worker);
        let mut client = Client::new().await;
        let (head, _) = client.asks("/name", &shown).await;
        assert!(set_cookies(&head).is_empty(), "a cookie that is new needs no other");
        sleep(Duration::from_secs(COOKIE_RENEWED_AFTER_S)).await;
        let old = shown.clone();
        for _ in 0..11 {
            // The clients' connections are closed when they are idle.
            let (head, body) = Client::new().await.asks("/name", &shown).await;
            assert_eq!((head.status, &*body), (200, "c1-1"));
            let renewed = set_cookies(&head);
            assert_eq!(renewed.len(), 1, "{renewed:?}");
            shown = format!("cookie: {}\r\n", renewed[0].split(';').next().unwrap());
            sleep(Duration::from_secs(idle_s - 1)).await;
        }
        assert_eq!(Client::new().await.asks("/name", &old).await.0.status, 401, "a copy of it is no use any more");
        assert_eq!(Client::new().await.asks("/name", &shown).await.0.status, 200);
        sleep(Duration::from_secs(idle_s)).await;
        assert_eq!(Client::new().await.asks("/name", &shown).await.0.status, 401, "it was not used");

        // Used all the time, and over all the same.
        let begun = now();
        sessions(&worker).clear();
        sessions(&worker).put(SessionRecord { expires_unix: wall_clock().as_secs() + 50, ..session(1) }, wall_clock());
        let mut waiting = Client::new().await;
        waiting.ask("GET", "/slow", &shows_cookie(&worker));
        let (head, _) = timeout(Duration::from_secs(200), waiting.response()).await.unwrap().unwrap();
        assert_eq!((head.status, now().since(begun).as_secs()), (401, 50));
        assert!(control.is_asked_nothing());
    });
}

#[test]
fn a_client_that_goes_on_showing_an_old_cookie_is_given_one_new_one() {
    in_the_simulator(177, async {
        let (worker, control) = scene();
        publish_for_people(&worker, with_second);
        connect(&worker, 1).await;
        sessions(&worker).put(session(1), wall_clock());
        let sealed = |app| cookie_of(&worker, app, COOKIE_RENEWED_AFTER_S).split_once('=').unwrap().1.to_owned();
        let old = format!("cookie: __Host-postern-{APP}={}\r\n", sealed(APP));
        let mut client = Client::new().await;
        let first = renewed(&mut client, "/name", &old).await;
        assert_eq!(renewed(&mut client, "/name", &old).await, first, "none is sealed for each request");
        assert_ne!(renewed(&mut Client::new().await, "/name", &old).await, first, "it is a connection's own");
        let (head, _) = client.asks("/name", &format!("cookie: {}\r\n", first.split(';').next().unwrap())).await;
        assert_eq!((head.status, set_cookies(&head).len()), (200, 0), "it is a new one");

        let second = format!("cookie: __Host-postern-{SECOND}={}\r\n", sealed(SECOND));
        let of_second = renewed(&mut client, "/second/", &second).await;
        assert!(of_second.starts_with(&format!("__Host-postern-{SECOND}=")), "{of_second}");
        let third = renewed(&mut client, "/name", &old).await;
        assert!(third.starts_with(&format!("__Host-postern-{APP}=")), "{third}");
        sleep(Duration::from_secs(COOKIE_RENEWED_ALIKE_S)).await;
        assert_ne!(renewed(&mut client, "/name", &old).await, third, "it says a later use");

        // By the newest key as soon as there is one, whatever the connection was given before.
        publish_for_people(&worker, |snapshot| snapshot.cookie_keys = keys(2));
        let newest = renewed(&mut client, "/name", &old).await;
        publish_for_people(&worker, |snapshot| snapshot.cookie_keys = keys(2).split_off(1));
        let shown = format!("cookie: {}\r\n", newest.split(';').next().unwrap());
        assert_eq!(client.asks("/name", &shown).await.0.status, 200);
        control.says(&[], &[SESSION]);
        let (head, _) = client.asks("/name", &shown).await;
        assert_eq!((head.status, set_cookies(&head).len()), (401, 0), "it keeps no session alive");
    });
}

#[test]
fn sessions_that_share_a_connection_are_each_given_their_own_cookie() {
    in_the_simulator(178, async {
        let (worker, _control) = scene();
        connect(&worker, 1).await;
        let other = SessionId(0x07e4);
        for id in [SESSION, other] {
            sessions(&worker).put(SessionRecord { id, ..session(1) }, wall_clock());
        }
        let seen_unix = wall_clock().as_secs() - COOKIE_RENEWED_AFTER_S;
        let plan = Arc::clone(&worker.config.current().plan);
        let mut client = Client::new().await;
        for id in [SESSION, other, SESSION, other] {
            let cookie = SessionCookie { session: id, issued_unix: seen_unix, seen_unix, persistent: false };
            let old = plan.cookies().seal_session(&cookie, APP).unwrap();
            let set = renewed(&mut client, "/name", &format!("cookie: __Host-postern-{APP}={old}\r\n")).await;
            let value = set.split_once('=').unwrap().1.split(';').next().unwrap();
            assert_eq!(plan.cookies().open_session(value.as_bytes(), APP).unwrap().session, id);
        }
    });
}

/// The only cookie that is set with the answer to a request that is let in.
async fn renewed(client: &mut Client, path: &str, fields: &str) -> String {
    let (head, _) = client.asks(path, fields).await;
    let sets = set_cookies(&head);
    assert_eq!((head.status, sets.len()), (200, 1), "{path}: {sets:?}");
    sets[0].clone()
}

#[test]
fn keys_are_replaced_and_nobody_is_signed_out() {
    in_the_simulator(80, async {
        let (worker, _control) = scene();
        connect(&worker, 1).await;
        sessions(&worker).put(session(1), wall_clock());
        let old = shows_cookie(&worker);
        let mut client = Client::new().await;
        assert_eq!(client.asks("/name", &old).await.0.status, 200);
        publish_for_people(&worker, |snapshot| snapshot.cookie_keys = keys(2));
        let newer = shows_cookie(&worker);
        for shown in [&old, &newer] {
            assert_eq!(client.asks("/name", shown).await.0.status, 200);
        }
        assert_eq!(client.asks("/name", &old).await.0.status, 200, "and is remembered");
        publish_for_people(&worker, |snapshot| snapshot.cookie_keys = keys(2).split_off(1));
        // The same connection: what it remembers stands on the key.
        assert_eq!(client.asks("/name", &old).await.0.status, 401, "too old a key opens nothing");
        assert_eq!(client.asks("/name", &newer).await.0.status, 200);
    });
}

#[test]
fn what_a_session_let_in_ends_with_it_and_with_what_it_stood_on() {
    type Take = fn(&Rc<Worker>, &Control);
    let ways: [(&str, Take); 5] = [
        ("session-ended", |_, control| control.says(&[], &[SESSION])),
        ("not-assigned", |worker, _| publish_for_people(worker, |snapshot| snapshot.assignments.clear())),
        ("session-ended", |_, control| {
            let mut record = session(1);
            record.user.expires_unix = Some(wall_clock().as_secs());
            control.says(&[record], &[]);
        }),
        ("not-assigned", |_, control| control.says(&[session(2)], &[])),
        ("session-ended", |worker, _| {
            sessions(worker).clear();
            worker.look(&mut false);
        }),
    ];
    for (nth, (code, take)) in ways.into_iter().enumerate() {
        in_the_simulator(81, async move {
            let (worker, control) = scene();
            let tunnel = connect(&worker, 1).await;
            sessions(&worker).put(session(1), wall_clock());
            let shown = shows_cookie(&worker);
            let mut waiting = Client::new().await;
            waiting.ask("GET", "/slow", &shown);
            let mut reading = Client::new().await;
            reading.ask("GET", "/zeros/5000000", &shown);
            reading.more().await.unwrap();
            let websocket = opened_with(&shown).await;
            echoed(&websocket, &[0x81, 1, b'a']).await;
            sleep(Duration::from_millis(50)).await;
            control.says(&[], &[SessionId(1)]);
            sleep(Duration::from_millis(50)).await;
            assert_eq!(tunnel.open_streams(), 3, "{nth}: another's end ends nothing");

            let begun = now();
            take(&worker, &control);
            let (head, body) = timeout(Duration::from_millis(500), waiting.response()).await.unwrap().unwrap();
            let body = String::from_utf8(body).unwrap();
            let status = if code == "not-assigned" { 403 } else { 401 };
            assert!(head.status == status && body.contains(code) || nth == 2, "{nth}: {} {body}", head.status);
            assert!(timeout(Duration::from_millis(500), reading.response()).await.unwrap().is_err(), "{nth}");
            assert_eq!(rest(&websocket).await, [0x88, 2, 3, 0xf0], "{nth}");
            assert!(now().since(begun) < Duration::from_secs(1), "{nth}");
            assert_ne!(Client::new().await.asks("/name", &shown).await.0.status, 200, "{nth}");
        });
    }
}

#[test]
fn signing_out_ends_the_session_and_a_link_from_elsewhere_only_asks() {
    in_the_simulator(82, async {
        let (worker, mut control) = scene();
        sessions(&worker).put(session(1), wall_clock());
        let shown = shows_cookie(&worker);
        let mut client = Client::new().await;
        for site in ["cross-site", "same-site"] {
            let (head, _) = client.asks("/.postern/sign-out", &format!("{shown}sec-fetch-site: {site}\r\n")).await;
            assert_eq!((head.status, location(&head)), (303, "https://login.example.com/sign-out"));
            assert!(control.is_asked_nothing() && set_cookies(&head).is_empty(), "{site}");
        }
        let (head, _) = client.asks("/.postern/sign-out", "").await;
        assert_eq!(head.status, 303, "who is not signed in is not any more");
        client.ask("GET", "/.postern/sign-out", &format!("{shown}sec-fetch-site: same-origin\r\n"));
        let (id, call) = control.asked().await;
        assert_eq!(call, Call::SignOut { session: SESSION });
        control.says(&[], &[SESSION]);
        control.replies(id, Reply::Done);
        let (head, _) = client.response().await.unwrap();
        assert_eq!(head.status, 303);
        assert!(set_cookies(&head)[0].starts_with(&format!("__Host-postern-{APP}=;")), "{:?}", set_cookies(&head));
        assert_eq!(client.asks("/name", &shown).await.0.status, 401);
    });
}

#[test]
fn where_nobody_can_sign_in_browsers_are_told_so_and_programs_are_asked_as_ever() {
    in_the_simulator(95, async {
        let (worker, _control) = scene();
        let _tunnel = connect(&worker, 1).await;
        let mut client = Client::new().await;
        publish_for_people(&worker, |snapshot| snapshot.identity = None);
        let (head, body) = client.asks("/name", PAGE).await;
        assert!(head.status == 503 && body.contains("sign-in-unavailable"), "{body}");
        assert!(head.headers.get(Known::RetryAfter).is_some());
        let (head, body) = client.asks("/name", "").await;
        assert!(head.status == 401 && body.contains("sign-in-required"), "{body}");
    });
}
