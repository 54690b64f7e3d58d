//! What `postern access curl` hands on to curl: options that are known to send the token nowhere else, and nothing besides. Curl
//! has hundreds, takes beginnings of their names, and gets more: what is not in the list is refused.

use postern_service::failure::Failure;

/// Looks at each word.
///
/// # Errors
/// Names the first that is none of them.
pub(super) fn check(words: &[String]) -> Result<(), Failure> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let takes_next = match word.strip_prefix("--") {
            Some(name) => long(name),
            None => word.strip_prefix('-').and_then(short),
        };
        let is_left_out = match takes_next {
            Some(true) => words.next().is_none(),
            Some(false) => continue,
            None => return Err(refused(word, "is not handed on to curl: the token is for one address alone")),
        };
        if is_left_out {
            return Err(refused(word, "needs a value"));
        }
    }
    Ok(())
}

fn refused(word: &str, why: &str) -> Failure {
    let cure = format!(
        "the options are --{}; for others: postern access token URL",
        FLAGS.iter().chain(&VALUES).map(|(_, name)| *name).collect::<Vec<_>>().join(", --")
    );
    Failure::usage(format!("{word:?} {why}")).cure(cure)
}

/// Whether the next word belongs to it; `None`: it is none of them.
fn long(name: &str) -> Option<bool> {
    let is_in = |options: &[(char, &str)]| options.iter().any(|(_, known)| *known == name);
    is_in(&VALUES).then_some(true).or_else(|| is_in(&FLAGS).then_some(false))
}

/// Several letters in one word: the first that takes a value takes the rest of it.
fn short(letters: &str) -> Option<bool> {
    let mut letters = letters.chars().peekable();
    letters.peek()?;
    while let Some(letter) = letters.next() {
        let is_in = |options: &[(char, &str)]| letter != NONE && options.iter().any(|(known, _)| *known == letter);
        if is_in(&VALUES) {
            return Some(letters.peek().is_none());
        }
        if !is_in(&FLAGS) {
            return None;
        }
    }
    Some(false)
}

/// An option without a letter.
const NONE: char = '\0';
/// Without a value. `--location` drops the token where it leads to another host.
const FLAGS: [(char, &str); 18] = [
    ('s', "silent"),
    ('S', "show-error"),
    ('i', "include"),
    ('I', "head"),
    ('f', "fail"),
    (NONE, "fail-with-body"),
    ('L', "location"),
    ('G', "get"),
    ('N', "no-buffer"),
    ('O', "remote-name"),
    ('#', "progress-bar"),
    (NONE, "no-progress-meter"),
    (NONE, "compressed"),
    (NONE, "http1.1"),
    (NONE, "http2"),
    (NONE, "create-dirs"),
    ('4', "ipv4"),
    ('6', "ipv6"),
];
/// With one.
const VALUES: [(char, &str); 24] = [
    ('X', "request"),
    ('H', "header"),
    ('d', "data"),
    (NONE, "data-raw"),
    (NONE, "data-binary"),
    (NONE, "data-urlencode"),
    (NONE, "json"),
    ('F', "form"),
    (NONE, "form-string"),
    ('T', "upload-file"),
    ('o', "output"),
    ('D', "dump-header"),
    ('w', "write-out"),
    ('A', "user-agent"),
    ('e', "referer"),
    ('b', "cookie"),
    ('r', "range"),
    ('m', "max-time"),
    (NONE, "connect-timeout"),
    (NONE, "max-filesize"),
    (NONE, "max-redirs"),
    (NONE, "limit-rate"),
    (NONE, "retry"),
    (NONE, "retry-delay"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn is_handed_on(words: &[&str]) -> bool {
        check(&words.iter().map(ToString::to_string).collect::<Vec<_>>()).is_ok()
    }

    #[test]
    fn what_could_send_the_token_elsewhere_is_refused() {
        for words in [
            &["https://evil.example/"][..],
            &["evil.example"],
            &["-s", "evil.example"],
            &["-"],
            &["--"],
            &[""],
            &["--url", "x"],
            &["--url=x"],
            &["--expand-url", "x"],
            &["--next"],
            &["-:"],
            &["-s:"],
            &["-K", "file"],
            &["-Kfile"],
            &["-sK", "file"],
            &["--config", "file"],
            &["--conf", "file"],
            &["--proto-default", "https", "evil.example"],
            &["--location-trusted"],
            &["--location-t"],
            &["--proxy", "http://evil.example"],
            &["-x", "evil.example"],
            &["--connect-to", "::evil.example"],
            &["--resolve", "wiki:443:192.0.2.1"],
            &["-k"],
            &["--insecure"],
            &["--proto", "=http"],
            &["--sile"],
            &["--data=x"],
            &["-d"],
            &["-sX"],
            &["--header"],
        ] {
            assert!(!is_handed_on(words), "{words:?}");
        }
    }

    #[test]
    fn what_is_harmless_is_handed_on() {
        for words in [
            &[][..],
            &["-s"],
            &["-sSfL"],
            &["-s", "-X", "POST", "-d", "title=New"],
            &["-sXPOST", "-d@file", "-o/tmp/x"],
            &["-so", "/tmp/x"],
            &["--data", "https://evil.example/"],
            &["-H", "--url"],
            &["--json", "{}", "--max-time", "5"],
        ] {
            assert!(is_handed_on(words), "{words:?}");
        }
    }
}
