//! Distinguished names (RFC 4514), compared: entries and the lists of members that name them may write the same name differently.

/// One spelling for all that mean the same, as far as that can be told without the directory's schema: types and values in small
/// letters, no blanks around them, every escaped sign as itself, parts of a multi-valued RDN in order.
pub(crate) fn normalised(dn: &str) -> Box<str> {
    let mut all = String::with_capacity(dn.len());
    for (nth, rdn) in split(dn, b",;").into_iter().enumerate() {
        if nth > 0 {
            all.push('\u{0}');
        }
        let mut parts: Vec<String> = split(rdn, b"+").into_iter().map(part).collect();
        parts.sort_unstable();
        all.push_str(&parts.join("\u{1}"));
    }
    all.into()
}

/// At signs that are neither escaped nor in quotes.
fn split<'a>(text: &'a str, at: &[u8]) -> Vec<&'a str> {
    let (mut parts, mut begin, mut escaped, mut quoted) = (Vec::new(), 0, false, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if !quoted && at.contains(&byte) => {
                parts.push(&text[begin..place]);
                begin = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

fn part(text: &str) -> String {
    let (kind, value) = text.split_once('=').unwrap_or((text, ""));
    format!("{}={}", kind.trim().to_lowercase(), unescaped(trimmed(value)).to_lowercase())
}

/// Blanks at the end belong to the value where the last is escaped.
fn trimmed(value: &str) -> &str {
    let value = value.trim_start_matches(' ');
    let bare = value.trim_end_matches(' ');
    let slashes = bare.bytes().rev().take_while(|byte| *byte == b'\\').count();
    if slashes % 2 == 1 && bare.len() < value.len() { &value[..=bare.len()] } else { bare }
}

fn unescaped(value: &str) -> String {
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let (bytes, mut plain, mut at) = (value.as_bytes(), Vec::with_capacity(value.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let next = |ahead: usize| bytes.get(at + ahead).copied();
        let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (byte, hex(next(1)), hex(next(2))) {
            (b'\\', Some(high), Some(low)) => {
                plain.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            (b'\\', _, _) => {
                plain.extend(next(1));
                at += 2;
            }
            (byte, _, _) => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_equal() {
        for (one, other) in [
            ("uid=anna,ou=People,dc=example", "UID = Anna , OU=people,DC=Example"),
            ("cn=Berg\\, Anna,dc=a", "cn=Berg\\2C Anna,dc=a"),
            ("cn=Berg\\, Anna,dc=a", "cn=\"Berg, Anna\",dc=a"),
            ("cn=Ä,dc=a", "cn=\\C3\\84,dc=a"),
            ("cn=a+uid=b,dc=a", "uid=B+CN=A,dc=a"),
        ] {
            assert_eq!(normalised(one), normalised(other), "{one} and {other}");
        }
    }

    #[test]
    fn other_names_are_others() {
        for (one, other) in [
            ("cn=a,dc=b", "cn=a\\,dc=b"),
            ("cn=a\\ ,dc=b", "cn=a,dc=b"),
            ("cn=a,cn=b", "cn=b,cn=a"),
            ("cn=a+cn=b", "cn=a,cn=b"),
        ] {
            assert_ne!(normalised(one), normalised(other), "{one} and {other}");
        }
    }

    #[test]
    fn what_is_no_name_is_compared_all_the_same() {
        for odd in ["", "\\", "a\\", "=,=", "\"", "cn=\\zz", "cn=\\4", "ä\\ä", "cn=a\\ "] {
            let _ = normalised(odd);
        }
    }
}
