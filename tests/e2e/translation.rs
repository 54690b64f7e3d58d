//! Heads are translated between what is published and what is inside, by applications that link to each other: of two groups,
//! whose connectors know of each other's applications by what control signed for them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use postern_tests::client::{Answer, Client};
use postern_tests::nginx::Nginx;
use postern_tests::world::{World, free_address};

/// What an application says that knows itself and another one by their names inside.
fn linking(own: SocketAddr, other: &str) -> String {
    format!(
        "location = /go {{ return 302 http://{other}/small; }}
    location = /own {{ return 301 http://{own}/1k; }}
    location = /out {{ return 302 https://elsewhere.example/; }}
    location = /fields {{
      add_header Link '<http://{other}/style.css>; rel=preload, </own.css>; rel=preload' always;
      add_header Refresh \"5; url='http://{own}/1k'\" always;
      add_header Set-Cookie 'sid=1; Domain=127.0.0.1; Path=/; HttpOnly; SameSite=Strict' always;
      add_header Set-Cookie 'other=http://{own}/; Secure' always;
      add_header Content-Security-Policy \"default-src 'self' http://{other}; report-uri http://{own}/csp\" always;
      add_header Access-Control-Allow-Origin 'http://{other}' always;
      add_header Content-Location 'http://{own}/fields' always;
      return 200 fields;
    }}
    location = /seen {{ return 200 \"$http_host|$http_origin|$http_referer|$http_x_new|$http_x_old|$http_traceparent\"; }}"
    )
}

fn loopback() -> SocketAddr {
    free_address(Ipv4Addr::LOCALHOST).unwrap()
}

fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
}

/// What the application saw: Host, Origin, Referer, X-New, X-Old and traceparent.
fn seen(client: &Client, fields: &[(&str, &str)]) -> Vec<String> {
    let answer = client.connect().unwrap().request("GET", "/seen", fields, b"").unwrap();
    answer.text().split('|').map(str::to_owned).collect()
}

#[test]
fn two_applications_of_two_groups_link_to_each_other() {
    let mut world = World::usual().unwrap();
    let (a, b) = (loopback(), loopback());
    let alias = format!("beta.corp:{}", b.port());
    let _alpha = Nginx::start_saying(world.folder(), "alpha", a, &linking(a, &alias)).unwrap();
    let _beta = Nginx::start_saying(world.folder(), "beta", b, &linking(b, &a.to_string())).unwrap();
    world.cli(&["connector-group", "create", "two"]).unwrap();
    let token = world.token("two").unwrap();
    world.start_connector(1, &token).unwrap();
    let alpha = world.publish("alpha", &format!("http://{a}/")).unwrap();
    let aliases = format!("internal_aliases=http://{alias}");
    let beta = world.publish_with("beta", &format!("http://{b}/"), &["--group", "two", "--set", &aliases]).unwrap();

    for client in [&alpha, &beta] {
        world.wait_published(client).unwrap();
    }
    for (client, other) in [(&alpha, &beta), (&beta, &alpha)] {
        let target = format!("https://{}/small", other.host);
        let leads_there = |_: &World| client.get("/go").is_ok_and(|answer| answer.header("location") == Some(&*target));
        world.expect_within(Duration::from_secs(10), "links lead to the other application", leads_there).unwrap();
        let serves = |_: &World| other.get("/small").is_ok_and(|answer| answer.status == 200);
        world.expect_within(Duration::from_secs(10), "the other application answers", serves).unwrap();
        let (own, other) = (format!("https://{}", client.host), format!("https://{}", other.host));
        let itself = client.get("/own").unwrap();
        assert_eq!(itself.header("location"), Some(&*format!("{own}/1k")));
        assert_eq!(client.get("/out").unwrap().header("location"), Some("https://elsewhere.example/"));

        let fields = client.get("/fields").unwrap();
        let link = format!("<{other}/style.css>; rel=preload, </own.css>; rel=preload");
        let policy = format!("default-src 'self' {other}; report-uri {own}/csp");
        for (name, value) in [
            ("link", link),
            ("refresh", format!("5; url='{own}/1k'")),
            ("content-security-policy", policy),
            ("access-control-allow-origin", other),
            ("content-location", format!("{own}/fields")),
        ] {
            assert_eq!(fields.header(name), Some(&*value), "{name}");
        }
        let kept = if client.host == alpha.host {
            format!("other=http://{a}/; Secure")
        } else {
            format!("other=http://{b}/; Secure")
        };
        assert_eq!(all(&fields, "set-cookie"), ["sid=1; Path=/; HttpOnly; SameSite=Strict", kept.as_str()]);
        let referer = format!("{own}/x");
        let internal = if client.host == alpha.host { a } else { b };
        let saw = seen(client, &[("Origin", &own), ("Referer", &referer)]);
        let expected = [internal.to_string(), format!("http://{internal}"), format!("http://{internal}/x")];
        assert_eq!(saw[..3], expected);
    }

    // Whoever is not published any more is not linked to either.
    world.cli(&["app", "unpublish", "beta"]).unwrap();
    let is_left = |_: &World| {
        alpha.get("/go").is_ok_and(|answer| answer.header("location") == Some(&*format!("http://{alias}/small")))
    };
    world.expect_within(Duration::from_secs(10), "the link is as the application wrote it", is_left).unwrap();
}

#[test]
fn without_translation_the_application_sees_its_external_host() {
    let world = World::usual().unwrap();
    let a = loopback();
    let _alpha = Nginx::start_saying(world.folder(), "alpha", a, &linking(a, "other.corp")).unwrap();
    let client = world.publish_with("alpha", &format!("http://{a}/"), &["--set", "translate_headers=false"]).unwrap();
    let (origin, referer) = (format!("https://{}", client.host), format!("https://{}/x", client.host));
    let saw = seen(&client, &[("Origin", &origin), ("Referer", &referer)]);
    assert_eq!(saw[..3], [client.host.clone(), origin, referer]);
    assert_eq!(client.get("/own").unwrap().header("location"), Some(&*format!("http://{a}/1k")));
    let fields = client.get("/fields").unwrap();
    assert_eq!(all(&fields, "set-cookie")[0], "sid=1; Domain=127.0.0.1; Path=/; HttpOnly; SameSite=Strict");
}

#[test]
fn rules_change_heads_and_a_trace_goes_through() {
    let world = World::usual().unwrap();
    let a = loopback();
    let _alpha = Nginx::start_saying(world.folder(), "alpha", a, &linking(a, "other.corp")).unwrap();
    let settings = [
        "--set",
        "request_headers=set X-New \"of the operator\"; remove X-Old",
        "--set",
        "response_headers=set X-Frame-Options \"DENY\"; append Link '</late>'; remove Content-Location",
    ];
    let client = world.publish_with("alpha", &format!("http://{a}/"), &settings).unwrap();
    let traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let saw = seen(&client, &[("X-New", "of the user"), ("X-Old", "1"), ("Traceparent", traced)]);
    assert_eq!(saw[3..], ["of the operator", "", traced]);
    let begun = seen(&client, &[("Traceparent", "nonsense")]);
    assert!(begun[5].len() == traced.len() && begun[5].starts_with("00-") && begun[5].ends_with("-00"), "{begun:?}");
    let fields = client.get("/fields").unwrap();
    assert_eq!((fields.header("x-frame-options"), fields.header("content-location")), (Some("DENY"), None));
    assert_eq!(all(&fields, "link").last(), Some(&"</late>"));

    for (rule, says) in [
        ("request_headers=set Host \"x\"", "request_headers: column 5: expected a header that rules may change"),
        ("response_headers=append Set-Cookie \"__Host-postern-x=1\"", "those of this name are the relay's"),
        ("request_headers=set X-A", "expected a text in quotes"),
        ("internal_aliases=wiki", "must be up to 16 URLs"),
    ] {
        let refused = world.cli(&["app", "set", "alpha", "--set", rule]).unwrap_err().to_string();
        assert!(refused.contains(says), "{rule}: {refused}");
    }
}
