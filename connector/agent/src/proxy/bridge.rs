//! A stream that speaks TLS with a proxy, as a plain one: TLS with who is beyond the proxy begins on that. The bytes cross a pair of
//! sockets of this process, which costs two copies more; `http://` proxies cost none.

use std::io;
use std::os::unix::net::UnixStream;

use postern_io::{Socket, Stream, spawn, timeout};

use crate::limits::PROXY_LINGER;

/// What is written to the stream that is returned leaves by `outer`, and the other way round.
pub(super) fn plain(outer: Stream) -> io::Result<Stream> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    let far = Stream::plain(Socket::from_fd(far.into()));
    spawn(carry(outer, far)).detach();
    Ok(Stream::plain(Socket::from_fd(near.into())))
}

async fn carry(outer: Stream, far: Stream) {
    let inwards = spawn(copy(outer.clone(), far.clone()));
    copy(far.clone(), outer.clone()).await;
    // This side has ended its output, or is gone. Answers that are still on their way get their time, not all the time.
    if timeout(PROXY_LINGER, inwards).await.is_err() {
        outer.abort();
        far.abort();
    }
}

/// Until one of them ends. An end and a failure are the same to the TLS within: it has an end of its own, and tells them apart.
async fn copy(from: Stream, to: Stream) {
    loop {
        match from.read().await {
            Ok(bytes) if !bytes.is_empty() => to.queue_bytes(&bytes),
            Ok(_) | Err(_) => return to.finish(),
        }
        if to.writable().await.is_err() {
            return from.abort();
        }
    }
}
