//! The backend's answer: interim heads, the head, the body, from the backend to the tunnel.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use postern_http::h1::{BodyDecoder, BodyEvent};
use postern_http::{BodyKind, Limits, ResponseHead};
use postern_io::Stream;

use super::silence::Silence;
use super::{Asked, Exchange, Lost};
use crate::content::Translation;
use crate::failure::{Failed, Fault};
use crate::pool::{BackendConnection, Pool};

/// What came of it.
pub(super) enum Answered {
    /// All was sent on; the connection may serve another request if `keep`.
    Whole { keep: bool },
    /// The connection carries another protocol from here on.
    Upgraded,
}

impl Exchange {
    pub(super) async fn download(
        &self,
        backend: &mut BackendConnection,
        asked: &Asked,
        pool: &Rc<Pool>,
        silence: &Silence,
    ) -> Result<Answered, Lost> {
        let mut head = self.head(backend, asked, pool, silence).await?;
        self.record.answered(head.status);
        silence.answered();
        if let Some(signed_on) = &asked.signed_on {
            let may_repeat = !self.incoming.is_taken();
            signed_on.answered(&mut head, may_repeat).await.map_err(|failed| Lost { failed, answered: true })?;
        }
        self.translate(&mut head, asked, pool);
        let translation = self.translation(&mut head, asked, pool);
        let translation = translation.map_err(|failed| Lost { failed, answered: true })?;
        self.answer(backend, head, translation, silence).await.map_err(|failed| Lost { failed, answered: true })
    }

    /// The final head; interim ones are sent on.
    async fn head(
        &self,
        backend: &mut BackendConnection,
        asked: &Asked,
        pool: &Pool,
        silence: &Silence,
    ) -> Result<ResponseHead, Lost> {
        let mut answered = false;
        loop {
            let parsed = backend.parser.parse(backend.inbox.as_slice(), &asked.method, asked.upgrade);
            match parsed.map_err(|malformed| Lost { failed: Failed::malformed_answer(malformed), answered: true })? {
                Some((mut head, bytes)) => {
                    backend.inbox.consume(bytes);
                    if !head.is_interim() {
                        return Ok(head);
                    }
                    answered = true;
                    self.translate(&mut head, asked, pool);
                    self.interim(&head).map_err(|failed| Lost { failed, answered })?;
                }
                None => {
                    answered |= !backend.inbox.is_empty();
                    let more = self.read(&backend.stream, silence).await.map_err(|failed| Lost { failed, answered })?;
                    if more.is_empty() {
                        let failed =
                            Failed::new(Fault::BackendBroken, "the backend closed the connection before it answered");
                        return Err(Lost { failed, answered });
                    }
                    backend.inbox.push(more);
                }
            }
        }
    }

    pub(super) fn interim(&self, head: &ResponseHead) -> Result<(), Failed> {
        let sent = self.tunnel.worker.with_scratch(|scratch| {
            head.encode(scratch);
            self.tunnel.send_informational(self.stream, scratch)
        });
        sent.map_err(Failed::sending)
    }

    async fn answer(
        &self,
        backend: &mut BackendConnection,
        head: ResponseHead,
        translation: Option<Box<Translation>>,
        silence: &Silence,
    ) -> Result<Answered, Failed> {
        let (body, keep) = (translation.as_ref().map_or(head.body, |of| of.from), head.keep_alive);
        let upgraded = body == BodyKind::Upgrade;
        self.tunnel.send_timing(self.stream, self.record.backend_time()).map_err(Failed::sending)?;
        let sent = self.tunnel.worker.with_scratch(|scratch| {
            head.encode(scratch);
            if upgraded {
                return self.tunnel.send_upgrade(self.stream, scratch);
            }
            self.tunnel.send_head(self.stream, scratch, body.is_empty())
        });
        sent.map_err(Failed::sending)?;
        backend.parser.recycle(head);
        if upgraded {
            return Ok(Answered::Upgraded);
        }
        if !body.is_empty() {
            self.body(backend, body, translation, silence).await?;
        }
        Ok(Answered::Whole { keep })
    }

    async fn body(
        &self,
        backend: &mut BackendConnection,
        kind: BodyKind,
        mut translation: Option<Box<Translation>>,
        silence: &Silence,
    ) -> Result<(), Failed> {
        let mut decoder = BodyDecoder::new(kind, Limits::default());
        loop {
            match decoder.decode(backend.inbox.segment()).map_err(Failed::malformed_answer)? {
                Some(BodyEvent::Data(data)) => {
                    let last = decoder.is_done();
                    self.send_content(translation.as_deref_mut(), data, last).await?;
                    if last {
                        return Ok(());
                    }
                }
                Some(BodyEvent::Trailers(mut trailers)) => {
                    if let Some(translation) = &mut translation {
                        self.finish_translated(translation, false).await?;
                        Translation::trailers(&mut trailers);
                    }
                    let sent = self.tunnel.worker.with_scratch(|scratch| {
                        trailers.encode(scratch);
                        self.tunnel.send_trailers(self.stream, scratch)
                    });
                    return sent.map_err(Failed::sending);
                }
                Some(BodyEvent::End) => {
                    let Some(translation) = &mut translation else {
                        return self.tunnel.end(self.stream).map_err(Failed::sending);
                    };
                    return self.finish_translated(translation, true).await;
                }
                None => {
                    let more = self.read(&backend.stream, silence).await?;
                    if more.is_empty() {
                        decoder.end_of_input().map_err(Failed::malformed_answer)?;
                    }
                    backend.inbox.push(more);
                }
            }
        }
    }

    /// The backend's next bytes; empty at its end.
    async fn read(&self, backend: &Stream, silence: &Silence) -> Result<Bytes, Failed> {
        silence.broken();
        let mut timer = None;
        poll_fn(|cx| {
            if let Poll::Ready(received) = backend.poll_read(cx) {
                return Poll::Ready(received.map_err(|error| Failed::using(&error)));
            }
            silence.poll_too_long(cx, &mut timer).map(Err)
        })
        .await
    }

    /// Hands payload to the tunnel, waiting for room there as long as the client needs.
    pub(super) async fn send(&self, mut data: Bytes, end: bool) -> Result<(), Failed> {
        self.record.received(data.len());
        poll_fn(|cx| self.tunnel.poll_send(self.stream, &mut data, end, (&self.incoming, cx)))
            .await
            .map_err(Failed::sending)
    }
}
