//! The settings that say whether users may ask for an application that they are not assigned to, and who decides. Relays and
//! connectors need nothing of them.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{SettingInvalid, unfit};
use crate::config::Preauth;
use crate::directory::LoginName;
use crate::ids::Name;

/// How an application is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestSettings {
    /// `request`: whether, and what it takes. Default not at all.
    pub mode: RequestMode,
    /// `request_approvers`: who decides, besides operators.
    pub approvers: Vec<Approver>,
    /// `request_expiry`: how long what is approved lasts. Default until it is taken away.
    pub expiry_s: Option<u64>,
    /// `request_group`: the user becomes a member of this group, instead of being assigned.
    pub group: Option<Name>,
}

/// What asking takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RequestMode {
    /// Nobody can ask.
    #[default]
    No,
    /// Someone else approves.
    Approval,
    /// Whoever asks gets it.
    Auto,
}

/// Someone who decides. As text `user/LOGIN` or `group/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approver {
    /// One user.
    User(LoginName),
    /// Whoever is in a group, nested ones included.
    Group(Name),
}

impl RequestSettings {
    /// Reads these settings among others.
    ///
    /// # Errors
    /// The first unfit value.
    pub fn parse(settings: &BTreeMap<String, String>) -> Result<Self, SettingInvalid> {
        let parsed = Self {
            mode: settings.get(REQUEST).map(|value| mode(value)).transpose()?.unwrap_or_default(),
            approvers: settings.get(REQUEST_APPROVERS).map(|value| approvers(value)).transpose()?.unwrap_or_default(),
            expiry_s: settings.get(REQUEST_EXPIRY).map(|value| span(value)).transpose()?,
            group: settings.get(REQUEST_GROUP).map(|value| group(value)).transpose()?,
        };
        if let (Some(group), Some(_)) = (&parsed.group, parsed.expiry_s) {
            let expected = "needs that request_expiry is not set: who becomes a member of a group stays one";
            return Err(unfit(REQUEST_GROUP, group.as_str(), expected));
        }
        Ok(parsed)
    }
}

/// Where nobody is asked who they are, nobody needs to ask for anything.
pub(super) fn check_preauth(settings: &BTreeMap<String, String>, preauth: Preauth) -> Result<(), SettingInvalid> {
    match (preauth, settings.get(REQUEST).map(String::as_str)) {
        (Preauth::Passthrough, Some(value)) if value != "no" => {
            Err(unfit(REQUEST, value, "needs --preauth oidc: with passthrough everybody reaches the application"))
        }
        (Preauth::Passthrough | Preauth::Oidc, _) => Ok(()),
    }
}

/// Takes these settings out.
pub fn take_request(settings: &mut BTreeMap<String, String>) {
    settings.retain(|name, _| !ALL.contains(&name.as_str()));
}

fn mode(value: &str) -> Result<RequestMode, SettingInvalid> {
    match value {
        "no" => Ok(RequestMode::No),
        "approval" => Ok(RequestMode::Approval),
        "auto" => Ok(RequestMode::Auto),
        _ => Err(unfit(REQUEST, value, "must be no, approval or auto")),
    }
}

impl FromStr for Approver {
    type Err = ApproverInvalid;

    fn from_str(text: &str) -> Result<Self, ApproverInvalid> {
        let (kind, name) = text.split_once('/').ok_or(ApproverInvalid)?;
        match kind {
            "user" => name.parse().map(Self::User).map_err(|_| ApproverInvalid),
            "group" => name.parse().map(Self::Group).map_err(|_| ApproverInvalid),
            _ => Err(ApproverInvalid),
        }
    }
}

/// Text that names nobody who could decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be user/LOGIN or group/NAME")]
pub struct ApproverInvalid;

fn approvers(value: &str) -> Result<Vec<Approver>, SettingInvalid> {
    let parsed: Result<Vec<Approver>, _> = value.split(',').map(|one| one.trim().parse()).collect();
    let fits = parsed.ok().filter(|approvers| approvers.len() <= APPROVERS_MAX);
    let expected = "must be user/LOGIN and group/NAME, separated by commas, at most 32";
    fits.ok_or_else(|| unfit(REQUEST_APPROVERS, value, expected))
}

