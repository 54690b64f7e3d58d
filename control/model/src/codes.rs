//! The catalogue of error codes: every code that a person can meet, with its cause and its cure. The one place for them;
//! `docs/errors.md`, `postern explain CODE`, answers to clients and the programs' own errors all come from here.

mod authority;
mod devices;
mod directory_sync;
mod http;
mod programs;
mod providers;
mod requests;
mod sign_in;
mod vault;

/// One error that a person can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The stable name: lower case, words joined by `-`.
    pub code: &'static str,
    /// The HTTP status of the answer it comes with, if it comes with one.
    pub status: Option<u16>,
    /// What happened, in a few words.
    pub title: &'static str,
    /// Why it happens, as a full sentence.
    pub cause: &'static str,
    /// What to do: an imperative in lower case. Its first sentence stands alone in one-line errors.
    pub cure: &'static str,
}

impl Code {
    /// The first sentence of the cure, without its full stop.
    pub fn cure_short(&self) -> &'static str {
        let first = self.cure.split(". ").next().unwrap_or(self.cure);
        first.trim_end_matches('.')
    }
}

/// Every code, group by group.
pub const CODES: &[&[Code]] = &[
    requests::CODES,
    sign_in::CODES,
    http::CODES,
    programs::STARTING,
    programs::ENROLMENT,
    programs::ADMIN,
    providers::CODES,
    directory_sync::CODES,
    vault::CODES,
    devices::CODES,
    authority::CODES,
];

/// All codes in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Code> {
    CODES.iter().flat_map(|group| group.iter())
}

/// The entry for a code.
pub fn lookup(code: &str) -> Option<&'static Code> {
    all().find(|entry| entry.code == code)
}

/// The catalogue as the page `docs/errors.md`.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    for (group, heading) in CODES.iter().zip(HEADINGS) {
        page.push_str(&format!("\n## {heading}\n"));
        for entry in *group {
            let status = entry.status.map(|status| format!(" ({status})")).unwrap_or_default();
            page.push_str(&format!(
                "\n### `{}`{status}\n\n{}.\n\n{}\n\n**Cure:** {}\n",
                entry.code,
                entry.title,
                entry.cause,
                sentence(entry.cure)
            ));
        }
    }
    page
}

/// The text with a capital first letter.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

const HEADINGS: [&str; 11] = [
    "Answers to requests",
    "Signing in",
    "Malformed requests and answers",
    "Starting a program",
    "Connecting a connector",
    "Administration",
    "Signing in by an identity provider",
    "Users and groups from an LDAP directory",
    "The password vault",
    "Devices",
    "Domains, and certificates of an authority",
];

const INTRODUCTION: &str = "# Error codes\n\n\
    Every error that Postern shows carries one of these codes: pages and problem+json answers of the relay, the one-line\n\
    errors of the programs, and the administration API. The codes are stable. `postern explain CODE` prints the same.\n\
    This page is written from `control/model/src/codes.rs`; a test keeps the two equal.\n";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut seen = BTreeSet::new();
        for entry in all() {
            assert!(seen.insert(entry.code), "{} stands twice", entry.code);
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(!entry.code.is_empty() && entry.code.chars().all(kebab), "{}", entry.code);
            assert!(entry.status.is_none_or(|status| (400..600).contains(&status)), "{}", entry.code);
        }
    }

    #[test]
    fn every_text_has_its_form() {
        for entry in all() {
            assert!(!entry.title.ends_with('.'), "title of {}", entry.code);
            assert!(entry.cause.ends_with('.'), "cause of {}", entry.code);
            assert!(entry.cure.ends_with('.'), "cure of {}", entry.code);
            let short = entry.cure_short();
            assert!(
                !short.is_empty() && !short.contains('\n') && short.len() <= 160,
                "the first sentence of the cure of {} stands in one-line errors: {short}",
                entry.code
            );
        }
    }

    #[test]
    fn lookup_finds_what_is_there() {
        assert_eq!(lookup("host-unknown").and_then(|entry| entry.status), Some(421));
        assert_eq!(lookup("nonsense"), None);
    }

    #[test]
    fn the_documentation_is_the_catalogue() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        if std::env::var_os("POSTERN_BLESS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == markdown(),
            "docs/errors.md differs from the catalogue; run: POSTERN_BLESS=1 cargo test -p postern-model codes"
        );
    }
}
