//! Users as policies see them, by login name, as they are now.

use std::collections::HashMap;

use postern_model::admin::Problem;
use postern_model::directory::LoginName;
use postern_model::ids::TenantId;
use postern_model::session::Subject;
use postern_model::terms::AcceptedTerms;

use super::what_if::subject;
use crate::clock::now_unix;
use crate::control::Control;
use crate::directory::Groups;

/// The store is asked once for each of them.
pub(super) struct Subjects<'a> {
    control: &'a Control,
    tenant: TenantId,
    groups: Groups,
    known: HashMap<LoginName, Option<(Subject, AcceptedTerms)>>,
}

impl<'a> Subjects<'a> {
    pub(super) fn new(control: &'a Control, tenant: TenantId) -> Result<Self, Problem> {
        Ok(Self { control, tenant, groups: Groups::of(control, tenant)?, known: HashMap::new() })
    }

    /// Nobody, where there is no such user any more.
    pub(super) fn of(&mut self, login: &LoginName) -> Result<Option<&Subject>, Problem> {
        Ok(self.with_terms(login)?.map(|(subject, _)| subject))
    }

    /// The same, with the terms of use that they accepted.
    pub(super) fn with_terms(&mut self, login: &LoginName) -> Result<Option<(&Subject, &AcceptedTerms)>, Problem> {
        if !self.known.contains_key(login) {
            let found = self.found(login)?;
            self.known.insert(login.clone(), found);
        }
        Ok(self.known.get(login).and_then(Option::as_ref).map(|(subject, terms)| (subject, terms)))
    }

    fn found(&self, login: &LoginName) -> Result<Option<(Subject, AcceptedTerms)>, Problem> {
        let Some(user) = self.control.directory(|store| store.user_by_login(self.tenant, login))? else {
            return Ok(None);
        };
        let direct = self.control.directory(|store| store.groups_with(user.id))?;
        let counted = self.groups.graph.counted_groups_of(&user, &direct, now_unix());
        let terms = self.control.directory(|store| store.accepted_terms(user.id))?;
        Ok(Some((subject(&user, &self.groups, &counted), terms)))
    }
}
