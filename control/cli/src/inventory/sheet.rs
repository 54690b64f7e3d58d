//! A sheet in memory: its rows, and what is wrong with it and where.

use std::fmt;

use super::columns::{COLUMNS, Column};

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// The file's name, for messages.
    pub(crate) name: String,
    pub(crate) rows: Vec<Row>,
    /// What was left out.
    pub(crate) warnings: Vec<String>,
}

/// One application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Where it stands: `apps.csv:3`.
    pub(crate) place: String,
    cells: [String; COLUMNS],
}

/// Something that cannot stay as it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    place: String,
    column: Option<Column>,
    what: String,
}

impl Row {
    pub(crate) fn new(place: impl Into<String>) -> Self {
        Self { place: place.into(), cells: Default::default() }
    }

    /// The template's.
    pub(crate) fn example() -> Self {
        let mut row = Self::new("example");
        for column in Column::ALL {
            row.set(column, column.example());
        }
        row
    }

    pub(crate) fn get(&self, column: Column) -> &str {
        &self.cells[column as usize]
    }

    /// Without spaces around it.
    pub(crate) fn set(&mut self, column: Column, text: &str) {
        text.trim().clone_into(&mut self.cells[column as usize]);
    }

    /// Writes it where nothing is; whether it did.
    pub(crate) fn fill(&mut self, column: Column, text: &str) -> bool {
        let fills = self.get(column).is_empty() && !text.trim().is_empty();
        if fills {
            self.set(column, text);
        }
        fills
    }

    /// What stands in a cell with spaces between; a comma or semicolon after each does no harm.
    pub(crate) fn words(&self, column: Column) -> impl Iterator<Item = &str> {
        words(self.get(column))
    }
}

pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().map(|word| word.trim_end_matches([';', ','])).filter(|word| !word.is_empty())
}

impl Mistake {
    pub(crate) fn of(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), column: None, what: what.into() }
    }

    pub(crate) fn in_cell(row: &Row, column: Column, what: impl Into<String>) -> Self {
        Self { place: row.place.clone(), column: Some(column), what: what.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            Some(column) => write!(f, "{}: {}: {}", self.place, column.heading(), self.what),
            None => write!(f, "{}: {}", self.place, self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_overwritten() {
        let mut row = Row::new("a.csv:2");
        assert!(row.fill(Column::Platform, " nginx ") && !row.fill(Column::Platform, "IIS"));
        assert!(!row.fill(Column::Notes, "  "));
        assert_eq!(row.get(Column::Platform), "nginx");
        row.set(Column::Authentication, "windows; basic,\nforms");
        assert_eq!(row.words(Column::Authentication).collect::<Vec<_>>(), ["windows", "basic", "forms"]);
        let mistake = Mistake::in_cell(&row, Column::InternalUrl, "no URL");
        assert_eq!(mistake.to_string(), "a.csv:2: internal URL: no URL");
    }
}
