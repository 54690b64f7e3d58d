//! One request: from the relay's OPEN to a backend's whole answer. One task; both bodies stream at once, each as fast as
//! its slower end.

mod download;
mod farm;
mod http2;
mod raw;
mod record;
mod silence;
mod translated;
mod upload;

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use postern_http::h1::{BodyEncoder, encode_request};
use postern_http::{Limits, Method, RequestHead, ResponseHead};
use postern_model::settings::BackendHttp;
use postern_tunnel::{Cancel, CancelCode, Culprit, OpenMeta, StreamId};

use crate::content;
use crate::failure::{Failed, Fault};
use crate::farm::Marked;
use crate::incoming::Incoming;
use crate::keeper::Offered;
use crate::pool::{Acquired, BackendConnection, Pool, Wanted};
use crate::sso::{self, Asking, SignedOn};
use crate::translate::{self, External, Own};
use crate::tunnel::Tunnel;
use download::Answered;
use record::Record;
use silence::Silence;

/// A request in progress. Dropping it gives the request up: the backend's connection closes, the record is written.
pub(crate) struct Exchange {
    tunnel: Rc<Tunnel>,
    stream: StreamId,
    incoming: Rc<Incoming>,
    meta: OpenMeta,
    /// What had come before it was opened.
    config: Offered,
    record: Record,
}

/// What of the request is needed until the answer is complete.
struct Asked {
    method: Method,
    upgrade: bool,
    external: External,
    /// It may be sent again although a backend may have seen it.
    idempotent: bool,
    /// It carries what signs its user on.
    signed_on: Option<SignedOn>,
    /// The application's content is translated.
    content: Option<content::Asked>,
    /// The answer says which member of a farm it is from.
    marked: Option<Marked>,
}

/// An attempt that came to nothing.
struct Lost {
    failed: Failed,
    /// Something of an answer had come: the backend has seen the request.
    answered: bool,
}

impl Lost {
    fn failed_of(self, asked: &Asked) -> Failed {
        let broken = self.failed.fault == Fault::BackendBroken && !self.answered;
        Failed { repeatable: broken && asked.idempotent, ..self.failed }
    }
}

impl Exchange {
    pub(crate) fn new(tunnel: Rc<Tunnel>, stream: StreamId, incoming: Rc<Incoming>, meta: OpenMeta) -> Self {
        let record = Record::begin(&tunnel, &meta);
        Self { config: tunnel.config_offered(), tunnel, stream, incoming, meta, record }
    }
}

/// Serves one request to its end.
pub(crate) async fn serve(exchange: Exchange, head: Bytes, end: bool) {
    if let Err(failed) = exchange.run(&head, end).await {
        exchange.tunnel.cancel(exchange.stream, &failed.cancel());
        exchange.record.failed(failed);
    } else {
        exchange.record.done();
    }
    exchange.tunnel.finished(exchange.stream);
}

impl Exchange {
    async fn run(&self, head: &[u8], end: bool) -> Result<(), Failed> {
        let head = RequestHead::decode(head, &REQUEST_LIMITS).map_err(Failed::malformed_request)?;
        self.record.request(&head);
        let worker = &self.tunnel.worker;
        let pool = worker
            .pool_after(self.config, self.meta.app)
            .await
            .ok_or_else(|| Failed::new(Fault::ConfigMissing, "no group config names this application").unprocessed())?
            .of_request(&head)?;
        match &pool.backend.farm {
            // Boxed: few applications have one, and the task of every request would be as large.
            Some(farm) => Box::pin(self.run_in_farm(farm, &pool, head, end)).await,
            None => self.run_at(&pool, head, end, None).await,
        }
    }

    /// At one place.
    async fn run_at(
        &self,
        pool: &Rc<Pool>,
        mut head: RequestHead,
        end: bool,
        marked: Option<Marked>,
    ) -> Result<(), Failed> {
        let worker = &self.tunnel.worker;
        let external =
            worker.with_links(|links| translate::request(&mut head, self.meta.scheme, &pool.backend, links))?;
        let content = content::request(&mut head, &pool.backend, || worker.links_mark());
        head.keep_alive = true;
        let has_body = !end && !head.body.is_empty();
        let mut asked = Asked {
            signed_on: self.sign_on(pool, &mut head, false).await?,
            idempotent: head.method.is_idempotent() && !head.upgrade,
            method: head.method.clone(),
            upgrade: head.upgrade,
            external,
            content,
            marked,
        };
        let first = self.attempts(pool, &head, &asked, has_body).await;
        // The backend's key may have changed since the ticket was made; the session in the application may have run out.
        let stale = |failed: &Failed| {
            failed.fault == Fault::SsoRejected && asked.signed_on.as_ref().is_some_and(SignedOn::may_be_stale)
        };
        if !first.as_ref().is_err_and(stale) || self.incoming.is_taken() {
            return first;
        }
        let fresh = self.sign_on(pool, &mut head, true).await;
        asked.signed_on = fresh.map_err(|failed| Failed { unprocessed: false, ..failed })?;
        self.attempts(pool, &head, &asked, has_body).await
    }

    /// An answer, interim ones included, as its user sees it.
    fn translate(&self, head: &mut ResponseHead, asked: &Asked, pool: &Pool) {
        let own = Own { backend: &pool.backend, external: &asked.external };
        self.tunnel.worker.with_links(|links| translate::response(head, own, links));
        if let Some(marked) = asked.marked.as_ref().filter(|_| !head.is_interim()) {
            marked.answer(head);
        }
    }

