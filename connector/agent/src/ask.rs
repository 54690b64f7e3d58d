//! A request of the connector's own to a backend, as sign-in by a form takes: on a connection of its own, with an answer that is
//! short.

use std::rc::Rc;

use bytes::Bytes;
use postern_http::h1::{BodyDecoder, BodyEvent, encode_request};
use postern_http::{BodyKind, Headers, Limits, RequestHead, ResponseHead, Scheme, h2 as heads};
use postern_io::timeout;
use postern_model::settings::BackendHttp;
use zeroize::Zeroizing;

use crate::failure::{Failed, Fault};
use crate::http2::Http2Lease;
use crate::limits::{ASK_PATIENCE, ASKED_BYTES_MAX};
use crate::pool::{Acquired, BackendConnection, Pool, Wanted};

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    /// Empty unless it was wanted.
    pub(crate) content: Vec<u8>,
}

/// Sends `head` and all of `content`. `wants_content`: of the answer; else its head is enough.
pub(crate) async fn ask(
    pool: &Rc<Pool>,
    head: RequestHead,
    content: &[u8],
    wants_content: bool,
) -> Result<Answer, Failed> {
    // A kept connection may be closed just then, and what was sent on it may have been seen or not.
    let http1 = is_over_http1(pool);
    ask_on(pool, Wanted { fresh: http1, http1, ..Wanted::default() }, head, content, wants_content).await
}

/// The same for the answer's head alone, on a connection beyond the bound: as well when all others are in use.
pub(crate) async fn ask_alone(pool: &Rc<Pool>, head: RequestHead) -> Result<Answer, Failed> {
    let wanted = Wanted { http1: is_over_http1(pool), alone: true, ..Wanted::default() };
    ask_on(pool, wanted, head, b"", false).await
}

fn is_over_http1(pool: &Pool) -> bool {
    matches!(pool.backend.http, BackendHttp::Auto | BackendHttp::Http1)
}

async fn ask_on(
    pool: &Rc<Pool>,
    wanted: Wanted<'_>,
    head: RequestHead,
    content: &[u8],
    wants_content: bool,
) -> Result<Answer, Failed> {
    let patience = pool.backend.silence_max.min(ASK_PATIENCE);
    let asked = async {
        match pool.acquire(wanted).await? {
            Acquired::Http1(connection) => over_http1(connection, &head, content, wants_content).await,
            Acquired::Http2(lease) => over_http2(pool, lease, head, content, wants_content).await,
        }
    };
    timeout(patience, asked).await.unwrap_or_else(|_| {
        let detail = format!("the backend did not answer a sign-in within {} ms", patience.as_millis());
        Err(Failed::new(Fault::BackendTimeout, detail))
    })
}

async fn over_http1(
    mut connection: Box<BackendConnection>,
    head: &RequestHead,
    content: &[u8],
    wants_content: bool,
) -> Result<Answer, Failed> {
    connection.busy = true;
    let mut sent = Zeroizing::new(Vec::with_capacity(content.len() + head.headers.text_bytes() + HEAD_ROOM));
    let mut encoder = encode_request(head, &mut sent);
    if encoder.takes_content() {
        let mismatch = |error| Failed::new(Fault::Internal, format!("content of another length: {error:?}"));
        encoder.write(content, &mut sent).map_err(mismatch)?;
    }
    connection.stream.queue(&sent);
    drop(sent);
    let head = loop {
        let parsed = connection.parser.parse(connection.inbox.as_slice(), &head.method, false);
        match parsed.map_err(Failed::malformed_answer)? {
            Some((head, bytes)) => {
                connection.inbox.consume(bytes);
                if !head.is_interim() {
                    break head;
                }
            }
            None => more(&mut connection).await?,
        }
    };
    let content = if wants_content { content_http1(&mut connection, head.body).await? } else { Vec::new() };
    let ResponseHead { status, headers, .. } = head;
    Ok(Answer { status, headers, content })
}

async fn content_http1(connection: &mut BackendConnection, kind: BodyKind) -> Result<Vec<u8>, Failed> {
    let mut content = Vec::new();
    if kind.is_empty() {
        return Ok(content);
    }
    let mut decoder = BodyDecoder::new(kind, Limits::default());
    while !decoder.is_done() {
        match decoder.decode(connection.inbox.segment()).map_err(Failed::malformed_answer)? {
            Some(BodyEvent::Data(data)) => keep(&mut content, &data)?,
            Some(BodyEvent::Trailers(_) | BodyEvent::End) => break,
            None => {
                let more = connection.stream.read().await.map_err(|error| Failed::using(&error))?;
                if more.is_empty() {
                    decoder.end_of_input().map_err(Failed::malformed_answer)?;
                    if kind == BodyKind::UntilClose {
                        break;
                    }
                }
                connection.inbox.push(more);
            }
        }
    }
    Ok(content)
}

async fn more(connection: &mut BackendConnection) -> Result<(), Failed> {
    let more = connection.stream.read().await.map_err(|error| Failed::using(&error))?;
    if more.is_empty() {
        return Err(Failed::new(
            Fault::BackendBroken,
            "the backend closed the connection before it answered a sign-in",
        ));
    }
    connection.inbox.push(more);
    Ok(())
}

async fn over_http2(
    pool: &Rc<Pool>,
    lease: Http2Lease,
    head: RequestHead,
    content: &[u8],
    wants_content: bool,
) -> Result<Answer, Failed> {
    let broken = |error: h2::Error| Failed::over_http2(&error);
    let scheme = if pool.backend.internal.tls { Scheme::Https } else { Scheme::Http };
    let request =
        heads::sent_request(&head, scheme).map_err(|unfit| Failed::new(Fault::Internal, unfit.to_string()))?;
    let (response, mut sending) = lease.send(request, content.is_empty()).await.map_err(broken)?;
    if !content.is_empty() {
        sending.send_data(Bytes::copy_from_slice(content), true).map_err(broken)?;
    }
    let (parts, mut body) = response.await.map_err(broken)?.into_parts();
    lease.heard();
    let end = body.is_end_stream();
    let answer = heads::received_response(&parts, &head.method, end, &Limits::default());
    let ResponseHead { status, headers, .. } = answer.map_err(Failed::malformed_answer)?;
    let mut content = Vec::new();
    while wants_content && let Some(data) = body.data().await {
        let data = data.map_err(broken)?;
        keep(&mut content, &data)?;
        // A stream that is over needs no window.
        let _ = body.flow_control().release_capacity(data.len());
    }
    Ok(Answer { status, headers, content })
}

fn keep(content: &mut Vec<u8>, data: &[u8]) -> Result<(), Failed> {
    if content.len() + data.len() > ASKED_BYTES_MAX {
        let detail = format!("the sign-in page has more than {ASKED_BYTES_MAX} bytes");
        return Err(Failed::new(Fault::SsoFailed, detail));
    }
    content.extend_from_slice(data);
    Ok(())
}

/// The request line, Host and the lengths.
const HEAD_ROOM: usize = 4_096;
