use proptest::prelude::*;

use super::*;
use crate::coding::{Coding, Decoder, Encoder};

/// Pieces of pages and of what breaks them.
fn body() -> impl Strategy<Value = Vec<u8>> {
    mixed(&[
        "<a href=\"",
        "http://in/a",
        "\">",
        "'",
        "\"",
        "<style>",
        "</style>",
        "url(",
        ")",
        "@import ",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        "<base href=",
        "<meta http-equiv=refresh content='1;url=",
        ">",
        " style=",
        "srcset=",
        "&quot;",
        "&#47;",
        "/base/x",
        "<",
        "/*",
        "*/",
        "\\",
        "image-set(",
        ";",
        "}",
        " ",
        "\n",
        "=",
        "<meta charset=gbk>",
        "<textarea>",
        "<svg>",
        "<![CDATA[",
        "//in",
    ])
}

const TYPES: [&str; 6] = [
    "text/html",
    "text/html;charset=shift_jis",
    "text/css",
    "text/css;charset=gbk",
    "application/json",
    "text/javascript",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn pieces_do_not_matter(body in body(), cuts in prop::collection::vec(1usize..20, 1..10)) {
        for content_type in TYPES {
            let info = info(content_type, "");
            let whole = translated(&info, &body, body.len().max(1)).unwrap();
            prop_assert_eq!(&translated(&info, &body, 1).unwrap(), &whole);
            let (mut translator, mut out, mut rest) = (translator(&info, ALL).unwrap(), Vec::new(), &body[..]);
            for cut in cuts.iter().cycle() {
                let (mut piece, after) = rest.split_at(rest.len().min(*cut));
                while translator.push(&mut piece, &mut out).unwrap() == Progress::More {}
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            translator.finish(&mut out).unwrap();
            prop_assert_eq!(&out, &whole);
        }
    }

    #[test]
    fn where_nothing_leads_inside_nothing_changes(body in body()) {
        for content_type in TYPES {
            let links: Rc<dyn Links> = Rc::new(|_: &str| None::<String>);
            let mut translator = Translator::new(&info(content_type, ""), ALL, links).unwrap().unwrap();
            let (mut input, mut out) = (&body[..], Vec::new());
            while translator.push(&mut input, &mut out).unwrap() == Progress::More {}
            translator.finish(&mut out).unwrap();
            // Hashes are all that is taken away, and there is none here.
            prop_assert_eq!(&out, &body);
        }
    }

    #[test]
    fn a_coding_is_taken_off_and_put_on(body in body(), piece in 1usize..300) {
        for (name, coding) in [
            ("gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("br", Coding::Brotli),
            ("zstd", Coding::Zstd),
        ] {
            let mut coded = Vec::new();
            let mut encoder = Encoder::new(coding).unwrap().unwrap();
            encoder.write(&body, &mut coded).unwrap();
            encoder.finish(&mut coded).unwrap();
            let expected = translated(&info("text/html", ""), &body, body.len().max(1)).unwrap();
            let out = translated(&info("text/html", name), &coded, piece).unwrap();
            prop_assert_eq!(decoded(coding, &out), expected);
        }
    }

    #[test]
    fn bytes_in_no_coding_are_an_error_or_nothing(coded in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..50) {
        for name in ["gzip", "deflate", "br", "zstd"] {
            let _ = translated(&info("text/html", name), &coded, piece);
        }
    }
}

fn decoded(coding: Coding, mut coded: &[u8]) -> Vec<u8> {
    let (mut decoder, mut buffer, mut out) = (Decoder::new(coding), vec![0; 1000], Vec::new());
    loop {
        let step = decoder.run(coded, &mut buffer).unwrap();
        coded = &coded[step.read..];
        out.extend_from_slice(&buffer[..step.written]);
        if coded.is_empty() && step.written < buffer.len() {
            return out;
        }
    }
}

#[test]
fn what_came_is_out_before_more_comes() {
    let page = "<p>so far</p>".repeat(20);
    for name in ["gzip", "deflate", "br", "zstd"] {
        let coding = Coding::parse(name).unwrap();
        let mut encoder = Encoder::new(coding).unwrap().unwrap();
        let mut coded = Vec::new();
        encoder.write(page.as_bytes(), &mut coded).unwrap();
        encoder.flush(&mut coded).unwrap();
        let mut translator = translator(&info("text/html", name), ALL).unwrap();
        let (mut input, mut out) = (&coded[..], Vec::new());
        while translator.push(&mut input, &mut out).unwrap() == Progress::More {}
        assert_eq!(String::from_utf8(decoded(coding, &out)).unwrap(), page, "{name}");
    }
}

#[test]
fn no_step_puts_out_more_than_its_share() {
    // 64 MiB of tags in some 60 KiB.
    let mut encoder = Encoder::new(Coding::Gzip).unwrap().unwrap();
    let mut coded = Vec::new();
    for _ in 0..1024 {
        encoder.write(&b"<p>".repeat(20_000), &mut coded).unwrap();
    }
    encoder.finish(&mut coded).unwrap();
    let mut translator = translator(&info("text/html", "gzip"), ALL).unwrap();
    let (mut input, mut out, mut largest) = (&coded[..], Vec::new(), 0);
    loop {
        let progress = translator.push(&mut input, &mut out).unwrap();
        largest = largest.max(out.len());
        out.clear();
        if progress == Progress::Hungry {
            break;
        }
    }
    assert!(largest < 256 << 10, "{largest}");
}

#[test]
fn a_body_of_nothing_is_nothing() {
    for name in ["", "gzip", "br"] {
        assert_eq!(translated(&info("text/html", name), b"", 1), Ok(Vec::new()), "{name}");
    }
}
