//! SAML 2.0 identity provider: keys, and the XML that they sign. Who gets an assertion is decided where people sign in
//! ([`crate::sign_in`]); nothing but this process ever has a key.

mod keys;
mod metadata;
mod response;
mod sign;
mod xml;

use std::collections::BTreeSet;

use postern_model::Snapshot;
use postern_model::admin::{Problem, RotateSaml, SamlView};
use postern_model::app_url::ExternalUrl;
use postern_model::config::{App, Preauth};
use postern_model::plan::PlannedApp;
use postern_model::saml::{METADATA_PATH, SSO_PATH, SamlMetadata};
use postern_model::settings::{SSO_SAML_ACS, SSO_SAML_ENTITY_ID, origin};

use crate::control::{Actor, Audit, Control, Draft};
use crate::foreign_hosts::ForeignHosts;
use crate::identity;
use crate::problem::problem;
use crate::sign_in;

pub(crate) use keys::SamlKeys;
pub(crate) use response::{Assertion, Reply, Status, failure, success};
pub(crate) use xml::is_text;

/// The name of the place to sign in, in SAML: where its metadata is.
pub(crate) fn entity_id(control: &Control) -> String {
    format!("{}{METADATA_PATH}", sign_in::issuer(control))
}

/// Where service providers send browsers.
pub(crate) fn sso_url(control: &Control) -> String {
    format!("{}{SSO_PATH}", sign_in::issuer(control))
}

/// What everybody may know. Signed once for each address and key.
pub(crate) async fn metadata(control: &Control) -> SamlMetadata {
    if control.snapshot().identity.is_none() {
        return SamlMetadata { xml: None };
    }
    if let Err(problem) = ensure(control).await {
        tracing::error!("there is no key for SAML: {}", problem.detail);
        return SamlMetadata { xml: None };
    }
    SamlMetadata { xml: metadata::of(control) }
}

/// There is a key: made when it is wanted first.
pub(crate) async fn ensure(control: &Control) -> Result<(), Problem> {
    if control.saml.is_ready() {
        return Ok(());
    }
    let made = keys::make().await?;
    // Two may have waited for it at once.
    if control.saml.is_ready() {
        return Ok(());
    }
    let sha256 = control.saml.begin(&control.state_dir, made)?;
    commit(control, &Actor::Control, "identity.saml.key", None, Some(format!("certificate {sha256}")))
}

/// `identity saml show`.
pub(crate) async fn show(control: &Control) -> Result<SamlView, Problem> {
    // Says so where people sign in nowhere.
    identity::show(control)?;
    ensure(control).await?;
    Ok(SamlView { metadata_url: entity_id(control), sso_url: sso_url(control), keys: control.saml.views() })
}

/// `identity saml rotate`: makes the next key, which is published beside the one that signs; or lets it sign.
pub(crate) async fn rotate(control: &Control, actor: &Actor, request: RotateSaml) -> Result<SamlView, Problem> {
    identity::show(control)?;
    ensure(control).await?;
    let before = control.saml.fingerprints();
    let action = if request.activate {
        control.saml.activate(&control.state_dir)?;
        "identity.saml.activate"
    } else {
        if control.saml.has_next() {
            return Err(problem("saml-key-waits", "there is a next key already: it signs with --activate"));
        }
        let made = keys::make().await?;
        control.saml.put_next(&control.state_dir, made)?;
        "identity.saml.rotate"
    };
    commit(control, actor, action, Some(before), Some(control.saml.fingerprints()))?;
    show(control).await
}

fn commit(
    control: &Control,
    actor: &Actor,
    action: &'static str,
    before: Option<String>,
    after: Option<String>,
) -> Result<(), Problem> {
    let mut draft = Draft::default();
    let tenant = Some(postern_model::ids::TenantId::DEFAULT);
    draft.audit(Audit { action, tenant, target: "keys of the SAML identity provider".into(), before, after });
    control.commit(actor, draft).map(drop)
}

