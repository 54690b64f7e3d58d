//! Passwords that users enter themselves (`vault_by=users`), as control gets them: sealed, and for whoever the caller says that it
//! is, whatever was sealed into them. What was sealed for somebody else no connector opens.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::Snapshot;
use postern_model::admin::Problem;
use postern_model::config::App;
use postern_model::directory::User;
use postern_model::ids::{AppId, UserId};
use postern_model::portal::{OwnSealing, PasswordState, PutOwn};
use postern_model::settings::AppSettings;
use postern_model::sso::SsoMethod;
use postern_model::vault::{Credential, CredentialKey, Owner, Purpose, SetBy};

use super::{method, misfit, origin_of, store, take_out};
use crate::clock::{now_unix, now_unix_ms};
use crate::control::{Actor, Control};
use crate::limits::{OWN_PASSWORD_CHANGES_MAX, OWN_PASSWORD_CHANGES_S, OWN_PASSWORD_USERS_MAX};
use crate::problem::problem;
use crate::tenants::group_name;

/// How often users changed their passwords lately: each change is signed and sent to every connector of a group.
#[derive(Default)]
pub(crate) struct Changes(BTreeMap<UserId, Counted>);

#[derive(Clone, Copy)]
struct Counted {
    since_unix: u64,
    count: u32,
}

/// Whether its users enter their passwords themselves.
pub(crate) fn is_by_users(app: &App) -> bool {
    AppSettings::parse(&app.settings).is_ok_and(|settings| settings.sso.is_by_users())
}

/// What is stored of a user's, and when that was.
pub(crate) fn state(snapshot: &Snapshot, app: &App, user: UserId) -> (PasswordState, Option<u64>) {
    let held = |owner| snapshot.credentials.get(&CredentialKey { app: app.id, owner });
    match held(Owner::User(user)) {
        Some(own) if misfit(snapshot, app, own).is_some() => (PasswordState::Stale, Some(own.set_unix_ms / 1_000)),
        Some(own) => (PasswordState::Own, Some(own.set_unix_ms / 1_000)),
        None if held(Owner::Shared).is_some() => (PasswordState::Shared, None),
        None => (PasswordState::Missing, None),
    }
}

/// What is needed to seal one.
pub(crate) fn sealing(snapshot: &Snapshot, app: &App, user: UserId) -> Result<OwnSealing, Problem> {
    let missing =
        || problem("vault-key-missing", "No password can be stored for this application yet. Ask its operator.");
    let key = *snapshot.vault_keys.get(&app.group).ok_or_else(missing)?;
    let purpose = Purpose { app: app.id, owner: Owner::User(user), origin: origin_of(app) };
    Ok(OwnSealing { purpose, key, basic: method(app) == Some(SsoMethod::Basic) })
}

/// Keeps what the user entered.
pub(crate) fn put(control: &Control, user: &User, app: &App, given: PutOwn) -> Result<(), Problem> {
    let PutOwn { origin, key, sealed } = given;
    let purpose = Purpose { app: app.id, owner: Owner::User(user.id), origin };
    let credential = Credential { purpose, key, sealed, set_unix_ms: now_unix_ms(), by: SetBy::User };
    if misfit(&control.snapshot(), app, &credential).is_some() {
        // In which way is none of the user's business.
        let detail = "The application was changed at this very moment. Enter your password once more.";
        return Err(problem("vault-sealing-stale", detail));
    }
    control.own_passwords.borrow_mut().count(user.id, now_unix())?;
    store(control, &actor(user), app, &text(user), credential).map(drop)
}

/// Forgets it, whoever had entered it.
pub(crate) fn remove(control: &Control, user: &User, app: &App) -> Result<(), Problem> {
    control.own_passwords.borrow_mut().count(user.id, now_unix())?;
    take_out(control, &actor(user), app, Owner::User(user.id), &text(user)).map(drop)
}

