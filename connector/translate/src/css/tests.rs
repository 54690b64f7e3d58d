use proptest::prelude::*;

use super::*;

fn links(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://in")?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("https://out.example{rest}"))
}

fn translated(sheet: &[u8], wide: Option<Wide>, piece: usize) -> Vec<u8> {
    let (mut css, mut out) = (Css::new(wide), Vec::new());
    for piece in sheet.chunks(piece) {
        css.push(piece, &links, &mut out);
    }
    css.finish(&mut out);
    out
}

fn check(sheet: &str, expected: &str) {
    for piece in 1..=sheet.len().max(1) {
        let out = translated(sheet.as_bytes(), None, piece);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "in pieces of {piece}");
    }
}

/// What is escaped may be what would end the element that the sheet stands in, or belong to another charset.
#[test]
fn what_an_escape_stands_for_never_comes_out_as_itself() {
    for sheet in [
        "a{b:url(\"http://in/\\3c/style>\\3cimg src=x>\")}",
        "a{b:url(\"http://in/<\\/style>\")}",
        "a{b:url(http://in/\\26 lt;)}",
        "a{b:url(\"http://in/\\e9 .png\")}",
        "@import 'http://in/\\00003c';",
    ] {
        check(sheet, sheet);
    }
}

/// As itself, a line's end would end the string, and what follows would be rules.
#[test]
fn control_characters_are_written_as_escapes_again() {
    for (sheet, expected) in [
        ("a{b:url(\"http://in/\\a x\")}", "a{b:url(\"https://out.example/\\a x\")}"),
        ("a{b:url('http://in/\\00000dx')}", "a{b:url('https://out.example/\\d x')}"),
        ("@import \"http://in/\\c x\";", "@import \"https://out.example/\\c x\";"),
        ("a{b:url(http://in/\\9 x)}", "a{b:url(https://out.example/\\9 x)}"),
        ("a{b:url(http://in/\\7f x)}", "a{b:url(https://out.example/\\7f x)}"),
    ] {
        check(sheet, expected);
    }
}

#[test]
fn urls_come_out_however_they_are_written() {
    for (sheet, expected) in [
        ("a{b:url(http://in/x)}", "a{b:url(https://out.example/x)}"),
        ("a{b:URL( http://in/x )}", "a{b:URL( https://out.example/x )}"),
        ("a{b:url(\"http://in/x\")}", "a{b:url(\"https://out.example/x\")}"),
        ("a{b:url( 'http://in/x' )}", "a{b:url( 'https://out.example/x' )}"),
        ("a{b:src(\"http://in/x\")}", "a{b:src(\"https://out.example/x\")}"),
        ("a{b:url(http\\3a //in/x)}", "a{b:url(https://out.example/x)}"),
        ("a{b:url(http\\:\\/\\/in/a\\)b)}", "a{b:url(https://out.example/a\\)b)}"),
        ("a{b:url(\"http://in/a\\\"b\")}", "a{b:url(\"https://out.example/a\\\"b\")}"),
        ("@import \"http://in/x\";", "@import \"https://out.example/x\";"),
        ("@IMPORT/**/'http://in/x' screen;", "@IMPORT/**/'https://out.example/x' screen;"),
        ("@import url(http://in/x) print;", "@import url(https://out.example/x) print;"),
        (
            "a{b:image-set(\"http://in/x\" 1x, url(http://in/y) 2x type(\"a\"), 'http://in/z' 3x)}",
            "a{b:image-set(\"https://out.example/x\" 1x, url(https://out.example/y) 2x type(\"a\"), 'https://out.example/z' 3x)}",
        ),
        ("a{b:url(http://in/x),url(http://in/y)}", "a{b:url(https://out.example/x),url(https://out.example/y)}"),
        ("url(http://in)", "url(https://out.example)"),
    ] {
        check(sheet, expected);
    }
}

#[test]
fn what_is_no_url_stays() {
    for sheet in [
        "/* url(http://in/x) */",
        "/* a **/ b / c",
        "a{content:\"http://in/x\"}",
        "a{content:\"url(http://in/x)\"}",
        "a{content:'\\'url(http://in/x)'}",
        "@namespace x url(http://in/x);",
        "@namespace 'http://in/x';",
        "@import-x 'http://in/x';",
        "a{b:xurl(http://in/x)}",
        "a{b:\\75rl(http://in/x)}",
        "a{b:url(http://inner/x)}",
        "a{b:url(data:image/png;base64,AAAA)}",
        "a{b:url(http://in/x\"y)}",
        "a{b:url(http://in/x",
        "a{b:url(\"http://in/x",
        "a{b:url(\"http://in/x\n\")}",
        "a{b:url()}a{b:url('')}",
        "a{b:image-set(\"a\" 1x)} c{content:\"http://in/x\"}",
        "\\",
    ] {
        check(sheet, sheet);
    }
}

