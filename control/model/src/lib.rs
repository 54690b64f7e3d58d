//! What the parts of Postern agree on: identifiers, configuration, the log of changes, and the messages between them.
//! No I/O, no clock, no environment.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")
)]

pub mod ids;
