//! Whether the user whom a check is about may open the application at all: else nothing that it finds is of use to them.

use postern_model::admin::{Problem, WhatIf, WhatIfAnswer};
use postern_model::check::{CheckStep, StepResult};
use postern_model::config::{App, Preauth, Tenant};
use postern_model::directory::User;
use postern_model::policy::Outcome;

use crate::control::Control;
use crate::policies;

/// The step that says so; none where nobody is asked who they are.
pub(super) fn step(control: &Control, tenant: &Tenant, app: &App, user: &User) -> Result<Option<CheckStep>, Problem> {
    match app.preauth {
        Preauth::Passthrough => return Ok(None),
        Preauth::Oidc => {}
    }
    let asked = WhatIf { user: user.login.to_string(), app: app.name.to_string(), ..WhatIf::default() };
    policies::what_if(control, tenant, asked).map(|answer| Some(judged(&answer)))
}

/// What policies say depends on where a request comes from, which a check does not know: it is no failure.
fn judged(answer: &WhatIfAnswer) -> CheckStep {
    let WhatIfAnswer { user, app, outcome, assigned, kept_out, .. } = answer;
    if let Some(why) = kept_out {
        let cure = format!("postern assign {app} --user {user}, and postern user show {user}");
        return CheckStep::new("access", StepResult::Fail, 0, &format!("{user} may not open it: {why}"), &cure);
    }
    let by = assigned.as_deref().unwrap_or("nothing");
    match outcome {
        Outcome::Allow => {
            let seen = format!("{user} is assigned by {by}, and no policy forbids it after a password");
            CheckStep::new("access", StepResult::Ok, 0, &seen, "")
        }
        Outcome::Block { .. } | Outcome::NeedsStepUp { .. } => {
            let seen =
                format!("{user} is assigned by {by}; after a password, from no known network, policies say: {outcome}");
            let cure = format!("postern policy what-if --user {user} --app {app} --ip ADDRESS says which, and why");
            CheckStep::new("access", StepResult::Warn, 0, &seen, &cure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::policy::SessionControls;

    #[test]
    fn who_may_not_pass_fails_and_what_policies_ask_is_to_be_known() {
        let answer = |outcome: Outcome, kept_out: Option<&str>| WhatIfAnswer {
            user: "bob".parse().unwrap(),
            app: "wiki".parse().unwrap(),
            outcome,
            session: SessionControls::default(),
            policies: Vec::new(),
            assigned: kept_out.is_none().then(|| "group/staff".into()),
            kept_out: kept_out.map(str::to_owned),
            warnings: Vec::new(),
        };
        let unassigned = judged(&answer(Outcome::Allow, Some("not assigned")));
        assert_eq!((unassigned.result, &*unassigned.seen), (StepResult::Fail, "bob may not open it: not assigned"));
        assert!(unassigned.cure.contains("postern assign wiki --user bob"), "{unassigned:?}");
        let blocked = judged(&answer(Outcome::Block { policies: Vec::new() }, None));
        assert!(blocked.result == StepResult::Warn && blocked.seen.contains("policies say: block"), "{blocked:?}");
        assert!(blocked.cure.contains("policy what-if --user bob --app wiki"), "{blocked:?}");
        let passes = judged(&answer(Outcome::Allow, None));
        assert!(passes.result == StepResult::Ok && passes.seen.contains("assigned by group/staff"), "{passes:?}");
    }
}
