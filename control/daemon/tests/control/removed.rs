//! Relays that are removed learn it, if not at once, then when control reaches them.

use std::io::{Read, Write};

use postern_model::Change;
use postern_model::link::ToRelay;
use serde_json::{Value, json};

use crate::link::Listening;
use crate::peer::Relay;
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

/// Which keys of cookies a relay is given next.
fn cookie_keys<S: Read + Write>(link: &mut Relay<S>) -> Vec<u32> {
    loop {
        match link.next() {
            Some(ToRelay::Delta(delta)) => {
                if let Change::CookieKeysPut { keys } = delta.change {
                    return keys.iter().map(|key| key.id).collect();
                }
            }
            Some(_) => {}
            None => panic!("the link ended"),
        }
    }
}

#[test]
fn the_keys_that_a_removed_relay_has_are_replaced_and_it_is_not_told_the_new_ones() {
    let world = World::start();
    let (stays, goes) = (Listening::start(&world), Listening::start(&world));
    let mut links = [("stays", &stays), ("goes", &goes)].map(|(name, relay)| {
        world.done::<Value>("POST", "/v1/relays", &json!({"name": name, "address": relay.address()}));
        let mut link = relay.accept();
        link.hello("x", &relay.key, 0);
        link.welcomed();
        link
    });
    let removed: Value = world.done("DELETE", "/v1/relays/goes", &Value::Null);
    assert!(removed["warnings"].to_string().contains("certificates"), "{removed}");
    assert_eq!(cookie_keys(&mut links[0]), [2], "one, which the other never had");
    let told: Vec<_> = std::iter::from_fn(|| links[1].next()).collect();
    let is_told = |message: &ToRelay| matches!(message, ToRelay::Delta(delta) if matches!(delta.change, Change::CookieKeysPut { .. } | Change::AssertionKeysPut { .. }));
    assert!(!told.iter().any(is_told), "{told:?}");
    assert!(matches!(told.last(), Some(ToRelay::Refused { removed: true, .. })), "{told:?}");
    world.done::<Value>("POST", "/v1/relays", &json!({"name": "again", "address": "192.0.2.1:1"}));
    world.done::<Value>("DELETE", "/v1/relays/again?keep_keys=true", &Value::Null);
    world.done::<Value>("POST", "/v1/relays", &json!({"name": "again", "address": "192.0.2.1:1"}));
    world.done::<Value>("DELETE", "/v1/relays/again", &Value::Null);
    assert_eq!(cookie_keys(&mut links[0]), [3], "the first time they were kept");
}
