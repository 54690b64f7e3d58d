//! What control may ask every linked relay, and what relays answer: figures that live in the relays only. Each question is
//! about one tenant and its answer holds nothing of another's.

use serde::{Deserialize, Serialize};

use crate::admin::AccessExplained;
use crate::check::{CheckAsked, CheckOutcome};
use crate::ids::{AppId, ConnectorId, Name, RequestId, TenantId};
use crate::record::RequestRecord;
use crate::trace::{TraceAsked, TraceTaken};

/// A question to all linked relays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Question {
    /// How long requests took, by stage.
    Histograms {
        /// Whose requests.
        tenant: TenantId,
        /// Of one application; `None`: of all the tenant's together.
        app: Option<AppId>,
    },
    /// What the tenant's limiters did so far.
    Limiters {
        /// Whose limiters.
        tenant: TenantId,
    },
    /// What became of one request.
    Request {
        /// Whose request.
        tenant: TenantId,
        /// Which one.
        id: RequestId,
    },
    /// Whether one of the tenant's applications can be reached from where a connector is. Asked of one relay that has a tunnel to
    /// it.
    Check {
        /// Whose application.
        tenant: TenantId,
        /// Which one. Where it is, the connector knows.
        app: AppId,
        /// Which connector is to look.
        connector: ConnectorId,
        /// At what.
        asked: CheckAsked,
    },
    /// That an application's requests are recorded for a while, and what was.
    Trace {
        /// Whose application.
        tenant: TenantId,
        /// What is recorded.
        asked: TraceAsked,
    },
    /// A question of a newer minor version: answered with [`Answer::Unknown`].
    #[serde(other)]
    Unknown,
}

/// A relay's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Question::Histograms`]: at most one for each stage.
    Histograms {
        /// Stages in which something was recorded.
        items: Vec<HistogramReport>,
    },
    /// To [`Question::Limiters`].
    Limiters {
        /// At most [`LIMITERS_ANSWERED_MAX`], those that refused most first.
        items: Vec<LimiterReport>,
    },
    /// To [`Question::Request`].
    Request {
        /// `None`: this relay does not remember such a request of the tenant.
        record: Option<Box<RequestRecord>>,
    },
    /// To [`Question::Check`].
    Check {
        /// What came of it.
        outcome: CheckOutcome,
    },
    /// To [`Question::Trace`].
    Trace {
        /// What was recorded since the question before.
        taken: TraceTaken,
    },
    /// The relay does not know this kind of question.
    #[serde(other)]
    Unknown,
}

/// A part of a request's time. Their order is that of a request's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The client's TLS handshake, counted with the first request of its connection.
    Tls,
    /// From the head's last byte to the first stage that looks at it.
    Queue,
    /// Route, authorise, throttle.
    Policy,
    /// From opening the stream to the answer's head, without what the connector spent on the backend.
    Tunnel,
    /// From the connector's hand-over to the backend to the head of the backend's answer, as the connector measured it.
    Backend,
    /// From the request head's last byte to the first byte of the answer queued for the client.
    FirstByte,
    /// From the request head's last byte to the answer's last byte queued for the client, or to the exchange's end.
    Total,
}

/// How long one stage took, since the relay's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistogramReport {
    /// Of this application; `None`: of all the tenant's together.
    pub app: Option<AppId>,
    /// Which part.
    pub stage: Stage,
    /// Samples.
    pub count: u64,
    /// Their sum, µs.
    pub sum_us: u64,
    /// `HdrHistogram` of µs, format V2 (not compressed), base64.
    pub v2: String,
}

/// One limiter at work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimiterReport {
    /// What it limits, as `postern throttle` names it: `app/wiki`, `tenant`, `source 192.0.2.0/24`.
    pub scope: String,
    /// Requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rps: Option<u64>,
    /// Requests at once beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// Requests in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conns: Option<u64>,
    /// Bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bps: Option<u64>,
    /// Where the limit comes from: `default` or `set`.
    pub origin: String,
    /// Requests let through since the relay's start.
    pub admitted_total: u64,
    /// Requests refused since the relay's start.
    pub refused_total: u64,
    /// Requests in progress now.
    pub in_progress: u64,
    /// Requests let through a second, over the last second.
    pub rate_1s: f64,
}

/// `GET /v1/tenants/T/histograms[?app=A]`: the relays' reports added up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistogramsView {
    /// The application; `None`: all the tenant's together.
    pub app: Option<Name>,
    /// One for each stage in which something was recorded, in the stages' order.
    pub items: Vec<HistogramReport>,
    /// Relays that answered.
    pub relays: Vec<String>,
    /// Relays that did not, and why.
    pub warnings: Vec<String>,
}

/// `GET /v1/tenants/T/requests/ID`: the request as its relay remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    /// The relay that served it.
    pub relay: String,
    /// What it recorded.
    pub record: RequestRecord,
    /// Why it was let in or not, where the application asks who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessExplained>,
}

impl Stage {
    /// All of them, in a request's order.
    pub const ALL: [Self; 7] =
        [Self::Tls, Self::Queue, Self::Policy, Self::Tunnel, Self::Backend, Self::FirstByte, Self::Total];

    /// As logs, metrics and the command line spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Queue => "queue",
            Self::Policy => "policy",
            Self::Tunnel => "tunnel",
            Self::Backend => "backend",
            Self::FirstByte => "first_byte",
            Self::Total => "total",
        }
    }

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Control waits so long for relays to answer.
pub const ANSWER_TIMEOUT_MS: u64 = 2_000;
/// Most limiters in one answer: at 300 bytes each, 1.2 MB of the link's 4 MiB.
pub const LIMITERS_ANSWERED_MAX: usize = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_of_a_newer_version_are_unknown_not_errors() {
        let question: Question = serde_json::from_str(r#"{"about":"weather","tenant":"t1"}"#).unwrap();
        assert_eq!(question, Question::Unknown);
        let answer: Answer = serde_json::from_str(r#"{"about":"weather","items":[1]}"#).unwrap();
        assert_eq!(answer, Answer::Unknown);
    }

    #[test]
    fn stages_have_one_spelling_and_their_place() {
        for (place, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage.index(), place);
            assert_eq!(serde_json::to_string(&stage).unwrap(), format!("\"{}\"", stage.as_str()));
        }
    }

    #[test]
    fn a_question_reads_back() {
        let question = Question::Histograms { tenant: TenantId(2), app: Some(AppId::new(TenantId(2), 7)) };
        let json = serde_json::to_string(&question).unwrap();
        assert_eq!(json, r#"{"about":"histograms","tenant":"t2","app":"a2-7"}"#);
        assert_eq!(serde_json::from_str::<Question>(&json).unwrap(), question);
    }
}
