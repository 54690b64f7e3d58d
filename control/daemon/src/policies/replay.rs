//! Requests of the past under changed policies: what would be decided about them, with users, groups and networks as they are
//! now. Nothing is changed by it.

use postern_model::Snapshot;
use postern_model::admin::{Problem, REPLAYED_MAX, Replay, Replayed, ReplayedRequest};
use postern_model::config::Tenant;
use postern_model::ids::{Name, PolicyId};
use postern_model::policy::{Decision, Input, Outcome, Policies, Policy, PolicyEntry};
use postern_model::record::LoggedRequest;
use postern_model::session::Subject;
use postern_model::terms::AcceptedTerms;

use super::names::Finding;
use super::subjects::Subjects;
use super::{merged, own};
use crate::control::Control;
use crate::problem::problem;

/// `policy replay`, for as many requests as it takes at once.
pub(crate) fn replay(control: &Control, tenant: &Tenant, request: &Replay) -> Result<Replayed, Problem> {
    if request.requests.len() > REPLAYED_MAX {
        let detail = format!("{} requests at once; at most {REPLAYED_MAX} are replayed", request.requests.len());
        return Err(problem("request-invalid", detail).about("requests"));
    }
    let before = relevant(&control.snapshot(), tenant);
    let after = changed(control, tenant, &before, request)?;
    let compared = Compared { now: Policies::of(&before), changed: Policies::of(&after), before, after };
    let mut subjects = Subjects::new(control, tenant.id)?;
    let mut items = Vec::with_capacity(request.requests.len());
    for logged in &request.requests {
        let is_there = logged.app.tenant == tenant.id && control.snapshot().apps.contains_key(&logged.app);
        items.push(match (is_there, subjects.with_terms(&logged.user)?) {
            (false, _) => ReplayedRequest::NoApp,
            (true, None) => ReplayedRequest::NoUser,
            (true, Some((subject, terms))) => {
                let country = logged.country.or_else(|| control.country(logged.source));
                let asn = logged.asn.or_else(|| control.asn(logged.source));
                compared.decided(&LoggedRequest { country, asn, ..logged.clone() }, subject, terms)
            }
        });
    }
    Ok(Replayed { items })
}

/// Both states, and what decides in them.
struct Compared {
    before: Snapshot,
    now: Policies,
    after: Snapshot,
    changed: Policies,
}

impl Compared {
    fn decided(&self, logged: &LoggedRequest, subject: &Subject, terms: &AcceptedTerms) -> ReplayedRequest {
        let session = logged.session(subject.clone());
        let (input, at) = (logged.input(&session, terms), logged.at_unix);
        let now = self.now.decide(subject, logged.app, &input, at);
        let changed = self.changed.decide(subject, logged.app, &input, at);
        let policies = match changed.outcome {
            // What is asked for no more was asked for by these.
            Outcome::Allow => demanding(&self.before, &now, &input, at),
            Outcome::Block { .. } | Outcome::NeedsStepUp { .. } => demanding(&self.after, &changed, &input, at),
        };
        ReplayedRequest::Decided { now: now.outcome.to_string(), changed: changed.outcome.to_string(), policies }
    }
}

/// The policies that block, or, where none does, ask for something that is not met.
fn demanding(state: &Snapshot, decision: &Decision, input: &Input<'_>, at_unix: u64) -> Vec<Name> {
    let policy = |id: &PolicyId| state.policies.get(id);
    let found: Vec<&Policy> = match &decision.outcome {
        Outcome::Allow => Vec::new(),
        Outcome::Block { policies } => policies.iter().filter_map(policy).collect(),
        Outcome::NeedsStepUp { .. } => {
            let applied = decision.applied.iter().filter_map(policy);
            applied.filter(|policy| policy.says(input, at_unix) != Outcome::Allow).collect()
        }
    };
    found.into_iter().take(NAMED_MAX).map(|policy| policy.name.clone()).collect()
}

/// What policies are decided by, and nothing else.
fn relevant(snapshot: &Snapshot, tenant: &Tenant) -> Snapshot {
    let policies = own(snapshot, tenant.id).map(|policy| (policy.id, policy.clone())).collect();
    let networks = snapshot.networks.iter().filter(|(key, _)| key.tenant == tenant.id);
    let networks = networks.map(|(key, network)| (key.clone(), network.clone())).collect();
    Snapshot { policies, networks, ..Snapshot::default() }
}

/// The policies as they are to be.
fn changed(control: &Control, tenant: &Tenant, before: &Snapshot, request: &Replay) -> Result<Snapshot, Problem> {
    let mut after = before.clone();
    let mut put = |name: &Name, entry: &PolicyEntry| {
        let known = own(&after, tenant.id).find(|policy| policy.name == *name).map(|policy| policy.id);
        let next = after.policies.keys().map(|id| id.seq).max().unwrap_or_default().saturating_add(1);
        let id = known.unwrap_or_else(|| PolicyId::new(tenant.id, next));
        let policy = entry.policy(id, name.clone(), &Finding { control, tenant })?;
        after.policies.insert(id, policy);
        Ok::<(), Problem>(())
    };
    request.put.iter().try_for_each(|(name, entry)| put(name, entry))?;
    for (name, keys) in &request.set {
        let is_meant = |policy: &&Policy| policy.name == *name || policy.id.to_string() == name.as_str();
        let before = own(before, tenant.id).find(is_meant);
        let entry = merged(control, before, keys.clone())?;
        put(before.map_or(name, |before| &before.name), &entry)?;
    }
    Ok(after)
}

/// Policies that are named for one request.
const NAMED_MAX: usize = 8;
