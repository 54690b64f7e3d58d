//! Relative links in Markdown lead somewhere: to a file of the tree, and to a heading in it.

use std::path::{Component, Path, PathBuf};

use super::{Document, Finding};

pub(super) fn check(root: &Path, documents: &[Document]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for document in documents.iter().filter(|document| document.is_markdown()) {
        for (line, target) in targets(&document.text) {
            if let Err(what) = resolve(root, document, documents, target) {
                findings.push(Finding::new(format!("{}:{line}", document.path), what));
            }
        }
    }
    findings
}

/// The link targets outside code blocks, with their line numbers.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut in_code) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = &line[at + 2..];
            if let Some(end) = target.find(')') {
                found.push((index + 1, &target[..end]));
            }
        }
    }
    found
}

fn resolve(root: &Path, from: &Document, documents: &[Document], target: &str) -> Result<(), String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        PathBuf::from(&from.path)
    } else {
        normal(&Path::new(&from.path).parent().unwrap_or(Path::new("")).join(file))
    };
    if !root.join(&path).exists() {
        return Err(format!("the link {target} leads nowhere"));
    }
    let document = documents.iter().find(|document| Path::new(&document.path) == path);
    match document {
        Some(document) if !heading.is_empty() && document.is_markdown() && !has_heading(&document.text, heading) => {
            Err(format!("{} has no heading for #{heading}", document.path))
        }
        _ => Ok(()),
    }
}

fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            out.pop();
        } else if part != Component::CurDir {
            out.push(part);
        }
    }
    out
}

fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line.trim_start_matches('#').trim()) == anchor)
}

/// As the usual forges make anchors of headings.
fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_')
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_links_and_anchors_are_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docs")).unwrap();
        let text = "[a](../README.md#two-words) [b](gone.md) [c](../README.md#none) [d](https://example.org/x) [e](#here)\n```\n[x](gone)\n```\n# Here\n";
        std::fs::write(folder.path().join("docs/a.md"), text).unwrap();
        std::fs::write(folder.path().join("README.md"), "## Two words\n").unwrap();
        let documents = [
            Document { path: "docs/a.md".into(), text: text.into() },
            Document { path: "README.md".into(), text: "## Two words\n".into() },
        ];
        let found = check(folder.path(), &documents);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].what.contains("gone.md") && found[1].what.contains("none"));
    }
}
