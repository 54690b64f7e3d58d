//! Which pages of other origins may ask for what (Fetch §3.2), by the beginnings of paths.

mod origin;

use std::collections::BTreeSet;

use super::CORS;
use crate::settings::{SettingInvalid, unfit};
use origin::Origins;

/// Rules, the longest path first: the first that covers a path is the one that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors(Box<[(Box<str>, CorsRule)]>);

/// What holds under a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsRule {
    /// The application answers preflights itself: they reach it, and nobody has to be signed in for that.
    Pass,
    /// The relay answers them.
    Allow(CorsAllow),
}

/// What pages of other origins may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsAllow {
    origins: Origins,
    methods: Box<[Box<str>]>,
    /// In lower case; `None`: any.
    headers: Option<BTreeSet<Box<str>>>,
    /// `Access-Control-Allow-Methods`.
    pub methods_text: Box<str>,
    /// `Access-Control-Expose-Headers`, if scripts may read more than is usual.
    pub expose: Option<Box<str>>,
    /// Whether the user's cookies may come with it.
    pub credentials: bool,
    /// How long browsers need not ask again, in seconds.
    pub max_age_s: Option<u32>,
}

/// What a preflight asks for that no rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreflightRefused {
    /// Pages of this origin may not.
    Origin,
    /// Not by this method.
    Method,
    /// Not with these header fields.
    Headers,
}

impl Cors {
    /// `PATH pass` or `PATH origins=… methods=… headers=… expose=… credentials=… max_age=…`, with `;` between.
    pub(super) fn parse(value: &str) -> Result<Self, SettingInvalid> {
        if value.len() > CORS_BYTES_MAX {
            return Err(unfit(CORS, value, "must have at most 4096 bytes"));
        }
        let mut rules: Vec<(Box<str>, CorsRule)> = Vec::new();
        for text in value.trim().trim_end_matches(';').split(';') {
            let text = text.trim();
            let mut words = text.split_whitespace();
            let prefix = words.next().and_then(path).ok_or_else(|| unfit(CORS, text, PATH_EXPECTED))?;
            if rules.iter().any(|(known, _)| **known == *prefix) {
                return Err(unfit(CORS, text, "this path has a rule already"));
            }
            if rules.len() == CORS_RULES_MAX {
                return Err(unfit(CORS, text, "at most 16 rules"));
            }
            let rest: Vec<&str> = words.collect();
            let rule = if rest == ["pass"] { CorsRule::Pass } else { CorsRule::Allow(CorsAllow::parse(text, &rest)?) };
            rules.push((prefix.into(), rule));
        }
        rules.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(Self(rules.into()))
    }

    /// The rule for a path as it is routed.
    #[must_use]
    pub fn rule(&self, path: &str) -> Option<&CorsRule> {
        let covers =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.0.iter().find(|(prefix, _)| covers(prefix)).map(|(_, rule)| rule)
    }

    /// A path whose preflights the application answers itself, without the slash at its end.
    #[must_use]
    pub fn passes(&self) -> Option<&str> {
        self.0.iter().find(|(_, rule)| *rule == CorsRule::Pass).map(|(prefix, _)| &**prefix)
    }
}

impl CorsAllow {
    fn parse(text: &str, words: &[&str]) -> Result<Self, SettingInvalid> {
        let mut given = Given::default();
        for &word in words {
            given.take(text, word)?;
        }
        let refused = |expected| unfit(CORS, text, expected);
        let origins = given.origins.ok_or_else(|| refused("a rule needs origins=https://HOST,… or pass alone"))?;
        let origins = Origins::parse(origins).ok_or_else(|| refused(ORIGINS_EXPECTED))?;
        let methods = list(given.methods.unwrap_or("GET,HEAD,POST")).ok_or_else(|| refused(METHODS_EXPECTED))?;
        let headers = match given.headers {
            Some("*") => None,
            Some(names) => Some(list(names).ok_or_else(|| refused(HEADERS_EXPECTED))?),
            None => Some(Vec::new()),
        };
        let expose = given.expose.map(|names| list(names).ok_or_else(|| refused(HEADERS_EXPECTED))).transpose()?;
        let credentials = match given.credentials {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(refused("credentials must be true or false")),
        };
        if credentials && origins.are_all() {
            return Err(refused("credentials=true needs origins by name: with * any page could act as the user"));
        }
        let max_age = given.max_age.map(|age| age.parse::<u32>().ok().filter(|age| *age <= MAX_AGE_S_MAX));
        let max_age_s = max_age.map(|age| age.ok_or_else(|| refused("max_age must be seconds from 0 to 86400")));
        Ok(Self {
            origins,
            methods_text: methods.join(", ").into(),
            methods: methods.into_iter().map(Into::into).collect(),
            headers: headers.map(|names| names.iter().map(|name| name.to_ascii_lowercase().into()).collect()),
            expose: expose.map(|names| names.join(", ").into()),
            credentials,
            max_age_s: max_age_s.transpose()?,
        })
    }

