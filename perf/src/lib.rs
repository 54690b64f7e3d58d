//! What Postern costs, beside its peers: load generator, origin, scenarios, reports. Everything runs in one go on one
//! machine, proxies on one core, load and origin on another, in short rounds in ABBA order; figures of different runs do
//! not compare. The figure of merit is CPU time of all proxy processes per request (docs/perf.md says how and why).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

pub mod chain;
pub mod clock;
pub mod counted;
pub mod cpu;
pub mod delay;
pub mod flood;
pub mod hgrm;
pub mod lab;
pub mod load;
pub mod machine;
pub mod origin;
pub mod outcome;
pub mod peers;
pub(crate) mod people;
pub mod report;
pub mod rounds;
pub mod scenario;
pub mod summary;
pub mod text;
pub mod tls;
