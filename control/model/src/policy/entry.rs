//! A policy as people and files write it: flat, everything by name. It becomes a [`Policy`] or is refused with the key that
//! is wrong.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::check::invalid;
use super::{
    Apps, Asn, Choice, ClientKind, Conditions, Country, DeviceState, Grant, People, Platform, Policy, PolicyInvalid,
    PolicyParts, PolicyState, Requirement, Risk, Scope, SessionControls, Strength, TimeWindow, Who,
};
use crate::ids::{AppId, Name, PolicyId, UserGroupId, UserId};
use crate::session::AuthMethod;

/// A policy without its name. Keys of files are named alike, with `-` for `_` and spans such as `8h` for `_s`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyEntry {
    /// Whether it is in force; `on` unless given.
    pub state: PolicyState,
    /// It is about every user of the tenant, guests too; this, or one of the next three.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    /// It is about these users: login names or ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<BTreeSet<String>>,
    /// It is about whoever is in these groups: names or ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<BTreeSet<String>>,
    /// It is about all guests.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub guests: bool,
    /// But not about these users.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_users: BTreeSet<String>,
    /// But not about whoever is in these groups.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_groups: BTreeSet<String>,
    /// But not about guests.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub except_guests: bool,
    /// It is about all applications; this, or the next.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_apps: bool,
    /// It is about these applications: names or ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apps: Option<BTreeSet<String>>,
    /// But not about these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_apps: BTreeSet<String>,
    /// It applies to requests from these networks of the tenant.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub networks: BTreeSet<Name>,
    /// But not from these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_networks: BTreeSet<Name>,
    /// It applies to requests from these countries.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub countries: BTreeSet<Country>,
    /// But not from these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_countries: BTreeSet<Country>,
    /// It applies to requests from these autonomous systems.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub asns: BTreeSet<Asn>,
    /// But not from these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_asns: BTreeSet<Asn>,
    /// It applies to devices that run one of these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub platforms: BTreeSet<Platform>,
    /// But not one of these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_platforms: BTreeSet<Platform>,
    /// It applies to these kinds of programs.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub clients: BTreeSet<ClientKind>,
    /// But not to these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_clients: BTreeSet<ClientKind>,
    /// It applies at these times.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub times: BTreeSet<TimeWindow>,
    /// But not at these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_times: BTreeSet<TimeWindow>,
    /// It applies to who signed in with one of these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub methods: BTreeSet<AuthMethod>,
    /// But not with one of these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_methods: BTreeSet<AuthMethod>,
    /// It applies to who signed in with so many factors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strength: Option<Strength>,
    /// It applies to who signed in so long ago, or longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_age_min_s: Option<u32>,
    /// It applies at this risk, or a higher one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_min: Option<Risk>,
    /// It applies to devices in one of these states.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub devices: BTreeSet<DeviceState>,
    /// But not in one of these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_devices: BTreeSet<DeviceState>,
    /// Nobody passes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub block: bool,
    /// Each of these is needed.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub require: BTreeSet<Requirement>,
    /// One of these is needed.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub require_any: BTreeSet<Requirement>,
    /// So long after they proved who they are, users do so again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in_frequency_s: Option<u32>,
    /// Without a request for so long, a session is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_max_s: Option<u32>,
    /// So long after it began, a session is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_max_s: Option<u32>,
    /// No session may outlast the browser.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_persistent: bool,
}

/// Finds what an entry names. `key` is the entry's key it stands under.
pub trait Resolve {
    /// Why something is not found, or the policy is none.
    type Error: From<PolicyInvalid>;