#[test]
fn a_quote_behind_half_a_character_ends_a_string() {
    for wide in [Wide::ShiftJis, Wide::Upper] {
        let sheet = b"a{content:\"\x95\";b:url(http://in/c)}";
        let expected = b"a{content:\"\x95\";b:url(https://out.example/c)}";
        assert_eq!(translated(sheet, Some(wide), 1), expected, "{wide:?}");
    }
}

#[test]
fn a_backslash_in_a_wide_character_is_none() {
    // 0x95 0x5c is one character of Shift_JIS. In a URL nobody could say what it is meant to be, so that one stays.
    let sheet = b"a{content:\"\x95\\\"}b{c:url(http://in/x) d:url(http://in/\x95\\)}";
    let expected = b"a{content:\"\x95\\\"}b{c:url(https://out.example/x) d:url(http://in/\x95\\)}";
    for piece in 1..sheet.len() {
        assert_eq!(translated(sheet, Some(Wide::ShiftJis), piece), expected, "{piece}");
    }
}

#[test]
fn a_url_that_is_too_long_stays_and_the_next_one_comes_out() {
    let long = format!("url(http://in/{})", "x".repeat(URL_BYTES_MAX));
    let sheet = format!("{long} url(http://in/y)");
    let out = translated(sheet.as_bytes(), None, 1000);
    assert_eq!(String::from_utf8(out).unwrap(), format!("{long} url(https://out.example/y)"));
}

/// Byte by byte.
fn stepped(sheet: &[u8]) -> Vec<u8> {
    let (mut css, mut out) = (Css::new(None), Vec::new());
    css.push_bytes(sheet, &links, &mut out);
    css.finish(&mut out);
    out
}

/// What states heed, and what they do not.
fn sheet() -> impl Strategy<Value = Vec<u8>> {
    crate::tests::mixed(&[
        "url(",
        "URL(",
        "src(",
        "image-set(",
        "-webkit-image-set(",
        "rgba(",
        "(",
        ")",
        "@import",
        "@Import ",
        "@namespace",
        "@media ",
        "@",
        "\"",
        "'",
        "/*",
        "*/",
        "*",
        "/",
        "\\",
        "\\2f ",
        "\\00003c",
        "\n",
        "\r",
        "\x0c",
        " ",
        ";",
        "{",
        "}",
        ":",
        ",",
        "-",
        "_",
        "u",
        "rl",
        "import",
        "image-",
        "set",
        "h",
        "http://in/x",
        "http://in",
        "//in/x",
        "http\\3a //in/y",
        "data:image/png;base64,AAAA",
        "\u{e9}",
        "a-word-that-is-too-long-to-be-known",
        "a{color:red}",
        "\u{20ac}url(",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn runs_are_what_their_bytes_are(sheet in sheet(), cuts in prop::collection::vec(0usize..24, 1..10)) {
        let expected = stepped(&sheet);
        prop_assert_eq!(&translated(&sheet, None, sheet.len().max(1)), &expected);
        prop_assert_eq!(&translated(&sheet, None, 1), &expected);
        let (mut css, mut out, mut rest) = (Css::new(None), Vec::new(), &sheet[..]);
        for cut in cuts {
            let (piece, after) = rest.split_at(rest.len().min(cut));
            css.push(piece, &links, &mut out);
            rest = after;
        }
        css.push(rest, &links, &mut out);
        css.finish(&mut out);
        prop_assert_eq!(&out, &expected);
    }
}

#[test]
fn no_more_than_a_url_is_held_however_it_comes() {
    for length in URL_BYTES_MAX - 1..=URL_BYTES_MAX + 2 {
        let path = "x".repeat(length - "http://in/".len());
        for (before, after) in [("url(", ")"), ("url('", "')"), ("@import \"", "\";")] {
            let sheet = format!("{before}http://in/{path}{after} url(http://in/y)");
            let expected = stepped(sheet.as_bytes());
            for piece in [1, 1000, URL_BYTES_MAX, sheet.len()] {
                let (mut css, mut out) = (Css::new(None), Vec::new());
                for piece in sheet.as_bytes().chunks(piece) {
                    css.push(piece, &links, &mut out);
                    assert!(css.held.bytes().len() <= URL_BYTES_MAX);
                }
                css.finish(&mut out);
                assert!(out == expected, "{length} {before} {piece}");
            }
        }
    }
}
