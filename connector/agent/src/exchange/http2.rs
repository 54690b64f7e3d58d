//! One request over HTTP/2: the same translation, limits and record as over HTTP/1.1.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::Response;
use postern_http::{BodyKind, Headers, Limits, RequestHead, ResponseHead, Scheme, h2 as heads};

use super::silence::Silence;
use super::{Asked, Exchange, Lost, REQUEST_LIMITS};
use crate::content::Translation;
use crate::failure::{Failed, Fault};
use crate::http2::Http2Lease;
use crate::incoming::Piece;
use crate::pool::Pool;

/// What the backend sent next.
enum Head {
    Interim(Response<()>),
    Final(Response<RecvStream>),
}

impl Exchange {
    pub(super) async fn attempt_http2(
        &self,
        pool: &Rc<Pool>,
        lease: &Http2Lease,
        head: &RequestHead,
        asked: &Asked,
        has_body: bool,
    ) -> Result<(), Lost> {
        let lost = |failed: Failed| Lost { failed, answered: false };
        let scheme = if pool.backend.internal.tls { Scheme::Https } else { Scheme::Http };
        let request =
            heads::sent_request(head, scheme).map_err(|unfit| lost(Failed::new(Fault::Internal, unfit.to_string())))?;
        let sent = lease.send(request, !has_body).await;
        let (response, mut content) = sent.map_err(|error| lost(Failed::over_http2(&error)))?;
        let silence = Silence::new(&pool.backend, has_body);
        let result = if has_body {
            self.both_http2(&mut content, head.body, (response, lease, asked, pool, &silence)).await
        } else {
            self.download_http2(response, lease, asked, pool, &silence).await
        };
        if let Err(lost) = &result
            && lost.failed.fault == Fault::BackendTimeout
            && lease.last_heard() <= silence.since()
        {
            // Nobody heard anything of it meanwhile: it is the connection that is dead.
            lease.retire();
        }
        result?;
        if !self.incoming.is_ended() {
            self.unwanted();
        }
        Ok(())
    }

    /// The request's body and the answer at once.
    async fn both_http2(
        &self,
        content: &mut SendStream<Bytes>,
        kind: BodyKind,
        (response, lease, asked, pool, silence): (ResponseFuture, &Http2Lease, &Asked, &Rc<Pool>, &Silence),
    ) -> Result<(), Lost> {
        let mut upload = pin!(self.upload_http2(content, kind, silence));
        let mut download = pin!(self.download_http2(response, lease, asked, pool, silence));
        let mut uploading = true;
        poll_fn(|cx| {
            if uploading && let Poll::Ready(result) = upload.as_mut().poll(cx) {
                silence.asked();
                match result {
                    Ok(()) => uploading = false,
                    // A backend that takes no more may still answer; if not, the answer's half says so.
                    Err(failed) if failed.fault == Fault::BackendBroken => uploading = false,
                    Err(failed) => return Poll::Ready(Err(Lost { failed, answered: true })),
                }
            }
            download.as_mut().poll(cx)
        })
        .await
    }

    async fn upload_http2(
        &self,
        content: &mut SendStream<Bytes>,
        kind: BodyKind,
        silence: &Silence,
    ) -> Result<(), Failed> {
        let mut left = if let BodyKind::Length(length) = kind { Some(length) } else { None };
        let mismatch = || Failed::new(Fault::ClientBroken, "content of another length than its head says");
        loop {
            let piece = self.next_piece(silence).await;
            if let Some(left) = &mut left {
                let bytes = if let Piece::Data(data) = &piece { data.len() as u64 } else { 0 };
                *left = left.checked_sub(bytes).ok_or_else(mismatch)?;
                if *left > 0 && !matches!(piece, Piece::Data(_)) {
                    return Err(mismatch());
                }
            }
            match piece {
                Piece::Data(data) => {
                    let bytes = data.len();
                    send(content, data).await?;
                    silence.broken();
                    self.record.sent(bytes);
                    self.tunnel.consumed(self.stream, bytes);
                }
                Piece::Trailers(encoded) => {
                    let trailers = Headers::decode(&encoded, &REQUEST_LIMITS).map_err(Failed::malformed_request)?;
                    let map = heads::sent_trailers(&trailers)
                        .map_err(|unfit| Failed::new(Fault::Internal, unfit.to_string()))?;
                    return content.send_trailers(map).map_err(|error| Failed::over_http2(&error));
                }
                Piece::End => {
                    return content.send_data(Bytes::new(), true).map_err(|error| Failed::over_http2(&error));
                }
            }
        }
    }

    async fn download_http2(
        &self,
        mut response: ResponseFuture,
        lease: &Http2Lease,
        asked: &Asked,
        pool: &Rc<Pool>,
        silence: &Silence,
    ) -> Result<(), Lost> {
        let mut answered = false;
        let response = loop {
            let next = self.heard(lease, silence, |cx| poll_head(&mut response, cx)).await;
            match next.map_err(|failed| Lost { failed, answered })? {
                Head::Final(response) => break response,
                Head::Interim(interim) => {
                    answered = true;
                    self.interim_http2(interim, asked, pool).map_err(|failed| Lost { failed, answered })?;
                }
            }
        };
        self.answer_http2(response, lease, asked, pool, silence).await.map_err(|failed| Lost { failed, answered: true })
    }

