//! Between names and ids: what a policy refers to.

use std::cell::RefCell;
use std::collections::BTreeMap;

use postern_model::admin::Problem;
use postern_model::config::Tenant;
use postern_model::directory::Principal;
use postern_model::ids::{AppId, Name, UserGroupId, UserId};
use postern_model::network::NetworkKey;
use postern_model::policy::{PolicyInvalid, References, Resolve};

use crate::apps::find_app;
use crate::control::Control;
use crate::directory::{find_group, find_user, principal_name};
use crate::problem::{not_found_among, problem};

/// Finds what is named.
pub(super) struct Finding<'a> {
    pub(super) control: &'a Control,
    pub(super) tenant: &'a Tenant,
}

/// Names what is found, and asks the store once for each: many policies name the same groups.
pub(super) struct Naming<'a> {
    control: &'a Control,
    known: RefCell<BTreeMap<Principal, String>>,
}

/// A [`Problem`] that the model's refusals become.
pub(super) struct Refused(Problem);

impl From<PolicyInvalid> for Refused {
    fn from(error: PolicyInvalid) -> Self {
        Self(problem("policy-invalid", format!("{}: {error}", error.key)).about(error.key))
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        refused.0
    }
}

impl Resolve for Finding<'_> {
    type Error = Refused;

    fn user(&self, key: &'static str, name: &str) -> Result<UserId, Refused> {
        let user = find_user(self.control, self.tenant, name);
        user.map(|user| user.id).map_err(|problem| Refused(problem.about(key)))
    }

    fn group(&self, key: &'static str, name: &str) -> Result<UserGroupId, Refused> {
        let group = find_group(self.control, self.tenant, name);
        group.map(|group| group.id).map_err(|problem| Refused(problem.about(key)))
    }

    fn app(&self, key: &'static str, name: &str) -> Result<AppId, Refused> {
        let snapshot = self.control.snapshot();
        find_app(&snapshot, self.tenant, name).map(|app| app.id).map_err(|problem| Refused(problem.about(key)))
    }

    fn network(&self, key: &'static str, name: &Name) -> Result<(), Refused> {
        let snapshot = self.control.snapshot();
        if snapshot.networks.contains_key(&NetworkKey { tenant: self.tenant.id, name: name.clone() }) {
            return Ok(());
        }
        let own = snapshot.networks.keys().filter(|network| network.tenant == self.tenant.id);
        let known: Vec<&str> = own.map(|network| network.name.as_str()).collect();
        Err(Refused(not_found_among("network", name.as_str(), known).about(key)))
    }
}

impl<'a> Naming<'a> {
    pub(super) fn new(control: &'a Control) -> Self {
        Self { control, known: RefCell::default() }
    }

    /// Without what kind it is; the id where the store cannot be read.
    fn named(&self, principal: Principal) -> String {
        let mut known = self.known.borrow_mut();
        let found = known.entry(principal).or_insert_with(|| {
            let name = principal_name(self.control, principal).ok();
            name.and_then(|name| Some(name.split_once('/')?.1.to_owned())).unwrap_or_else(|| principal.to_string())
        });
        found.clone()
    }
}

impl References for Naming<'_> {
    fn user(&self, id: UserId) -> String {
        self.named(Principal::User(id))
    }

    fn group(&self, id: UserGroupId) -> String {
        self.named(Principal::Group(id))
    }

    fn app(&self, id: AppId) -> String {
        self.control.snapshot().apps.get(&id).map_or_else(|| id.to_string(), |app| app.name.to_string())
    }
}
