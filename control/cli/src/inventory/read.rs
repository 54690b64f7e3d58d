//! Reads a sheet: CSV (RFC 4180) in whatever order of columns, or JSON. All mistakes of a file are told at once.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord};
use postern_service::failure::Failure;

use super::columns::Column;
use super::formula::unguarded;
use super::quoting::misquoted;
use super::sheet::{Mistake, Row, Sheet};
use super::{MISTAKES_MAX, ROWS_MAX, SHEET_BYTES_MAX, json};
use crate::input::Input;

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// The file cannot be read; or, within, what is wrong with its form.
pub(crate) fn read(path: &Path) -> Result<Result<Sheet, Vec<Mistake>>, Failure> {
    let Input { name, bytes } = Input::read(path, SHEET_BYTES_MAX)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{name} is not UTF-8")).cure("save it as CSV in UTF-8, or as JSON"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(if text.trim_start().starts_with(['[', '{']) { json::parse(&name, text) } else { parse(&name, text) })
}

fn parse(name: &str, text: &str) -> Result<Sheet, Vec<Mistake>> {
    let delimiter = delimiter(text);
    let misquoted = misquoted(name, text, delimiter);
    if !misquoted.is_empty() {
        return Err(misquoted);
    }
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let mut lines = Lines { text: text.as_bytes(), at: 0, line: 1 };
    let mut reading =
        Reading { name, columns: Vec::new(), rows: Vec::new(), mistakes: Vec::new(), warnings: Vec::new() };
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = lines.of(record.position().map_or(0, |position| position.byte()));
                reading.record(&record, line);
            }
            Err(error) => reading.mistakes.push(Mistake::of(name, error.to_string())),
        }
        if reading.mistakes.len() >= MISTAKES_MAX || reading.rows.len() > ROWS_MAX {
            break;
        }
    }
    reading.done()
}

/// The one that the header row has most of: some spreadsheet programs write `;` where a comma is the decimal sign.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
    let count = |sign: &u8| header.bytes().filter(|byte| byte == sign).count();
    // Of equal ones the last.
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

/// Which line a record begins on: the library counts blank lines, and the second half of a line's end, to what follows.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// Of a record that the library says begins at this byte, which is not before the last one that was asked for.
    fn of(&mut self, byte: u64) -> usize {
        let mut end = usize::try_from(byte).unwrap_or(usize::MAX).max(self.at).min(self.text.len());
        while self.text.get(end).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            end += 1;
        }
        self.line += self.text[self.at..end].iter().filter(|byte| **byte == b'\n').count();
        self.at = end;
        self.line
    }
}

struct Reading<'a> {
    name: &'a str,
    /// What each field of a record is; `None`: nothing that an inventory has.
    columns: Vec<Option<Column>>,
    rows: Vec<Row>,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

impl Reading<'_> {
    fn record(&mut self, record: &StringRecord, line: usize) {
        let place = format!("{}:{line}", self.name);
        if self.columns.is_empty() {
            return self.header(record, &place);
        }
        // Spreadsheet programs write rows that were emptied as separators alone.
        if record.iter().all(|field| field.trim().is_empty()) {
            return;
        }
        if record.len() != self.columns.len() {
            let (is, should) = (record.len(), self.columns.len());
            let what = format!("fields: {is}, in the header row {should}: a field with a separator in it needs quotes");
            return self.mistakes.push(Mistake::of(place, what));
        }
        let mut row = Row::new(place);
        for (field, column) in record.iter().zip(&self.columns) {
            if let Some(column) = column {
                row.set(*column, unguarded(field.trim()));
            }
        }
        self.rows.push(row);
    }

    fn header(&mut self, record: &StringRecord, place: &str) {
        for heading in record {
            let column = heading_of(heading, &self.columns);
            match column {
                Ok(column) => {
                    let is_foreign = column.is_none() && !heading.trim().is_empty();
                    if is_foreign && self.warnings.len() < MISTAKES_MAX {
                        self.warnings
                            .push(format!("{place}: no inventory has a column {:?}: it is left out", heading.trim()));
                    }
                    self.columns.push(column);
                }
                Err(what) => {
                    self.mistakes.push(Mistake::of(place, what));
                    self.columns.push(None);
                }
            }
        }
        if self.mistakes.is_empty() && !self.columns.contains(&Some(Column::Name)) {
            self.mistakes.push(Mistake::of(place, NO_HEADER));
        }
    }

    fn done(mut self) -> Result<Sheet, Vec<Mistake>> {
        if self.columns.is_empty() {
            self.mistakes.push(Mistake::of(self.name, NO_HEADER));
        }
        if self.rows.len() > ROWS_MAX {
            self.mistakes.push(Mistake::of(self.name, format!("more than {ROWS_MAX} applications: divide it")));
        }
        if !self.mistakes.is_empty() {
            return Err(self.mistakes);
        }
        Ok(Sheet { name: self.name.to_owned(), rows: self.rows, warnings: self.warnings })
    }
}

