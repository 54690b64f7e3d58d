//! What relays record of an application's requests while an operator looks (`postern trace`): what control asks of them, what they
//! give, and what the operator's command asks of control. Secrets are replaced where a request is recorded: see [`redact`].
//!
//! Nothing of a trace is stored. Each question says all of it, so that a relay that was restarted, or came later, begins anew; one that
//! is asked no more forgets it after [`TRACE_LEASE_MS`], whatever became of control.

pub mod redact;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::ids::{AppId, ConnectorId, Name, PolicyId, RequestId, UserId};

/// What a relay is to record, and that it hands over what it has recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceAsked {
    /// Control's number for it: random, so that no two are taken for one.
    pub trace: String,
    /// Requests of this application.
    pub app: AppId,
    /// Only this user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// It goes on for so long. 0: it has ended, and only what is still there is handed over.
    pub left_ms: u64,
    /// Whether content is recorded, too.
    #[serde(default)]
    pub bodies: bool,
    /// Of what is handed over at once, about; one request is handed over whatever its size.
    pub bytes_max: u64,
}

/// What a relay hands over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceTaken {
    /// Requests that have ended since it was asked last.
    pub entries: Vec<TraceEntry>,
    /// There are others.
    #[serde(default)]
    pub more: bool,
    /// Requests that found no room, since it began here.
    #[serde(default)]
    pub dropped: u64,
    /// It began here with this question.
    #[serde(default)]
    pub begun: bool,
    /// As many others as may be run here: nothing is recorded.
    #[serde(default)]
    pub refused: bool,
}

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEntry {
    /// What `postern explain` knows it by.
    pub request_id: RequestId,
    /// When its head was there, by the relay's clock.
    pub started_unix_ms: u64,
    /// As it came.
    pub request: TracedRequest,
    /// As it was sent. `None`: nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<TracedResponse>,
    /// What the relay decided.
    pub verdict: TracedVerdict,
    /// Where the time went.
    pub us: TracedTimes,
}

/// A request as it came, without its secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedRequest {
    /// `GET`, …
    pub method: String,
    /// The whole one.
    pub url: String,
    /// `HTTP/1.1`, …
    pub protocol: String,
    /// In their order.
    pub headers: TracedHeaders,
    /// Bytes of content that went to the connector.
    pub bytes: u64,
    /// Its content, where that is recorded and there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<TracedBody>,
}

/// An answer as it was sent, without its secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedResponse {
    /// Its status.
    pub status: u16,
    /// The words beside it.
    pub reason: String,
    /// In their order.
    pub headers: TracedHeaders,
    /// Bytes of content that were written.
    pub bytes: u64,
    /// Its content in its coding, where that is recorded and there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<TracedBody>,
}

/// Fields of a head: names in lower case, values without secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedHeaders {
    /// Name and value.
    pub fields: Vec<(String, String)>,
    /// There were others, or longer ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// The beginning of a content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedBody {
    /// At most [`TRACE_BODY_BYTES_MAX`] bytes, base64.
    pub data: String,
    /// There was more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Why nothing of it is here, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
}

/// What a relay decided about a request, as its access log says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedVerdict {
    /// Who asked, if that was known: `user/anna`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The connector that it went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorId>,
    /// Connectors that were tried.
    #[serde(default)]
    pub attempts: u32,
    /// Why it was refused or cut, by code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whose fault that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<String>,
    /// What `postern explain` says of it beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What policies came to, where any was about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Those that applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyId>,
}

/// Where the time of a request went, in µs; what is not known is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedTimes {
    /// The client's TLS handshake, with the first request of its connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<u64>,
    /// From the head's last byte to the end of route, authorise and throttle.
    pub decided: u64,
    /// From there to the last byte of the request's content.
    pub send: u64,
    /// From there to the answer's head.
    pub wait: u64,
    /// From there to the answer's last byte.
    pub receive: u64,
    /// What the connector says the backend took for its head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<u64>,
}

/// `POST /v1/tenants/T/apps/A/trace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginTrace {
    /// Only this user's requests, by login or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// For so long, from 1 s to [`TRACE_TIME_MS_MAX`].
    pub for_ms: u64,
    /// Whether content is recorded, too.
    #[serde(default)]
    pub bodies: bool,
}

/// A trace that runs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceBegun {
    /// What it is asked for by.
    pub trace: String,
    /// The application.
    pub app: Name,
    /// The user's login, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Relays that record.
    pub relays: Vec<String>,
    /// Those that do not, and why; and what else there is to know.
    pub warnings: Vec<String>,
}

/// `POST /v1/tenants/T/traces/ID`: whoever runs it asks for what was recorded, and thereby has it go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectTrace {
    /// It is to end.
    #[serde(default)]
    pub end: bool,
}

/// What was recorded since it was asked for last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceCollected {
    /// In no order.
    pub entries: Vec<TraceEntry>,
    /// Others wait: it is to be asked for again at once.
    pub more: bool,
    /// Why it is over, and nothing follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// Requests of which nothing was recorded for lack of room, so far.
    pub dropped: u64,
    /// What is missing.
    pub warnings: Vec<String>,
}

impl TraceEntry {
    /// About what it takes, here and on the link.
    #[must_use]
    pub fn size(&self) -> u64 {
        let body = |body: &Option<TracedBody>| body.as_ref().map_or(0, |body| body.data.len());
        let response = self.response.as_ref().map_or(0, |response| response.headers.size() + body(&response.body));
        let request = self.request.url.len() + self.request.headers.size() + body(&self.request.body);
        (ENTRY_BYTES + request + response) as u64
    }
}

