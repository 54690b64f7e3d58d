//! A sign-in, or an attempt, before the log gives it a number and a time.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use postern_model::admin::{PolicyApplied, SignInRecord, SignInResult};
use postern_model::chain::ChainHash;
use postern_model::directory::{LOGIN_BYTES_MAX, is_bidi_control};
use postern_model::ids::{AppId, Name, RequestId, SessionId, TenantId, UserId};
use postern_model::policy::DeviceState;
use postern_model::session::AuthMethod;

/// A sign-in, or an attempt. Put into a change with [`crate::control::Draft::sign_in`], it is stored in the same transaction
/// as the rest of it: a session that begins and its record are there together, or not at all. A failure is a change with
/// nothing else in it.
///
/// ```ignore
/// let mut entry = SignIn::new(tenant.id, Logged::cut(login_as_typed), SignInOutcome::Failure("password-wrong"));
/// entry.user = user.map(|user| user.id); // also of one who was not let in
/// entry.source = Some(source);
/// draft.sign_in(entry);
/// control.commit(&Actor::Control, draft)?;
/// ```
///
/// What is recorded is durable when the commit returns, before the user is told. Passwords, codes, tokens and cookies have no
/// place here: nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignIn {
    pub(crate) tenant: TenantId,
    /// Who, if the login is somebody's.
    pub(crate) user: Option<UserId>,
    /// What was typed, or what an identity provider said, also when nobody is called so. No real login name is cut.
    pub(crate) login: Logged<LOGIN_BYTES_MAX>,
    /// For which application, and what it is called now.
    pub(crate) app: Option<(AppId, Name)>,
    pub(crate) outcome: SignInOutcome,
    /// What was proven so far.
    pub(crate) methods: BTreeSet<AuthMethod>,
    /// Which identity provider was asked; `None`: the embedded directory.
    pub(crate) provider: Option<Name>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) user_agent: Option<Logged<USER_AGENT_BYTES_MAX>>,
    /// ISO 3166-1, two letters.
    pub(crate) country: Option<Logged<SHORT_BYTES_MAX>>,
    pub(crate) asn: Option<u32>,
    /// The device's id, if one was shown, and what it counts as: `compliant`, `registered`, `unknown`.
    pub(crate) device: Option<Logged<SHORT_BYTES_MAX>>,
    pub(crate) device_state: Option<Logged<SHORT_BYTES_MAX>>,
    /// Policies that applied: what each is called, and said. At most [`POLICIES_MAX`] are kept, the first ones.
    pub(crate) policies: Vec<PolicySaid>,
    pub(crate) session: Option<SessionId>,
    pub(crate) request: Option<RequestId>,
}

/// What a policy is called, and what it said.
pub(crate) type PolicySaid = (Logged<SHORT_BYTES_MAX>, Logged<SHORT_BYTES_MAX>);

