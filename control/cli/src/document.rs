//! Configuration as code: a tenant's [`Document`] read from TOML, whose every mistake has its file and line, and written
//! as TOML.

mod reader;
mod sections;
mod write;

use std::collections::BTreeMap;

use anyhow::Result;
use postern_model::admin::Problem;
use postern_model::document::Document;
use postern_model::ids::Name;
use postern_service::failure::Failure;

pub(crate) use reader::Source;
pub(crate) use write::toml;

/// What a file says.
pub(crate) struct Parsed {
    /// Which tenant, if it says so.
    pub(crate) tenant: Option<Name>,
    pub(crate) document: Document,
    places: Places,
}

/// Where each part of the document stands, so that what control refuses is found in the file.
#[derive(Debug, Default)]
struct Places(BTreeMap<String, Place>);

#[derive(Debug, Default)]
struct Place {
    line: usize,
    /// Lines of its values.
    values: Vec<(usize, String)>,
}

impl Parsed {
    /// Control's problem with the file and line of what it is about.
    pub(crate) fn locate(&self, source: &Source, error: anyhow::Error) -> anyhow::Error {
        let problem = error.downcast_ref::<Problem>();
        let Some((problem, place)) =
            problem.and_then(|problem| Some((problem, self.places.0.get(problem.pointer.as_ref()?)?)))
        else {
            return error;
        };
        let line = place.line_of(&problem.detail);
        let located = Problem { detail: format!("{}:{line}: {}", source.name(), problem.detail), ..problem.clone() };
        located.into()
    }
}

impl Place {
    /// The line of the value that the detail quotes, else the section's.
    fn line_of(&self, detail: &str) -> usize {
        let quoted =
            self.values.iter().filter(|(_, value)| value.len() >= QUOTED_BYTES_MIN && detail.contains(value.as_str()));
        quoted.max_by_key(|(_, value)| value.len()).map_or(self.line, |(line, _)| *line)
    }
}

/// Reads a document.
///
/// # Errors
/// The first mistake, with file, line and the nearest known key.
pub(crate) fn parse(source: &Source) -> Result<Parsed, Failure> {
    sections::parse(source)
}

/// Shorter values are found in any text.
const QUOTED_BYTES_MIN: usize = 3;

#[cfg(test)]
mod tests;
