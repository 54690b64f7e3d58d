//! Devices: machines that a tenant knows by the certificates that they show. Relays hold nothing of them but the authorities'
//! certificates, to ask for what they issued, and what sessions' records say.

mod authority;
mod enrol;
mod host;

use serde::{Deserialize, Serialize};

pub use authority::{
    AUTHORITY_CERTIFICATE_BYTES_MAX, AuthorityCertificate, DEVICE_AUTHORITIES_MAX, DeviceAuthority, DeviceAuthorityKey,
    OWN_AUTHORITY,
};
pub use enrol::{CSR_BYTES_MAX, EnrolDevice, EnrolledDevice};
pub use host::{DeviceHost, DeviceHostInvalid};

use crate::directory::Line;
use crate::ids::{DeviceId, Name, UserId};
use crate::policy::{DeviceState, Platform};

/// A device in a tenant's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// What people call it. Whoever enrols it, or the authority that issued its certificate, chose it.
    pub name: Line<DEVICE_NAME_BYTES_MAX>,
    /// For whom alone it counts; `None`: for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
    /// What it runs, as it was said when it was enrolled: no proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Whether it counts.
    pub approval: Approval,
    /// Whether it complies.
    #[serde(default)]
    pub compliance: Compliance,
    /// Who issued its certificate: [`OWN_AUTHORITY`] or the name of another.
    pub authority: Name,
    /// SHA-256 of the certificate (DER) that it showed last, 64 hex digits.
    pub certificate_sha256: String,
    /// SHA-256 of the certificate's SubjectPublicKeyInfo, 64 hex digits: with the authority, what it is known by.
    pub key_sha256: String,
    /// End of the certificate's validity.
    pub expires_unix: u64,
    /// When it came into the directory.
    pub created_unix: u64,
    /// When it was shown last, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_unix: Option<u64>,
}

/// Whether a device counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// An operator has not looked at it yet: it counts for nothing.
    Waiting,
    /// It counts.
    Approved,
    /// It counts for nothing, and cannot be enrolled once more with its key.
    Blocked,
    /// It was removed, and is remembered: otherwise the certificate that another authority issued to it would bring it back.
    Removed,
}

/// How a tenant's users enrol devices, and what those do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSettings {
    /// Whether a device that its user enrolled counts at once; else it waits for an operator.
    #[serde(default)]
    pub approve_at_once: bool,
    /// How long certificates of the tenant's own authority are valid: days.
    pub own_days: u16,
    /// Whether a device that its user enrolled signs them in by itself.
    #[serde(default)]
    pub sign_in: bool,
}

impl Default for DeviceSettings {
    /// An operator looks at each device: whoever has a user's password and second factor could enrol their own otherwise.
    fn default() -> Self {
        Self { approve_at_once: false, own_days: OWN_DAYS_DEFAULT, sign_in: false }
    }
}

/// Whether a device complies, and who says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compliance {
    /// As its authority says of all its devices: see [`DeviceAuthority::compliant`].
    #[default]
    ByAuthority,
    /// An operator said no.
    No,
    /// An operator said yes.
    Yes,
    /// An operator said yes, for some time: seconds.
    Until(u64),
}

/// What a session's record says of the device that was shown when its user signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDevice {
    /// Which.
    pub id: DeviceId,
    /// What people call it.
    pub name: Line<DEVICE_NAME_BYTES_MAX>,
    /// What it counts as when this is told: of one that waits for approval, unknown.
    pub state: DeviceState,
    /// From this second on it complies no more: it is registered only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliant_until_unix: Option<u64>,
    /// From this second on it counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix: Option<u64>,
}

impl SessionDevice {
    /// One that counts as this until something else is told.
    #[must_use]
    pub const fn new(id: DeviceId, name: Line<DEVICE_NAME_BYTES_MAX>, state: DeviceState) -> Self {
        Self { id, name, state, compliant_until_unix: None, until_unix: None }
    }

    /// What it counts as at a second, if nothing else was told since.
    #[must_use]
    pub fn state_at(&self, now_unix: u64) -> DeviceState {
        let is_past = |end: Option<u64>| end.is_some_and(|end| end <= now_unix);
        if is_past(self.until_unix) {
            return DeviceState::Unknown;
        }
        if is_past(self.compliant_until_unix) { self.state.min(DeviceState::Registered) } else { self.state }
    }

    /// The next second at which that is something else.
    #[must_use]
    pub fn changes_unix(&self, now_unix: u64) -> Option<u64> {
        let ends = [self.compliant_until_unix, self.until_unix].into_iter().flatten();
        ends.filter(|end| *end > now_unix).min()
    }
}

impl Device {
    /// What it counts as. `authority` is the one that issued its certificate, as it is now: without it nothing vouches for the
    /// device any more. A certificate that is past its end counts for nothing, either.
    #[must_use]
    pub fn state(&self, authority: Option<&DeviceAuthority>, now_unix: u64) -> DeviceState {
        let same =
            |authority: &&DeviceAuthority| authority.tenant == self.id.tenant && authority.name == self.authority;
        let Some(authority) = authority.filter(same) else { return DeviceState::Unknown };
        match self.approval {
            Approval::Waiting | Approval::Blocked | Approval::Removed => DeviceState::Unknown,
            Approval::Approved if self.expires_unix <= now_unix => DeviceState::Unknown,
            Approval::Approved if self.compliance.holds(authority, now_unix) => DeviceState::Compliant,
            Approval::Approved => DeviceState::Registered,
        }
    }

