//! What has to be so for a policy to apply. A condition that is not set asks for nothing.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::check::{PolicyInvalid, bounded, invalid, spanned};
use super::{Asn, Country, TimeWindow, WINDOWS_MAX, words};
use crate::ids::Name;
use crate::network::NETWORKS_MAX;
use crate::session::AuthMethod;

/// All of a policy's conditions: each of them has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// The tenant's networks that the request comes from.
    #[serde(skip_serializing_if = "Choice::is_empty")]
    pub networks: Choice<Name>,
    /// The country it comes from.
    #[serde(skip_serializing_if = "Choice::is_empty")]
    pub countries: Choice<Country>,
    /// The autonomous system it comes from.
    #[serde(skip_serializing_if = "Choice::is_empty")]
    pub asns: Choice<Asn>,
    /// What the device runs.
    #[serde(skip_serializing_if = "Choice::is_empty")]
    pub platforms: Choice<Platform>,
    /// What kind of program asks.
    #[serde(skip_serializing_if = "Choice::is_empty")]
    pub clients: Choice<ClientKind>,
    /// When.
    #[serde(skip_serializing_if = "Choice::is_empty")]
    pub times: Choice<TimeWindow>,
    /// How the user proved who they are: one of these, and none of those excepted.
    #[serde(skip_serializing_if = "Choice::is_empty")]
    pub methods: Choice<AuthMethod>,
    /// By how many factors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strength: Option<Strength>,
    /// How long ago they did, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_age_min_s: Option<u32>,
    /// How likely it is that it was somebody else, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_min: Option<Risk>,
    /// What is known of the device.
    #[serde(skip_serializing_if = "Choice::is_empty")]
    pub devices: Choice<DeviceState>,
}

/// One of some values, where any are included, and none of those excepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice<T: Ord> {
    /// One of these; any, where it is empty.
    #[serde(default = "BTreeSet::new", skip_serializing_if = "BTreeSet::is_empty")]
    pub include: BTreeSet<T>,
    /// None of these.
    #[serde(default = "BTreeSet::new", skip_serializing_if = "BTreeSet::is_empty")]
    pub except: BTreeSet<T>,
}

words! {
    /// What a device runs.
    Platform: "a platform" {
        /// Windows.
        Windows = "windows",
        /// macOS.
        Macos = "macos",
        /// Linux, Android not among it.
        Linux = "linux",
        /// iOS and iPadOS.
        Ios = "ios",
        /// Android.
        Android = "android",
        /// Anything else, or not known.
        Other = "other",
    }
}

words! {
    /// What kind of program asks.
    ClientKind: "a kind of client" {
        /// A browser.
        Browser = "browser",
        /// A program of the user's, with an access token.
        Native = "native",
        /// A machine with a service token: no user.
        Service = "service",
    }
}

words! {
    /// By how many factors a user proved who they are.
    Strength: "a strength" {
        /// One.
        SingleFactor = "single-factor",
        /// Two different ones.
        MultiFactor = "multi-factor",
    }
}

words! {
    /// How likely it is that someone else signed in.
    Risk: "a risk" {
        /// Nothing speaks for it.
        Low = "low",
        /// Something does.
        Medium = "medium",
        /// It is likely.
        High = "high",
    }
}

impl Default for Risk {
    /// Nothing speaks for it as long as nothing does.
    fn default() -> Self {
        Self::Low
    }
}

impl Risk {
    /// Whether nothing speaks for it.
    #[must_use]
    pub fn is_low(&self) -> bool {
        *self == Self::Low
    }
}

words! {
    /// What is known of a device, each more than the one before.
    DeviceState: "a device's state" {
        /// Nothing.
        Unknown = "unknown",
        /// It is registered.
        Registered = "registered",
        /// It is registered and complies.
        Compliant = "compliant",
    }
}

impl Default for DeviceState {
    /// Nothing is known as long as nothing was shown.
    fn default() -> Self {
        Self::Unknown
    }
}

impl DeviceState {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

impl Platform {
    /// What a browser says that it runs on, in its User-Agent. Whoever wants to can say something else: it keeps honest devices
    /// apart, and is no proof.
    #[must_use]
    pub fn of_user_agent(text: &[u8]) -> Self {
        // Android says Linux, too, and iPads may say Macintosh: what is special comes first.
        const SIGNS: [(&[u8], Platform); 8] = [
            (b"Android", Platform::Android),
            (b"iPhone", Platform::Ios),
            (b"iPad", Platform::Ios),
            (b"Windows", Platform::Windows),
            (b"Macintosh", Platform::Macos),
            (b"CrOS", Platform::Other),
            (b"Linux", Platform::Linux),
            (b"X11", Platform::Linux),
        ];
        let says = |sign: &[u8]| text.windows(sign.len()).any(|window| window == sign);
        SIGNS.iter().find(|(sign, _)| says(sign)).map_or(Self::Other, |(_, platform)| *platform)
    }
}

impl Conditions {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), PolicyInvalid> {
        self.networks.check("networks", NETWORKS_MAX)?;
        self.countries.check("countries", usize::MAX)?;
        self.asns.check("asns", ASNS_MAX)?;
        self.platforms.check("platforms", usize::MAX)?;
        self.clients.check("clients", usize::MAX)?;
        self.times.check("times", WINDOWS_MAX)?;
        self.methods.check("methods", usize::MAX)?;
        self.devices.check("devices", usize::MAX)?;
        self.platforms.check_any("platforms", Platform::ALL)?;
        self.clients.check_any("clients", ClientKind::ALL)?;
        self.devices.check_any("devices", DeviceState::ALL)?;
        spanned("auth-age-min", self.auth_age_min_s)
    }
}

impl<T: Ord> Choice<T> {
    /// Whether anything will do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.except.is_empty()
    }

    /// Whether a value will do.
    #[must_use]
    pub fn allows(&self, value: &T) -> bool {
        (self.include.is_empty() || self.include.contains(value)) && !self.except.contains(value)
    }
}

impl<T: Ord + fmt::Display> Choice<T> {
    fn check(&self, key: &'static str, max: usize) -> Result<(), PolicyInvalid> {
        bounded(key, self.include.len(), max)?;
        bounded(key, self.except.len(), max)?;
        match self.include.intersection(&self.except).next() {
            Some(both) => Err(invalid(key, format!("{both}: included and excepted: keep one of them"))),
            None => Ok(()),
        }
    }

    fn check_any(&self, key: &'static str, all: &[T]) -> Result<(), PolicyInvalid> {
        if all.iter().any(|value| self.allows(value)) {
            return Ok(());
        }
        Err(invalid(key, "all there are is excepted: the policy could never apply"))
    }
}

/// Autonomous systems in one list.
const ASNS_MAX: usize = 256;

impl<T: Ord> Default for Choice<T> {
    fn default() -> Self {
        Self { include: BTreeSet::new(), except: BTreeSet::new() }
    }
}
