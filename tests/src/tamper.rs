//! Somebody in the middle who changes a server's answers: for what a real server cannot be told to answer. Plain HTTP on
//! loopback, one request a connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

const TIMEOUT: Duration = Duration::from_secs(20);

/// An answer, to be changed.
pub struct Answer {
    pub status: u16,
    /// Without those that say how long it is.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Changes the answer to the request with this path.
pub trait Change: Fn(&str, &mut Answer) + Send + Sync + 'static {}
impl<F: Fn(&str, &mut Answer) + Send + Sync + 'static> Change for F {}

pub struct Tamper {
    address: SocketAddr,
}

impl Tamper {
    /// Stands before `upstream` until the test's process ends.
    pub fn start(upstream: SocketAddr, change: impl Change) -> Result<Tamper> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let change = Arc::new(change);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let change = Arc::clone(&change);
                // An error is the client's to see: it gets no answer.
                std::thread::spawn(move || drop(serve(stream, upstream, &*change)));
            }
        });
        Ok(Tamper { address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Accepts one request, answers it with 200, and gives its body.
pub fn accept_one(listener: &TcpListener) -> Result<String> {
    let (mut stream, _) = listener.accept()?;
    let (_, body) = request(&mut stream)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn serve(mut client: TcpStream, upstream: SocketAddr, change: &dyn Fn(&str, &mut Answer)) -> Result<()> {
    let (head, body) = request(&mut client)?;
    let path = head.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
    let kept: Vec<_> = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:")).collect();
    let mut server = TcpStream::connect(upstream)?;
    server.set_read_timeout(Some(TIMEOUT))?;
    server.write_all(format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n")).as_bytes())?;
    server.write_all(&body)?;
    let mut bytes = Vec::new();
    server.read_to_end(&mut bytes)?;
    let mut answer = Answer::parse(&bytes).context("no answer")?;
    change(path, &mut answer);
    client.write_all(&answer.bytes())?;
    Ok(())
}

/// The head without its empty line, and the body.
fn request(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        read_more(stream, &mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut body = bytes.split_off(end + 4);
    while body.len() < length(&head) {
        read_more(stream, &mut body)?;
    }
    Ok((head, body))
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<()> {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer)?;
    anyhow::ensure!(count > 0, "the request ended early");
    bytes.extend_from_slice(&buffer[..count]);
    Ok(())
}

fn length(head: &str) -> usize {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Answer> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let own = ["content-length", "connection", "keep-alive"];
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let fields = fields.filter(|(name, _)| !own.contains(&name.to_ascii_lowercase().as_str()));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Answer { status, fields, body: bytes[end + 4..].to_vec() })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Changed\r\n", self.status).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The body as JSON, changed.
    ///
    /// # Panics
    /// If it is none.
    pub fn change_json(&mut self, change: impl FnOnce(&mut serde_json::Value)) {
        let mut value = serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&self.body));
        });
        change(&mut value);
        self.body = value.to_string().into_bytes();
    }
}
