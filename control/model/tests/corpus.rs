//! Replays the committed fuzz corpus.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

mod entries;
#[path = "../../../tests/fuzz/replay.rs"]
mod replay;

use replay::replay;

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
