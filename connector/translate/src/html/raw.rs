//! Text in which tags are none: where the end tag is that ends it (HTML Standard §13.2.5.2 to §13.2.5.31).

use memchr::memchr;

use super::tag::ends_name;

/// The text of one `<style>`, `<title>`, `<script>` or the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw {
    /// Of its element, in lower case.
    name: &'static str,
    escape: Escape,
}

/// `<!--` in a script: `</script>` behind a `<script>` in it does not end the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// None, or not in a script.
    No,
    /// `dashes` were last, two at most: with `>` they are its end.
    Once { dashes: u8 },
    /// Behind `<script>`.
    Twice { dashes: u8 },
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Only text.
    Text,
    /// From there on something may begin that has not come whole.
    Cut(usize),
    /// There the end tag begins.
    EndTag(usize),
}

/// What `<` begins.
enum Mark {
    Nothing,
    Cut,
    EndTag,
    /// Another kind of escape, and how long what leads there is.
    Escape(Escape, usize),
}

impl Raw {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, escape: Escape::No }
    }

    /// Looks through `text`, to be called again with what is behind it, or with all from where it was cut.
    pub(super) fn next(&mut self, text: &[u8]) -> Next {
        let mut at = 0;
        while let Some(start) = self.candidate(text, at) {
            match self.mark(&text[start..]) {
                Mark::Nothing => at = start + 1,
                Mark::Cut => return Next::Cut(start),
                Mark::EndTag => return Next::EndTag(start),
                Mark::Escape(escape, length) => {
                    self.escape = escape;
                    at = start + length;
                }
            }
        }
        Next::Text
    }

    /// The next `<`, from `at` on; on the way there an escape may end.
    fn candidate(&mut self, text: &[u8], mut at: usize) -> Option<usize> {
        while self.escape != Escape::No {
            let byte = *text.get(at)?;
            let (Escape::Once { dashes } | Escape::Twice { dashes }) = &mut self.escape else { break };
            match byte {
                b'-' => *dashes = 2.min(*dashes + 1),
                b'>' if *dashes == 2 => self.escape = Escape::No,
                _ => *dashes = 0,
            }
            if byte == b'<' {
                return Some(at);
            }
            at += 1;
        }
        memchr(b'<', text.get(at..)?).map(|length| at + length)
    }

    fn mark(&self, bytes: &[u8]) -> Mark {
        let is_script = self.name == "script";
        match (named(bytes, b"</", self.name), self.escape) {
            (Named::Cut, _) => return Mark::Cut,
            (Named::Yes(length), Escape::Twice { .. }) => return Mark::Escape(Escape::Once { dashes: 0 }, length),
            (Named::Yes(_), Escape::No | Escape::Once { .. }) => return Mark::EndTag,
            (Named::No, _) => {}
        }
        match self.escape {
            Escape::No if is_script && bytes.starts_with(ESCAPE) => {
                Mark::Escape(Escape::Once { dashes: 2 }, ESCAPE.len())
            }
            Escape::No if is_script && ESCAPE.starts_with(bytes) => Mark::Cut,
            Escape::No | Escape::Twice { .. } => Mark::Nothing,
            Escape::Once { .. } => match named(bytes, b"<", self.name) {
                Named::Cut => Mark::Cut,
                Named::Yes(length) => Mark::Escape(Escape::Twice { dashes: 0 }, length),
                Named::No => Mark::Nothing,
            },
        }
    }
}

const ESCAPE: &[u8] = b"<!--";

enum Named {
    No,
    Cut,
    /// Without the byte behind the name, how long that is.
    Yes(usize),
}

/// Whether `bytes` begin with `start`, the name and a byte that ends it.
fn named(bytes: &[u8], start: &[u8], name: &str) -> Named {
    let length = start.len() + name.len();
    let has = bytes.len().min(length);
    let is_alike = start.iter().chain(name.as_bytes()).zip(bytes).all(|(is, byte)| is.eq_ignore_ascii_case(byte));
    match bytes.get(length) {
        _ if !is_alike => Named::No,
        Some(byte) if ends_name(*byte) => Named::Yes(length),
        Some(_) => Named::No,
        None if has <= length => Named::Cut,
        None => Named::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the text's end tag is; the same however it comes.
    fn end(name: &'static str, text: &str) -> Option<usize> {
        let mut ends: Vec<_> = (1..=text.len()).map(|piece| end_in_pieces(name, text.as_bytes(), piece)).collect();
        ends.dedup();
        assert_eq!(ends.len(), 1, "{text}");
        ends[0]
    }

    fn end_in_pieces(name: &'static str, text: &[u8], piece: usize) -> Option<usize> {
        let (mut raw, mut from, mut to) = (Raw::new(name), 0, 0);
        while to < text.len() {
            to = text.len().min(to + piece);
            match raw.next(&text[from..to]) {
                Next::Text => from = to,
                Next::Cut(at) => from += at,
                Next::EndTag(at) => return Some(from + at),
            }
        }
        None
    }

    #[test]
    fn text_goes_on_to_its_own_end_tag() {
        for (text, expected) in [
            ("a</style>", Some(1)),
            ("a</STYLE >", Some(1)),
            ("a</style/", Some(1)),
            ("<</style\n", Some(1)),
            ("</styles></sty</style>", Some(14)),
            ("</style", None),
            ("</title></ style>", None),
            ("<!--</style>-->", Some(4)),
        ] {
            assert_eq!(end("style", text), expected, "{text}");
        }
    }

    #[test]
    fn scripts_in_comments_hide_their_end_tags() {
        for (text, expected) in [
            ("a<b</script>", Some(3)),
            ("<!--</script>", Some(4)),
            ("<!--<script></script>", None),
            ("<!--<script></script></script>", Some(21)),
            ("<!--<script>--></script>", Some(15)),
            ("<!--<scripts></script>", Some(13)),
            ("<!--<script>x</script >x</script>", Some(24)),
            ("<!--><script></script>", Some(13)),
            ("<!---><script></script>", Some(14)),
            ("<!-x<script></script>", Some(12)),
            ("<!--a--><script></script>", Some(16)),
            ("<!--a--x><script></script>", None),
            ("<!--a---><script></script>", Some(17)),
            ("<script></script>", Some(8)),
        ] {
            assert_eq!(end("script", text), expected, "{text}");
        }
    }
}
