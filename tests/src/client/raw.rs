//! A connection's bytes, past what HTTP says.

use std::net::TcpStream;

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

    /// The socket, for tests that slow it down.
    pub fn socket(&self) -> &TcpStream {
        &self.stream.sock
    }
}
