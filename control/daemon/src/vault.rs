//! The password vault, as far as control knows it: what is sealed, for whom, and to which key. Nothing here can be opened here.

pub(crate) mod own;

use postern_model::admin::{
    AskSealing, Changed, CredentialView, Problem, PutCredential, Sealing, SetVaultKey, VaultKeyView,
};
use postern_model::app_url::InternalUrl;
use postern_model::config::{App, Tenant};
use postern_model::ids::{GroupId, UserId};
use postern_model::settings::AppSettings;
use postern_model::sso::SsoMethod;
use postern_model::vault::{Credential, CredentialKey, Owner, Purpose, SetBy, origin};
use postern_model::{Change, Snapshot};

use crate::apps::{backends, find_app};
use crate::clock::now_unix_ms;
use crate::control::{Actor, Audit, Control, Draft};
use crate::directory::find_user;
use crate::limits::{APP_CREDENTIALS_BY_USERS_MAX, APP_CREDENTIALS_MAX, CREDENTIALS_BY_USERS_MAX, CREDENTIALS_MAX};
use crate::problem::{not_found, problem};
use crate::tenants::{find_group, group_name};

/// `vault key show`.
pub(crate) fn show_key(control: &Control, tenant: &Tenant, group: &str) -> Result<VaultKeyView, Problem> {
    let snapshot = control.snapshot();
    let group = find_group(&snapshot, tenant, group)?;
    let key = *snapshot.vault_keys.get(&group.id).ok_or_else(|| no_key(group.name.as_str()))?;
    Ok(VaultKeyView { group: group.name.clone(), key, fingerprint: key.fingerprint() })
}

/// `vault key create`: the public half. Another one takes its place only if that is asked for: what is sealed to the one before
/// is set again then.
pub(crate) fn set_key(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    group: &str,
    request: &SetVaultKey,
) -> Result<Changed, Problem> {
    let (group, before) = {
        let snapshot = control.snapshot();
        let group = find_group(&snapshot, tenant, group)?.clone();
        let before = snapshot.vault_keys.get(&group.id).copied();
        (group, before)
    };
    if before == Some(request.key) {
        return Ok(Changed { version: control.snapshot().version, warnings: Vec::new() });
    }
    if let Some(before) = before.filter(|_| !request.replace) {
        let detail = format!(
            "connector group {} has the key {} already: give its file to connectors, or replace it with --replace",
            group.name,
            before.fingerprint()
        );
        return Err(problem("vault-key-exists", detail));
    }
    let mut draft = Draft::default();
    draft.audit(Audit {
        action: "vault-key.set",
        tenant: Some(tenant.id),
        target: format!("connector group {} ({})", group.name, group.id),
        before: before.map(|key| key.fingerprint().to_string()),
        after: Some(request.key.fingerprint().to_string()),
    });
    draft.change(Change::VaultKeyPut { group: group.id, key: request.key });
    let version = control.commit(actor, draft)?;
    let warnings = control.snapshot().apps_of(group.id).filter_map(|app| unusable(&control.snapshot(), app)).collect();
    Ok(Changed { version, warnings })
}

/// What is needed to seal a credential.
pub(crate) fn sealing(control: &Control, tenant: &Tenant, request: &AskSealing) -> Result<Sealing, Problem> {
    let app = find_app(&control.snapshot(), tenant, &request.app)?.clone();
    let user = request.user.as_deref().map(|user| find_user(control, tenant, user)).transpose()?;
    let snapshot = control.snapshot();
    let group = group_name(&snapshot, app.group);
    let key = *snapshot.vault_keys.get(&app.group).ok_or_else(|| no_key(group.as_str()))?;
    let owner = user.as_ref().map_or(Owner::Shared, |user| Owner::User(user.id));
    Ok(Sealing {
        purpose: Purpose { app: app.id, owner, origin: origin_of(&app) },
        key,
        group,
        login: user.map(|user| user.login),
        basic: method(&app) == Some(SsoMethod::Basic),
        app: app.name,
    })
}

/// `vault set`: what was sealed for the application as it is now.
pub(crate) fn put(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: PutCredential,
) -> Result<Changed, Problem> {
    let PutCredential { purpose, key, sealed } = request;
    let id = purpose.app.to_string();
    let app = find_app(&control.snapshot(), tenant, &id).cloned().ok().filter(|app| app.id == purpose.app);
    let app = app.ok_or_else(|| not_found("application", &id))?;
    let owner = owner_text(control, tenant, purpose.owner)?;
    let credential = Credential { purpose, key, sealed, set_unix_ms: now_unix_ms(), by: SetBy::Operator };
    if let Some(reason) = misfit(&control.snapshot(), &app, &credential) {
        let detail = format!("the credential was sealed for something else: {reason}");
        return Err(problem("vault-sealing-stale", detail));
    }
    let version = store(control, actor, &app, &owner, credential)?;
    let idle = method(&app).is_none().then(|| {
        format!("{}: it is not used yet: postern app set {0} --set sso=basic, or sso=form (docs/single-sign-on.md#passwords)", app.name)
    });
    Ok(Changed { version, warnings: idle.into_iter().collect() })
}

