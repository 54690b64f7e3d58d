//! What was acknowledged is there, whenever the process ends.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

#[test]
fn an_acknowledged_write_survives_kill_9() {
    let mut world = World::start();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..6u32 {
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            let world = &world;
            scope.spawn(move || {
                for number in 0.. {
                    let name = format!("t{round}-{number}");
                    match world.try_ask("POST", "/v1/tenants", &json!({"name": name})) {
                        Ok((201, _)) => sender.send(name).unwrap(),
                        Ok(other) => panic!("{other:?}"),
                        Err(_) => return,
                    }
                }
            });
            // Different moments of the write path in every round.
            std::thread::sleep(Duration::from_millis(120) + Duration::from_millis(17) * round);
            let pid = nix::unistd::Pid::from_raw(i32::try_from(world.pid()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        });
        acknowledged.extend(receiver);
        world.kill();
        world.restart(&[]);
        let tenants: Value = world.done("GET", "/v1/tenants", &Value::Null);
        let text = tenants.to_string();
        for name in &acknowledged {
            assert!(text.contains(&format!("\"{name}\"")), "{name} was acknowledged and is gone");
        }
    }
    assert!(acknowledged.len() > 12, "the rounds wrote something: {}", acknowledged.len());
    let tenants: Value = world.done("GET", "/v1/tenants", &Value::Null);
    let audit: Value = world.done("GET", "/v1/audit?limit=1000", &Value::Null);
    let records = audit["items"].as_array().unwrap();
    let created = records.iter().filter(|record| record["action"] == "tenant.create").count();
    assert_eq!(created + 1, tenants["items"].as_array().unwrap().len(), "one record for every tenant but the first");
}

#[test]
fn the_log_is_cut_and_the_state_stays() {
    let mut world = World::start();
    // Each change signs the group anew with a CA of some kilobytes in every application: the log grows past its limit.
    let ca = std::fs::read_to_string(world.state().join("ca.pem")).unwrap().repeat(100);
    for number in 0..30 {
        let mut body = crate::world::app(&format!("app{number}"), &format!("https://app{number}.localhost"));
        body["settings"] = json!({"backend_ca": ca});
        world.done::<Value>("POST", "/v1/tenants/default/apps", &body);
    }
    let before = apps(&world);
    world.kill();
    let database = rusqlite::Connection::open(world.state().join("control.db")).unwrap();
    let first: i64 = database.query_row("SELECT min(version) FROM log", [], |row| row.get(0)).unwrap();
    drop(database);
    assert!(first > 1, "the log was never cut");
    world.restart(&[]);
    assert_eq!(apps(&world), before);
}

/// The applications without the days their certificates have left: those go by the clock, not by the state.
fn apps(world: &World) -> Value {
    let mut apps: Value = world.done("GET", "/v1/tenants/default/apps", &Value::Null);
    for app in apps["items"].as_array_mut().unwrap() {
        app["certificate"].as_object_mut().unwrap().remove("days_left").unwrap();
    }
    apps
}
