//! From text to an expression: one character of look-ahead. What a function takes is in [`super::functions`].

use super::attributes::is_name;
use super::headers::HeaderName;
use super::{
    DEPTH_MAX, EXPRESSION_BYTES_MAX, Expression, ExpressionInvalid, List, SamlAttribute, SsoHeader, Text, Value,
};

/// Reads the whole text as one expression.
pub(super) fn expression(text: &str) -> Result<Text, ExpressionInvalid> {
    let mut parser = Parser::new(text)?;
    let text = parser.text(0)?;
    if parser.is_at_end() { Ok(text) } else { Err(parser.expected("the end")) }
}

/// Reads `NAME=expression; …`, each name once, whatever its spelling.
pub(super) fn headers(text: &str, count_max: usize) -> Result<Vec<SsoHeader>, ExpressionInvalid> {
    let mut parser = Parser::new(text)?;
    let mut headers: Vec<SsoHeader> = Vec::new();
    while !parser.is_at_end() {
        if headers.len() >= count_max {
            return Err(parser.expected(&format!("at most {count_max} headers")));
        }
        let column = parser.column;
        let word = parser.word().unwrap_or_default();
        let name: HeaderName = word.parse().map_err(|error| parser.at(column, &format!("{error}"), word))?;
        if headers.iter().any(|header| header.name.is_alike(&name)) {
            return Err(parser.at(column, "each header once", word));
        }
        parser.must_take('=')?;
        headers.push(SsoHeader { name, value: Expression(parser.text(0)?) });
        if !parser.takes(';') && !parser.is_at_end() {
            return Err(parser.expected("`;` and another header, or the end"));
        }
    }
    if headers.is_empty() { Err(parser.expected("NAME=EXPRESSION, or none")) } else { Ok(headers) }
}

/// Reads `NAME=value; …`, each name once. A name that is no word, a URI say, stands in quotes; a value may be a list.
pub(super) fn attributes(text: &str, count_max: usize) -> Result<Vec<SamlAttribute>, ExpressionInvalid> {
    let mut parser = Parser::new(text)?;
    let mut attributes: Vec<SamlAttribute> = Vec::new();
    while !parser.is_at_end() {
        if attributes.len() >= count_max {
            return Err(parser.expected(&format!("at most {count_max} attributes")));
        }
        let (column, start) = parser.place();
        let name = if parser.is_at_quote() { parser.literal()? } else { parser.word().unwrap_or_default().to_owned() };
        if !is_name(&name) {
            return Err(parser.at(column, "an attribute's name: a word, or a URI in quotes", start));
        }
        if attributes.iter().any(|attribute| *attribute.name == *name) {
            return Err(parser.at(column, "each attribute once", &name));
        }
        parser.must_take('=')?;
        attributes.push(SamlAttribute { name: name.into(), value: parser.value(0)? });
        if !parser.takes(';') && !parser.is_at_end() {
            return Err(parser.expected("`;` and another attribute, or the end"));
        }
    }
    if attributes.is_empty() { Err(parser.expected("NAME=EXPRESSION")) } else { Ok(attributes) }
}

