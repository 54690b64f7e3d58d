//! The workers: threads that accept, decide and forward.

pub mod context;
pub mod drain;
