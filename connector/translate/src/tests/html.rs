use super::browsers::HOLD_URLS;
use super::*;

/// What becomes of `body`, the same in pieces of any length.
fn check(body: &str, expected: &str) {
    for piece in 1..=body.len().max(1) {
        let out = translated(&info("text/html", ""), body.as_bytes(), piece).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "in pieces of {piece}");
    }
}

#[test]
fn every_attribute_that_holds_a_url_comes_out() {
    for name in HOLD_URLS {
        check(&format!("<x {name}='http://in/a' b=c>"), &format!("<x {name}='https://out.example/a' b=c>"));
        check(&format!("<x {name}=/base/a>"), &format!("<x {name}=/shop/a>"));
        for other in ["http://inner/a", "https://in/a", "a/b", "mailto:a@in", "javascript:x", "#in", "", "/other"] {
            let body = format!("<x {name}='{other}' b=c>");
            check(&body, &body);
        }
    }
}

#[test]
fn attributes_of_several_values_are_taken_apart() {
    check(
        "<a ping='http://in/a  http://x/ //in/b'>",
        "<a ping='https://out.example/a  http://x/ https://out.example/b'>",
    );
    check("<img srcset='http://in/a 1x, b 2x'>", "<img srcset='https://out.example/a 1x, b 2x'>");
    check("<p style='background:url(\"http://in/a\")'>", "<p style='background:url(\"https://out.example/a\")'>");
    check("<p style=\"b:url(&quot;http://in/a&quot;)\">", "<p style=\"b:url(&quot;https://out.example/a&quot;)\">");
}

#[test]
fn references_and_white_space_are_understood() {
    check("<a href=' http:&#47;&sol;in/a?b&amp;c&d '>", "<a href=' https://out.example/a?b&amp;c&d '>");
    check("<A HREF=\"http://in/a\n\">", "<A HREF=\"https://out.example/a\n\">");
    check("<a href=x href='http://in/a'>", "<a href=x href='http://in/a'>");
    check("<a href='http://in/\"'>", "<a href='https://out.example/\"'>");
    check("<a href=http://in/&#39;>", "<a href=https://out.example/&#39;>");
    check("<a href='http://in/&#39;'>", "<a href='https://out.example/&#39;'>");
    check("<a href=\"http://in/'&#34;\">", "<a href=\"https://out.example/'&#34;\">");
}

#[test]
fn text_comments_and_raw_elements_stay() {
    for body in [
        "http://in/a <!-- <a href='http://in/a'> --> <!doctype html>",
        "<textarea><a href='http://in/a'></textarea>",
        "<title><a href='http://in/a'></title>",
        "<a href='http://in/a'",
        "<a usemap='http://in/a' value=http://in/a data-x=http://in/a>",
        "</a href='http://in/a'>",
    ] {
        check(body, body);
    }
}

#[test]
fn base_leads_paths_to_its_host() {
    check(
        "<base href='http://in/x/'><a href=/y><a href=/base/z><a href=w>",
        "<base href='https://out.example/x/'><a href=https://out.example/y><a href=https://out.example/base/z><a href=w>",
    );
    check("<base href=x/><a href=/base/z>", "<base href=x/><a href=/shop/z>");
    check("<base href=http://other/><a href=/base/z>", "<base href=http://other/><a href=/base/z>");
    // Without a scheme, too; browsers take either slash.
    check(
        "<base href='//in/x/'><a href=/y><a href=/base/z>",
        "<base href='https://out.example/x/'><a href=https://out.example/y><a href=https://out.example/base/z>",
    );
    for other in ["//other/x", "\\\\other", "/\\other/", "//in.other"] {
        let page = format!("<base href='{other}'><a href=/base/z>");
        check(&page, &page);
    }
    let long = format!("<base href='//{}/'><a href=/base/z>", "x".repeat(400));
    assert_eq!(html(&long), long);
}

#[test]
fn attributes_do_not_grow_beyond_measure() {
    let many = "//in/ ".repeat(20_000);
    let styles = "a:url(//in/);".repeat(20_000);
    for page in [format!("<a ping='{many}'>"), format!("<p style='{styles}'>")] {
        assert_eq!(html(&page), page);
    }
}

#[test]
fn what_xml_may_not_have_in_attributes_stays_a_reference() {
    check("<a href='http://in/?a&lt;b&#60;c&#x3c;d'>", "<a href='https://out.example/?a&lt;b&#60;c&#x3c;d'>");
}