pub(super) struct Parser<'a> {
    rest: &'a str,
    /// Of the first character of `rest`.
    pub(super) column: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, ExpressionInvalid> {
        let mut parser = Self { rest: text, column: 1 };
        if text.len() > EXPRESSION_BYTES_MAX {
            let found = format!("{} bytes", text.len());
            return Err(parser.at(1, &format!("at most {EXPRESSION_BYTES_MAX} bytes"), &found));
        }
        parser.skip_space();
        Ok(parser)
    }

    /// An expression that is a text; a list is refused, and how to make a text of it told.
    pub(super) fn text(&mut self, depth: usize) -> Result<Text, ExpressionInvalid> {
        let (column, start) = (self.column, self.rest);
        match self.value(depth)? {
            Value::Text(text) => Ok(text),
            Value::List(list) => {
                let name = list.name();
                Err(self.at(column, &format!("one text: join(\",\", {name}…) makes one of a list"), start))
            }
        }
    }

    pub(super) fn value(&mut self, depth: usize) -> Result<Value, ExpressionInvalid> {
        if depth > DEPTH_MAX {
            return Err(self.expected(&format!("at most {DEPTH_MAX} functions inside each other")));
        }
        if self.is_at_quote() {
            return Ok(Value::Text(Text::Literal(self.literal()?.into())));
        }
        let (column, start) = (self.column, self.rest);
        match self.word() {
            Some(word) => self.named(word, (column, start), depth),
            None => Err(self.expected("a source such as login, a function, or a text in quotes")),
        }
    }

    /// A text in quotes. In double ones a backslash stands before a quote or a backslash.
    pub(super) fn literal(&mut self) -> Result<String, ExpressionInvalid> {
        let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Err(self.expected("a text in quotes"));
        };
        self.skip(1);
        let mut text = String::new();
        loop {
            let mut letters = self.rest.chars();
            match letters.next() {
                Some(letter) if letter == quote => {
                    self.skip(1);
                    self.skip_space();
                    return Ok(text);
                }
                Some('\\') if quote == '"' => match letters.next() {
                    Some(escaped @ ('"' | '\\')) => {
                        text.push(escaped);
                        self.skip(2);
                    }
                    Some(_) | None => return Err(self.expected("\\\" or \\\\, or single quotes around the text")),
                },
                Some(letter) if !letter.is_control() => {
                    text.push(letter);
                    self.skip(1);
                }
                Some(_) => return Err(self.expected("no control characters in a text")),
                None => return Err(self.expected("the text's closing quote")),
            }
        }
    }

    pub(super) fn number(&mut self, max: usize) -> Result<usize, ExpressionInvalid> {
        let (column, start) = (self.column, self.rest);
        let number = self.word().and_then(|word| word.parse().ok()).filter(|number| *number <= max);
        number.ok_or_else(|| self.at(column, &format!("a number from 0 to {max}"), start))
    }

    /// A name: what is no space, quote or sign of the language.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        let is_in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = self.rest.find(|c| !is_in_word(c)).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        self.skip(end);
        self.skip_space();
        (!word.is_empty()).then_some(word)
    }

    pub(super) fn is_at_quote(&self) -> bool {
        self.rest.starts_with(['"', '\''])
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Steps over a sign, if it comes next.
    pub(super) fn takes(&mut self, sign: char) -> bool {
        let is_there = self.rest.starts_with(sign);
        if is_there {
            self.skip(1);
            self.skip_space();
        }
        is_there
    }

    pub(super) fn must_take(&mut self, sign: char) -> Result<(), ExpressionInvalid> {
        if self.takes(sign) { Ok(()) } else { Err(self.expected(&format!("`{sign}`"))) }
    }

    /// The place of what is read next, to point at later.
    pub(super) fn place(&self) -> (usize, &'a str) {
        (self.column, self.rest)
    }

    pub(super) fn expected(&self, what: &str) -> ExpressionInvalid {
        self.at(self.column, what, self.rest)
    }

    pub(super) fn at(&self, column: usize, what: &str, found: &str) -> ExpressionInvalid {
        let found = match found.chars().next() {
            Some(_) => format!("{:?}", found.chars().take(FOUND_CHARS_MAX).collect::<String>()),
            None => "the end".into(),
        };
        ExpressionInvalid { column, expected: what.into(), found }
    }

    fn skip_space(&mut self) {
        let space = self.rest.chars().take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r')).count();
        self.skip(space);
    }

    fn skip(&mut self, chars: usize) {
        let mut letters = self.rest.chars();
        letters.by_ref().take(chars).for_each(drop);
        self.rest = letters.as_str();
        self.column += chars;
    }
}

impl List {
    const fn name(&self) -> &'static str {
        match self {
            Self::Groups => "groups",
            Self::Matching(..) => "groups-matching",
            Self::Mapped(_) => "groups-mapped",
            Self::Methods => "methods",
        }
    }
}

const FOUND_CHARS_MAX: usize = 24;
