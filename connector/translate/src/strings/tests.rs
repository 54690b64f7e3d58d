use proptest::prelude::*;

use super::*;

fn links(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://in")?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("https://out{rest}"))
}

fn check(quotes: Quotes, text: &str, expected: &str) {
    for piece in 1..=text.len() {
        let (mut strings, mut out) = (Strings::new(quotes, None), Vec::new());
        for piece in text.as_bytes().chunks(piece) {
            strings.push(piece, &links, &mut out);
        }
        strings.finish(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "in pieces of {piece}");
    }
}

#[test]
fn strings_that_are_urls_come_out() {
    for (text, expected) in [
        (r#"{"a":"http://in/x","b":["http://in"]}"#, r#"{"a":"https://out/x","b":["https://out"]}"#),
        (r#"{"a":"http:\/\/in\/x"}"#, r#"{"a":"https:\/\/out\/x"}"#),
        (r#"{"a":"http://in/\"x\n"}"#, r#"{"a":"https://out/\"x\n"}"#),
        (r#"["","http://in/x"]"#, r#"["","https://out/x"]"#),
    ] {
        check(Quotes::Json, text, expected);
        check(Quotes::JavaScript, text, expected);
    }
    check(Quotes::JavaScript, "a='http://in/x'+`http://in/${y}`+\"z\"", "a='https://out/x'+`https://out/${y}`+\"z\"");
}

#[test]
fn what_is_none_stays() {
    for text in [
        r#"{"a":" http://in/x"}"#,
        r#"{"a":"see http://in/x"}"#,
        r#"{"a":"http://inner/x"}"#,
        r#"{"a":"http://in/x"#,
        "\"http://in/x\n\"",
        "// http://in/x",
        r#""http:\\/\\/in/x""#,
        "\"h\" \"htt\" \"https\" \"\\\\\"",
    ] {
        check(Quotes::JavaScript, text, text);
    }
    check(Quotes::Json, "'http://in/x'", "'http://in/x'");
}

/// Byte by byte, or in pieces of these lengths, over and over.
fn translated(quotes: Quotes, text: &[u8], cuts: Option<&[usize]>) -> Vec<u8> {
    let (mut strings, mut out, mut rest) = (Strings::new(quotes, None), Vec::new(), text);
    match cuts {
        None => strings.push_bytes(text, &links, &mut out),
        Some(cuts) => {
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                strings.push(piece, &links, &mut out);
                assert!(strings.held.bytes().len() <= URL_BYTES_MAX);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
    strings.finish(&mut out);
    out
}

/// What states heed, and what they do not.
fn text() -> impl Strategy<Value = Vec<u8>> {
    crate::tests::mixed(&[
        "\"",
        "'",
        "`",
        "\\",
        "\\\\",
        "\\\"",
        "\n",
        "\r",
        "/",
        "//",
        "\\/\\/",
        "\\/",
        "http",
        "https",
        "http:",
        "HTTP:",
        "ws:",
        "wss:",
        "w",
        "h",
        "http://in",
        "http://in/x",
        "\"http://in/x",
        "'http://in/x",
        "`http://in/${x}",
        "\"http:\\/\\/in\\/x",
        "\":\"",
        "\",\"",
        ":",
        ",",
        "{",
        "}",
        "a",
        " ",
        "\u{e9}",
        "isn't",
        "some words",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn runs_are_what_their_bytes_are(text in text(), cuts in prop::collection::vec(1usize..24, 1..10)) {
        for quotes in [Quotes::Json, Quotes::JavaScript] {
            let expected = translated(quotes, &text, None);
            for cuts in [&[text.len().max(1)], &[1], &cuts[..]] {
                prop_assert_eq!(&translated(quotes, &text, Some(cuts)), &expected);
            }
        }
    }
}

/// Blocks are longer than what the strategy makes of most texts.
#[test]
fn an_opening_is_found_wherever_it_is() {
    for (quotes, quote) in [(Quotes::Json, '"'), (Quotes::JavaScript, '\''), (Quotes::JavaScript, '`')] {
        for before in 0..100 {
            let text = format!("{}{quote}http://in/x{quote}:{quote}y{quote}", "a".repeat(before));
            let expected = text.replace("http://in", "https://out");
            assert_eq!(translated(quotes, text.as_bytes(), Some(&[text.len()])), expected.as_bytes(), "{before}");
        }
    }
}

#[test]
fn no_more_than_a_url_is_held_however_it_comes() {
    for length in URL_BYTES_MAX - 1..=URL_BYTES_MAX + 2 {
        for path in ["x", "\\/", "\\\""] {
            let path = &path.repeat(URL_BYTES_MAX)[..length - "http://in/".len()];
            let text = format!("\"http://in/{path}\" \"http://in/y\"");
            let expected = translated(Quotes::Json, text.as_bytes(), None);
            for piece in [1, 1000, URL_BYTES_MAX, text.len()] {
                assert!(translated(Quotes::Json, text.as_bytes(), Some(&[piece])) == expected, "{length} {piece}");
            }
        }
    }
}

#[test]
fn first_bytes_are_those_of_beginnings() {
    for byte in 0..=u8::MAX {
        let begins = BEGINNINGS.iter().any(|beginning| beginning[0].eq_ignore_ascii_case(&byte));
        assert_eq!(may_be_first(byte), begins, "{byte}");
    }
}
