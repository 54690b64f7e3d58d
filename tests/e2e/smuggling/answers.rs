//! Applications that answer what they should not: clients get 502 or an answer that visibly breaks off, and nobody ever gets what was
//! left over of an answer to somebody else.

use std::time::Duration;

use super::Stage;

/// Long enough for bytes to cross loopback.
const MOMENT: Duration = Duration::from_millis(300);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nSet-Cookie: a=eve\r\n\r\npoison";

#[test]
fn what_is_no_answer_or_two_is_refused() {
    let mut stage = Stage::start();
    let with = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n0\r\n\r\nok");
    let line = |line: &str| format!("{line}\r\nContent-Length: 2\r\n\r\nok");
    let mut answers: Vec<(&str, String)> = vec![
        ("CL and TE", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        ("TE and CL", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        ("two lengths", with("Content-Length: 5\r\nContent-Length: 2\r\n")),
        ("two equal lengths", with("Content-Length: 5\r\nContent-Length: 5\r\n")),
        ("two codings", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ("TE in HTTP/1.0", with("Transfer-Encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0")),
        (
            "a switch that nobody asked for",
            line("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket"),
        ),
        ("content with 204", line("HTTP/1.1 204 No Content")),
        ("chunks with 204", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()),
        ("content with 103", format!("{}{OK}", line("HTTP/1.1 103 Early Hints"))),
        ("content with 100", format!("{}{OK}", line("HTTP/1.1 100 Continue"))),
        ("too many fields", with(&"X: y\r\n".repeat(200))),
        ("a head that is too large", with(&format!("X: {}\r\n", "y".repeat(40_000)))),
        ("too much of early hints", format!("{}{OK}", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(40))),
    ];
    for odd in ["5, 5", "+2", "-2", "0x2", "", "2 2", "18446744073709551616"] {
        answers.push(("an odd length", with(&format!("Content-Length: {odd}\r\n"))));
    }
    for odd in ["xchunked", "gzip", "identity", "gzip, chunked", "chunked, identity", "\x0bchunked", "chunked;q=1", ""]
    {
        answers.push(("an odd coding", with(&format!("Transfer-Encoding: {odd}\r\n"))));
    }
    for odd in [
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1  200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "<html>",
    ] {
        answers.push(("an odd status line", line(odd)));
    }
    for odd in [
        "X: a\r\n folded\r\n",
        "X : a\r\n",
        "X: a\n",
        "X: a\rSet-Cookie: a=eve\r\n",
        "X: a\0\r\n",
        "X\r\n",
        ": a\r\n",
        "Location: /a\nSet-Cookie: a=eve\r\n",
    ] {
        answers.push(("an odd field", with(&format!("Content-Length: 2\r\n{odd}"))));
    }
    for (what, bytes) in answers {
        let mut taken = stage.get("/attacked");
        // It may be cut off in the middle of what is too large.
        let _ = taken.send(bytes.as_bytes());
        let answer = stage.connection.answer("GET").unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert!(answer.status == 502 && answer.text().contains("backend-broken"), "{what}: {answer:?}");
        assert!(answer.informational.len() <= 16, "{what}: {}", answer.informational.len());
        assert!(answer.header("set-cookie").is_none(), "{what}");
        assert!(taken.ends(), "{what}: its connection is not used again");
        stage.goes_on(what);
    }
}

#[test]
fn content_that_is_not_as_announced_breaks_off() {
    let mut stage = Stage::start();
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for odd in [
        "x\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\r\n",
        "3\r\nhello\r\n",
        "7\r\nhello\r\n0\r\n\r\n",
        "5;a b\r\n",
        "0\r\nHost: evil\r\n\r\n",
        "0\r\n a\r\n\r\n",
    ] {
        let mut taken = stage.get("/attacked");
        taken.send(format!("{chunked}{odd}").as_bytes()).unwrap();
        let answer = stage.connection.answer("GET");
        assert!(answer.is_err(), "{odd:?} looks complete: {answer:?}");
        assert!(taken.ends(), "{odd:?}: its connection is not used again");
        // Such an end is the connection's.
        stage.connection = stage.client.connect().unwrap();
        stage.goes_on(odd);
    }
    // Less than announced, of what is passed on whole and of what is not.
    for length in [100, 1_000_000] {
        let mut taken = stage.get("/attacked");
        taken.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nok").as_bytes()).unwrap();
        drop(taken);
        if let Ok(answer) = stage.connection.answer("GET") {
            assert_eq!(answer.status, 502, "{length}: {answer:?}");
        }
        stage.connection = stage.client.connect().unwrap();
        stage.goes_on("an answer that was cut");
    }
}

#[test]
fn what_follows_an_answer_is_nobodys() {
    let mut stage = Stage::start();
    let table = [
        ("two answers", "GET", OK.to_owned()),
        ("more than announced", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more".to_owned()),
        ("content of HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".to_owned()),
        ("content of 304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok".to_owned()),
        ("content of 204", "GET", "HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
        (
            "behind the last chunk",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned(),
        ),
    ];
    for late in [false, true] {
        for (what, method, answer) in &table {
            stage.connection.send_head(method, "/attacked", &[]).unwrap();
            let mut taken = stage.played.next().unwrap();
            assert!(taken.head.starts_with(&format!("{method} /attacked ")), "{}", taken.head);
            if late {
                taken.send(answer.as_bytes()).unwrap();
                stage.connection.answer(method).unwrap();
                std::thread::sleep(MOMENT);
                // It may be closed by now.
                let _ = taken.send(POISON.as_bytes());
                std::thread::sleep(MOMENT);
            } else {
                taken.send(format!("{answer}{POISON}").as_bytes()).unwrap();
                let got = stage.connection.answer(method).unwrap();
                assert!(!got.text().contains("poison") && got.header("set-cookie").is_none(), "{what}: {got:?}");
            }
            stage.goes_on(what);
            assert!(taken.ends(), "{what}: its connection is not used again");
        }
    }
}

#[test]
fn an_answer_before_the_request_is_complete_leaves_nothing_behind() {
    let mut stage = Stage::start();
    let hidden = format!("GET /smuggled HTTP/1.1\r\nHost: {}\r\n\r\n", stage.client.host);
    let length = hidden.len().to_string();
    stage.connection.send_head("POST", "/early", &[("Content-Length", &length)]).unwrap();
    let mut taken = stage.played.next().unwrap();
    taken.send(OK.as_bytes()).unwrap();
    let answer = stage.connection.answer("POST").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    // What was announced as content is not taken for a request, by neither of the two.
    let _ = stage.connection.send(hidden.as_bytes());
    let (rest, closed) = stage.connection.drain();
    assert!(closed && rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    assert!(taken.ends() && stage.played.is_quiet(MOMENT), "the application was asked once");
    stage.connection = stage.client.connect().unwrap();
    stage.goes_on("an early answer");
}

#[test]
fn a_refusal_before_the_content_came_leaves_nothing_behind() {
    let mut stage = Stage::with(&["--set", "request_body_bytes_max=10"]);
    let hidden = format!("GET /smuggled HTTP/1.1\r\nHost: {}\r\n\r\n", stage.client.host);
    let length = hidden.len().to_string();
    stage.connection.send_head("POST", "/large", &[("Content-Length", &length)]).unwrap();
    assert_eq!(stage.connection.answer("POST").unwrap().status, 413);
    let _ = stage.connection.send(hidden.as_bytes());
    let (rest, closed) = stage.connection.drain();
    assert!(closed && rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    assert!(stage.played.is_quiet(MOMENT), "nothing of it reached the application");
    stage.connection = stage.client.connect().unwrap();
    stage.goes_on("a refusal");
}
