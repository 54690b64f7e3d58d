//! Control that comes back from a backup: the versions it gives out were given out before, for other changes.

use std::path::Path;

use postern_model::link::{RelayStatus, ToControl};
use rcgen::KeyPair;

use crate::link::snapshot;
use crate::peer::Relay;
use crate::world::World;

#[test]
fn a_relay_that_knows_another_history_gets_the_whole_state() {
    let mut world = World::start();
    world.publish("crm", "https://crm.localhost");
    world.terminate();
    let backup = tempfile::tempdir().unwrap();
    copy(&world.state(), backup.path());
    world.restart(&[]);
    let lost = world.publish("lost", "https://lost.localhost")["version"].as_u64().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &key, 0);
    let told_in = relay.welcomed().epoch;
    let held = snapshot(&mut relay);
    relay.send(&ToControl::Applied { version: held.version });
    world.terminate();

    // The backup comes back, and grows until the same numbers are of other changes.
    std::fs::remove_dir_all(world.state()).unwrap();
    copy(backup.path(), &world.state());
    world.restart(&[]);
    for name in ["other", "third"] {
        world.publish(name, &format!("https://{name}.localhost"));
    }
    let mut relay = Relay::connect(&world.socket());
    relay.hello_again("edge", &key, held.version, told_in);
    let welcome = relay.welcomed();
    assert!(welcome.epoch.is_some() && welcome.epoch != told_in);
    let other = snapshot(&mut relay);
    assert!(other.version > lost && !other.apps.values().any(|app| app.name.as_str() == "lost"));

    // What it serves of the other history confirms nothing of this one.
    let serving = RelayStatus { applied_version: u64::MAX, ..RelayStatus::default() };
    relay.send(&ToControl::Status(serving.clone()));
    world.wait_for("/v1/ready", |ready| ready["missing"].to_string().contains("it serves version 0"));
    relay.send(&ToControl::Applied { version: other.version });
    relay.send(&ToControl::Status(RelayStatus { applied_version: other.version, ..serving }));
    world.wait_for("/v1/ready", |ready| !ready["missing"].to_string().contains("it serves version"));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &target),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), target).unwrap()),
            _ => {} // the socket
        }
    }
}
