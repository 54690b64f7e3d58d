//! What a line of the access log says of somebody who signed in: enough to tell later why they were let in or not, and what other
//! policies would have said.

use std::fmt::Write as _;

use postern_model::directory::Principal;
use postern_model::ids::PolicyId;
use postern_model::policy::{Asn, Country, Decision, DeviceState, Outcome, Platform};
use postern_model::record::IDLE;
use postern_model::session::SessionRecord;

use super::line::{Line, push_hex_start, push_member, push_number};
use crate::limits::LOGGED_POLICIES_MAX;

/// How it was decided about them.
pub(crate) struct Access<'a> {
    pub(crate) session: &'a SessionRecord,
    pub(crate) assigned: Option<Principal>,
    /// What policies said, where any is about them here.
    pub(crate) judged: Option<&'a Judged>,
}

/// What the policies said of one request. Kept for its record, whatever they said.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) decision: Decision,
    pub(crate) platform: Platform,
    /// Where any policy asks for it.
    pub(crate) country: Option<Country>,
    /// Likewise.
    pub(crate) asn: Option<Asn>,
    /// What was known of the device then.
    pub(crate) device: DeviceState,
    /// The cookie outlasted the browser, by the application's settings.
    pub(crate) outlasts: bool,
    /// Nothing was done for longer than one of them allows.
    pub(crate) idle: bool,
}

impl Line<'_> {
    /// The fields are those of [`postern_model::record::AccessRecord`].
    pub(crate) fn access(&mut self, access: &Access<'_>) {
        access.write(self.member("access"));
    }
}

/// Who asks and how it was decided about them, for [`Line::ready`]: the same in the lines of many requests.
pub(crate) fn made_ready(kind: &str, name: &str, access: &Access<'_>) -> Box<str> {
    let mut out = String::new();
    let mut line = Line::inside(&mut out);
    line.subject(kind, name);
    line.access(access);
    out.into()
}

impl Access<'_> {
    /// As one JSON object.
    fn write(&self, out: &mut String) {
        let Self { session, assigned, judged } = self;
        // Not the whole id: with the key of cookies it would make one.
        out.push_str("{\"session\":\"");
        push_hex_start(out, session.id.0);
        out.push('"');
        push_member(out, "authenticated_unix", session.authenticated_unix);
        out.push_str(",\"methods\":[");
        for (nth, method) in session.methods.iter().enumerate() {
            for part in [if nth > 0 { ",\"" } else { "\"" }, method.as_str(), "\""] {
                out.push_str(part);
            }
        }
        out.push(']');
        if session.persistent || judged.is_some_and(|judged| judged.outlasts) {
            out.push_str(",\"persistent\":true");
        }
        if !session.risk.is_low() {
            let _ = write!(out, ",\"risk\":\"{}\"", session.risk);
        }
        push_device(out, session, *judged);
        if let Some(principal) = assigned {
            push_assigned(out, *principal);
        }
        if let Some(judged) = judged {
            push_judged(out, judged);
        }
        out.push('}');
    }
}

/// Through whom, as [`Principal`] shows itself.
fn push_assigned(out: &mut String, principal: Principal) {
    out.push_str(",\"assigned\":\"");
    let id = match principal {
        Principal::User(id) => Some(("u", id.tenant, id.seq)),
        Principal::Group(id) => Some(("ug", id.tenant, id.seq)),
        Principal::Everyone => None,
    };
    match id {
        Some((kind, tenant, seq)) => {
            out.push_str(kind);
            push_number(out, tenant.0.into());
            out.push('-');
            push_number(out, seq.into());
        }
        None => {
            let _ = write!(out, "{principal}");
        }
    }
    out.push('"');
}

/// What was shown, if anything was; what counted; and what the identity provider said, if it did.
fn push_device(out: &mut String, session: &SessionRecord, judged: Option<&Judged>) {
    let claimed = session.claimed_device;
    if session.device.is_none() && claimed.is_unknown() {
        return;
    }
    out.push_str(",\"device\":{");
    if let Some(device) = &session.device {
        let _ = write!(out, "\"id\":\"{}\",", device.id);
    }
    // As it was told, where no policy asked for it.
    let state = judged.map_or_else(|| session.device_state(0), |judged| judged.device);
    let _ = write!(out, "\"state\":\"{state}\"");
    if !claimed.is_unknown() {
        let _ = write!(out, ",\"claimed\":\"{claimed}\"");
    }
    out.push('}');
}

fn push_judged(out: &mut String, judged: &Judged) {
    let Judged { decision, platform, country, asn, device: _, outlasts: _, idle } = judged;
    let _ = write!(out, ",\"platform\":\"{platform}\"");
    if let Some(country) = country {
        let _ = write!(out, ",\"country\":\"{country}\"");
    }
    if let Some(asn) = asn {
        let _ = write!(out, ",\"asn\":\"{asn}\"");
    }
    push_policies(out, "policies", decision.applied.iter());
    let reported = decision.report_only.iter().filter(|reported| reported.outcome != Outcome::Allow);
    push_policies(out, "report_only", reported.map(|reported| &reported.policy));
    let _ = match idle {
        true => write!(out, ",\"outcome\":\"{IDLE}\""),
        false => write!(out, ",\"outcome\":\"{}\"", decision.outcome),
    };
}

