//! The settings that say how heads are translated between the external and the internal URL, and by what rules changed after that.

use crate::app_url::InternalUrl;
use crate::claims::{Direction, HeaderName, HeaderRules};

use super::values::boolean;
use super::{SettingInvalid, unfit};

/// `translate_headers`, `internal_aliases`, `request_headers` and `response_headers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslationSettings {
    /// `translate_headers`: whether the application sees its internal URL in requests, and users the external one in answers.
    /// Default true; where false the application sees the external host. Paths are replaced in either case.
    pub headers: bool,
    /// `internal_aliases`: other names under which the application is linked to inside, or calls itself. Default none.
    pub aliases: Vec<InternalAlias>,
    /// `request_headers`: rules for what goes to the application. Default none.
    pub request_rules: HeaderRules,
    /// `response_headers`: rules for what comes from it. Default none.
    pub response_rules: HeaderRules,
}

/// One more internal place of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalAlias {
    url: InternalUrl,
    /// It names a path, if only `/`: then this one stands for the external path, not that of the internal URL.
    has_path: bool,
}

impl Default for TranslationSettings {
    fn default() -> Self {
        let (request_rules, response_rules) = (HeaderRules::default(), HeaderRules::default());
        Self { headers: true, aliases: Vec::new(), request_rules, response_rules }
    }
}

impl TranslationSettings {
    /// Sets one; false when it is none of these.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<bool, SettingInvalid> {
        match name {
            TRANSLATE_HEADERS => self.headers = boolean(TRANSLATE_HEADERS, value)?,
            INTERNAL_ALIASES => self.aliases = internal_aliases(value)?,
            REQUEST_HEADERS => self.request_rules = rules(REQUEST_HEADERS, value, Direction::Request)?,
            RESPONSE_HEADERS => self.response_rules = rules(RESPONSE_HEADERS, value, Direction::Response)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Refuses rules for what the application is told of its user.
    pub(super) fn check<'a>(&self, mut told: impl Iterator<Item = &'a HeaderName>) -> Result<(), SettingInvalid> {
        match told.find(|name| self.request_rules.names(name.dashed())) {
            Some(name) => {
                Err(unfit(REQUEST_HEADERS, name.as_str(), "is among sso_headers or sso_assertion_header already"))
            }
            None => Ok(()),
        }
    }
}

impl InternalAlias {
    /// Its host, as in [`InternalUrl`].
    #[must_use]
    pub fn host(&self) -> &str {
        &self.url.host
    }

    /// The place, of an application with this internal URL.
    #[must_use]
    pub fn place(&self, internal: &InternalUrl) -> InternalUrl {
        let path = if self.has_path { self.url.path.clone() } else { internal.path.clone() };
        InternalUrl { path, ..self.url.clone() }
    }
}

/// Reads the value of `internal_aliases`, from the settings or from what control tells connectors of other groups.
///
/// # Errors
/// When it is not of the form.
pub fn internal_aliases(value: &str) -> Result<Vec<InternalAlias>, SettingInvalid> {
    let refused = |expected| unfit(INTERNAL_ALIASES, value, expected);
    if value.len() > ALIASES_BYTES_MAX {
        return Err(refused("must be at most 1024 bytes"));
    }
    let mut aliases: Vec<InternalAlias> = Vec::new();
    for text in value.split(',').map(str::trim) {
        let url = InternalUrl::parse(text).map_err(|_| refused(EXPECTED))?;
        if url.host.ends_with(OWN_NAMES) {
            return Err(refused("must not be in postern.internal, whose names are Postern's own"));
        }
        if url.wildcard().is_some() {
            return Err(refused("must be places of their own: no wildcard"));
        }
        let has_path = text.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        let alias = InternalAlias { url, has_path };
        if aliases.contains(&alias) {
            return Err(refused("must name each place once"));
        }
        aliases.push(alias);
    }
    if aliases.len() > ALIASES_MAX { Err(refused(EXPECTED)) } else { Ok(aliases) }
}

fn rules(name: &'static str, value: &str, direction: Direction) -> Result<HeaderRules, SettingInvalid> {
    HeaderRules::parse(value, direction).map_err(|error| SettingInvalid::Expression { name, error })
}

/// Other names of the application inside.
pub const INTERNAL_ALIASES: &str = "internal_aliases";
const TRANSLATE_HEADERS: &str = "translate_headers";
const REQUEST_HEADERS: &str = "request_headers";
const RESPONSE_HEADERS: &str = "response_headers";
pub(super) const ALL: [&str; 4] = [TRANSLATE_HEADERS, INTERNAL_ALIASES, REQUEST_HEADERS, RESPONSE_HEADERS];
const EXPECTED: &str = "must be up to 16 URLs, http://HOST[:PORT][/PATH/] or https://…, with commas between: http://wiki,https://wiki.corp";
const ALIASES_MAX: usize = 16;
const ALIASES_BYTES_MAX: usize = 1024;
const OWN_NAMES: &str = ".postern.internal";

#[cfg(test)]
mod tests {
    use super::super::AppSettings;
    use super::*;

    fn parse(settings: &[(&str, &str)]) -> Result<TranslationSettings, String> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        AppSettings::parse(&settings).map(|settings| settings.translation).map_err(|error| error.to_string())
    }

    #[test]
    fn heads_are_translated_unless_that_is_switched_off() {
        assert_eq!(parse(&[]), Ok(TranslationSettings::default()));
        assert!(!parse(&[("translate_headers", "false")]).unwrap().headers);
        assert!(parse(&[("translate_headers", "no")]).unwrap_err().contains("must be true or false"));
    }

    #[test]
    fn an_alias_has_the_internal_path_unless_it_names_one() {
        let aliases =
            parse(&[("internal_aliases", "http://WIKI, https://wiki.corp.example:8443/,http://h/a/")]).unwrap();
        let internal = InternalUrl::parse("http://10.0.0.1/base/").unwrap();
        let places: Vec<String> = aliases.aliases.iter().map(|alias| alias.place(&internal).to_string()).collect();
        assert_eq!(places, ["http://wiki/base/", "https://wiki.corp.example:8443/", "http://h/a/"]);
    }

    #[test]
    fn what_is_no_place_inside_is_refused() {
        let many = (0..17).map(|n| format!("http://h{n}")).collect::<Vec<_>>().join(",");
        let long = format!("http://{}/", "a".repeat(1024));
        for (value, says) in [
            ("wiki", "must be up to 16 URLs"),
            ("", "must be up to 16 URLs"),
            ("http://a,,http://b", "must be up to 16 URLs"),
            (many.as_str(), "must be up to 16 URLs"),
            (long.as_str(), "at most 1024 bytes"),
            ("http://a,http://A:80", "each place once"),
            ("http://identity.postern.internal", "Postern's own"),
            ("http://*.corp.example", "no wildcard"),
        ] {
            let error = parse(&[("internal_aliases", value)]).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn rules_do_not_say_who_the_user_is() {
        let set =
            |name: &str| parse(&[("sso_headers", "X_Staff=login"), ("request_headers", &format!("remove {name}"))]);
        assert!(set("x-staff").unwrap_err().contains("is among sso_headers"));
        assert!(set("x-other").unwrap().request_rules.iter().count() == 1);
        let error = parse(&[("response_headers", "remove Content-Length")]).unwrap_err();
        assert!(error.starts_with("response_headers: column 8: expected a header that rules may change"), "{error}");
    }
}
