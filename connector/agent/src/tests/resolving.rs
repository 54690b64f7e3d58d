//! Backends that are named, not numbered: what becomes of connections when names change.

use std::sync::Arc;
use std::time::Duration;

use postern_io::sleep;

use super::world::{Keys, World, answer_all, fetch, mortal_backend, sim};
use crate::backend::tests::app;
use crate::resolve::Resolver;
use crate::resolve::tests::Script;

async fn world(script: &Arc<Script>) -> World {
    let keys = Keys { resolver: Some(Resolver::scripted(script)), ..Keys::default() };
    World::with_app(app(1, "http://app.test/", &[]), 1, keys).await
}

#[test]
fn a_backend_that_moves_is_followed_and_a_busy_connection_to_where_it_was_ends() {
    sim(80, async {
        let old = mortal_backend("10.0.0.5:80", |_, stream| answer_all(stream, "old"));
        let new = mortal_backend("10.0.0.6:80", |_, stream| answer_all(stream, "new"));
        let script = Arc::new(Script::default());
        script.set("app.test", &["10.0.0.5"]);
        let world = world(&script).await;
        let tunnel = world.relay.tunnel();
        assert_eq!(fetch(&tunnel).await, b"old");
        script.set("app.test", &["10.0.0.6"]);
        let mut answers = Vec::new();
        // Never idle for long.
        for _ in 0..24 {
            sleep(Duration::from_secs(5)).await;
            answers.push(fetch(&tunnel).await);
        }
        let moved = answers.iter().position(|answer| answer == b"new").unwrap();
        assert!((5..=14).contains(&moved), "after {moved} × 5 s");
        assert!(answers[moved..].iter().all(|answer| answer == b"new"));
        assert_eq!(world.shared.counters.backend_connections_open.value(), 1);
        drop((old, new));
    });
}

#[test]
fn a_backend_that_cannot_be_resolved_any_more_is_still_reached() {
    sim(81, async {
        let there = mortal_backend("10.0.0.5:80", |_, stream| answer_all(stream, "there"));
        let script = Arc::new(Script::default());
        script.set("app.test", &["10.0.0.5"]);
        let world = world(&script).await;
        let tunnel = world.relay.tunnel();
        assert_eq!(fetch(&tunnel).await, b"there");
        script.set("app.test", &[]);
        for _ in 0..3 {
            // Longer than connections are kept.
            sleep(Duration::from_secs(100)).await;
            assert_eq!(fetch(&tunnel).await, b"there");
        }
        drop(there);
    });
}
