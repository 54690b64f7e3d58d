//! Where users enter the passwords of an application themselves, who lacks a good one is led there.

use super::*;

fn settings(snapshot: &mut Snapshot, settings: &[(&str, &str)]) {
    let app = snapshot.apps.get_mut(&APP).unwrap();
    app.internal_url = "https://10.0.0.5/".into();
    app.settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
}

const BY_USERS: &[(&str, &str)] = &[("sso", "basic"), ("vault_by", "users")];

#[test]
fn who_has_no_good_password_is_led_to_where_it_is_entered() {
    in_the_simulator(93, async {
        let (worker, _control) = scene();
        let _tunnel = connect(&worker, 1).await;
        sessions(&worker).put(session(1), wall_clock());
        let cookie = shows_cookie(&worker);
        let mut client = Client::new().await;
        let page = format!("https://{LOGIN}/passwords/{APP}");
        publish_for_people(&worker, |snapshot| settings(snapshot, BY_USERS));
        for (path, status, code, link) in [
            ("/sso/missing", 403, "sso-credential-missing", "Enter your password"),
            ("/sso/refused", 403, "sso-credential-refused", "Enter the password anew"),
            ("/sso/stale", 502, "connector-sso-unavailable", "Enter the password anew"),
        ] {
            let (head, body) = client.asks(path, &format!("{PAGE}{cookie}")).await;
            assert_eq!(head.status, status, "{body}");
            let shown = format!("<p><a href=\"{page}\">{link}</a></p>");
            assert!(body.contains(code) && body.contains(&shown) && !body.contains("operator"), "{body}");
            let (_, json) = client.asks(path, &cookie).await;
            assert!(json.contains(&format!("\"link\":\"{page}\"")), "{json}");
            // The connector's own words may name what is inside: they are for the log.
            assert!(!body.contains("10.0.0.5") && !json.contains("10.0.0.5"), "{body} {json}");
        }
        for (path, code) in [("/sso/failed", "sso-refused"), ("/sso/keyless", "connector-sso-unavailable")] {
            let (_, body) = client.asks(path, &format!("{PAGE}{cookie}")).await;
            assert!(body.contains(code) && !body.contains("<a "), "no password helps there: {body}");
        }
    });
}

#[test]
fn where_operators_enter_passwords_or_nobody_can_sign_in_there_is_no_link() {
    in_the_simulator(94, async {
        let (worker, _control) = scene();
        let _tunnel = connect(&worker, 1).await;
        sessions(&worker).put(session(1), wall_clock());
        let cookie = shows_cookie(&worker);
        let mut client = Client::new().await;
        publish_for_people(&worker, |snapshot| settings(snapshot, &[("sso", "basic")]));
        for path in ["/sso/missing", "/sso/refused"] {
            let (head, body) = client.asks(path, &format!("{PAGE}{cookie}")).await;
            assert_eq!(head.status, 403, "{body}");
            assert!(body.contains("Ask its operator.") && !body.contains("<a "), "{body}");
        }
        publish_for_people(&worker, |snapshot| {
            settings(snapshot, BY_USERS);
            snapshot.identity = None;
        });
        let (_, body) = client.asks("/sso/missing", &format!("{PAGE}{cookie}")).await;
        assert!(body.contains("sso-credential-missing") && !body.contains("<a "), "{body}");
    });
}
