//! The test world: starts the real programs on free loopback ports in a temporary folder, with real and fake applications,
//! clients of its own, and faults. It depends on none of the product's crates: what it checks is what users see.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

pub mod browser;
pub mod certificate;
pub mod client;
pub mod cut;
pub mod desktop;
pub mod dnsmasq;
pub mod dokuwiki;
pub mod frames;
pub mod grpc;
pub mod identity;
pub mod jupyter;
pub mod kerberos;
pub mod load;
pub mod mellon;
pub mod netns;
pub mod nginx;
pub mod notify;
pub mod openid_client;
pub mod openid_provider;
pub mod openldap;
pub mod origin;
pub mod pace;
pub mod pattern;
pub mod pebble;
pub mod person;
pub mod pki;
pub mod played;
pub mod process;
pub mod programs;
pub mod recorder;
pub mod samba;
pub mod tamper;
pub mod tinyproxy;
pub mod user_agent;
pub mod world;

use std::time::{Duration, Instant};

/// Says why a test is passed over. In continuous integration everything is there that tests need: there it fails.
///
/// # Panics
/// Where `CI` is set.
pub fn pass_over(reason: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    assert!(!is_ci, "continuous integration must not pass this test over: {reason}");
    eprintln!("passed over: {reason}");
}

/// Polls until `is_true`; false when `limit` has passed.
pub fn within(limit: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if is_true() {
            return true;
        }
        if begun.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