/// Keeps what fits the application.
fn store(control: &Control, actor: &Actor, app: &App, owner: &str, credential: Credential) -> Result<u64, Problem> {
    let mut draft = Draft::default();
    {
        let snapshot = control.snapshot();
        let before = snapshot.credentials.get(&credential.key());
        if before.is_none() {
            check_room(snapshot.credentials_of(app.id).count(), snapshot.credentials.len(), credential.by)?;
        }
        draft.audit(audit("vault.set", app, owner, before, Some(&credential)));
    }
    draft.change(Change::CredentialPut(credential.clone()));
    sign(
        control,
        app,
        |credentials| {
            credentials.retain(|held| held.key() != credential.key());
            credentials.push(credential.clone());
        },
        &mut draft,
    );
    control.commit(actor, draft)
}

/// `vault remove`.
pub(crate) fn remove(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    app: &str,
    user: Option<&str>,
) -> Result<Changed, Problem> {
    let app = find_app(&control.snapshot(), tenant, app)?.clone();
    let owner = match user {
        Some(user) => Owner::User(find_user(control, tenant, user)?.id),
        None => Owner::Shared,
    };
    let text = owner_text(control, tenant, owner)?;
    let version = take_out(control, actor, &app, owner, &text)?;
    Ok(Changed { version, warnings: Vec::new() })
}

fn take_out(control: &Control, actor: &Actor, app: &App, owner: Owner, text: &str) -> Result<u64, Problem> {
    let key = CredentialKey { app: app.id, owner };
    let held = control.snapshot().credentials.get(&key).cloned();
    let held = held.ok_or_else(|| not_found("credential", &format!("{} {text}", app.name)))?;
    let mut draft = Draft::default();
    draft.audit(audit("vault.remove", app, text, Some(&held), None));
    draft.change(Change::CredentialRemoved { app: app.id, owner });
    sign(control, app, |credentials| credentials.retain(|held| held.key() != key), &mut draft);
    control.commit(actor, draft)
}

/// Removes the credentials of a user who goes.
pub(crate) fn remove_all(control: &Control, user: UserId, draft: &mut Draft) {
    let owner = Owner::User(user);
    let apps: Vec<App> = {
        let snapshot = control.snapshot();
        let theirs = snapshot.credentials.keys().filter(|key| key.owner == owner);
        theirs.filter_map(|key| snapshot.apps.get(&key.app).cloned()).collect()
    };
    for app in &apps {
        draft.change(Change::CredentialRemoved { app: app.id, owner });
    }
    let mut groups: Vec<GroupId> = apps.iter().map(|app| app.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let snapshot = control.snapshot();
    for group in groups {
        let mut backends = backends(&snapshot, group, None, None);
        for backend in &mut backends {
            backend.credentials.retain(|held| held.purpose.owner != owner);
        }
        draft.sign(group, backends);
    }
}

/// `vault list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Result<Vec<CredentialView>, Problem> {
    let held: Vec<(App, Credential)> = {
        let snapshot = control.snapshot();
        let own = snapshot.credentials.values().filter(|held| held.purpose.app.tenant == tenant.id);
        own.filter_map(|held| Some((snapshot.apps.get(&held.purpose.app)?.clone(), held.clone()))).collect()
    };
    let view = |(app, held): &(App, Credential)| {
        Ok(CredentialView {
            app: app.name.clone(),
            owner: owner_text(control, tenant, held.purpose.owner)?,
            origin: held.purpose.origin.clone(),
            key: held.key,
            set_unix_ms: held.set_unix_ms,
            by: held.by,
            problem: misfit(&control.snapshot(), app, held).or_else(|| {
                method(app).is_none().then(|| "the application has neither sso=basic nor sso=form".to_owned())
            }),
        })
    };
    held.iter().map(view).collect()
}

/// What an operator should know of an application's credentials after a change.
pub(crate) fn unusable(snapshot: &Snapshot, app: &App) -> Option<String> {
    method(app)?;
    let mut misfits = snapshot.credentials_of(app.id).filter_map(|held| misfit(snapshot, app, held));
    let first = misfits.next()?;
    let count = 1 + misfits.count();
    Some(format!("{}: {count} of its credentials cannot be used until they are set again: {first}", app.name))
}

