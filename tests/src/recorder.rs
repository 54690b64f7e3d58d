//! An application that trusts nobody: it writes down every byte of its connections, reads requests by the letter of RFC 9112, and
//! answers each with its method, its target and how long its content was, so that answers show whose they are.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};

use crate::origin::PROBE;

/// Where requests arrive.
pub struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<Recorded>,
    broken: Vec<String>,
    /// By connection.
    bytes: Vec<Vec<u8>>,
}

/// A whole request that arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// `METHOD TARGET VERSION`.
    pub line: String,
    /// As they were written; every byte is the character of its number.
    pub fields: Vec<(String, String)>,
    pub content: Vec<u8>,
    /// Lines.
    pub trailers: Vec<String>,
}

impl Recorded {
    /// All values of a field, by its name in lower case.
    #[must_use]
    pub fn all(&self, wanted: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

impl Recorder {
    /// Listens on a free loopback port for as long as the process runs.
    pub fn start() -> Result<Recorder> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let number = {
                        let mut seen = lock(&seen);
                        seen.bytes.push(Vec::new());
                        seen.bytes.len() - 1
                    };
                    // A connection that breaks is what some tests are about.
                    let _ = serve(stream, number, &seen);
                });
            }
        });
        Ok(Recorder { address, seen })
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All whole requests so far, apart from probes.
    pub fn requests(&self) -> Vec<Recorded> {
        let probe = format!(" {PROBE} ");
        lock(&self.seen).requests.iter().filter(|request| !request.line.contains(&probe)).cloned().collect()
    }

    /// What arrived that is no request, and why not.
    pub fn broken(&self) -> Vec<String> {
        lock(&self.seen).broken.clone()
    }

    /// Whether these bytes came one after the other on any connection.
    pub fn saw(&self, bytes: &[u8]) -> bool {
        let seen = lock(&self.seen);
        seen.bytes.iter().any(|connection| connection.windows(bytes.len()).any(|window| window == bytes))
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, number: usize, seen: &Mutex<Seen>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut rest: Vec<u8> = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        loop {
            let read = whole(&rest);
            if let Err(error) = &read {
                lock(seen).broken.push(format!("{error:#}: {:?}", String::from_utf8_lossy(&rest)));
            }
            let Some((request, length)) = read? else { break };
            rest.drain(..length);
            let answer = answer(&request);
            lock(seen).requests.push(request);
            stream.write_all(&answer)?;
        }
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        lock(seen).bytes[number].extend_from_slice(&piece[..count]);
        rest.extend_from_slice(&piece[..count]);
    }
}

fn answer(request: &Recorded) -> Vec<u8> {
    let mut words = request.line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let text = format!("{method} {target} {}", request.content.len());
    let content = if method == "HEAD" { "" } else { text.as_str() };
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{content}", text.len())
        .into_bytes()
}

/// The request that these bytes begin with, and how long it is; `None` while more must come.
fn whole(bytes: &[u8]) -> Result<Option<(Recorded, usize)>> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head: String = bytes[..end].iter().copied().map(char::from).collect();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    ensure!(line.split(' ').count() == 3 && line.ends_with(" HTTP/1.1"), "the request line {line:?}");
    let fields = lines.map(field).collect::<Result<Vec<_>>>()?;
    ensure!(!line.contains(['\r', '\n']), "a line end within the request line");
    let mut request = Recorded { line, fields, ..Recorded::default() };
    ensure!(request.all("host").len() == 1, "{} fields Host", request.all("host").len());
    let at = end + 4;
    let content = match (&request.all("content-length")[..], &request.all("transfer-encoding")[..]) {
        ([], []) => Some((Vec::new(), Vec::new(), 0)),
        ([length], []) => {
            ensure!(length.bytes().all(|byte| byte.is_ascii_digit()), "Content-Length {length:?}");
            let length: usize = length.parse().context("Content-Length")?;
            bytes.get(at..at + length).map(|content| (content.to_vec(), Vec::new(), length))
        }
        ([], ["chunked"]) => chunked(&bytes[at..])?,
        (lengths, codings) => bail!("content delimited by {lengths:?} and {codings:?}"),
    };
    let Some((content, trailers, length)) = content else { return Ok(None) };
    (request.content, request.trailers) = (content, trailers);
    Ok(Some((request, at + length)))
}

fn field(line: &str) -> Result<(String, String)> {
    let (name, value) = line.split_once(':').with_context(|| format!("no colon in {line:?}"))?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    ensure!(!name.is_empty() && name.bytes().all(is_token), "the name of {line:?}");
    ensure!(!value.contains(['\r', '\n', '\0']), "the value of {line:?}");
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// Content, trailers, and how many bytes both took.
type Chunked = (Vec<u8>, Vec<String>, usize);

fn chunked(bytes: &[u8]) -> Result<Option<Chunked>> {
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let digits = std::str::from_utf8(&bytes[at..at + end])?;
        ensure!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "chunk size {digits:?}");
        let size = usize::from_str_radix(digits, 16)?;
        at += end + 2;
        if size == 0 {
            break;
        }
        let Some(data) = bytes.get(at..at + size + 2) else { return Ok(None) };
        ensure!(data.ends_with(b"\r\n"), "a chunk is not as long as it says");
        content.extend_from_slice(&data[..size]);
        at += size + 2;
    }
    let mut trailers = Vec::new();
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line: String = bytes[at..at + end].iter().copied().map(char::from).collect();
        at += end + 2;
        if line.is_empty() {
            return Ok(Some((content, trailers, at)));
        }
        field(&line)?;
        trailers.push(line);
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_by_the_letter() {
        let text =
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\nGET /b";
        let (request, length) = whole(text.as_bytes()).unwrap().unwrap();
        assert_eq!((request.content, request.trailers), (b"abc".to_vec(), vec!["X-Sum: 1".to_owned()]));
        assert_eq!(&text[length..], "GET /b");
        for cut in 0..length {
            assert_eq!(whole(&text.as_bytes()[..cut]).unwrap(), None, "{cut}");
        }
        let (request, _) = whole(b"PUT / HTTP/1.1\r\nhost: x\r\nContent-Length: 2\r\n\r\nokX").unwrap().unwrap();
        assert_eq!((request.content, request.line), (b"ok".to_vec(), "PUT / HTTP/1.1".to_owned()));
        for broken in [
            "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        ] {
            assert!(whole(broken.as_bytes()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn what_arrived_is_told_and_answers_say_whose_they_are() {
        let recorder = Recorder::start().unwrap();
        let mut client = TcpStream::connect(recorder.address()).unwrap();
        client
            .write_all(
                b"GET /probe HTTP/1.1\r\nHost: x\r\n\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok",
            )
            .unwrap();
        let mut answers = String::new();
        let mut piece = [0; 1024];
        while !answers.contains("POST /a 2") {
            let count = client.read(&mut piece).unwrap();
            assert!(count > 0, "{answers}");
            answers.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        let [request] = &recorder.requests()[..] else { panic!("one request") };
        assert_eq!((request.all("HOST"), request.content.as_slice()), (vec!["x"], &b"ok"[..]));
        assert!(recorder.saw(b"\r\n\r\nPOST /a") && !recorder.saw(b"POST /b") && recorder.broken().is_empty());
    }
}
