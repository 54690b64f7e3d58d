//! Users of the embedded directory. They are rows of the store: what is listed is read page by page.

use std::collections::BTreeMap;

use postern_model::admin::{
    Changed, CreateUser, GroupOfUser, Problem, SetUser, USERS_LIMIT_DEFAULT, USERS_LIMIT_MAX, UserChanged, UserDetail,
    UsersPage,
};
use postern_model::config::Tenant;
use postern_model::directory::{ATTRIBUTES_MAX, LoginName, Principal, User, UserKind};
use postern_model::document::{DOCUMENT_USERS_MAX, UserEntry};
use postern_model::ids::{Name, TenantId, UserId};

use crate::assignments;
use crate::clock::{now_unix, now_unix_ms};
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::devices;
use crate::directory::{Groups, check_end, find_user};
use crate::directory_sync;
use crate::limits::{USERS_AT_ONCE, USERS_MAX};
use crate::password::PasswordHash;
use crate::policies;
use crate::problem::{check_no_id, problem};
use crate::sessions;
use crate::store::{DirectoryChange, UserQuery};
use crate::vault;

/// `user create`.
pub(crate) fn create(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: CreateUser,
    password: Option<PasswordHash>,
) -> Result<UserChanged, Problem> {
    let CreateUser { login, display_name, mail, attributes, guest, expires_unix, password: _ } = request;
    let mut draft = Draft::default();
    let user = User {
        id: next_id(control, tenant.id, &mut draft)?,
        login,
        display_name,
        mail,
        attributes,
        kind: kind(guest, expires_unix)?,
        enabled: true,
        created_unix_ms: now_unix_ms(),
        password_set_unix_ms: password.is_some().then(now_unix_ms),
    };
    let id = user.id;
    put(control, actor, draft, None, user.clone(), password.map(|hash| DirectoryChange::PasswordPut(id, hash)))?;
    Ok(changed(user))
}

/// `user set`, `enable` and `disable`: what is not given stays.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: SetUser,
) -> Result<UserChanged, Problem> {
    let before = find_user(control, tenant, name)?;
    let SetUser { login, display_name, mail, attributes, guest, expires_unix, enabled } = request;
    let mut user = before.clone();
    user.login = login.unwrap_or(user.login);
    user.display_name = display_name.unwrap_or(user.display_name);
    user.mail = mail.unwrap_or(user.mail);
    for (name, value) in attributes {
        match value {
            Some(value) => drop(user.attributes.insert(name, value)),
            None => drop(user.attributes.remove(&name)),
        }
    }
    let was_guest = matches!(user.kind, UserKind::Guest { .. });
    let is_guest = guest.unwrap_or(was_guest);
    // Who is no guest any more has no end either.
    let end = if is_guest { user.kind.expires_unix() } else { None };
    user.kind = kind(is_guest, expires_unix.unwrap_or(end))?;
    user.enabled = enabled.unwrap_or(user.enabled);
    let mut draft = Draft::default();
    if enabled == Some(false) {
        directory_sync::hold(control, actor, user.id, &mut draft)?;
    }
    put(control, actor, draft, Some(&before), user.clone(), None)?;
    Ok(changed(user))
}

/// `user password`.
pub(crate) fn set_password(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    password: PasswordHash,
) -> Result<UserChanged, Problem> {
    let mut user = find_user(control, tenant, name)?;
    let devices = devices::that_sign_in(control, &user);
    user.password_set_unix_ms = Some(now_unix_ms());
    let mut draft = Draft::default();
    draft.audit(audit("user.password", &user));
    draft.directory(DirectoryChange::UserPut(Box::new(user.clone())));
    draft.directory(DirectoryChange::PasswordPut(user.id, password));
    // Whoever had the old one may be signed in with it.
    sessions::end_all_of(control, user.id, &mut draft);
    control.commit(actor, draft)?;
    let login = user.login.to_string();
    let mut changed = changed(user);
    changed.warnings.extend(devices.map(|ids| {
        format!("devices of {login} were enrolled before and sign nobody in any more, but count as devices: {ids}")
    }));
    Ok(changed)
}

