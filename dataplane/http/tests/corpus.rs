//! Replays the committed fuzz corpus.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

mod entries;

use std::fs;
use std::path::Path;

fn replay(name: &str, entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(name);
    let mut count = 0;
    for file in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = file.unwrap().path();
        let data = fs::read(&path).unwrap();
        let result = std::panic::catch_unwind(|| entry(&data));
        assert!(result.is_ok(), "{} breaks the entry", path.display());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn requests() {
    replay("http-request", entries::request);
}

#[test]
fn responses() {
    replay("http-response", entries::response);
}

#[test]
fn chunked_content() {
    replay("http-chunked", entries::chunked);
}

#[test]
fn heads_from_the_tunnel() {
    replay("http-wire", entries::wire);
}

#[test]
fn fields_of_ours() {
    replay("http-ours", entries::ours::ours);
}
