//! Which assignment let somebody in, noted once a day: an operator finds those that nobody uses.

use std::collections::BTreeMap;

use postern_model::Snapshot;
use postern_model::admin::Problem;
use postern_model::config::Preauth;
use postern_model::directory::{Assignment, Principal, assigned};
use postern_model::ids::AppId;
use postern_model::session::{KEPT_ABSOLUTE_S, SessionRecord};

use super::AssignmentQuery;
use crate::clock::now_unix;
use crate::control::{Actor, Control, Draft};
use crate::limits::USE_NOTED_S;
use crate::problem::problem;
use crate::store::Used;

/// Somebody comes from signing in to an application. What cannot be noted keeps nobody out.
pub(crate) fn note(control: &Control, app: AppId, record: &SessionRecord) {
    let Ok(Some(user)) = control.directory(|store| store.user(record.user.id)) else { return };
    let now = now_unix();
    let principal = {
        let groups = record.user.groups.keys().copied().collect();
        let snapshot = control.snapshot();
        assigned(&snapshot.assignments, &user, &groups, app, now).map(|assignment| assignment.principal)
    };
    let Some(principal) = principal else { return };
    let before = control.read("assignments", |store| store.assignment_used(app, principal));
    if before.is_ok_and(|before| before.is_some_and(|before| before.saturating_add(USE_NOTED_S) > now)) {
        return;
    }
    let mut draft = Draft::default();
    draft.used(Used { app, principal, at_unix: now });
    if let Err(problem) = control.commit(&Actor::Control, draft) {
        tracing::error!(%app, "it cannot be noted that an assignment was used: {}", problem.detail);
    }
}

/// A session that a browser keeps lets in for so long before control hears of it again: of less than that nothing is known.
pub(super) fn span(span_s: u64) -> Result<u64, Problem> {
    if span_s < UNUSED_S_MIN {
        let days = UNUSED_S_MIN / 86_400;
        let detail =
            format!("whether an assignment is used is known for {days} days and more: sessions are kept that long");
        return Err(problem("request-invalid", detail).about("unused"));
    }
    Ok(span_s)
}

impl AssignmentQuery {
    /// Whether it is one of those that nobody used for as long as asked, if that is asked. Where an application asks nobody
    /// who they are, no assignment is used.
    pub(super) fn is_unused(
        &self,
        snapshot: &Snapshot,
        used: &BTreeMap<(AppId, Principal), u64>,
        assignment: &Assignment,
    ) -> bool {
        let Some(since) = self.unused_since_unix else { return true };
        let asks = snapshot.apps.get(&assignment.app).is_some_and(|app| app.preauth == Preauth::Oidc);
        let used = used.get(&(assignment.app, assignment.principal)).copied().unwrap_or_default();
        asks && assignment.is_current(now_unix()) && used.max(assignment.created_unix_ms / 1000) < since
    }
}

/// A day more than a kept session, as uses are noted to the day.
const UNUSED_S_MIN: u64 = KEPT_ABSOLUTE_S + USE_NOTED_S;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::config::App;
    use postern_model::ids::{CertificateId, GroupId, TenantId};

    #[test]
    fn what_nobody_used_for_so_long_is_found() {
        let app = |seq, preauth| App {
            id: AppId::new(TenantId::DEFAULT, seq),
            name: format!("app{seq}").parse().unwrap(),
            group: GroupId::DEFAULT,
            external_url: "https://wiki.example.com/".into(),
            internal_url: "http://10.0.0.5/".into(),
            preauth,
            certificate: CertificateId::new(TenantId::DEFAULT, 1),
            settings: BTreeMap::new(),
        };
        let mut snapshot = Snapshot::default();
        for app in [app(1, Preauth::Oidc), app(2, Preauth::Passthrough)] {
            snapshot.apps.insert(app.id, app);
        }
        let id = |seq| AppId::new(TenantId::DEFAULT, seq);
        let assignment = |seq, created_unix: u64, expires_unix| Assignment {
            app: id(seq),
            principal: Principal::Everyone,
            role: None,
            expires_unix,
            created_unix_ms: created_unix * 1000,
        };
        let query = AssignmentQuery { unused_since_unix: Some(1_000), ..AssignmentQuery::default() };
        let used_at = |at| BTreeMap::from([((id(1), Principal::Everyone), at)]);
        let unused = |used: &BTreeMap<_, _>, held| query.is_unused(&snapshot, used, &held);
        assert!(unused(&BTreeMap::new(), assignment(1, 500, None)));
        assert!(unused(&used_at(999), assignment(1, 500, None)));
        assert!(!unused(&used_at(1_000), assignment(1, 500, None)));
        assert!(!unused(&BTreeMap::new(), assignment(1, 1_000, None)), "it is newer than that");
        assert!(!unused(&BTreeMap::new(), assignment(1, 500, Some(600))), "it has ended");
        assert!(!unused(&BTreeMap::new(), assignment(2, 500, None)), "nobody is asked who they are");
        assert!(AssignmentQuery::default().is_unused(&snapshot, &used_at(1_000), &assignment(1, 500, None)));
        assert!(span(UNUSED_S_MIN).is_ok());
        assert_eq!(span(UNUSED_S_MIN - 1).unwrap_err().code, "request-invalid");
    }
}