    /// None where nobody is signed on to the backend.
    async fn sign_on(&self, pool: &Rc<Pool>, head: &mut RequestHead, fresh: bool) -> Result<Option<SignedOn>, Failed> {
        let asking = Asking { pool, worker: &self.tunnel.worker, meta: &self.meta };
        sso::sign_on(&asking, head, fresh).await
    }

    /// A kept connection may turn out to be closed by the backend, and a shared one to be closing: then once more on a
    /// fresh one (RFC 9110 §9.2.2, RFC 9113 §8.7).
    async fn attempts(&self, pool: &Rc<Pool>, head: &RequestHead, asked: &Asked, has_body: bool) -> Result<(), Failed> {
        let of_connection = asked.signed_on.as_ref().filter(|signed_on| signed_on.is_of_connection());
        let login = of_connection.and(self.meta.sso_login.as_ref());
        // Negotiate is of HTTP/1.1: servers that have it over HTTP/2 at all are told so by their operator.
        let http1 = asked.upgrade || login.is_some() && pool.backend.http == BackendHttp::Auto;
        let wanted = Wanted { http1, login, ..Wanted::default() };
        let acquired = pool.acquire(wanted).await?;
        let reused = acquired.is_reused();
        let lost = match self.attempt_on(pool, acquired, head, asked, has_body).await {
            Ok(()) => return Ok(()),
            Err(lost) => lost,
        };
        let broken = reused && asked.idempotent && lost.failed.fault == Fault::BackendBroken;
        let may_repeat = (broken || lost.failed.unprocessed) && !lost.answered && !self.incoming.is_taken();
        if !may_repeat {
            return Err(lost.failed_of(asked));
        }
        self.tunnel.worker.shared.counters.requests_retried.increment();
        // A backend may have seen the request already: it is not unprocessed, whatever goes wrong now.
        let fresh = pool.acquire(Wanted { fresh: true, ..wanted }).await;
        let acquired = fresh.map_err(|failed| Failed { unprocessed: false, repeatable: true, ..failed })?;
        self.attempt_on(pool, acquired, head, asked, has_body).await.map_err(|lost| lost.failed_of(asked))
    }

    async fn attempt_on(
        &self,
        pool: &Rc<Pool>,
        acquired: Acquired,
        head: &RequestHead,
        asked: &Asked,
        has_body: bool,
    ) -> Result<(), Lost> {
        self.record.connected(acquired.is_reused());
        match acquired {
            Acquired::Http1(connection) => self.attempt(pool, connection, head, asked, has_body).await,
            Acquired::Http2(lease) => self.attempt_http2(pool, &lease, head, asked, has_body).await,
        }
    }

    async fn attempt(
        &self,
        pool: &Rc<Pool>,
        mut connection: Box<BackendConnection>,
        head: &RequestHead,
        asked: &Asked,
        has_body: bool,
    ) -> Result<(), Lost> {
        connection.busy = true;
        let encoder = self.tunnel.worker.with_scratch(|scratch| {
            let encoder = encode_request(head, scratch);
            connection.stream.queue(scratch);
            encoder
        });
        let silence = Silence::new(&pool.backend, has_body);
        let (answered, whole) = if has_body {
            self.both(&mut connection, encoder, (asked, pool, &silence)).await?
        } else {
            (self.download(&mut connection, asked, pool, &silence).await?, true)
        };
        match answered {
            Answered::Upgraded => {
                self.raw(&mut connection).await.map_err(|failed| Lost { failed, answered: true })?;
                connection.busy = false;
                return Ok(());
            }
            Answered::Whole { keep: true } if whole => pool.release(connection),
            Answered::Whole { .. } => drop(connection),
        }
        if !self.incoming.is_ended() {
            self.unwanted();
        }
        Ok(())
    }

    /// The answer is complete; the rest of the request's body is of no use to anybody.
    fn unwanted(&self) {
        self.tunnel.cancel(self.stream, &Cancel::new(Culprit::Connector, CancelCode::UNWANTED));
    }

    /// The request's body and the answer at once. Also says whether all of the body went out.
    async fn both(
        &self,
        connection: &mut BackendConnection,
        encoder: BodyEncoder,
        (asked, pool, silence): (&Asked, &Rc<Pool>, &Silence),
    ) -> Result<(Answered, bool), Lost> {
        let stream = connection.stream.clone();
        let mut upload = pin!(self.upload(&stream, encoder, silence));
        let mut download = pin!(self.download(connection, asked, pool, silence));
        let mut uploaded = None;
        poll_fn(|cx| {
            if uploaded.is_none()
                && let Poll::Ready(result) = upload.as_mut().poll(cx)
            {
                silence.asked();
                match result {
                    Ok(()) => uploaded = Some(true),
                    // A backend that takes no more may still answer; if not, the answer's half says so.
                    Err(failed) if failed.fault == Fault::BackendBroken => uploaded = Some(false),
                    Err(failed) => return Poll::Ready(Err(Lost { failed, answered: true })),
                }
            }
            download.as_mut().poll(cx).map_ok(|answered| (answered, uploaded == Some(true)))
        })
        .await
    }
}

/// What a relay may have accepted, with the fields that it adds.
const REQUEST_LIMITS: Limits = Limits {
    head_bytes_max: 64 << 10,
    fields_max: 192,
    target_bytes_max: 16 << 10,
    chunk_line_bytes_max: 256,
    trailer_bytes_max: 16 << 10,
    body_bytes_max: u64::MAX,
};
