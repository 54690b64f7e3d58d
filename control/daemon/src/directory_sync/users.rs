//! Users of a source: made, changed and taken away by the same functions as those of administrators.

use postern_model::admin::{CreateUser, Problem, SetUser};
use postern_model::directory_sync::{Digest, Gone, ObjectId, SyncUser};
use postern_model::ids::UserId;

use super::answer::{Asking, Told};
use super::{audit_of, passes};
use crate::control::{Actor, Audit, Control, Draft};
use crate::store::{DirectoryChange, SyncChange, SyncState};
use crate::users;

/// A user is to be what the source says. What is refused is noted; only a store that fails ends it all.
pub(super) fn put(control: &Control, asking: &Asking, user: SyncUser, told: &mut Told) -> Result<(), Problem> {
    match control.sync_rows(|store| store.sync_user(asking.whose(), &user.id))? {
        Some((id, state)) => change(control, asking, id, state, user, told),
        None => create(control, asking, user, told),
    }
}

fn create(control: &Control, asking: &Asking, user: SyncUser, told: &mut Told) -> Result<(), Problem> {
    let SyncUser { id: object, digest, login, display_name, mail, attributes, enabled } = user;
    let Some(login) = login else {
        told.trouble(object.to_string(), "there is no login name to make a user of");
        return Ok(());
    };
    if control.directory(|store| store.user_by_login(asking.tenant.id, &login))?.is_some() {
        // Whoever has the name has its rights: nothing makes one of the other.
        told.trouble(
            login.as_str(),
            "there is a user of this login name already who is not of this entry: not taken over",
        );
        return Ok(());
    }
    let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let request = CreateUser {
        login: login.clone(),
        display_name,
        mail,
        attributes,
        guest: false,
        expires_unix: None,
        password: None,
    };
    let made = match users::create(control, &asking.actor, &asking.tenant, request, None) {
        Ok(made) => made.user.id,
        Err(problem) => return refused(told, login.as_str(), problem),
    };
    let state = if enabled { SyncState::Present } else { SyncState::Disabled };
    if !enabled {
        let set = SetUser { enabled: Some(false), ..SetUser::default() };
        users::set(control, &asking.actor, &asking.tenant, &made.to_string(), set)?;
    }
    told.created += 1;
    mark(control, asking, object, made, digest, state)
}

fn change(
    control: &Control,
    asking: &Asking,
    id: UserId,
    state: SyncState,
    user: SyncUser,
    told: &mut Told,
) -> Result<(), Problem> {
    let SyncUser { id: object, digest, login, display_name, mail, attributes, enabled } = user;
    let Some(before) = control.directory(|store| store.user(id))? else { return Ok(()) };
    // Whom somebody here disabled stays so, whatever the source says: it enables only whom it disabled itself.
    let (is_enabled, state) = match (before.enabled, state, enabled) {
        (true, _, true) => (true, SyncState::Present),
        (true, _, false) => (false, SyncState::Disabled),
        (false, SyncState::Disabled | SyncState::Gone, true) => (true, SyncState::Present),
        (false, SyncState::Present | SyncState::GoneHeld, _) => (false, SyncState::Present),
        (false, SyncState::Disabled | SyncState::Gone, false) => (false, SyncState::Disabled),
    };
    let mut set = SetUser {
        login: login.filter(|login| *login != before.login),
        display_name: Some(display_name),
        mail: Some(mail),
        attributes,
        enabled: Some(is_enabled),
        ..SetUser::default()
    };
    if let Some(login) = &set.login
        && control.directory(|store| store.user_by_login(asking.tenant.id, login))?.is_some()
    {
        let what = format!("there is a user {login} already: the login name stays {}", before.login);
        told.trouble(before.login.as_str(), what);
        set.login = None;
    }
    match users::set(control, &asking.actor, &asking.tenant, &id.to_string(), set) {
        Ok(changed) => told.changed += u32::from(changed.user != before),
        // What bars the way to a new name must not keep anybody enabled.
        Err(problem) => {
            refused(told, before.login.as_str(), problem)?;
            let set = SetUser { enabled: Some(is_enabled), ..SetUser::default() };
            users::set(control, &asking.actor, &asking.tenant, &id.to_string(), set)?;
        }
    }
    mark(control, asking, object, id, digest, state)
}

/// The source has them no longer.
pub(super) fn gone(control: &Control, asking: &Asking, object: &ObjectId, told: &mut Told) -> Result<(), Problem> {
    let Some((id, state)) = control.sync_rows(|store| store.sync_user(asking.whose(), object))? else { return Ok(()) };
    if state.is_gone() || !asking.take_removal(control) {
        return Ok(());
    }
    let Some(user) = control.directory(|store| store.user(id))? else { return Ok(()) };
    told.removed += 1;
    let name = id.to_string();
    let mut draft = Draft::default();
    let after = Some(passes::word(asking.source.settings.gone).to_owned());
    let target = format!("user {} ({id})", user.login);
    draft.audit(Audit { after, ..audit_of("directory-sync.gone", asking.tenant.id, target) });
    control.commit(&asking.actor, draft)?;
    match asking.source.settings.gone {
        Gone::Delete => users::delete(control, &asking.actor, &asking.tenant, &name).map(drop),
        Gone::Disable => {
            let set = SetUser { enabled: Some(false), ..SetUser::default() };
            users::set(control, &asking.actor, &asking.tenant, &name, set)?;
            // Whom somebody here disabled before comes back disabled.
            let by_hand = !user.enabled && state == SyncState::Present;
            let state = if by_hand { SyncState::GoneHeld } else { SyncState::Gone };
            mark(control, asking, object.clone(), id, Digest::default(), state)
        }
    }
}

/// Somebody here disables a user: a source that had them disabled already, or no longer, does not enable them again.
pub(crate) fn hold(control: &Control, actor: &Actor, user: UserId, draft: &mut Draft) -> Result<(), Problem> {
    if matches!(actor, Actor::DirectorySync(_)) {
        return Ok(());
    }
    let state = match control.sync_rows(|store| store.sync_state_of(user))? {
        Some(SyncState::Disabled) => SyncState::Present,
        Some(SyncState::Gone) => SyncState::GoneHeld,
        Some(SyncState::Present | SyncState::GoneHeld) | None => return Ok(()),
    };
    draft.directory(DirectoryChange::Sync(SyncChange::State(user, state)));
    Ok(())
}

fn mark(
    control: &Control,
    asking: &Asking,
    object: ObjectId,
    id: UserId,
    digest: Digest,
    state: SyncState,
) -> Result<(), Problem> {
    let mut draft = Draft::default();
    let source = asking.source.name.clone();
    draft.directory(DirectoryChange::Sync(SyncChange::User(source, object, id, digest, state)));
    control.commit(&asking.actor, draft).map(drop)
}

/// Notes what is refused; a store that fails is passed on.
pub(super) fn refused(told: &mut Told, object: &str, problem: Problem) -> Result<(), Problem> {
    if problem.status >= 500 {
        return Err(problem);
    }
    told.trouble(object, problem.detail);
    Ok(())
}
