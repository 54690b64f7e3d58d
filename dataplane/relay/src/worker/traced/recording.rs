//! What is recorded of one request. Secrets are taken out here, before anything of it leaves the worker.

use std::sync::Arc;
use std::time::Duration;

use postern_http::{
    BodyKind, FieldRef, Headers, Known, Method, RequestHead, ResponseHead, Scheme, Version, is_identity,
};
use postern_io::{Instant, read_clock, wall_clock};
use postern_model::ids::RequestId;
use postern_model::plan::PlannedApp;
use postern_model::trace::redact::{self, REDACTED};
use postern_model::trace::{
    TRACE_BODY_BYTES_MAX, TRACE_URL_BYTES_MAX, TraceEntry, TracedBody, TracedHeaders, TracedRequest, TracedResponse,
    TracedTimes, TracedVerdict, cut_at,
};

use crate::limits::LOGGED_POLICIES_MAX;
use crate::traces::{Room, Running};
use crate::worker::Worker;
use crate::worker::authorise::Subject;
use crate::worker::reject::Reject;
use crate::worker::request::Transaction;
use crate::worker::session::Session;

/// One request, as far as it has come.
pub(crate) struct Recording {
    running: Arc<Running>,
    app: Arc<PlannedApp>,
    room: Room,
    entry: TraceEntry,
    /// Of the request and of the answer.
    contents: [Captured; 2],
    decided: Instant,
    /// The request's content was complete.
    sent: Option<Instant>,
    answered: Option<Instant>,
    /// The answer is the relay's own.
    own: bool,
    /// Why its content is not to be seen.
    own_withheld: Option<&'static str>,
    /// Another protocol is spoken, and all was handed over.
    over: bool,
}

/// The beginning of a content.
#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    cut: bool,
    seen: u64,
}

impl Recording {
    /// Of a request about which it is decided, if anybody wants to see it. Its head is as it came.
    #[cold]
    pub(crate) fn begin(
        worker: &Worker,
        session: &Session,
        head: &RequestHead,
        transaction: &Transaction,
    ) -> Option<Box<Self>> {
        let app = Arc::clone(transaction.app.as_ref()?);
        // Control refuses it, too: passwords are entered there.
        if worker.is_identity(app.id) {
            return None;
        }
        let running = worker.side.traces().of(app.id, transaction.subject.as_ref().and_then(Subject::user))?;
        let times = &transaction.times;
        let decided = times.decided.unwrap_or(times.begun);
        let tls = session.handshake();
        let ago = read_clock().since(times.arrived) + tls.unwrap_or_default();
        let us = TracedTimes {
            tls: tls.map(micros),
            decided: micros(decided.since(times.arrived)),
            ..TracedTimes::default()
        };
        let entry = TraceEntry {
            request_id: transaction.request,
            started_unix_ms: u64::try_from(wall_clock().saturating_sub(ago).as_millis()).unwrap_or(u64::MAX),
            request: request_of(head, session.scheme(), &app),
            response: None,
            verdict: TracedVerdict { subject: transaction.subject.as_ref().map(named), ..TracedVerdict::default() },
            us,
        };
        let room = running.room_for(&entry)?;
        let contents = Default::default();
        Some(Box::new(Self {
            running,
            app,
            room,
            entry,
            contents,
            decided,
            sent: None,
            answered: None,
            own: false,
            own_withheld: None,
            over: false,
        }))
    }

    /// A piece of the request's content came.
    pub(super) fn sent(&mut self, data: &[u8], end: bool) {
        if self.over {
            return;
        }
        self.keep(REQUEST, data);
        if end {
            self.sent = Some(read_clock());
        }
    }

    /// The answer's head goes to the client.
    pub(super) fn answered(&mut self, head: &ResponseHead) {
        self.answered = Some(read_clock());
        let without = self.entry.size();
        let headers = fields_of(&head.headers, head.body, &self.app);
        let reason = head.reason().to_owned();
        self.entry.response =
            Some(TracedResponse { status: head.status, reason, headers, ..TracedResponse::default() });
        let more = usize::try_from(self.entry.size().saturating_sub(without)).unwrap_or(usize::MAX);
        if let (false, Some(response)) = (self.room.take(more), &mut self.entry.response) {
            response.headers = TracedHeaders { cut: true, ..TracedHeaders::default() };
        }
    }

    /// A piece of its content went there.
    pub(super) fn received(&mut self, data: &[u8]) {
        if !self.over {
            self.keep(ANSWER, data);
        }
    }

