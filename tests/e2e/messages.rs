//! Publishing, and what an ordinary exchange of messages looks like from both ends.

use std::process::Command;

use postern_tests::nginx::Nginx;
use postern_tests::origin::Origin;
use postern_tests::pattern;
use postern_tests::world::World;

#[test]
fn curl_reaches_a_published_nginx() {
    let world = World::usual().unwrap();
    let nginx = Nginx::start(world.folder()).unwrap();
    let client = world.publish("web", &format!("http://{}/", nginx.address())).unwrap();
    let (host, _) = client.host.split_once(':').unwrap();
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--max-time", "10"])
        .args(world.curl(host))
        .arg(format!("https://{}/small", client.host))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), world.logs());
    assert_eq!(output.stdout, pattern::bytes(100));
    assert!(world.cli(&["ready"]).is_ok());
    let apps = world.cli(&["app", "list"]).unwrap();
    assert!(apps.contains("web") && apps.contains(&client.host), "{apps}");
    assert!(world.cli(&["status"]).is_ok());
}

#[test]
fn what_the_application_sees_and_what_it_says_arrive() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let mut connection = client.connect().unwrap();

    let seen = connection
        .request("GET", "/head?a=b%20c", &[("X-Own", "kept"), ("Connection", "x-hop"), ("X-Hop", "dropped")], b"")
        .unwrap();
    let head = seen.text().to_lowercase();
    assert!(head.starts_with("get /head?a=b%20c http/1.1\r\n"), "{head}");
    assert!(head.contains("x-own: kept") && !head.contains("x-hop"), "{head}");
    assert!(head.contains("x-forwarded-proto: https") && head.contains("x-forwarded-for: 127.0.0.1"), "{head}");
    assert!(head.contains(&format!("x-forwarded-host: {}", client.host)), "{head}");
    assert!(head.contains("forwarded: "), "{head}");

    let forged = connection
        .request("GET", "/head", &[("X-Forwarded-For", "10.9.8.7"), ("Forwarded", "for=10.9.8.7")], b"")
        .unwrap();
    assert!(!forged.text().contains("10.9.8.7"), "forged: {}", forged.text());

    let any = connection.request("PROPFIND", "/head", &[], b"").unwrap();
    assert!(any.text().starts_with("PROPFIND /head "), "{}", any.text());
}

#[test]
fn answers_without_a_body_and_before_the_answer() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let mut connection = client.connect().unwrap();

    let head = connection.request("HEAD", "/bytes/5000", &[], b"").unwrap();
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("5000"), 0));
    for status in [204, 304] {
        let empty = connection.get(&format!("/status/{status}")).unwrap();
        assert_eq!((empty.status, empty.body.len()), (status, 0));
    }
    let hints = connection.get("/hints").unwrap();
    assert_eq!((hints.status, hints.informational.as_slice()), (200, &[103][..]));
    let trailers = connection.get("/chunked/40000").unwrap();
    assert!(pattern::matches(0, &trailers.body) && trailers.body.len() == 40000);
    assert_eq!(trailers.trailers, [("x-sum".to_owned(), "40000".to_owned())]);
    let closed = connection.get("/close/70000").unwrap();
    assert!(pattern::matches(0, &closed.body) && closed.body.len() == 70000);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let mut connection = client.connect().unwrap();
    for size in 1..=20 {
        connection.send_head("GET", &format!("/bytes/{}", size * 100), &[]).unwrap();
    }
    for size in 1..=20 {
        assert_eq!(connection.answer("GET").unwrap().body.len(), size * 100);
    }
}

#[test]
fn backend_connections_are_kept() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let mut connection = client.connect().unwrap();
    for _ in 0..50 {
        assert_eq!(connection.get("/bytes/10").unwrap().body.len(), 10);
    }
    assert!(origin.connections() < 10, "{} connections for 50 requests", origin.connections());
}

#[test]
fn the_longest_path_wins_and_what_is_unpublished_is_gone() {
    let world = World::usual().unwrap();
    let (root, deep) = (Origin::start().unwrap(), Origin::start().unwrap());
    let client = world.publish("site", &root.url()).unwrap();
    let external = format!("https://{}/bytes/", client.host);
    world
        .cli(&[
            "app",
            "publish",
            "deep",
            "--external",
            &external,
            "--internal",
            &format!("{}bytes/", deep.url()),
            "--preauth",
            "passthrough",
        ])
        .unwrap();
    let reaches_deep =
        |_: &World| client.get("/bytes/3").is_ok_and(|answer| answer.status == 200) && deep.requests() > 0;
    world.expect_within(std::time::Duration::from_secs(5), "the second application", reaches_deep).unwrap();
    let before = deep.requests();
    assert_eq!(client.get("/head").unwrap().status, 200);
    assert_eq!(deep.requests(), before);
    world.cli(&["app", "unpublish", "site"]).unwrap();
    let gone = |_: &World| client.get("/head").is_ok_and(|answer| answer.status == 404);
    world.expect_within(std::time::Duration::from_secs(5), "404 outside what is published", gone).unwrap();
}

#[test]
fn what_is_ready_serves_at_once() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    for index in 0..5 {
        let name = format!("app{index}");
        let host = format!("{name}.example.test:{}", world.relay_address.port());
        let external = format!("https://{host}/");
        let publish =
            ["app", "publish", &name, "--external", &external, "--internal", &origin.url(), "--preauth", "passthrough"];
        world.cli(&publish).unwrap();
        world.cli(&["ready", "--wait", "10s"]).unwrap();
        let answer = world.client(&host).unwrap().get("/bytes/3").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}
