//! What a session is worth to an application.

use std::time::Duration;

use postern_io::{BackendKind, Runtime, RuntimeOptions};
use postern_model::config::Preauth;
use postern_model::directory::{Assignment, Principal};
use postern_model::session::AuthMethod;

use super::*;
use crate::sessions::tests::record;
use crate::worker::tests::publication;

/// The application asks, lets everybody in, and has this setting.
fn published(mfa: &str) -> (Published, Arc<PlannedApp>) {
    let published = publication(1, |snapshot| {
        let app = snapshot.apps.values_mut().next().unwrap();
        app.preauth = Preauth::Oidc;
        app.settings.insert("mfa".into(), mfa.into());
        let everyone = Assignment {
            app: app.id,
            principal: Principal::Everyone,
            role: None,
            expires_unix: None,
            created_unix_ms: 0,
        };
        snapshot.assignments.insert(everyone.key(), everyone);
    });
    let app = Arc::clone(published.plan.apps().next().unwrap());
    (published, app)
}

fn person(published: &Published, methods: &[AuthMethod]) -> Person {
    let record = postern_model::session::SessionRecord { methods: methods.iter().copied().collect(), ..record(1, 1) };
    let held = published.sessions.put(record, Duration::ZERO);
    let applicable = Arc::default();
    let circumstances = Circumstances::anywhere();
    Person::new(held, applicable, circumstances, 0)
}

#[test]
fn where_two_factors_are_demanded_one_is_none() {
    let one: &[AuthMethod] = &[AuthMethod::Password];
    for (mfa, methods, let_in) in [
        ("off", one, true),
        ("required", one, false),
        ("required", &[AuthMethod::OneTimePassword], false),
        ("required", &[AuthMethod::Federated], false),
        ("required", &[AuthMethod::SoftwareKey], false),
        ("required", &[AuthMethod::SoftwareKey, AuthMethod::OneTimePassword], true),
        ("required", &[AuthMethod::Password, AuthMethod::OneTimePassword], true),
        ("required", &[AuthMethod::Federated, AuthMethod::OneTimePassword], true),
        ("required", &[AuthMethod::HardwareKey], true),
        ("required", &[AuthMethod::MultiFactor], true),
    ] {
        let (published, app) = published(mfa);
        let mut person = person(&published, methods);
        let options = RuntimeOptions { backend: BackendKind::Sim, seed: Some(1), ..RuntimeOptions::default() };
        let looked = async move { counts(&mut person, &app, (&published.plan, None), 100).map(drop) };
        let found = Runtime::new(options).unwrap().run(looked).unwrap();
        match found {
            Ok(_) => assert!(let_in, "{mfa} {methods:?}"),
            // They are sent to sign in, not told that they may not.
            Err(found) => assert!(!let_in && matches!(found, NoSession::OneFactor(_)), "{mfa} {methods:?}: {found:?}"),
        }
    }
}

#[test]
fn a_demand_is_looked_at_by_requests_in_progress() {
    let ((before, _), (after, _)) = (published("off"), published("required"));
    assert!(!before.plan.permits_as(&after.plan));
    assert!(before.plan.permits_as(&published("off").0.plan));
}