    /// A user by login name or id.
    ///
    /// # Errors
    /// When there is none.
    fn user(&self, key: &'static str, name: &str) -> Result<UserId, Self::Error>;

    /// A user group by name or id.
    ///
    /// # Errors
    /// When there is none.
    fn group(&self, key: &'static str, name: &str) -> Result<UserGroupId, Self::Error>;

    /// An application by name or id.
    ///
    /// # Errors
    /// When there is none.
    fn app(&self, key: &'static str, name: &str) -> Result<AppId, Self::Error>;

    /// Refuses a network that there is not.
    ///
    /// # Errors
    /// When there is none.
    fn network(&self, key: &'static str, name: &Name) -> Result<(), Self::Error>;
}

/// Names what a policy refers to.
pub trait References {
    /// A user's login name.
    fn user(&self, id: UserId) -> String;
    /// A user group's name.
    fn group(&self, id: UserGroupId) -> String;
    /// An application's name.
    fn app(&self, id: AppId) -> String;
}

impl PolicyEntry {
    /// The policy that this is.
    ///
    /// # Errors
    /// When something it names is not there, or it is no policy.
    pub fn policy<R: Resolve>(&self, id: PolicyId, name: Name, of: &R) -> Result<Policy, R::Error> {
        let who = Who { include: self.people(of)?, except: self.excepted(of)? };
        let include = match (self.all_apps, &self.apps) {
            (true, None) => Scope::All,
            (false, Some(apps)) => Scope::Only(found(apps, |name| of.app("apps", name))?),
            (true, Some(_)) => return Err(invalid("apps", "all-apps are these, too: keep one of them").into()),
            (false, None) => return Err(invalid("apps", "it needs all-apps or apps").into()),
        };
        let apps = Apps { include, except: found(&self.except_apps, |name| of.app("except-apps", name))? };
        self.networks.iter().try_for_each(|name| of.network("networks", name))?;
        self.except_networks.iter().try_for_each(|name| of.network("except-networks", name))?;
        let (conditions, session, grant) = (self.conditions(), self.session(), self.grant()?);
        Ok(Policy::new(PolicyParts { id, name, state: self.state, who, apps, conditions, grant, session })?)
    }

    fn people<R: Resolve>(&self, of: &R) -> Result<Scope<People>, R::Error> {
        let Self { everyone, users, groups, guests, .. } = self;
        let named = users.is_some() || groups.is_some() || *guests;
        match (everyone, named) {
            (true, false) => return Ok(Scope::All),
            (true, true) => return Err(invalid("everyone", "everyone is these, too: keep one of them").into()),
            (false, false) => return Err(invalid("who", "it needs everyone, users, groups or guests").into()),
            (false, true) => {}
        }
        let none = BTreeSet::new();
        Ok(Scope::Only(People {
            users: found(users.as_ref().unwrap_or(&none), |name| of.user("users", name))?,
            groups: found(groups.as_ref().unwrap_or(&none), |name| of.group("groups", name))?,
            guests: *guests,
        }))
    }

    fn excepted<R: Resolve>(&self, of: &R) -> Result<People, R::Error> {
        Ok(People {
            users: found(&self.except_users, |name| of.user("except-users", name))?,
            groups: found(&self.except_groups, |name| of.group("except-groups", name))?,
            guests: self.except_guests,
        })
    }

    fn conditions(&self) -> Conditions {
        Conditions {
            networks: choice(&self.networks, &self.except_networks),
            countries: choice(&self.countries, &self.except_countries),
            asns: choice(&self.asns, &self.except_asns),
            platforms: choice(&self.platforms, &self.except_platforms),
            clients: choice(&self.clients, &self.except_clients),
            times: choice(&self.times, &self.except_times),
            methods: choice(&self.methods, &self.except_methods),
            strength: self.strength,
            auth_age_min_s: self.auth_age_min_s,
            risk_min: self.risk_min,
            devices: choice(&self.devices, &self.except_devices),
        }
    }

    fn grant(&self) -> Result<Grant, PolicyInvalid> {
        match (self.block, self.require.is_empty() && self.require_any.is_empty()) {
            (true, true) => Ok(Grant::Block),
            (true, false) => Err(invalid("block", "whoever is blocked cannot meet a requirement: keep one of them")),
            (false, _) => Ok(Grant::Require { all: self.require.clone(), any: self.require_any.clone() }),
        }
    }

    fn session(&self) -> SessionControls {
        let Self { sign_in_frequency_s, idle_max_s, lifetime_max_s, no_persistent, .. } = *self;
        SessionControls { sign_in_frequency_s, idle_max_s, lifetime_max_s, no_persistent }
    }

    /// A policy as it would be written.
    #[must_use]
    pub fn of(policy: &Policy, names: &impl References) -> Self {
        let users = |ids: &BTreeSet<UserId>| ids.iter().map(|id| names.user(*id)).collect::<BTreeSet<String>>();
        let groups = |ids: &BTreeSet<UserGroupId>| ids.iter().map(|id| names.group(*id)).collect::<BTreeSet<String>>();
        let apps = |ids: &BTreeSet<AppId>| ids.iter().map(|id| names.app(*id)).collect::<BTreeSet<String>>();
        let PolicyParts { state, who, apps: about, conditions, grant, session, .. } = &**policy;
        let people = match &who.include {
            Scope::All => None,
            Scope::Only(people) => Some(people),
        };
        let nobody = people.is_some_and(People::is_empty);
        let own_groups = people.map(|people| groups(&people.groups)).filter(|groups| !groups.is_empty());
        let (require, require_any) = match grant {
            Grant::Block => (BTreeSet::new(), BTreeSet::new()),
            Grant::Require { all, any } => (all.clone(), any.clone()),
        };
        let Conditions { networks, countries, asns, platforms, clients, times, methods, devices, .. } =
            conditions.clone();
        Self {
            state: *state,
            everyone: people.is_none(),
            users: people.map(|people| users(&people.users)).filter(|users| nobody || !users.is_empty()),
            groups: own_groups,
            guests: people.is_some_and(|people| people.guests),
            except_users: users(&who.except.users),
            except_groups: groups(&who.except.groups),
            except_guests: who.except.guests,
            all_apps: about.include == Scope::All,
            apps: match &about.include {
                Scope::All => None,
                Scope::Only(named) => Some(apps(named)),
            },
            except_apps: apps(&about.except),
            networks: networks.include,
            except_networks: networks.except,
            countries: countries.include,
            except_countries: countries.except,
            asns: asns.include,
            except_asns: asns.except,
            platforms: platforms.include,
            except_platforms: platforms.except,
            clients: clients.include,
            except_clients: clients.except,
            times: times.include,
            except_times: times.except,
            methods: methods.include,
            except_methods: methods.except,
            strength: conditions.strength,
            auth_age_min_s: conditions.auth_age_min_s,
            risk_min: conditions.risk_min,
            devices: devices.include,
            except_devices: devices.except,
            block: *grant == Grant::Block,
            require,
            require_any,
            sign_in_frequency_s: session.sign_in_frequency_s,
            idle_max_s: session.idle_max_s,
            lifetime_max_s: session.lifetime_max_s,
            no_persistent: session.no_persistent,
        }
    }
}

fn found<T: Ord, E>(names: &BTreeSet<String>, find: impl Fn(&str) -> Result<T, E>) -> Result<BTreeSet<T>, E> {
    names.iter().map(|name| find(name)).collect()
}

fn choice<T: Ord + Clone>(include: &BTreeSet<T>, except: &BTreeSet<T>) -> Choice<T> {
    Choice { include: include.clone(), except: except.clone() }
}
