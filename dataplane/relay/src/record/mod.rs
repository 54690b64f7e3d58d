//! What is remembered of requests: figures by application, the access log, and its last lines for `postern explain`.
//!
//! A worker writes everything about a request at one place and waits for nothing: figures are cells that the side thread
//! reads whenever it likes ([`book`], [`latency`]), lines go into a bounded batch that the log's thread takes ([`lane`],
//! [`writer`]). What does not fit is dropped and counted.

pub(crate) mod access;
pub(crate) mod book;
pub(crate) mod lane;
pub(crate) mod latency;
pub(crate) mod line;
pub(crate) mod recent;
pub(crate) mod writer;