/// How a sign-in ended, with a stable code where it did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignInOutcome {
    Success,
    /// Not let in: `password-wrong`, `user-unknown`, `user-disabled`, `otp-wrong`, `policy-block`.
    Failure(&'static str),
    /// Something more is asked for, and nothing is decided: `mfa-needed`, `terms-needed`.
    Interrupted(&'static str),
}

/// Text from outside, as a log keeps it: at most so many bytes, longer text cut with `…` at its end, and U+FFFD for what a
/// terminal would obey. It is cut and not refused, for a record must be made whatever was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged<const BYTES_MAX: usize>(String);

impl<const BYTES_MAX: usize> Logged<BYTES_MAX> {
    pub(crate) fn cut(text: &str) -> Self {
        // A character that is replaced takes three bytes, whatever it took before: bounded first, so that no more is cleaned
        // than can be kept.
        let head = &text[..text.floor_char_boundary(BYTES_MAX)];
        let mut kept: String =
            head.chars().map(|c| if is_obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect();
        if head.len() < text.len() || kept.len() > BYTES_MAX {
            kept.truncate(kept.floor_char_boundary(BYTES_MAX.saturating_sub(CUT.len_utf8())));
            kept.push(CUT);
        }
        Self(kept)
    }
}

impl<const BYTES_MAX: usize> fmt::Display for Logged<BYTES_MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SignIn {
    /// The least that is known of one; the rest is set where it is known.
    pub(crate) fn new(tenant: TenantId, login: Logged<LOGIN_BYTES_MAX>, outcome: SignInOutcome) -> Self {
        Self {
            tenant,
            user: None,
            login,
            app: None,
            outcome,
            methods: BTreeSet::new(),
            provider: None,
            source: None,
            user_agent: None,
            country: None,
            asn: None,
            device: None,
            device_state: None,
            policies: Vec::new(),
            session: None,
            request: None,
        }
    }

    /// The identity provider vouches for the device, be one shown or not: the better of both counts.
    pub(crate) fn vouched_for(mut self, claimed: DeviceState) -> Self {
        let shown = self.device_state.as_ref().and_then(|state| state.0.parse().ok());
        if claimed > shown.unwrap_or_default() {
            self.device_state = Some(Logged::cut(claimed.as_str()));
        }
        self
    }

    /// The record, its place in the chain left open.
    pub(super) fn record(&self, at_unix_ms: u64) -> SignInRecord {
        let (result, code) = match self.outcome {
            SignInOutcome::Success => (SignInResult::Success, None),
            SignInOutcome::Failure(code) => (SignInResult::Failure, Some(code)),
            SignInOutcome::Interrupted(code) => (SignInResult::Interrupted, Some(code)),
        };
        let policies = self.policies.iter().take(POLICIES_MAX);
        SignInRecord {
            seq: 0,
            at_unix_ms,
            tenant: self.tenant,
            user: self.user,
            login: self.login.0.clone(),
            app: self.app.as_ref().map(|(id, _)| *id),
            app_name: self.app.as_ref().map(|(_, name)| name.clone()),
            result,
            code: code.map(str::to_owned),
            methods: self.methods.clone(),
            provider: self.provider.clone(),
            source: self.source,
            user_agent: text(&self.user_agent),
            country: text(&self.country),
            asn: self.asn,
            device: text(&self.device),
            device_state: text(&self.device_state),
            policies: policies
                .map(|(id, said)| PolicyApplied { policy: id.0.clone(), outcome: said.0.clone() })
                .collect(),
            session: self.session,
            request: self.request,
            previous: ChainHash::ZERO,
            hash: ChainHash::ZERO,
        }
    }
}

fn text<const BYTES_MAX: usize>(logged: &Option<Logged<BYTES_MAX>>) -> Option<String> {
    logged.as_ref().map(|logged| logged.0.clone())
}

/// Control characters, and those that turn the direction of writing: they would act on whoever reads the log.
fn is_obeyed(c: char) -> bool {
    c.is_control() || is_bidi_control(c)
}

/// Longer than usual ones; with everything else a record stays below 10 KB.
pub(crate) const USER_AGENT_BYTES_MAX: usize = 256;
/// Ids, states, codes.
pub(crate) const SHORT_BYTES_MAX: usize = 64;
/// Policies of one record.
pub(crate) const POLICIES_MAX: usize = 64;
const CUT: char = '…';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_cut_and_cleaned() {
        assert_eq!(Logged::<8>::cut("anna").to_string(), "anna");
        assert_eq!(Logged::<8>::cut("12345678").to_string(), "12345678");
        assert_eq!(Logged::<8>::cut("123456789").to_string(), "12345…");
        assert_eq!(Logged::<8>::cut("ääääx").to_string(), "ää…", "never within a character");
        assert_eq!(
            Logged::<8>::cut("a\n\u{202e}bc").to_string(),
            "a\u{fffd}…",
            "a replacement is longer than what it replaces"
        );
        assert_eq!(Logged::<16>::cut("a\u{1b}[31m").to_string(), "a\u{fffd}[31m");
        for hostile in ["\0".repeat(1_000), "\u{202e}".repeat(1_000), "😀".repeat(1_000)] {
            assert!(Logged::<64>::cut(&hostile).to_string().len() <= 64);
        }
    }

    #[test]
    fn the_better_of_a_device_shown_and_one_claimed_is_recorded() {
        use DeviceState::{Compliant, Registered, Unknown};
        for (shown, claimed, recorded) in [
            (None, Unknown, None),
            (None, Registered, Some("registered")),
            (Some("unknown"), Unknown, Some("unknown")),
            (Some("registered"), Compliant, Some("compliant")),
            (Some("compliant"), Registered, Some("compliant")),
        ] {
            let mut entry = SignIn::new(TenantId::DEFAULT, Logged::cut("anna"), SignInOutcome::Success);
            entry.device_state = shown.map(Logged::cut);
            assert_eq!(entry.vouched_for(claimed).record(0).device_state.as_deref(), recorded, "{shown:?} {claimed}");
        }
    }

    #[test]
    fn a_record_is_bounded_whatever_is_sent() {
        let long = "x".repeat(100_000);
        let mut entry = SignIn::new(TenantId::DEFAULT, Logged::cut(&long), SignInOutcome::Interrupted("mfa-needed"));
        entry.user_agent = Some(Logged::cut(&long));
        entry.policies = vec![(Logged::cut(&long), Logged::cut(&long)); 1_000];
        let json = serde_json::to_string(&entry.record(0)).unwrap();
        assert!(json.len() < 16_384, "{}", json.len());
    }
}
