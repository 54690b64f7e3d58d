//! Style that runs: what the compiler and clippy cannot check about this repository.
//! Every check returns findings; one run reports all of them.

mod codes;
mod edges;
mod lengths;
mod links;
mod source;
mod text;
mod unsafe_policy;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// One thing that is not as it should be: where, and what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    place: String,
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Finding {
        Finding { place: place.into(), what: what.into() }
    }
}

/// A file of the repository, as text.
pub(crate) struct Document {
    /// Relative to the repository's root.
    path: String,
    text: String,
}

impl Document {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }
}

/// Checks the whole tree and fails with every finding.
pub(crate) fn run() -> Result<()> {
    let root = shell::root();
    let documents = documents(&root)?;
    let mut findings = edges::check(&root, &documents)?;
    findings.extend(unsafe_policy::check(&documents));
    findings.extend(lengths::check(&root, &documents)?);
    findings.extend(text::check(&root, &documents));
    findings.extend(links::check(&root, &documents));
    findings.extend(codes::check(&documents));
    for finding in &findings {
        eprintln!("{}: {}", finding.place, finding.what);
    }
    if !findings.is_empty() {
        bail!("tidy: {} finding{}", findings.len(), if findings.len() == 1 { "" } else { "s" });
    }
    eprintln!("tidy: {} files, nothing found", documents.len());
    Ok(())
}

/// Every text file that git tracks or would track.
fn documents(root: &Path) -> Result<Vec<Document>> {
    let list = shell::output(
        Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(root),
    )?;
    let mut documents = Vec::new();
    let mut paths: Vec<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        let file: PathBuf = root.join(path);
        if !file.is_file() {
            continue; // Removed, not yet committed; or a link to a folder.
        }
        let bytes = std::fs::read(&file).with_context(|| path.to_owned())?;
        // What is no UTF-8 is an object or a corpus: nothing here reads it.
        if let Ok(text) = String::from_utf8(bytes) {
            documents.push(Document { path: path.to_owned(), text });
        }
    }
    Ok(documents)
}
