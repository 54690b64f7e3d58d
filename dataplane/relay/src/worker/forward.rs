//! An admitted request through a tunnel and its response back, on another connector when the first is lost and that is
//! safe.

mod ended;
mod identify;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use postern_http::{Method, RequestHead, Scheme, add_forwarding, ensure_trace, strip_cookies, strip_inbound};
use postern_io::{Instant, now, read_clock, sleep_until};
use postern_model::ids::ConnectorId;
use postern_model::settings::OWN_COOKIES;
use postern_tunnel::{Cancel, Culprit, Detail, ExternalScheme, OpenMeta, OpenRefused, StreamKind};

use super::Worker;
use super::additions::Additions;
use super::client::Client;
use super::download::{Download, Step};
use super::patience::Patience;
use super::reject::Reject;
use super::request::{Outcome, Transaction};
use super::sso::{password_page, session_key, sso_login};
use super::throttle::Admitted;
use super::tunnel::OpenStream;
use super::upgraded::Upgraded;
use super::upload::{Upload, UploadError};
use super::websocket::{self, Farewell};
use crate::limits::{ATTEMPTS_MAX, CLIENT_STALL_MAX};
use ended::Ended;
use identify::{identify, tell_identity};

/// One request's state across attempts.
struct Forwarding<'a> {
    worker: &'a Worker,
    admitted: Admitted,
    head: &'a RequestHead,
    transaction: &'a mut Transaction,
    upload: Upload,
    download: Download,
    upgraded: Option<Upgraded<'a>>,
    patience: Patience,
    /// Its permit was taken back, for this reason.
    revoked: Option<Reject>,
}

/// How one attempt ended.
enum Attempt {
    Over(Outcome),
    /// Nothing reached the client; another connector may answer. Otherwise this is the refusal.
    Retry(Reject),
}

/// Forwards a request and its content, and writes the response.
pub(crate) async fn forward<C: Client>(
    worker: &Worker,
    client: &mut C,
    admitted: Admitted,
    head: &mut RequestHead,
    transaction: &mut Transaction,
) {
    let additions = Additions::of(admitted.app(), head, client.session().scheme());
    strip_inbound(&mut head.headers, &[]);
    let is_identity = worker.is_identity(admitted.app().id);
    let own_cookie =
        if is_identity { tell_identity(&mut head.headers, client.session(), transaction.request) } else { None };
    strip_cookies(&mut head.headers, &OWN_COOKIES, own_cookie);
    identify(&mut head.headers, admitted.permit(), &worker.newest().plan);
    let host = head.authority.as_str().to_owned();
    add_forwarding(&mut head.headers, client.address(), client.session().scheme(), &host);
    // A log line of the application's then leads to the request, and the other way round.
    ensure_trace(&mut head.headers, transaction.request.0);
    let renewed_cookie = admitted.permit().renewed_cookie(client.session(), || worker.published());
    let settings = &admitted.app().settings;
    let bytes_max = settings.limits.request_body_bytes_max;
    let mut forwarding = Forwarding {
        worker,
        upload: Upload::new(client.has_no_content(), head.upgrade, bytes_max),
        download: Download::new(head.method == Method::Head, renewed_cookie, own_cookie, additions),
        upgraded: None,
        patience: Patience::begin(settings),
        admitted,
        revoked: None,
        head,
        transaction,
    };
    let outcome = forwarding.run(client).await;
    let Forwarding { upload, download, transaction, .. } = forwarding;
    transaction.status = download.status;
    transaction.request_bytes = upload.bytes;
    transaction.response_bytes = download.bytes;
    transaction.switched = download.is_upgraded();
    if let Some((at, backend_us)) = download.answered {
        (transaction.times.answered, transaction.times.backend_us) = (Some(at), backend_us);
    }
    transaction.outcome = outcome;
}

