//! What a page brings along as connectors see it, and the look from outside: through the relay, as a browser comes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use postern_tests::world::{World, free_address};
use serde_json::Value;

use super::{checked, step};

const PAGE: &str = "<html><a href=http://wiki.corp/>a wiki</a> <a href='https://www.example.org/'>the world</a></html>";

/// An application with a cookie of another host, and a link to one that nobody publishes.
fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = BufReader::new(stream.try_clone().unwrap()).lines();
            let _: Vec<_> = head.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            // Who has gone meanwhile gets no page.
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: sid=SECRET; Domain=old.example\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{PAGE}",
                PAGE.len()
            );
        }
    });
    address
}

/// Result, what was seen and the cure of a step from outside.
fn outside(checked: &Value, name: &str) -> (String, String) {
    let steps = checked["outside"][0]["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name}: {checked:#}"));
    let word = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (word("result"), format!("{} | {}", word("seen"), word("cure")))
}

#[test]
fn a_page_is_looked_at_from_inside_and_from_outside() {
    let mut world = World::usual().unwrap();
    world.start_identity().unwrap();
    world.publish("app", &format!("http://{}/", application())).unwrap();
    let relay = world.relay_address.to_string();
    let (found, passed) = checked(&world, &["app", "--relay", &relay]);
    assert!(passed && found["verdict"].as_str().unwrap().starts_with("app works; warnings: "), "{found:#}");
    assert!(step(&found, "websocket").1.contains("takes none and answers 200"), "{found:#}");
    let (result, said) = step(&found, "cookies");
    assert!(result == "warn" && said.contains("sid: Domain=old.example") && !said.contains("SECRET"), "{said}");
    let (result, said) = step(&found, "links");
    assert!(result == "warn" && said.contains("http://wiki.corp") && !said.contains("example.org"), "{said}");
    let names: Vec<_> = found["outside"][0]["steps"].as_array().unwrap().iter().map(|step| &step["step"]).collect();
    assert_eq!(names, ["name", "connect", "certificate", "passthrough", "preauth", "sso", "policy"], "{found:#}");
    for name in ["connect", "certificate", "passthrough", "preauth", "sso"] {
        assert_eq!(outside(&found, name).0, "ok", "{name}: {found:#}");
    }
    assert!(outside(&found, "passthrough").1.contains("the application answers"), "{found:#}");
    assert!(outside(&found, "certificate").1.contains("Postern's own authority"), "{found:#}");

    world.cli(&["app", "set", "app", "--preauth", "oidc"]).unwrap();
    world.cli(&["user", "create", "anna"]).unwrap();
    let (found, passed) = checked(&world, &["app", "--relay", &relay, "--user", "anna"]);
    assert!(outside(&found, "passthrough").1.contains("HTTP 401"), "{found:#}");
    let (result, said) = outside(&found, "preauth");
    assert!(result == "ok" && said.contains("sent to https://login.example.test:"), "{said}");
    assert!(!said.contains("state="), "what is for one browser is not shown: {said}");
    assert!(!passed && outside(&found, "policy").0 == "fail", "nobody assigned her: {found:#}");
    world.cli(&["assign", "app", "--user", "anna"]).unwrap();
    let (found, passed) = checked(&world, &["app", "--relay", &relay, "--user", "anna"]);
    assert!(passed && outside(&found, "policy").0 == "ok", "{found:#}");
    let (found, _) = checked(&world, &["app", "--relay", &relay, "--no-sso"]);
    let steps = found["outside"][0]["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["step"] != "sso"), "{found:#}");
}

#[test]
fn what_is_wrong_outside_alone_fails_the_check() {
    let world = World::usual().unwrap();
    world.publish("app", &format!("http://{}/", application())).unwrap();
    let closed = free_address(Ipv4Addr::new(127, 0, 0, 9)).unwrap();
    let (found, passed) = checked(&world, &["app", "--relay", &closed.to_string()]);
    let (result, said) = outside(&found, "connect");
    assert!(!passed && result == "fail" && said.contains("refused") && said.contains("firewalls"), "{found:#}");
    let verdict = found["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("app fails at connect from outside, relay at 127.0.0.9:"), "{verdict}");
    let wrong = world.cli_output(&["app", "check", "app", "--relay", "nowhere"]).unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