    /// What `Access-Control-Allow-Origin` is for pages of this origin, if they may ask at all.
    #[must_use]
    pub fn allowed_origin<'o>(&self, origin: &'o str) -> Option<&'o str> {
        if self.origins.are_all() {
            return Some("*");
        }
        self.origins.has(origin).then_some(origin)
    }

    /// Whether a preflight may have what it asks for; `headers`: the names in `Access-Control-Request-Headers`.
    ///
    /// # Errors
    /// What may not be.
    pub fn check(&self, origin: &str, method: &str, headers: &str) -> Result<(), PreflightRefused> {
        if self.allowed_origin(origin).is_none() {
            return Err(PreflightRefused::Origin);
        }
        if !self.methods.iter().any(|allowed| **allowed == *method) {
            return Err(PreflightRefused::Method);
        }
        let mut names = headers.split(',').map(str::trim).filter(|name| !name.is_empty());
        let is_allowed = |name: &str| match &self.headers {
            Some(allowed) => allowed.contains(name.to_ascii_lowercase().as_str()),
            None => is_token(name),
        };
        if names.all(is_allowed) { Ok(()) } else { Err(PreflightRefused::Headers) }
    }
}

/// The words of a rule, each once.
#[derive(Default)]
struct Given<'a> {
    origins: Option<&'a str>,
    methods: Option<&'a str>,
    headers: Option<&'a str>,
    expose: Option<&'a str>,
    credentials: Option<&'a str>,
    max_age: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn take(&mut self, rule: &str, word: &'a str) -> Result<(), SettingInvalid> {
        let refused = |expected| unfit(CORS, rule, expected);
        let (name, value) = word.split_once('=').ok_or_else(|| refused(WORDS_EXPECTED))?;
        let place = match name {
            "origins" => &mut self.origins,
            "methods" => &mut self.methods,
            "headers" => &mut self.headers,
            "expose" => &mut self.expose,
            "credentials" => &mut self.credentials,
            "max_age" => &mut self.max_age,
            _ => return Err(refused(WORDS_EXPECTED)),
        };
        if place.replace(value).is_some() {
            return Err(refused("a word stands twice in this rule"));
        }
        Ok(())
    }
}

/// A path as rules have it: whole segments, without the slash at its end. What is normalised is routed, so nothing else is one.
fn path(text: &str) -> Option<&str> {
    let is_clean = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#%;<>?\\^`{|}".contains(&byte));
    let has_dots = text.split('/').any(|segment| segment == "." || segment == "..");
    let is_path = text.starts_with('/') && !text.contains("//") && is_clean && !has_dots;
    is_path.then(|| text.trim_end_matches('/'))
}

