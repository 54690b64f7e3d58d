//! The settings that say how connectors reach an application: at which of several places, how they know that one of them is well, and
//! what TLS shows and expects there. Relays have no use for them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rustls_pki_types::DnsName;

use super::limits::duration;
use super::{OWN_COOKIES, SettingInvalid, unfit};
use crate::app_url::InternalUrl;

/// How an application is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendSettings {
    /// `backend_farm`: where the application is besides its internal URL, whose path they have. Default nowhere.
    pub farm: Vec<InternalUrl>,
    /// `balance`: which of them gets a request. Default each in its turn.
    pub balance: Balance,
    /// `balance_cookie`: the name of the cookie of [`Balance::Sticky`]. Default [`BALANCE_COOKIE_DEFAULT`].
    pub balance_cookie: Option<Box<str>>,
    /// `health_…`: how they are looked at. Default not at all: a connection that fails is noticed all the same.
    pub health: Option<HealthCheck>,
    /// `backend_client_certificate`: the name that each connector has a certificate and its key under. Default none is shown.
    pub client_certificate: Option<Box<str>>,
    /// `backend_sni`: the name that is asked for and verified instead of the internal URL's host.
    pub sni: Option<Box<str>>,
}

/// Which member of a farm gets a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in progress at this connector.
    LeastConnections,
    /// The one that a cookie names; without one as [`Balance::LeastConnections`].
    Sticky,
}

/// A look at each member of a farm, by each connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// `health_check`: path and query that are asked for.
    pub path: Box<str>,
    /// `health_interval`: between two looks.
    pub interval_ms: u32,
    /// `health_timeout`: an answer that takes longer counts as none.
    pub timeout_ms: u32,
    /// `health_fails`: so many looks in a row that fail take a member out.
    pub fails: u32,
    /// `health_passes`: so many in a row that do not bring it back.
    pub passes: u32,
}

impl BackendSettings {
    /// Reads these settings among others.
    pub(super) fn read(settings: &BTreeMap<String, String>) -> Result<Self, SettingInvalid> {
        let given = |name: &str| settings.get(name).map(String::as_str);
        let read = Self {
            farm: given(BACKEND_FARM).map_or(Ok(Vec::new()), farm)?,
            balance: given(BALANCE).map_or(Ok(Balance::default()), balance)?,
            balance_cookie: given(BALANCE_COOKIE).map(cookie_name).transpose()?,
            health: HealthCheck::read(settings)?,
            client_certificate: given(CLIENT_CERTIFICATE).map(file_name).transpose()?,
            sni: given(SNI).map(server_name).transpose()?,
        };
        if let Some(name) = OF_FARMS.into_iter().find(|name| read.farm.is_empty() && settings.contains_key(*name)) {
            return Err(unfit(name, &settings[name], "needs backend_farm: there is one place only"));
        }
        if let Some(cookie) = read.balance_cookie.as_deref().filter(|_| read.balance != Balance::Sticky) {
            return Err(unfit(BALANCE_COOKIE, cookie, "needs balance=sticky"));
        }
        Ok(read)
    }

