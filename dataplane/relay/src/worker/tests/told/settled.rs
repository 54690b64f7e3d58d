//! Whoever was let in is let in again without another look, and not a second longer than another look would let them.

use super::*;

/// Why somebody is not let in any more a minute after they were.
#[derive(Debug, Clone, Copy)]
enum Ends {
    Session,
    Idleness,
    User,
    Assignment,
}

#[test]
fn who_was_let_in_a_moment_ago_is_let_in_until_time_ends_it() {
    for (seed, ends) in (80..).zip([Ends::Session, Ends::Idleness, Ends::User, Ends::Assignment]) {
        in_the_simulator(seed, async move {
            let minute_on = wall_clock().as_secs() + 60;
            let mut state = State::new(&[]);
            let mut anna = anna();
            match ends {
                Ends::Session => anna.expires_unix = minute_on,
                Ends::Idleness => anna.idle_s = 60,
                Ends::User => anna.user.expires_unix = Some(minute_on),
                Ends::Assignment => state.assigned_until_unix = Some(minute_on),
            }
            let worker = state.worker();
            worker.published().sessions.put(anna, wall_clock());
            serve_clients(&worker);
            connect(&worker, 1).await;
            let mut client = Client::new().await;
            let cookie = state.cookie();
            for pause in [0, 0, 30, 28] {
                sleep(Duration::from_secs(pause)).await;
                assert_eq!(asks(&mut client, "/fields", &cookie).await.0.status, 200, "{ends:?}");
            }
            sleep(Duration::from_secs(2)).await;
            let (head, body) = asks(&mut client, "/fields", &cookie).await;
            assert!(head.status != 200 && !body.contains("x-postern-user"), "{ends:?}: {} {body}", head.status);
        });
    }
}

#[test]
fn who_was_let_in_to_one_application_is_looked_at_for_what_another_cookie_says() {
    in_the_simulator(86, async {
        let state = State::new(&[]);
        let worker = state.worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let cookie = state.cookie();
        for _ in 0..2 {
            assert_eq!(asks(&mut client, "/fields", &cookie).await.0.status, 200);
        }
        // The last byte of what is sealed.
        let mut other = cookie.trim_end().to_owned();
        let last = if other.ends_with('A') { 'B' } else { 'A' };
        other.pop();
        let (head, _) = asks(&mut client, "/fields", &format!("{other}{last}\r\n")).await;
        assert_ne!(head.status, 200);
        assert_eq!(asks(&mut client, "/fields", &cookie).await.0.status, 200);
        assert_ne!(asks(&mut client, "/fields", "").await.0.status, 200, "nobody is remembered without a cookie");
    });
}
