//! Sessions: someone has signed in. Control keeps them, relays hold the record of each one that is used and decide by it.

mod cookie;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::device::SessionDevice;
use crate::directory::{
    AttributeName, DISPLAY_NAME_BYTES_MAX, Line, LoginName, MailAddress, User, UserKind, VALUE_BYTES_MAX,
};
use crate::ids::{Name, SessionId, UserGroupId, UserId};
use crate::policy::{DeviceState, Risk};
use crate::terms::AcceptedTerms;

pub use cookie::{
    CookieKey, CookieKeyInvalid, CookieSealer, FLOW_S_MAX, FLOW_STATE_BYTES, FLOW_TARGET_BYTES_MAX,
    FLOW_VERIFIER_BYTES, FlowCookie, NotSealed, SessionCookie,
};

/// What relays know of a session: who it is, how they proved it, and until when that counts. Made by control alone; whatever
/// of it changes is sent to every relay at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Which session.
    pub id: SessionId,
    /// Whose.
    pub user: Subject,
    /// When they proved who they are, last. Sign-in frequency counts from here.
    pub authenticated_unix: u64,
    /// How they did.
    pub methods: BTreeSet<AuthMethod>,
    /// Which identity provider said so; `None`: the embedded directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Name>,
    /// From this second on it counts for nothing, used or not.
    pub expires_unix: u64,
    /// Without a request for so many seconds it counts for nothing.
    pub idle_s: u32,
    /// Whether its cookies outlast the browser.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub persistent: bool,
    /// Where the user was when they signed in: an IP address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<std::net::IpAddr>,
    /// How likely it was then that it was somebody else.
    #[serde(default, skip_serializing_if = "Risk::is_low")]
    pub risk: Risk,
    /// The terms of use that the user accepted.
    #[serde(default, skip_serializing_if = "AcceptedTerms::is_empty")]
    pub terms: AcceptedTerms,
    /// The device whose certificate was shown then, and what it counts as now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<SessionDevice>,
    /// What the identity provider said then of the device.
    #[serde(default, skip_serializing_if = "DeviceState::is_unknown")]
    pub claimed_device: DeviceState,
}

/// A user as applications and policies see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The user's id, which stays.
    pub id: UserId,
    /// What they type to sign in.
    pub login: LoginName,
    /// What people call them; may be empty.
    #[serde(default)]
    pub display_name: Line<DISPLAY_NAME_BYTES_MAX>,
    /// Where they get mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailAddress>,
    /// The directory's attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttributeName, Line<VALUE_BYTES_MAX>>,
    /// Whether they are of another organisation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
    /// Every group they are in, those that they are in by another group included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<UserGroupId, Name>,
    /// From this second on they are nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix: Option<u64>,
}

impl Subject {
    /// A user of the directory; `groups`: every one they are in.
    #[must_use]
    pub fn of(user: User, groups: BTreeMap<UserGroupId, Name>) -> Self {
        Self {
            id: user.id,
            guest: matches!(user.kind, UserKind::Guest { .. }),
            expires_unix: user.kind.expires_unix(),
            login: user.login,
            display_name: user.display_name,
            mail: user.mail,
            attributes: user.attributes,
            groups,
        }
    }
}

/// How someone proved who they are. As text the names of RFC 8176.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AuthMethod {
    /// A password.
    #[serde(rename = "pwd")]
    Password,
    /// A one-time password (RFC 6238).
    #[serde(rename = "otp")]
    OneTimePassword,
    /// A key that only a device holds (WebAuthn).
    #[serde(rename = "hwk")]
    HardwareKey,
    /// More than one factor, in the words of the identity provider.
    #[serde(rename = "mfa")]
    MultiFactor,
    /// A Kerberos ticket that the browser had already.
    #[serde(rename = "wia")]
    Integrated,
    /// A key that is in a device's files: the certificate for it, shown to TLS.
    #[serde(rename = "swk")]
    SoftwareKey,
    /// An identity provider said so and did not say how.
    #[serde(rename = "fed")]
    Federated,
}

impl SessionRecord {
    /// Whether the user proved two different things: what they know and what they have.
    #[must_use]
    pub fn is_multi_factor(&self) -> bool {
        is_multi_factor(&self.methods)
    }

    /// Whether nobody's presence was proven here. What a provider says of how it was proven is the provider's to judge.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.provider.is_none() && is_silent(&self.methods)
    }

    /// What is known of the device at a second: the better of what was shown and what the identity provider said.
    #[must_use]
    pub fn device_state(&self, now_unix: u64) -> DeviceState {
        let shown = self.device.as_ref().map_or(DeviceState::Unknown, |device| device.state_at(now_unix));
        shown.max(self.claimed_device)
    }
}

