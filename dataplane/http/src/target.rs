//! Request targets (RFC 9112 §3.2), reduced to what is forwarded: `path?query`, `*`, or a CONNECT's authority.

use std::borrow::Cow;
use std::fmt;

use crate::authority::Authority;
use crate::head::Scheme;
use crate::malformed::{Malformed, Rule};
use crate::method::Method;
use crate::path::{self, PathRules};

/// A checked request target; its bytes are those of the request.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    text: String,
    form: TargetForm,
    path_bytes: u32,
    encoded_slash: bool,
}

/// Which form a target has. The absolute form is split into scheme, authority and origin form when it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`.
    Origin,
    /// `*`, of OPTIONS.
    Asterisk,
    /// `host:port`, of CONNECT.
    Authority,
}

/// What the absolute and authority forms say besides the path.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    pub(crate) scheme: Option<Scheme>,
    pub(crate) authority: Option<Authority>,
}

impl Target {
    /// Takes `/path?query`, or `*` for OPTIONS: the forms of HTTP/2's `:path`.
    pub fn parse(bytes: &[u8], method: &Method, rules: PathRules) -> Result<Self, Rule> {
        let mut target = Self::default();
        target.assign_path(bytes, method, rules)?;
        Ok(target)
    }

    /// The target as it is forwarded.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its form.
    pub fn form(&self) -> TargetForm {
        self.form
    }

    /// The path without the query; `*` or a CONNECT's authority as they are.
    pub fn path(&self) -> &str {
        &self.text[..self.path_bytes as usize]
    }

    /// The query without its `?`.
    pub fn query(&self) -> Option<&str> {
        self.text.get(self.path_bytes as usize + 1..)
    }

    /// The path to compare routes with: escapes decoded, `//` and segment parameters (`;x`) left out, since backends
    /// may treat such spellings alike. Borrowed when that changes nothing.
    pub fn routing_path(&self) -> Cow<'_, str> {
        path::routing_form(self.path())
    }

    /// Whether the path holds `%2f`.
    pub fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }

    /// Applies the rules of the application that was found for a target parsed under laxer ones.
    pub fn admit(&self, rules: PathRules) -> Result<(), Malformed> {
        if self.encoded_slash && !rules.allow_encoded_slash {
            return Err(Rule::PathEncodedSlash.into());
        }
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.path_bytes = 0;
        self.form = TargetForm::Origin;
        self.encoded_slash = false;
    }

    /// Any of RFC 9112's four forms.
    pub(crate) fn assign(&mut self, bytes: &[u8], method: &Method, rules: PathRules) -> Result<Origin, Rule> {
        if *method == Method::Connect {
            let authority = self.assign_authority(bytes)?;
            return Ok(Origin { scheme: None, authority: Some(authority) });
        }
        if bytes.first() == Some(&b'/') || bytes == b"*" {
            self.assign_path(bytes, method, rules)?;
            return Ok(Origin::default());
        }
        let (scheme, rest) = split_scheme(bytes).ok_or(Rule::TargetForm)?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority = Authority::parse(authority)?;
        match path {
            [] if *method == Method::Options => self.assign_path(b"*", method, rules)?,
            [] => self.assign_path(b"/", method, rules)?,
            path => self.assign_path(path, method, rules)?,
        }
        Ok(Origin { scheme: Some(scheme), authority: Some(authority) })
    }

    /// A CONNECT's `host:port`; the port is required (RFC 9112 §3.2.3).
    pub(crate) fn assign_authority(&mut self, bytes: &[u8]) -> Result<Authority, Rule> {
        self.clear();
        let authority = Authority::parse(bytes).map_err(|_| Rule::TargetForm)?;
        authority.port().ok_or(Rule::TargetForm)?;
        self.store(bytes, TargetForm::Authority, bytes.len())?;
        Ok(authority)
    }

    pub(crate) fn assign_path(&mut self, bytes: &[u8], method: &Method, rules: PathRules) -> Result<(), Rule> {
        self.clear();
        if bytes == b"*" && *method == Method::Options {
            return self.store(bytes, TargetForm::Asterisk, 1);
        }
        let facts = path::check(bytes, rules)?;
        self.encoded_slash = facts.encoded_slash;
        self.store(bytes, TargetForm::Origin, facts.path_bytes)
    }

    fn store(&mut self, bytes: &[u8], form: TargetForm, path_bytes: usize) -> Result<(), Rule> {
        let text = std::str::from_utf8(bytes).map_err(|_| Rule::TargetByte)?;
        self.text.push_str(text);
        self.form = form;
        self.path_bytes = u32::try_from(path_bytes).map_err(|_| Rule::TargetTooLong)?;
        Ok(())
    }
}

