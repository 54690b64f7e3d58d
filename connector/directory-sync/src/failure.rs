//! Why a pass did not come to its end: a code of the catalogue and what exactly.

use std::fmt;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Failure {
    /// Of the catalogue.
    pub(crate) code: String,
    /// One line.
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn unreachable(directory: &impl fmt::Display, error: &impl fmt::Display) -> Self {
        Self { code: String::from("directory-unreachable"), detail: format!("{directory}: {error}") }
    }

    pub(crate) fn untrusted(directory: &impl fmt::Display, error: &impl fmt::Display) -> Self {
        Self { code: String::from("directory-untrusted"), detail: format!("{directory}: {error}") }
    }

    pub(crate) fn bind(directory: &impl fmt::Display, error: &impl fmt::Display) -> Self {
        Self { code: String::from("directory-bind-refused"), detail: format!("{directory}: {error}") }
    }

    pub(crate) fn read(what: &impl fmt::Display) -> Self {
        Self { code: String::from("directory-read-failed"), detail: what.to_string() }
    }
}
