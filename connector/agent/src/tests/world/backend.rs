//! A backend that does as a test says.

use std::future::Future;

use postern_io::{Listener, Stream, Task, spawn};

use super::BACKEND;

/// A backend whose connections are served by `serve`, one after the other or at once.
pub(in crate::tests) fn backend<F: Future<Output = ()> + 'static>(serve: impl Fn(usize, Stream) -> F + 'static) {
    backend_at(BACKEND, serve);
}

/// The same somewhere else.
pub(in crate::tests) fn backend_at<F: Future<Output = ()> + 'static>(
    address: &str,
    serve: impl Fn(usize, Stream) -> F + 'static,
) {
    mortal_backend(address, serve).detach();
}

/// The same, for as long as what is returned is not dropped.
pub(in crate::tests) fn mortal_backend<F: Future<Output = ()> + 'static>(
    address: &str,
    serve: impl Fn(usize, Stream) -> F + 'static,
) -> Task<()> {
    let listener = Listener::sim(address.parse().unwrap()).unwrap();
    spawn(async move {
        for number in 0.. {
            let stream = Stream::plain(listener.accept().await.unwrap());
            spawn(serve(number, stream)).detach();
        }
    })
}

/// Reads until the head's end; what came behind it is left in `rest`.
pub(in crate::tests) async fn read_head(stream: &Stream, rest: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(rest[..end + 4].to_vec()).unwrap();
            rest.drain(..end + 4);
            return Some(head);
        }
        let more = stream.read().await.ok()?;
        if more.is_empty() {
            return None;
        }
        rest.extend_from_slice(&more);
    }
}

/// Answers every request with 200 and `body`.
pub(in crate::tests) async fn answer_all(stream: Stream, body: &'static str) {
    let mut rest = Vec::new();
    while read_head(&stream, &mut rest).await.is_some() {
        stream.queue(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }
}
