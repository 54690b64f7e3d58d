//! Sources and functions by name, and what each function takes.

use super::parser::Parser;
use super::pattern::{Pattern, Template};
use super::{ExpressionInvalid, List, Source, Text, VALUE_BYTES_MAX, Value};
use crate::ids::Name;

type Place<'a> = (usize, &'a str);

impl<'a> Parser<'a> {
    /// What `word` at `place` begins.
    pub(super) fn named(&mut self, word: &str, place: Place<'a>, depth: usize) -> Result<Value, ExpressionInvalid> {
        if let Some(name) = word.strip_prefix(ATTRIBUTE) {
            let name = name.parse().map_err(|error| self.at(place.0, &format!("attribute.NAME ({error})"), place.1))?;
            return Ok(Value::Text(Text::Attribute(name)));
        }
        if let Some((_, source)) = SOURCES.iter().find(|(name, _)| *name == word) {
            return Ok(Value::Text(Text::Source(*source)));
        }
        match word {
            "groups" => return Ok(Value::List(List::Groups)),
            "methods" => return Ok(Value::List(List::Methods)),
            _ if !FUNCTIONS.contains(&word) => return Err(self.unknown(word, place)),
            _ => {}
        }
        self.must_take('(')?;
        let value = self.call(word, depth + 1)?;
        if self.takes(')') { Ok(value) } else { Err(self.expected("`)`")) }
    }

    /// What stands in a function's parentheses.
    fn call(&mut self, function: &str, depth: usize) -> Result<Value, ExpressionInvalid> {
        let text = match function {
            "join" => self.join(depth)?,
            "groups-matching" => return self.groups_matching().map(Value::List),
            "groups-mapped" => return self.groups_mapped().map(Value::List),
            "if-in-group" => {
                let name = self.group()?;
                let (inside, outside) = (self.next_text(depth)?, self.next_text(depth)?);
                Text::IfInGroup(name, inside.into(), outside.into())
            }
            _ => {
                let text = Box::new(self.text(depth)?);
                self.of_text(function, text, depth)?
            }
        };
        Ok(Value::Text(text))
    }

    /// The functions whose first argument is a text.
    fn of_text(&mut self, function: &str, text: Box<Text>, depth: usize) -> Result<Text, ExpressionInvalid> {
        Ok(match function {
            "lower" => Text::Lower(text),
            "upper" => Text::Upper(text),
            "trim" => Text::Trim(text),
            "prefix" => Text::Prefix(text, self.next_literal()?.into()),
            "suffix" => Text::Suffix(text, self.next_literal()?.into()),
            "truncate" => {
                self.must_take(',')?;
                Text::Truncate(text, self.number(VALUE_BYTES_MAX)?)
            }
            "replace" => {
                self.must_take(',')?;
                let pattern = self.pattern()?;
                self.must_take(',')?;
                let place = self.place();
                let with = self.literal()?;
                let with = Template::parse(&with, &pattern).map_err(|what| self.at(place.0, &what, place.1))?;
                Text::Replace(text, pattern, with)
            }
            "extract" => {
                self.must_take(',')?;
                let pattern = self.pattern()?;
                self.must_take(',')?;
                let group = self.number(pattern.groups() - 1)?;
                Text::Extract(text, pattern, group)
            }
            "if-empty" => Text::IfEmpty(text, self.next_text(depth)?.into()),
            "if-not-empty" => Text::IfNotEmpty(text, self.next_text(depth)?.into()),
            _ => return Err(self.expected("a function that exists")), // every name in FUNCTIONS has an arm
        })
    }

    fn join(&mut self, depth: usize) -> Result<Text, ExpressionInvalid> {
        let place = self.place();
        let separator = self.literal()?;
        let mut values = Vec::new();
        while self.takes(',') {
            values.push(self.value(depth)?);
        }
        if values.is_empty() {
            return Err(self.expected("`,` and what is to be joined"));
        }
        // Or one group could be called like two others together.
        let is_ambiguous = values.iter().any(|value| matches!(value, Value::List(list) if list.may_have(&separator)));
        if is_ambiguous {
            let what = "a separator that no element of the list can have in it, such as \",\"";
            return Err(self.at(place.0, what, place.1));
        }
        Ok(Text::Join(separator.into(), values))
    }

    fn groups_matching(&mut self) -> Result<List, ExpressionInvalid> {
        let pattern = self.pattern()?;
        let group = if self.takes(',') { Some(self.number(pattern.groups() - 1)?) } else { None };
        Ok(List::Matching(pattern, group))
    }

    fn groups_mapped(&mut self) -> Result<List, ExpressionInvalid> {
        let mut names = Vec::new();
        loop {
            let name = self.group()?;
            self.must_take('=')?;
            names.push((name, self.literal()?.into()));
            if !self.takes(',') {
                return Ok(List::Mapped(names));
            }
        }
    }

    fn group(&mut self) -> Result<Name, ExpressionInvalid> {
        let place = self.place();
        let name = self.literal()?;
        name.parse().map_err(|error| self.at(place.0, &format!("a group's name ({error})"), place.1))
    }

    fn pattern(&mut self) -> Result<Pattern, ExpressionInvalid> {
        let place = self.place();
        let text = self.literal()?;
        Pattern::compile(&text).map_err(|what| self.at(place.0, &what, place.1))
    }

    fn next_text(&mut self, depth: usize) -> Result<Text, ExpressionInvalid> {
        self.must_take(',')?;
        self.text(depth)
    }

    fn next_literal(&mut self) -> Result<String, ExpressionInvalid> {
        self.must_take(',')?;
        self.literal()
    }

    fn unknown(&self, word: &str, place: Place<'a>) -> ExpressionInvalid {
        let sources = SOURCES.iter().map(|(name, _)| *name);
        let known = sources.chain(["groups", "methods"]).chain(FUNCTIONS.iter().copied());
        let near = known.map(|known| (strsim::damerau_levenshtein(known, word), known)).min();
        let what = match near.filter(|(distance, known)| distance * 2 <= known.len()) {
            Some((_, known)) => format!("a source or a function, perhaps {known}"),
            None => String::from("a source such as login, a function, or a text in quotes"),
        };
        self.at(place.0, &what, place.1)
    }
}

impl List {
    /// Whether an element may hold `separator`.
    fn may_have(&self, separator: &str) -> bool {
        match self {
            Self::Mapped(names) => names.iter().any(|(_, text)| text.contains(separator)),
            // Names are made of these.
            Self::Groups | Self::Matching(..) | Self::Methods => {
                separator.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            }
        }
    }
}

const ATTRIBUTE: &str = "attribute.";
const SOURCES: [(&str, Source); 11] = [
    ("login", Source::Login),
    ("user-part", Source::UserPart),
    ("domain", Source::Domain),
    ("mail", Source::Mail),
    ("mail-prefix", Source::MailPrefix),
    ("display-name", Source::DisplayName),
    ("id", Source::Id),
    ("role", Source::Role),
    ("guest", Source::Guest),
    ("provider", Source::Provider),
    ("auth-time", Source::AuthTime),
];
pub(super) const FUNCTIONS: [&str; 14] = [
    "join",
    "lower",
    "upper",
    "trim",
    "prefix",
    "suffix",
    "replace",
    "extract",
    "truncate",
    "if-empty",
    "if-not-empty",
    "if-in-group",
    "groups-matching",
    "groups-mapped",
];