    /// The relay answered by itself.
    pub(crate) fn refused(&mut self, reject: &Reject, request: RequestId, head: &RequestHead) {
        let (answer, page) = reject.answer(request, head.headers.get(Known::Accept));
        self.answered(&answer);
        self.own = true;
        if reject.is_landing() {
            // What was taken out of the URL of this request, or of the next, stands there once more.
            self.own_withheld = Some("it leads on to a URL, with all that stands in it");
        }
        if head.method != Method::Head {
            self.received(&page);
        }
    }

    /// What follows is no HTTP, and may last for hours: it is handed over as it is.
    pub(super) fn switched(&mut self) {
        self.complete(read_clock());
        let room = std::mem::replace(&mut self.room, self.running.room());
        // What is here still takes none from now on.
        let TraceEntry { request_id, started_unix_ms, us, .. } = self.entry;
        let request = std::mem::take(&mut self.entry.request);
        let response = self.entry.response.take();
        let verdict = std::mem::take(&mut self.entry.verdict);
        self.running.hand_over(TraceEntry { request_id, started_unix_ms, request, response, verdict, us }, room);
        self.over = true;
    }

    /// The request is over, whatever became of it.
    pub(crate) fn end(mut self: Box<Self>, transaction: &Transaction) {
        if self.over {
            return;
        }
        self.complete(read_clock());
        self.entry.verdict = verdict_of(transaction);
        self.entry.us.backend = transaction.times.backend_us.map(u64::from);
        let Self { running, entry, room, .. } = *self;
        running.hand_over(entry, room);
    }

    fn complete(&mut self, ended: Instant) {
        let answered = self.answered.unwrap_or(ended);
        let sent = self.sent.unwrap_or(self.decided).min(answered);
        let us = &mut self.entry.us;
        us.send = micros(sent.since(self.decided));
        us.wait = micros(answered.since(sent.max(self.decided)));
        us.receive = micros(ended.since(answered));
        let [asked, answer] = std::mem::take(&mut self.contents);
        let request = &mut self.entry.request;
        request.bytes = asked.seen;
        request.body = asked.body(&request.headers, true);
        if let Some(response) = &mut self.entry.response {
            response.bytes = answer.seen;
            // In its own pages are no secrets, but members that are named as some are.
            response.body = match self.own {
                true if self.own_withheld.is_some() => {
                    let why = self.own_withheld.filter(|_| !answer.bytes.is_empty());
                    why.map(TracedBody::withheld)
                }
                true => (!answer.bytes.is_empty()).then(|| TracedBody::new(&answer.bytes, answer.cut)),
                false => answer.body(&response.headers, false),
            };
        }
    }

    fn keep(&mut self, of: usize, data: &[u8]) {
        let captured = &mut self.contents[of];
        captured.seen += data.len() as u64;
        if !self.running.bodies || captured.cut {
            return;
        }
        let part = &data[..data.len().min(TRACE_BODY_BYTES_MAX - captured.bytes.len())];
        let fits = part.is_empty() || self.room.take(part.len());
        if fits {
            captured.bytes.extend_from_slice(part);
        }
        captured.cut = !fits || part.len() < data.len();
    }
}

impl Captured {
    /// Without the secrets that are found. Those in a coding are not: a request's is not recorded then; an answer's goes on as it is where
    /// its reader takes it out.
    fn body(self, headers: &TracedHeaders, is_request: bool) -> Option<TracedBody> {
        if self.bytes.is_empty() {
            return self.cut.then(|| TracedBody::withheld("there was no room for it"));
        }
        if headers.cut {
            return Some(TracedBody::withheld(
                "not all of its fields were recorded, and what it is may stand in others",
            ));
        }
        let coding = headers.coding();
        if !coding.is_empty() {
            return Some(match is_request || !CODINGS_LOOKED_INTO.contains(&coding.as_str()) {
                true => TracedBody::withheld("its coding hides its secrets"),
                false => TracedBody::new(&self.bytes, self.cut),
            });
        }
        // Of two types nobody knows which one counts: it is read as whatever it may be.
        let kind = headers.get("content-type").filter(|_| headers.all("content-type").count() == 1);
        let kind = kind.unwrap_or_default();
        Some(match redact::content(kind, &self.bytes) {
            Ok(content) => {
                let kept = &content[..content.len().min(TRACE_BODY_BYTES_MAX)];
                TracedBody::new(kept, self.cut || kept.len() < content.len())
            }
            Err(why) => TracedBody::withheld(why),
        })
    }
}