impl Default for Target {
    fn default() -> Self {
        Self { text: String::new(), form: TargetForm::Origin, path_bytes: 0, encoded_slash: false }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn split_scheme(bytes: &[u8]) -> Option<(Scheme, &[u8])> {
    [Scheme::Https, Scheme::Http].into_iter().find_map(|scheme| {
        let (head, rest) = bytes.split_at_checked(scheme.as_str().len())?;
        let rest = rest.strip_prefix(b"://")?;
        head.eq_ignore_ascii_case(scheme.as_str().as_bytes()).then_some((scheme, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(text: &str, method: &Method) -> Result<(Target, Origin), Rule> {
        let mut target = Target::default();
        let origin = target.assign(text.as_bytes(), method, PathRules::default())?;
        Ok((target, origin))
    }

    #[test]
    fn the_four_forms() {
        let (target, origin) = assigned("/a/b?c=d", &Method::Get).unwrap();
        assert_eq!((target.path(), target.query(), target.as_str()), ("/a/b", Some("c=d"), "/a/b?c=d"));
        assert!(origin.scheme.is_none() && origin.authority.is_none());

        let (target, origin) = assigned("HTTPS://Example.com:444/?x", &Method::Get).unwrap();
        assert_eq!((target.as_str(), target.query()), ("/?x", Some("x")));
        assert_eq!(origin.scheme, Some(Scheme::Https));
        assert_eq!(origin.authority.unwrap().as_str(), "example.com:444");

        let (target, _) = assigned("http://a", &Method::Get).unwrap();
        assert_eq!((target.as_str(), target.form()), ("/", TargetForm::Origin));
        let (target, _) = assigned("http://a", &Method::Options).unwrap();
        assert_eq!((target.as_str(), target.form()), ("*", TargetForm::Asterisk));
        let (target, _) = assigned("*", &Method::Options).unwrap();
        assert_eq!((target.path(), target.query()), ("*", None));
        let (target, origin) = assigned("A.example:443", &Method::Connect).unwrap();
        assert_eq!(target.form(), TargetForm::Authority);
        assert_eq!(origin.authority.unwrap().as_str(), "a.example:443");
    }

    #[test]
    fn forms_that_do_not_fit_are_refused() {
        let table = [
            ("*", Method::Get, Rule::TargetForm),
            ("", Method::Get, Rule::TargetForm),
            ("a/b", Method::Get, Rule::TargetForm),
            ("ftp://a/", Method::Get, Rule::TargetForm),
            ("http:/a", Method::Get, Rule::TargetForm),
            ("http://", Method::Get, Rule::HostInvalid),
            ("http://u:p@a/", Method::Get, Rule::HostInvalid),
            ("http://a?x", Method::Get, Rule::TargetForm),
            ("http://a/..", Method::Get, Rule::PathDotSegment),
            ("/a", Method::Connect, Rule::TargetForm),
            ("a", Method::Connect, Rule::TargetForm),
            ("http://a:1/", Method::Connect, Rule::TargetForm),
        ];
        for (text, method, rule) in table {
            assert_eq!(assigned(text, &method).err(), Some(rule), "{method} {text}");
        }
    }

    #[test]
    fn an_encoded_slash_needs_the_applications_consent() {
        let lax = PathRules { allow_encoded_slash: true };
        let target = Target::parse(b"/a%2fb", &Method::Get, lax).unwrap();
        assert!(target.has_encoded_slash() && target.admit(lax).is_ok());
        assert_eq!(target.admit(PathRules::default()).unwrap_err().rule, Rule::PathEncodedSlash);
        assert_eq!(target.routing_path(), "/a/b");
    }
}
