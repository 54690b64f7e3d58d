//! The client's side of one request, whatever version of HTTP it speaks: where content comes from and where the answer
//! goes. `h1` and `h2` implement it; the stages, `upload` and `download` know nothing else of the client.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use postern_http::{Headers, Malformed, RequestHead, ResponseHead};
use postern_model::ids::RequestId;

use super::reject::Reject;
use super::session::Session;

/// One request's client. Every method but the polling ones is synchronous: what is written leaves at the turn's end.
pub(crate) trait Client {
    fn session(&self) -> &Session;

    fn address(&self) -> SocketAddr {
        self.session().address
    }

    /// Whether the head was all of the request.
    fn has_no_content(&self) -> bool;

    /// The next piece of content. After the piece that ends it, it is not asked for again.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<Content, ContentError>>;

    /// This much content went on its way: the client may send as much again.
    fn content_taken(&mut self, bytes: usize);

    /// Whether the client has gone although its content is complete.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// From here on both directions are raw; the answer's head was written.
    fn switch_to_raw(&mut self);

    /// Ready while the client takes what it was sent: nothing is added for one that does not read.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    fn interim(&mut self, head: &ResponseHead);

    /// Writes the final head; with `end`, all of the answer. When it does not fit nothing was written.
    fn begin(&mut self, head: ResponseHead, end: bool) -> Result<(), Unfit>;

    /// Writes payload.
    fn data(&mut self, data: &Bytes, end: bool) -> Result<(), Unfit>;

    /// Ends the answer with trailers.
    fn trailers(&mut self, trailers: &Headers) -> Result<(), Unfit>;

    /// Writes a whole answer of the relay's own. Nothing else was written.
    fn refuse(&mut self, reject: &Reject, request: RequestId, head: &RequestHead);
}

/// A piece of a request's content.
#[derive(Debug)]
pub(crate) enum Content {
    Data {
        data: Bytes,
        end: bool,
    },
    /// The end, with trailers.
    Trailers(Headers),
    End,
}

/// Why content does not come.
#[derive(Debug)]
pub(crate) enum ContentError {
    /// The client ended the connection, or it failed.
    Gone,
    Malformed(Malformed),
}

/// The client's connection, or its interest in the answer, has ended.
#[derive(Debug)]
pub(crate) struct Gone;

/// The answer contradicts its own head. What was written of it must end visibly incomplete.
#[derive(Debug)]
pub(crate) struct Unfit;
