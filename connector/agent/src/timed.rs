//! Connections for what blocks, apart from the rings: each ends at a moment.

use std::io::{Read, Write};

pub(crate) use postern_service::timed::{Timed, is_slow};

/// Bytes both ways.
pub(crate) trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}
