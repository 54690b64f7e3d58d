//! What keeps a policy from being one: it could never apply, does nothing, contradicts itself or is too large.

use std::fmt;

use super::{Apps, Grant, NAMED_MAX, People, REQUIREMENTS_MAX, SPAN_S_MAX, Scope, SessionControls, Who, span};
use crate::ids::TenantId;

/// Why something is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PolicyInvalid {
    /// Which key of its text form is wrong: `except-groups`.
    pub key: &'static str,
    /// What is wrong.
    pub reason: String,
}

impl Who {
    pub(super) fn check(&self, tenant: TenantId) -> Result<(), PolicyInvalid> {
        if let Scope::Only(people) = &self.include {
            people.check(tenant, ["users", "groups"])?;
            let both = people.users.intersection(&self.except.users).next().map(ToString::to_string);
            let both = both.or_else(|| people.groups.intersection(&self.except.groups).next().map(ToString::to_string));
            let both = both.or_else(|| (people.guests && self.except.guests).then(|| "guests".to_owned()));
            if let Some(both) = both {
                return Err(invalid("who", format!("{both}: included and excepted: keep one of them")));
            }
        }
        self.except.check(tenant, ["except-users", "except-groups"])
    }
}

impl People {
    pub(super) fn check(&self, tenant: TenantId, [users, groups]: [&'static str; 2]) -> Result<(), PolicyInvalid> {
        bounded(users, self.users.len(), NAMED_MAX)?;
        bounded(groups, self.groups.len(), NAMED_MAX)?;
        own(users, tenant, self.users.iter().map(|id| (id, id.tenant)))?;
        own(groups, tenant, self.groups.iter().map(|id| (id, id.tenant)))
    }
}

impl Apps {
    pub(super) fn check(&self, tenant: TenantId) -> Result<(), PolicyInvalid> {
        if let Scope::Only(apps) = &self.include {
            bounded("apps", apps.len(), NAMED_MAX)?;
            own("apps", tenant, apps.iter().map(|id| (id, id.tenant)))?;
            if let Some(both) = apps.intersection(&self.except).next() {
                return Err(invalid("apps", format!("{both}: included and excepted: keep one of them")));
            }
        }
        bounded("except-apps", self.except.len(), NAMED_MAX)?;
        own("except-apps", tenant, self.except.iter().map(|id| (id, id.tenant)))
    }
}

impl Grant {
    pub(super) fn check(&self, session: &SessionControls) -> Result<(), PolicyInvalid> {
        match self {
            Self::Block if !session.is_empty() => {
                Err(invalid("block", "a policy that blocks says nothing about sessions: there are none then"))
            }
            Self::Require { all, any } if all.is_empty() && any.is_empty() && session.is_empty() => {
                let reason = "it would do nothing: it needs block, require, require-any or something about sessions";
                Err(invalid("block", reason))
            }
            Self::Require { any, .. } if any.len() == 1 => {
                Err(invalid("require-any", "one of one is no choice: write require, or name another"))
            }
            Self::Require { all, any } => {
                bounded("require", all.len(), REQUIREMENTS_MAX)?;
                bounded("require-any", any.len(), REQUIREMENTS_MAX)
            }
            Self::Block => Ok(()),
        }
    }
}

impl SessionControls {
    pub(super) fn check(&self) -> Result<(), PolicyInvalid> {
        let times = [
            ("sign-in-frequency", self.sign_in_frequency_s),
            ("idle-max", self.idle_max_s),
            ("lifetime-max", self.lifetime_max_s),
        ];
        times.into_iter().try_for_each(|(key, time_s)| spanned(key, time_s))
    }
}

pub(super) fn invalid(key: &'static str, reason: impl Into<String>) -> PolicyInvalid {
    PolicyInvalid { key, reason: reason.into() }
}

pub(super) fn bounded(key: &'static str, found: usize, max: usize) -> Result<(), PolicyInvalid> {
    if found <= max { Ok(()) } else { Err(invalid(key, format!("{found} are too many: at most {max}"))) }
}

pub(super) fn spanned(key: &'static str, time_s: Option<u32>) -> Result<(), PolicyInvalid> {
    match time_s {
        Some(time_s) if !(1..=SPAN_S_MAX).contains(&time_s) => {
            Err(invalid(key, format!("{time_s} s is out of bounds: from 1s to {}", span(u64::from(SPAN_S_MAX)))))
        }
        Some(_) | None => Ok(()),
    }
}

fn own<'a, Id: fmt::Display + 'a>(
    key: &'static str,
    tenant: TenantId,
    mut ids: impl Iterator<Item = (&'a Id, TenantId)>,
) -> Result<(), PolicyInvalid> {
    match ids.find(|(_, theirs)| *theirs != tenant) {
        Some((id, _)) => Err(invalid(key, format!("{id} belongs to another tenant"))),
        None => Ok(()),
    }
}