#[test]
fn meta_is_read_by_what_it_is_for() {
    for (body, expected) in [
        (
            "<meta http-equiv=Refresh content='5; url=http://in/a'>",
            "<meta http-equiv=Refresh content='5; url=https://out.example/a'>",
        ),
        (
            "<meta http-equiv=content-security-policy content=\"img-src 'self' http://in\">",
            "<meta http-equiv=content-security-policy content=\"img-src 'self' https://out.example\">",
        ),
        ("<meta property=og:url content=http://in/a>", "<meta property=og:url content=https://out.example/a>"),
        ("<meta name=twitter:image content=http://in/a>", "<meta name=twitter:image content=https://out.example/a>"),
        ("<meta name=description content=http://in/a>", "<meta name=description content=http://in/a>"),
    ] {
        check(body, expected);
    }
}

#[test]
fn styles_and_scripts_are_read_by_their_own_grammar() {
    for (body, expected) in [
        (
            "<style>/*http://in*/@import 'http://in/a';</style><p>",
            "<style>/*http://in*/@import 'https://out.example/a';</style><p>",
        ),
        ("<script>a='http://in/a'</script>", "<script>a='https://out.example/a'</script>"),
        ("<script type=module>a='http://in/a'</script>", "<script type=module>a='https://out.example/a'</script>"),
        (
            "<script type=application/ld+json>{\"a\":\"http:\\/\\/in\\/a\"}</script>",
            "<script type=application/ld+json>{\"a\":\"https:\\/\\/out.example\\/a\"}</script>",
        ),
        ("<script type=text/template>a='http://in/a'</script>", "<script type=text/template>a='http://in/a'</script>"),
        ("<style>a{b:url(http://in/a", "<style>a{b:url(http://in/a"),
        ("<style>a{b:url(http://in/a</style>", "<style>a{b:url(http://in/a</style>"),
        ("<script>a='http://in/a", "<script>a='http://in/a"),
        ("<script>'http://in/a</script><p>'", "<script>'http://in/a</script><p>'"),
    ] {
        check(body, expected);
    }
}

#[test]
fn integrity_goes_with_what_it_is_about() {
    for (body, expected) in [
        ("<script src=http://in/a integrity=sha256-x></script>", "<script src=https://out.example/a></script>"),
        ("<script src=a integrity=sha256-x></script>", "<script src=a></script>"),
        ("<link rel=stylesheet href=a integrity=sha256-x>", "<link rel=stylesheet href=a>"),
        (
            "<script src=https://cdn.example/a integrity=x></script>",
            "<script src=https://cdn.example/a integrity=x></script>",
        ),
    ] {
        check(body, expected);
    }
}

#[test]
fn bytes_that_are_no_text_come_through() {
    let mut body =
        b"<a href='http://in/a' title='\xff\xfe\x81'>\x80\xc3<style>\xff\xe9 url(http://in/b)</style>".to_vec();
    body.extend(0..=255u8);
    let mut expected =
        b"<a href='https://out.example/a' title='\xff\xfe\x81'>\x80\xc3<style>\xff\xe9 url(https://out.example/b)</style>"
            .to_vec();
    expected.extend(0..=255u8);
    for charset in ["", "; charset=utf-8", "; charset=iso-8859-1", "; charset=koi8-r"] {
        for piece in [1, 2, 3, 50, body.len()] {
            let content_type = format!("text/html{charset}");
            assert_eq!(translated(&info(&content_type, ""), &body, piece).unwrap(), expected, "{charset} {piece}");
        }
    }
}

#[test]
fn other_charsets_are_left_alone() {
    for content_type in ["text/html; charset=utf-16", "text/html; charset=iso-2022-jp"] {
        assert!(translator(&info(content_type, ""), ALL).is_none(), "{content_type}");
    }
    let utf_16: Vec<u8> = "\u{feff}<a href='http://in/a'>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [utf_16, b"<meta charset=iso-2022-jp><a href='http://in/a'>".to_vec()] {
        assert_eq!(translated(&info("text/html", ""), &body, 1).unwrap(), body);
    }
    // A mark counts more than the head.
    let marked = "\u{feff}<a href='http://in/a'>";
    assert!(html(marked).contains("https://out.example/a"));
}

