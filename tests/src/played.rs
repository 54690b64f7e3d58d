//! An application that a test plays itself: it sees each request as it arrives, and writes what it likes, when it likes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::origin::PROBE;

/// How long a test waits for what should be there at once.
const PATIENCE: Duration = Duration::from_secs(20);
const BODY_BYTES_MAX: usize = 64 << 20;

/// Where requests arrive.
pub struct Played {
    address: SocketAddr,
    arrived: Receiver<Taken>,
}

/// A request that arrived, and its connection, which closes with this.
pub struct Taken {
    /// To its empty line; every byte is the character of its number.
    pub head: String,
    reader: BufReader<TcpStream>,
}

/// A request's content.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub bytes: Vec<u8>,
    /// Lines.
    pub trailers: Vec<String>,
}

impl Played {
    /// Listens on a free loopback port for as long as the process runs. Probes it answers itself.
    pub fn start() -> Result<Played> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (sender, arrived) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                // A broken connection ends its own thread only.
                std::thread::spawn(move || take(stream, &sender).ok());
            }
        });
        Ok(Played { address, arrived })
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next request.
    pub fn next(&self) -> Result<Taken> {
        self.arrived.recv_timeout(PATIENCE).context("no request arrived")
    }

    /// Whether no request arrives for so long.
    pub fn is_quiet(&self, limit: Duration) -> bool {
        self.arrived.recv_timeout(limit).is_err()
    }
}

/// Reads until there is a request for the test.
fn take(stream: TcpStream, sender: &Sender<Taken>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut taken = Taken { head: String::new(), reader: BufReader::new(stream) };
    while taken.again()? {
        if !taken.head.contains(&format!(" {PROBE} ")) {
            taken.reader.get_ref().set_read_timeout(Some(PATIENCE))?;
            return sender.send(taken).map_err(|_| anyhow!("the test is over"));
        }
        taken.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere")?;
    }
    Ok(())
}

impl Taken {
    /// Takes the next request of the same connection; false when there is none.
    pub fn again(&mut self) -> Result<bool> {
        self.head.clear();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(false);
            }
            self.head.push_str(&line);
            if line == "\r\n" {
                return Ok(true);
            }
        }
    }

    /// The first value of a field.
    pub fn field(&self, wanted: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.reader.get_mut().write_all(bytes)?)
    }

    /// So many bytes of what follows the head.
    pub fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The next chunk's data.
    pub fn chunk(&mut self) -> Result<Vec<u8>> {
        let size = self.line()?;
        let size = size.trim_end().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).with_context(|| format!("chunk size {size:?}"))?;
        if size > BODY_BYTES_MAX {
            bail!("a chunk of {size} bytes");
        }
        let data = self.exactly(size)?;
        if size > 0 {
            self.exactly(2)?;
        }
        Ok(data)
    }

    /// All of the content.
    pub fn content(&mut self) -> Result<Content> {
        let mut content = Content::default();
        if self.field("transfer-encoding").is_none() {
            let length = self.field("content-length").map_or(Ok(0), str::parse::<usize>)?;
            content.bytes = self.exactly(length)?;
            return Ok(content);
        }
        loop {
            let data = self.chunk()?;
            if data.is_empty() {
                break;
            }
            content.bytes.extend_from_slice(&data);
        }
        loop {
            let line = self.line()?;
            if line == "\r\n" {
                return Ok(content);
            }
            content.trailers.push(line.trim_end().to_owned());
        }
    }

    /// Whether the other side ends the connection in time.
    pub fn ends(&mut self) -> bool {
        let mut rest = [0; 4096];
        loop {
            match self.reader.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    return !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                }
            }
        }
    }

    /// A line with its end; empty at the connection's.
    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        Ok(line.into_iter().map(char::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_and_probes_are_not() {
        let played = Played::start().unwrap();
        let mut client = TcpStream::connect(played.address()).unwrap();
        client.write_all(format!("GET {PROBE} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        client.write_all(b"PUT /a HTTP/1.1\r\nX-B: \xff c\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        client.write_all(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx-sum: 5\r\n\r\n").unwrap();
        let mut taken = played.next().unwrap();
        assert!(taken.head.starts_with("PUT /a HTTP/1.1\r\n"), "{}", taken.head);
        assert_eq!(taken.field("x-b"), Some("ÿ c"));
        let content = taken.content().unwrap();
        assert_eq!(content, Content { bytes: b"abcde".to_vec(), trailers: vec!["x-sum: 5".to_owned()] });
        drop(client);
        assert!(taken.ends());
    }
}
