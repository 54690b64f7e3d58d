//! Conditional access policies.

use std::fmt::Write as _;

use postern_model::document::Document;

use super::super::policy_keys::{Written, written};
use super::quoted;

pub(super) fn write(out: &mut String, document: &Document) {
    for (name, entry) in &document.policies {
        // Writing to a string does not fail.
        let _ = write!(out, "\n[policy.{name}]\n");
        for (key, value) in written(entry) {
            let _ = match value {
                Written::Switch => writeln!(out, "{key} = true"),
                Written::One(text) => writeln!(out, "{key} = {}", quoted(&text)),
                Written::Many(texts) => {
                    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                    writeln!(out, "{key} = [{}]", texts.join(", "))
                }
            };
        }
    }
}
