//! What an application is told of a user: headers, and a signed assertion if it wants one. Made once for a session and an
//! application, so that each request of a connection only gets ready bytes.

use std::sync::Arc;

use postern_http::Headers;
use postern_model::assertion::{About, Assertion, NotSigned};
use postern_model::claims::Claims;
use postern_model::directory::Assignment;
use postern_model::plan::{Plan, PlannedApp};

use super::reject::Reject;
use super::sign_in::issuer_of;
use crate::limits::ASSERTION_RENEWED_BEFORE_S;
use crate::sessions::Held;

/// Fields that are ready to be sent, and what they were made of.
#[derive(Debug)]
pub(crate) struct Told {
    app: Arc<PlannedApp>,
    held: Arc<Held>,
    assignment: Arc<Assignment>,
    fields: Headers,
    /// From this second on an assertion among them is to be a new one.
    renewed_unix: u64,
}

impl Told {
    /// Of a user whom `assignment` lets in.
    pub(crate) fn make(
        app: &Arc<PlannedApp>,
        held: &Arc<Held>,
        assignment: &Arc<Assignment>,
        plan: &Plan,
        now_unix: u64,
    ) -> Result<Self, Reject> {
        let claims = Claims::of(&held.record, assignment);
        let values =
            app.settings.sso_headers.values(&claims).map_err(|error| Reject::sso_too_long(error.0.as_str()))?;
        let mut fields = Headers::default();
        for (name, value) in values {
            append(&mut fields, name.as_str(), &value);
        }
        let mut renewed_unix = u64::MAX;
        if let Some(name) = &app.settings.sso_assertion {
            let assertion = assertion(app, held, assignment, plan, now_unix)?;
            append(&mut fields, name.as_str(), &assertion.token);
            renewed_unix = assertion.expires_unix.saturating_sub(ASSERTION_RENEWED_BEFORE_S);
        }
        let (app, held, assignment) = (Arc::clone(app), Arc::clone(held), Arc::clone(assignment));
        Ok(Self { app, held, assignment, fields, renewed_unix })
    }

    /// Whether it is of these very objects, and not too old. What lets the user in must be [`Self::assignment`] still. At each of its
    /// places an application is told the same.
    pub(crate) fn is_of(&self, app: &Arc<PlannedApp>, held: &Arc<Held>, now_unix: u64) -> bool {
        Arc::ptr_eq(&self.app.places, &app.places) && Arc::ptr_eq(&self.held, held) && now_unix < self.renewed_unix
    }

    /// What let the user in when it was made.
    pub(crate) fn assignment(&self) -> &Arc<Assignment> {
        &self.assignment
    }

    /// Adds the fields. What a client said there was removed before.
    pub(crate) fn tell(&self, headers: &mut Headers) {
        headers.append_all(&self.fields);
    }
}

fn append(fields: &mut Headers, name: &str, value: &str) {
    let appended = fields.append(name, value);
    assert!(appended.is_ok(), "names and values of claims are those of fields");
}

fn assertion(
    app: &PlannedApp,
    held: &Held,
    assignment: &Assignment,
    plan: &Plan,
    now_unix: u64,
) -> Result<Assertion, Reject> {
    let identity = plan.identity().ok_or_else(Reject::sso_unavailable)?;
    let (issuer, audience) = (issuer_of(identity), app.audience());
    let about = About { issuer: &issuer, audience: &audience, record: &held.record, assignment };
    plan.assertions().sign(&about, now_unix).map_err(|error| match error {
        NotSigned::Unable => Reject::sso_unavailable(),
        NotSigned::TooLong => Reject::sso_too_long("the assertion"),
    })
}