#[test]
fn a_page_that_is_too_much_passes_from_there_on() {
    let link = "<a href='http://in/a'>";
    let large = format!("{link}<img src='data:{}'>{link}", "x".repeat(3 << 20));
    let out = html(&large);
    assert_eq!(out, large.replacen(link, "<a href='https://out.example/a'>", 1));
    // How deep tags are in each other does not matter.
    let deep = format!("{link}{}{link}", "<div>".repeat(2 << 20));
    let out = html(&deep);
    assert!(out.starts_with("<a href='https://out.example/a'><div>"), "{}", out.len());
    assert!(out.ends_with("<div><a href='https://out.example/a'>"), "{}", out.len());
}

#[test]
fn attributes_that_go_leave_their_neighbours_apart() {
    for (body, expected) in [
        ("<script integrity=x src=a>", "<script src=a>"),
        ("<script src=a integrity=x>", "<script src=a>"),
        ("<script src=a integrity=x async>", "<script src=a async>"),
        ("<script src=a integrity='x'async>", "<script src=a async>"),
        ("<script src=a integrity='x'/>", "<script src=a />"),
        ("<script src='a'integrity\n=\n'x'>", "<script src='a'>"),
        ("<script src=a integrity>", "<script src=a>"),
        ("<script src='a'/integrity=x>", "<script src='a'/ >"),
        ("<script src='a' / integrity=x>", "<script src='a' / >"),
        ("<script src='a'/integrity=x async>", "<script src='a'/ async>"),
    ] {
        check(body, expected);
    }
}

#[test]
fn comments_and_sections_end_where_browsers_end_them() {
    let (link, out) = ("<a href=http://in/a>", "<a href=https://out.example/a>");
    for before in [
        "<!-->",
        "<!--->",
        "<!---->",
        "<!--a-->",
        "<!--a--!>",
        "<!--a--->",
        "<!doctype html>",
        "<?xml x?>",
        "</>",
        "</ >",
        "<!>",
        "<!-x>",
        "< <",
        "<![CDATA[>",
        "<svg><![CDATA[ <a> ]]>",
        "<svg><style></style>",
        "<script><!--</script>",
        "<noscript></noscript>",
    ] {
        check(&format!("{before}{link}"), &format!("{before}{out}"));
    }
    for before in [
        "<!--",
        "<!--!>",
        "<!---!>",
        "<!--a->",
        "<!--a--!",
        "<svg><![CDATA[ ] ]>",
        "<script><!--<script></script>",
        "<noscript>",
        "<plaintext>",
        "<title></titles>",
        "<iframe>",
        "<a title='",
        "<!doctype ",
    ] {
        let page = format!("{before}{link}");
        check(&page, &page);
    }
}

#[test]
fn styles_of_pictures_are_read_wherever_they_stand() {
    let (text, out) = ("a{b:url(http://in/a)}", "a{b:url(https://out.example/a)}");
    for (before, after) in [("<svg><style>", "</style></svg>"), ("<svg><style><![CDATA[", "]]></style></svg>")] {
        check(&format!("{before}{text}{after}"), &format!("{before}{out}{after}"));
    }
    for page in [
        format!("<svg><style/><text>{text}</text></svg>"),
        "<svg><style>a:url(/b<base href=".into(),
        format!("{text}<svg>{text}<style></style>{text}</svg>{text}<svg><style>"),
        format!("{text}<svg>{text}<script>"),
    ] {
        check(&page, &page);
    }
}

#[test]
fn what_stands_before_a_pictures_style_or_script_is_none_of_it() {
    let (text, out) = ("a{b:url(http://in/a)}", "a{b:url(https://out.example/a)}");
    for before in [format!("<p>{text}<svg class=c><style>"), "<p>it's <b title='/*'><svg><style>".into()] {
        check(&format!("{before}{text}</style></svg>"), &format!("{before}{out}</style></svg>"));
    }
    let page = "<p title=\"http://in/a\">'http://in/a'<svg><script>1</script></svg>";
    check(page, page);
}

#[test]
fn in_xml_any_element_may_be_empty() {
    let page = "<script src='a'/><a href=http://in/a />";
    let out = translated(&info("application/xhtml+xml", ""), page.as_bytes(), 1).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "<script src='a'/><a href=https://out.example/a />");
    check(page, page);
}
