//! What may stand in the cells of a row. Empty cells are right but for the name: an inventory is filled in bit by bit.

use std::collections::BTreeMap;

use postern_model::app_url::{ExternalUrl, InternalUrl, UrlInvalid};
use postern_model::directory::LoginName;
use postern_model::ids::Name;
use postern_service::suggest;
use url::Url;

use super::authentication::Authentication;
use super::columns::Column;
use super::sheet::{Mistake, Row, words};
use super::{CELL_CHARS_MAX, MISTAKES_MAX};

/// Everything that is wrong in the cells of these rows, at most so many of them.
pub(crate) fn check(rows: &[Row]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let (mut names, mut urls) = (BTreeMap::new(), BTreeMap::new());
    for row in rows {
        let wrong = |column| wrong(column, row.get(column)).map(|what| Mistake::in_cell(row, column, what));
        mistakes.extend(Column::ALL.into_iter().filter_map(wrong));
        mistakes.extend(again(row, Column::Name, &mut names));
        mistakes.extend(again(row, Column::ExternalUrl, &mut urls));
    }
    mistakes.truncate(MISTAKES_MAX);
    mistakes
}

/// What another row has already.
fn again<'a>(row: &'a Row, column: Column, seen: &mut BTreeMap<String, &'a str>) -> Option<Mistake> {
    let key = row.get(column);
    let key = ExternalUrl::parse(key).map_or_else(|_| key.to_owned(), |url| url.to_string());
    if key.is_empty() {
        return None;
    }
    let before = seen.insert(key.clone(), &row.place)?;
    Some(Mistake::in_cell(row, column, format!("{key} is there already: {before}")))
}

/// Why a cell cannot say that, and what it could.
fn wrong(column: Column, text: &str) -> Option<String> {
    if text.is_empty() {
        return (column == Column::Name).then(|| "every application needs one: a-z, 0-9 and -".into());
    }
    if text.chars().count() > CELL_CHARS_MAX {
        return Some(format!("more than {CELL_CHARS_MAX} characters, which is what a cell holds"));
    }
    if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Some("it holds a control character: take it out".into());
    }
    match column {
        Column::Name => name(text),
        Column::InternalUrl => InternalUrl::parse(text).err().and_then(told),
        Column::ExternalUrl => ExternalUrl::parse(text).err().and_then(told),
        Column::Farm => words(text).find_map(server),
        Column::OtherContentSources | Column::AlternateMappings => words(text).find_map(address),
        Column::WebSockets => one_of(text, &["yes", "no"]),
        Column::CertificateSerial => serial(text),
        Column::Authentication => words(text).find_map(|word| one_of(word, &Authentication::WORDS)),
        Column::ServiceAccount => account(text),
        Column::SamlIdentifiers => identifiers(text),
        Column::ConnectorGroup => text.parse::<Name>().err().map(|error| error.to_string()),
        Column::UsersAndGroups => words(text).find_map(principal),
        Column::ServiceType
        | Column::Platform
        | Column::DomainMembership
        | Column::Location
        | Column::Balancing
        | Column::ExternalVendor
        | Column::Certificate
        | Column::CertificateLocation
        | Column::HeaderVendor
        | Column::HeaderRequirement
        | Column::Notes => None,
    }
}

fn name(text: &str) -> Option<String> {
    let error = text.parse::<Name>().err()?;
    let signs: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let parts: Vec<&str> = signs.split('-').filter(|part| !part.is_empty()).collect();
    let fit = parts.join("-").parse::<Name>().ok();
    Some(match fit {
        Some(fit) => format!("{error}; perhaps {fit}"),
        None => error.to_string(),
    })
}

/// What no application can be published with yet is no mistake of the inventory's.
fn told(error: UrlInvalid) -> Option<String> {
    match error {
        UrlInvalid::NotYetAvailable { .. } => None,
        UrlInvalid::Malformed { .. } => Some(error.to_string()),
    }
}

fn server(word: &str) -> Option<String> {
    let url = if word.contains("://") { word.to_owned() } else { format!("http://{word}/") };
    let is_server = InternalUrl::parse(&url).is_ok_and(|url| url.wildcard().is_none());
    (!is_server).then(|| format!("{word:?} is no server: write HOST or HOST:PORT, with spaces between"))
}

fn address(word: &str) -> Option<String> {
    let url = Url::parse(word).ok().filter(|url| url.has_host());
    let is_web = url.is_some_and(|url| matches!(url.scheme(), "http" | "https" | "ws" | "wss"));
    (!is_web).then(|| format!("{word:?} is no URL: write http://HOST/ or https://HOST/, with spaces between"))
}

