//! Cells that a spreadsheet program would run. What begins with `=`, `+`, `-`, `@`, a tab or a carriage return is written with an
//! apostrophe in front, and read without it; so is what begins with apostrophes and then one of these, so that each text comes back
//! as it was.

/// As it is written.
pub(super) fn guarded(text: &str) -> String {
    if is_formula(text) { format!("'{text}") } else { text.to_owned() }
}

/// As it was before it was written.
pub(super) fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(text)
}

/// What strangers wrote, without a semicolon that a formula follows: where a comma is the decimal sign, spreadsheet programs take a
/// semicolon for the end of a cell, quotes or not.
pub(super) fn in_one_cell(text: &str) -> String {
    let mut parts = text.split(';');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole.push(if is_formula(part.trim_start_matches([' ', '"'])) { ',' } else { ';' });
        whole.push_str(part);
    }
    whole
}

/// With or without apostrophes in front. The wide signs are those of input methods, which some programs take for the narrow ones.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(SIGNS)
}

const SIGNS: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_a_formula_and_each_comes_back() {
        let signed = ["=1+1", "+4930", "-x", "@SUM(A1)", "\tx", "\rx", "＝1+1", "＋1", "－1", "＠SUM(A1)"];
        for text in signed.into_iter().chain(["'=1", "''@", "'quoted'", "a=b", "", "'", "''"]) {
            let written = guarded(text);
            assert_eq!(written.starts_with('\''), signed.contains(&text) || text.starts_with('\''), "{written}");
            assert_eq!(unguarded(&written), text);
        }
        assert_eq!(guarded("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
        assert_eq!((unguarded("'quoted'"), unguarded("=1")), ("'quoted'", "=1"));
    }

    #[test]
    fn no_semicolon_begins_a_formula() {
        assert_eq!(in_one_cell("nginx;=1+1; @SUM(A1);\"+1\";'-1"), "nginx,=1+1, @SUM(A1),\"+1\",'-1");
        for harmless in ["", ";", "windows; basic", "a;b=c", "x; charset=utf-8;"] {
            assert_eq!(in_one_cell(harmless), harmless);
        }
    }
}