fn span(value: &str) -> Result<u64, SettingInvalid> {
    let number = |suffix: char| value.strip_suffix(suffix).and_then(|number| number.parse::<u64>().ok());
    let (days, hours) = (number('d').and_then(|days| days.checked_mul(DAY_S)), number('h'));
    let seconds = days.or(hours.and_then(|hours| hours.checked_mul(HOUR_S)));
    let seconds = seconds.filter(|seconds| (HOUR_S..=SPAN_S_MAX).contains(seconds));
    seconds.ok_or_else(|| unfit(REQUEST_EXPIRY, value, "must be hours or days such as 8h or 30d, up to 3650d"))
}

fn group(value: &str) -> Result<Name, SettingInvalid> {
    value.parse().map_err(|_| unfit(REQUEST_GROUP, value, "must be a user group's name"))
}

const REQUEST: &str = "request";
const REQUEST_APPROVERS: &str = "request_approvers";
const REQUEST_EXPIRY: &str = "request_expiry";
const REQUEST_GROUP: &str = "request_group";
/// Names.
pub(super) const ALL: [&str; 4] = [REQUEST, REQUEST_APPROVERS, REQUEST_EXPIRY, REQUEST_GROUP];
const APPROVERS_MAX: usize = 32;
const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 86_400;
const SPAN_S_MAX: u64 = 3_650 * DAY_S;

#[cfg(test)]
mod tests {
    use super::super::AppSettings;
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn they_say_who_may_ask_and_who_decides() {
        assert_eq!(RequestSettings::parse(&BTreeMap::new()), Ok(RequestSettings::default()));
        let given = settings(&[
            (REQUEST, "approval"),
            (REQUEST_APPROVERS, "user/anna@example.com, group/leads"),
            (REQUEST_EXPIRY, "30d"),
        ]);
        let parsed = RequestSettings::parse(&given).unwrap();
        let anna = Approver::User("anna@example.com".parse().unwrap());
        assert_eq!(parsed.approvers, [anna, Approver::Group("leads".parse().unwrap())]);
        assert_eq!((parsed.mode, parsed.expiry_s), (RequestMode::Approval, Some(30 * DAY_S)));
        assert!(AppSettings::parse(&given).is_ok());
    }

    #[test]
    fn unfit_values_are_refused() {
        for (name, value) in [
            (REQUEST, "yes"),
            (REQUEST_APPROVERS, ""),
            (REQUEST_APPROVERS, "anna"),
            (REQUEST_APPROVERS, "user/anna,"),
            (REQUEST_APPROVERS, "everyone"),
            (REQUEST_APPROVERS, &["user/anna"; 33].join(",")),
            (REQUEST_EXPIRY, "0d"),
            (REQUEST_EXPIRY, "30"),
            (REQUEST_EXPIRY, "59m"),
            (REQUEST_EXPIRY, "-1d"),
            (REQUEST_EXPIRY, "99999999999999999999d"),
            (REQUEST_EXPIRY, "3651d"),
            (REQUEST_GROUP, "No Name"),
        ] {
            let error = AppSettings::parse(&settings(&[(name, value)])).unwrap_err();
            assert_eq!(error.name(), name, "{value}");
        }
        let both = settings(&[(REQUEST_GROUP, "staff"), (REQUEST_EXPIRY, "8h")]);
        assert!(RequestSettings::parse(&both).unwrap_err().to_string().contains("stays one"));
    }

    #[test]
    fn nobody_asks_for_what_everybody_reaches() {
        let asked = settings(&[(REQUEST, "auto")]);
        assert!(check_preauth(&asked, Preauth::Oidc).is_ok());
        assert!(check_preauth(&settings(&[(REQUEST, "no")]), Preauth::Passthrough).is_ok());
        let error = super::super::check_preauth(&asked, Preauth::Passthrough).unwrap_err().to_string();
        assert!(error.starts_with("request=auto: needs --preauth oidc"), "{error}");
        let mut all = settings(&[(REQUEST, "auto"), ("mfa", "required")]);
        take_request(&mut all);
        assert_eq!(all, settings(&[("mfa", "required")]));
    }
}
