//! Room for what users ask for by themselves: no more than their part, so that operators can always assign.

use postern_model::Snapshot;
use postern_model::admin::Problem;
use postern_model::config::App;
use postern_model::directory::Principal;
use postern_model::ids::AppId;

use super::take_away;
use crate::clock::now_unix;
use crate::control::{Control, Draft};
use crate::limits::ASSIGNMENTS_BY_USERS_MAX;
use crate::problem::problem;

/// For one more assignment to an application.
pub(super) fn make(control: &Control, draft: &mut Draft, app: &App) -> Result<(), Problem> {
    let going = going(&control.snapshot(), app.id, now_unix(), ASSIGNMENTS_BY_USERS_MAX);
    let Some(going) = going else {
        let detail = format!("there are {ASSIGNMENTS_BY_USERS_MAX} assignments already: only operators add more");
        return Err(problem("limit-reached", detail));
    };
    for principal in going {
        take_away(control, draft, app, principal)?;
    }
    Ok(())
}

/// What goes first, where there are too many: what is over, of the same application. `None`: that is not enough.
fn going(snapshot: &Snapshot, app: AppId, now_unix: u64, max: usize) -> Option<Vec<Principal>> {
    let all = &snapshot.assignments;
    if all.len() < max {
        return Some(Vec::new());
    }
    let over = all.values().filter(|held| held.app == app && !held.is_current(now_unix));
    let over: Vec<Principal> = over.map(|held| held.principal).collect();
    (all.len() - over.len() < max).then_some(over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::directory::Assignment;
    use postern_model::ids::{TenantId, UserId};

    #[test]
    fn what_is_over_goes_first_and_operators_keep_room() {
        let app = |seq| AppId::new(TenantId::DEFAULT, seq);
        let user = |seq| Principal::User(UserId::new(TenantId::DEFAULT, seq));
        let mut snapshot = Snapshot::default();
        for (of, who, expires_unix) in [(1, 1, Some(50)), (1, 2, None), (2, 1, Some(50))] {
            let held = Assignment { app: app(of), principal: user(who), role: None, expires_unix, created_unix_ms: 1 };
            snapshot.assignments.insert(held.key(), held);
        }
        assert_eq!(going(&snapshot, app(1), 100, 4), Some(Vec::new()), "nothing needs to go");
        assert_eq!(going(&snapshot, app(1), 100, 3), Some(vec![user(1)]));
        assert_eq!(going(&snapshot, app(1), 40, 3), None, "it counts still");
        assert_eq!(going(&snapshot, app(1), 100, 2), None);
        assert_eq!(going(&snapshot, app(3), 100, 3), None, "other applications' stay");
    }
}
