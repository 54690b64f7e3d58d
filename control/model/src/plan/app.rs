//! One application, parsed by itself: where it is published, and what is behind each of these places.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ConfigInvalid;
use crate::app_url::{ExternalUrl, InternalUrl, UrlInvalid};
use crate::config::{App, Preauth};
use crate::ids::{AppId, GroupId, Name, TenantId};
use crate::settings::{AppSettings, EXTERNAL_ALIASES, PlaceSettings, SEGMENTS, Segment, SettingInvalid, check_preauth};

/// An application that can be served, as it is reached at one of its places.
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
    /// Where it is published; where it was found, if a request's host and path led to it.
    pub external: ExternalUrl,
    /// What the connector opens for that.
    pub internal: InternalUrl,
    /// All its places; the first is that of its external URL. Those that were parsed at once share them.
    pub places: Arc<[Place]>,
    /// What is asked before.
    pub preauth: Preauth,
    /// Name of the cookie that a session has here.
    pub cookie: Box<str>,
    /// Its settings. Its places are in [`PlannedApp::places`] alone.
    pub settings: AppSettings,
}

/// One of the places where an application is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What users open.
    pub external: ExternalUrl,
    /// What the connector opens.
    pub internal: InternalUrl,
}

impl PlannedApp {
    /// Parses one application by itself; conflicts with others are found by [`super::Plan::build`].
    ///
    /// # Errors
    /// The first part that cannot be served.
    pub fn parse(app: &App) -> Result<Self, ConfigInvalid> {
        let url = |error| ConfigInvalid::Url { app: app.name.clone(), error };
        let setting = |error| ConfigInvalid::Setting { app: app.name.clone(), error };
        let mut settings = AppSettings::parse(&app.settings).map_err(setting)?;
        check_preauth(&app.settings, app.preauth).map_err(setting)?;
        let internal = InternalUrl::parse(&app.internal_url).map_err(url)?;
        let external = ExternalUrl::parse(&app.external_url).map_err(url)?;
        if app.preauth == Preauth::Oidc && !external.tls {
            return Err(ConfigInvalid::PlainText { app: app.name.clone(), url: external.to_string() });
        }
        let (url_told, first) = (app.internal_url.as_str(), Place { external, internal });
        check_wildcard(&first, &settings).map_err(|reason| url(UrlInvalid::malformed(url_told, reason)))?;
        settings
            .check_backend(first.internal.tls)
            .and_then(|()| settings.backends.check_farm(&first.internal))
            .and_then(|()| settings.check_proxy(&first.internal))
            .and_then(|()| settings.check_preauth(app.preauth))
            .map_err(setting)?;
        let further = std::mem::take(&mut settings.places);
        let places = places(first.clone(), further, &settings, app.preauth).map_err(setting)?;
        Ok(Self {
            id: app.id,
            name: app.name.clone(),
            tenant: app.id.tenant,
            group: app.group,
            external: first.external,
            internal: first.internal,
            places: places.into(),
            preauth: app.preauth,
            cookie: settings.answers.cookie.name(app.id).into(),
            settings,
        })
    }

    /// Its external URL, wherever it was found: tokens and assertions are for that.
    #[must_use]
    pub fn audience(&self) -> String {
        self.places.first().map_or(&self.external, |place| &place.external).to_string()
    }

    /// Its place at exactly this external URL.
    #[must_use]
    pub fn place(&self, external: &ExternalUrl) -> Option<&Place> {
        self.places.iter().find(|place| place.external == *external)
    }

    /// Its place where relays find this one: by host and path, whatever scheme and port its links have.
    #[must_use]
    pub fn place_found_as(&self, external: &ExternalUrl) -> Option<&Place> {
        let ExternalUrl { host, wildcard, path, tls: _, port: _ } = external;
        self.places.iter().find(|place| {
            let other = &place.external;
            other.host == *host && other.wildcard == *wildcard && other.path == *path
        })
    }

    /// As it is reached there.
    pub(super) fn found_at(&self, place: &Place) -> Self {
        let Place { external, internal } = place.clone();
        Self { external, internal, ..self.clone() }
    }

    /// `NAME.SUFFIX`: one more place, where it is as at the first. None for wildcards inside.
    #[must_use]
    pub fn own_name(&self, suffix: &str) -> Option<Place> {
        let first = self.places.first()?;
        let ExternalUrl { host, .. } = ExternalUrl::parse(&format!("https://{}.{suffix}/", self.name)).ok()?;
        let external = ExternalUrl { host, wildcard: false, ..first.external.clone() };
        // No host of a wildcard is meant by the application's name.
        first.internal.wildcard().is_none().then(|| Place { external, internal: first.internal.clone() })
    }
}

/// The first place and those that the settings name.
fn places(
    first: Place,
    further: PlaceSettings,
    settings: &AppSettings,
    preauth: Preauth,
) -> Result<Vec<Place>, SettingInvalid> {
    let refused = |name, url: &ExternalUrl, expected| SettingInvalid::value(name, &url.to_string(), expected);
    let PlaceSettings { aliases, segments } = further;
    if let Some(alias) = aliases.first().filter(|_| first.internal.wildcard().is_some()) {
        return Err(refused(
            EXTERNAL_ALIASES,
            alias,
            "the internal URL is a wildcard: no host of it is meant by a name",
        ));
    }
    let path = first.external.path.clone();
    let alias = |url: ExternalUrl| Place {
        external: ExternalUrl { path: path.clone(), ..url },
        internal: first.internal.clone(),
    };
    let aliases: Vec<Place> = aliases.into_iter().map(alias).collect();
    let segments = segments.into_iter().map(|Segment { external, internal }| Place { external, internal });
    let named = aliases.into_iter().map(|place| (EXTERNAL_ALIASES, place));
    let named = named.chain(segments.map(|place| (SEGMENTS, place)));
    let mut taken = BTreeSet::from([(first.external.host_pattern(), first.external.path.clone())]);
    let mut places = vec![first.clone()];
    for (name, place) in named {
        let url = &place.external;
        if preauth == Preauth::Oidc && !url.tls {
            return Err(refused(
                name,
                url,
                "is plain text: with --preauth oidc users are known by cookies that travel by TLS alone; write https://",
            ));
        }
        if !taken.insert((url.host_pattern(), url.path.clone())) {
            return Err(refused(name, url, "is a place of this very application already"));
        }
        check_wildcard(&place, settings).map_err(|reason| refused(name, url, reason))?;
        settings.check_backend(place.internal.tls)?;
        settings.check_proxy(&place.internal)?;
        // They were entrusted to be shown to one backend.
        if settings.sso.is_by_vault() && !place.internal.is_same_origin(&first.internal) {
            return Err(refused(
                name,
                url,
                "leads to another host than the internal URL, which passwords of the vault are for",
            ));
        }
        places.push(place);
    }
    Ok(places)
}

/// Whether what stands for `*` outside is there to stand for it inside.
fn check_wildcard(place: &Place, settings: &AppSettings) -> Result<(), &'static str> {
    if place.internal.wildcard().is_none() {
        Ok(())
    } else if !place.external.wildcard {
        Err("an internal wildcard needs an external one, whose labels it takes: https://*.apps.example.com/")
    } else {
        settings.check_below_wildcard()
    }
}
