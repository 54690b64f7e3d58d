//! What makes a request or an application's answer malformed. Requests are answered with 400 (or the status given) and the
//! connection is closed: what is ambiguous is refused, never repaired.

use super::Code;

pub(super) const CODES: &[Code] = &[];
