//! What an operator has done to the header fields of an application's requests or answers, by fixed rules:
//!
//! ```text
//! rules = rule { ";" rule }
//! rule  = ("set" | "append") NAME "TEXT" | "remove" NAME
//! ```
//!
//! Texts are in quotes as in expressions. Nothing that delimits messages, concerns one connection, or says who asks and from
//! where can be named: a rule that changes it would undo what relay and connector promise.

use super::parser::Parser;
use super::who::{IDENTITY_NAMES, IDENTITY_PREFIXES, ORIGIN_NAMES, ORIGIN_PREFIXES};
use super::{ExpressionInvalid, VALUE_BYTES_MAX};
use crate::settings::OWN_COOKIES;

/// Rules, in the order in which they are applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules(Vec<HeaderRule>);

/// One rule. Names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderRule {
    /// The field has this value and no other.
    Set {
        /// Its name.
        name: Box<str>,
        /// What it says.
        value: Box<str>,
    },
    /// One more field of this name, behind those that are there.
    Append {
        /// Its name.
        name: Box<str>,
        /// What it says.
        value: Box<str>,
    },
    /// No field of this name.
    Remove {
        /// Its name.
        name: Box<str>,
    },
}

/// Which messages rules are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What goes to the application.
    Request,
    /// What comes from it.
    Response,
}

impl HeaderRules {
    /// Reads rules for one direction.
    ///
    /// # Errors
    /// Where something else should stand, or which name cannot be changed.
    pub fn parse(text: &str, direction: Direction) -> Result<Self, ExpressionInvalid> {
        let mut parser = Parser::new(text)?;
        let mut rules = Vec::new();
        while !parser.is_at_end() {
            if rules.len() >= RULES_MAX {
                return Err(parser.expected(&format!("at most {RULES_MAX} rules")));
            }
            rules.push(rule(&mut parser, direction)?);
            if !parser.takes(';') && !parser.is_at_end() {
                return Err(parser.expected("`;` and another rule, or the end"));
            }
        }
        if rules.is_empty() { Err(parser.expected(RULE)) } else { Ok(Self(rules)) }
    }

    /// Every rule, in order.
    pub fn iter(&self) -> impl Iterator<Item = &HeaderRule> {
        self.0.iter()
    }

    /// Whether one is about this field, in whatever spelling. `dashed`: in lower case with `-` for each `_`.
    #[must_use]
    pub fn names(&self, dashed: &str) -> bool {
        self.0.iter().any(|rule| rule.name().replace('_', "-") == dashed)
    }
}

impl HeaderRule {
    /// The field that it is about.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Set { name, .. } | Self::Append { name, .. } | Self::Remove { name } => name,
        }
    }
}

fn rule(parser: &mut Parser<'_>, direction: Direction) -> Result<HeaderRule, ExpressionInvalid> {
    let (column, start) = parser.place();
    let verb = parser.word().unwrap_or_default();
    if !matches!(verb, "set" | "append" | "remove") {
        return Err(parser.at(column, RULE, start));
    }
    let name = name(parser, direction)?;
    match verb {
        "remove" => Ok(HeaderRule::Remove { name }),
        "append" => Ok(HeaderRule::Append { value: value(parser, &name)?, name }),
        // There are three.
        _ => Ok(HeaderRule::Set { value: value(parser, &name)?, name }),
    }
}

fn name(parser: &mut Parser<'_>, direction: Direction) -> Result<Box<str>, ExpressionInvalid> {
    let (column, start) = parser.place();
    let Some(word) = parser.word() else {
        return Err(parser.at(column, "a header's name", start));
    };
    let name = word.to_ascii_lowercase();
    let is_first = name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    if !is_first || name.len() > NAME_BYTES_MAX {
        let expected = format!("a header's name: at most {NAME_BYTES_MAX} letters, digits, - _ and .");
        return Err(parser.at(column, &expected, word));
    }
    match why_taken(&name.replace(['_', '.'], "-"), direction) {
        Some(why) => Err(parser.at(column, &format!("a header that rules may change, and this one {why}"), word)),
        None => Ok(name.into()),
    }
}

fn value(parser: &mut Parser<'_>, name: &str) -> Result<Box<str>, ExpressionInvalid> {
    let (column, start) = parser.place();
    let value = parser.literal()?;
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.trim() == value;
    if !is_plain || value.len() > VALUE_BYTES_MAX {
        let expected = format!("visible ASCII without spaces around it, at most {VALUE_BYTES_MAX} bytes");
        return Err(parser.at(column, &expected, start));
    }
    // Browsers take a cookie without a name for one whose name comes behind the `=`.
    let cookie = value.trim_start_matches(['=', ' ']).to_ascii_lowercase();
    if name == "set-cookie" && OWN_COOKIES.iter().any(|own| cookie.starts_with(&own.to_ascii_lowercase())) {
        return Err(parser.at(column, "a cookie of the application's: those of this name are the relay's", start));
    }
    Ok(value.into())
}

