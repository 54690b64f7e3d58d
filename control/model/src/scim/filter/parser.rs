//! The grammar of filters and paths, by recursive descent: `or` binds least, then `and`, then `not`. How deep it goes and how
//! much it makes is bounded.

use super::{AttributePath, Filter, Literal, Operator, PatchPath};
use crate::scim::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_TESTS_MAX, ScimError, ScimType};

/// Text that is being read.
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    tests: usize,
    kind: ScimType,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, kind: ScimType) -> Result<Self, ScimError> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(ScimError::bad(kind, format!("{} bytes are too long: at most {FILTER_BYTES_MAX}", text.len())));
        }
        Ok(Self { text, at: 0, depth: 0, tests: 0, kind })
    }

    /// The whole text as a filter.
    pub(super) fn filter(mut self) -> Result<Filter, ScimError> {
        let filter = self.any()?;
        self.end()?;
        Ok(filter)
    }

    /// The whole text as a path.
    pub(super) fn path(mut self) -> Result<PatchPath, ScimError> {
        let attribute = self.attribute()?;
        let (mut filter, mut sub) = (None, None);
        if self.take("[") {
            filter = Some(self.nested("]")?);
            if self.take(".") {
                let part = self.attribute()?;
                if part.schema.is_some() || part.sub.is_some() {
                    return Err(self.wrong("the name of a part"));
                }
                sub = Some(part.name);
            }
            if attribute.sub.is_some() {
                return Err(self.wrong("no part before the brackets"));
            }
        }
        self.end()?;
        Ok(PatchPath { attribute, filter, sub })
    }

    fn any(&mut self) -> Result<Filter, ScimError> {
        let first = self.all()?;
        let mut rest = Vec::new();
        while self.word("or") {
            rest.push(self.all()?);
        }
        Ok(if rest.is_empty() { first } else { Filter::Or([vec![first], rest].concat()) })
    }

    fn all(&mut self) -> Result<Filter, ScimError> {
        let first = self.one()?;
        let mut rest = Vec::new();
        while self.word("and") {
            rest.push(self.one()?);
        }
        Ok(if rest.is_empty() { first } else { Filter::And([vec![first], rest].concat()) })
    }

    fn one(&mut self) -> Result<Filter, ScimError> {
        let start = self.at;
        if self.word("not") {
            if self.take("(") {
                return Ok(Filter::Not(Box::new(self.nested(")")?)));
            }
            self.at = start;
        }
        if self.take("(") {
            return self.nested(")");
        }
        let attribute = self.attribute()?;
        if self.take("[") {
            if attribute.sub.is_some() {
                return Err(self.wrong("no part before the brackets"));
            }
            return Ok(Filter::Within(attribute, Box::new(self.nested("]")?)));
        }
        self.tests += 1;
        if self.tests > FILTER_TESTS_MAX {
            return Err(ScimError::bad(self.kind, format!("a filter has at most {FILTER_TESTS_MAX} tests")));
        }
        if self.word("pr") {
            return Ok(Filter::Present(attribute));
        }
        let Some((_, operator)) = OPERATORS.iter().find(|(word, _)| self.word(word)) else {
            return Err(self.wrong("an operator: eq, ne, co, sw, ew, gt, ge, lt, le or pr"));
        };
        Ok(Filter::Compare(attribute, *operator, self.literal()?))
    }

    /// A filter within parentheses or brackets, of which the first was taken.
    fn nested(&mut self, close: &str) -> Result<Filter, ScimError> {
        self.depth += 1;
        if self.depth > FILTER_DEPTH_MAX {
            return Err(ScimError::bad(self.kind, format!("parentheses are nested deeper than {FILTER_DEPTH_MAX}")));
        }
        let inner = self.any()?;
        self.depth -= 1;
        if self.take(close) { Ok(inner) } else { Err(self.wrong(&format!("{close:?}"))) }
    }

    fn attribute(&mut self) -> Result<AttributePath, ScimError> {
        self.space();
        let rest = self.rest();
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_-$:.".contains(b)).count();
        if length == 0 {
            return Err(self.wrong("the name of an attribute"));
        }
        let path = AttributePath::parse(&rest[..length]).map_err(|error| ScimError::bad(self.kind, error.detail))?;
        self.at += length;
        Ok(path)
    }

    fn literal(&mut self) -> Result<Literal, ScimError> {
        self.space();
        let rest = self.rest();
        let length = match rest.strip_prefix('"') {
            Some(text) => string_length(text).map(|length| length + 1),
            None => Some(rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count()),
        };
        let expected = "a value: text in double quotes, a number, true, false or null";
        let Some(literal) = length.and_then(|length| rest.get(..length)) else { return Err(self.wrong(expected)) };
        let value = match literal.to_ascii_lowercase().as_str() {
            // Entra ID writes True.
            word @ ("true" | "false") => Literal::Bool(word == "true"),
            "null" => Literal::Null,
            _ => match serde_json::from_str(literal) {
                Ok(serde_json::Value::String(text)) => Literal::Text(text),
                Ok(serde_json::Value::Number(number)) => Literal::Number(number.as_f64().unwrap_or(f64::NAN)),
                Ok(_) | Err(_) => return Err(self.wrong(expected)),
            },
        };
        self.at += literal.len();
        Ok(value)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        self.at += self.rest().bytes().take_while(|b| *b == b' ').count();
    }

    fn take(&mut self, sign: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(sign);
        self.at += if found { sign.len() } else { 0 };
        found
    }

    /// A word whatever its case, with an end behind it.
    fn word(&mut self, word: &str) -> bool {
        self.space();
        let rest = self.rest();
        let found = rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            && rest[word.len()..].bytes().next().is_none_or(|b| !b.is_ascii_alphanumeric() && !b"_-:.$".contains(&b));
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn end(&mut self) -> Result<(), ScimError> {
        self.space();
        if self.rest().is_empty() { Ok(()) } else { Err(self.wrong("its end, or and, or or")) }
    }

    fn wrong(&self, expected: &str) -> ScimError {
        let found: String = self.rest().chars().take(FOUND_CHARS_MAX).collect();
        ScimError::bad(self.kind, format!("at {found:?}, byte {}: expected {expected}", self.at))
    }
}

/// Up to and with the closing quote.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes()
        .position(|b| {
            let is_end = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            is_end
        })
        .map(|end| end + 1)
}

const OPERATORS: &[(&str, Operator)] = &[
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("co", Operator::Co),
    ("sw", Operator::Sw),
    ("ew", Operator::Ew),
    ("gt", Operator::Gt),
    ("ge", Operator::Ge),
    ("lt", Operator::Lt),
    ("le", Operator::Le),
];
const FOUND_CHARS_MAX: usize = 40;
