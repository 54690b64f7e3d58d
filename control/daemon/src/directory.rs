//! Finding users and groups in a tenant's directory, and who belongs where in it.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::admin::Problem;
use postern_model::config::Tenant;
use postern_model::directory::{END_UNIX_MAX, GroupGraph, LoginName, Principal, User, UserGroup};
use postern_model::ids::{Name, TenantId, UserGroupId, UserId};

use crate::control::Control;
use crate::limits::{LOGINS_COMPARED, USERS_AT_ONCE};
use crate::problem::{not_found_among, problem};

/// A user by login name or id.
pub(crate) fn find_user(control: &Control, tenant: &Tenant, name: &str) -> Result<User, Problem> {
    if let Ok(login) = name.parse::<LoginName>()
        && let Some(user) = control.directory(|store| store.user_by_login(tenant.id, &login))?
    {
        return Ok(user);
    }
    if let Some(id) = name.parse().ok().filter(|id: &UserId| id.tenant == tenant.id)
        && let Some(user) = control.directory(|store| store.user(id))?
    {
        return Ok(user);
    }
    let lower = name.to_ascii_lowercase();
    let near = control.directory(|store| store.logins_near(tenant.id, &lower, LOGINS_COMPARED))?;
    Err(not_found_among("user", name, near.iter().map(String::as_str)))
}

/// A user group by name or id.
pub(crate) fn find_group(control: &Control, tenant: &Tenant, name: &str) -> Result<UserGroup, Problem> {
    if let Ok(known) = name.parse::<Name>()
        && let Some(group) = control.directory(|store| store.user_group(tenant.id, &known))?
    {
        return Ok(group);
    }
    if let Some(id) = name.parse().ok().filter(|id: &UserGroupId| id.tenant == tenant.id)
        && let Some(group) = control.directory(|store| store.user_group_by_id(id))?
    {
        return Ok(group);
    }
    let groups = control.directory(|store| store.user_groups(tenant.id))?;
    Err(not_found_among("user group", name, groups.iter().map(|group| group.name.as_str())))
}

/// A tenant's groups, and what is nested in what.
pub(crate) struct Groups {
    pub(crate) all: BTreeMap<UserGroupId, UserGroup>,
    pub(crate) graph: GroupGraph,
}

impl Groups {
    pub(crate) fn of(control: &Control, tenant: TenantId) -> Result<Self, Problem> {
        let all = control.directory(|store| store.user_groups(tenant))?;
        let nested = control.directory(|store| store.nested(tenant))?;
        let graph = GroupGraph::new(&all, nested);
        Ok(Self { all: all.into_iter().map(|group| (group.id, group)).collect(), graph })
    }

    /// Names, in the order of the ids.
    pub(crate) fn names(&self, ids: impl IntoIterator<Item = UserGroupId>) -> Vec<Name> {
        ids.into_iter().filter_map(|id| Some(self.all.get(&id)?.name.clone())).collect()
    }

    /// How many users are in a group and count now, each once. Where rules are within, all users are looked at, page by page.
    pub(crate) async fn count(&self, control: &Control, group: UserGroupId, now_unix: u64) -> Result<u32, Problem> {
        let tenant = group.tenant;
        let within = self.graph.within(group);
        if self.graph.rules_of(&within).next().is_none() {
            return control.directory(|store| store.active_members(tenant, &within, now_unix));
        }
        let (mut count, mut last) = (0, 0);
        loop {
            let users = control.directory(|store| store.users_after(tenant, last, USERS_AT_ONCE))?;
            let Some((first, end)) = users.first().zip(users.last()).map(|(a, b)| (a.id.seq, b.id.seq)) else {
                return Ok(count);
            };
            let put = control.directory(|store| store.groups_with_each(tenant, first, end))?;
            let put: BTreeSet<UserId> =
                put.into_iter().filter(|(_, at)| within.contains(at)).map(|(id, _)| id).collect();
            let is_in = |user: &&User| {
                let ruled = || self.graph.rules_of(&within).any(|rule| rule.matches(user));
                user.is_active(now_unix) && (put.contains(&user.id) || ruled())
            };
            count += crate::tenants::as_u32(users.iter().filter(is_in).count());
            last = end;
            // Others get their turn.
            tokio::task::yield_now().await;
        }
    }
}

/// Refuses an end that no calendar has.
pub(crate) fn check_end(expires_unix: Option<u64>) -> Result<(), Problem> {
    match expires_unix {
        Some(end) if !(1..=END_UNIX_MAX).contains(&end) => {
            let detail = format!("{end} is no end: a second from 1970 to 9999");
            Err(problem("request-invalid", detail).about("expires"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Who is assigned, as people write it: `user/anna`, `group/sales`, `everyone`.
pub(crate) fn principal_name(control: &Control, principal: Principal) -> Result<String, Problem> {
    match principal {
        Principal::User(id) => {
            let user = control.directory(|store| store.user(id))?;
            Ok(user.map_or_else(|| format!("user/{id}"), |user| format!("user/{}", user.login)))
        }
        Principal::Group(id) => {
            let group = control.directory(|store| store.user_group_by_id(id))?;
            Ok(group.map_or_else(|| format!("group/{id}"), |group| format!("group/{}", group.name)))
        }
        Principal::Everyone => Ok("everyone".into()),
    }
}