/// Which column a heading names; `None` where no inventory has it.
///
/// # Errors
/// It is there already, or mistyped.
pub(super) fn heading_of(heading: &str, before: &[Option<Column>]) -> Result<Option<Column>, String> {
    let heading = heading.trim();
    match (Column::named(heading), Column::nearest(heading)) {
        (Some(column), _) if before.contains(&Some(column)) => {
            Err(format!("the column `{}` is there twice", column.heading()))
        }
        (Some(column), _) => Ok(Some(column)),
        (None, Some(nearest)) => Err(format!("unknown column `{heading}`; did you mean `{nearest}`?")),
        (None, None) => Ok(None),
    }
}

const NO_HEADER: &str = "no header row with a column `name`: postern inventory template writes one";

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Row> {
        parse("a.csv", text).unwrap().rows
    }

    fn mistakes(text: &str) -> Vec<String> {
        parse("a.csv", text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn columns_stand_in_any_order_and_lines_are_counted_as_editors_do() {
        let text = "Internal URL,NAME\r\nhttp://a/,a\r\n\r\n,\r\n\"http://b/\",\"b\"\r\nhttp://c/,c";
        let rows = rows(text);
        let of =
            |row: &Row| (row.place.clone(), row.get(Column::Name).to_owned(), row.get(Column::InternalUrl).to_owned());
        let expected = [("a.csv:2", "a", "http://a/"), ("a.csv:5", "b", "http://b/"), ("a.csv:6", "c", "http://c/")];
        let expected = expected.map(|(place, name, url)| (place.to_owned(), name.to_owned(), url.to_owned()));
        assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_quoted_field_has_lines_separators_and_quotes() {
        let rows = rows("name,notes\na,\"one, \"\"two\"\"\nthree\"\nb,'=1\n");
        assert_eq!(rows[0].get(Column::Notes), "one, \"two\"\nthree");
        assert_eq!((rows[1].place.as_str(), rows[1].get(Column::Notes)), ("a.csv:4", "=1"));
    }

    #[test]
    fn semicolons_and_tabs_separate_too() {
        assert_eq!(rows("name;notes\na;b, c\n")[0].get(Column::Notes), "b, c");
        assert_eq!(rows("name\tnotes\na\tb; c\n")[0].get(Column::Notes), "b; c");
        assert_eq!(rows("name\na\n")[0].get(Column::Name), "a");
    }

    #[test]
    fn all_mistakes_are_told_with_their_lines() {
        assert_eq!(
            mistakes("name,notes\na\nb,c\nd,e,f\n"),
            [
                "a.csv:2: fields: 1, in the header row 2: a field with a separator in it needs quotes",
                "a.csv:4: fields: 3, in the header row 2: a field with a separator in it needs quotes",
            ]
        );
        assert_eq!(mistakes(""), [format!("a.csv: {NO_HEADER}")]);
        assert_eq!(mistakes("a,b\n1,2\n"), [format!("a.csv:1: {NO_HEADER}")]);
        assert_eq!(
            mistakes("name,externl url\n"),
            ["a.csv:1: unknown column `externl url`; did you mean `external URL`?"]
        );
        assert_eq!(mistakes("name,notes,Name\n"), ["a.csv:1: the column `name` is there twice"]);
    }

    #[test]
    fn what_no_inventory_has_is_left_out_and_said() {
        let sheet = parse("a.csv", "name,cost centre of it,\na,12,\n").unwrap();
        assert_eq!(sheet.warnings, ["a.csv:1: no inventory has a column \"cost centre of it\": it is left out"]);
        assert_eq!(sheet.rows.len(), 1);
        let foreign: Vec<String> = (0..2 * MISTAKES_MAX).map(|nth| format!("{nth} of all this")).collect();
        let sheet = parse("a.csv", &format!("name,{}\n", foreign.join(","))).unwrap();
        assert_eq!(sheet.warnings.len(), MISTAKES_MAX, "more are of one cause");
    }
}
