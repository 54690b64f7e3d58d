//! Conditional access: policies say under which conditions somebody may use an application, and what is asked of them before.
//! They only ever take away: whether somebody may use an application at all is said by assignments.

mod asn;
mod bits;
mod check;
mod compiled;
mod condition;
mod country;
mod decision;
mod entry;
mod filter;
mod requirement;
mod trace;
mod window;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use asn::Asn;
pub use check::PolicyInvalid;
pub use compiled::{Applicable, Policies};
pub use condition::{Choice, ClientKind, Conditions, DeviceState, Platform, Risk, Strength};
pub use country::{Country, CountryInvalid};
pub use decision::{Decision, Input, Outcome, Reported, Step, StepUp};
pub use entry::{PolicyEntry, References, Resolve};
pub use requirement::Requirement;
pub use trace::{Traced, trace};
pub use window::{TimeWindow, WindowInvalid};

use crate::ids::{AppId, Name, PolicyId, TenantId, UserGroupId, UserId};

/// A policy that makes sense: it only exists after [`Policy::new`]. Its parts are read, not changed, and
/// shared by its copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PolicyParts", into = "PolicyParts")]
pub struct Policy(Arc<PolicyParts>);

/// What a policy consists of. A reader refuses what it does not know: without it, it would let pass what it should not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyParts {
    /// Its id.
    pub id: PolicyId,
    /// Its name, unique in the tenant.
    pub name: Name,
    /// Whether it is in force.
    pub state: PolicyState,
    /// Whom it is about.
    pub who: Who,
    /// Which applications it is about.
    pub apps: Apps,
    /// When it applies.
    #[serde(default, skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
    /// What it asks for when it applies.
    pub grant: Grant,
    /// What it makes of sessions when it applies.
    #[serde(default, skip_serializing_if = "SessionControls::is_empty")]
    pub session: SessionControls,
}

words! {
    /// Whether a policy is in force.
    PolicyState: "a state" {
        /// It is.
        On = "on",
        /// It is evaluated and logged, and changes nothing.
        ReportOnly = "report-only",
        /// It is not looked at.
        Off = "off",
    }
}

impl Default for PolicyState {
    /// What is written shall hold.
    fn default() -> Self {
        Self::On
    }
}

/// What a list says: everything, or only what is named. Nothing may be named: then it is about nothing. A list that loses its
/// last name by a removal stays so, and never comes to mean everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope<T> {
    /// All there are.
    All,
    /// What is named.
    Only(T),
}

/// Whom a policy is about. Who is excepted is so, however they are included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// Whom it is about.
    pub include: Scope<People>,
    /// Whom it is not about all the same.
    #[serde(default, skip_serializing_if = "People::is_empty")]
    pub except: People,
}

/// People by user, by group (those nested in it included) and by being guests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// Users.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub users: BTreeSet<UserId>,
    /// Whoever is in one of these groups.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<UserGroupId>,
    /// All guests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guests: bool,
}

/// Which applications a policy is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apps {
    /// Which it is about.
    pub include: Scope<BTreeSet<AppId>>,
    /// Which it is not about all the same.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except: BTreeSet<AppId>,
}

/// What a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Grant {
    /// Nobody passes.
    Block,
    /// Who meets this passes; nothing at all where both are empty.
    Require {
        /// Each of these.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        all: BTreeSet<Requirement>,
        /// And one of these, where there are any.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        any: BTreeSet<Requirement>,
    },
}

/// What a policy makes of sessions. Of several policies the shortest time holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionControls {
    /// So long after they proved who they are, users do so again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in_frequency_s: Option<u32>,
    /// Without a request for so long, a session is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_max_s: Option<u32>,
    /// So long after it began, a session is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_max_s: Option<u32>,
    /// Whether no session may outlast the browser.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_persistent: bool,
}

/// Text that is not one of a few words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {words}")]
pub struct WordInvalid {
    text: String,
    what: &'static str,
    words: String,
}

impl Policy {
    /// A policy of these parts.
    ///
    /// # Errors
    /// When it could never apply, would do nothing, contradicts itself, or is too large.
    pub fn new(parts: PolicyParts) -> Result<Self, PolicyInvalid> {
        parts.who.check(parts.id.tenant)?;
        parts.apps.check(parts.id.tenant)?;
        parts.conditions.check()?;
        parts.grant.check(&parts.session)?;
        parts.session.check()?;
        Ok(Self(Arc::new(parts)))
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.0.id.tenant
    }

    /// The same in another state.
    #[must_use]
    pub fn with_state(&self, state: PolicyState) -> Self {
        Self(Arc::new(PolicyParts { state, ..self.parts() }))
    }

