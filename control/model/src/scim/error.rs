//! Refusals as RFC 7644 §3.12 writes them.

use serde_json::{Value, json};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ScimError {
    /// HTTP status.
    pub status: u16,
    /// What kind of refusal, where the standard has a word for it.
    pub kind: Option<ScimType>,
    /// For people: what, where, and what to do.
    pub detail: String,
}

/// `scimType` (RFC 7644 §3.12, table 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScimType {
    /// A filter that cannot be read, or is not for this place.
    InvalidFilter,
    /// More than is answered at once.
    TooMany,
    /// Somebody has it already.
    Uniqueness,
    /// Not for clients to change.
    Mutability,
    /// A body of another form.
    InvalidSyntax,
    /// A PATCH path that cannot be read, or leads nowhere.
    InvalidPath,
    /// A PATCH path that matches nothing.
    NoTarget,
    /// A value that cannot be.
    InvalidValue,
}

impl ScimError {
    /// A refusal with status 400.
    pub fn bad(kind: ScimType, detail: impl Into<String>) -> Self {
        Self { status: 400, kind: Some(kind), detail: detail.into() }
    }

    /// A refusal that the standard has only a status for.
    pub fn status(status: u16, detail: impl Into<String>) -> Self {
        Self { status, kind: None, detail: detail.into() }
    }

    /// A value that cannot be, and the attribute that it is of.
    pub fn value(attribute: &str, why: impl std::fmt::Display) -> Self {
        Self::bad(ScimType::InvalidValue, format!("{attribute}: {why}"))
    }

    /// The answer's body.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.to_string(),
            "detail": self.detail,
        });
        if let Some(kind) = self.kind {
            json["scimType"] = kind.as_str().into();
        }
        json
    }
}

impl ScimType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
        }
    }
}