/// What keeps users from entering passwords, for an operator.
pub(crate) fn keyless(snapshot: &Snapshot, app: &App) -> Option<String> {
    if !is_by_users(app) || snapshot.vault_keys.contains_key(&app.group) {
        return None;
    }
    let group = group_name(snapshot, app.group);
    Some(format!(
        "{}: users cannot enter passwords until connector group {group} has a key: postern vault key create --group {group} --out FILE",
        app.name
    ))
}

/// What users entered stays in use when they may enter nothing any more: an operator decides about it.
pub(crate) fn left_behind(snapshot: &Snapshot, before: &App, app: &App) -> Option<String> {
    if !is_by_users(before) || is_by_users(app) {
        return None;
    }
    let count = count_by_users(snapshot, app.id);
    let name = &app.name;
    (count > 0).then(|| {
        format!(
            "{name}: {count} of its credentials were entered by users, who cannot change or remove them any more: postern vault list {name}"
        )
    })
}

/// Applications of which users entered passwords, as they are before a change of many.
pub(crate) fn entered(snapshot: &Snapshot) -> Vec<App> {
    let entered = snapshot.credentials.values().filter(|held| held.by == SetBy::User);
    let apps: BTreeSet<AppId> = entered.map(|held| held.purpose.app).collect();
    apps.iter().filter_map(|id| snapshot.apps.get(id).cloned()).collect()
}

/// [`left_behind`], of those that were [`entered`].
pub(crate) fn all_left_behind(entered: &[App], now: &Snapshot) -> Vec<String> {
    entered.iter().filter_map(|before| left_behind(now, before, now.apps.get(&before.id)?)).collect()
}

fn count_by_users(snapshot: &Snapshot, app: AppId) -> usize {
    snapshot.credentials_of(app).filter(|held| held.by == SetBy::User).count()
}

fn actor(user: &User) -> Actor {
    Actor::User(user.login.clone())
}

fn text(user: &User) -> String {
    format!("user/{}", user.login)
}

impl Changes {
    fn count(&mut self, user: UserId, now_unix: u64) -> Result<(), Problem> {
        let is_old = |counted: &Counted| counted.since_unix + OWN_PASSWORD_CHANGES_S <= now_unix;
        if self.0.len() >= OWN_PASSWORD_USERS_MAX {
            self.0.retain(|_, counted| !is_old(counted));
        }
        let begun = Counted { since_unix: now_unix, count: 0 };
        let counted = self.0.get(&user).copied().filter(|counted| !is_old(counted)).unwrap_or(begun);
        // Who is counted already needs no room.
        let is_full = !self.0.contains_key(&user) && self.0.len() >= OWN_PASSWORD_USERS_MAX;
        if counted.count >= OWN_PASSWORD_CHANGES_MAX || is_full {
            let detail = "Passwords were changed too often within the last minutes. Try again later.";
            return Err(problem("vault-changed-often", detail));
        }
        self.0.insert(user, Counted { count: counted.count + 1, ..counted });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::ids::TenantId;

    #[test]
    fn changes_are_counted_by_user_and_forgotten_after_a_while() {
        let mut changes = Changes::default();
        let user = |seq| UserId::new(TenantId::DEFAULT, seq);
        for _ in 0..OWN_PASSWORD_CHANGES_MAX {
            assert!(changes.count(user(1), 100).is_ok());
        }
        let refused = changes.count(user(1), 100 + OWN_PASSWORD_CHANGES_S - 1).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.status), ("vault-changed-often", 429));
        assert!(changes.count(user(2), 100).is_ok(), "others may");
        assert!(changes.count(user(1), 100 + OWN_PASSWORD_CHANGES_S).is_ok());
        for seq in 3..=OWN_PASSWORD_USERS_MAX as u32 {
            assert!(changes.count(user(seq), 100).is_ok());
        }
        assert_eq!(changes.0.len(), OWN_PASSWORD_USERS_MAX);
        assert!(changes.count(user(9_999_999), 100).is_err(), "there is no room without end");
        assert!(changes.count(user(2), 100).is_ok(), "who is counted goes on");
        assert!(changes.count(user(9_999_999), 100 + OWN_PASSWORD_CHANGES_S).is_ok(), "what is old makes room");
    }
}