    /// The same without an application that is gone; nothing, where it does not name it.
    #[must_use]
    pub fn without_app(&self, app: AppId) -> Option<Self> {
        let mut parts = self.parts();
        let included = match &mut parts.apps.include {
            Scope::All => false,
            Scope::Only(apps) => apps.remove(&app),
        };
        (parts.apps.except.remove(&app) || included).then(|| Self(Arc::new(parts)))
    }

    /// The same without a user who is gone; nothing, where it does not name them.
    #[must_use]
    pub fn without_user(&self, user: UserId) -> Option<Self> {
        self.without(|people| people.users.remove(&user))
    }

    /// The same without a group that is gone; nothing, where it does not name it.
    #[must_use]
    pub fn without_group(&self, group: UserGroupId) -> Option<Self> {
        self.without(|people| people.groups.remove(&group))
    }

    fn parts(&self) -> PolicyParts {
        (*self.0).clone()
    }

    fn without(&self, mut take: impl FnMut(&mut People) -> bool) -> Option<Self> {
        let mut parts = self.parts();
        let included = match &mut parts.who.include {
            Scope::All => false,
            Scope::Only(people) => take(people),
        };
        (take(&mut parts.who.except) || included).then(|| Self(Arc::new(parts)))
    }

    /// Networks that its conditions name.
    pub fn networks(&self) -> impl Iterator<Item = &Name> {
        let Choice { include, except } = &self.conditions.networks;
        include.iter().chain(except)
    }

    /// Applications that it names.
    pub fn named_apps(&self) -> impl Iterator<Item = AppId> {
        let included = match &self.apps.include {
            Scope::All => None,
            Scope::Only(apps) => Some(apps),
        };
        included.into_iter().flatten().chain(&self.apps.except).copied()
    }

    /// What it is about no more, where its lists lost their last name: `nobody`, `no application`.
    #[must_use]
    pub fn about_nothing(&self) -> Option<&'static str> {
        match (&self.who.include, &self.apps.include) {
            (Scope::Only(people), _) if people.is_empty() => Some("nobody"),
            (_, Scope::Only(apps)) if apps.is_empty() => Some("no application"),
            (Scope::All | Scope::Only(_), Scope::All | Scope::Only(_)) => None,
        }
    }
}

impl Deref for Policy {
    type Target = PolicyParts;

    fn deref(&self) -> &PolicyParts {
        &self.0
    }
}

impl TryFrom<PolicyParts> for Policy {
    type Error = PolicyInvalid;

    fn try_from(parts: PolicyParts) -> Result<Self, PolicyInvalid> {
        Self::new(parts)
    }
}

impl From<Policy> for PolicyParts {
    fn from(policy: Policy) -> Self {
        Arc::unwrap_or_clone(policy.0)
    }
}

impl People {
    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty() && !self.guests
    }
}

impl SessionControls {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Both: the shorter of each.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let shorter = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        Self {
            sign_in_frequency_s: shorter(self.sign_in_frequency_s, other.sign_in_frequency_s),
            idle_max_s: shorter(self.idle_max_s, other.idle_max_s),
            lifetime_max_s: shorter(self.lifetime_max_s, other.lifetime_max_s),
            no_persistent: self.no_persistent || other.no_persistent,
        }
    }
}

/// A time as its largest unit that leaves no rest: `8h`, `90m`, `45s`.
#[must_use]
pub fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let fits = units.into_iter().find(|(size, _)| seconds > 0 && seconds.is_multiple_of(*size));
    fits.map_or_else(|| format!("{seconds}s"), |(size, unit)| format!("{}{unit}", seconds / size))
}

/// An enum whose values are words: as text, from text, one bit each.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $what:literal { $($(#[$of:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$of])* $variant),+ }

        impl $name {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::policy::WordInvalid;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().copied().find(|value| value.as_str() == text);
                found.ok_or_else(|| $crate::policy::WordInvalid {
                    text: text.chars().take(64).collect(),
                    what: $what,
                    words: [$($word),+].join(", "),
                })
            }
        }

        $crate::directory::as_text!($name);
    };
}
use words;

/// Users, groups or applications in one list: at 8 bytes each 2 KiB. More people are a group.
pub const NAMED_MAX: usize = 256;
/// Requirements in one list.
pub const REQUIREMENTS_MAX: usize = 16;
/// Time windows in one list.
pub const WINDOWS_MAX: usize = 32;
/// A year, and the day that a leap year has more.
pub const SPAN_S_MAX: u32 = 366 * 86_400;
/// Policies of one tenant. A relay keeps what it decides by at about 150 bytes each beside the policies themselves.
pub const POLICIES_MAX: usize = 2_000;

#[cfg(test)]
mod tests;
