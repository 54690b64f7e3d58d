//! Which crates may contain `unsafe`: every other crate's roots forbid it.

use super::{Document, Finding};

/// Folders whose crates talk to the kernel themselves, and the roots that call C: what counts copies, and Kerberos.
const MAY_BE_UNSAFE: &[&str] = &[
    "dataplane/io/",
    "ebpf/common/",
    "ebpf/loader/",
    "ebpf/programs/",
    "perf/counted/src/lib.rs",
    "connector/sso/src/lib.rs",
];
const FORBID: &str = "#![forbid(unsafe_code)]";
/// Fuzz targets are roots whose `main` a macro writes.
const GENERATED_ROOTS: &[&str] = &["tests/fuzz/"];

pub(super) fn check(documents: &[Document]) -> Vec<Finding> {
    documents
        .iter()
        .filter(|document| is_crate_root(&document.path) && !is_exempt(&document.path))
        .filter(|document| !document.text.lines().any(|line| line.trim() == FORBID))
        .map(|document| Finding::new(&document.path, format!("a crate root without {FORBID}")))
        .collect()
}

fn is_exempt(path: &str) -> bool {
    MAY_BE_UNSAFE.iter().chain(GENERATED_ROOTS).any(|folder| path.starts_with(folder))
}

fn is_crate_root(path: &str) -> bool {
    path.ends_with("/src/lib.rs")
        || path.ends_with("/src/main.rs")
        || path.ends_with("/build.rs")
        || path.contains("/src/bin/")
        || (path.starts_with("tests/") && path.ends_with("/main.rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_must_forbid_and_the_listed_crates_need_not() {
        let document = |path: &str, text: &str| Document { path: path.into(), text: text.into() };
        let documents = [
            document("control/model/src/lib.rs", "#![forbid(unsafe_code)]\n"),
            document("control/cli/src/main.rs", "// #![forbid(unsafe_code)]\n"),
            document("control/cli/src/app.rs", ""),
            document("dataplane/io/src/lib.rs", ""),
            document("perf/counted/src/lib.rs", ""),
            document("perf/counted/src/bin/postern-pure.rs", ""),
        ];
        let places: Vec<_> = check(&documents).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["control/cli/src/main.rs", "perf/counted/src/bin/postern-pure.rs"]);
    }
}
