//! Conditional access: what the policies make of one request, once it is known whose it is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use postern_http::{Known, RequestHead};
use postern_io::{Instant, now, wall_clock};
use postern_model::identity::{MISSED_TERMS_MAX, Missed};
use postern_model::ids::{AppId, PolicyId};
use postern_model::policy::{
    Applicable, Asn, ClientKind, Country, Decision, DeviceState, Input, Outcome, Platform, Requirement, Risk, Step,
    StepUp,
};
use postern_model::session::SessionRecord;
use postern_model::terms::{AcceptedTerms, AnyTerms};
use postern_tunnel::Detail;

use super::reject::Reject;
use super::session::Session;
use crate::countries::Countries;
use crate::limits::POLICY_LOOK_INTERVAL;
use crate::published::Published;
use crate::record::access::Judged;

/// Where a request comes from and by what, as far as policies ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    source: IpAddr,
    platform: Platform,
    /// Where any policy asks for it.
    country: Option<Country>,
    /// Likewise.
    asn: Option<Asn>,
    client: ClientKind,
    /// The application had its cookie outlast the browser.
    outlasts: bool,
}

/// Why a policy keeps somebody out.
#[derive(Debug)]
pub(crate) enum Unmet {
    Blocked(Vec<PolicyId>),
    Asked(Vec<PolicyId>, BTreeSet<Step>),
    /// Nothing was done for longer than a policy allows.
    Idle,
}

impl Circumstances {
    #[cfg(test)]
    pub(crate) fn anywhere() -> Self {
        let source = IpAddr::from([192, 0, 2, 1]);
        let client = ClientKind::Browser;
        Self { source, platform: Platform::Other, client, country: None, asn: None, outlasts: false }
    }

    /// Nothing is looked at where nothing is asked.
    pub(crate) fn of(head: &RequestHead, session: &Session, applicable: &Applicable, countries: &Countries) -> Self {
        let platform = match applicable.is_empty() {
            true => Platform::Other,
            false => Platform::of_user_agent(head.headers.get(Known::UserAgent).unwrap_or_default()),
        };
        let country = applicable.asks_country().then(|| session.country(countries));
        let asn = applicable.asks_asn().then(|| session.asn(countries));
        let source = session.address.ip().to_canonical();
        Self { source, platform, client: ClientKind::Browser, country, asn, outlasts: false }
    }

    /// By a cookie that outlasts the browser, or does not.
    pub(crate) fn by_cookie(self, outlasts: bool) -> Self {
        Self { outlasts, ..self }
    }

    /// A program asks, and no browser.
    pub(crate) fn of_a_program(self) -> Self {
        Self { client: ClientKind::Native, ..self }
    }

    /// The same in the middle of a request: policies, or the database of countries, may be others.
    pub(crate) fn look_again(&mut self, applicable: &Applicable, countries: &Countries) {
        self.country = applicable.asks_country().then(|| countries.of(self.source));
        self.asn = applicable.asks_asn().then(|| countries.asn(self.source));
    }

    /// What the policies say of a session that is used so, if any is about it; `seen_unix`: when it was used last.
    pub(crate) fn decide(
        &self,
        applicable: &Applicable,
        record: &SessionRecord,
        seen_unix: u64,
        now_unix: u64,
    ) -> Option<Judged> {
        if applicable.is_empty() {
            return None;
        }
        let device = record.device_state(now_unix);
        let input = Input {
            session: Some(record),
            source: Some(self.source),
            country: self.country,
            asn: self.asn,
            platform: self.platform,
            client: self.client,
            risk: record.risk,
            device,
            terms: &record.terms,
            outlasts: self.outlasts,
        };
        let decision = applicable.decide(&input, now_unix);
        let idle_max = decision.session.idle_max_s.map(u64::from);
        let idle = idle_max.is_some_and(|idle_max| seen_unix.saturating_add(idle_max) <= now_unix);
        let Self { platform, country, asn, outlasts, .. } = *self;
        Some(Judged { decision, platform, country, asn, device, outlasts, idle })
    }
}

