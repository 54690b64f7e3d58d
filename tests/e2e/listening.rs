//! Which ports are open to others: the relay's, and nobody else's.

use std::process::Command;

use postern_tests::world::World;

#[test]
fn control_and_connector_listen_on_no_tcp_port() {
    let world = World::usual().unwrap();
    let output = Command::new("ss").args(["-H", "-ltnp"]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let listens = |pid: u32| list.lines().any(|line| line.contains(&format!("pid={pid},")));
    for process in world.control.iter().chain(&world.connectors) {
        for pid in process.tree() {
            assert!(!listens(pid), "{} listens:\n{list}", process.name());
        }
    }
    let relay = world.relay.as_ref().unwrap();
    assert!(relay.tree().into_iter().any(listens), "ss does not see the relay: it proves nothing\n{list}");
}
