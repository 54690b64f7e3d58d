//! What proves a password to be good, and what says nothing of it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use postern_io::{Stream, sleep};
use postern_model::vault::VaultKeyPair;
use postern_tunnel::CancelCode;

use super::vault::{ANNA, purpose, sealed, served, world};
use super::world::{backend, get, read_head, sim};

/// An application that leads away, or says that there is nothing, may not have looked at the password.
#[test]
fn an_answer_that_shows_nothing_does_not_prove_a_password() {
    for (seed, answer) in
        (13..).zip(["302 Found", "303 See Other", "403 Forbidden", "404 None", "429 Later", "400 Bad"])
    {
        sim(seed, async move {
            let tries = Rc::new(Cell::new(0));
            let counting = Rc::clone(&tries);
            backend(move |_, stream: Stream| {
                let tries = Rc::clone(&counting);
                async move {
                    let mut rest = Vec::new();
                    while let Some(head) = read_head(&stream, &mut rest).await {
                        let public = head.starts_with("GET /public ");
                        if !public {
                            tries.set(tries.get() + 1);
                        }
                        sleep(Duration::from_millis(50)).await;
                        let wrong = "401 No\r\nwww-authenticate: Basic realm=\"x\"";
                        let answer = if public { answer } else { wrong };
                        stream.queue(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").as_bytes());
                    }
                }
            });
            let pair = VaultKeyPair::generate().unwrap();
            let credentials = vec![sealed(&pair, &purpose(ANNA), "anna", "wrong")];
            let world = world(pair, credentials).await;
            let tunnel = world.relay.tunnel();
            let public = tunnel.open_for(Some(ANNA), &get("/public"), true);
            let status = tunnel.head(public).await.0.status;
            assert!(answer.starts_with(&status.to_string()), "{answer}: {status}");
            let pictures: Vec<_> = (0..40).map(|_| tunnel.open_for(Some(ANNA), &get("/"), true)).collect();
            for stream in pictures {
                assert_eq!(tunnel.cancelled(stream).await.code, CancelCode::SSO_CREDENTIAL_REFUSED);
            }
            assert_eq!(tries.get(), 1, "{answer}");
        });
    }
}

/// Such an answer may be long, or be none at all for an hour: others do not wait for its end.
#[test]
fn who_learnt_nothing_lets_the_next_one_try_at_once() {
    sim(20, async {
        backend(move |_, stream: Stream| async move {
            let mut rest = Vec::new();
            while let Some(head) = read_head(&stream, &mut rest).await {
                if head.starts_with("GET /long ") {
                    stream.queue(b"HTTP/1.1 404 None\r\ncontent-length: 9\r\n\r\nhalf");
                } else {
                    stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
            }
        });
        let pair = VaultKeyPair::generate().unwrap();
        let credentials = vec![sealed(&pair, &purpose(ANNA), "anna", "hunter2")];
        let world = world(pair, credentials).await;
        let tunnel = world.relay.tunnel();
        let long = tunnel.open_for(Some(ANNA), &get("/long"), true);
        assert_eq!(tunnel.head(long).await.0.status, 404);
        let before = postern_io::now();
        assert_eq!(served(&world, ANNA).await, 200);
        assert!(postern_io::now().since(before) < Duration::from_secs(1));
    });
}
