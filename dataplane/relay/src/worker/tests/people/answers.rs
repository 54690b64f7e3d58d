//! What the relay answers by itself for an application that asks who is there.

use super::super::policies::policy;
use super::*;

/// What control publishes next: the application with these settings.
fn set(worker: &Rc<Worker>, settings: &[(&str, &str)]) {
    publish_for_people(worker, |snapshot| {
        let app = snapshot.apps.get_mut(&APP).unwrap();
        app.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    });
}

/// The answer to a browser that comes back from signing in.
async fn signed_in(client: &mut Client, control: &mut Control) -> (ResponseHead, String) {
    let (head, _) = client.asks("/name", PAGE).await;
    let flow = set_cookies(&head).pop().unwrap().split(';').next().unwrap().to_owned();
    let state = query(location(&head))["state"].clone();
    client.ask("GET", &callback(&state), &format!("cookie: {flow}\r\n"));
    let (id, _) = control.asked().await;
    control.replies(id, good());
    let (head, body) = client.response().await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[test]
fn in_maintenance_nobody_is_asked_anything_and_what_is_open_goes_on() {
    in_the_simulator(201, async {
        let (worker, mut control) = scene();
        connect(&worker, 1).await;
        sessions(&worker).put(session(1), wall_clock());
        let shows = shows_cookie(&worker);
        let open = opened_with(&shows).await;
        echoed(&open, &[0x81, 2, b'h', b'i']).await;
        set(&worker, &[("maintenance", "We move <house>"), ("cors", "/ origins=*"), ("error_title", "Example AG")]);
        let mut client = Client::new().await;
        for (path, fields) in [("/name", ""), ("/name", PAGE), ("/name", &*shows), ("/robots.txt", ""), ("/x", PAGE)] {
            let (head, body) = client.asks(path, fields).await;
            assert_eq!(head.status, 503, "{path} {fields}");
            assert!(body.contains("maintenance") && body.contains("We move"), "{body}");
            assert_eq!(head.headers.get_str(Known::RetryAfter), Some("300"));
            if fields == PAGE {
                assert!(
                    body.contains("We move &lt;house&gt;") && body.contains("<strong>Example AG</strong>"),
                    "{body}"
                );
            }
        }
        client.ask("OPTIONS", "/name", "origin: https://a.example\r\naccess-control-request-method: PUT\r\n");
        assert_eq!(client.response().await.unwrap().0.status, 503);
        assert!(control.is_asked_nothing());
        echoed(&open, &[0x81, 2, b'h', b'o']).await;
        set(&worker, &[]);
        assert_eq!(client.asks("/name", &shows).await.0.status, 200);
    });
}

#[test]
fn crawlers_are_told_by_the_relay_that_nothing_is_for_them() {
    in_the_simulator(202, async {
        let (worker, _control) = scene();
        let tunnel = connect(&worker, 1).await;
        let mut client = Client::new().await;
        let (head, body) = client.asks("/robots.txt", "").await;
        assert_eq!((head.status, body.as_str()), (200, "User-agent: *\nDisallow: /\n"));
        assert_eq!(head.headers.get_str(Known::ContentType), Some("text/plain; charset=utf-8"));
        assert_eq!(client.asks("/x/robots.txt", "").await.0.status, 401);
        client.ask("POST", "/robots.txt", "content-length: 0\r\n");
        assert_eq!(client.response().await.unwrap().0.status, 401);
        set(&worker, &[("robots", "pass")]);
        assert_eq!(client.asks("/robots.txt", "").await.0.status, 401, "as everything else");
        // Nobody has the root of the host: its robots are the relay's all the same.
        publish_for_people(&worker, |snapshot| {
            snapshot.apps.get_mut(&APP).unwrap().external_url = format!("https://{HOST}/below/");
        });
        assert!(client.asks("/robots.txt", "").await.1.contains("Disallow: /"));
        assert_eq!(client.asks("/other.txt", "").await.0.status, 404);
        assert_eq!(client.asks("/below/robots.txt", "").await.0.status, 401);
        assert_eq!(tunnel.open_streams(), 0);
    });
}

#[test]
fn the_sessions_cookie_is_as_the_settings_say() {
    in_the_simulator(203, async {
        let (worker, mut control) = scene();
        connect(&worker, 1).await;
        for (settings, attributes, age) in [
            (&[][..], "Path=/; Secure; HttpOnly; SameSite=Lax", false),
            (&[("cookie_http_only", "false")][..], "Path=/; Secure; SameSite=Lax", false),
            (&[("cookie_same_site", "none")][..], "Path=/; Secure; HttpOnly; SameSite=None", false),
            (&[("cookie_persistent", "true")][..], "Path=/; Secure; HttpOnly; SameSite=Lax", true),
            (&[("cookie_secure", "false")][..], "Path=/; HttpOnly; SameSite=Lax", false),
        ] {
            set(&worker, settings);
            let mut client = Client::new().await;
            let (head, _) = signed_in(&mut client, &mut control).await;
            assert_eq!(head.status, 303, "{settings:?}");
            let cookie = set_cookies(&head).remove(0);
            let (pair, said) = cookie.split_once("; ").unwrap();
            let said = said.split_once("; Max-Age=");
            let (said, has_age) = said.map_or((cookie.split_once("; ").unwrap().1, false), |(said, _)| (said, true));
            assert_eq!((said, has_age), (attributes, age), "{settings:?}");
            let is_plain = settings.iter().any(|(name, _)| *name == "cookie_secure");
            let prefix = if is_plain { "postern-session-" } else { "__Host-postern-" };
            assert!(pair.starts_with(prefix), "{pair}");
            let (head, heard) = client.asks("/fields", &format!("cookie: a=1; {pair}\r\n")).await;
            assert_eq!(head.status, 200, "it lets in: {settings:?}");
            assert!(heard.contains("cookie: (3 bytes)"), "and is nobody else's: {heard}");
        }
        // The name of the one is nothing where the other is used.
        let sealed = cookie_of(&worker, APP, 0).replace("__Host-postern-", "postern-session-");
        set(&worker, &[]);
        let mut client = Client::new().await;
        assert_eq!(client.asks("/name", &format!("cookie: {sealed}\r\n")).await.0.status, 401);
    });
}

#[test]
fn a_policy_against_lasting_sessions_is_stronger_than_the_setting() {
    in_the_simulator(209, async {
        let (worker, mut control) = scene();
        publish_for_people(&worker, |snapshot| {
            let app = snapshot.apps.get_mut(&APP).unwrap();
            app.settings.insert("cookie_persistent".into(), "true".into());
            let browser = r#""state": "on", "grant": {"require": {}}, "session": {"no_persistent": true}"#;
            let policy = policy(1, browser);
            snapshot.policies.insert(policy.id, policy);
        });
        let mut client = Client::new().await;
        let (head, _) = signed_in(&mut client, &mut control).await;
        let cookie = set_cookies(&head).remove(0);
        assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
    });
}

#[test]
fn a_cookie_that_was_made_to_last_does_not_outlive_a_later_policy() {
    in_the_simulator(210, async {
        let (worker, mut control) = scene();
        connect(&worker, 1).await;
        let with_policy = |is_there: bool| {
            publish_for_people(&worker, |snapshot| {
                let app = snapshot.apps.get_mut(&APP).unwrap();
                app.settings.insert("cookie_persistent".into(), "true".into());
                let browser = r#""state": "on", "grant": {"require": {}}, "session": {"no_persistent": true}"#;
                let policy = policy(1, browser);
                if is_there {
                    snapshot.policies.insert(policy.id, policy);
                }
            });
        };
        with_policy(false);
        let mut client = Client::new().await;
        let (head, _) = signed_in(&mut client, &mut control).await;
        let lasting = set_cookies(&head).remove(0);
        assert!(lasting.contains("; Max-Age="), "{lasting}");
        let shows = |cookie: &str| format!("{PAGE}cookie: {}\r\n", cookie.split(';').next().unwrap());
        assert_eq!(client.asks("/name", &shows(&lasting)).await.0.status, 200);
        with_policy(true);
        let (head, _) = client.asks("/name", &shows(&lasting)).await;
        assert_eq!(head.status, 302, "it is asked for anew");
        assert_eq!(query(location(&head)).get("prompt").map(String::as_str), Some("login"));
        let (head, _) = signed_in(&mut client, &mut control).await;
        let next = set_cookies(&head).remove(0);
        assert!(!next.contains("Max-Age"), "{next}");
        assert_eq!(client.asks("/name", &shows(&next)).await.0.status, 200);
    });
}

#[test]
fn a_strict_cookie_is_followed_by_a_page_of_the_same_site() {
    in_the_simulator(204, async {
        let (worker, mut control) = scene();
        set(&worker, &[("cookie_same_site", "strict")]);
        let mut client = Client::new().await;
        let (head, body) = signed_in(&mut client, &mut control).await;
        assert_eq!(head.status, 200);
        assert!(body.contains(&format!("content=\"0;url=https://{HOST}/name\"")), "{body}");
        let set = set_cookies(&head).remove(0);
        assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{set}");
        assert_eq!(head.headers.get_str(Known::CacheControl), Some("no-store"));
    });
}

const FROM_A: &str = "origin: https://a.example\r\n";

#[test]
fn preflights_are_answered_by_rules_before_anybody_is_asked() {
    in_the_simulator(205, async {
        let (worker, _control) = scene();
        let tunnel = connect(&worker, 1).await;
        let rules = "/api/ origins=https://a.example methods=PUT headers=X-A credentials=true max_age=60";
        set(&worker, &[("cors", rules)]);
        let mut client = Client::new().await;
        for (origin, method, headers, status) in [
            ("https://a.example", "PUT", "x-a", 204),
            ("https://a.example", "PUT", "x-b", 403),
            ("https://a.example", "DELETE", "x-a", 403),
            ("https://evil.example", "PUT", "x-a", 403),
        ] {
            let asked =
                format!("access-control-request-method: {method}\r\naccess-control-request-headers: {headers}\r\n");
            client.ask("OPTIONS", "/api/x", &format!("origin: {origin}\r\n{asked}"));
            let (head, body) = client.response_to(&Method::Options).await.unwrap();
            assert_eq!(head.status, status, "{origin} {method} {headers}");
            if status == 204 {
                let said = |name| head.headers.get_str(name);
                assert_eq!(said(Known::AccessControlAllowOrigin), Some("https://a.example"));
                assert_eq!(said(Known::AccessControlAllowMethods), Some("PUT"));
                assert_eq!(said(Known::AccessControlAllowHeaders), Some("x-a"));
                assert_eq!(said(Known::AccessControlAllowCredentials), Some("true"));
                assert_eq!(said(Known::AccessControlMaxAge), Some("60"));
                assert!(said(Known::Vary).unwrap().starts_with("Origin"));
            } else {
                assert!(String::from_utf8(body).unwrap().contains("cors-refused"));
            }
        }
        // What is none, or has no rule, is asked who it is.
        for (method, path, fields) in [
            ("OPTIONS", "/api/x", FROM_A.to_owned()),
            ("OPTIONS", "/other", format!("{FROM_A}access-control-request-method: PUT\r\n")),
            ("GET", "/api/x", format!("{FROM_A}access-control-request-method: PUT\r\n")),
        ] {
            client.ask(method, path, &fields);
            assert_eq!(client.response().await.unwrap().0.status, 401, "{method} {path}");
        }
        assert_eq!(tunnel.open_streams(), 0);
    });
}

#[test]
fn only_bare_preflights_are_passed_on_unasked() {
    in_the_simulator(206, async {
        let (worker, _control) = scene();
        connect(&worker, 1).await;
        set(&worker, &[("cors", "/fields pass")]);
        let mut client = Client::new().await;
        let others = "x-postern-user: root\r\nx-http-method-override: DELETE\r\nx-original-url: /admin\r\n";
        let browsers = "access-control-request-method: PUT\r\nsec-fetch-mode: cors\r\nuser-agent: a\r\n";
        let preflight = format!("{FROM_A}{browsers}{others}");
        for (fields, status) in [
            (preflight.clone(), 200),
            (format!("{preflight}cookie: a=1\r\n"), 401),
            (format!("{preflight}authorization: Basic eDp5\r\n"), 401),
            (FROM_A.to_owned(), 401),
        ] {
            client.ask("OPTIONS", "/fields", &fields);
            let (head, body) = client.response_to(&Method::Options).await.unwrap();
            let body = String::from_utf8(body).unwrap();
            assert_eq!(head.status, status, "{fields}");
            for other in ["x-postern-user", "x-http-method-override", "x-original-url"] {
                assert!(!body.contains(other), "{other}: {body}");
            }
            if status == 200 {
                for kept in ["origin", "access-control-request-method", "sec-fetch-mode", "user-agent"] {
                    assert!(body.contains(kept), "{kept}: {body}");
                }
            }
        }
        client.ask("GET", "/fields", &preflight);
        assert_eq!(client.response().await.unwrap().0.status, 401);
        let with_content = format!("{preflight}content-length: 1\r\n");
        client.stream.queue(format!("OPTIONS /fields HTTP/1.1\r\nhost: {HOST}\r\n{with_content}\r\nx").as_bytes());
        assert_eq!(client.response().await.unwrap().0.status, 401);
    });
}

#[test]
fn a_preflight_in_progress_stays_one_whatever_changes() {
    in_the_simulator(208, async {
        let (worker, _control) = scene();
        connect(&worker, 1).await;
        spawn(Rc::clone(&worker).housekeep()).detach();
        set(&worker, &[("cors", "/slow pass")]);
        let preflight = format!("{FROM_A}access-control-request-method: PUT\r\n");
        let mut client = Client::new().await;
        client.ask("OPTIONS", "/slow", &preflight);
        sleep(Duration::from_millis(100)).await;
        publish_for_people(&worker, |snapshot| {
            snapshot.apps.get_mut(&APP).unwrap().settings.insert("cors".into(), "/slow pass".into());
            snapshot.cookie_keys = keys(2);
        });
        let unanswered = timeout(Duration::from_secs(3), client.response_to(&Method::Options)).await;
        assert!(unanswered.is_err(), "it waits for the application still");
        // It is one no more where the rule is gone.
        set(&worker, &[]);
        let (head, _) = timeout(Duration::from_secs(5), client.response_to(&Method::Options)).await.unwrap().unwrap();
        assert_eq!(head.status, 401);
    });
}

#[test]
fn scripts_without_a_session_read_where_to_sign_in_and_are_sent_nowhere() {
    in_the_simulator(207, async {
        let (worker, _control) = scene();
        set(&worker, &[("cors", "/ origins=https://a.example credentials=true")]);
        let mut client = Client::new().await;
        for script in ["sec-fetch-mode: cors\r\n", "x-requested-with: XMLHttpRequest\r\n"] {
            let (head, body) = client.asks("/name", &format!("{PAGE}{FROM_A}{script}")).await;
            assert_eq!(head.status, 401, "{script}");
            let said = |name| head.headers.get_str(name);
            assert_eq!(said(Known::ContentType), Some("application/problem+json"));
            assert!(body.contains(&format!(",\"sign_in\":\"https://{HOST}/\"")), "{body}");
            assert_eq!(said(Known::AccessControlAllowOrigin), Some("https://a.example"));
            assert!(said(Known::AccessControlExposeHeaders).unwrap().starts_with("WWW-Authenticate"));
            assert!(said(Known::WwwAuthenticate).is_some() && said(Known::Location).is_none());
        }
        let (head, _) = client.asks("/name", "origin: https://evil.example\r\nsec-fetch-mode: cors\r\n").await;
        assert_eq!((head.status, head.headers.get_str(Known::AccessControlAllowOrigin)), (401, None));
    });
}

#[test]
fn browsers_are_told_to_come_by_tls_with_every_answer() {
    in_the_simulator(208, async {
        let (worker, _control) = scene();
        connect(&worker, 1).await;
        sessions(&worker).put(session(1), wall_clock());
        let shows = shows_cookie(&worker);
        let mut client = Client::new().await;
        for (settings, expected) in [
            (&[][..], Some("max-age=31536000")),
            (&[("hsts", "off")][..], None),
            (&[("hsts", "60,includeSubDomains")][..], Some("max-age=60; includeSubDomains")),
        ] {
            set(&worker, settings);
            for fields in [shows.as_str(), ""] {
                let (head, _) = client.asks("/name", fields).await;
                assert_eq!(head.headers.get_str(Known::StrictTransportSecurity), expected, "{settings:?}");
            }
        }
    });
}
