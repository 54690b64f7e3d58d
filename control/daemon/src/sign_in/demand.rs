//! What a sign-in must prove: decided here and nowhere else.

use postern_model::config::App;
use postern_model::directory::User;
use postern_model::identity::ClientInfo;
use postern_model::session::is_multi_factor;
use postern_model::settings::{AppSettings, Mfa};

use crate::control::Control;
use crate::store::StoredSession;

/// What a session must be worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Demand {
    /// Two different things are proven.
    pub(super) multi_factor: bool,
    /// The proof is not older than this.
    pub(super) max_age_s: Option<u64>,
}

/// What a session lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmet {
    /// A second factor.
    Factor,
    /// It is too old: everything again.
    Everything,
}

/// What this user must prove for this application, coming from there.
pub(super) fn demanded(_: &Control, app: &App, _: &User, _: &ClientInfo) -> Demand {
    // Settings that cannot be read demand the most: an application that has such is not served in any case.
    let mfa = AppSettings::parse(&app.settings).map_or(Mfa::Required, |settings| settings.mfa);
    Demand { multi_factor: mfa == Mfa::Required, max_age_s: None }
}

impl Demand {
    /// What a session lacks, if anything.
    pub(super) fn unmet(&self, session: &StoredSession, now_unix: u64) -> Option<Unmet> {
        let is_old = |max: u64| session.authenticated_unix.saturating_add(max) <= now_unix;
        if self.max_age_s.is_some_and(is_old) {
            return Some(Unmet::Everything);
        }
        (self.multi_factor && !is_multi_factor(&session.methods)).then_some(Unmet::Factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::ids::{SessionId, TenantId, UserId};
    use postern_model::session::AuthMethod;

    fn session(methods: &[AuthMethod]) -> StoredSession {
        StoredSession {
            id: SessionId(1),
            user: UserId::new(TenantId::DEFAULT, 1),
            browser: [0; 32],
            created_unix: 100,
            authenticated_unix: 100,
            methods: methods.iter().copied().collect(),
            provider: None,
            source: None,
            user_agent: String::new(),
            expires_unix: 10_000,
            idle_s: 100,
            persistent: false,
            seen_unix: 100,
        }
    }

    #[test]
    fn a_session_is_enough_or_lacks_something() {
        let (password, both) =
            (session(&[AuthMethod::Password]), session(&[AuthMethod::Password, AuthMethod::OneTimePassword]));
        let nothing = Demand::default();
        assert_eq!((nothing.unmet(&password, 9_999), nothing.unmet(&both, 9_999)), (None, None));
        let strong = Demand { multi_factor: true, max_age_s: None };
        assert_eq!((strong.unmet(&password, 101), strong.unmet(&both, 9_999)), (Some(Unmet::Factor), None));
        let fresh = Demand { multi_factor: true, max_age_s: Some(60) };
        assert_eq!(fresh.unmet(&both, 159), None);
        assert_eq!(fresh.unmet(&both, 160), Some(Unmet::Everything));
        assert_eq!(fresh.unmet(&password, 160), Some(Unmet::Everything));
    }
}
