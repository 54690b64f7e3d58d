//! The settings that say how an application is shown to its users at the place to sign in. Relays and connectors need nothing of
//! them: they are checked with the others, and read where that page is made.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answers::ERROR_LOGO;
use super::{SettingInvalid, unfit};
use crate::app_url::ExternalUrl;
use crate::config::{App, Preauth};
use crate::directory::Line;
use crate::ids::Name;

/// How an application is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortalSettings {
    /// `portal_name`: what it is called there. Default its name.
    pub name: Option<Line<PORTAL_TEXT_BYTES_MAX>>,
    /// `portal_collection`: the heading it stands under. Default none.
    pub collection: Option<Line<PORTAL_TEXT_BYTES_MAX>>,
    /// `portal_visible`: to whom of those who are assigned it is shown. Default to all where it asks who they are, else to
    /// nobody.
    pub visible: Option<Visible>,
    /// `portal_url`: where the tile leads. Default its external URL.
    pub link: Option<PortalLink>,
    /// `portal_icon`: PNG.
    pub icon: Option<Vec<u8>>,
}

/// To whom of those who are assigned an application is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visible {
    /// To all of them.
    All,
    /// To who is in one of these groups, nested ones included.
    Groups(Vec<Name>),
    /// To nobody.
    Nobody,
}

/// Where a tile leads, if not to the application's external URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortalLink {
    /// A path and what follows it, at the application's host.
    Path(String),
    /// Somewhere else: `https://…`.
    Url(String),
}

impl PortalSettings {
    /// Reads these settings among others.
    ///
    /// # Errors
    /// The first unfit value.
    pub fn parse(settings: &BTreeMap<String, String>) -> Result<Self, SettingInvalid> {
        let text = |name| settings.get(name).map(|value| line(name, value)).transpose();
        Ok(Self {
            name: text(PORTAL_NAME)?,
            collection: text(PORTAL_COLLECTION)?,
            visible: settings.get(PORTAL_VISIBLE).map(|value| visible(value)).transpose()?,
            link: settings.get(PORTAL_URL).map(|value| link(value)).transpose()?,
            icon: settings.get(PORTAL_ICON).map(|value| icon(value)).transpose()?,
        })
    }

    /// Whether someone who is assigned sees it. One that asks nobody is shown only where that is said.
    pub fn is_visible(&self, preauth: Preauth, is_in: impl Fn(&Name) -> bool) -> bool {
        match (&self.visible, preauth) {
            (Some(Visible::All), _) | (None, Preauth::Oidc) => true,
            (Some(Visible::Groups(groups)), _) => groups.iter().any(is_in),
            (Some(Visible::Nobody), _) | (None, Preauth::Passthrough) => false,
        }
    }

    /// Where its tile leads; `None`: nowhere, for a wildcard names no host.
    #[must_use]
    pub fn address(&self, app: &App) -> Option<String> {
        let external = || ExternalUrl::parse(&app.external_url).ok().filter(|url| !url.wildcard);
        match &self.link {
            Some(PortalLink::Url(url)) => Some(url.clone()),
            Some(PortalLink::Path(path)) => {
                let url = external()?;
                Some(format!("{}://{}{path}", url.scheme(), url.authority(&url.host)))
            }
            None => external().map(|_| app.external_url.clone()),
        }
    }
}

/// Takes these settings out.
pub fn take_portal(settings: &mut BTreeMap<String, String>) {
    settings.retain(|name, _| !PORTAL.contains(&name.as_str()));
}

/// Bytes of an application's images, as they are kept.
#[must_use]
pub fn icon_bytes(settings: &BTreeMap<String, String>) -> usize {
    [PORTAL_ICON, ERROR_LOGO].iter().filter_map(|name| settings.get(*name)).map(String::len).sum()
}

fn line(name: &'static str, value: &str) -> Result<Line<PORTAL_TEXT_BYTES_MAX>, SettingInvalid> {
    let line = value.parse::<Line<PORTAL_TEXT_BYTES_MAX>>().ok().filter(|line| !line.as_str().trim().is_empty());
    line.ok_or_else(|| unfit(name, value, "must be one line of 1 to 64 bytes without control characters"))
}

fn visible(value: &str) -> Result<Visible, SettingInvalid> {
    match value {
        "all" => Ok(Visible::All),
        "none" => Ok(Visible::Nobody),
        _ => {
            let group = |one: &str| one.trim().strip_prefix("group/")?.parse().ok();
            let groups: Option<Vec<Name>> = value.split(',').map(group).collect();
            let groups = groups.filter(|groups| groups.len() <= PORTAL_GROUPS_MAX);
            let expected =
                "must be all (of those who are assigned), none, or group/NAME, separated by commas, at most 32";
            groups.map(Visible::Groups).ok_or_else(|| unfit(PORTAL_VISIBLE, value, expected))
        }
    }
}

