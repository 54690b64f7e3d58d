//! Refusals: what an administrator gets instead of a change. Title and status come from the catalogue of codes.

use std::str::FromStr;

use postern_model::admin::Problem;
use postern_model::codes;
use postern_service::suggest::nearest;

/// A refusal with a catalogued code.
pub(crate) fn problem(code: &'static str, detail: impl Into<String>) -> Problem {
    let entry = codes::lookup(code);
    Problem {
        code: code.into(),
        title: entry.map_or(code, |entry| entry.title).into(),
        detail: detail.into(),
        status: entry.and_then(|entry| entry.status).unwrap_or(500),
        pointer: None,
    }
}

/// There is no `what` called `name`.
pub(crate) fn not_found(what: &str, name: &str) -> Problem {
    let name: String = name.chars().take(80).collect();
    problem("not-found", format!("there is no {what} {name:?}"))
}

/// The same, with the nearest of the names there are.
pub(crate) fn not_found_among<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
    let mut problem = not_found(what, name);
    if let Some(nearest) = nearest(name, known) {
        problem.detail.push_str(&format!("; did you mean {nearest:?}?"));
    }
    problem
}

/// Refuses a new name that reads as an id of the same kind: names are looked for first, so that a command which means the id
/// would hit the one with the name.
pub(crate) fn check_no_id<Id: FromStr>(what: &str, name: &str) -> Result<(), Problem> {
    match name.parse::<Id>() {
        Ok(_) => Err(problem("request-invalid", format!("{name} cannot be a {what}'s name: it reads as an id"))),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_used_here_is_catalogued() {
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut used = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let source = std::fs::read_to_string(&path).unwrap();
                for rest in source.split("problem(\"").skip(1) {
                    let code = rest.split('"').next().unwrap_or_default();
                    let entry = codes::lookup(code).unwrap_or_else(|| panic!("{}: {code} is missing", path.display()));
                    assert!(entry.status.is_some(), "{code} has no status");
                    used += 1;
                }
            }
        }
        assert!(used > 100, "{used} were found");
    }
}
