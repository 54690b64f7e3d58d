//! What an authority says went wrong, for people.

use instant_acme::{Error, Problem};

/// In one line.
pub(super) fn of(error: &Error) -> String {
    if let Error::Api(problem) = error {
        return format!("the authority refuses: {}", of_problem(problem));
    }
    error.to_string()
}

/// A problem document (RFC 8555 §6.7), with what it says of single hosts.
pub(super) fn of_problem(problem: &Problem) -> String {
    let mut words = one(problem.detail.as_deref(), problem.r#type.as_deref());
    for part in &problem.subproblems {
        let host = part.identifier.as_ref().map(|identifier| format!("{}: ", identifier.authorized(false)));
        let what = one(part.detail.as_deref(), part.r#type.as_deref());
        words.push_str(&format!("; {}{what}", host.unwrap_or_default()));
    }
    shown(&words)
}

fn one(detail: Option<&str>, kind: Option<&str>) -> String {
    let kind = kind.map(|kind| kind.strip_prefix(TYPE_PREFIX).unwrap_or(kind));
    match (detail, kind) {
        (Some(detail), Some(kind)) => format!("{detail} ({kind})"),
        (Some(detail), None) => detail.to_owned(),
        (None, Some(kind)) => kind.to_owned(),
        (None, None) => "it does not say why".to_owned(),
    }
}

/// The authority's words may hold what a host answered: one line, and not all of it.
fn shown(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect()
}

const TYPE_PREFIX: &str = "urn:ietf:params:acme:error:";
const WORDS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> String {
        of(&Error::Api(serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn a_problem_is_told_in_its_own_words() {
        let rejected = r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"no\nthanks"}"#;
        assert_eq!(words(rejected), "the authority refuses: no thanks (rejectedIdentifier)");
        let parts = r#"{"type":"urn:ietf:params:acme:error:compound","subproblems":[
            {"type":"urn:ietf:params:acme:error:dns","detail":"NXDOMAIN","identifier":{"type":"dns","value":"a.test"}}]}"#;
        assert_eq!(words(parts), "the authority refuses: compound; a.test: NXDOMAIN (dns)");
        assert_eq!(words("{}"), "the authority refuses: it does not say why");
        assert!(words(&format!("{{\"detail\":\"{}\"}}", "a".repeat(5_000))).len() < 1_100);
    }
}
