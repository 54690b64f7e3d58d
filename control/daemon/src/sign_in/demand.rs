//! What a sign-in must prove: decided here and nowhere else.

mod device;

use std::collections::BTreeMap;

use postern_model::config::App;
use postern_model::identity::Missed;
use postern_model::ids::AppId;
use postern_model::policy::{
    ClientKind, Decision, DeviceState, Input, Outcome, Platform, Requirement, Risk, Step, StepUp,
};
use postern_model::session::{SessionRecord, is_multi_factor};
use postern_model::settings::{AppSettings, Mfa};
use postern_model::terms::AnyTerms;

use super::flow::{At, Goal};
use crate::clock::now_unix;
use crate::control::Control;
use crate::sessions;
use crate::store::StoredSession;
use crate::store::sign_in::{Logged, POLICIES_MAX, PolicySaid};

/// What a session must be worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Demand {
    /// Two different things are proven.
    pub(super) multi_factor: bool,
    /// The proof is not older than this.
    pub(super) max_age_s: Option<u64>,
    /// No proof from before is enough.
    pub(super) again: bool,
    /// It must not outlive the browser.
    pub(super) no_persistent: bool,
    /// Terms of use are accepted.
    pub(super) terms: bool,
    /// A device is shown, or another than was shown.
    pub(super) device: bool,
}

/// What a session lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmet {
    /// A second factor.
    Factor,
    /// It is too old: everything again.
    Everything,
    /// A device that counts.
    Device,
    /// Terms of use are to be accepted.
    Terms,
}

/// What must be proven for an application: by its own setting, by what its relay missed, and by the policies that are about
/// the session, be it one that would be.
pub(super) fn demanded(control: &Control, at: &At<'_>, session: &StoredSession) -> Demand {
    let Missed { multi_factor, again, ref terms, device: _ } = at.flow.missed;
    // A service provider that says so would refuse whom a ticket or a device alone signed in.
    let wants_password = matches!(&at.flow.goal, Goal::Saml(wanted) if wanted.wants_password());
    let again = again || wants_password && session.is_silent();
    let device = device::is_due(control, at, session);
    let mut demand = Demand { multi_factor, again, device, terms: !terms.is_empty(), ..Demand::default() };
    for app in apps(at) {
        demand.multi_factor |= mfa(control, at, app) == Mfa::Required;
    }
    for decision in look(control, at, session) {
        demand.add(&decision, session.seen_unix, now_unix());
    }
    demand
}

/// Asks the policies about the session for each of the applications, and keeps what they said for the log.
pub(super) fn look(control: &Control, at: &At<'_>, session: &StoredSession) -> Vec<Decision> {
    let Some(record) = sessions::record_of(control, session).ok().flatten() else { return Vec::new() };
    let input = input(control, at, session.risk, &record, record.device_state(now_unix()));
    let decide = |app| control.prepared().policies.decide(&record.user, app, &input, now_unix());
    let decisions: Vec<Decision> = apps(at).into_iter().map(decide).collect();
    at.flow.policies.replace(said(control, &decisions, &input));
    decisions
}

/// By name, each once.
fn said(control: &Control, decisions: &[Decision], input: &Input<'_>) -> Vec<PolicySaid> {
    let snapshot = control.snapshot();
    let in_force = |decision: &Decision| decision.applied.iter().map(|id| (*id, "")).collect::<Vec<_>>();
    let reported =
        |decision: &Decision| decision.report_only.iter().map(|of| (of.policy, REPORT_ONLY)).collect::<Vec<_>>();
    let applied: BTreeMap<_, _> =
        decisions.iter().flat_map(|decision| [in_force(decision), reported(decision)].concat()).collect();
    let named = applied.into_iter().filter_map(|(id, state)| Some((snapshot.policies.get(&id)?, state)));
    let said = named.take(POLICIES_MAX).map(|(policy, state)| {
        let outcome = format!("{state}{}", policy.says(input, now_unix()));
        (Logged::cut(policy.name.as_str()), Logged::cut(&outcome))
    });
    said.collect()
}

/// The applications whose conditions are met: for a client there may be several, and what the strictest of them wants counts.
pub(super) fn apps(at: &At<'_>) -> Vec<AppId> {
    match &at.flow.goal {
        Goal::Client(wanted) if !wanted.conditions.is_empty() => wanted.conditions.clone(),
        Goal::Client(_) | Goal::App | Goal::Account | Goal::Portal | Goal::Password | Goal::Saml(_) => vec![at.app.id],
    }
}

/// Settings that cannot be read demand the most: an application that has such is not served in any case.
fn mfa(control: &Control, at: &At<'_>, app: AppId) -> Mfa {
    let of = |app: &App| AppSettings::parse(&app.settings).map_or(Mfa::Required, |settings| settings.mfa);
    if app == at.app.id { of(at.app) } else { control.snapshot().apps.get(&app).map_or(Mfa::Required, of) }
}

