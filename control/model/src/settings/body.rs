//! The setting that says of which kinds of content URLs are translated.

use super::{SettingInvalid, unfit};

/// `translate_body`: of which kinds of answers internal URLs become external ones. Default none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BodyTranslation {
    /// HTML: every attribute that holds a URL.
    pub html: bool,
    /// Style sheets, and style in HTML if that is translated.
    pub css: bool,
    /// Strings of JSON that are URLs.
    pub json: bool,
    /// String literals of JavaScript that are URLs.
    pub js: bool,
}

impl BodyTranslation {
    /// Whether anything is.
    #[must_use]
    pub fn is_on(self) -> bool {
        self != Self::default()
    }

    pub(super) fn parse(value: &str) -> Result<Self, SettingInvalid> {
        let mut parsed = Self::default();
        if value == "off" {
            return Ok(parsed);
        }
        for kind in value.split(',').map(str::trim) {
            match kind {
                "on" => (parsed.html, parsed.css) = (true, true),
                "html" => parsed.html = true,
                "css" => parsed.css = true,
                "json" => parsed.json = true,
                "js" => parsed.js = true,
                _ => return Err(unfit(TRANSLATE_BODY, value, EXPECTED)),
            }
        }
        Ok(parsed)
    }
}

pub(super) const TRANSLATE_BODY: &str = "translate_body";
const EXPECTED: &str = "must be off, on (html,css), or some of html, css, json and js with commas between";

#[cfg(test)]
mod tests {
    use super::super::AppSettings;
    use super::*;
    use std::collections::BTreeMap;

    fn parse(value: &str) -> Result<BodyTranslation, String> {
        let settings = BTreeMap::from([(TRANSLATE_BODY.to_owned(), value.to_owned())]);
        AppSettings::parse(&settings).map(|settings| settings.translate_body).map_err(|error| error.to_string())
    }

    #[test]
    fn kinds_are_named_one_by_one() {
        let none = BodyTranslation::default();
        assert_eq!(AppSettings::default().translate_body, none);
        assert_eq!(parse("off"), Ok(none));
        assert_eq!(parse("on"), Ok(BodyTranslation { html: true, css: true, ..none }));
        assert_eq!(parse("html"), Ok(BodyTranslation { html: true, ..none }));
        assert_eq!(parse("on, json,js"), Ok(BodyTranslation { html: true, css: true, json: true, js: true }));
        assert!(!none.is_on() && parse("js").unwrap().is_on());
    }

    #[test]
    fn others_are_refused() {
        for value in ["", "true", "off,html", "html;css", "HTML", "html,,css"] {
            let error = parse(value).unwrap_err();
            assert!(error.contains("must be off, on (html,css), or some of"), "{value}: {error}");
        }
    }
}
