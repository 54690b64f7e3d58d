//! The codec from outside: every rule with the messages that break it, and properties of whatever it accepts.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

#[path = "../entries/mod.rs"]
mod entries;

mod bodies;
mod encoding;
mod properties;
mod requests;
mod responses;
mod tunnel;