/// `user delete`: what refers to the user goes with it.
pub(crate) fn delete(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let user = find_user(control, tenant, name)?;
    let mut draft = Draft::default();
    let apps = assignments::remove_all(&control.snapshot(), Principal::User(user.id), &mut draft);
    let policies = policies::without(control, tenant.id, &mut draft, |policy| policy.without_user(user.id));
    vault::remove_all(control, user.id, &mut draft);
    draft.directory(DirectoryChange::UserRemoved(user.id));
    let before = assignments::with_apps(summary(&user), &apps);
    draft.audit(Audit { before: Some(before), ..audit("user.delete", &user) });
    let version = control.commit(actor, draft)?;
    let gone = apps.iter().map(|app| format!("{} is no longer assigned to {app}", user.login));
    let named = policies
        .iter()
        .map(|(policy, nothing)| format!("{} is no longer named by policy {}{nothing}", user.login, policy.name));
    Ok(Changed { version, warnings: gone.chain(named).collect() })
}

/// `user list`: a page.
pub(crate) fn list(control: &Control, tenant: &Tenant, page: UserQuery) -> Result<UsersPage, Problem> {
    let limit = page.limit;
    let query = UserQuery { tenant: tenant.id, limit: limit + 1, ..page };
    let mut items = control.directory(|store| store.users(&query))?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|user| user.login.clone());
    Ok(UsersPage { items, next })
}

/// What `after=`, `limit=` and `filter=` ask for.
pub(crate) fn page(tenant: &Tenant, query: &str) -> Result<UserQuery, Problem> {
    let mut page = UserQuery { tenant: tenant.id, after: None, filter: None, limit: USERS_LIMIT_DEFAULT };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let wrong =
            || problem("request-invalid", format!("the query {name}={value:?} is not after=, limit= or filter="));
        match &*name {
            "after" => page.after = Some(value.parse().map_err(|_| wrong())?),
            "filter" => page.filter = Some(value.into_owned()),
            "limit" => page.limit = value.parse::<u32>().map_err(|_| wrong())?.clamp(1, USERS_LIMIT_MAX),
            _ => return Err(wrong()), // names have no end
        }
    }
    Ok(page)
}

/// `user show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, name: &str) -> Result<UserDetail, Problem> {
    let user = find_user(control, tenant, name)?;
    let now = now_unix();
    let groups = Groups::of(control, tenant.id)?;
    let direct = control.directory(|store| store.groups_with(user.id))?;
    let found = groups.graph.groups_of(&user, &direct);
    let named = found.iter().filter_map(|(id, via)| {
        let name = groups.all.get(id)?.name.clone();
        Some(GroupOfUser { name, via: *via })
    });
    let counted = groups.graph.counted_groups_of(&user, &direct, now);
    Ok(UserDetail {
        active: user.is_active(now),
        source: control.sync_rows(|store| store.sync_source_of(user.id))?,
        groups: named.collect(),
        assignments: assignments::of_user(control, &user, &counted, now)?,
        user,
    })
}

/// `apply`: the user shall be exactly so, but for the password. Nothing happens when it is.
pub(crate) fn put_entry(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    login: &LoginName,
    entry: UserEntry,
) -> Result<(), Problem> {
    let UserEntry { display_name, mail, attributes, guest, expires_unix, disabled } = entry;
    let before = control.directory(|store| store.user_by_login(tenant.id, login))?;
    let mut draft = Draft::default();
    let id = match &before {
        Some(before) => before.id,
        None => next_id(control, tenant.id, &mut draft)?,
    };
    let user = User {
        id,
        login: login.clone(),
        display_name,
        mail,
        attributes,
        kind: kind(guest, expires_unix)?,
        enabled: !disabled,
        created_unix_ms: before.as_ref().map_or_else(now_unix_ms, |before| before.created_unix_ms),
        password_set_unix_ms: before.as_ref().and_then(|before| before.password_set_unix_ms),
    };
    if disabled && before.as_ref().is_some_and(|before| before.enabled) {
        directory_sync::hold(control, actor, id, &mut draft)?;
    }
    put(control, actor, draft, before.as_ref(), user, None)
}

