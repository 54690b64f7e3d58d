//! Connections for what blocks, apart from the rings: each ends at a moment.

use std::io::{self, Read, Write};

pub(crate) use postern_service::timed::Timed;

/// Bytes both ways.
pub(crate) trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// A socket's time-out is told in two ways.
pub(crate) fn is_slow(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}
