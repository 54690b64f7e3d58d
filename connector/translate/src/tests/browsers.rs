//! Pages before and after translation, as a browser's own parser reads them: the same tree, but for what attributes lead to.

mod nested;
mod random;
mod table;
mod tree;

use std::rc::Rc;

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;
pub(super) use tree::HOLD_URLS;
use tree::{Line, lines};

use super::*;

/// A page's URLs alone; style and script have tests of their own.
const PAGES: Kinds = Kinds { html: true, css: false, json: false, js: false };
const INSIDE: &str = "http://in/";
const OUTSIDE: &str = "https://out.example/";

/// The same pages in every run, unless told how many: other ones, then.
fn config(usual: u32) -> ProptestConfig {
    match std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()) {
        Some(cases) => ProptestConfig { cases, ..ProptestConfig::default() },
        None => ProptestConfig { cases: usual, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() },
    }
}

/// What becomes of `page` that comes in pieces of those lengths, time and again.
fn page_translated(page: &str, pieces: &[usize]) -> String {
    let links: Rc<dyn Links> = Rc::new(|url: &str| url.strip_prefix(INSIDE).map(|rest| format!("{OUTSIDE}{rest}")));
    let mut translator = Translator::new(&info("text/html; charset=utf-8", ""), PAGES, links).unwrap().unwrap();
    let (mut rest, mut out, mut pieces) = (page.as_bytes(), Vec::new(), pieces.iter().cycle());
    while !rest.is_empty() {
        let (mut piece, behind) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
        while translator.push(&mut piece, &mut out).unwrap() == Progress::More {}
        rest = behind;
    }
    translator.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What differs, if anything does beyond the URLs of attributes, each of which leads outside in `translated`.
fn difference(page: &str, translated: &str) -> Option<String> {
    first_difference(&lines(page), &lines(translated), |before, after| match before {
        Line::Attribute { name, .. } if before.holds_urls() => before.map(|value| mapped(name, value)) == *after,
        Line::Attribute { .. } | Line::Other(_) => before == after,
    })
}

/// What differs, if anything does beyond where URLs lead, be they attributes' or what only looks like one.
fn harm(page: &str, translated: &str) -> Option<String> {
    let plain = |line: Line| line.map(|text| text.replace("&#47;", "/").replace(OUTSIDE, INSIDE));
    let plain =
        |page: &str| -> Vec<_> { lines(page).into_iter().filter(|line| !line.is_url_as_name()).map(plain).collect() };
    first_difference(&plain(page), &plain(translated), |before, after| before == after)
}

fn first_difference(before: &[Line], after: &[Line], is_alike: impl Fn(&Line, &Line) -> bool) -> Option<String> {
    if let Some((before, after)) = before.iter().zip(after).find(|(before, after)| !is_alike(before, after)) {
        return Some(format!("{before:?} became {after:?}"));
    }
    (before.len() != after.len()).then(|| format!("{} nodes became {}", before.len(), after.len()))
}

/// By the Standard of each attribute, not by what translation does.
fn mapped(name: &str, value: &str) -> String {
    let is_space = |character: char| character.is_ascii_whitespace();
    match name {
        // Tokens with white space between.
        "ping" | "archive" => {
            let tokens = value.split_inclusive(is_space);
            tokens
                .map(|token| token.strip_prefix(INSIDE).map_or(token.to_owned(), |rest| format!("{OUTSIDE}{rest}")))
                .collect()
        }
        "srcset" | "imagesrcset" => {
            // None of the tests' has commas in a URL.
            let parts = value.split_inclusive(|character| is_space(character) || character == ',');
            parts
                .map(|part| part.strip_prefix(INSIDE).map_or(part.to_owned(), |rest| format!("{OUTSIDE}{rest}")))
                .collect()
        }
        _ => {
            let url = value.trim_start_matches(|character: char| character <= ' ');
            match url.strip_prefix(INSIDE) {
                Some(rest) => format!("{}{OUTSIDE}{rest}", &value[..value.len() - url.len()]),
                None => value.to_owned(),
            }
        }
    }
}
