//! `postern explain`: the catalogue of error codes, without any running program.

use anyhow::Result;
use postern_model::codes::{self, Code};
use postern_service::failure::Failure;
use postern_service::suggest;
use serde_json::{Value, json};

use crate::args::ExplainArgs;
use crate::output::Output;

pub(super) fn run(args: &ExplainArgs, output: Output) -> Result<()> {
    let Some(asked) = &args.code else {
        let all: Vec<&Code> = codes::all().collect();
        let items: Vec<Value> = all.iter().copied().map(document).collect();
        return output.show(&json!({ "items": items }), |_| list(output, &all));
    };
    let entry = codes::lookup(asked).ok_or_else(|| unknown(asked))?;
    output.show(&document(entry), |_| text(entry))
}

fn document(entry: &Code) -> Value {
    json!({
        "code": entry.code,
        "status": entry.status,
        "title": entry.title,
        "cause": entry.cause,
        "cure": entry.cure,
    })
}

pub(super) fn text(entry: &Code) -> String {
    let status = entry.status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
    format!(
        "{}{status}\n{}.\n\nCause: {}\nCure:  {}\n",
        entry.code,
        entry.title,
        entry.cause,
        codes::sentence(entry.cure)
    )
}

fn list(output: Output, all: &[&Code]) -> String {
    let status = |entry: &Code| entry.status.map(|status| status.to_string()).unwrap_or_default();
    let table = output
        .table(["CODE", "STATUS", "TITLE"])
        .rows(all, |entry| [entry.code.to_owned(), status(entry), entry.title.to_owned()]);
    table.render("no codes")
}

fn unknown(asked: &str) -> Failure {
    let refused = Failure::new(format!("there is no error code `{asked}`"));
    match suggest::nearest(asked, codes::all().map(|entry| entry.code)) {
        Some(near) => refused.cure(format!("did you mean {near}?")),
        None => refused.cure("postern explain lists all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_explained_in_words() {
        let text = text(codes::lookup("host-unknown").unwrap());
        assert!(text.starts_with("host-unknown (HTTP 421)\nNo application"), "{text}");
        assert!(text.contains("\nCure:  Check the address"), "{text}");
    }

    #[test]
    fn slips_are_recognised() {
        assert!(unknown("host-unknwon").to_string().contains("did you mean host-unknown?"));
        assert!(unknown("zzzzzzzzz").to_string().contains("postern explain lists all"));
    }
}
