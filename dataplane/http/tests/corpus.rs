//! Replays the committed fuzz corpus.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

mod entries;
#[path = "../../../tests/fuzz/replay.rs"]
mod replay;

use replay::replay;

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