/// `export`: all users, where a document has room for them.
pub(crate) fn entries(control: &Control, tenant: TenantId) -> Result<BTreeMap<LoginName, UserEntry>, Problem> {
    let count = control.directory(|store| store.user_count(tenant))?;
    if count as usize > DOCUMENT_USERS_MAX {
        let detail = format!(
            "the tenant has {count} users, a document at most {DOCUMENT_USERS_MAX}: --without-users leaves them out"
        );
        return Err(problem("limit-reached", detail));
    }
    let mut entries = BTreeMap::new();
    each(control, tenant, |user| {
        let login = user.login.clone();
        entries.insert(login, entry(user));
    })?;
    Ok(entries)
}

/// `apply --prune`: removes whom the document does not name.
pub(crate) fn prune(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    named: &BTreeMap<LoginName, UserEntry>,
) -> Result<(), Problem> {
    let mut unnamed: Vec<UserId> = Vec::new();
    each(control, tenant.id, |user| unnamed.extend((!named.contains_key(&user.login)).then_some(user.id)))?;
    unnamed.iter().try_for_each(|id| delete(control, actor, tenant, &id.to_string()).map(drop))
}

/// Looks at every user of a tenant, a page in memory at a time.
fn each(control: &Control, tenant: TenantId, mut look: impl FnMut(User)) -> Result<(), Problem> {
    let mut last = 0;
    loop {
        let users = control.directory(|store| store.users_after(tenant, last, USERS_AT_ONCE))?;
        let Some(end) = users.last().map(|user| user.id.seq) else { return Ok(()) };
        users.into_iter().for_each(&mut look);
        last = end;
    }
}

fn entry(user: User) -> UserEntry {
    let guest = matches!(user.kind, UserKind::Guest { .. });
    let expires_unix = user.kind.expires_unix();
    let User { display_name, mail, attributes, enabled, .. } = user;
    UserEntry { display_name, mail, attributes, guest, expires_unix, disabled: !enabled }
}

/// Checks the user against the others and stores it, if it differs from what is there.
fn put(
    control: &Control,
    actor: &Actor,
    mut draft: Draft,
    before: Option<&User>,
    user: User,
    password: Option<DirectoryChange>,
) -> Result<(), Problem> {
    // Who is so already may be kept so, whatever their source says.
    if before == Some(&user) && draft.rest.directory.is_empty() {
        return Ok(());
    }
    if user.attributes.len() > ATTRIBUTES_MAX {
        let detail = format!("{} attributes are too many: at most {ATTRIBUTES_MAX}", user.attributes.len());
        return Err(problem("limit-reached", detail).about("attributes"));
    }
    if before.is_none_or(|before| before.login != user.login) {
        check_no_id::<UserId>("user", user.login.as_str())?;
        check_free(control, user.id.tenant, &user.login)?;
    }
    draft.audit(Audit {
        before: before.map(summary),
        after: Some(summary(&user)),
        ..audit(if before.is_some() { "user.set" } else { "user.create" }, &user)
    });
    if !user.enabled {
        // For good: whoever is enabled again signs in again.
        sessions::end_all_of(control, user.id, &mut draft);
    }
    draft.directory(DirectoryChange::UserPut(Box::new(user)));
    draft.rest.directory.extend(password);
    control.commit(actor, draft).map(drop)
}