fn one_of(text: &str, known: &[&str]) -> Option<String> {
    if known.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return None;
    }
    let nearest = suggest::nearest(text, known.iter().copied());
    let nearest = nearest.map(|word| format!("; did you mean {word}?")).unwrap_or_default();
    Some(format!("{text:?} must be one of {}{nearest}", known.join(", ")))
}

fn serial(text: &str) -> Option<String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b' '));
    (!is_hex).then(|| {
        format!(
            "{text:?} is not in hexadecimal: if it was, a spreadsheet program made a number of it; make its cells text"
        )
    })
}

fn account(text: &str) -> Option<String> {
    let fits = text.len() <= ACCOUNT_BYTES_MAX && !text.contains(char::is_whitespace);
    (!fits).then(|| format!("{text:?} is no account: write its host, its SPN (HTTP/HOST), or ACCOUNT@DOMAIN"))
}

fn identifiers(text: &str) -> Option<String> {
    words(text).skip(1).find_map(|url| {
        let is_https = Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.has_host());
        (!is_https)
            .then(|| format!("{url:?} is no reply URL: after the entity id stand https:// URLs, with spaces between"))
    })
}

fn principal(word: &str) -> Option<String> {
    let what = match word.split_once('/') {
        Some(("user", login)) => login.parse::<LoginName>().err()?.to_string(),
        Some(("group", group)) => group.parse::<Name>().err()?.to_string(),
        None if word == "everyone" => return None,
        Some(_) | None => format!("{word:?} is nobody: write user/LOGIN, group/NAME or everyone, with spaces between"),
    };
    Some(what)
}

const ACCOUNT_BYTES_MAX: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: usize, cells: &[(Column, &str)]) -> Row {
        let mut row = Row::new(format!("a.csv:{line}"));
        for (column, text) in cells {
            row.set(*column, text);
        }
        row
    }

    fn told(column: Column, text: &str) -> Vec<String> {
        let row = row(2, &[(Column::Name, "a"), (column, text)]);
        check(&[row]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_example_is_right() {
        assert!(check(&[Row::example()]).is_empty());
    }

    #[test]
    fn every_wrong_cell_is_told() {
        use Column as C;
        for (column, text, says) in [
            (C::Name, "Wiki of HR", "perhaps wiki-of-hr"),
            (C::InternalUrl, "wiki", "a.csv:2: internal URL: \"wiki\": "),
            (C::ExternalUrl, "ftp://wiki/", "begins with https:// or http://"),
            (C::Farm, "a b:99999", "\"b:99999\" is no server"),
            (C::AlternateMappings, "http://wiki, wiki", "\"wiki\" is no URL"),
            (C::OtherContentSources, "javascript:x", "is no URL"),
            (C::WebSockets, "maybe", "must be one of yes, no"),
            (C::CertificateSerial, "1.2E+19", "made a number of it"),
            (C::Authentication, "windows; form", "did you mean forms?"),
            (C::ServiceAccount, "two words", "is no account"),
            (C::SamlIdentifiers, "urn:a http://a/", "is no reply URL"),
            (C::ConnectorGroup, "HQ", "is not a name"),
            (C::UsersAndGroups, "group/a sales", "\"sales\" is nobody"),
            (C::UsersAndGroups, "user/Anna", "write anna"),
            (C::Notes, "a\u{7}", "control character"),
        ] {
            let told = told(column, text);
            assert!(told.len() == 1 && told[0].contains(says), "{text}: {told:?}");
        }
    }

    #[test]
    fn what_may_be_said_is_taken() {
        use Column as C;
        for (column, text) in [
            (C::InternalUrl, "tcp://10.0.0.5:22"),
            (C::InternalUrl, "http://[2001:db8::1]:8080/x/"),
            (C::Farm, "web1 web2:8080; [2001:db8::1]"),
            (C::WebSockets, "Yes"),
            (C::Authentication, "Windows; basic"),
            (C::ServiceAccount, "HTTP/wiki.corp.example.com@CORP.EXAMPLE.COM"),
            (C::SamlIdentifiers, "urn:wiki https://wiki.example.com/acs"),
            (C::UsersAndGroups, "everyone user/anna@example.com group/sales"),
            (C::Notes, "two\nlines"),
        ] {
            assert_eq!(told(column, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn names_and_external_urls_are_there_once() {
        let url = (Column::ExternalUrl, "https://a.example.com/");
        let rows = [
            row(2, &[(Column::Name, "a"), url]),
            row(3, &[(Column::Name, "a")]),
            row(4, &[(Column::ExternalUrl, "https://A.example.com:443")]),
        ];
        let told: Vec<String> = check(&rows).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "a.csv:3: name: a is there already: a.csv:2",
                "a.csv:4: name: every application needs one: a-z, 0-9 and -",
                "a.csv:4: external URL: https://a.example.com/ is there already: a.csv:2",
            ]
        );
    }
}