/// Refuses what is another application's.
pub(crate) fn check(snapshot: &Snapshot, app: &App) -> Result<(), Problem> {
    check_entity_id(snapshot, app)?;
    check_acs(snapshot, app)
}

/// Another tenant's application would get assertions about users of this one.
fn check_acs(snapshot: &Snapshot, app: &App) -> Result<(), Problem> {
    let acs_of = |app: &App| PlannedApp::parse(app).ok()?.settings.sso_saml.map(|saml| saml.acs);
    let Some(own) = acs_of(app) else { return Ok(()) };
    let foreign = ForeignHosts::of(snapshot, app.id.tenant);
    let is_published = |url: &str| {
        let url = origin(url).and_then(|origin| ExternalUrl::parse(origin).ok());
        url.is_some_and(|url| foreign.overlapping(&url).is_some() || foreign.suffix_at(&url).is_some())
    };
    let others = snapshot.apps.values().filter(|other| other.id.tenant != app.id.tenant);
    let others: BTreeSet<Box<str>> = others.filter_map(acs_of).flatten().collect();
    let Some(taken) = own.iter().find(|url| others.contains(*url) || is_published(url)) else { return Ok(()) };
    let detail = format!("{}: {taken} is an address of another tenant's application", app.name);
    Err(problem("saml-acs-taken", detail).about(format!("settings.{SSO_SAML_ACS}")))
}

/// Which of two applications with one name a request is of could not be told.
fn check_entity_id(snapshot: &Snapshot, app: &App) -> Result<(), Problem> {
    let Some(entity_id) = app.settings.get(SSO_SAML_ENTITY_ID) else { return Ok(()) };
    let Some(other) = with_entity_id(snapshot, entity_id).find(|other| other.id != app.id) else { return Ok(()) };
    let whose =
        if other.id.tenant == app.id.tenant { other.name.to_string() } else { "another tenant's application".into() };
    let detail = format!("{}: the entity id {entity_id} is that of {whose} already", app.name);
    Err(problem("saml-entity-id-taken", detail).about(format!("settings.{SSO_SAML_ENTITY_ID}")))
}

/// As [`check`], for what a whole document changes.
pub(crate) fn check_all<'a>(snapshot: &Snapshot, apps: impl Iterator<Item = &'a App>) -> Result<(), Problem> {
    let mut apps = apps;
    apps.try_for_each(|app| check(snapshot, app))
}

/// Applications of that name in SAML. There is one at most but for states that an older version made.
pub(crate) fn with_entity_id<'a>(snapshot: &'a Snapshot, entity_id: &'a str) -> impl Iterator<Item = &'a App> {
    snapshot.apps.values().filter(move |app| app.settings.get(SSO_SAML_ENTITY_ID).is_some_and(|id| id == entity_id))
}

/// What an operator should know: assertions that leave for elsewhere, or that nobody gets.
pub(crate) fn warnings(app: &App, planned: &PlannedApp) -> Vec<String> {
    let is_idle = planned.settings.sso_saml.is_none() && planned.preauth == Preauth::Oidc;
    if is_idle && app.settings.contains_key(SSO_SAML_ENTITY_ID) {
        return vec![format!("{}: {SSO_SAML_ENTITY_ID} has no effect without sso=saml", planned.name)];
    }
    let own = planned.external.to_string();
    let places: Vec<String> = planned.places.iter().map(|place| place.external.to_string()).collect();
    let is_anywhere = planned.places.iter().any(|place| place.external.wildcard);
    let urls = planned.settings.sso_saml.iter().flat_map(|saml| saml.acs.iter());
    // With a slash at the end of both: `/wiki-of-others` is not below `/wiki`, nor is `example.com.evil` of `example.com`.
    let is_below = |url: &str| places.iter().any(|place| format!("{url}/").starts_with(place.as_str()));
    let elsewhere = urls.filter(|url| !is_anywhere && !is_below(url));
    elsewhere
        .map(|url| {
            let host = origin(url).unwrap_or(url);
            format!("{}: {url} is not below {own}: whoever runs {host} learns who signs in", planned.name)
        })
        .collect()
}