/// As the application's relay will decide, who has the last word. Of users who are not there yet only it can.
pub(super) fn decision(control: &Control, at: &At<'_>, session: &StoredSession) -> Option<Decision> {
    decision_for(control, at, at.app.id, session)
}

/// The same for one of several applications.
pub(super) fn decision_for(control: &Control, at: &At<'_>, app: AppId, session: &StoredSession) -> Option<Decision> {
    let record = sessions::record_of(control, session).ok().flatten()?;
    Some(decide(control, at, (app, session.risk), &record, record.device_state(now_unix())))
}

/// The same, were this the device's state.
fn decide(
    control: &Control,
    at: &At<'_>,
    (app, risk): (AppId, Risk),
    record: &SessionRecord,
    device: DeviceState,
) -> Decision {
    control.prepared().policies.decide(&record.user, app, &input(control, at, risk, record, device), now_unix())
}

fn input<'a>(control: &Control, at: &At<'_>, risk: Risk, record: &'a SessionRecord, device: DeviceState) -> Input<'a> {
    Input {
        session: Some(record),
        source: Some(at.client.address.to_canonical()),
        country: control.country(at.client.address),
        asn: control.asn(at.client.address),
        platform: Platform::of_user_agent(at.client.user_agent.as_bytes()),
        client: ClientKind::Browser,
        risk,
        device,
        terms: &record.terms,
        // Its cookies are the relays' to judge.
        outlasts: false,
    }
}

const REPORT_ONLY: &str = "report-only: ";

/// The terms of use that a decision asks for, one of each to be accepted: where something else would do, nothing but terms is
/// asked for that can be shown here.
pub(super) fn asked_terms(decision: &Decision) -> impl Iterator<Item = AnyTerms> {
    let steps = match &decision.outcome {
        Outcome::NeedsStepUp { steps } => Some(steps),
        Outcome::Allow | Outcome::Block { .. } => None,
    };
    steps.into_iter().flatten().filter_map(|step| {
        let Step(any) = step;
        let is_other = any.contains(&StepUp::Reauthenticate) || any.contains(&StepUp::Meet(Requirement::Mfa));
        AnyTerms::of(step).filter(|_| !is_other)
    })
}

impl Demand {
    /// What can be done about it here; what of it devices can do is looked at apart.
    fn add(&mut self, decision: &Decision, seen_unix: u64, now_unix: u64) {
        let idle_max = decision.session.idle_max_s.map(u64::from);
        self.again |= idle_max.is_some_and(|idle_max| seen_unix.saturating_add(idle_max) <= now_unix);
        self.no_persistent |= decision.session.no_persistent;
        if let Outcome::NeedsStepUp { steps } = &decision.outcome {
            let asks = |step: &StepUp| steps.iter().any(|Step(any)| any.contains(step));
            self.again |= asks(&StepUp::Reauthenticate);
            self.multi_factor |= asks(&StepUp::Meet(Requirement::Mfa));
            self.terms |= asked_terms(decision).next().is_some();
        }
    }

    /// What a session lacks, if anything.
    pub(super) fn unmet(&self, session: &StoredSession, now_unix: u64) -> Option<Unmet> {
        let is_old = |max: u64| session.authenticated_unix.saturating_add(max) <= now_unix;
        if self.again || self.max_age_s.is_some_and(is_old) {
            return Some(Unmet::Everything);
        }
        // Before a factor: of whom shows a device that counts policies may want none.
        if self.device {
            return Some(Unmet::Device);
        }
        if self.multi_factor && !is_multi_factor(&session.methods) {
            return Some(Unmet::Factor);
        }
        self.terms.then_some(Unmet::Terms)
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
            risk: Risk::Low,
            device: None,
            claimed_device: Default::default(),
        }
    }

    #[test]
    fn a_session_is_enough_or_lacks_something() {
        let (password, both) =
            (session(&[AuthMethod::Password]), session(&[AuthMethod::Password, AuthMethod::OneTimePassword]));
        let nothing = Demand::default();
        assert_eq!((nothing.unmet(&password, 9_999), nothing.unmet(&both, 9_999)), (None, None));
        let strong = Demand { multi_factor: true, ..Demand::default() };
        assert_eq!((strong.unmet(&password, 101), strong.unmet(&both, 9_999)), (Some(Unmet::Factor), None));
        let fresh = Demand { multi_factor: true, max_age_s: Some(60), ..Demand::default() };
        assert_eq!(fresh.unmet(&both, 159), None);
        assert_eq!(fresh.unmet(&both, 160), Some(Unmet::Everything));
        assert_eq!(fresh.unmet(&password, 160), Some(Unmet::Everything));
        let again = Demand { again: true, ..Demand::default() };
        assert_eq!(again.unmet(&both, 100), Some(Unmet::Everything));
        let device = Demand { device: true, terms: true, ..strong };
        assert_eq!(device.unmet(&password, 101), Some(Unmet::Device), "policies may want no factor then");
        assert_eq!(Demand { again: true, ..device }.unmet(&password, 101), Some(Unmet::Everything));
    }
}
