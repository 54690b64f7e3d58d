//! The end of an HTTP/1.1 answer, found in pieces as they come: status, length or chunks. Content is counted, not kept.

use std::io;

use super::link::Link;

const LINE_BYTES_MAX: usize = 16 * 1024;

/// One answer on its way.
#[derive(Debug, Default)]
pub struct Answer {
    stage: Stage,
    /// The line that has begun.
    line: Vec<u8>,
    status: u16,
    length: u64,
    is_chunked: bool,
    content: u64,
    /// The last `Set-Cookie`.
    set_cookie: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Status,
    Headers,
    Content(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Done,
}

/// Sends a request and waits for its whole answer; returns the bytes of its content. Anything but 200 is an error.
pub async fn exchange(link: &mut Link, request: &[u8]) -> io::Result<u64> {
    answered(link, request).await.map(|answer| answer.content)
}

/// As [`exchange`], with all that is known of the answer.
pub async fn answered(link: &mut Link, request: &[u8]) -> io::Result<Answer> {
    link.send(request).await?;
    let mut answer = Answer::default();
    while !answer.is_done() {
        link.receive(&mut |piece| answer.take(piece)).await?;
    }
    match answer.status {
        200 => Ok(answer),
        status => Err(io::Error::other(format!("status {status}"))),
    }
}

impl Answer {
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Bytes of content so far.
    pub fn content(&self) -> u64 {
        self.content
    }

    /// `shown`, the value of a request's `Cookie`, with what the answer sets of it. `None`: it sets nothing that was shown.
    pub fn renewed(&self, shown: &str) -> Option<String> {
        let pair = self.set_cookie.as_ref()?.split(';').next()?.trim();
        let name = pair.split_once('=')?.0;
        let is_it = |other: &str| other.split_once('=').is_some_and(|(other, _)| other == name);
        let pairs: Vec<&str> = shown.split("; ").map(|other| if is_it(other) { pair } else { other }).collect();
        pairs.contains(&pair).then(|| pairs.join("; "))
    }

    /// The next bytes of the connection; none may follow the answer's end.
    pub fn take(&mut self, mut input: &[u8]) -> io::Result<()> {
        while !input.is_empty() {
            let used = match self.stage {
                Stage::Content(left) => self.count(left, input.len(), Stage::Done, Stage::Content),
                Stage::Chunk(left) => self.count(left, input.len(), Stage::ChunkEnd, Stage::Chunk),
                Stage::Done => return Err(io::Error::other("more than the answer")),
                Stage::Status | Stage::Headers | Stage::ChunkSize | Stage::ChunkEnd | Stage::Trailers => {
                    self.line_part(input)?
                }
            };
            input = &input[used..];
        }
        Ok(())
    }

    fn count(&mut self, left: u64, offered: usize, done: Stage, more: fn(u64) -> Stage) -> usize {
        let used = usize::try_from(left).unwrap_or(usize::MAX).min(offered);
        self.content += used as u64;
        let left = left - used as u64;
        self.stage = if left == 0 { done } else { more(left) };
        used
    }

    fn line_part(&mut self, input: &[u8]) -> io::Result<usize> {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            self.line.extend_from_slice(input);
            if self.line.len() > LINE_BYTES_MAX {
                return Err(io::Error::other("a line without an end"));
            }
            return Ok(input.len());
        };
        if self.line.is_empty() {
            self.stage = self.line(&input[..end])?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&input[..end]);
            self.stage = self.line(&line)?;
        }
        Ok(end + 1)
    }

    /// One line without its LF; says what follows.
    fn line(&mut self, line: &[u8]) -> io::Result<Stage> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(match self.stage {
            Stage::Status => {
                let digits = line.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
                self.status = digits.and_then(number).ok_or_else(|| wrong("status line", line))? as u16;
                Stage::Headers
            }
            Stage::Headers if line.is_empty() && self.is_chunked => Stage::ChunkSize,
            Stage::Headers if line.is_empty() && self.length == 0 => Stage::Done,
            Stage::Headers if line.is_empty() => Stage::Content(self.length),
            Stage::Headers => self.header(line)?,
            Stage::ChunkSize => {
                let text = std::str::from_utf8(line).ok();
                let size = text.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
                match size.ok_or_else(|| wrong("chunk size", line))? {
                    0 => Stage::Trailers,
                    size => Stage::Chunk(size),
                }
            }
            Stage::ChunkEnd if line.is_empty() => Stage::ChunkSize,
            Stage::Trailers if line.is_empty() => Stage::Done,
            Stage::Trailers => Stage::Trailers,
            Stage::ChunkEnd | Stage::Content(_) | Stage::Chunk(_) | Stage::Done => return Err(wrong("line", line)),
        })
    }

    fn header(&mut self, line: &[u8]) -> io::Result<Stage> {
        if let Some(value) = value(line, b"content-length:") {
            self.length = number(value).ok_or_else(|| wrong("length", line))?;
        } else if let Some(value) = value(line, b"transfer-encoding:") {
            self.is_chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if let Some(value) = value(line, b"set-cookie:") {
            self.set_cookie = Some(String::from_utf8_lossy(value).into_owned());
        }
        Ok(Stage::Headers)
    }
}

fn value<'line>(line: &'line [u8], name: &[u8]) -> Option<&'line [u8]> {
    let (found, value) = line.split_at_checked(name.len())?;
    found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn wrong(what: &str, line: &[u8]) -> io::Error {
    io::Error::other(format!("no {what}: {:?}", String::from_utf8_lossy(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\n";
    const EMPTY: &[u8] = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";

    #[test]
    fn answers_end_where_they_end_however_they_are_cut() {
        for (text, status, content) in [(COUNTED, 200, 5), (CHUNKED, 200, 5), (EMPTY, 503, 0)] {
            for size in 1..=text.len() {
                let mut answer = Answer::default();
                for piece in text.chunks(size) {
                    assert!(!answer.is_done());
                    answer.take(piece).unwrap();
                }
                assert!(answer.is_done(), "{size}: {answer:?}");
                assert_eq!((answer.status, answer.content), (status, content));
            }
        }
    }

    #[test]
    fn what_is_set_of_what_was_shown_is_shown_next() {
        let text = b"HTTP/1.1 200 OK\r\nSet-Cookie: b=new; Path=/; Secure\r\ncontent-length: 0\r\n\r\n";
        let mut answer = Answer::default();
        answer.take(text).unwrap();
        assert_eq!(answer.renewed("a=1; b=old; bb=2").as_deref(), Some("a=1; b=new; bb=2"));
        assert_eq!(answer.renewed("a=1; bb=2"), None, "nobody showed it");
        let mut other = Answer::default();
        other.take(COUNTED).unwrap();
        assert_eq!(other.renewed("b=old"), None);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in ["SSH-2.0\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n", "HTTP/1.1 200 OK\r\n\r\nmore"] {
            assert!(Answer::default().take(text.as_bytes()).is_err(), "{text}");
        }
    }
}