/// `dashed`: with `-` for whatever some backends take for it.
fn why_taken(dashed: &str, direction: Direction) -> Option<&'static str> {
    let is_among = |names: &[&str], prefixes: &[&str]| {
        names.contains(&dashed) || prefixes.iter().any(|prefix| dashed.starts_with(prefix))
    };
    if is_among(CONNECTION, &["proxy-", "sec-websocket-", "http2-"]) {
        return Some("concerns one connection");
    }
    if is_among(FRAMING, &[]) {
        return Some("says how the message is delimited, coded or routed");
    }
    if is_among(&ORIGIN_NAMES, &ORIGIN_PREFIXES) {
        return Some("says who asks, or from where: that is the relay's to say");
    }
    match direction {
        Direction::Request if is_among(&IDENTITY_NAMES, &IDENTITY_PREFIXES) || is_among(CREDENTIALS, &[]) => {
            Some("says who asks: see sso_headers and sso for that")
        }
        Direction::Request | Direction::Response => None,
    }
}

/// Rules of one direction.
pub const RULES_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 64;
const RULE: &str = "set NAME \"TEXT\", append NAME \"TEXT\" or remove NAME";
const CONNECTION: &[&str] =
    &["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "early-data"];
const FRAMING: &[&str] = &["content-length", "content-encoding", "content-range", "host", "alt-svc"];
/// What carries credentials.
const CREDENTIALS: &[&str] = &["authorization", "cookie"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_in_order() {
        let text = "set X-A \"v; w\"; append Link '</a>; rel=\"x\"' ;remove Server;";
        let rules = HeaderRules::parse(text, Direction::Response).unwrap();
        let expected = [
            HeaderRule::Set { name: "x-a".into(), value: "v; w".into() },
            HeaderRule::Append { name: "link".into(), value: "</a>; rel=\"x\"".into() },
            HeaderRule::Remove { name: "server".into() },
        ];
        assert!(rules.iter().eq(&expected));
        assert!(rules.names("x-a") && !rules.names("x-b"));
    }

    #[test]
    fn what_is_not_a_rule_is_refused_with_its_place() {
        for (text, says) in [
            ("", "column 1: expected set NAME"),
            ("replace X-A \"v\"", "column 1: expected set NAME"),
            ("set \"v\"", "column 5: expected a header's name"),
            ("set X-A", "column 8: expected a text in quotes"),
            ("set X-A v", "column 9: expected a text in quotes"),
            ("remove X-A remove X-B", "column 12: expected `;`"),
            ("set X-A \"\u{e4}\"", "expected visible ASCII"),
            ("set X-A \" v\"", "expected visible ASCII"),
            ("set X-A \"a\nb\"", "no control characters"),
            ("set -a \"v\"", "expected a header's name"),
            ("append Set-Cookie \"=__HOST-postern-wiki=x\"", "the relay's"),
            ("append Set-Cookie \"postern-session-a1-1=x\"", "the relay's"),
        ] {
            let error = HeaderRules::parse(text, Direction::Response).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let many = "remove a;".repeat(RULES_MAX + 1);
        assert!(HeaderRules::parse(&many, Direction::Response).is_err());
    }

    #[test]
    fn what_others_rely_on_cannot_be_changed() {
        for (name, says) in [
            ("Connection", "one connection"),
            ("Proxy-Authorization", "one connection"),
            ("Transfer_Encoding", "one connection"),
            ("Content-Length", "delimited"),
            ("HOST", "delimited"),
            ("Forwarded", "from where"),
            ("x_forwarded_for", "from where"),
            ("X-Postern-User", "who asks"),
        ] {
            for direction in [Direction::Request, Direction::Response] {
                let error = HeaderRules::parse(&format!("remove {name}"), direction).unwrap_err().to_string();
                assert!(error.contains(says), "{name}: {error}");
            }
        }
        // Whatever relays take out of requests no rule writes into them.
        let begun = IDENTITY_PREFIXES.iter().chain(&ORIGIN_PREFIXES).map(|prefix| format!("{prefix}x"));
        let whole = IDENTITY_NAMES.iter().chain(&ORIGIN_NAMES).map(|name| (*name).to_owned());
        for name in begun.chain(whole) {
            assert!(HeaderRules::parse(&format!("set {name} \"x\""), Direction::Request).is_err(), "{name}");
        }
        for name in ["Authorization", "Cookie", "Remote.User", "X-Auth-Email", "OIDC_claim_sub"] {
            let text = format!("set {name} \"x\"");
            assert!(HeaderRules::parse(&text, Direction::Request).is_err(), "{name}");
            assert!(HeaderRules::parse(&text, Direction::Response).is_ok(), "{name}");
        }
    }
}
