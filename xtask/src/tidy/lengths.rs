//! Ratchets on file and function length: hard bounds, and counts that may only fall.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Document, Finding, source};

/// Past this a file holds two subjects.
const FILE_LINES_MAX: usize = 800;
const FILE_LINES_SOFT: usize = 400;
const FUNCTION_LINES_MAX: usize = 150;
const FUNCTION_LINES_SOFT: usize = 70;
const RATCHET: &str = "xtask/ratchet.toml";

/// How many are beyond the soft bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    files_over_400_lines: usize,
    functions_over_70_lines: usize,
}

pub(super) fn check(root: &Path, documents: &[Document]) -> Result<Vec<Finding>> {
    let (counts, mut findings, soft) = measure(documents);
    let recorded = read(root)?;
    let ratchets = [
        ("files over 400 lines", counts.files_over_400_lines, recorded.files_over_400_lines),
        ("functions over 70 lines", counts.functions_over_70_lines, recorded.functions_over_70_lines),
    ];
    for (what, now, before) in ratchets {
        if now > before {
            let list: Vec<_> = soft.iter().filter(|entry| entry.0 == what).map(|entry| entry.1.as_str()).collect();
            let what = format!("{now} {what}, {before} before: the count may only fall.\n  {}", list.join("\n  "));
            findings.push(Finding::new(RATCHET, what));
        }
    }
    let lowered = Counts {
        files_over_400_lines: counts.files_over_400_lines.min(recorded.files_over_400_lines),
        functions_over_70_lines: counts.functions_over_70_lines.min(recorded.functions_over_70_lines),
    };
    if lowered != recorded && !crate::shell::is_ci() {
        write(root, lowered)?;
        eprintln!("tidy: {RATCHET} was lowered: commit it");
    }
    Ok(findings)
}

/// The counts, what is beyond a hard bound, and the names of what is beyond a soft one.
fn measure(documents: &[Document]) -> (Counts, Vec<Finding>, Vec<(&'static str, String)>) {
    let (mut counts, mut findings, mut soft) = (Counts::default(), Vec::new(), Vec::new());
    for document in documents.iter().filter(|document| document.is_rust()) {
        let lines = document.text.lines().count();
        if lines > FILE_LINES_MAX {
            let what = format!("{lines} lines, {FILE_LINES_MAX} at most: find the second noun");
            findings.push(Finding::new(&document.path, what));
        }
        if lines > FILE_LINES_SOFT {
            counts.files_over_400_lines += 1;
            soft.push(("files over 400 lines", format!("{} ({lines})", document.path)));
        }
        for function in source::functions(&source::code_only(&document.text)) {
            let place = format!("{}:{} {}", document.path, function.line, function.name);
            if function.lines > FUNCTION_LINES_MAX {
                let what = format!("{} lines, {FUNCTION_LINES_MAX} at most", function.lines);
                findings.push(Finding::new(&place, what));
            }
            if function.lines > FUNCTION_LINES_SOFT {
                counts.functions_over_70_lines += 1;
                soft.push(("functions over 70 lines", format!("{place} ({})", function.lines)));
            }
        }
    }
    (counts, findings, soft)
}

fn read(root: &Path) -> Result<Counts> {
    let text = std::fs::read_to_string(root.join(RATCHET)).context(RATCHET)?;
    let table: toml::Table = text.parse().context(RATCHET)?;
    let count = |key: &str| -> Result<usize> {
        let value = table.get(key).and_then(toml::Value::as_integer);
        let value = value.with_context(|| format!("{RATCHET} lacks {key}"))?;
        Ok(usize::try_from(value)?)
    };
    Ok(Counts {
        files_over_400_lines: count("files_over_400_lines")?,
        functions_over_70_lines: count("functions_over_70_lines")?,
    })
}

fn write(root: &Path, counts: Counts) -> Result<()> {
    let text = format!(
        "# Counts that may only fall. `cargo xtask tidy` lowers them by itself and refuses more.\n\
         files_over_400_lines = {}\nfunctions_over_70_lines = {}\n",
        counts.files_over_400_lines, counts.functions_over_70_lines
    );
    std::fs::write(root.join(RATCHET), text).context(RATCHET)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(lines: usize) -> Document {
        Document { path: "a.rs".into(), text: format!("fn long() {{\n{}}}\n", "x;\n".repeat(lines - 2)) }
    }

    #[test]
    fn lengths_are_counted_and_hard_bounds_found() {
        let (counts, findings, _) = measure(&[rust(70)]);
        assert_eq!((counts, findings.len()), (Counts::default(), 0));
        let (counts, findings, _) = measure(&[rust(71)]);
        assert_eq!((counts.functions_over_70_lines, findings.len()), (1, 0));
        let (counts, findings, _) = measure(&[rust(801)]);
        assert_eq!((counts.files_over_400_lines, findings.len()), (1, 2));
    }

    #[test]
    fn a_count_above_the_recorded_one_is_found_and_a_lower_one_lowers_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("xtask")).unwrap();
        let recorded = Counts { files_over_400_lines: 0, functions_over_70_lines: 0 };
        write(folder.path(), recorded).unwrap();
        assert_eq!(check(folder.path(), &[rust(71)]).unwrap().len(), 1);
        assert_eq!(read(folder.path()).unwrap(), recorded);
    }
}
