//! What is decided, and about what. Where several policies apply, all of them count: a block beats everything, requirements
//! add up, and of times the shorter holds.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Asn, ClientKind, Country, DeviceState, Grant, Platform, Policy, Requirement, Risk, SessionControls};
use crate::directory::as_text;
use crate::ids::PolicyId;
use crate::session::{AuthMethod, SessionRecord};
use crate::terms::AcceptedTerms;

/// What a decision is made about, besides whose request it is and to which application: what may change from one request of a
/// session to the next.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The session, or the one that is to be; nothing for a machine with a service token.
    pub session: Option<&'a SessionRecord>,
    /// Where the request comes from; an unknown address is in no network.
    pub source: Option<IpAddr>,
    /// The country of that address; what is not known counts as [`Country::UNKNOWN`].
    pub country: Option<Country>,
    /// The autonomous system of that address; what is not known counts as [`Asn::UNKNOWN`].
    pub asn: Option<Asn>,
    /// What the device runs.
    pub platform: Platform,
    /// What kind of program asks.
    pub client: ClientKind,
    /// How likely it is that someone else signed in.
    pub risk: Risk,
    /// What is known of the device.
    pub device: DeviceState,
    /// Terms that the user accepted.
    pub terms: &'a AcceptedTerms,
    /// Whether its cookie outlasts the browser because the application has it so; what the user chose, the session says.
    pub outlasts: bool,
}

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether the request may pass.
    pub outcome: Outcome,
    /// What the session is bound by. How long it may be idle and may last is for its keeper to count, who alone knows when
    /// it began and was used.
    pub session: SessionControls,
    /// Policies that are in force and apply, in the order of their ids. [`super::trace()`] tells why.
    pub applied: Vec<PolicyId>,
    /// Policies that only report and would apply.
    pub report_only: Vec<Reported>,
}

/// Whether a request may pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// It may. So it is where no policy applies, too.
    Allow,
    /// It may after these; each of them is needed.
    NeedsStepUp {
        /// What is needed. None of them is part of another.
        steps: BTreeSet<Step>,
    },
    /// It may not, whatever the user does.
    Block {
        /// The policies that say so, in the order of their ids.
        policies: Vec<PolicyId>,
    },
}

/// One of these is needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Step(pub BTreeSet<StepUp>);

/// What a user can do to pass. As text: `mfa`, `reauthenticate`, `registered-device`, `compliant-device`, `terms/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepUp {
    /// Prove again who they are: they did so too long ago or never in person, or the session lasts longer than it may.
    Reauthenticate,
    /// What a policy requires.
    Meet(Requirement),
}

/// What a policy that only reports would do by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Which.
    pub policy: PolicyId,
    /// What it would say.
    pub outcome: Outcome,
}

/// What policies say together, as they are added one by one.
#[derive(Default)]
pub(super) struct Tally {
    blocking: Vec<PolicyId>,
    steps: BTreeSet<Step>,
    session: SessionControls,
    applied: Vec<PolicyId>,
}

impl Input<'_> {
    /// Seconds since the user proved who they are; 0 for machines, which do so each time.
    pub(super) fn auth_age_s(&self, now_unix: u64) -> u64 {
        self.session.map_or(0, |session| now_unix.saturating_sub(session.authenticated_unix))
    }

    pub(super) fn is_multi_factor(&self) -> bool {
        self.session.is_some_and(SessionRecord::is_multi_factor)
    }

    pub(super) fn methods(&self) -> impl Iterator<Item = AuthMethod> {
        self.session.into_iter().flat_map(|session| session.methods.iter().copied())
    }

    /// Whether a requirement is met already.
    pub(super) fn meets(&self, requirement: &Requirement, now_unix: u64) -> bool {
        match requirement {
            Requirement::Mfa => self.is_multi_factor(),
            Requirement::RegisteredDevice => self.device >= DeviceState::Registered,
            Requirement::CompliantDevice => self.device == DeviceState::Compliant,
            Requirement::Terms(name) => self.terms.count(name, now_unix),
        }
    }

    /// Whether somebody is to prove from time to time who they are, and the session is by a ticket or a device alone: a new one
    /// would be there at once, whoever sits at the computer.
    pub(super) fn is_too_silent(&self, controls: &SessionControls) -> bool {
        let is_asked_for = controls.sign_in_frequency_s.is_some() || controls.idle_max_s.is_some();
        is_asked_for && self.session.is_some_and(SessionRecord::is_silent)
    }

    /// Whether the session is older than it may be, or of a kind that it may not be of.
    pub(super) fn is_outgrown(&self, controls: &SessionControls, now_unix: u64) -> bool {
        let age_s = self.auth_age_s(now_unix);
        // A session began no later than the user proved last who they are: one that is over by that is over.
        let times = [controls.sign_in_frequency_s, controls.lifetime_max_s];
        let persists = self.outlasts || self.session.is_some_and(|session| session.persistent);
        times.into_iter().flatten().any(|time_s| age_s >= u64::from(time_s))
            || controls.no_persistent && persists
            || self.is_too_silent(controls)
    }
}

