//! New connections are spread over the workers by the BPF program, and nothing of it stays behind.

use std::path::Path;

use postern_tests::world::{Options, World};

const PINS: &str = "/sys/fs/bpf/postern";

fn can_load_bpf() -> bool {
    nix::unistd::geteuid().is_root() && Path::new("/sys/fs/bpf").is_dir()
}

fn pins() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(PINS).to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            found.push(path.display().to_string());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn nothing_stays_pinned_after_a_stop() {
    if !can_load_bpf() {
        eprintln!("passed over: loading BPF programs needs root");
        return;
    }
    let before = pins();
    let world = World::start(Options {
        workers: 8,
        relay: vec!["--ebpf".into(), "require".into()],
        ..Options::default()
    })
    .unwrap();
    assert!(
        pins().len() > before.len(),
        "with --ebpf require maps are pinned under {PINS}"
    );
    drop(world);
    assert_eq!(pins(), before);
}

#[test]
fn after_a_killed_supervisor_the_next_start_cleans_up() {
    if !can_load_bpf() {
        eprintln!("passed over: loading BPF programs needs root");
        return;
    }
    let before = pins();
    let mut world = World::start(Options {
        relay: vec!["--ebpf".into(), "require".into()],
        ..Options::default()
    })
    .unwrap();
    let running = pins();
    world.relay().kill();
    world.start_relay().unwrap();
    assert_eq!(pins().len(), running.len(), "{:?}", pins());
    drop(world);
    assert_eq!(pins(), before);
}