impl Judged {
    /// Why it may not pass, if it may not.
    pub(crate) fn unmet(&self) -> Option<Unmet> {
        if self.idle { Some(Unmet::Idle) } else { Unmet::of(&self.decision).err() }
    }
}

/// Whether a machine with a service token may do so, and until when it is not to be looked at again: policies may go by time.
pub(crate) fn machine(
    published: &Published,
    app: AppId,
    source: IpAddr,
    (country, asn): (impl FnOnce() -> Country, impl FnOnce() -> Asn),
) -> Result<Option<Instant>, Unmet> {
    let applicable = published.plan.policies().for_service(app);
    if applicable.is_empty() {
        return Ok(None);
    }
    let terms = AcceptedTerms::default();
    let input = Input {
        session: None,
        source: Some(source.to_canonical()),
        country: applicable.asks_country().then(country),
        asn: applicable.asks_asn().then(asn),
        platform: Platform::Other,
        client: ClientKind::Service,
        risk: Risk::Low,
        device: DeviceState::Unknown,
        terms: &terms,
        outlasts: false,
    };
    Unmet::of(&applicable.decide(&input, wall_clock().as_secs()))?;
    Ok(Some(now().after(POLICY_LOOK_INTERVAL)))
}

impl Unmet {
    fn of(decision: &Decision) -> Result<(), Self> {
        match &decision.outcome {
            Outcome::Allow => Ok(()),
            Outcome::Block { policies } => Err(Self::Blocked(policies.clone())),
            Outcome::NeedsStepUp { steps } => Err(Self::Asked(decision.applied.clone(), steps.clone())),
        }
    }

    /// What the place to sign in can do about it: nothing, where only one thing is left that it cannot. A device it can ask for
    /// where `can_show_device`.
    pub(crate) fn missed(&self, can_show_device: bool) -> Option<Missed> {
        let steps = match self {
            Self::Blocked(_) => return None,
            Self::Idle => return Some(Missed { again: true, ..Missed::default() }),
            Self::Asked(_, steps) => steps,
        };
        let mut missed = Missed::default();
        let mut named = 0;
        for step in steps {
            let (Step(any), terms) = (step, AnyTerms::of(step));
            match (any.contains(&StepUp::Reauthenticate), any.contains(&StepUp::Meet(Requirement::Mfa)), terms) {
                (true, _, _) => missed.again = true,
                (false, true, _) => missed.multi_factor = true,
                (false, false, Some(any)) => {
                    let more = any.names().count();
                    // What is more than one way can ask for is asked for on the next.
                    if named + more <= MISSED_TERMS_MAX {
                        named += more;
                        missed.terms.insert(any);
                    }
                }
                // All that is left is a device.
                (false, false, None) if can_show_device => missed.device = true,
                (false, false, None) => return None,
            }
        }
        Some(missed)
    }

    /// What is told to whoever asks.
    pub(crate) fn reject(&self) -> Reject {
        match self {
            Self::Blocked(_) => Reject::policy_blocked(),
            Self::Asked(..) | Self::Idle => Reject::policy_step_up(),
        }
    }

    /// What is told to operators.
    pub(crate) fn detail(&self) -> Detail {
        let named = |policies: &[PolicyId]| {
            let names: Vec<String> = policies.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
            names.join(", ")
        };
        Detail::new(&match self {
            Self::Blocked(policies) => format!("blocked by {}", named(policies)),
            Self::Asked(policies, steps) => {
                let each = steps.iter().map(|Step(any)| {
                    let any: Vec<String> = any.iter().map(StepUp::to_string).collect();
                    any.join(" or ")
                });
                let ask = if policies.len() == 1 { "asks" } else { "ask" };
                format!("{} {ask} for {}", named(policies), each.collect::<Vec<_>>().join(" and "))
            }
            Self::Idle => String::from("idle for longer than a policy allows"),
        })
    }
}

const SHOWN_MAX: usize = 8;
