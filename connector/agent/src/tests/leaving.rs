//! Applications that a configuration names no more, while some of a relay's workers still ask for them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postern_io::sleep;
use postern_tunnel::CancelCode;

use super::world::{World, answer_all, backend, fetch, get, sim};
use crate::backend::BackendTable;
use crate::backend::tests::config;
use crate::limits::CONFIG_PATIENCE;

#[test]
fn whoever_does_not_know_yet_that_an_application_left_is_answered_a_moment_longer() {
    sim(95, async {
        backend(|_, stream| answer_all(stream, "served"));
        let world = World::with_relay(&[], 2).await;
        let (told, late) = {
            let tunnels = world.relay.tunnels.borrow();
            (Rc::clone(&tunnels[0]), Rc::clone(&tunnels[1]))
        };
        assert_eq!(fetch(&told).await, b"served");
        told.connection.borrow_mut().send_config(Bytes::from_static(b"without the application"));
        told.flush();
        sleep(Duration::from_millis(200)).await;
        let (offered, _) = world.offers.next(Duration::ZERO).unwrap();
        let empty = Arc::new(BackendTable::build(&config(2, Vec::new()), None));
        world.shared.decided(offered, Some(&empty));
        sleep(Duration::from_millis(100)).await;
        let stream = told.open(&get("/"), true);
        assert_eq!(fetch(&late).await, b"served", "it has not heard of it");
        assert_eq!(told.cancelled(stream).await.code, CancelCode::APP_UNKNOWN, "it has, and asks all the same");
        sleep(CONFIG_PATIENCE).await;
        let stream = late.open(&get("/"), true);
        assert_eq!(late.cancelled(stream).await.code, CancelCode::APP_UNKNOWN, "a relay that hides it gains a second");
    });
}
