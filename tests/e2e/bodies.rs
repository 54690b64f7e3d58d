//! Bodies of every framing and size arrive byte for byte, many at once.

use std::time::Duration;

use postern_tests::client::Client;
use postern_tests::nginx::Nginx;
use postern_tests::origin::Origin;
use postern_tests::pattern;
use postern_tests::world::World;

const TEN_MIB: usize = 10 << 20;

#[test]
fn ten_mib_go_up_and_down_unchanged_through_nginx() {
    let world = World::usual().unwrap();
    let nginx = Nginx::start(world.folder()).unwrap();
    let client = world.publish("files", &format!("http://{}/", nginx.address())).unwrap();
    let body = pattern::bytes(TEN_MIB);

    let down = client.get("/10m").unwrap();
    assert_eq!((down.status, pattern::sha256(&down.body)), (200, pattern::sha256(&body)));

    let up = client.connect().unwrap().request("PUT", "/uploaded", &[], &body).unwrap();
    assert_eq!(up.status, 201, "{}", up.text());
    assert_eq!(pattern::sha256(&std::fs::read(nginx.file("uploaded")).unwrap()), pattern::sha256(&body));
}

#[test]
fn chunked_bodies_go_both_ways_unchanged() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let mut connection = client.connect().unwrap();
    connection.send_head("POST", "/sha", &[("Transfer-Encoding", "chunked")]).unwrap();
    let body = pattern::bytes(TEN_MIB);
    for piece in body.chunks(70_001) {
        connection.send_chunk(piece).unwrap();
    }
    connection.send(b"0\r\n\r\n").unwrap();
    assert_eq!(connection.answer("POST").unwrap().text(), format!("{} {TEN_MIB}", pattern::sha256(&body)));

    let down = connection.get(&format!("/chunked/{TEN_MIB}")).unwrap();
    assert_eq!(pattern::sha256(&down.body), pattern::sha256(&body));
}

#[test]
fn sixty_four_bodies_at_once_each_way() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap().timeout(Duration::from_secs(100));
    let body = pattern::bytes(TEN_MIB);
    let sum = format!("{} {TEN_MIB}", pattern::sha256(&body));
    std::thread::scope(|scope| {
        for index in 0..64 {
            let (client, body, sum) = (&client, &body, &sum);
            scope.spawn(move || if index % 2 == 0 { up(client, body, sum) } else { down(client) });
        }
    });
}

fn up(client: &Client, body: &[u8], sum: &str) {
    let answer = client.connect().unwrap().request("POST", "/sha", &[], body).unwrap();
    assert_eq!(answer.text(), sum);
}

fn down(client: &Client) {
    let answer = client.get(&format!("/bytes/{TEN_MIB}")).unwrap();
    assert!(answer.body.len() == TEN_MIB && pattern::matches(0, &answer.body));
}

#[test]
fn a_body_comes_back_while_it_is_still_sent() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let mut connection = client.connect().unwrap();
    connection.send_head("POST", "/echo", &[("Transfer-Encoding", "chunked")]).unwrap();
    connection.send_chunk(b"first").unwrap();
    let head = connection.head("POST").unwrap();
    let mut received = Vec::new();
    connection
        .body(&head, |piece| {
            received.extend_from_slice(piece);
            received.len() < 5
        })
        .unwrap();
    assert_eq!(received, b"first");
}

#[test]
fn expect_continue_is_answered_before_the_body() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let mut connection = client.connect().unwrap();
    connection.send_head("POST", "/sha", &[("Content-Length", "5"), ("Expect", "100-continue")]).unwrap();
    // Whoever says it, relay or application: it comes before the body is sent.
    let interim = connection.interim().unwrap();
    assert_eq!(interim, 100);
    connection.send(b"hello").unwrap();
    let answer = connection.answer("POST").unwrap();
    assert_eq!(answer.text(), format!("{} 5", pattern::sha256(b"hello")));
}

#[test]
fn a_connection_serves_on_after_each_kind_of_body() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let mut connection = client.connect().unwrap();
    for size in [0usize, 1, 100, 16_384, 65_537, 1_000_000] {
        let body = pattern::bytes(size);
        let answer = connection.request("POST", "/check", &[], &body).unwrap();
        assert_eq!(answer.text(), size.to_string());
        assert_eq!(connection.get(&format!("/bytes/{size}")).unwrap().body, body);
        assert_eq!(connection.get(&format!("/chunked/{size}")).unwrap().body, body);
    }
}
