//! Answers: refusals of the directory in the protocol's words, times and versions as it writes them.

use postern_model::admin::Problem;
use postern_model::scim::{Answer, Meta, ScimError, ScimType};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::limits::SCIM_ANSWER_BYTES_MAX;
use crate::store::Marks;

/// An answer with a body.
pub(super) fn ok(body: Value) -> Answer {
    Answer { status: 200, body: Some(body), ..Answer::default() }
}

/// A refusal.
pub(super) fn refused(error: &ScimError) -> Answer {
    Answer { status: error.status, body: Some(error.to_json()), ..Answer::default() }
}

/// What the directory refuses.
pub(super) fn problem_of(problem: Problem) -> ScimError {
    let detail = match &problem.pointer {
        Some(pointer) => format!("{pointer}: {}", problem.detail),
        None => problem.detail.clone(),
    };
    match problem.code.as_str() {
        "name-taken" => ScimError { status: 409, kind: Some(ScimType::Uniqueness), detail },
        "request-invalid" | "password-refused" | "user-group-cycle" => ScimError::bad(ScimType::InvalidValue, detail),
        "user-group-dynamic" => ScimError::bad(ScimType::Mutability, detail),
        _ => ScimError::status(problem.status, detail), // the others have no word there
    }
}

/// A resource's `meta`.
pub(super) fn meta(marks: &Marks, created_unix_ms: Option<u64>, location: String) -> Meta {
    Meta {
        created: created_unix_ms.and_then(time_text),
        last_modified: marks.changed_unix_ms.or(created_unix_ms).and_then(time_text),
        version: format!("W/\"{}\"", marks.version),
        location,
    }
}

fn time_text(unix_ms: u64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).ok()?;
    time.format(&Rfc3339).ok()
}

/// Resources that fit an answer, one behind the other: a page may be shorter than asked for (RFC 7644 §3.4.2.4).
#[derive(Default)]
pub(super) struct PageSize(usize);

impl PageSize {
    /// Whether this one fits, too. The first always does.
    pub(super) fn has_room(&mut self, resource: &Value) -> bool {
        let bytes = resource.to_string().len();
        let is_first = self.0 == 0;
        self.0 = self.0.saturating_add(bytes);
        is_first || self.0 <= SCIM_ANSWER_BYTES_MAX
    }
}
