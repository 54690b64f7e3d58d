//! Heads on their way through the connector: as the backend sees a request, and the user what it answers.

use std::time::Duration;

use postern_http::{Known, Limits, ResponseHead};
use postern_io::mailbox::mailbox;
use postern_io::sleep;
use postern_tunnel::Event;

use super::world::{World, backend, get, read_head, sim};

/// Sends `answer` and gives back the request's head as the backend got it.
async fn exchange(settings: &[(&str, &str)], answer: &'static str) -> (String, Vec<ResponseHead>) {
    let (sender, mut seen) = mailbox(1);
    backend(move |_, stream| {
        let sender = sender.clone();
        async move {
            let head = read_head(&stream, &mut Vec::new()).await.unwrap();
            sender.send(head).unwrap();
            stream.queue(answer.as_bytes());
            sleep(Duration::from_secs(1)).await;
        }
    });
    let world = World::start(settings).await;
    let tunnel = world.relay.tunnel();
    let mut head = get("/a");
    for (name, value) in [
        ("origin", "https://app1.example.com"),
        ("referer", "https://app1.example.com/b?c"),
        ("server", "x"),
        ("x-old", "1"),
    ] {
        head.headers.append(name, value).unwrap();
    }
    let stream = tunnel.open(&head, true);
    let mut heads = Vec::new();
    if answer.contains(" 103 ") {
        let interim = tunnel.event(|event| match event {
            Event::Informational { head, .. } => Some(head.clone()),
            _ => None,
        });
        heads.push(ResponseHead::decode(&interim.await, &Limits::default()).unwrap());
    }
    heads.push(tunnel.head(stream).await.0);
    (seen.recv().await.unwrap(), heads)
}

const ANSWER: &str = "HTTP/1.1 103 Early Hints\r\nlink: <http://10.0.0.2/hint>; rel=preload\r\n\r\n\
HTTP/1.1 302 Found\r\nlocation: http://10.0.0.2/b\r\nset-cookie: a=b; domain=10.0.0.2; httponly\r\n\
set-cookie: c=d\r\nrefresh: 5;url=http://wiki/x\r\nserver: inside\r\ncontent-length: 0\r\n\r\n";

#[test]
fn the_backend_sees_itself_and_the_user_what_was_published() {
    sim(71, async {
        let (seen, heads) = exchange(&[("internal_aliases", "http://wiki")], ANSWER).await;
        assert!(seen.starts_with("GET /a HTTP/1.1\r\nhost: 10.0.0.2\r\n"), "{seen}");
        assert!(seen.contains("origin: http://10.0.0.2\r\nreferer: http://10.0.0.2/b?c\r\n"), "{seen}");
        let [interim, head] = &heads[..] else { panic!("{heads:?}") };
        let hint = "<https://app1.example.com/hint>; rel=preload";
        assert_eq!((interim.status, interim.headers.get_str(Known::Link)), (103, Some(hint)));
        assert_eq!(head.headers.get_str(Known::Location), Some("https://app1.example.com/b"));
        assert_eq!(head.headers.get_str(Known::Refresh), Some("5;url=https://app1.example.com/x"));
        let cookies: Vec<_> = head.headers.get_all(Known::SetCookie).collect();
        assert_eq!(cookies, [&b"a=b; httponly"[..], b"c=d"]);
    });
}

#[test]
fn without_translation_both_see_what_was_said() {
    sim(72, async {
        let (seen, heads) = exchange(&[("translate_headers", "false")], ANSWER).await;
        assert!(seen.starts_with("GET /a HTTP/1.1\r\nhost: app1.example.com\r\n"), "{seen}");
        assert!(seen.contains("origin: https://app1.example.com\r\n"), "{seen}");
        assert_eq!(heads[0].headers.get_str(Known::Link), Some("<http://10.0.0.2/hint>; rel=preload"));
        assert_eq!(heads[1].headers.get_str(Known::Location), Some("http://10.0.0.2/b"));
        assert_eq!(heads[1].headers.get_str(Known::SetCookie), Some("a=b; domain=10.0.0.2; httponly"));
    });
}

#[test]
fn the_operators_rules_have_the_last_word() {
    sim(73, async {
        let settings = [
            ("request_headers", "set Referer \"none\"; append X-New \"2\"; remove X-Old"),
            ("response_headers", "remove Server; set X-Frame-Options \"DENY\"; append Set-Cookie \"e=f\""),
        ];
        let (seen, heads) = exchange(&settings, ANSWER).await;
        assert!(seen.contains("referer: none\r\n") && seen.contains("x-new: 2\r\n"), "{seen}");
        assert!(!seen.contains("x-old"), "{seen}");
        assert!(!heads[0].headers.contains(Known::XFrameOptions), "an interim answer is no place for rules");
        let head = &heads[1];
        assert!(!head.headers.contains(Known::Server));
        assert_eq!(head.headers.get_str(Known::XFrameOptions), Some("DENY"));
        assert_eq!(head.headers.get_all(Known::SetCookie).count(), 3);
    });
}
