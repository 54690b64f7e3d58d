//! Where people sign in: an application of its own group, whose connectors are identity processes and whose only backend is
//! the process itself.

use std::collections::BTreeMap;

use postern_model::admin::{CreateNamed, IdentityPublished, IdentityView, Problem, PublishIdentity};
use postern_model::config::{App, Preauth, Tenant};
use postern_model::document::AppEntry;
use postern_model::identity::{IDENTITY_NAME, INTERNAL_URL, IdentityApp};
use postern_model::ids::{Name, TenantId};
use postern_model::session::CookieKey;
use postern_model::settings::{EXTERNAL_ALIASES, SEGMENTS};
use postern_model::snapshot::COOKIE_KEYS_MAX;
use postern_model::{Change, Snapshot};

use crate::apps;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::devices;
use crate::limits::COOKIE_KEY_S;
use crate::problem::problem;
use crate::tenants;

/// `identity publish`: makes group and application, or moves the application.
pub(crate) fn publish(
    control: &Control,
    actor: &Actor,
    request: PublishIdentity,
) -> Result<IdentityPublished, Problem> {
    let tenant = default_tenant(&control.snapshot())?;
    let name: Name = IDENTITY_NAME.parse().map_err(|_| problem("internal", "the identity's name is no name"))?;
    let make = || {
        if tenants::find_group(&control.snapshot(), &tenant, IDENTITY_NAME).is_err() {
            tenants::make_group(control, actor, &tenant, CreateNamed { name: name.clone() }, false)?;
        }
        let group = tenants::find_group(&control.snapshot(), &tenant, IDENTITY_NAME)?.id;
        let before = control.snapshot().apps.values().find(|app| app.name == name).cloned();
        let entry = AppEntry {
            external_url: request.external_url,
            internal_url: INTERNAL_URL.into(),
            preauth: Preauth::Passthrough,
            group: Some(name.clone()),
            certificate_pem: request.certificate_pem,
            key_pem: request.key_pem,
            settings: before.map_or_else(BTreeMap::new, |before| before.settings),
        };
        apps::put(control, actor, &tenant, &name, entry)?;
        apps::check_conflicts(&control.snapshot(), &tenant)?;
        let app = apps::find_app(&control.snapshot(), &tenant, IDENTITY_NAME)?.clone();
        check(&app)?;
        let device_host = control.snapshot().identity.as_ref().and_then(|identity| identity.device_host.clone());
        let identity = IdentityApp { app: app.id, group, device_host };
        if control.snapshot().identity.as_ref() != Some(&identity) {
            let mut draft = Draft::default();
            draft.audit(audit("identity.publish", Some(app.external_url)));
            draft.change(Change::IdentityPut(identity));
            control.commit(actor, draft)?;
        }
        Ok(())
    };
    let ((), version) = control.staged(actor, make, |(), _| true)?;
    let identity = show(control)?;
    let mut warnings = Vec::new();
    if identity.online == 0 {
        warnings.push(format!(
            "no identity process is online: postern connector token --group {IDENTITY_NAME} --out FILE, then postern-identity --relay … --token-file FILE"
        ));
    }
    Ok(IdentityPublished { identity, version, warnings })
}

/// `identity show`.
pub(crate) fn show(control: &Control) -> Result<IdentityView, Problem> {
    let snapshot = control.snapshot();
    let none = || problem("not-found", "people sign in nowhere yet: postern identity publish --external https://HOST/");
    let identity = snapshot.identity.as_ref().ok_or_else(none)?;
    let app = snapshot.apps.get(&identity.app).ok_or_else(none)?;
    let online = apps::online_by_group(control, &snapshot).get(&identity.group).copied().unwrap_or(0);
    let sessions = u64::try_from(control.sessions.borrow().len()).unwrap_or(u64::MAX);
    let device_url = devices::device_url(control);
    Ok(IdentityView {
        app: app.id,
        device_url,
        external_url: app.external_url.clone(),
        group: IDENTITY_NAME.into(),
        online,
        sessions,
    })
}

/// `identity unpublish`: who is signed in stays so until their session ends.
pub(crate) fn unpublish(control: &Control, actor: &Actor) -> Result<postern_model::admin::Changed, Problem> {
    let external = show(control)?.external_url;
    let tenant = default_tenant(&control.snapshot())?;
    let remove = || {
        let mut draft = Draft::default();
        draft.audit(Audit { before: Some(external), ..audit("identity.unpublish", None) });
        if control.snapshot().identity.as_ref().is_some_and(|identity| identity.device_host.is_some()) {
            devices::remove_host(control, actor)?;
        }
        draft.change(Change::IdentityRemoved {});
        control.commit(actor, draft)?;
        apps::unpublish(control, actor, &tenant, IDENTITY_NAME).map(drop)
    };
    let ((), version) = control.staged(actor, remove, |(), _| true)?;
    Ok(postern_model::admin::Changed { version, warnings: Vec::new() })
}

/// Refuses what would make another application of the one that people sign in at.
pub(crate) fn check(app: &App) -> Result<(), Problem> {
    let url = postern_model::app_url::ExternalUrl::parse(&app.external_url);
    let refused = |detail: &str, about: &str| Err(problem("identity-app-fixed", detail).about(about));
    if app.internal_url != INTERNAL_URL {
        return refused("the application that people sign in at has itself as its backend, and no other", "internal");
    }
    if [SEGMENTS, EXTERNAL_ALIASES].iter().any(|name| app.settings.contains_key(*name)) {
        return refused("people sign in at one host: it has no other names and no segments", "settings");
    }
    if app.preauth != Preauth::Passthrough {
        return refused("nobody can sign in to sign in: this application stays --preauth passthrough", "preauth");
    }
    if url.is_ok_and(|url| !url.tls || url.wildcard || !url.path.is_empty()) {
        return refused(
            "people sign in at a host of its own: https://HOST[:PORT]/, no wildcard and no path",
            "external",
        );
    }
    Ok(())
}

/// Whether a name is kept for the identity.
pub(crate) fn is_reserved(name: &str) -> bool {
    name == IDENTITY_NAME
}

pub(crate) fn default_tenant(snapshot: &Snapshot) -> Result<Tenant, Problem> {
    let tenant = snapshot.tenants.get(&TenantId::DEFAULT).cloned();
    tenant.ok_or_else(|| problem("not-found", "there is no tenant default"))
}

/// Makes a key for cookies when there is none, or the newest has served its time. Older ones stay until there are too many.
pub(crate) fn renew_cookie_keys(control: &Control) -> Result<bool, Problem> {
    let now = now_unix();
    let mut keys = control.snapshot().cookie_keys.clone();
    let newest = keys.iter().max_by_key(|key| key.id);
    if newest.is_some_and(|key| now < key.created_unix.saturating_add(COOKIE_KEY_S)) {
        return Ok(false);
    }
    let id = newest.map_or(1, |key| key.id + 1);
    let key = CookieKey::make(id, now).map_err(|error| problem("internal", error.to_string()))?;
    keys.push(key);
    keys.drain(..keys.len().saturating_sub(COOKIE_KEYS_MAX));
    let mut draft = Draft::default();
    draft.change(Change::CookieKeysPut { keys });
    control.commit(&Actor::Control, draft)?;
    Ok(true)
}

fn audit(action: &'static str, after: Option<String>) -> Audit {
    let target = String::from("the place to sign in");
    Audit { action, tenant: Some(TenantId::DEFAULT), target, before: None, after }
}