/// The application's credentials, as connectors get them: none where they are not used.
pub(crate) fn sealed_for(snapshot: &Snapshot, app: &App) -> Vec<Credential> {
    if method(app).is_some() { snapshot.credentials_of(app.id).cloned().collect() } else { Vec::new() }
}

/// Signs what the application's group may reach, with credentials that are changed so.
fn sign(control: &Control, app: &App, change: impl Fn(&mut Vec<Credential>), draft: &mut Draft) {
    if method(app).is_none() {
        return;
    }
    let mut backends = backends(&control.snapshot(), app.group, None, None);
    backends.iter_mut().filter(|backend| backend.id == app.id).for_each(|backend| change(&mut backend.credentials));
    draft.sign(app.group, backends);
}

/// Why connectors cannot open it, as far as that shows from here.
fn misfit(snapshot: &Snapshot, app: &App, held: &Credential) -> Option<String> {
    let origin = origin_of(app);
    if held.purpose.origin != origin {
        return Some(format!("it is for {}, and the application is at {origin} now", held.purpose.origin));
    }
    let group = group_name(snapshot, app.group);
    match snapshot.vault_keys.get(&app.group).map(postern_model::vault::VaultPublicKey::fingerprint) {
        Some(current) if current == held.key => None,
        Some(current) => {
            Some(format!("it is sealed to the key {}, and connector group {group} has {current}", held.key))
        }
        None => Some(format!("connector group {group} has no key")),
    }
}

/// For one more, beside so many of the application and of all. Users alone do not use all of it up.
fn check_room(of_app: usize, all: usize, by: SetBy) -> Result<(), Problem> {
    let detail = match by {
        SetBy::User if of_app >= APP_CREDENTIALS_BY_USERS_MAX || all >= CREDENTIALS_BY_USERS_MAX => {
            "There is no room for another password at present. Ask the application's operator to enter yours."
                .to_owned()
        }
        SetBy::Operator if of_app >= APP_CREDENTIALS_MAX => {
            format!("an application has at most {APP_CREDENTIALS_MAX} credentials")
        }
        SetBy::Operator if all >= CREDENTIALS_MAX => format!("there are {CREDENTIALS_MAX} credentials already"),
        SetBy::User | SetBy::Operator => return Ok(()),
    };
    Err(problem("limit-reached", detail))
}

/// How the vault's passwords are used, if they are.
fn method(app: &App) -> Option<SsoMethod> {
    let settings = AppSettings::parse(&app.settings).ok()?;
    settings.sso.is_by_vault().then_some(settings.sso.method)
}

fn origin_of(app: &App) -> String {
    // Checked when it was published.
    InternalUrl::parse(&app.internal_url).map(|internal| origin(&internal)).unwrap_or_default()
}

fn owner_text(control: &Control, tenant: &Tenant, owner: Owner) -> Result<String, Problem> {
    match owner {
        Owner::Shared => Ok(owner.to_string()),
        Owner::User(id) => Ok(format!("user/{}", find_user(control, tenant, &id.to_string())?.login)),
    }
}

fn no_key(group: &str) -> Problem {
    let detail = format!(
        "connector group {group} has no key of the vault: postern vault key create --group {group} --out FILE makes one"
    );
    problem("vault-key-missing", detail)
}

fn audit(
    action: &'static str,
    app: &App,
    owner: &str,
    before: Option<&Credential>,
    after: Option<&Credential>,
) -> Audit {
    let summary = |held: &Credential| format!("sealed to {} for {}", held.key, held.purpose.origin);
    Audit {
        action,
        tenant: Some(app.id.tenant),
        target: format!("credential of {owner} for app {} ({})", app.name, app.id),
        before: before.map(summary),
        after: after.map(summary),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_alone_do_not_use_up_the_room_that_operators_need() {
        for (of_app, all, by_user, by_operator) in [
            (0, 0, true, true),
            (1_799, 4_499, true, true),
            (1_800, 1_800, false, true),
            (0, 4_500, false, true),
            (1_999, 4_999, false, true),
            (2_000, 2_000, false, false),
            (0, 5_000, false, false),
        ] {
            let room = |by| check_room(of_app, all, by).is_ok();
            assert_eq!((room(SetBy::User), room(SetBy::Operator)), (by_user, by_operator), "{of_app} {all}");
        }
        let refused = check_room(1_800, 1_800, SetBy::User).unwrap_err();
        assert_eq!(refused.code, "limit-reached");
        assert!(refused.detail.starts_with("There is no room"), "{}", refused.detail);
    }
}