    /// Whether it may count for somebody: one that is another's does not.
    #[must_use]
    pub fn is_for(&self, user: UserId) -> bool {
        self.id.tenant == user.tenant && self.owner.is_none_or(|owner| owner == user)
    }

    /// Whether the tenant's own authority issued its certificate.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.authority.as_str() == OWN_AUTHORITY
    }
}

impl Approval {
    /// As texts and tables have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Blocked => "blocked",
            Self::Removed => "removed",
        }
    }
}

impl Compliance {
    fn holds(self, authority: &DeviceAuthority, now_unix: u64) -> bool {
        match self {
            Self::ByAuthority => authority.compliant,
            Self::No => false,
            Self::Yes => true,
            Self::Until(end) => now_unix < end,
        }
    }
}

/// Longest name of a device.
pub const DEVICE_NAME_BYTES_MAX: usize = 64;
/// How long a certificate of the tenant's own authority is valid unless it is set: days.
pub const OWN_DAYS_DEFAULT: u16 = 365;
/// And at most.
pub const OWN_DAYS_MAX: u16 = 1_095;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TenantId;

    fn authority(compliant: bool) -> DeviceAuthority {
        let name = "mdm".parse().unwrap();
        DeviceAuthority { tenant: TenantId(1), name, certificate: "AAEC".parse().unwrap(), compliant }
    }

    fn device(approval: Approval, compliance: Compliance) -> Device {
        Device {
            id: DeviceId::new(TenantId(1), 4),
            name: "laptop".parse().unwrap(),
            owner: None,
            platform: None,
            approval,
            compliance,
            authority: "mdm".parse().unwrap(),
            certificate_sha256: "ab".repeat(32),
            key_sha256: "cd".repeat(32),
            expires_unix: 100,
            created_unix: 1,
            seen_unix: None,
        }
    }

    #[test]
    fn only_an_approved_device_counts_and_complies_as_its_authority_or_an_operator_says() {
        use Compliance::{ByAuthority, No, Until, Yes};
        for waits in [Approval::Waiting, Approval::Blocked, Approval::Removed] {
            assert_eq!(device(waits, Yes).state(Some(&authority(true)), 7), DeviceState::Unknown);
        }
        for (compliance, by_authority, state) in [
            (ByAuthority, false, DeviceState::Registered),
            (ByAuthority, true, DeviceState::Compliant),
            (No, true, DeviceState::Registered),
            (Yes, false, DeviceState::Compliant),
            (Until(8), false, DeviceState::Compliant),
            (Until(7), true, DeviceState::Registered),
        ] {
            let found = device(Approval::Approved, compliance).state(Some(&authority(by_authority)), 7);
            assert_eq!(found, state, "{compliance:?}");
        }
    }

    #[test]
    fn a_device_counts_for_nothing_without_its_authority_or_past_its_certificates_end() {
        let device = device(Approval::Approved, Compliance::Yes);
        assert_eq!(device.state(None, 7), DeviceState::Unknown);
        let other = DeviceAuthority { name: "other".parse().unwrap(), ..authority(true) };
        assert_eq!(device.state(Some(&other), 7), DeviceState::Unknown);
        let elsewhere = DeviceAuthority { tenant: TenantId(2), ..authority(true) };
        assert_eq!(device.state(Some(&elsewhere), 7), DeviceState::Unknown);
        assert_eq!(device.state(Some(&authority(true)), 99), DeviceState::Compliant);
        assert_eq!(device.state(Some(&authority(true)), 100), DeviceState::Unknown);
    }

    #[test]
    fn a_sessions_device_counts_for_less_from_its_ends_on() {
        use DeviceState::{Compliant, Registered, Unknown};
        let lasting = SessionDevice::new(DeviceId::new(TenantId(1), 4), "laptop".parse().unwrap(), Compliant);
        assert_eq!((lasting.state_at(u64::MAX), lasting.changes_unix(0)), (Compliant, None));
        let ends = SessionDevice { compliant_until_unix: Some(50), until_unix: Some(100), ..lasting.clone() };
        for (now, state, changes) in
            [(49, Compliant, Some(50)), (50, Registered, Some(100)), (99, Registered, Some(100)), (100, Unknown, None)]
        {
            assert_eq!((ends.state_at(now), ends.changes_unix(now)), (state, changes), "{now}");
        }
        let waits = SessionDevice { state: Unknown, ..ends };
        assert_eq!(waits.state_at(60), Unknown);
        // As an older control tells it.
        let told: SessionDevice = serde_json::from_str(&serde_json::to_string(&lasting).unwrap()).unwrap();
        assert_eq!(told, lasting);
        assert!(!serde_json::to_string(&lasting).unwrap().contains("until"));
    }

    #[test]
    fn a_device_of_somebody_counts_for_nobody_else() {
        let anna = UserId::new(TenantId(1), 1);
        let shared = device(Approval::Approved, Compliance::Yes);
        let owned = Device { owner: Some(anna), ..shared.clone() };
        assert!(owned.is_for(anna) && shared.is_for(anna));
        assert!(!owned.is_for(UserId::new(TenantId(1), 2)));
        assert!(!shared.is_for(UserId::new(TenantId(2), 1)), "another tenant's");
    }
}