impl Tally {
    /// Adds a policy that applies.
    pub(super) fn add(&mut self, policy: &Policy, input: &Input<'_>, now_unix: u64) {
        self.applied.push(policy.id);
        self.session = self.session.and(policy.session);
        if input.is_outgrown(&policy.session, now_unix) {
            self.steps.insert(Step(BTreeSet::from([StepUp::Reauthenticate])));
        }
        match &policy.grant {
            Grant::Block => self.blocking.push(policy.id),
            Grant::Require { all, any } => {
                let unmet = all.iter().filter(|requirement| !input.meets(requirement, now_unix));
                self.steps.extend(unmet.map(|requirement| Step(BTreeSet::from([StepUp::Meet(requirement.clone())]))));
                if !any.is_empty() && !any.iter().any(|requirement| input.meets(requirement, now_unix)) {
                    self.steps.insert(Step(any.iter().cloned().map(StepUp::Meet).collect()));
                }
            }
        }
    }

    pub(super) fn decision(self, report_only: Vec<Reported>) -> Decision {
        let Self { blocking, steps, session, applied } = self;
        Decision { outcome: outcome(blocking, steps), session, applied, report_only }
    }
}

impl Policy {
    /// What it says by itself where it applies; whether it does is not looked at.
    #[must_use]
    pub fn says(&self, input: &Input<'_>, now_unix: u64) -> Outcome {
        alone(self, input, now_unix)
    }
}

/// What a policy that applies says by itself.
pub(super) fn alone(policy: &Policy, input: &Input<'_>, now_unix: u64) -> Outcome {
    let mut tally = Tally::default();
    tally.add(policy, input, now_unix);
    outcome(tally.blocking, tally.steps)
}

fn outcome(blocking: Vec<PolicyId>, steps: BTreeSet<Step>) -> Outcome {
    if !blocking.is_empty() {
        return Outcome::Block { policies: blocking };
    }
    if steps.is_empty() {
        return Outcome::Allow;
    }
    // Whoever does what a narrower step asks has done the wider one, too. A compliant device is a registered one.
    let narrower = |step: &Step| steps.iter().any(|other| other != step && other.is_within(step));
    Outcome::NeedsStepUp { steps: steps.iter().filter(|step| !narrower(step)).cloned().collect() }
}

impl Step {
    /// Whether whatever does for this one does for the other, too.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let compliant = StepUp::Meet(Requirement::CompliantDevice);
        let registered = StepUp::Meet(Requirement::RegisteredDevice);
        let does = |step: &StepUp| other.0.contains(step) || *step == compliant && other.0.contains(&registered);
        self.0.iter().all(does)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allow"),
            Self::Block { .. } => f.write_str("block"),
            Self::NeedsStepUp { steps } => {
                let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
                write!(f, "needs {}", steps.join(" and "))
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        if steps.len() > 1 { write!(f, "one of ({})", steps.join(", ")) } else { f.write_str(&steps.concat()) }
    }
}

impl fmt::Display for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reauthenticate => f.write_str(REAUTHENTICATE),
            Self::Meet(requirement) => requirement.fmt(f),
        }
    }
}

impl FromStr for StepUp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == REAUTHENTICATE { Ok(Self::Reauthenticate) } else { text.parse().map(Self::Meet) }
    }
}

as_text!(StepUp);

const REAUTHENTICATE: &str = "reauthenticate";
