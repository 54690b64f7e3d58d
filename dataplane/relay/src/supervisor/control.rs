//! Connects to control's admin socket for the dataplane. What the dataplane gets is the connection after its upgrade to
//! `postern-link/1`: it carries the supervisor's uid, and so must never be usable for the admin API itself.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// A connection on which control expects link messages.
pub(crate) async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let upgraded = timeout(CONNECT_TIMEOUT, upgrade(socket)).await;
    upgraded.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "control does not answer at its socket")))
}

async fn upgrade(socket: &Path) -> io::Result<UnixStream> {
    let mut stream = tokio::net::UnixStream::connect(socket).await?;
    stream.write_all(REQUEST).await?;
    let head = read_head(&mut stream).await?;
    let status = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    match status {
        b"101" => stream.into_std(),
        b"403" => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "control does not admit this relay's uid: start control with --relay-uid",
        )),
        other => {
            Err(io::Error::other(format!("control refused the link with status {}", String::from_utf8_lossy(other))))
        }
    }
}

/// Reads up to the empty line and not a byte further: the rest belongs to the dataplane.
async fn read_head(stream: &mut tokio::net::UnixStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_BYTES_MAX {
            return Err(io::Error::other("control's answer has no end"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

const REQUEST: &[u8] =
    b"POST /v1/link HTTP/1.1\r\nHost: control\r\nConnection: upgrade\r\nUpgrade: postern-link/1\r\nContent-Length: 0\r\n\r\n";
const HEAD_BYTES_MAX: usize = 4096;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use tokio::net::UnixListener;

    async fn answer_with(answer: &'static [u8]) -> io::Result<UnixStream> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let control = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; REQUEST.len()];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(answer).await.unwrap();
        };
        tokio::join!(connect(&path), control).0
    }

    #[tokio::test]
    async fn the_dataplane_gets_the_link_from_its_first_byte_on() {
        let mut stream =
            answer_with(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: postern-link/1\r\n\r\nlink").await.unwrap();
        stream.set_nonblocking(false).unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "link");
    }

    #[tokio::test]
    async fn a_refusal_never_yields_a_connection() {
        let error = answer_with(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap_err();
        assert!(error.to_string().contains("--relay-uid"), "{error}");
        assert!(answer_with(b"HTTP/1.1 200 OK\r\n\r\n").await.is_err());
        assert!(connect(Path::new("/nonexistent/s")).await.is_err());
    }
}