/// Somebody whom an identity provider vouches for and whom nobody knew: made in the change that signs them in, which also puts
/// them.
pub(crate) fn made_for_provider(
    control: &Control,
    tenant: TenantId,
    login: &LoginName,
    draft: &mut Draft,
) -> Result<User, Problem> {
    check_no_id::<UserId>("user", login.as_str())?;
    check_free(control, tenant, login)?;
    Ok(User {
        id: next_id(control, tenant, draft)?,
        login: login.clone(),
        display_name: Default::default(),
        mail: None,
        attributes: BTreeMap::new(),
        kind: UserKind::Member,
        enabled: true,
        created_unix_ms: now_unix_ms(),
        password_set_unix_ms: None,
    })
}

/// Puts a user whom an identity provider says something about, if it is anything new.
pub(crate) fn put_for_provider(before: Option<&User>, user: &User, provider: &Name, draft: &mut Draft) {
    if before == Some(user) {
        return;
    }
    draft.audit(Audit {
        before: before.map(summary),
        after: Some(format!("{} by identity provider {provider}", summary(user))),
        ..audit(if before.is_some() { "user.set" } else { "user.create" }, user)
    });
    draft.directory(DirectoryChange::UserPut(Box::new(user.clone())));
}

fn check_free(control: &Control, tenant: TenantId, login: &LoginName) -> Result<(), Problem> {
    match control.directory(|store| store.user_by_login(tenant, login))? {
        None => Ok(()),
        Some(other) => {
            let detail = format!("a user {login} exists already ({}): change it with `postern user set`", other.id);
            Err(problem("name-taken", detail))
        }
    }
}

/// A number that nobody had. Users are only counted where as many numbers were given out as there may be users.
fn next_id(control: &Control, tenant: TenantId, draft: &mut Draft) -> Result<UserId, Problem> {
    let seq = control.next(counter("user", tenant), draft)?;
    if seq > USERS_MAX && control.directory(|store| store.user_count(tenant))? >= USERS_MAX {
        return Err(problem("limit-reached", format!("the tenant has {USERS_MAX} users already")));
    }
    Ok(UserId::new(tenant, seq))
}

fn kind(guest: bool, expires_unix: Option<u64>) -> Result<UserKind, Problem> {
    check_end(expires_unix)?;
    match (guest, expires_unix) {
        (true, expires_unix) => Ok(UserKind::Guest { expires_unix }),
        (false, None) => Ok(UserKind::Member),
        (false, Some(_)) => {
            Err(problem("request-invalid", "only guests expire: make the user a guest").about("expires"))
        }
    }
}

fn changed(user: User) -> UserChanged {
    let over = user.enabled && !user.is_active(now_unix());
    let warnings = over.then(|| format!("{} is a guest whose time is over: they count for nothing", user.login));
    UserChanged { user, warnings: warnings.into_iter().collect() }
}

fn audit(action: &'static str, user: &User) -> Audit {
    let target = format!("user {} ({})", user.login, user.id);
    Audit { action, tenant: Some(user.id.tenant), target, before: None, after: None }
}

/// One line, without what may be long.
fn summary(user: &User) -> String {
    let mut parts = vec![user.kind.as_str().to_owned()];
    parts.extend(user.kind.expires_unix().map(|end| format!("expires_unix={end}")));
    parts.extend((!user.enabled).then(|| "disabled".into()));
    parts.extend(
        (!user.display_name.as_str().is_empty()).then(|| format!("display_name={:?}", user.display_name.as_str())),
    );
    parts.extend(user.mail.as_ref().map(|mail| format!("mail={mail}")));
    let attributes = user.attributes.iter().take(SUMMARY_ATTRIBUTES_MAX);
    parts.extend(attributes.map(|(name, value)| format!("{name}={}", short(value.as_str()))));
    let more = user.attributes.len().saturating_sub(SUMMARY_ATTRIBUTES_MAX);
    parts.extend((more > 0).then(|| format!("and {more} more")));
    parts.join(" ")
}

fn short(value: &str) -> String {
    if value.len() > SUMMARY_VALUE_BYTES_MAX { "…".into() } else { format!("{value:?}") }
}

const SUMMARY_ATTRIBUTES_MAX: usize = 16;
const SUMMARY_VALUE_BYTES_MAX: usize = 64;
