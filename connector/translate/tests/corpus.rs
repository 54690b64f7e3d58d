//! Replays the committed fuzz corpus.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

mod entries;
#[path = "../../../tests/fuzz/replay.rs"]
mod replay;

use replay::replay;

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