impl TracedHeaders {
    /// Adds a field whose value holds no secret any more, within the bounds.
    pub fn push(&mut self, name: &str, value: &str) {
        let room = HEADERS_BYTES_MAX.saturating_sub(self.size()).min(HEADER_BYTES_MAX);
        if self.fields.len() >= HEADERS_MAX || name.len() > room {
            self.cut = true;
            return;
        }
        let kept = cut_at(value, room - name.len());
        self.cut |= kept.len() < value.len();
        self.fields.push((name.to_owned(), kept.to_owned()));
    }

    /// The first value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a field, in their order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The codings that content is in (RFC 9110 §8.4), as they stand in all fields together; empty where there is none.
    #[must_use]
    pub fn coding(&self) -> String {
        let codings = self.all("content-encoding").flat_map(|value| value.split(',')).map(str::trim);
        let codings = codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
        codings.collect::<Vec<_>>().join(", ").to_ascii_lowercase()
    }

    fn size(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len() + FIELD_BYTES).sum()
    }
}

impl TracedBody {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8], cut: bool) -> Self {
        Self { data: STANDARD.encode(bytes), cut, withheld: None }
    }

    /// Of nothing, and why.
    #[must_use]
    pub fn withheld(why: &str) -> Self {
        Self { withheld: Some(why.to_owned()), ..Self::default() }
    }

    /// Its bytes; none where they are damaged.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.data).unwrap_or_default()
    }
}

/// The beginning of a text, at most so many bytes of it.
#[must_use]
pub fn cut_at(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// The longest that one trace goes on.
pub const TRACE_TIME_MS_MAX: u64 = 30 * 60 * 1_000;
/// The shortest.
pub const TRACE_TIME_MS_MIN: u64 = 1_000;
/// A relay that is not asked for so long has nobody who wants to know, and control one whose command is gone.
pub const TRACE_LEASE_MS: u64 = 15_000;
/// Requests of one trace. At a few KiB each they are 20 to 40 MB of JSON.
pub const TRACE_ENTRIES_MAX: u32 = 10_000;
/// All of them together, about.
pub const TRACE_BYTES_MAX: u64 = 64 << 20;
/// Recorded of one content, at most.
pub const TRACE_BODY_BYTES_MAX: usize = 64 << 10;
/// What one relay hands over at once, about. JSON makes at most twice of it, and the last request, of 300 KiB at most, may go beyond:
/// less than the link's 4 MiB.
pub const TRACE_ANSWER_BYTES_MAX: u64 = 1 << 20;
/// What is recorded of a URL.
pub const TRACE_URL_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 128;
const HEADERS_BYTES_MAX: usize = 32 << 10;
const HEADER_BYTES_MAX: usize = 4 << 10;
/// What a field takes beside its text, and an entry beside all else.
const FIELD_BYTES: usize = 16;
const ENTRY_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_any_size_become_ones_that_fit_the_link() {
        let mut headers = TracedHeaders::default();
        for _ in 0..1_000 {
            headers.push("x-a", &"ä".repeat(10_000));
        }
        assert!(headers.cut && headers.size() <= HEADERS_BYTES_MAX + FIELD_BYTES, "{}", headers.size());
        let mut many = TracedHeaders::default();
        (0..1_000).for_each(|_| many.push("a", "b"));
        assert_eq!((many.fields.len(), many.cut), (HEADERS_MAX, true));
        let mut one = TracedHeaders::default();
        one.push("accept", "*/*");
        assert_eq!((one.get("accept"), one.cut), (Some("*/*"), false));
        assert_eq!(one.coding(), "");
        ["identity", "GZIP, br"].iter().for_each(|coding| one.push("content-encoding", coding));
        assert_eq!(one.coding(), "gzip, br");
    }

    #[test]
    fn an_answer_of_the_largest_entries_fits_the_link() {
        let mut headers = TracedHeaders::default();
        (0..200).for_each(|_| headers.push("x-quoted", &"\"".repeat(4_000)));
        let body = Some(TracedBody::new(&vec![0xff; TRACE_BODY_BYTES_MAX], true));
        let request = TracedRequest {
            url: "\"".repeat(TRACE_URL_BYTES_MAX),
            headers: headers.clone(),
            body: body.clone(),
            ..TracedRequest::default()
        };
        let entry = TraceEntry {
            request_id: RequestId(7),
            started_unix_ms: 0,
            request,
            response: Some(TracedResponse { headers, body, ..TracedResponse::default() }),
            verdict: TracedVerdict::default(),
            us: TracedTimes::default(),
        };
        let mut taken = TraceTaken::default();
        let mut bytes = 0;
        while bytes < TRACE_ANSWER_BYTES_MAX {
            bytes += entry.size();
            taken.entries.push(entry.clone());
        }
        assert!(serde_json::to_vec(&taken).unwrap().len() < crate::link::TO_CONTROL_BYTES_MAX);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(["aä", "aä"].map(|text| cut_at(text, 2)), ["a", "a"]);
        assert_eq!(cut_at("ab", 2), "ab");
        assert_eq!(cut_at("ä", 0), "");
    }

    #[test]
    fn what_an_older_relay_does_not_say_has_a_meaning() {
        let taken: TraceTaken = serde_json::from_str(r#"{"entries":[]}"#).unwrap();
        assert_eq!(taken, TraceTaken::default());
        let asked = r#"{"trace":"x","app":"a1-7","left_ms":1,"bytes_max":1}"#;
        let asked: TraceAsked = serde_json::from_str(asked).unwrap();
        assert_eq!((asked.user, asked.bodies), (None, false));
    }
}