/// The first of them: a line is cut in all its parts.
fn push_policies<'a>(out: &mut String, name: &str, policies: impl Iterator<Item = &'a PolicyId>) {
    let mut policies = policies.take(LOGGED_POLICIES_MAX);
    let Some(first) = policies.next() else { return };
    let _ = write!(out, ",\"{name}\":[\"{first}\"");
    for policy in policies {
        let _ = write!(out, ",\"{policy}\"");
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::tests::record;
    use postern_model::device::SessionDevice;
    use postern_model::ids::{DeviceId, RequestId, TenantId};
    use postern_model::policy::{Reported, Risk, SessionControls};
    use postern_model::record::{LoggedDevice, RequestRecord};

    fn begin(out: &mut String) -> Line<'_> {
        Line::begin(out, "2026-01-01T00:00:00.000Z", RequestId(1))
    }

    fn read_back(access: &Access<'_>) -> RequestRecord {
        let mut out = String::new();
        let mut line = begin(&mut out);
        line.access(access);
        line.client("192.0.2.1:443".parse().unwrap());
        line.number("bytes_in", 0);
        line.number("bytes_out", 0);
        line.times();
        serde_json::from_str(&(out + "}}")).unwrap()
    }

    fn of<'a>(session: &'a SessionRecord, judged: Option<&'a Judged>) -> Access<'a> {
        Access { session, assigned: None, judged }
    }

    fn judged(policies: u32, outcome: Outcome, idle: bool) -> Judged {
        let policy = |seq| PolicyId::new(TenantId::DEFAULT, seq);
        let report_only = vec![
            Reported { policy: policy(9_001), outcome: Outcome::Allow },
            Reported { policy: policy(9_002), outcome: Outcome::Block { policies: vec![policy(9_002)] } },
        ];
        let applied = (1..=policies).map(policy).collect();
        let decision = Decision { outcome, session: SessionControls::default(), applied, report_only };
        let (country, asn, device) = ("DE".parse().ok(), Some(Asn(64_500)), DeviceState::Registered);
        Judged { decision, platform: Platform::Ios, country, asn, device, outlasts: false, idle }
    }

    #[test]
    fn whoever_is_assigned_is_said_as_everywhere() {
        let session = record(1, 1);
        for principal in ["u1-7", "ug4294967295-10", "everyone"].map(|text| text.parse::<Principal>().unwrap()) {
            let access = Access { session: &session, assigned: Some(principal), judged: None };
            assert_eq!(read_back(&access).access.unwrap().assigned, Some(principal));
        }
    }

    #[test]
    fn a_line_says_who_it_was_and_what_policies_said() {
        let id = DeviceId::new(TenantId::DEFAULT, 4);
        let device = Some(SessionDevice::new(id, "anna's".parse().unwrap(), DeviceState::Registered));
        let session =
            SessionRecord { persistent: true, risk: Risk::Medium, device, ..record(0x9f1c_2d3e << 96 | 7, 1) };
        let judged = judged(2, Outcome::Block { policies: vec![PolicyId::new(TenantId::DEFAULT, 2)] }, false);
        let (assigned, judged) = (Some(Principal::Everyone), Some(&judged));
        let access = read_back(&Access { session: &session, assigned, judged }).access.unwrap();
        assert_eq!(access.session, "9f1c2d3e", "not the whole id");
        assert_eq!((access.authenticated_unix, access.persistent), (session.authenticated_unix, true));
        assert_eq!(access.risk, Risk::Medium);
        assert_eq!(access.device, Some(logged(Some(id), DeviceState::Registered, DeviceState::Unknown)));
        assert_eq!((&access.methods, access.assigned), (&session.methods, assigned));
        assert_eq!((access.platform, access.country), (Some(Platform::Ios), "DE".parse().ok()));
        assert_eq!(access.asn, Some(Asn(64_500)));
        let ids = |policies: &[PolicyId]| policies.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            (ids(&access.policies), ids(&access.report_only)),
            (vec!["p1-1".into(), "p1-2".into()], vec!["p1-9002".into()])
        );
        assert_eq!(access.outcome.as_deref(), Some("block"));
    }

    #[test]
    fn what_is_made_ready_is_what_would_be_written() {
        let session = record(1, 1);
        let access = Access { assigned: Some(Principal::Everyone), ..of(&session, None) };
        let (mut ready, mut written) = (String::new(), String::new());
        begin(&mut ready).ready(&made_ready("user", "anna@example.com", &access));
        let mut line = begin(&mut written);
        line.subject("user", "anna@example.com");
        line.access(&access);
        assert_eq!(ready, written);
    }

    fn logged(id: Option<DeviceId>, state: DeviceState, claimed: DeviceState) -> LoggedDevice {
        LoggedDevice { id, state, claimed }
    }

    #[test]
    fn a_device_that_a_provider_vouched_for_counts_with_or_without_one_that_was_shown() {
        use DeviceState::{Compliant, Registered, Unknown};
        let id = DeviceId::new(TenantId::DEFAULT, 4);
        for (shown, claimed, counted) in [
            (None, Unknown, None),
            (None, Registered, Some(Registered)),
            (Some(Registered), Compliant, Some(Compliant)),
            (Some(Compliant), Registered, Some(Compliant)),
        ] {
            let device = shown.map(|state| SessionDevice::new(id, "anna's".parse().unwrap(), state));
            let session = SessionRecord { device, claimed_device: claimed, ..record(7, 1) };
            let access = read_back(&of(&session, None)).access.unwrap();
            let expected = counted.map(|counted| logged(shown.map(|_| id), counted, claimed));
            assert_eq!(access.device, expected, "{shown:?} {claimed}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out_and_what_is_long_is_cut() {
        let session = record(7, 1);
        let access = read_back(&of(&session, None)).access.unwrap();
        assert_eq!((access.assigned, access.platform, access.outcome), (None, None, None));
        assert!(access.policies.is_empty() && access.report_only.is_empty());
        let judged = judged(2_000, Outcome::Allow, true);
        let access = read_back(&of(&session, Some(&judged))).access.unwrap();
        assert_eq!((access.policies.len(), access.outcome.as_deref()), (LOGGED_POLICIES_MAX, Some(IDLE)));
    }
}
