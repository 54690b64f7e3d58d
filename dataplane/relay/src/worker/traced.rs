//! A client whose request an operator wants to see: what passes is recorded on its way, and nothing of it is changed. Only requests of an
//! application that is traced have one.

mod recording;

use std::task::{Context, Poll};

use bytes::Bytes;
use postern_http::{Headers, RequestHead, ResponseHead};
use postern_model::ids::RequestId;

use super::client::{Client, Content, ContentError, Gone, Unfit};
use super::reject::Reject;
use super::session::Session;
pub(crate) use recording::Recording;

/// The client, and what is recorded of its request.
pub(crate) struct Traced<'a, C> {
    client: &'a mut C,
    recording: &'a mut Recording,
}

impl<'a, C: Client> Traced<'a, C> {
    pub(crate) fn new(client: &'a mut C, recording: &'a mut Recording) -> Self {
        Self { client, recording }
    }
}

impl<C: Client> Client for Traced<'_, C> {
    fn session(&self) -> &Session {
        self.client.session()
    }

    fn has_no_content(&self) -> bool {
        self.client.has_no_content()
    }

    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<Content, ContentError>> {
        let polled = self.client.poll_content(cx);
        if let Poll::Ready(Ok(content)) = &polled {
            match content {
                Content::Data { data, end } => self.recording.sent(data, *end),
                Content::Trailers(_) | Content::End => self.recording.sent(&[], true),
            }
        }
        polled
    }

    fn content_taken(&mut self, bytes: usize) {
        self.client.content_taken(bytes);
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.client.poll_gone(cx)
    }

    fn switch_to_raw(&mut self) {
        self.client.switch_to_raw();
        self.recording.switched();
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.client.poll_room(cx)
    }

    fn interim(&mut self, head: &ResponseHead) {
        self.client.interim(head);
    }

    fn begin(&mut self, head: ResponseHead, end: bool) -> Result<(), Unfit> {
        self.recording.answered(&head);
        self.client.begin(head, end)
    }

    fn data(&mut self, data: &Bytes, end: bool) -> Result<(), Unfit> {
        self.client.data(data, end)?;
        self.recording.received(data);
        Ok(())
    }

    fn trailers(&mut self, trailers: &Headers) -> Result<(), Unfit> {
        self.client.trailers(trailers)
    }

    fn refuse(&mut self, reject: &Reject, request: RequestId, head: &RequestHead) {
        self.client.refuse(reject, request, head);
    }
}
