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

/// With or without apostrophes in front.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_a_formula_and_each_comes_back() {
        for text in ["=1+1", "+4930", "-x", "@SUM(A1)", "\tx", "\rx", "'=1", "''@", "'quoted'", "a=b", "", "'", "''"] {
            let written = guarded(text);
            assert!(!written.starts_with(['=', '+', '-', '@', '\t', '\r']), "{written}");
            assert_eq!(unguarded(&written), text);
        }
        assert_eq!(guarded("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
        assert_eq!((unguarded("'quoted'"), unguarded("=1")), ("'quoted'", "=1"));
    }
}