fn request_of(head: &RequestHead, scheme: Scheme, app: &PlannedApp) -> TracedRequest {
    let target = head.target.as_str();
    let slash = if target.starts_with('/') { "" } else { "/" };
    let url = redact::url(&format!("{}://{}{slash}{target}", scheme.as_str(), head.authority.as_str()));
    let protocol = match head.version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    };
    let mut headers = fields_of(&head.headers, head.body, app);
    headers.fields.insert(0, (String::from("host"), head.authority.as_str().to_owned()));
    TracedRequest {
        method: head.method.as_str().to_owned(),
        url: cut_at(&url, TRACE_URL_BYTES_MAX).to_owned(),
        protocol: protocol.to_owned(),
        headers,
        ..TracedRequest::default()
    }
}

/// Length and coding of what follows stand beside the fields; they belong to what was said.
fn fields_of(fields: &Headers, body: BodyKind, app: &PlannedApp) -> TracedHeaders {
    let mut headers = TracedHeaders::default();
    for field in fields.iter() {
        let value = String::from_utf8_lossy(field.value());
        match tells_who(field, app) {
            true => headers.push(field.name(), REDACTED),
            false => headers.push(field.name(), &redact::header(field.name(), &value)),
        }
    }
    match body {
        BodyKind::Length(length) => headers.push("content-length", &length.to_string()),
        BodyKind::Chunked => headers.push("transfer-encoding", "chunked"),
        BodyKind::None | BodyKind::UntilClose | BodyKind::Upgrade => {}
    }
    headers
}

/// What may tell an application who asks, whoever says it.
fn tells_who(field: FieldRef<'_>, app: &PlannedApp) -> bool {
    let name = field.name();
    let dashed = || name.replace(['_', '.'], "-");
    is_identity(field)
        || name.starts_with("x-postern-")
        || (field.known().is_none() && name.starts_with("x-forwarded-"))
        || app.settings.told_headers().any(|told| told.eq_ignore_ascii_case(&dashed()))
}

fn named(subject: &Subject) -> String {
    format!("{}/{}", subject.kind(), subject.name())
}

fn verdict_of(transaction: &Transaction) -> TracedVerdict {
    let subject = transaction.subject.as_ref();
    let judged = subject.and_then(Subject::judged);
    let applied = judged.map(|judged| judged.decision.applied.as_slice()).unwrap_or_default();
    let code = transaction.code();
    let detail = Some(transaction.detail.as_str()).filter(|detail| !detail.is_empty());
    TracedVerdict {
        subject: subject.map(named),
        connector: transaction.connector,
        attempts: transaction.attempts,
        code: code.map(str::to_owned),
        culprit: code.map(|_| transaction.culprit().to_owned()),
        detail: detail.map(str::to_owned),
        policy: judged.map(|judged| judged.decision.outcome.to_string()),
        policies: applied.iter().copied().take(LOGGED_POLICIES_MAX).collect(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Codings that `postern trace` takes off, each of them alone, and looks into.
const CODINGS_LOOKED_INTO: [&str; 5] = ["br", "deflate", "gzip", "x-gzip", "zstd"];
/// Places in [`Recording::contents`].
const REQUEST: usize = 0;
const ANSWER: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(fields: &[(&str, &str)], cut: bool) -> TracedBody {
        let mut headers = TracedHeaders { cut, ..TracedHeaders::default() };
        fields.iter().for_each(|(name, value)| headers.push(name, value));
        let captured = Captured { bytes: b"{\"token\":\"s3cret\"}".to_vec(), cut: false, seen: 18 };
        captured.body(&headers, false).unwrap()
    }

    #[test]
    fn an_answer_goes_on_in_a_coding_that_is_taken_off_and_in_no_other() {
        let kind = ("content-type", "application/json");
        for coding in ["gzip", "X-Gzip", "deflate", "br", "zstd", "identity, gzip"] {
            let body = answered(&[kind, ("content-encoding", coding)], false);
            assert!(body.withheld.is_none() && !body.data.is_empty(), "{coding}");
        }
        for coding in ["utf-8", "none", "aws-chunked", "gzip, gzip", "compress", "gzip;q=1"] {
            let body = answered(&[kind, ("content-encoding", coding)], false);
            assert!(body.withheld.is_some() && body.data.is_empty(), "{coding}");
        }
        let twice = answered(&[("content-encoding", "gzip"), ("content-encoding", "br")], false);
        assert!(twice.withheld.is_some());
        assert_eq!(answered(&[kind], false).bytes(), b"{\"token\":\"[redacted]\"}");
    }

    #[test]
    fn an_answer_whose_head_was_cut_is_not_recorded() {
        let body = answered(&[("content-type", "application/json")], true);
        assert!(body.withheld.is_some() && body.data.is_empty());
    }
}
