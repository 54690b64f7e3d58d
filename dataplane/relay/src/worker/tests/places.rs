//! Applications whose places or connectors change while they are used.

use postern_model::config::Group;

use super::websockets::{echoed, opened_with, rest};
use super::*;

const MESSAGE: [u8; 4] = [0x81, 2, b'h', b'i'];

fn set(snapshot: &mut Snapshot, name: &str, value: &str) {
    snapshot.apps.values_mut().for_each(|app| drop(app.settings.insert(name.to_owned(), value.to_owned())));
}

#[test]
fn what_is_open_at_a_place_that_goes_ends_and_the_rest_goes_on() {
    in_the_simulator(75, async {
        let segments = |internal: &str| format!("https://{HOST}/switch/=http://{internal}/");
        let worker = worker_with(&[("segments", &segments("b")), ("external_aliases", "https://second.example.com")]);
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = opened_with("").await;
        echoed(&client, &MESSAGE).await;
        // What is behind it, and other places, are no matter.
        publish(&worker, |snapshot| set(snapshot, "segments", &segments("c")));
        echoed(&client, &MESSAGE).await;
        publish(&worker, |snapshot| set(snapshot, "external_aliases", "https://third.example.com"));
        let ended = timeout(Duration::from_secs(1), rest(&client)).await.expect("the segment went");
        assert!(ended.ends_with(&[0x88, 2, 3, 0xf0]), "policy violation: {ended:?}");
        // The path is the application's own now.
        let client = opened_with("").await;
        publish(&worker, |_| {});
        echoed(&client, &MESSAGE).await;
    });
}

#[test]
fn what_is_open_ends_when_the_only_place_goes_elsewhere() {
    in_the_simulator(77, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = opened_with("").await;
        let at = |url: String| {
            move |snapshot: &mut Snapshot| {
                snapshot.apps.values_mut().for_each(|app| app.external_url.clone_from(&url));
            }
        };
        // Relays find it there as before.
        publish(&worker, at(format!("https://{HOST}:8443/")));
        echoed(&client, &MESSAGE).await;
        publish(&worker, at("https://elsewhere.example.com/".into()));
        let ended = timeout(Duration::from_secs(1), rest(&client)).await.expect("it is published elsewhere");
        assert!(ended.ends_with(&[0x88, 2, 3, 0xf0]), "policy violation: {ended:?}");
    });
}

/// The application in one of two groups, each with a connector.
fn in_group(sequence: u64, group: GroupId) -> Published {
    let second = GroupId::new(TenantId::DEFAULT, 2);
    let mut published = publication(sequence, |snapshot| {
        let made = Group { id: second, name: "second".parse().unwrap(), directory_sync: false };
        snapshot.groups.insert(second, made);
        snapshot.apps.values_mut().for_each(|app| app.group = group);
    });
    let groups = [(1, GroupId::DEFAULT), (2, second)];
    published.connectors = groups.map(|(nth, group)| (ConnectorId::new(TenantId::DEFAULT, nth), group)).into();
    published
}

#[test]
fn what_a_group_does_not_know_any_more_goes_to_the_next_group() {
    in_the_simulator(76, async {
        let second = GroupId::new(TenantId::DEFAULT, 2);
        let worker = worker_on(ConfigHandle::new(Arc::new(in_group(1, GroupId::DEFAULT))));
        serve_clients(&worker);
        connect(&worker, 1).await;
        let (tunnel, _) = dial_of(&worker, second, 2, connector_address(2)).await;
        online(&tunnel).await;
        let mut client = Client::new().await;
        let head = format!("POST /left HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 5\r\n\r\n");
        client.stream.queue(head.as_bytes());
        sleep(Duration::from_millis(50)).await;
        worker.config.publish(Arc::new(in_group(2, second)));
        worker.look(&mut false);
        client.stream.queue(b"hello");
        let (head, body) = client.response().await.unwrap();
        assert_eq!((head.status, body.as_slice()), (200, &b"hello"[..]), "by the connector that has it now");
        client.get("/name");
        assert_eq!(client.response().await.unwrap().1, b"c1-2");
    });
}