    /// Whether they fit an internal URL. `by_vault`: users are signed on with passwords of the vault.
    pub(super) fn check(&self, tls: bool, by_vault: bool) -> Result<(), SettingInvalid> {
        if let Some(member) = self.farm.first().filter(|_| by_vault) {
            let expected = "needs another sso: passwords of the vault are for the internal URL alone";
            return Err(unfit(BACKEND_FARM, &member.to_string(), expected));
        }
        let needs_tls = "needs an https:// internal URL";
        match (&self.client_certificate, &self.sni) {
            (Some(name), _) if !tls => Err(unfit(CLIENT_CERTIFICATE, name, needs_tls)),
            (_, Some(name)) if !tls => Err(unfit(SNI, name, needs_tls)),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// Whether its farm's members are other places than the application's internal URL, and reached as that is.
    ///
    /// # Errors
    /// The setting when one is not.
    pub fn check_farm(&self, internal: &InternalUrl) -> Result<(), SettingInvalid> {
        let refused = |member: &InternalUrl, expected| Err(unfit(BACKEND_FARM, &member.to_string(), expected));
        if let Some(member) = self.farm.first().filter(|_| internal.wildcard().is_some()) {
            return refused(member, "needs an internal URL that is one place, and no wildcard");
        }
        if let Some(other) = self.farm.iter().find(|member| member.tls != internal.tls) {
            return refused(other, "must begin as the internal URL does, with http or https");
        }
        let same = |member: &&InternalUrl| member.host == internal.host && member.port == internal.port;
        match self.farm.iter().find(same) {
            Some(member) => refused(member, "is the internal URL, which is of the farm already"),
            None => Ok(()),
        }
    }

    /// The cookie of [`Balance::Sticky`].
    #[must_use]
    pub fn cookie(&self) -> &str {
        self.balance_cookie.as_deref().unwrap_or(BALANCE_COOKIE_DEFAULT)
    }
}

impl HealthCheck {
    fn read(settings: &BTreeMap<String, String>) -> Result<Option<Self>, SettingInvalid> {
        let given = |name: &str| settings.get(name).map(String::as_str);
        let Some(path) = given(HEALTH_CHECK).filter(|path| *path != "off") else {
            return match OF_CHECKS.into_iter().find(|name| settings.contains_key(*name)) {
                Some(name) => Err(unfit(name, &settings[name], "needs health_check=/PATH")),
                None => Ok(None),
            };
        };
        let time = |name, usual| given(name).map_or(Ok(usual), |value| duration(name, value));
        let count = |name, usual| given(name).map_or(Ok(usual), |value| times(name, value));
        let check = Self {
            path: check_path(path)?,
            interval_ms: time(HEALTH_INTERVAL, INTERVAL_DEFAULT_MS)?,
            timeout_ms: time(HEALTH_TIMEOUT, TIMEOUT_DEFAULT_MS)?,
            fails: count(HEALTH_FAILS, TIMES_DEFAULT)?,
            passes: count(HEALTH_PASSES, TIMES_DEFAULT)?,
        };
        let value = |name| given(name).unwrap_or_default();
        if !(INTERVAL_MIN_MS..=INTERVAL_MAX_MS).contains(&check.interval_ms) {
            return Err(unfit(HEALTH_INTERVAL, value(HEALTH_INTERVAL), "must be from 500ms to 1h"));
        }
        if check.timeout_ms > TIMEOUT_MAX_MS {
            return Err(unfit(HEALTH_TIMEOUT, value(HEALTH_TIMEOUT), "must be at most 30s"));
        }
        Ok(Some(check))
    }
}

/// Reads the value of `backend_farm`.
fn farm(value: &str) -> Result<Vec<InternalUrl>, SettingInvalid> {
    let refused = |expected| unfit(BACKEND_FARM, value, expected);
    let mut members: Vec<InternalUrl> = Vec::new();
    for text in value.split(',').map(str::trim) {
        let member = InternalUrl::parse(text).map_err(|_| refused(FARM_EXPECTED))?;
        if member.wildcard().is_some() {
            return Err(refused("must have no wildcards: each member is one place"));
        }
        if !member.path.is_empty() {
            return Err(refused("must have no paths: that of the internal URL is each member's"));
        }
        if member.host.ends_with(OWN_NAMES) {
            return Err(refused("must not be in postern.internal, whose names are Postern's own"));
        }
        if members.contains(&member) {
            return Err(refused("must name each member once"));
        }
        members.push(member);
    }
    if members.len() > FARM_MAX { Err(refused(FARM_EXPECTED)) } else { Ok(members) }
}

/// The members that a farm's setting names; none where it cannot be read.
#[must_use]
pub fn farm_members(settings: &BTreeMap<String, String>) -> Vec<InternalUrl> {
    settings.get(BACKEND_FARM).and_then(|value| farm(value).ok()).unwrap_or_default()
}

/// Whether connectors set a cookie that names a member of a farm.
#[must_use]
pub fn is_sticky(settings: &BTreeMap<String, String>) -> bool {
    settings.get(BALANCE).is_some_and(|value| value == STICKY)
}

fn balance(value: &str) -> Result<Balance, SettingInvalid> {
    match value {
        "round-robin" => Ok(Balance::RoundRobin),
        "least-connections" => Ok(Balance::LeastConnections),
        STICKY => Ok(Balance::Sticky),
        _ => Err(unfit(BALANCE, value, "must be round-robin, least-connections or sticky")),
    }
}

/// As browsers take it wherever the application is published: names that begin with `__` have conditions.
fn cookie_name(value: &str) -> Result<Box<str>, SettingInvalid> {
    let letters = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let own = OWN_COOKIES.iter().any(|own| value.starts_with(own));
    if letters && (1..=NAME_BYTES_MAX).contains(&value.len()) && !value.starts_with("__") && !own {
        return Ok(value.into());
    }
    let expected = "must be up to 64 letters, digits and . _ - and not begin with __ or postern-session-";
    Err(unfit(BALANCE_COOKIE, value, expected))
}

fn file_name(value: &str) -> Result<Box<str>, SettingInvalid> {
    let letters = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if letters && (1..=NAME_BYTES_MAX).contains(&value.len()) && !value.starts_with('.') {
        return Ok(value.into());
    }
    let expected =
        "must be a name, up to 64 letters, digits and . _ - : connectors read NAME.pem of their --client-certificates";
    Err(unfit(CLIENT_CERTIFICATE, value, expected))
}

fn server_name(value: &str) -> Result<Box<str>, SettingInvalid> {
    if DnsName::try_from(value).is_ok() && value.parse::<IpAddr>().is_err() {
        return Ok(value.to_ascii_lowercase().into());
    }
    Err(unfit(SNI, value, "must be a DNS name: TLS asks for no addresses"))
}

/// What can be asked for as it stands: no dots that lead upwards, no escapes in the path.
fn check_path(value: &str) -> Result<Box<str>, SettingInvalid> {
    let (path, query) = value.split_once('?').unwrap_or((value, ""));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b);
    let segments = || path.split('/').skip(1);
    let fits = value.len() <= PATH_BYTES_MAX
        && path.starts_with('/')
        && path.bytes().all(plain)
        && query.bytes().all(|b| plain(b) || matches!(b, b'?' | b'%'))
        && !segments().any(|segment| matches!(segment, "." | ".."))
        && !path.contains("//");
    if fits {
        return Ok(value.into());
    }
    Err(unfit(HEALTH_CHECK, value, "must be off, or a path such as /healthz, perhaps with a query, at most 256 bytes"))
}

fn times(name: &'static str, value: &str) -> Result<u32, SettingInvalid> {
    let parsed = value.parse().ok().filter(|times| (1..=TIMES_MAX).contains(times));
    parsed.ok_or_else(|| unfit(name, value, "must be from 1 to 20"))
}

const BACKEND_FARM: &str = "backend_farm";
const BALANCE: &str = "balance";
const BALANCE_COOKIE: &str = "balance_cookie";
const HEALTH_CHECK: &str = "health_check";
const HEALTH_INTERVAL: &str = "health_interval";
const HEALTH_TIMEOUT: &str = "health_timeout";
const HEALTH_FAILS: &str = "health_fails";
const HEALTH_PASSES: &str = "health_passes";
const CLIENT_CERTIFICATE: &str = "backend_client_certificate";
const SNI: &str = "backend_sni";
/// Names.
pub(super) const ALL: [&str; 10] = [
    BACKEND_FARM,
    BALANCE,
    BALANCE_COOKIE,
    HEALTH_CHECK,
    HEALTH_INTERVAL,
    HEALTH_TIMEOUT,
    HEALTH_FAILS,
    HEALTH_PASSES,
    CLIENT_CERTIFICATE,
    SNI,
];
const OF_FARMS: [&str; 3] = [BALANCE, BALANCE_COOKIE, HEALTH_CHECK];
const OF_CHECKS: [&str; 4] = [HEALTH_INTERVAL, HEALTH_TIMEOUT, HEALTH_FAILS, HEALTH_PASSES];
const STICKY: &str = "sticky";
/// The name of the cookie of [`Balance::Sticky`] unless set.
pub const BALANCE_COOKIE_DEFAULT: &str = "postern-member";
/// Besides the internal URL.
const FARM_MAX: usize = 15;
const FARM_EXPECTED: &str = "must be up to 15 further places, http://HOST[:PORT] or https://…, with commas between: http://app2,http://app3:8080";
const OWN_NAMES: &str = "postern.internal";
const NAME_BYTES_MAX: usize = 64;
const PATH_BYTES_MAX: usize = 256;
const INTERVAL_DEFAULT_MS: u32 = 5_000;
const INTERVAL_MIN_MS: u32 = 500;
const INTERVAL_MAX_MS: u32 = 3_600_000;
const TIMEOUT_DEFAULT_MS: u32 = 2_000;
const TIMEOUT_MAX_MS: u32 = 30_000;
const TIMES_DEFAULT: u32 = 2;
const TIMES_MAX: u32 = 20;

#[cfg(test)]
mod tests;
