//! A change in the making: what an operation wants committed, until its versions are known.

use std::collections::BTreeSet;

use postern_model::Change;
use postern_model::config::Certificate;
use postern_model::group_config::BackendApp;
use postern_model::ids::{GroupId, RelayId, TenantId};

use crate::sessions::Touched;
use crate::store::{
    AuditEntry, ClientChange, Commit, Cut, DirectoryChange, FactorChange, Pin, ProviderChange, RequestChange,
    ReviewChange, SessionChange, SignIn, TokenRecord, Used,
};

/// A change in the making.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) steps: Vec<Step>,
    pub(crate) rest: Commit,
    /// What sessions depend on and was staged: the store has it already.
    pub(crate) touched: BTreeSet<Touched>,
}

/// One of its changes.
pub(crate) enum Step {
    Change(Change),
    /// Signed when its version is known.
    Sign {
        group: GroupId,
        apps: Vec<BackendApp>,
    },
}

/// What an audit record says.
pub(crate) struct Audit {
    pub(crate) action: &'static str,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) target: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl Draft {
    /// Whether it changes nothing that relays see.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(crate) fn change(&mut self, change: Change) {
        self.steps.push(Step::Change(change));
    }

    /// Certificates that come with it.
    pub(crate) fn certificates(&self) -> impl DoubleEndedIterator<Item = &Certificate> {
        self.steps.iter().filter_map(|step| match step {
            Step::Change(Change::CertificatePut(certificate)) => Some(certificate),
            Step::Change(_) | Step::Sign { .. } => None,
        })
    }

    /// Signs what a group may reach. Before an application's own change when it is added, after it when it is removed,
    /// so that connectors know it as long as relays route to it.
    pub(crate) fn sign(&mut self, group: GroupId, apps: Vec<BackendApp>) {
        self.steps.push(Step::Sign { group, apps });
    }

    pub(crate) fn directory(&mut self, change: DirectoryChange) {
        self.rest.directory.push(change);
    }

    pub(crate) fn provider(&mut self, change: ProviderChange) {
        self.rest.providers.push(change);
    }

    pub(crate) fn session(&mut self, change: SessionChange) {
        self.rest.sessions.push(change);
    }

    pub(crate) fn client(&mut self, change: ClientChange) {
        self.rest.clients.push(change);
    }

    pub(crate) fn factor(&mut self, change: FactorChange) {
        self.rest.factors.push(change);
    }

    pub(crate) fn request(&mut self, change: RequestChange) {
        self.rest.requests.push(change);
    }

    pub(crate) fn review(&mut self, change: ReviewChange) {
        self.rest.reviews.push(change);
    }

    pub(crate) fn used(&mut self, used: Used) {
        self.rest.used.push(used);
    }

    pub(crate) fn token(&mut self, token: TokenRecord) {
        self.rest.tokens.push(token);
    }

    pub(crate) fn remove_tokens(&mut self, group: GroupId) {
        self.rest.tokens_removed.push(group);
    }

    pub(crate) fn pin(&mut self, relay: RelayId, pin: Option<Pin>) {
        self.rest.pins.push((relay, pin));
    }

    pub(crate) fn audit(&mut self, audit: Audit) {
        let Audit { action, tenant, target, before, after } = audit;
        let actor = String::new();
        self.rest.audit.push(AuditEntry { actor, action, tenant, target, before, after, version: None });
    }

    /// Records that someone signed in, or tried to: see [`SignIn`].
    pub(crate) fn sign_in(&mut self, entry: SignIn) {
        self.rest.sign_ins.push(entry);
    }

    /// Records that a log's oldest records are no longer kept.
    pub(crate) fn cut(&mut self, cut: Cut) {
        self.rest.cuts.push(cut);
    }
}
