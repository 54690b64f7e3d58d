//! What a request's record says of a user who asked: what a decision was made of. [`LoggedRequest`] is what can be decided
//! about again.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::RequestRecord;
use crate::directory::{LoginName, Principal};
use crate::ids::{AppId, DeviceId, PolicyId, SessionId};
use crate::policy::{Asn, ClientKind, Country, DeviceState, Input, Platform, Risk};
use crate::session::{AuthMethod, SessionRecord, Subject};
use crate::terms::AcceptedTerms;

/// How it was decided about a user who asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// How the session's id begins: eight hexadecimal digits. The whole id is in no log.
    pub session: String,
    /// When they proved who they are.
    pub authenticated_unix: u64,
    /// How.
    pub methods: BTreeSet<AuthMethod>,
    /// Whether the session outlasts the browser.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub persistent: bool,
    /// How likely it was at sign-in that it was somebody else.
    #[serde(default, skip_serializing_if = "Risk::is_low")]
    pub risk: Risk,
    /// Through whom they are assigned to the application; absent where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned: Option<Principal>,
    /// The device that was shown at sign-in or that the identity provider vouched for, and what it counted as with this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<LoggedDevice>,
    /// What the device runs. This and what follows is there if a policy is about them at this application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The country of the client's address, where a policy asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The autonomous system of that address, where a policy asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// Policies in force that applied, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyId>,
    /// Policies that only report and would have asked for something, or blocked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub report_only: Vec<PolicyId>,
    /// What was decided, as [`crate::policy::Outcome`] in words, or [`IDLE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// A device as a request's record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedDevice {
    /// Which was shown; nothing, where none was and the identity provider vouched for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<DeviceId>,
    /// What it counted as.
    pub state: DeviceState,
    /// What the identity provider said of it.
    #[serde(default, skip_serializing_if = "DeviceState::is_unknown")]
    pub claimed: DeviceState,
}

/// A user's request as its record has it, to be decided about again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedRequest {
    /// Who asked.
    pub user: LoginName,
    /// For which application.
    pub app: AppId,
    /// When.
    pub at_unix: u64,
    /// Where from.
    pub source: IpAddr,
    /// Its country, where the record has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// Its autonomous system, where the record has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// What the device runs, where the record has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// When they proved who they are.
    pub authenticated_unix: u64,
    /// How.
    pub methods: BTreeSet<AuthMethod>,
    /// Whether the session outlasts the browser.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub persistent: bool,
    /// How likely it was at sign-in that it was somebody else.
    #[serde(default, skip_serializing_if = "Risk::is_low")]
    pub risk: Risk,
    /// What the device counted as.
    #[serde(default, skip_serializing_if = "DeviceState::is_unknown")]
    pub device: DeviceState,
}

impl LoggedRequest {
    /// What a record says; nothing, where it is not one of a user's. `at_unix`: its time.
    #[must_use]
    pub fn of(record: &RequestRecord, at_unix: u64) -> Option<Self> {
        let access = record.access.as_deref()?;
        let source: SocketAddr = record.client.parse().ok()?;
        let agent = record.user_agent.as_deref();
        Some(Self {
            user: record.subject.as_deref()?.strip_prefix(USER)?.parse().ok()?,
            app: record.app?,
            at_unix,
            source: source.ip().to_canonical(),
            country: access.country,
            asn: access.asn,
            platform: access.platform.or_else(|| agent.map(|agent| Platform::of_user_agent(agent.as_bytes()))),
            authenticated_unix: access.authenticated_unix,
            methods: access.methods.clone(),
            persistent: access.persistent,
            risk: access.risk,
            device: access.device.as_ref().map_or(DeviceState::Unknown, |device| device.state),
        })
    }

    /// The session that it had, of a user as they are now.
    #[must_use]
    pub fn session(&self, user: Subject) -> SessionRecord {
        SessionRecord {
            id: SessionId(0),
            user,
            authenticated_unix: self.authenticated_unix,
            methods: self.methods.clone(),
            provider: None,
            expires_unix: u64::MAX,
            idle_s: u32::MAX,
            persistent: self.persistent,
            source: None,
            risk: self.risk,
            terms: AcceptedTerms::default(),
            device: None,
            claimed_device: DeviceState::Unknown,
        }
    }

    /// What a decision is made about.
    #[must_use]
    pub fn input<'a>(&self, session: &'a SessionRecord, terms: &'a AcceptedTerms) -> Input<'a> {
        Input {
            session: Some(session),
            source: Some(self.source),
            country: self.country,
            asn: self.asn,
            platform: self.platform.unwrap_or(Platform::Other),
            client: ClientKind::Browser,
            risk: self.risk,
            device: self.device,
            terms,
            // The record says it of the session.
            outlasts: false,
        }
    }
}

/// What [`AccessRecord::outcome`] says of a session that was idle for longer than a policy allows.
pub const IDLE: &str = "idle";
const USER: &str = "user/";

#[cfg(test)]
mod tests {
    use super::*;

    fn record(subject: &str, more: &str) -> RequestRecord {
        let id = "0".repeat(31);
        let text = format!(
            r#"{{"time":"2026-01-01T00:00:00.000Z","request_id":"{id}7","tenant":"t1","app":"a1-1","subject":"{subject}",{more}
            "client":"[::ffff:192.0.2.1]:9","bytes_in":0,"bytes_out":5}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    const ACCESS: &str = r#""access":{"session":"9f1c2d3e","authenticated_unix":100,"methods":["pwd","otp"]},"#;

    #[test]
    fn a_users_request_is_read_and_no_other() {
        let logged = LoggedRequest::of(&record("user/anna@example.com", ACCESS), 400).unwrap();
        assert_eq!((logged.user.as_str(), logged.at_unix, logged.authenticated_unix), ("anna@example.com", 400, 100));
        assert_eq!(logged.source, IpAddr::from([192, 0, 2, 1]), "an IPv4 address is one however it came");
        assert_eq!((logged.platform, logged.country), (None, None));
        assert_eq!(LoggedRequest::of(&record("user/anna@example.com", ""), 400), None, "of an older relay");
        assert_eq!(LoggedRequest::of(&record("service/backup", ACCESS), 400), None);
    }

    #[test]
    fn what_the_device_counted_as_is_decided_by_again() {
        let device = r#""access":{"session":"9f1c2d3e","authenticated_unix":100,"methods":["pwd"],
            "device":{"id":"d1-4","state":"registered"}},"#;
        let logged = LoggedRequest::of(&record("user/anna", device), 400).unwrap();
        assert_eq!(logged.device, DeviceState::Registered);
        let claimed = device
            .replace("\"id\":\"d1-4\",\"state\":\"registered\"", "\"state\":\"compliant\",\"claimed\":\"compliant\"");
        let logged = LoggedRequest::of(&record("user/anna", &claimed), 400).unwrap();
        assert_eq!(logged.device, DeviceState::Compliant, "none was shown");
        let none = LoggedRequest::of(&record("user/anna", ACCESS), 400).unwrap();
        assert_eq!(none.device, DeviceState::Unknown);
    }

    #[test]
    fn a_platform_that_no_policy_asked_for_may_be_known_all_the_same() {
        let agent = r#""user_agent":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)","#;
        let logged = LoggedRequest::of(&record("user/anna", &format!("{ACCESS}{agent}")), 400).unwrap();
        assert_eq!(logged.platform, Some(Platform::Ios));
    }
}
