//! One application, parsed by itself.

use super::ConfigInvalid;
use crate::app_url::{ExternalUrl, InternalUrl};
use crate::config::{App, Preauth};
use crate::ids::{AppId, GroupId, Name, TenantId};
use crate::settings::{AppSettings, check_preauth};

/// An application that can be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedApp {
    /// Its id.
    pub id: AppId,
    /// Its name.
    pub name: Name,
    /// Its tenant.
    pub tenant: TenantId,
    /// Whose connectors reach it.
    pub group: GroupId,
    /// Where it is published.
    pub external: ExternalUrl,
    /// What the connector opens.
    pub internal: InternalUrl,
    /// What is asked before.
    pub preauth: Preauth,
    /// Name of the cookie that a session has here.
    pub cookie: Box<str>,
    /// Its settings.
    pub settings: AppSettings,
}

impl PlannedApp {
    /// Parses one application by itself; conflicts with others are found by [`super::Plan::build`].
    ///
    /// # Errors
    /// The first part that cannot be served.
    pub fn parse(app: &App) -> Result<Self, ConfigInvalid> {
        let url = |error| ConfigInvalid::Url { app: app.name.clone(), error };
        let settings = AppSettings::parse(&app.settings)
            .map_err(|error| ConfigInvalid::Setting { app: app.name.clone(), error })?;
        check_preauth(&app.settings, app.preauth)
            .map_err(|error| ConfigInvalid::Setting { app: app.name.clone(), error })?;
        let internal = InternalUrl::parse(&app.internal_url).map_err(url)?;
        let external = ExternalUrl::parse(&app.external_url).map_err(url)?;
        if app.preauth == Preauth::Oidc && !external.tls {
            return Err(ConfigInvalid::PlainText { app: app.name.clone(), url: external.to_string() });
        }
        settings
            .check_backend(internal.tls)
            .and_then(|()| settings.check_preauth(app.preauth))
            .map_err(|error| ConfigInvalid::Setting { app: app.name.clone(), error })?;
        Ok(Self {
            id: app.id,
            name: app.name.clone(),
            tenant: app.id.tenant,
            group: app.group,
            external,
            internal,
            preauth: app.preauth,
            cookie: settings.answers.cookie.name(app.id).into(),
            settings,
        })
    }
}
