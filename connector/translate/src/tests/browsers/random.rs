use proptest::prelude::*;

use super::*;

/// Whatever breaks a page, in any order.
const PARTS: &[&str] = &[
    // URLs in attributes, however they are written, and what only looks like one.
    "<a href=http://in/a>",
    "<a href='http://in/a'>",
    "<img src=\"http://in/a\"/>",
    "<p title='<a href=http://in/a>'>",
    "<p title=\"<a href='http://in/a'>\">",
    "<a href='http:&#47;&#47;in/&#39;&gt;&lt;&sol;script&gt;--&gt;'>",
    "<a href=\"http://in/<&sol;style>&quot;\">",
    "<i ping=' http://in/a http://in/b'>",
    "<img srcset='http://in/a 1x, http://in/b'>",
    "<use xlink:href=http://in/a />",
    "http://in/a",
    " href=http://in/a",
    " href='http://in/a",
    " src=\"http://in/a\"",
    " x=",
    "=",
    "/",
    ">",
    "<",
    "</",
    "<!",
    "<?",
    "'",
    "\"",
    " ",
    "\n",
    "\r",
    "\0",
    "é",
    "x",
    "-",
    "&",
    "&quot;",
    "&#39;",
    // Comments and the like.
    "<!--",
    "-->",
    "--!>",
    "<!-->",
    "<!--->",
    "<!->",
    "<!doctype html>",
    "<!DOCTYPE x PUBLIC \"",
    "<?xml ",
    "</ ",
    "<![CDATA[",
    "]]>",
    "]]",
];

/// Elements whose tags may stand anywhere.
const ELEMENTS: &[&str] = &[
    "script",
    "style",
    "title",
    "textarea",
    "noscript",
    "iframe",
    "noframes",
    "noembed",
    "xmp",
    "svg",
    "math",
    "desc",
    "foreignObject",
    "annotation-xml",
    "mi",
    "mtext",
    "mglyph",
    "path",
    "g",
    "font",
    "p",
    "div",
    "span",
    "b",
    "a",
    "br",
    "table",
    "tr",
    "td",
    "template",
    "select",
    "option",
    "ul",
    "li",
    "h1",
    "button",
    "form",
    "body",
    "head",
    "html",
    "x-y",
    "image",
    "SCRIPT",
    "sVG",
];

/// `<plaintext>` ends everything, and what is in a `<frameset>` is ignored: seldom, therefore.
const SELDOM: &[&str] = &["plaintext", "frameset", "frame", "col", "caption", "object", "input", "hr"];

fn part() -> impl Strategy<Value = String> {
    let name = || prop_oneof![20 => prop::sample::select(ELEMENTS), 1 => prop::sample::select(SELDOM)];
    prop_oneof![
        8 => prop::sample::select(PARTS).prop_map(str::to_owned),
        6 => name().prop_map(|name| format!("<{name}>")),
        4 => name().prop_map(|name| format!("</{name}>")),
        1 => name().prop_map(|name| format!("<{name}/>")),
        1 => name().prop_map(|name| format!("<{name}")),
        1 => name().prop_map(|name| format!("<{name} color=x href=http://in/a>")),
        1 => Just(String::from("<annotation-xml encoding=text/html>")),
        1 => Just(String::from("<math><annotation-xml encoding='application/xhtml+XML'>")),
    ]
}

/// What comes before, so that where the tokenizer cannot follow the rest is tried as well.
const BEFORE: &[&str] =
    &["<svg></div>", "<math></x-y>", "<frameset>", "<template><col>", "<div><td><svg></div>", "<svg><p><g>"];

fn page() -> impl Strategy<Value = String> {
    let before = prop_oneof![2 => Just(""), 1 => prop::sample::select(BEFORE)];
    let parts = |(before, parts): (&str, Vec<String>)| format!("{before}{}", parts.concat());
    (before, prop::collection::vec(part(), 0..24)).prop_map(parts)
}

/// Without what makes the reading of a page depend on what is open.
fn flat_page() -> impl Strategy<Value = String> {
    let is_flat = |part: &String| {
        let part = part.to_ascii_lowercase();
        !["svg", "math", "frameset", "template"].iter().any(|name| part.contains(name))
    };
    let parts = move |parts: Vec<String>| parts.into_iter().filter(is_flat).collect();
    prop::collection::vec(part(), 0..24).prop_map(parts)
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..30, 1..4)
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn whatever_comes_nothing_but_urls_changes(page in page(), pieces in pieces()) {
        let translated = page_translated(&page, &pieces);
        prop_assert_eq!(harm(&page, &translated), None, "{}", translated);
    }

    #[test]
    fn what_is_in_no_picture_is_read_as_browsers_do(page in flat_page(), pieces in pieces()) {
        let translated = page_translated(&page, &pieces);
        prop_assert_eq!(difference(&page, &translated), None, "{}", translated);
    }
}
