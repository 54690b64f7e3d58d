//! What a page brings along: WebSockets, cookies, links.

use super::*;

#[test]
fn a_websocket_is_offered_with_all_that_belongs_to_it() {
    let (port, _) = server(|mut stream| {
        let head = read_head(&mut stream).to_ascii_lowercase();
        let offers = [
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            "sec-websocket-key: ",
            "origin: http://127",
        ];
        let answer = if !head.contains("upgrade: websocket") {
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        } else if offers.iter().all(|line| head.contains(line)) {
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
        } else {
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let steps = reached(&format!("http://127.0.0.1:{port}/"), &[]);
    assert_eq!(
        (of(&steps, "websocket").result, &*of(&steps, "websocket").seen),
        (StepResult::Ok, "/ takes a WebSocket")
    );
    let (port, _) = says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let steps = reached(&format!("http://127.0.0.1:{port}/x/"), &[]);
    assert!(of(&steps, "websocket").seen.contains("/x/ takes none and answers 200"), "{steps:?}");
}

#[test]
fn who_hangs_at_an_offer_holds_nothing_up() {
    let (port, _) = server(|mut stream| {
        if read_head(&mut stream).to_ascii_lowercase().contains("upgrade: websocket") {
            thread::sleep(Duration::from_secs(20));
        } else {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let begun = std::time::Instant::now();
    let steps = reached(&format!("http://127.0.0.1:{port}/"), &[]);
    assert_eq!(of(&steps, "websocket").result, StepResult::Warn, "{steps:?}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[test]
fn cookies_of_the_whole_way_and_links_of_the_page_are_judged() {
    let (port, _) = server(|mut stream| {
        let answer = if read_head(&mut stream).starts_with("GET / ") {
            "HTTP/1.1 302 F\r\nlocation: /in\r\nset-cookie: one=SECRET; Domain=other.test\r\ncontent-length: 0\r\n\r\n"
        } else {
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nset-cookie: two=SECRET\r\ncontent-length: 23\r\n\r\n<a href=http://wiki/>w "
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let steps = reached(&format!("http://127.0.0.1:{port}/"), &[]);
    let cookies = of(&steps, "cookies");
    assert!(
        cookies.result == StepResult::Warn && cookies.seen.contains("of 2 set: one: Domain=other.test"),
        "{cookies:?}"
    );
    let links = of(&steps, "links");
    assert!(links.result == StepResult::Warn && links.seen.contains("http://wiki"), "{links:?}");
    assert!(!format!("{steps:?}").contains("SECRET"), "{steps:?}");
    let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(names, ["name", "connect", "http", "websocket", "cookies", "links"]);
}
