//! Just enough of a Rust lexer to see code without its comments and literals, and functions with their lengths.

/// The text with every comment, string and character literal blanked; line breaks stay, so lines keep their numbers.
pub(super) fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let skip = literal_or_comment(rest, out.chars().next_back());
        let (blanked, after) = rest.split_at(skip);
        out.extend(blanked.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = after;
        if skip == 0 {
            let mut chars = rest.chars();
            out.extend(chars.next());
            rest = chars.as_str();
        }
    }
    out
}

/// The length of the comment or literal that `rest` begins with; 0 when it begins with code.
fn literal_or_comment(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return quoted(rest, 1);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(length) = raw_string(rest) {
        return length;
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    0
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// From the opening quote at `begin - 1` to behind the closing one.
fn quoted(rest: &str, begin: usize) -> usize {
    let bytes = rest.as_bytes();
    let mut at = begin;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`, `cr"…"`.
fn raw_string(rest: &str) -> Option<usize> {
    let after_r = rest.strip_prefix("br").or_else(|| rest.strip_prefix("cr")).or_else(|| rest.strip_prefix('r'))?;
    let hashes = after_r.bytes().take_while(|&byte| byte == b'#').count();
    let body = after_r[hashes..].strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&closing).map_or(body.len(), |at| at + closing.len());
    Some(rest.len() - body.len() + end)
}

/// A character literal; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    let Some((_, first)) = chars.next() else {
        return 0;
    };
    if first == '\\' {
        return rest[3..].find('\'').map_or(0, |at| at + 4);
    }
    match chars.next() {
        Some((at, '\'')) => at + 1,
        _ => 0,
    }
}

/// A function: its name, its first line (from 1) and how many lines it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// Every function with a body in `code`, which is what `code_only` made.
pub(super) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let after = &code[at + 3..];
        let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            continue; // A function pointer type.
        }
        if let Some(length) = body_end(after) {
            found.push(Function {
                name,
                line: code[..at].matches('\n').count() + 1,
                lines: after[..length].matches('\n').count() + 1,
            });
        }
    }
    found
}

/// Where the body that follows the signature ends; `None` for a declaration without one.
fn body_end(after: &str) -> Option<usize> {
    let (mut brackets, mut braces) = (0i32, 0i32);
    for (at, c) in after.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 && brackets == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The lines before the unit tests, with their numbers from 1.
pub(super) fn product_lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_blanked() {
        let text = "a /* fn x() { /* } */ */ \"fn \\\" {\" r#\"}\"{\"# '{' '\\'' 'life // end }\nb";
        let code = code_only(text);
        assert!(!code.contains(['{', '}', '"']), "{code}");
        assert!(code.contains("'life"), "{code}");
        assert_eq!(code.lines().count(), 2);
        assert!(code.ends_with('b'));
    }

    #[test]
    fn a_functions_lines_are_counted_from_fn_to_its_closing_brace() {
        let code =
            code_only("fn one() {}\ntrait T { fn none(&self); }\nfn two<T>(a: [u8; 3])\nwhere\n{\n if a { b }\n}\n");
        assert_eq!(
            functions(&code),
            [Function { name: "one".into(), line: 1, lines: 1 }, Function { name: "two".into(), line: 3, lines: 5 },]
        );
    }

    #[test]
    fn product_lines_end_at_the_tests() {
        let lines: Vec<_> = product_lines("a\n#[cfg(test)]\nmod tests {}").collect();
        assert_eq!(lines, [(1, "a")]);
    }
}
