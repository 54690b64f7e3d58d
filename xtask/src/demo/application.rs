//! The sample application that the demonstration publishes: a page that shows how the request arrived.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

const HEADER_LINES_MAX: usize = 100;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct Application {
    address: SocketAddr,
    secret: String,
}

impl Application {
    /// Serves on a free loopback port for as long as the program runs.
    pub(super) fn start() -> Result<Application> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the sample application")?;
        let address = listener.local_addr()?;
        let secret = format!("sample application {} of process {}", address.port(), std::process::id());
        let words = secret.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let words = words.clone();
                // A broken connection ends its own thread only.
                std::thread::spawn(move || serve(stream, &words).ok());
            }
        });
        Ok(Application { address, secret })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What only this process's application can answer.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }
}

/// Requests without a body, one after the other, until the client has no more.
fn serve(stream: TcpStream, words: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let mut head = Vec::new();
        for line in lines.by_ref().take(HEADER_LINES_MAX) {
            let line = line?;
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        if head.is_empty() {
            return Ok(());
        }
        writer.write_all(&answer(words, &head))?;
    }
}

fn answer(words: &str, head: &[String]) -> Vec<u8> {
    let shown: String = head.iter().map(|line| format!("{}\n", escaped(line))).collect();
    let page = format!(
        "<!doctype html><title>Postern</title><h1>It works</h1>\n\
         <p>This is the {words}. It listens on loopback only; you reached it through relay, tunnel and connector.</p>\n\
         <p>The request as it arrived:</p>\n<pre>{shown}</pre>\n"
    );
    let length = page.len();
    let body = if head[0].starts_with("HEAD ") { "" } else { &page };
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn escaped(line: &str) -> String {
    line.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn two_requests_on_one_connection_are_answered_and_escaped() {
        let application = Application::start().unwrap();
        let mut stream = TcpStream::connect(application.address()).unwrap();
        stream.write_all(b"GET /<b> HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2);
        assert_eq!(text.matches(application.secret()).count(), 1);
        assert!(text.contains("/&lt;b>"));
    }
}
