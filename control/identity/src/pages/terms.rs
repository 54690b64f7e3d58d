//! Terms of use, to be read and accepted. Whatever the text says, it is text: what is shown of it is escaped, and what marks
//! it up is made here.

use maud::{Markup, html};
use postern_model::identity::TermsPage;
use postern_model::secret::SecretText;
use postern_model::terms::TermsFormat;

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Block<'a> {
    /// 1 to 3.
    Heading(u8, &'a str),
    Item(&'a str),
    /// Lines that belong together.
    Paragraph(Vec<&'a str>),
}

/// The page.
pub(super) fn terms(flow: &SecretText, page: &TermsPage, app: &str) -> Markup {
    let TermsPage { name, title, version, format, text, again, instead } = page;
    html! {
        h1 #terms-title { (title) }
        p.where {
            @if *again { "These terms are to be accepted again" } @else { "You are to accept these terms" }
            " before you go on to " strong { (app) } ". Version " (version) "."
            @if let Some(title) = instead {
                " If you do not accept them, " strong { (title) } " will do as well: you see them next."
            }
        }
        // Whoever uses a keyboard scrolls it when it has the focus.
        div.terms role="region" aria-labelledby="terms-title" tabindex="0" {
            @match format {
                TermsFormat::Plain => p.lines { (text.as_str()) },
                TermsFormat::Markdown => (marked(&blocks(text.as_str()))),
            }
        }
        form method="post" action="/sign-in/factor" {
            input type="hidden" name="flow" value=(flow.expose());
            // Of two clicks the second must not accept what comes next.
            @if let Some(name) = name {
                input type="hidden" name="name" value=(name.as_str());
                input type="hidden" name="version" value=(version);
            }
            button type="submit" name="answer" value="terms-accept" { "I accept these terms" }
            button.quiet type="submit" name="answer" value="terms-decline" { "I do not accept" }
        }
    }
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    // Whether the next line goes on with the last paragraph.
    let mut goes_on = false;
    for line in text.lines().map(str::trim) {
        let marks = line.bytes().take_while(|byte| *byte == b'#').count();
        let heading = u8::try_from(marks).ok().filter(|marks| (1..=3).contains(marks));
        let heading = heading.zip(line.get(marks..).and_then(|rest| rest.strip_prefix(' ')));
        let item = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
        match (heading, item, blocks.last_mut()) {
            _ if line.is_empty() => {}
            (Some((level, words)), ..) => blocks.push(Block::Heading(level, words.trim())),
            (None, Some(words), _) => blocks.push(Block::Item(words.trim())),
            (None, None, Some(Block::Paragraph(lines))) if goes_on => lines.push(line),
            (None, None, _) => blocks.push(Block::Paragraph(vec![line])),
        }
        goes_on = !line.is_empty() && heading.is_none() && item.is_none();
    }
    blocks
}

/// The page's own heading is the first level.
fn marked(blocks: &[Block<'_>]) -> Markup {
    let is_item = |block: &Block<'_>| matches!(block, Block::Item(_));
    html! {
        @for run in blocks.chunk_by(|one, other| is_item(one) && is_item(other)) {
            @match run {
                [Block::Heading(1, words), ..] => h2 { (words) },
                [Block::Heading(2, words), ..] => h3 { (words) },
                [Block::Heading(_, words), ..] => h4 { (words) },
                [Block::Paragraph(lines), ..] => p { (lines.join(" ")) },
                items => ul { @for block in items { @if let Block::Item(words) = block { li { (words) } } } },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: TermsFormat, text: &str) -> String {
        let text = text.to_owned().try_into().unwrap();
        let instead = Some("<i>Lab".into());
        let name = Some("house".parse().unwrap());
        let page = TermsPage { name, title: "<i>House".into(), version: 3, format, text, again: false, instead };
        terms(&SecretText::new("\"flow".into()), &page, "<b>wiki").into_string()
    }

    #[test]
    fn marks_are_made_here_and_nowhere_else() {
        let text =
            "# One <script>\nline\nmore\n\n## Two\n- a\n* b\n\n[x](javascript:alert(1)) <img src=x>\n####no\n#no";
        let html = page(TermsFormat::Markdown, text);
        for part in [
            "<h2>One &lt;script&gt;</h2><p>line more</p><h3>Two</h3><ul><li>a</li><li>b</li></ul>",
            "<p>[x](javascript:alert(1)) &lt;img src=x&gt; ####no #no</p>",
            "&lt;i&gt;House",
            "&lt;i&gt;Lab",
            "&lt;b&gt;wiki",
            "value=\"&quot;flow\"",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        let plain = page(TermsFormat::Plain, "# One\n <b>two</b>");
        assert!(plain.contains("<p class=\"lines\"># One\n &lt;b&gt;two&lt;/b&gt;</p>"), "{plain}");
    }

    #[test]
    fn everybody_can_read_and_answer_it() {
        let html = page(TermsFormat::Plain, "x");
        for part in [
            "role=\"region\" aria-labelledby=\"terms-title\" tabindex=\"0\"",
            "id=\"terms-title\"",
            "value=\"terms-accept\"",
            "value=\"terms-decline\"",
            "Version 3.",
            "<input type=\"hidden\" name=\"name\" value=\"house\">",
            "<input type=\"hidden\" name=\"version\" value=\"3\">",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }
}
