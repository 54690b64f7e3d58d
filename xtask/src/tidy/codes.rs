//! Every error code that the product uses is in the catalogue, and the whole catalogue is in the documentation.

use std::collections::BTreeSet;

use super::{Document, Finding, source};

const CATALOGUE: &str = "control/model/src/codes";
const PAGE: &str = "docs/errors.md";
/// What stands before a code where one is used.
const INTRODUCERS: &[&str] = &[".code(", ".or_fail(", "code: ", "code = ", "lookup(", "problem("];
/// Where codes are constants, and what stands before them there.
const CONSTANTS: (&str, &str) = ("control/model/src/enrol.rs", "&str = ");

pub(super) fn check(documents: &[Document]) -> Vec<Finding> {
    let mut catalogue = BTreeSet::new();
    for document in documents.iter().filter(|document| is_catalogue(document)) {
        catalogue.extend(used(document).into_iter().map(|(_, code)| code));
    }
    if catalogue.is_empty() {
        return vec![Finding::new(format!("{CATALOGUE}.rs"), "holds no code")];
    }
    let mut findings = Vec::new();
    let product = documents
        .iter()
        .filter(|document| document.is_rust() && !is_catalogue(document))
        .filter(|document| !document.path.starts_with("tests/") && !document.path.starts_with("xtask/"));
    for document in product {
        for (line, code) in used(document) {
            if !catalogue.contains(&code) {
                let place = format!("{}:{line}", document.path);
                findings.push(Finding::new(place, format!("{code} is not in the catalogue ({CATALOGUE})")));
            }
        }
    }
    let page = documents.iter().find(|document| document.path == PAGE);
    let page = page.map_or("", |document| document.text.as_str());
    for code in &catalogue {
        if !page.contains(&format!("`{code}`")) {
            findings.push(Finding::new(PAGE, format!("does not explain {code}")));
        }
    }
    findings
}

fn is_catalogue(document: &Document) -> bool {
    document.is_rust() && document.path.starts_with(CATALOGUE)
}

/// The codes that stand as literals behind an introducer, before the unit tests, with their lines.
fn used(document: &Document) -> Vec<(usize, String)> {
    let text = &document.text;
    let code = source::code_only(text);
    let product: usize = source::product_lines(&code).map(|(_, line)| line.len() + 1).sum();
    let mut found = Vec::new();
    let constants = (document.path == CONSTANTS.0).then_some(CONSTANTS.1);
    for introducer in INTRODUCERS.iter().copied().chain(constants) {
        for (at, _) in code[..product.min(code.len())].match_indices(introducer) {
            // Blanked text has the same characters, not the same bytes: find the place again by line.
            let line = code[..at].matches('\n').count();
            let column = code[..at].chars().rev().take_while(|&c| c != '\n').count();
            if let Some(literal) = literal_after(text, line, column + introducer.chars().count()) {
                found.push((line + 1, literal));
            }
        }
    }
    found.sort();
    found
}

/// The kebab-case string literal at this place of the original, line breaks and spaces before it skipped.
fn literal_after(text: &str, line: usize, column: usize) -> Option<String> {
    let begin: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest: String = text[begin..].chars().skip(column).take(200).collect();
    let literal = rest.trim_start().strip_prefix('"')?;
    let literal = &literal[..literal.find('"')?];
    let is_kebab =
        literal.contains('-') && literal.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    is_kebab.then(|| literal.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, text: &str) -> Document {
        Document { path: path.into(), text: text.into() }
    }

    #[test]
    fn an_unknown_or_undocumented_code_is_found() {
        let documents = [
            document("control/model/src/codes/a.rs", "Code {\n code: \"one-code\",\n}, Code { code: \"two-code\" }"),
            document(PAGE, "### `one-code`"),
            document(
                "control/cli/src/main.rs",
                "// „.code(\"in-words\")“\nf().code(\n    \"one-code\",\n).code(\"three-code\");\n#[cfg(test)]\nmod tests { x.code(\"four-code\") }",
            ),
        ];
        let found = check(&documents);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].place, "control/cli/src/main.rs:4");
        assert!(found[0].what.contains("three-code") && found[1].what.contains("two-code"));
    }

    #[test]
    fn codes_that_are_constants_or_problems_count_too() {
        let documents = [
            document("control/model/src/codes/a.rs", "Code { code: \"one-code\" }"),
            document(PAGE, "### `one-code`"),
            document("control/model/src/enrol.rs", "pub const X: &str = \"five-code\";"),
            document("control/daemon/src/apps.rs", "problem(\"six-code\", \"in words\")"),
        ];
        let found = check(&documents);
        assert!(found[0].what.contains("five-code") && found[1].what.contains("six-code"), "{found:?}");
    }
}