/// Tokens with commas between.
fn list(text: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = text.split(',').collect();
    (names.len() <= CORS_NAMES_MAX && names.iter().all(|name| is_token(name))).then_some(names)
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

const PATH_EXPECTED: &str =
    "a rule begins with a path: \"/api/ origins=https://a.example methods=GET,POST; / pass\", rules with ; between";
const WORDS_EXPECTED: &str = "behind the path stands pass alone, or origins=, methods=, headers=, expose=, credentials=, max_age=, without spaces in them";
const ORIGINS_EXPECTED: &str = "origins must be * or at most 32 of https://HOST[:PORT], http://… or https://*.DOMAIN, in lower case, without a path";
const METHODS_EXPECTED: &str = "methods must be at most 32 names of methods with commas between";
const HEADERS_EXPECTED: &str = "headers and expose must be at most 32 names of header fields with commas between";
const CORS_BYTES_MAX: usize = 4096;
const CORS_RULES_MAX: usize = 16;
const CORS_NAMES_MAX: usize = 32;
/// Browsers keep it no longer.
const MAX_AGE_S_MAX: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::super::tests::parsed;
    use super::*;

    fn cors(value: &str) -> Cors {
        parsed(&[(CORS, value)]).unwrap().cors.unwrap()
    }

    fn allow(value: &str) -> CorsAllow {
        match cors(value).rule("/").unwrap() {
            CorsRule::Allow(allow) => allow.clone(),
            CorsRule::Pass => panic!("{value}"),
        }
    }

    #[test]
    fn the_longest_path_counts_by_whole_segments() {
        let cors = cors("/ pass; /api/ origins=https://a.example; /api/open/ origins=*;");
        let of = |path: &str| match cors.rule(path).unwrap() {
            CorsRule::Pass => "pass",
            CorsRule::Allow(allow) => allow.allowed_origin("https://a.example").unwrap(),
        };
        for (path, expected) in [
            ("/", "pass"),
            ("/apis", "pass"),
            ("/api", "https://a.example"),
            ("/api/x", "https://a.example"),
            ("/api/open", "*"),
            ("/api/opener", "https://a.example"),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
        assert_eq!(super::tests::cors("/a/ pass").rule("/b"), None);
    }

    #[test]
    fn a_preflight_gets_what_is_listed() {
        let allow =
            allow("/ origins=https://a.example methods=GET,PUT headers=Content-Type,X-A credentials=true max_age=60");
        let origin = "https://a.example";
        assert_eq!(allow.check(origin, "PUT", "x-a, CONTENT-TYPE"), Ok(()));
        assert_eq!(allow.check(origin, "GET", ""), Ok(()));
        assert_eq!(allow.check("https://b.example", "GET", ""), Err(PreflightRefused::Origin));
        assert_eq!(allow.check(origin, "POST", ""), Err(PreflightRefused::Method));
        assert_eq!(allow.check(origin, "get", ""), Err(PreflightRefused::Method));
        assert_eq!(allow.check(origin, "GET", "x-a,x-b"), Err(PreflightRefused::Headers));
        assert_eq!((&*allow.methods_text, allow.credentials, allow.max_age_s), ("GET, PUT", true, Some(60)));
        let any = super::tests::allow("/ origins=* headers=* expose=X-A,X-B");
        assert_eq!(any.check("null", "POST", "x-anything"), Ok(()));
        assert_eq!(any.check("null", "POST", "x any"), Err(PreflightRefused::Headers));
        assert_eq!(any.expose.as_deref(), Some("X-A, X-B"));
    }

    #[test]
    fn a_rule_that_is_not_understood_is_refused_and_shown() {
        for wrong in [
            "",
            "api pass",
            "/api//x pass",
            "/a/../b pass",
            "/a%2fb pass",
            "/ passes",
            "/ pass origins=*",
            "/",
            "/ methods=GET",
            "/ origins=",
            "/ origins=a.example",
            "/ origins=* credentials=true",
            "/ origins=* credentials=yes",
            "/ origins=* methods=",
            "/ origins=* methods=GET,,PUT",
            "/ origins=* headers=a/b",
            "/ origins=* max_age=86401",
            "/ origins=* max_age=-1",
            "/ origins=* origins=*",
            "/ origins=* colour=red",
            "/ pass; / pass",
            "/a pass; /a/ pass",
            "/ pass;; /b pass",
        ] {
            let error = parsed(&[(CORS, wrong)]).unwrap_err().to_string();
            assert!(error.starts_with("cors="), "{wrong}: {error}");
        }
        let many: Vec<String> = (0..17).map(|nth| format!("/{nth} pass")).collect();
        assert!(parsed(&[(CORS, &many[..16].join(";"))]).is_ok());
        assert!(parsed(&[(CORS, &many.join(";"))]).is_err());
        assert!(parsed(&[(CORS, &format!("/{} pass", "a".repeat(4096)))]).is_err());
    }
}