impl Forwarding<'_> {
    async fn run<C: Client>(&mut self, client: &mut C) -> Outcome {
        let mut tried: Vec<ConnectorId> = Vec::new();
        let mut refusal = None;
        while tried.len() < ATTEMPTS_MAX {
            let stream = match self.open(client, &mut tried) {
                Ok(Some(stream)) => stream,
                Ok(None) => break,
                Err(reject) => return Outcome::Refused(reject),
            };
            let connector = stream.tunnel.connector;
            self.transaction.tries(connector);
            match self.attempt(client, &stream).await {
                Attempt::Over(outcome) => return outcome,
                Attempt::Retry(reject) => refusal = Some(reject),
            }
            tracing::debug!(request = %self.transaction.request, %connector, "tried on another connector");
            self.download.restart();
            if !self.upload.rewind() {
                break;
            }
        }
        Outcome::Refused(refusal.unwrap_or_else(|| self.nobody_online()))
    }

    /// Where people sign in, what is missing is no connector of an application's.
    fn nobody_online(&mut self) -> Reject {
        if !self.worker.is_identity(self.admitted.app().id) {
            return Reject::connector_unavailable();
        }
        self.transaction.detail = Detail::new("no identity process is online");
        Reject::sign_in_unavailable()
    }

    /// A stream on the best tunnel that was not tried; `None` when there is no other.
    fn open<C: Client>(&mut self, client: &C, tried: &mut Vec<ConnectorId>) -> Result<Option<OpenStream>, Reject> {
        let app = self.admitted.app();
        let mut encoded = self.worker.scratch.borrow_mut();
        encoded.clear();
        self.head.encode(&mut encoded);
        let sso_login = sso_login(self.admitted.permit(), &mut self.transaction.detail)?;
        let meta = OpenMeta {
            app: app.id,
            request: self.transaction.request,
            client: client.address(),
            scheme: match client.session().scheme() {
                Scheme::Http => ExternalScheme::Http,
                Scheme::Https => ExternalScheme::Https,
            },
            kind: StreamKind::Http,
            session: session_key(self.admitted.permit()),
            sso_login,
        };
        // It may have moved to another group since it was let in: the connectors that were tried know it no more then.
        let moved = || self.worker.newest().plan.app(app.id).map_or(app.group, |app| app.group);
        let group = if tried.is_empty() { app.group } else { moved() };
        let mut full = false;
        while let Some(tunnel) = self.worker.hub.pick(group, tried) {
            tried.push(tunnel.connector);
            match tunnel.open(&meta, &encoded, self.upload.opens_ended()) {
                Ok(stream) => return Ok(Some(stream)),
                Err(OpenRefused::TooManyStreams { .. } | OpenRefused::OutputFull { .. }) => full = true,
                Err(OpenRefused::HeadTooLong { .. }) => {
                    return Err(Reject::malformed(postern_http::Rule::HeadTooLarge.into()));
                }
                Err(OpenRefused::GoingAway | OpenRefused::Failed | OpenRefused::NotReady | OpenRefused::WrongRole) => {}
            }
        }
        if full { Err(Reject::overloaded()) } else { Ok(None) }
    }

    async fn attempt<C: Client>(&mut self, client: &mut C, stream: &OpenStream) -> Attempt {
        let tried = [stream.tunnel.connector];
        let mut moved_at = now();
        let mut due = self.due(moved_at);
        let mut timer = pin!(sleep_until(due));
        let ended = poll_fn(|cx| {
            let mut progress = false;
            if let Some(ended) = self.review(cx, client, stream) {
                return Poll::Ready(ended);
            }
            if let Poll::Ready(ended) = self.poll_both(cx, client, stream, &tried, &mut progress) {
                return Poll::Ready(ended);
            }
            if self.download.has_begun() && self.transaction.times.first_byte.is_none() {
                self.transaction.times.first_byte = Some(read_clock());
            }
            if progress {
                moved_at = now();
            }
            if let Some(upgraded) = &mut self.upgraded
                && upgraded.poll_leaving(cx).is_ready()
            {
                self.leave(cx, client, stream);
            }
            // The timer is moved when it fires, which is seldom while content moves all the time, or when less is allowed.
            if self.due(moved_at) < due {
                due = self.due(moved_at);
                timer.set(sleep_until(due));
            }
            while timer.as_mut().poll(cx).is_ready() {
                if self.deadline(moved_at) <= now() {
                    if !self.upgraded.as_mut().is_some_and(Upgraded::begin_to_leave) {
                        return Poll::Ready(self.timed_out());
                    }
                    self.leave(cx, client, stream);
                }
                due = self.due(moved_at);
                timer.set(sleep_until(due));
            }
            Poll::Pending
        })
        .await;
        let ended = self.revoked.take().map_or(ended, Ended::Revoked);
        if !matches!(ended, Ended::Complete) || !self.upload.is_sent() {
            stream.cancel(&ended.cancel());
        }
        self.judge(ended)
    }

    fn poll_both<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        stream: &OpenStream,
        tried: &[ConnectorId],
        progress: &mut bool,
    ) -> Poll<Ended> {
        loop {
            let uploaded = self.upload.poll(cx, client, stream, &self.admitted, progress);
            match uploaded {
                Poll::Ready(Err(UploadError::ClientGone)) => return Poll::Ready(Ended::ClientGone),
                Poll::Ready(Err(UploadError::Malformed(malformed))) => {
                    return Poll::Ready(Ended::Refused(Reject::malformed(malformed)));
                }
                Poll::Ready(Err(UploadError::TooLarge { bytes_max })) => {
                    return Poll::Ready(Ended::Refused(Reject::body_too_large(bytes_max)));
                }
                // The stream's events, next, say why.
                Poll::Ready(Err(UploadError::StreamOver)) => {}
                Poll::Pending if !self.upload.is_held_up() => {}
                // Nobody reads of the client, and it must not keep its places when it goes.
                Poll::Pending | Poll::Ready(Ok(())) => {
                    if !self.download.is_upgraded() && client.poll_gone(cx).is_ready() {
                        return Poll::Ready(Ended::ClientGone);
                    }
                }
            }
            match self.download.poll(cx, client, stream, &self.admitted, progress) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Step::Upgraded) => {
                    client.switch_to_raw();
                    self.switch_to_raw();
                }
                Poll::Ready(Step::Suspect) => {
                    let elsewhere = self.worker.hub.has_online(self.admitted.app().group, tried);
                    if elsewhere && !self.download.has_begun() && self.is_repeatable() {
                        return Poll::Ready(Ended::Lost { sent_nothing: false });
                    }
                }
                Poll::Ready(Step::Complete) => {
                    self.upload.end_held(stream);
                    return Poll::Ready(Ended::Complete);
                }
                Poll::Ready(Step::Cancelled(cancel)) => return Poll::Ready(Ended::Cancelled(cancel)),
                Poll::Ready(Step::Lost { sent_nothing }) => return Poll::Ready(Ended::Lost { sent_nothing }),
                Poll::Ready(Step::Broken) => return Poll::Ready(Ended::Broken),
                Poll::Ready(Step::HeadTooLarge) => {
                    return Poll::Ready(Ended::Refused(Reject::answer_head_too_large()));
                }
                Poll::Ready(Step::ClientGone) => return Poll::Ready(Ended::ClientGone),
            }
        }
    }

    fn switch_to_raw(&mut self) {
        let websocket = websocket::is_offered(self.head);
        self.upload.switch_to_raw(websocket);
        if websocket {
            self.download.watch_frames();
        }
        self.upgraded = Some(Upgraded::begin(self.worker, &self.admitted.app().settings, websocket));
    }

    /// Looks whether the request still may be, when there is a reason to. One that may not ends, a WebSocket with a word.
    fn review<C: Client>(&mut self, cx: &mut Context<'_>, client: &mut C, stream: &OpenStream) -> Option<Ended> {
        if !self.admitted.permit().is_due(self.worker.access()) || self.revoked.is_some() {
            return None;
        }
        let published = self.worker.published();
        let reject = self.admitted.permit_mut().review(&published, self.head).err()?;
        // Recorded is what ended it, not what let it in.
        self.transaction.subject = self.admitted.permit().subject().cloned();
        if !self.upgraded.as_mut().is_some_and(Upgraded::dismiss) {
            return Some(Ended::Revoked(reject));
        }
        self.revoked = Some(reject);
        self.upload.dismiss();
        self.leave(cx, client, stream);
        None
    }

    /// Says good-bye both ways, where that is possible by now.
    fn leave<C: Client>(&mut self, cx: &mut Context<'_>, client: &mut C, stream: &OpenStream) {
        let farewell = self.upgraded.as_ref().map_or(Farewell::GoingAway, Upgraded::farewell);
        self.download.leave(client, farewell);
        self.upload.leave(farewell);
        // A stream that is over says so by its events.
        let _ = self.upload.poll(cx, client, stream, &self.admitted, &mut false);
    }

    /// When there is a reason to look: something must have moved, or the permit's time comes.
    fn due(&self, moved_at: Instant) -> Instant {
        let deadline = self.deadline(moved_at);
        match self.admitted.permit().until() {
            Some(until) if self.revoked.is_none() => deadline.min(until),
            Some(_) | None => deadline,
        }
    }

    /// Until when something must move, by whom it waits for.
    fn deadline(&self, moved_at: Instant) -> Instant {
        match &self.upgraded {
            Some(upgraded) => upgraded.deadline(moved_at),
            None if self.download.is_blocked() => self.patience.bounded(moved_at.after(CLIENT_STALL_MAX)),
            None => self.patience.deadline(moved_at, self.upload.is_sent(), self.download.answered.is_some()),
        }
    }

    fn timed_out(&self) -> Ended {
        if self.download.has_left() {
            Ended::Left
        } else if self.upgraded.is_none() && self.patience.is_over() {
            Ended::Refused(Reject::total_timeout())
        } else if self.upgraded.is_some() || self.download.is_blocked() {
            Ended::ClientGone
        } else if self.upload.is_sent() || self.download.has_begun() {
            Ended::Refused(Reject::backend_timeout())
        } else {
            Ended::Refused(Reject::request_timeout())
        }
    }

    /// RFC 9110 §9.2.2: only what may be repeated, and only if all of its content is still here.
    fn is_repeatable(&self) -> bool {
        self.head.method.is_idempotent() && !self.head.upgrade && self.upload.is_replayable()
    }

    /// What a connector's CANCEL means to the client, and what they can do about it.
    fn cancelled(&self, cancel: &Cancel) -> Reject {
        let reject = Reject::cancelled(cancel);
        match password_page(self.admitted.app(), &self.worker.newest().plan) {
            Some(page) => reject.leading_to_password(page, cancel.culprit),
            None => reject,
        }
    }

    fn judge(&mut self, ended: Ended) -> Attempt {
        let begun = self.download.has_begun();
        let refuse =
            |reject: Reject| Attempt::Over(if begun { Outcome::Cut(reject) } else { Outcome::Refused(reject) });
        match ended {
            Ended::Complete | Ended::Left => Attempt::Over(Outcome::Answered),
            Ended::ClientGone => Attempt::Over(Outcome::ClientGone),
            Ended::Refused(reject) => refuse(reject),
            Ended::Revoked(reject) if self.download.has_left() => Attempt::Over(Outcome::Dismissed(reject)),
            Ended::Revoked(reject) => refuse(reject),
            Ended::Broken => refuse(Reject::backend_broken()),
            Ended::Lost { sent_nothing } => {
                let safe = !begun && (self.is_repeatable() || (sent_nothing && self.upload.is_replayable()));
                if safe { Attempt::Retry(Reject::connector_lost()) } else { refuse(Reject::connector_lost()) }
            }
            Ended::Cancelled(cancel) => {
                let reject = self.cancelled(&cancel);
                tracing::debug!(request = %self.transaction.request, culprit = ?cancel.culprit, code = ?cancel.code, detail = cancel.detail.as_str(), "cancelled");
                self.transaction.detail = cancel.detail.clone();
                let elsewhere = cancel.unprocessed || (cancel.culprit == Culprit::Connector && self.is_repeatable());
                if elsewhere && !begun && self.upload.is_replayable() { Attempt::Retry(reject) } else { refuse(reject) }
            }
        }
    }
}