/// Nothing that a browser would read as something else than it says: no `//`, no backslash, no user name before the host.
fn link(value: &str) -> Result<PortalLink, SettingInvalid> {
    let refused = || unfit(PORTAL_URL, value, "must be a path such as /start or an https:// URL, at most 1024 bytes");
    let is_clean = value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    if !is_clean || value.len() > PORTAL_URL_BYTES_MAX {
        return Err(refused());
    }
    if let Some(rest) = value.strip_prefix('/') {
        return if rest.starts_with('/') { Err(refused()) } else { Ok(PortalLink::Path(value.to_owned())) };
    }
    let rest = value.strip_prefix("https://").ok_or_else(refused)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let is_host = !host.is_empty()
        && !host.starts_with(['.', '-'])
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if !is_host || port.parse::<u16>().is_err() {
        return Err(refused());
    }
    Ok(PortalLink::Url(value.to_owned()))
}

fn icon(value: &str) -> Result<Vec<u8>, SettingInvalid> {
    if value.len() > PORTAL_ICON_BYTES_MAX {
        return Err(unfit(PORTAL_ICON, value, "must have at most 32768 bytes as a data: URI"));
    }
    png(PORTAL_ICON, value)
}

/// PNG and nothing else: an SVG can run scripts and fetch.
pub(super) fn png(name: &'static str, value: &str) -> Result<Vec<u8>, SettingInvalid> {
    let refused = |expected| Err(unfit(name, value, expected));
    let Some(encoded) = value.trim_end().strip_prefix("data:image/png;base64,") else {
        return refused("must be a data: URI of a PNG image, data:image/png;base64,…: no other kind is shown");
    };
    let Ok(png) = STANDARD.decode(encoded) else { return refused("must be base64 without line breaks") };
    // Signature, then the header chunk: width and height (PNG, 5.2 and 11.2.1).
    let side = |at: usize| png.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let is_side = |side: Option<u32>| side.is_some_and(|side| (1..=PORTAL_ICON_SIDE_MAX).contains(&side));
    if !png.starts_with(b"\x89PNG\r\n\x1a\n") || png.get(12..16) != Some(b"IHDR") {
        return refused("must be a PNG image: what is in it is something else");
    }
    if !is_side(side(16)) || !is_side(side(20)) {
        return refused("must be at most 512 pixels wide and high");
    }
    Ok(png)
}

/// Names, in the order in which they are shown.
pub(super) const PORTAL: [&str; 5] = [PORTAL_NAME, PORTAL_COLLECTION, PORTAL_VISIBLE, PORTAL_URL, PORTAL_ICON];
/// Bytes of a label or a heading.
pub const PORTAL_TEXT_BYTES_MAX: usize = 64;
const PORTAL_NAME: &str = "portal_name";
const PORTAL_COLLECTION: &str = "portal_collection";
const PORTAL_VISIBLE: &str = "portal_visible";
const PORTAL_URL: &str = "portal_url";
pub(super) const PORTAL_ICON: &str = "portal_icon";
const PORTAL_GROUPS_MAX: usize = 32;
const PORTAL_URL_BYTES_MAX: usize = 1024;
const PORTAL_ICON_BYTES_MAX: usize = 32 << 10;
const PORTAL_ICON_SIDE_MAX: u32 = 512;

#[cfg(test)]
mod tests {
    use super::super::AppSettings;
    use super::*;
    use crate::ids::{AppId, CertificateId, GroupId, TenantId};

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn png(width: u32, height: u32) -> String {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend(width.to_be_bytes());
        png.extend(height.to_be_bytes());
        format!("data:image/png;base64,{}", STANDARD.encode(png))
    }

    fn address(external: &str, portal_url: Option<&str>) -> Option<String> {
        let pairs: Vec<_> = portal_url.map(|url| (PORTAL_URL, url)).into_iter().collect();
        let app = App {
            id: AppId::new(TenantId::DEFAULT, 1),
            name: "wiki".parse().unwrap(),
            group: GroupId::DEFAULT,
            external_url: external.into(),
            internal_url: "http://10.0.0.5/".into(),
            preauth: Preauth::Oidc,
            certificate: CertificateId::new(TenantId::DEFAULT, 1),
            settings: settings(&pairs),
        };
        PortalSettings::parse(&app.settings).unwrap().address(&app)
    }

