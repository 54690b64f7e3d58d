//! Against a real, certified OpenID provider: what it does, what it can be made to do, and what somebody in between does.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

mod attacks;
mod faults;
mod flow;
mod logout;
mod scene;
