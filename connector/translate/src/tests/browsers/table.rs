use super::*;

/// What pages may begin with that is hard to read.
const BEGINNINGS: &[&str] = &[
    // Raw text, and where it is none.
    "<noscript>",
    "<svg><noscript>",
    "<select><style>",
    "<select><textarea>",
    "<table><style>",
    "<table><tr><textarea>",
    "<table><colgroup><title>",
    "<template><style>",
    "<style></styles></style>",
    "<script><!--<script></script>",
    "<script><!--<script>--></script>",
    "<textarea></textarea/>",
    "<head><noscript></noscript>",
    "<body></body></html><style>",
    "<st\0yle>",
    "<plaintext>",
    "<xmp>",
    "<svg><plaintext>",
    // SVG, MathML, and HTML within them.
    "<svg><style>",
    "<svg><script>",
    "<svg><title><style>",
    "<svg><title></title><style>",
    "<svg><desc><title></title><style>",
    "<svg><desc><svg></desc><style>",
    "<svg><desc><svg></svg></desc><style>",
    "<svg><desc><p></desc></svg><style>",
    "<svg><p><style>",
    "<svg></p><style>",
    "<svg></br><style>",
    "<svg><font color=x><style>",
    "<svg><font><style>",
    "<svg><math><mi><style>",
    "<math><mi><svg><style>",
    "<math><mi><mglyph><style>",
    "<math><svg><desc><style>",
    "<math><annotation-xml><svg><desc><style>",
    "<math><annotation-xml><style>",
    "<math><annotation-xml encoding=text/html><style>",
    "<svg><foreignObject><template></template></foreignObject><style>",
    "<svg/><style>",
    "<svg></svg></svg><style>",
    "</svg><style>",
    "<div><svg></div><style>",
    "<a><svg></a><style>",
    "<table><tr><td><svg><desc><b></td><style>",
    "<table><svg></table><style>",
    "<svg><g></path><style>",
    // CDATA sections, and where they are none.
    "<![CDATA[",
    "<svg><![CDATA[",
    "<svg><![CDATA[>]]>",
    "<svg><![CDATA[]]]>",
    "<svg><desc><![CDATA[",
    "<svg><desc><p><![CDATA[",
    "<svg><desc><p></p><![CDATA[",
    "<svg><p><![CDATA[",
    "<math><mi><![CDATA[",
    "<svg></svg><![CDATA[",
    "<svg><style><![CDATA[",
    "<svg><![cdata[",
    // Comments.
    "<!--",
    "<!-->",
    "<!--->",
    "<!---!>",
    "<!----!>",
    "<!----!-->",
    "<!--<!-->",
    "<!-->-->",
    "<!doctype html PUBLIC '>",
    "</>",
    "</ x='>",
    "<?x ?>",
    "</p x='>",
    "<p x=>",
    "<p x='",
    "<p/x=\">",
    "<p x\"=y>",
    "<p \"=y>",
];

/// As browsers read them: what they take for markup is translated, and nothing else.
#[test]
fn pages_that_are_hard_to_read() {
    for before in BEGINNINGS {
        for link in [
            "<a href=http://in/a>",
            "<i title=\"<a href='http://in/a'>\">",
            "--><p src='http://in/a'/>]]><p src=http://in/>",
        ] {
            let page = format!("{before}{link}");
            let translated = page_translated(&page, &[1]);
            assert_eq!(difference(&page, &translated), None, "{page} became {translated}");
        }
    }
}

/// Where browsers read otherwise ([`crate::html::tree`] says why), a URL stays or changes that should not; no more than that.
#[test]
fn pages_that_are_not_followed_come_to_no_harm() {
    for before in [
        "<svg></div><style>",
        "<svg></div><![CDATA[>",
        "<div><table><td><svg></div><style>",
        "<frameset><style>",
        "<template><col><style>",
        "<form><svg><desc><form><![CDATA[>",
        "<table><td><svg><desc><td><![CDATA[>",
        "<svg><desc><p><b></p>x</desc><style>",
    ] {
        let page = format!("{before}{HARD}<frame src=http://in/a><col cite=http://in/a>");
        let translated = page_translated(&page, &[1]);
        assert!(difference(&page, &translated).is_some(), "{page} is read as browsers do");
        assert_eq!(harm(&page, &translated), None, "{page} became {translated}");
    }
}

/// What would end a text, a comment, a value or a string if it were written otherwise.
const HARD: &str = "<a href=http://in/<&sol;style> title='http://in/'><p src='http:&#47;/in/&#39;&gt;--&gt;&#92;'>";
