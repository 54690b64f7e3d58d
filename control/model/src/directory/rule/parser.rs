//! From text to a rule: one character of look-ahead, one function for each level of the grammar.
//!
//! ```text
//! any   = all { "or" all }
//! all   = one { "and" one }
//! one   = "not" one | "(" any ")" | KEY check
//! check = "==" TEXT | "!=" TEXT | "in" "[" TEXT { "," TEXT } "]"
//!       | "contains" TEXT | "starts_with" TEXT | "ends_with" TEXT | "present"
//! ```

use super::super::RULE_DEPTH_MAX;
use super::{Check, Expression, Key, RuleInvalid, Test};

/// Reads the whole text.
pub(super) fn parse(text: &str) -> Result<Expression, RuleInvalid> {
    let mut parser = Parser { rest: text, column: 1 };
    let rule = parser.any(0)?;
    match parser.peek() {
        Token::End => Ok(rule),
        Token::Word(_) | Token::Symbol(_) | Token::Text => Err(parser.expected("and, or, or the end")),
    }
}

struct Parser<'a> {
    rest: &'a str,
    /// Of the first character of `rest`.
    column: usize,
}

/// What comes next. A text is read only where one is expected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'a str),
    Text,
    End,
}

impl<'a> Parser<'a> {
    fn any(&mut self, depth: usize) -> Result<Expression, RuleInvalid> {
        let mut parts = vec![self.all(depth)?];
        while self.takes(Token::Word("or")) {
            parts.push(self.all(depth)?);
        }
        Ok(Expression::any(parts))
    }

    fn all(&mut self, depth: usize) -> Result<Expression, RuleInvalid> {
        let mut parts = vec![self.one(depth)?];
        while self.takes(Token::Word("and")) {
            parts.push(self.one(depth)?);
        }
        Ok(Expression::all(parts))
    }

    fn one(&mut self, depth: usize) -> Result<Expression, RuleInvalid> {
        let token = self.peek();
        if depth >= RULE_DEPTH_MAX && matches!(token, Token::Word("not") | Token::Symbol("(")) {
            return Err(self.expected(&format!("at most {RULE_DEPTH_MAX} parentheses and `not` inside each other")));
        }
        if self.takes(Token::Word("not")) {
            return Ok(Expression::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes(Token::Symbol("(")) {
            let inner = self.any(depth + 1)?;
            return if self.takes(Token::Symbol(")")) { Ok(inner) } else { Err(self.expected("and, or, or `)`")) };
        }
        let key = match token {
            Token::Word(word) => Key::named(word),
            Token::Symbol(_) | Token::Text | Token::End => None,
        };
        let Some(key) = key else {
            return Err(self.expected("an attribute, login, mail, display_name, kind, not or `(`"));
        };
        self.takes(token);
        Ok(Expression::Test(Test { key, check: self.check()? }))
    }

    fn check(&mut self) -> Result<Check, RuleInvalid> {
        if self.takes(Token::Symbol("==")) {
            return self.text().map(Check::Equals);
        }
        if self.takes(Token::Symbol("!=")) {
            return self.text().map(Check::Differs);
        }
        if self.takes(Token::Word("in")) {
            return self.list().map(Check::OneOf);
        }
        if self.takes(Token::Word("contains")) {
            return self.text().map(Check::Contains);
        }
        if self.takes(Token::Word("starts_with")) {
            return self.text().map(Check::StartsWith);
        }
        if self.takes(Token::Word("ends_with")) {
            return self.text().map(Check::EndsWith);
        }
        if self.takes(Token::Word("present")) {
            return Ok(Check::Present);
        }
        Err(self.expected("==, !=, in, contains, starts_with, ends_with or present"))
    }

    fn list(&mut self) -> Result<Vec<String>, RuleInvalid> {
        if !self.takes(Token::Symbol("[")) {
            return Err(self.expected("`[` and texts in quotes"));
        }
        let mut texts = vec![self.text()?];
        while self.takes(Token::Symbol(",")) {
            texts.push(self.text()?);
        }
        if self.takes(Token::Symbol("]")) { Ok(texts) } else { Err(self.expected("`,` or `]`")) }
    }

    /// A text in double quotes; `\"` and `\\` stand for what follows the backslash.
    fn text(&mut self) -> Result<String, RuleInvalid> {
        if self.peek() != Token::Text {
            return Err(self.expected("a text in double quotes"));
        }
        self.skip(1);
        let mut text = String::new();
        loop {
            let mut letters = self.rest.chars();
            match letters.next() {
                Some('"') => {
                    self.skip(1);
                    return Ok(text);
                }
                Some('\\') => match letters.next() {
                    Some(escaped @ ('"' | '\\')) => {
                        text.push(escaped);
                        self.skip(2);
                    }
                    Some(_) | None => return Err(self.expected("\\\" or \\\\")),
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

    /// Steps over what comes next, if it is that.
    fn takes(&mut self, token: Token<'_>) -> bool {
        if self.peek() != token {
            return false;
        }
        match token {
            Token::Word(text) | Token::Symbol(text) => self.skip(text.chars().count()),
            Token::Text | Token::End => {}
        }
        true
    }

    fn peek(&mut self) -> Token<'a> {
        let space = self.rest.chars().take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r')).count();
        self.skip(space);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self.rest.find(|c| !word(c)).unwrap_or(self.rest.len());
        if end > 0 {
            return Token::Word(&self.rest[..end]);
        }
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| self.rest.starts_with(**symbol)) {
            return Token::Symbol(symbol);
        }
        match self.rest.chars().next() {
            Some('"') => Token::Text,
            Some(other) => Token::Symbol(&self.rest[..other.len_utf8()]),
            None => Token::End,
        }
    }

    fn skip(&mut self, chars: usize) {
        let mut letters = self.rest.chars();
        letters.by_ref().take(chars).for_each(drop);
        self.rest = letters.as_str();
        self.column += chars;
    }

    fn expected(&mut self, what: &str) -> RuleInvalid {
        let found = match self.rest.chars().next() {
            Some(_) => format!("{:?}", self.rest.chars().take(FOUND_CHARS_MAX).collect::<String>()),
            None => "the end".into(),
        };
        RuleInvalid { column: self.column, expected: what.into(), found }
    }
}

const SYMBOLS: &[&str] = &["==", "!=", "(", ")", "[", "]", ","];
const FOUND_CHARS_MAX: usize = 16;
