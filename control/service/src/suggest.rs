//! "Did you mean …?": the nearest of the known names, when one is near enough to be a slip.

/// The known name nearest to `given`, or `None` when none is within a third of its length (at least two edits).
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = (given.chars().count() / 3).max(2);
    let folded = given.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, name), name))
        .filter(|&(edits, name)| edits <= edits_max && edits < name.chars().count())
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_only_slips() {
        let known = ["listen", "listen-http", "state-dir", "io"];
        for (given, expected) in [
            ("lisen", Some("listen")),
            ("listne", Some("listen")),
            ("state_dir", Some("state-dir")),
            ("State-Dir", Some("state-dir")),
            ("listenhttp", Some("listen-http")),
            ("workers", None),
            ("", None),
            ("xy", None),
        ] {
            assert_eq!(nearest(given, known), expected, "{given}");
        }
    }
}