    #[test]
    fn tiles_lead_to_the_application_or_where_it_is_said() {
        let wiki = "https://wiki.example.com:8443/app/";
        assert_eq!(address(wiki, None).as_deref(), Some(wiki));
        assert_eq!(address(wiki, Some("/a?b=1")).as_deref(), Some("https://wiki.example.com:8443/a?b=1"));
        assert_eq!(address("https://w.example.com/", Some("/")).as_deref(), Some("https://w.example.com/"));
        assert_eq!(address("http://w.example.com/", Some("/a")).as_deref(), Some("http://w.example.com/a"));
        assert_eq!(address("https://*.example.com/", None), None);
        assert_eq!(address("https://*.example.com/", Some("/a")), None);
        let elsewhere = "https://docs.example.org/x";
        assert_eq!(address("https://*.example.com/", Some(elsewhere)).as_deref(), Some(elsewhere));
    }

    #[test]
    fn what_browsers_would_read_otherwise_is_refused() {
        for wrong in [
            "//evil.example/",
            "/\\evil.example",
            "javascript:alert(1)",
            "http://a.example/",
            "https://",
            "https:///x",
            "https://a@b.example/",
            "https://a.example:99999/",
            "https://a.example:/",
            "/a b",
            "/ü",
            "data:text/html,x",
            "HTTPS://a.example/",
            "https://a.example\\@b.example/",
            "/\"x",
            "",
        ] {
            let error = PortalSettings::parse(&settings(&[(PORTAL_URL, wrong)])).unwrap_err().to_string();
            assert!(error.starts_with("portal_url="), "{wrong}: {error}");
        }
        assert!(PortalSettings::parse(&settings(&[(PORTAL_URL, &format!("/{}", "a".repeat(1024)))])).is_err());
    }

    #[test]
    fn only_small_png_images_are_icons() {
        let parsed = |icon: &str| PortalSettings::parse(&settings(&[(PORTAL_ICON, icon)]));
        assert!(parsed(&png(64, 512)).unwrap().icon.is_some());
        // As `$(…)` and files end.
        assert!(parsed(&format!("{}\n", png(1, 1))).is_ok());
        let svg = format!("data:image/svg+xml;base64,{}", STANDARD.encode("<svg/>"));
        let disguised = format!("data:image/png;base64,{}", STANDARD.encode("<svg onload=alert(1)></svg> and more"));
        let large = format!("{}{}", png(9, 9), "A".repeat(32 << 10));
        let wrong = [&*svg, &disguised, &large, &png(0, 1), &png(1, 513), "data:image/png;base64,*", "icon.png"];
        for wrong in wrong {
            let error = parsed(wrong).unwrap_err().to_string();
            assert!(error.starts_with("portal_icon=") && error.len() < 200, "{error}");
        }
    }

    #[test]
    fn an_application_that_asks_nobody_is_shown_only_where_that_is_said() {
        let visible = |pairs, preauth| {
            PortalSettings::parse(&settings(pairs)).unwrap().is_visible(preauth, |group| group.as_str() == "sales")
        };
        assert!(visible(&[], Preauth::Oidc) && !visible(&[], Preauth::Passthrough));
        assert!(!visible(&[(PORTAL_VISIBLE, "none")], Preauth::Oidc));
        assert!(visible(&[(PORTAL_VISIBLE, "all")], Preauth::Passthrough));
        let chosen = [(PORTAL_VISIBLE, "group/staff, group/sales")];
        assert!(visible(&chosen, Preauth::Oidc) && visible(&chosen, Preauth::Passthrough));
        assert!(!visible(&[(PORTAL_VISIBLE, "group/staff")], Preauth::Oidc));
    }

    #[test]
    fn they_are_settings_like_others_and_can_be_taken_out() {
        for (name, value) in [
            (PORTAL_NAME, ""),
            (PORTAL_NAME, "a\nb"),
            (PORTAL_COLLECTION, " "),
            (PORTAL_VISIBLE, "staff"),
            (PORTAL_VISIBLE, "group/staff,"),
            (PORTAL_VISIBLE, "group/"),
            (PORTAL_VISIBLE, "user/anna"),
            (PORTAL_VISIBLE, &["group/staff"; 33].join(",")),
        ] {
            assert!(AppSettings::parse(&settings(&[(name, value)])).is_err(), "{name}={value}");
        }
        let mut both = settings(&[(PORTAL_NAME, "Wiki"), ("mfa", "required")]);
        assert!(AppSettings::parse(&both).is_ok());
        take_portal(&mut both);
        assert_eq!(both, settings(&[("mfa", "required")]));
    }
}
