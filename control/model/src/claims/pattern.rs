//! Regular expressions, bounded: matching takes time linear in the text, and a compiled one has a size that it cannot exceed.

use regex::{Regex, RegexBuilder};

/// A regular expression, equal to another by its text.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

/// What a match is replaced with: text, and what groups of the match caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Group(usize),
}

impl Pattern {
    /// Compiles it; the error says what is wrong with it in one line.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("a regular expression of at most {PATTERN_BYTES_MAX} bytes"));
        }
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).nest_limit(NEST_MAX);
        builder.build().map(Self).map_err(|error| {
            if matches!(error, regex::Error::CompiledTooBig(_)) {
                return String::from("a smaller regular expression: fewer repetitions or classes");
            }
            // The last line says what is wrong, those before it show where with a drawing.
            let text = error.to_string();
            let last = text.lines().next_back().unwrap_or_default().trim().trim_start_matches("error: ");
            format!("a regular expression ({last})")
        })
    }

    /// Groups that it has, the whole match included.
    pub(super) fn groups(&self) -> usize {
        self.0.captures_len()
    }

    /// What group `group` caught in the first match; nothing if there is none.
    pub(super) fn extract<'t>(&self, text: &'t str, group: usize) -> Option<&'t str> {
        Some(self.0.captures(text)?.get(group)?.as_str())
    }

    /// Every match replaced; `None` when the result is longer than `bytes_max`.
    pub(super) fn replace(&self, text: &str, with: &Template, bytes_max: usize) -> Option<String> {
        let (mut result, mut end) = (String::new(), 0);
        for captures in self.0.captures_iter(text) {
            let whole = captures.get(0)?;
            result.push_str(&text[end..whole.start()]);
            for piece in &with.0 {
                match piece {
                    Piece::Text(text) => result.push_str(text),
                    Piece::Group(group) => result.push_str(captures.get(*group).map_or("", |found| found.as_str())),
                }
            }
            end = whole.end();
            if result.len() > bytes_max {
                return None;
            }
        }
        result.push_str(&text[end..]);
        (result.len() <= bytes_max).then_some(result)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Template {
    /// `$0` to `$9` stand for what a group caught, `$$` for a dollar sign. The error says what could stand there.
    pub(super) fn parse(text: &str, pattern: &Pattern) -> Result<Self, String> {
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '$' {
                plain.push(letter);
                continue;
            }
            let group = match letters.next() {
                Some('$') => {
                    plain.push('$');
                    continue;
                }
                Some(digit) => digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()),
                None => None,
            };
            match group.filter(|group| *group < pattern.groups()) {
                Some(group) => {
                    pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
                    pieces.push(Piece::Group(group));
                }
                None => return Err(format!("$$ for a dollar sign, or $0 to ${} for a group", pattern.groups() - 1)),
            }
        }
        pieces.push(Piece::Text(plain.into()));
        Ok(Self(pieces))
    }
}

const PATTERN_BYTES_MAX: usize = 256;
const COMPILED_BYTES_MAX: usize = 256 << 10;
const NEST_MAX: u32 = 32;
