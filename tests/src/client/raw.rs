//! A connection's bytes, past what HTTP says.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Connection;

impl Connection {
    /// So many bytes, whatever they are.
    pub fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < count {
            if self.fill()? == 0 {
                bail!("the connection ended after {} of {count} bytes", self.buffer.len());
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Everything up to the end of `wanted`, whatever it is.
    pub fn until(&mut self, wanted: &[u8]) -> Result<Vec<u8>> {
        loop {
            if let Some(start) = super::find(&self.buffer, wanted) {
                return Ok(self.buffer.drain(..start + wanted.len()).collect());
            }
            if self.fill()? == 0 {
                bail!("the connection ended after {:?}", String::from_utf8_lossy(&self.buffer));
            }
        }
    }

    /// Whatever comes until the peer closes or the time-out strikes; true when it closed.
    pub fn drain(&mut self) -> (Vec<u8>, bool) {
        loop {
            match self.fill() {
                Ok(0) => return (std::mem::take(&mut self.buffer), true),
                Ok(_) => {}
                Err(error) => {
                    let silent = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                    return (std::mem::take(&mut self.buffer), !silent);
                }
            }
        }
    }

    /// What comes within this time.
    pub fn drain_within(&mut self, limit: Duration) -> Result<(Vec<u8>, bool)> {
        self.stream.sock.set_read_timeout(Some(limit))?;
        Ok(self.drain())
    }

    /// The socket, for tests that slow it down.
    pub fn socket(&self) -> &TcpStream {
        &self.stream.sock
    }
}
