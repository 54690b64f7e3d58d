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
fn filters() {
    replay("scim-filter", entries::scim::filter);
}

#[test]
fn patches() {
    replay("scim-patch", entries::scim::patch);
}

#[test]
fn sealed_cookies() {
    replay("session-cookie", entries::cookie::sealed);
}

#[test]
fn recorded_content() {
    replay("trace-content", entries::recorded::content);
}

#[test]
fn access_tokens() {
    replay("access-token", entries::token::access);
}
