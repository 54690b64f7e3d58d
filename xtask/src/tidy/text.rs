//! Words that do not belong in the tree: unfinished marks, somebody's own paths, a private registry.

use std::path::Path;

use super::{Document, Finding};

/// In halves, so that this file does not find itself. A test may be ignored with a reason, not without.
const UNFINISHED: &[&[&str]] =
    &[&["TO", "DO"], &["FIX", "ME"], &["XX", "X"], &["to", "do!("], &["unimpl", "emented!("], &["#[ig", "nore]"]];
const REGISTRIES: &[&[&str]] = &[&["arti", "factory"], &["jf", "rog"], &["index.cra", "tes.io"]];
/// Of Linux: the one of macOS is a resource of SCIM.
const HOMES: &[&[&str]] = &[&["/ro", "ot/"], &["/ho", "me/"]];
/// Folders so common that a clone in one of them proves nothing.
const COMMON_PARENTS: &[&str] = &["/", "/tmp", "/usr/src", "/src", "/opt", "/srv", "/var/tmp"];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(root: &Path, documents: &[Document]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own = own_paths(root);
    for document in documents {
        findings.extend(words(document, &own));
    }
    findings.extend(lock_sources(documents));
    if !documents.iter().any(|document| document.path == "rust-toolchain.toml") {
        findings.push(Finding::new("rust-toolchain.toml", "is missing"));
    }
    findings
}

/// The folder that the clone stands in and its user's home: no file may name them.
fn own_paths(root: &Path) -> Vec<String> {
    let parent = root.parent().map(|parent| parent.display().to_string());
    let home = std::env::var("HOME").ok();
    parent
        .into_iter()
        .chain(home)
        .filter(|path| !COMMON_PARENTS.contains(&path.as_str()))
        .map(|path| format!("{path}/"))
        .collect()
}

fn words(document: &Document, own: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let unfinished = joined(UNFINISHED);
    let (registries, homes) = (joined(REGISTRIES), joined(HOMES));
    let is_source =
        document.is_rust() || [".toml", ".sh", ".md", ".yml"].iter().any(|end| document.path.ends_with(end));
    for (index, line) in document.text.lines().enumerate() {
        let place = || format!("{}:{}", document.path, index + 1);
        if is_source && let Some(word) = unfinished.iter().find(|word| stands_alone(line, word)) {
            findings.push(Finding::new(place(), format!("{word}: done, or in an issue")));
        }
        if let Some(word) = registries.iter().find(|word| line.contains(*word)) {
            findings.push(Finding::new(place(), format!("names a registry's host ({word})")));
        }
        if let Some(path) =
            homes.iter().find(|path| stands_alone(line, path)).or_else(|| own.iter().find(|path| line.contains(*path)))
        {
            findings.push(Finding::new(place(), format!("an absolute path of somebody's machine ({path})")));
        }
    }
    findings
}

fn joined(halves: &[&[&str]]) -> Vec<String> {
    halves.iter().map(|parts| parts.concat()).collect()
}

/// True when `word` is there and not the tail or head of a longer one.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '/');
        let open = word.ends_with(['(', '/', ']']);
        !part(before) && (open || !part(after))
    })
}

fn lock_sources(documents: &[Document]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for document in documents.iter().filter(|document| document.path.ends_with("Cargo.lock")) {
        for line in document.text.lines() {
            let Some(source) = line.strip_prefix("source = ") else {
                continue;
            };
            if source.trim_matches('"') != CRATES_IO {
                findings.push(Finding::new(&document.path, format!("a source that is not crates.io: {source}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, text: String) -> Document {
        Document { path: path.into(), text }
    }

    #[test]
    fn unfinished_marks_are_found_as_words_only() {
        let marks = format!("// {}: later\nlet {}RUS = 1;\n", UNFINISHED[0].concat(), UNFINISHED[0].concat());
        let found = words(&document("a.rs", marks), &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "a.rs:1");
        let ignored = format!("{}\nfn f() {{}}", UNFINISHED[5].concat());
        assert_eq!(words(&document("a.rs", ignored), &[]).len(), 1);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        let home = format!("see {}somebody/x\nand /var/lib/postern{}x", HOMES[1].concat(), HOMES[1].concat());
        assert_eq!(words(&document("a.md", home), &[]).len(), 1);
        assert_eq!(words(&document("a.md", "cd /here/it/x".into()), &["/here/it/".into()]).len(), 1);
    }

    #[test]
    fn another_registry_is_found() {
        let lock = "source = \"registry+https://example.org/index\"\n".to_owned();
        assert_eq!(lock_sources(&[document("Cargo.lock", lock)]).len(), 1);
        let host = format!("https://{}.example/x", REGISTRIES[0].concat());
        assert_eq!(words(&document("a.toml", host), &[]).len(), 1);
    }
}
