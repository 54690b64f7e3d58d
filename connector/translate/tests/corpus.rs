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
fn texts() {
    replay("translate-text", entries::text);
}

#[test]
fn srcsets() {
    replay("translate-srcset", entries::srcset);
}

#[test]
fn codings() {
    replay("translate-coding", entries::coding);
}

#[test]
fn fields() {
    replay("translate-field", entries::heads::field);
}

#[test]
fn urls() {
    replay("translate-url", entries::heads::url);
}