    fn interim_http2(&self, interim: Response<()>, asked: &Asked, pool: &Pool) -> Result<(), Failed> {
        let (parts, ()) = interim.into_parts();
        let mut head = heads::received_response(&parts, &asked.method, false, &Limits::default())
            .map_err(Failed::malformed_answer)?;
        self.translate(&mut head, asked, pool);
        self.interim(&head)
    }

    async fn answer_http2(
        &self,
        response: Response<RecvStream>,
        lease: &Http2Lease,
        asked: &Asked,
        pool: &Rc<Pool>,
        silence: &Silence,
    ) -> Result<(), Failed> {
        let (parts, mut body) = response.into_parts();
        let end = body.is_end_stream();
        let mut head = heads::received_response(&parts, &asked.method, end, &Limits::default())
            .map_err(Failed::malformed_answer)?;
        self.record.answered(head.status);
        silence.answered();
        if let Some(signed_on) = &asked.signed_on {
            signed_on.answered(&mut head, !self.incoming.is_taken()).await?;
        }
        self.translate(&mut head, asked, pool);
        let mut translation = self.translation(&mut head, asked, pool)?;
        let from = translation.as_ref().map_or(head.body, |of| of.from);
        let end = end || from.is_empty();
        self.send_answer(&head, end)?;
        if end {
            return Ok(());
        }
        let mut left = if let BodyKind::Length(length) = from { Some(length) } else { None };
        while let Some(data) = self.heard(lease, silence, |cx| body.poll_data(cx).map(Option::transpose)).await? {
            let bytes = data.len();
            let last = body.is_end_stream();
            if let Some(left) = &mut left {
                let fits = left.checked_sub(bytes as u64).filter(|left| !last || *left == 0);
                *left =
                    fits.ok_or_else(|| Failed::new(Fault::BackendBroken, "content of another length than stated"))?;
            }
            self.send_content(translation.as_deref_mut(), data, last).await?;
            // A stream that is over needs no window.
            let _ = body.flow_control().release_capacity(bytes);
            if last {
                return Ok(());
            }
        }
        let trailers = self.heard(lease, silence, |cx| body.poll_trailers(cx)).await?;
        if let Some(translation) = &mut translation {
            self.finish_translated(translation, trailers.is_none()).await?;
        }
        let Some(trailers) = trailers else {
            let ended = if translation.is_some() { Ok(()) } else { self.tunnel.end(self.stream) };
            return ended.map_err(Failed::sending);
        };
        let mut trailers = heads::received_trailers(&trailers, &Limits::default()).map_err(Failed::malformed_answer)?;
        if translation.is_some() {
            Translation::trailers(&mut trailers);
        }
        let sent = self.tunnel.worker.with_scratch(|scratch| {
            trailers.encode(scratch);
            self.tunnel.send_trailers(self.stream, scratch)
        });
        sent.map_err(Failed::sending)
    }

    fn send_answer(&self, head: &ResponseHead, end: bool) -> Result<(), Failed> {
        self.tunnel.send_timing(self.stream, self.record.backend_time()).map_err(Failed::sending)?;
        let sent = self.tunnel.worker.with_scratch(|scratch| {
            head.encode(scratch);
            self.tunnel.send_head(self.stream, scratch, end)
        });
        sent.map_err(Failed::sending)
    }

    /// What the backend says next, unless it is silent for too long.
    async fn heard<T>(
        &self,
        lease: &Http2Lease,
        silence: &Silence,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T, h2::Error>>,
    ) -> Result<T, Failed> {
        silence.broken();
        let mut timer = None;
        poll_fn(|cx| {
            if let Poll::Ready(said) = poll(cx) {
                lease.heard();
                return Poll::Ready(said.map_err(|error| Failed::over_http2(&error)));
            }
            silence.poll_too_long(cx, &mut timer).map(Err)
        })
        .await
    }
}

fn poll_head(response: &mut ResponseFuture, cx: &mut Context<'_>) -> Poll<Result<Head, h2::Error>> {
    if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
        return Poll::Ready(interim.map(Head::Interim));
    }
    Pin::new(response).poll(cx).map_ok(Head::Final)
}

/// Hands all of `data` over, as fast as the backend's windows allow.
async fn send(content: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), Failed> {
    while !data.is_empty() {
        content.reserve_capacity(data.len());
        let room = match poll_fn(|cx| content.poll_capacity(cx)).await {
            Some(Ok(room)) => room,
            Some(Err(error)) => return Err(Failed::over_http2(&error)),
            None => return Err(Failed::new(Fault::BackendBroken, "the backend takes no more of the request")),
        };
        let piece = data.split_to(room.min(data.len()));
        content.send_data(piece, false).map_err(|error| Failed::over_http2(&error))?;
    }
    Ok(())
}
