//! A change of an application is in force when the command that made it returns.

use std::time::{Duration, Instant};

use postern_tests::load::Load;
use postern_tests::origin::Origin;
use postern_tests::world::World;

fn publish(world: &World, name: &str, internal: &str) -> std::process::Output {
    let external = format!("https://{name}.example.test:{}/", world.relay_address.port());
    let words = ["app", "publish", name, "--external", &external, "--internal", internal, "--preauth", "passthrough"];
    world.cli_output(&words).unwrap()
}

#[test]
fn what_is_published_is_known_to_every_worker_at_once() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("busy", &origin.url()).unwrap();
    let load = Load::start(&client, 8, "/bytes/1000", 1000);
    for index in 0..12 {
        let name = format!("app{index}");
        let output = publish(&world, &name, &origin.url());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // An unknown name is answered with another certificate, which this client does not take, or with 421.
        let client = client.for_host(&format!("{name}.example.test:{}", world.relay_address.port()));
        for _ in 0..8 {
            let answer = client.get("/bytes/3").unwrap_or_else(|error| panic!("{name}: {error:#}\n{}", world.logs()));
            assert_ne!(answer.status, 421, "{name}");
        }
    }
    let outcome = load.stop();
    assert_eq!((outcome.wrong, outcome.cut, outcome.failed), (0, 0, 0), "{outcome:?}");
}

#[test]
fn a_relay_that_does_not_confirm_is_named_and_not_waited_for_long() {
    let mut world = World::usual().unwrap();
    world.relay().pause();
    let begun = Instant::now();
    let output = publish(&world, "app", "http://127.0.0.1:1/");
    let took = begun.elapsed();
    world.relay().resume();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("has not confirmed this change yet"), "{said}");
    assert!((Duration::from_secs(4)..Duration::from_secs(12)).contains(&took), "{took:?}");
}
