//! The settings that say where else an application is: under other names, and in further segments with internal URLs of their own.

use std::collections::BTreeMap;

use super::{AppSettings, SettingInvalid, unfit};
use crate::app_url::{ExternalUrl, InternalUrl, UrlInvalid};
use crate::sso::SsoMethod;

/// `external_aliases` and `segments`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaceSettings {
    /// `external_aliases`: other names of the external URL. Its path is that of each, so that theirs here is empty. Default none.
    pub aliases: Vec<ExternalUrl>,
    /// `segments`: further external URLs, each with its internal one. Default none.
    pub segments: Vec<Segment>,
}

/// A part of an application with URLs of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// What users open.
    pub external: ExternalUrl,
    /// What the connector opens.
    pub internal: InternalUrl,
}

impl PlaceSettings {
    /// Reads these of an application's settings, whatever the others are.
    ///
    /// # Errors
    /// When one is not of its form.
    pub fn read(settings: &BTreeMap<String, String>) -> Result<Self, SettingInvalid> {
        let mut read = Self::default();
        for name in ALL {
            if let Some(value) = settings.get(name) {
                read.set(name, value)?;
            }
        }
        Ok(read)
    }

    /// Sets one; false when it is none of these.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<bool, SettingInvalid> {
        match name {
            EXTERNAL_ALIASES => self.aliases = external_aliases(value)?,
            SEGMENTS => self.segments = segments(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl AppSettings {
    /// Whether they fit backends that users choose among: links name the host below an internal wildcard, so that nothing may go
    /// there that signs their user on.
    ///
    /// # Errors
    /// Why they do not.
    pub fn check_below_wildcard(&self) -> Result<(), &'static str> {
        if self.sso.is_by_vault() {
            return Err("passwords of the vault are for one backend, and not for all below a wildcard");
        }
        if self.sso.method == SsoMethod::Kerberos || self.sso_assertion.is_some() {
            return Err("tickets and assertions are for one backend, and not for all below a wildcard");
        }
        Ok(())
    }
}

/// Reads the value of `external_aliases`, from the settings or from what control tells connectors of other groups.
///
/// # Errors
/// When it is not of the form.
pub fn external_aliases(value: &str) -> Result<Vec<ExternalUrl>, SettingInvalid> {
    let mut aliases = Vec::new();
    for text in parts(EXTERNAL_ALIASES, value, (ALIASES_MAX, ALIASES_EXPECTED))? {
        let refused = |expected| unfit(EXTERNAL_ALIASES, text, expected);
        let url = ExternalUrl::parse(text).map_err(|error| refused(reason(&error)))?;
        if url.wildcard {
            return Err(refused("an alias is one host: give a wildcard its own place in segments"));
        }
        if !url.path.is_empty() {
            return Err(refused("leave out the path: the external URL's is that of its aliases; another is a segment"));
        }
        if aliases.contains(&url) {
            return Err(refused("is there twice"));
        }
        aliases.push(url);
    }
    Ok(aliases)
}

fn segments(value: &str) -> Result<Vec<Segment>, SettingInvalid> {
    let mut segments = Vec::new();
    for text in parts(SEGMENTS, value, (SEGMENTS_MAX, SEGMENTS_EXPECTED))? {
        let refused = |expected| unfit(SEGMENTS, text, expected);
        let (external, internal) = text.split_once('=').ok_or_else(|| refused(SEGMENTS_EXPECTED))?;
        let external = ExternalUrl::parse(external.trim()).map_err(|error| refused(reason(&error)))?;
        let internal = InternalUrl::parse(internal.trim()).map_err(|error| refused(reason(&error)))?;
        segments.push(Segment { external, internal });
    }
    Ok(segments)
}

/// What is between the commas.
fn parts<'v>(
    name: &'static str,
    value: &'v str,
    (most, expected): (usize, &'static str),
) -> Result<Vec<&'v str>, SettingInvalid> {
    if value.len() > PLACES_BYTES_MAX {
        return Err(unfit(name, value, "must be at most 65536 bytes"));
    }
    let parts: Vec<&str> = value.split(',').map(str::trim).collect();
    if parts.len() > most || parts.iter().any(|part| part.is_empty()) {
        return Err(unfit(name, value, expected));
    }
    Ok(parts)
}

fn reason(error: &UrlInvalid) -> &'static str {
    match error {
        UrlInvalid::Malformed { reason, .. } => reason,
        UrlInvalid::NotYetAvailable { .. } => "an internal URL begins with http:// or https://",
    }
}

/// Other external names of the application.
pub const EXTERNAL_ALIASES: &str = "external_aliases";
/// Further parts of the application.
pub const SEGMENTS: &str = "segments";
pub(super) const ALL: [&str; 2] = [EXTERNAL_ALIASES, SEGMENTS];
const ALIASES_EXPECTED: &str = "must be up to 16 URLs, https://HOST[:PORT]/, with commas between";
const SEGMENTS_EXPECTED: &str = "must be up to 500 of EXTERNAL=INTERNAL with commas between, https://api.example.com/v1/=http://api.corp/ say; external paths without , and =";
const ALIASES_MAX: usize = 16;
const SEGMENTS_MAX: usize = 500;
const PLACES_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<PlaceSettings, String> {
        let settings = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        PlaceSettings::read(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn names_and_segments_are_read() {
        let aliases =
            read("external_aliases", "https://CRM.example.org, https://crm.example.net:8443/").unwrap().aliases;
        let aliases: Vec<String> = aliases.iter().map(ToString::to_string).collect();
        assert_eq!(aliases, ["https://crm.example.org/", "https://crm.example.net:8443/"]);
        let segments =
            read("segments", "https://api.example.com/v1/=http://api.corp/, https://*.a.example.com=https://*.corp");
        let segments: Vec<_> =
            segments.unwrap().segments.iter().map(|s| (s.external.to_string(), s.internal.to_string())).collect();
        let expected =
            [("https://api.example.com/v1/", "http://api.corp/"), ("https://*.a.example.com/", "https://*.corp/")];
        assert_eq!(segments, expected.map(|(external, internal)| (external.to_owned(), internal.to_owned())));
    }

    #[test]
    fn what_is_no_place_is_refused_by_its_part() {
        let many = ["https://a.example.com=http://b"; 501].join(",");
        for (name, value, says) in [
            ("external_aliases", "", "must be up to 16 URLs"),
            ("external_aliases", "https://a.example.com,", "must be up to 16 URLs"),
            ("external_aliases", "https://*.example.com", "one host"),
            (
                "external_aliases",
                "https://b.example.com/x/",
                "external_aliases=https://b.example.com/x/: leave out the path",
            ),
            ("external_aliases", "https://b.example.com,https://B.example.com:443/", "twice"),
            ("external_aliases", "https://10.0.0.1/", "not an IP address"),
            ("segments", "https://a.example.com/", "EXTERNAL=INTERNAL"),
            (
                "segments",
                "https://a.example.com/=http://b/,ftp://c.example.com/=http://d/",
                "segments=ftp://c.example.com/=",
            ),
            ("segments", "https://a.example.com/=tcp://b:22", "begins with http://"),
            ("segments", "https://a.example.com/x=y/=http://b/", "segments=https://a.example.com/x=y/=http://b/: "),
            ("segments", many.as_str(), "up to 500"),
        ] {
            let error = read(name, value).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
