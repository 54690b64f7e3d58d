//! What Postern costs beside a peer: both in one run, in short alternating rounds, proxies on one core, load on the other.
//! The figure of merit is CPU time of all proxy processes per request; absolute figures of different runs do not compare.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

pub mod cpu;
pub mod peers;
pub mod report;
pub mod wrk;
