//! One request as the relay's access log records it: a JSON object on a line. Also what `postern explain REQUEST_ID` shows.

mod access;

use serde::{Deserialize, Serialize};

pub use access::{AccessRecord, IDLE, LoggedDevice, LoggedRequest};

use crate::ids::{AppId, ConnectorId, RequestId, TenantId};

/// A line of the access log. What is not known is left out: `app` of a request for an unknown host, `method` of what
/// was not understood, `status` of one whose client went away before an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// When its head had arrived, RFC 3339 UTC with ms.
    pub time: String,
    /// As the relay's own pages name it.
    pub request_id: RequestId,
    /// Whose application; absent as long as none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Which application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    /// Its name then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// Who was let through, where the application asks: `service/NAME`. Also of one who was known and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How it was decided about a user who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Box<AccessRecord>>,
    /// The corporate network that the client is in, where the application looks for that (`corporate_network`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Address and port of the client.
    pub client: String,
    /// As sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The host that was asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The path as sent; with `--access-log-query` with its query.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// `HTTP/1.0`, `HTTP/1.1`, `HTTP/2`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// `TLSv1.2`, `TLSv1.3`; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Of the answer; absent when the client got none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// The connector that carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorId>,
    /// Connectors it was tried on, if not one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Whose fault it is that it was not answered as wished: `client`, `connector`, `backend`, `relay`, `configuration`,
    /// `sign-in`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<String>,
    /// What `postern explain CODE` knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// More about it, for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The client's `User-Agent`, where the relay logs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// How long its stages took, µs; those it did not reach are left out.
    #[serde(default)]
    pub us: StageTimes,
}

/// Times of a request's stages in µs, as [`crate::question::Stage`] defines them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes {
    /// [`crate::question::Stage::Tls`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<u64>,
    /// [`crate::question::Stage::Queue`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u64>,
    /// [`crate::question::Stage::Policy`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<u64>,
    /// [`crate::question::Stage::Tunnel`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<u64>,
    /// [`crate::question::Stage::Backend`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<u64>,
    /// [`crate::question::Stage::FirstByte`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<u64>,
    /// [`crate::question::Stage::Total`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}