/// Whether these prove two different things: what someone knows and what they have.
#[must_use]
pub fn is_multi_factor(methods: &BTreeSet<AuthMethod>) -> bool {
    // A provider that does not say how it was proven vouches for one of them: what they know, as most ask for first.
    // Who has a Kerberos ticket gave a password for it. A device's key stands for the password of who unlocked the device, and
    // for no more than that: it is never the second of two.
    let by = [AuthMethod::Password, AuthMethod::Federated, AuthMethod::Integrated, AuthMethod::SoftwareKey];
    let knows = by.iter().any(|method| methods.contains(method));
    let has = methods.contains(&AuthMethod::OneTimePassword);
    // A key of WebAuthn is asked for with user verification: it is both.
    knows && has || methods.contains(&AuthMethod::HardwareKey) || methods.contains(&AuthMethod::MultiFactor)
}

/// Whether these prove nobody's presence: a Kerberos ticket or a device's certificate alone, which whoever finds a computer
/// unlocked has, too.
#[must_use]
pub fn is_silent(methods: &BTreeSet<AuthMethod>) -> bool {
    let silent = [AuthMethod::Integrated, AuthMethod::SoftwareKey];
    !methods.is_empty() && methods.iter().all(|method| silent.contains(method))
}

impl SessionRecord {
    /// A short digest of all that it says: two that differ have different ones. Relays name what they hold by it.
    #[must_use]
    pub fn digest(&self) -> u64 {
        // Plain data with text keys always has a JSON form, and always the same one.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let digest = digest::digest(&digest::SHA256, &json);
        digest.as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

impl AuthMethod {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Password,
        Self::OneTimePassword,
        Self::HardwareKey,
        Self::MultiFactor,
        Self::Integrated,
        Self::SoftwareKey,
        Self::Federated,
    ];

    /// Its name in RFC 8176, or, of what has none there, ours.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "pwd",
            Self::OneTimePassword => "otp",
            Self::HardwareKey => "hwk",
            Self::MultiFactor => "mfa",
            Self::Integrated => "wia",
            Self::SoftwareKey => "swk",
            Self::Federated => "fed",
        }
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AuthMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|method| method.as_str() == text);
        found.ok_or_else(|| {
            let text: String = text.chars().take(64).collect();
            format!("{text:?} is not a method: {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

/// How long a session counts at most: a working day.
pub const ABSOLUTE_S: u64 = 12 * 3_600;
/// How long it counts without a request.
pub const IDLE_S: u32 = 2 * 3_600;
/// How long a session counts at most whose user wants to be asked less often on this device.
pub const KEPT_ABSOLUTE_S: u64 = 30 * 86_400;
/// How long such a one counts without a request.
pub const KEPT_IDLE_S: u32 = 7 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as an older control makes it, with this device and what the provider said.
    fn record(shown: Option<DeviceState>, claimed_device: DeviceState) -> SessionRecord {
        let text = r#"{"id": "00000000000000000000000000000007", "user": {"id": "u1-1", "login": "anna"},
            "authenticated_unix": 1, "methods": ["fed"], "expires_unix": 9, "idle_s": 9}"#;
        let old: SessionRecord = serde_json::from_str(text).unwrap();
        assert_eq!(old.device_state(7), DeviceState::Unknown);
        let id = "d1-4".parse().unwrap();
        let device = shown.map(|state| SessionDevice::new(id, "laptop".parse().unwrap(), state));
        SessionRecord { device, claimed_device, ..old }
    }

    #[test]
    fn the_better_of_the_device_shown_and_the_one_claimed_counts() {
        use DeviceState::{Compliant, Registered, Unknown};
        for (shown, claimed, counts) in [
            (None, Unknown, Unknown),
            (None, Registered, Registered),
            (Some(Registered), Unknown, Registered),
            (Some(Registered), Compliant, Compliant),
            (Some(Compliant), Registered, Compliant),
            (Some(Unknown), Registered, Registered),
        ] {
            assert_eq!(record(shown, claimed).device_state(7), counts, "{shown:?} {claimed}");
        }
    }

    #[test]
    fn a_devices_key_is_one_factor_and_never_the_second() {
        use AuthMethod::{Integrated, OneTimePassword, Password, SoftwareKey};
        for (methods, is_enough) in [
            (&[SoftwareKey][..], false),
            (&[SoftwareKey, Password], false),
            (&[SoftwareKey, Integrated], false),
            (&[SoftwareKey, OneTimePassword], true),
        ] {
            assert_eq!(is_multi_factor(&methods.iter().copied().collect()), is_enough, "{methods:?}");
        }
        let known = SessionRecord {
            methods: [SoftwareKey].into(),
            ..record(Some(DeviceState::Compliant), DeviceState::Unknown)
        };
        assert!(!known.is_multi_factor(), "it is the same key");
        assert_eq!(serde_json::to_string(&SoftwareKey).unwrap(), format!("\"{SoftwareKey}\""));
        assert_eq!("swk".parse::<AuthMethod>(), Ok(SoftwareKey));
    }

    #[test]
    fn what_a_provider_says_of_a_device_makes_another_record() {
        let (without, with) = (record(None, DeviceState::Unknown), record(None, DeviceState::Compliant));
        assert_ne!(without.digest(), with.digest());
        assert!(!serde_json::to_string(&without).unwrap().contains("claimed_device"), "as it was before there was any");
        let text = serde_json::to_string(&with).unwrap();
        assert_eq!(serde_json::from_str::<SessionRecord>(&text).unwrap(), with);
    }
}
