//! Relays that are removed learn it, if not at once, then when control reaches them.

use postern_model::link::ToRelay;
use serde_json::{Value, json};

use crate::link::Listening;
use crate::world::World;

/// A relay that was linked, and is out of reach.
fn out_of_reach(world: &World) -> Listening {
    let relay = Listening::start(world);
    world.done::<Value>("POST", "/v1/relays", &json!({"name": "edge", "address": relay.address()}));
    let mut link = relay.accept();
    link.hello("x", &relay.key, 0);
    link.welcomed();
    drop(link);
    world.wait_for("/v1/relays/edge", |relay| relay["connected"] == false);
    relay
}

#[test]
fn a_relay_that_is_removed_while_it_is_out_of_reach_is_dialled_until_it_knows() {
    let world = World::start();
    let relay = out_of_reach(&world);
    let removed: Value = world.done("DELETE", "/v1/relays/edge", &Value::Null);
    assert!(removed["warnings"].to_string().contains("is not linked"), "{removed}");
    drop(relay.accept()); // it breaks again before it was told
    let mut link = relay.accept();
    link.hello("x", &relay.key, 0);
    let told = link.next();
    assert!(matches!(told, Some(ToRelay::Refused { removed: true, .. })), "{told:?}");
    assert!(!relay.is_dialled(), "it knows");
}

#[test]
fn a_relay_that_is_removed_and_added_again_is_not_told_to_stop() {
    let world = World::start();
    let relay = out_of_reach(&world);
    world.done::<Value>("DELETE", "/v1/relays/edge", &Value::Null);
    world.done::<Value>("POST", "/v1/relays", &json!({"name": "again", "address": relay.address()}));
    // Of the dialling before one attempt may be under way.
    let told: Vec<_> = (0..2)
        .filter_map(|_| {
            let mut link = relay.accept();
            link.hello("x", &relay.key, 0);
            link.next()
        })
        .collect();
    assert!(!told.iter().any(|message| matches!(message, ToRelay::Refused { removed: true, .. })), "{told:?}");
    assert!(told.iter().any(|message| matches!(message, ToRelay::Welcome(_))), "{told:?}");
}
