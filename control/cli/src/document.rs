//! Configuration as code: a tenant's [`Document`] read from TOML, whose every mistake has its file and line, and written
//! as TOML.

mod policy_keys;
mod reader;
mod sections;
mod write;

use std::collections::BTreeMap;

use anyhow::Result;
use postern_model::admin::Problem;
use postern_model::document::Document;
use postern_model::ids::Name;
use postern_service::failure::Failure;

pub(crate) use policy_keys::{POLICY_KEYS, policy_lines};
pub(crate) use reader::Source;
pub(crate) use write::{quoted, toml};

/// What a file says.
pub(crate) struct Parsed {
    /// Which tenant, if it says so.
    pub(crate) tenant: Option<Name>,
    pub(crate) document: Document,
    places: Places,
}

/// The line of each section and key by its pointer (`app.wiki`, `app.wiki.settings.backend_http`), so that what control
/// refuses is found in the file.
#[derive(Debug, Default)]
struct Places(BTreeMap<String, usize>);

impl Parsed {
    /// Control's problem with the file and line of what it is about.
    pub(crate) fn locate(&self, source: &Source, error: anyhow::Error) -> anyhow::Error {
        let problem = error.downcast_ref::<Problem>();
        let found = problem.and_then(|problem| Some((problem, self.places.line_of(problem.pointer.as_ref()?)?)));
        let Some((problem, line)) = found else { return error };
        let located = Problem { detail: format!("{}:{line}: {}", source.name(), problem.detail), ..problem.clone() };
        located.into()
    }
}

impl Places {
    /// The line of what is pointed at; of what it is in, where the file does not have it.
    fn line_of(&self, pointer: &str) -> Option<usize> {
        let found = self.0.get(pointer).copied();
        found.or_else(|| self.line_of(pointer.rsplit_once('.')?.0))
    }
}

/// Reads a document.
///
/// # Errors
/// The first mistake, with file, line and the nearest known key.
pub(crate) fn parse(source: &Source) -> Result<Parsed, Failure> {
    sections::parse(source)
}

#[cfg(test)]
mod tests;
