//! Replays the corpora of the fuzz targets.

use std::path::PathBuf;

use crate::client_hello::{CLIENT_HELLO_BYTES_MAX, ClientHelloParser, Progress};
use crate::fuzz;

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(name);
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

#[test]
fn tunnel_connection() {
    for (_, bytes) in corpus("tunnel-connection") {
        fuzz::connection(&bytes);
        for choice in [0, 1, 2, 3, 254, 255] {
            fuzz::connection(&[&[choice], &bytes[1.min(bytes.len())..]].concat());
        }
    }
}

#[test]
fn client_hello() {
    let mut real = 0;
    for (name, bytes) in corpus("client-hello") {
        fuzz::client_hello(&bytes);
        let mut parser = ClientHelloParser::new(CLIENT_HELLO_BYTES_MAX);
        let done = matches!(parser.advance(&bytes), Progress::Done(_));
        let broken = name.contains("broken-");
        assert_eq!(done, !broken, "{name}");
        real += usize::from(done);
    }
    assert!(real >= 4, "of four clients at least");
}

/// The seeds of `tunnel-connection`, one input per kind of frame and a few that break the rules, are what the protocol
/// makes today. When it has changed: `POSTERN_BLESS=1 cargo test -p postern-tunnel tunnel_seeds`.
#[test]
fn tunnel_seeds_are_current() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/tunnel-connection");
    let bless = std::env::var_os("POSTERN_BLESS").is_some();
    for (name, bytes) in super::misbehaviour::seeds() {
        let path = folder.join(name);
        if bless {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(std::fs::read(&path).is_ok_and(|committed| committed == bytes), "{name} is not what is committed");
    }
}
