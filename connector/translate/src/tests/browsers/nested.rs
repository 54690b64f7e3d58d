use proptest::prelude::*;

use super::*;

/// Attributes as pages have them.
fn attributes() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        "",
        " class=a",
        " href='http://in/a?b&amp;c'",
        " href=http://in/a",
        " HREF = \"http:&#47;/in/a\"",
        " src=http://in/ alt='>'",
        " title='<a href=http://in/x>' data='http://in/a'",
        " ping='http://in/a http://other/ http://in/b'",
        " srcset=\"http://in/a 1x, http://in/b 2x\"",
        " xlink:href='http://in/#a'",
        " action=http://in/a background='\nhttp://in/b '",
        " cite='a/b' poster=/a longdesc=\"http://in/'\"",
        " data-x=http://in/a value='http://in/a'",
    ])
    .prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "some text",
        "\n",
        "a &lt; b",
        "1 < 2",
        "<!-- <a href=http://in/a> -->",
        "http://in/a",
        "<br>",
        "<br/>",
        "é\u{1f600}",
    ])
    .prop_map(str::to_owned)
}

/// Elements of which the text is only text.
fn raw() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "script", "style", "title", "textarea", "noscript", "iframe", "xmp", "noembed", "noframes",
    ]);
    let text = prop::sample::select(vec![
        "",
        "<a href=http://in/a>",
        "x='<p title=\"'",
        "<!-- <a href='http://in/a'> -->",
        "<svg><![CDATA[",
        "</x><p src='http://in/a'",
    ]);
    (name, attributes(), text).prop_map(|(name, attributes, text)| format!("<{name}{attributes}>{text}</{name}>"))
}

fn void() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["img", "br", "hr", "input", "link", "embed", "wbr", "area", "source"]);
    (name, attributes(), prop::sample::select(vec!["", " /"]))
        .prop_map(|(name, attributes, closes)| format!("<{name}{attributes}{closes}>"))
}

fn element(name: &str, attributes: &str, content: &[String]) -> String {
    format!("<{name}{attributes}>{}</{name}>", content.concat())
}

/// HTML, with pictures and formulas in it, and HTML in those.
fn html() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![3 => text(), 2 => raw(), 2 => void()];
    leaf.boxed().prop_recursive(6, 40, 4, |inner| {
        let names = prop::sample::select(vec![
            "div", "section", "ul", "blockquote", "article", "x-y", "template", "object", "video", "details",
        ]);
        let content = prop::collection::vec(inner.clone(), 0..4);
        let phrases = prop::collection::vec(prop_oneof![text(), void_inline()], 0..3);
        prop_oneof![
            4 => (names, attributes(), content.clone()).prop_map(|(name, attributes, content)| element(name, &attributes, &content)),
            2 => (prop::sample::select(vec!["p", "span", "b", "h2", "label", "em", "cite"]), attributes(), phrases)
                .prop_map(|(name, attributes, content)| element(name, &attributes, &content)),
            1 => (attributes(), content.clone())
                .prop_map(|(attributes, content)| format!("<table{attributes}><tr><td>{}</td></tr></table>", content.concat())),
            1 => (attributes(), content.clone())
                .prop_map(|(attributes, content)| format!("<ul><li{attributes}>a<li>{}</ul>", content.concat())),
            1 => (attributes(), content.clone()).prop_map(|(attributes, content)| format!("<p{attributes}>a<div>{}</div>", content.concat())),
            3 => (attributes(), svg(content.clone().boxed())).prop_map(|(attributes, content)| format!("<svg{attributes}>{content}</svg>")),
            // One that never ends, but with what is around it.
            1 => (prop::sample::select(vec!["div", "span", "td", "x-icon"]), svg(content.clone().boxed())).prop_map(|(name, content)| {
                let table = if name == "td" { ("<table><tr>", "</tr></table>") } else { ("", "") };
                format!("{}<{name}><svg>{content}</{name}>{}", table.0, table.1)
            }),
            1 => (attributes(), content).prop_map(|(attributes, content)| {
                let html = content.concat();
                format!("<math{attributes}><mi>x</mi><mrow><mtext>{html}</mtext><mspace/></mrow><annotation-xml encoding='text/html'>\
                         {html}</annotation-xml></math>")
            }),
        ]
    })
}

fn void_inline() -> impl Strategy<Value = String> {
    attributes().prop_map(|attributes| format!("<img{attributes}>"))
}

/// What is in a picture.
fn svg(html: BoxedStrategy<Vec<String>>) -> impl Strategy<Value = String> {
    let part = prop_oneof![
        2 => attributes().prop_map(|attributes| format!("<path{attributes}/>")),
        1 => attributes().prop_map(|attributes| format!("<path{attributes}></path></path>")),
        1 => attributes().prop_map(|attributes| format!("<g{attributes}><use{attributes} /><a{attributes}>text</a></g>")),
        1 => Just(String::from("<style>a{}<!-- <a href=http://in/a> --></style><script>1<2</script>")),
        1 => Just(String::from("<style><![CDATA[ <a href=http://in/a> ]]></style><![CDATA[<p>]]]]>")),
        1 => attributes().prop_map(|attributes| format!("<title{attributes}>a title</title><svg><image{attributes}></image></svg>")),
        2 => (prop::sample::select(vec!["foreignObject", "desc", "title"]), attributes(), html)
            .prop_map(|(name, attributes, content)| element(name, &attributes, &content)),
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

fn page() -> impl Strategy<Value = String> {
    let head = prop::sample::select(vec![
        "",
        "<!doctype html>",
        "<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0' 'http://in/dtd'><html><head profile=http://in/a><title>a<b></title></head>",
        "<html manifest=http://in/a><body background='http://in/a'>",
    ]);
    (head, prop::collection::vec(html(), 0..6)).prop_map(|(head, parts)| format!("{head}{}", parts.concat()))
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn every_url_leads_outside_and_nothing_else_changes(
        page in page(),
        pieces in prop::collection::vec(1usize..30, 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let translated = page_translated(&page, &pieces);
        prop_assert_eq!(difference(&page, &translated), None, "{}", translated);
        // Wherever it is cut off.
        let end = (0..=end.index(page.len() + 1)).rev().find(|end| page.is_char_boundary(*end)).unwrap();
        let translated = page_translated(&page[..end], &pieces);
        prop_assert_eq!(difference(&page[..end], &translated), None, "{}", translated);
    }
}
