//! The table of requests and answers, as `cases.txt` writes it.

const TABLE: &str = include_str!("cases.txt");

/// One request, the answer to it, and how what becomes of it may differ.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) method: String,
    /// To its empty line.
    pub(super) head: Vec<u8>,
    pub(super) content: Vec<u8>,
    /// Whether content is sent only when the other side says so.
    pub(super) waits: bool,
    pub(super) answer: Vec<u8>,
    differs: Vec<(Side, String)>,
}

/// Who sees a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Backend,
    Client,
}

impl Case {
    /// Why this side sees something else, if it does.
    pub(super) fn reasons(&self, side: Side) -> impl Iterator<Item = &str> {
        self.differs.iter().filter(move |(of, _)| *of == side).map(|(_, reason)| reason.as_str())
    }

    pub(super) fn differences(&self) -> usize {
        self.differs.len()
    }
}

/// Every case; `host` is where clients go, `backend` where the application is.
pub(super) fn all(host: &str, backend: &str) -> Vec<Case> {
    let mut cases: Vec<(String, Vec<&str>)> = Vec::new();
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with("# ") && *line != "#") {
        match line.strip_prefix("=== ") {
            Some(name) => cases.push((name.to_owned(), Vec::new())),
            None => cases.last_mut().expect("a line belongs to a case").1.push(line),
        }
    }
    cases.into_iter().map(|(name, lines)| read(name, &lines, host, backend)).collect()
}

fn read(name: String, lines: &[&str], host: &str, backend: &str) -> Case {
    let of = |mark: char| -> Vec<&str> {
        let own = lines.iter().filter_map(|line| line.strip_prefix(mark));
        own.map(|rest| rest.strip_prefix(' ').unwrap_or(rest)).collect()
    };
    let put = |message: &str, content: &[u8]| -> Vec<u8> {
        let length = content.len().to_string();
        let placed = message.replace("@HOST@", host).replace("@BACKEND@", backend).replace("@LENGTH@", &length);
        bytes(&placed)
    };
    let (asked, content) = parts(&of('>'));
    let first = asked.first().unwrap_or_else(|| panic!("{name} asks for nothing")).clone();
    let method = first.split(' ').next().unwrap_or_default().to_owned();
    let own = [format!("Host: {host}"), format!("X-Case: {name}")];
    let head = [&asked[..1], &own, &asked[1..]].concat();
    let waits = head.iter().any(|line| line.starts_with("Expect:"));
    let head = head.iter().map(|line| put(line, &content)).collect::<Vec<_>>();

    let answered = of('<');
    let answered = if answered.is_empty() { vec!["HTTP/1.1 200 OK", "Content-Length: 2", "", "ok"] } else { answered };
    let (lines_answered, answer_content) = parts(&answered);
    let is_interim = lines_answered[0].starts_with("HTTP/1.1 1");
    let always = ["Server: recorder", "Date: Mon, 30 Nov 2026 00:00:00 GMT", "Connection: close"].map(str::to_owned);
    let added = if is_interim { &always[..0] } else { &always[..] };
    let whole = [&lines_answered[..1], added, &lines_answered[1..]].concat();
    let whole = whole.iter().map(|line| put(line, &answer_content)).collect::<Vec<_>>();
    let differs = of('!').into_iter().map(|line| difference(&name, line)).collect();
    let answer = [message(&whole), answer_content].concat();
    Case { name, method, head: message(&head), content, waits, answer, differs }
}

/// A head's lines, and the content.
fn parts(lines: &[&str]) -> (Vec<String>, Vec<u8>) {
    let end = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let content = lines.get(end + 1..).unwrap_or_default();
    (
        lines[..end].iter().map(|line| (*line).to_owned()).collect(),
        content.iter().flat_map(|line| bytes(line)).collect(),
    )
}

fn message(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut head = lines.join(&b"\r\n"[..]);
    head.extend_from_slice(b"\r\n\r\n");
    head
}

fn difference(name: &str, line: &str) -> (Side, String) {
    let (side, reason) = line.split_once(' ').unwrap_or_else(|| panic!("{name}: why does {line} differ?"));
    let side = match side {
        "backend" => Side::Backend,
        "client" => Side::Client,
        other => panic!("{name}: {other} is neither backend nor client"),
    };
    (side, reason.to_owned())
}

/// Repetitions written out, then escapes.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['\\', '{']) {
        out.extend_from_slice(&rest.as_bytes()[..start]);
        rest = &rest[start..];
        let (written, used) = if rest.starts_with('{') { repeated(rest) } else { escaped(rest) };
        out.extend_from_slice(&written);
        rest = &rest[used..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// `{N*TEXT}`, or a brace that means itself; and how much of the text it was.
fn repeated(text: &str) -> (Vec<u8>, usize) {
    let inner = text.find('}').map(|end| (&text[1..end], end + 1));
    let counted = inner.and_then(|(inner, used)| {
        let (count, what) = inner.split_once('*')?;
        Some((bytes(what).repeat(count.parse::<usize>().ok()?), used))
    });
    counted.unwrap_or_else(|| (b"{".to_vec(), 1))
}

fn escaped(text: &str) -> (Vec<u8>, usize) {
    match text.as_bytes().get(1) {
        Some(b'r') => (b"\r".to_vec(), 2),
        Some(b'n') => (b"\n".to_vec(), 2),
        Some(b't') => (b"\t".to_vec(), 2),
        Some(b'\\') => (b"\\".to_vec(), 2),
        Some(b'x') => (vec![u8::from_str_radix(&text[2..4], 16).expect("two hexadecimal digits")], 4),
        other => panic!("there is no escape {other:?} in {text}"),
    }
}

#[test]
fn the_table_is_read_as_it_says() {
    assert_eq!(bytes(r"a\r\n\x00\xff\\{3*b\t}{c}"), b"a\r\n\x00\xff\\b\tb\tb\t{c}");
    let cases = all("x.test:1", "10.0.0.1:2");
    let named = |name: &str| cases.iter().find(|case| case.name == name).unwrap();
    let post = named("post");
    assert_eq!(post.method, "POST");
    assert!(post.head.starts_with(b"POST /form HTTP/1.1\r\nHost: x.test:1\r\nX-Case: post\r\nContent-Type: "));
    assert!(post.head.ends_with(b"Content-Length: 7\r\n\r\n"));
    assert_eq!(post.content, b"a=1&b=2");
    assert!(post.answer.starts_with(b"HTTP/1.1 200 OK\r\nServer: recorder\r\nDate: "));
    assert!(post.answer.ends_with(b"Content-Length: 2\r\n\r\nok"));
    let location = b"Location: http://10.0.0.1:2/new\r\n";
    assert!(named("answer-redirect-to-itself").answer.windows(location.len()).any(|window| window == location));
    assert!(named("expect").waits && !post.waits);
    assert_eq!(named("te-trailers").reasons(Side::Backend).count(), 1);
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "a name stands twice");
}
