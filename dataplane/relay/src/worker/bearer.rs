//! Service tokens in requests: found in one place only, compared by their hash, remembered for their connection.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time;
use postern_http::{Headers, Known, RequestHead};
use postern_io::{Instant, now, wall_clock};
use postern_model::access_token::claims_issuer;
use postern_model::ids::AppId;
use postern_model::plan::PlannedApp;
use postern_model::service_token::{PREFIX, PresentedToken, ServiceToken};
use zeroize::Zeroizing;

use super::reject::Reject;
use super::resource;
use crate::limits::{EXPIRY_LOOK_INTERVAL, WALL_CLOCK_LOOK_INTERVAL};
use crate::published::Published;

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is none.
    Missing,
    /// It is damaged, unknown, disabled, or its secret is wrong: which, is nobody's business.
    Invalid,
    Expired,
    NotForApp,
    /// The user proved less than the application demands.
    StepUp,
}

/// The token that a connection's client showed last and that was good then, so that the next request needs no hash.
#[derive(Default)]
pub(crate) struct Remembered {
    shown: RefCell<Option<Shown>>,
    /// The engine's clock and the wall clock when that was asked last.
    clocks: Cell<Option<(Instant, Duration)>>,
}

struct Shown {
    /// The value of the Authorization header.
    value: Zeroizing<Vec<u8>>,
    token: Arc<ServiceToken>,
    /// [`Published::access`] then: after the next change it is looked at anew.
    access: u64,
}

/// The token of a request, if it is good. A header of another kind, or two of them, are as good as none: nothing is
/// guessed. At most one hash of 32 bytes, and no allocation for what the client showed before.
pub(crate) fn shown(
    head: &RequestHead,
    published: &Published,
    remembered: &Remembered,
) -> Result<Arc<ServiceToken>, Refusal> {
    let value = authorization(head)?;
    if let Some(token) = remembered.find(value, published.access()) {
        return Ok(token);
    }
    let presented = PresentedToken::parse(&value[SCHEME.len()..]).ok_or(Refusal::Invalid)?;
    let token = known(&presented, published)?;
    remembered.keep(value, &token, published.access());
    Ok(token)
}

/// Whether a request shows what looks like a token of ours: then that counts, and nothing else.
pub(crate) fn is_shown(head: &RequestHead) -> bool {
    head.headers.values(Known::Authorization).any(is_ours)
}

/// What a token in a request stands for, if it is good.
pub(crate) fn known(presented: &PresentedToken, published: &Published) -> Result<Arc<ServiceToken>, Refusal> {
    let key = presented.secret.key();
    let token = published.plan.service_token(presented.id).filter(|token| token.key.is(&key) && token.enabled);
    token.cloned().ok_or(Refusal::Invalid)
}

/// The token that a request has with it to an application that does not ask for one: it may begin to, and [`take_out`] leaves
/// nothing in the request.
pub(crate) fn carried(head: &RequestHead) -> Option<Box<PresentedToken>> {
    let value = authorization(head).ok()?;
    PresentedToken::parse(&value[SCHEME.len()..]).map(Box::new)
}

/// What a header of the scheme Bearer shows, whatever that is.
pub(crate) fn bearer_text(value: &[u8]) -> Option<&str> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let is_bearer = scheme[..SCHEME.len() - 1].eq_ignore_ascii_case(&SCHEME[..SCHEME.len() - 1]);
    let rest = std::str::from_utf8(rest.trim_ascii()).ok()?;
    (is_bearer && matches!(scheme.last(), Some(b' ' | b'\t'))).then_some(rest)
}

/// Removes what looks like a token of ours and leaves an application's own credentials.
pub(crate) fn take_out(headers: &mut Headers) {
    if headers.get_all(Known::Authorization).any(is_ours) {
        headers.retain(|field| field.known() != Some(Known::Authorization) || !is_ours(field.value()));
    }
}

/// Removes what claims to be an access token of `issuer`, whatever it is worth, and leaves an application's own.
pub(crate) fn take_out_access(headers: &mut Headers, issuer: impl FnOnce() -> Option<String>) {
    if headers.get(Known::Authorization).is_none() {
        return;
    }
    let Some(issuer) = issuer() else { return };
    let claims = |value: &[u8]| bearer_text(value).is_some_and(|token| claims_issuer(token, &issuer));
    headers.retain(|field| field.known() != Some(Known::Authorization) || !claims(field.value()));
}

/// Goes by the beginning alone: the secret is in a damaged token, too, and in one with something behind it.
fn is_ours(value: &[u8]) -> bool {
    let Some((scheme, rest)) = value.split_at_checked(SCHEME.len()) else { return false };
    let is_bearer = scheme[..SCHEME.len() - 1].eq_ignore_ascii_case(&SCHEME[..SCHEME.len() - 1]);
    is_bearer && matches!(scheme.last(), Some(b' ' | b'\t')) && rest.trim_ascii_start().starts_with(PREFIX.as_bytes())
}

/// Whether a good token lets in here and now, and until when it is not to be looked at again.
pub(crate) fn admits(
    token: &ServiceToken,
    app: AppId,
    wall_clock: impl FnOnce() -> Duration,
) -> Result<Option<Instant>, Refusal> {
    let until = token.expires_unix.map(|expires| until(expires, wall_clock()).ok_or(Refusal::Expired)).transpose()?;
    if token.apps.contains(&app) { Ok(until) } else { Err(Refusal::NotForApp) }
}

/// The header's value, when it is the only one and of the scheme Bearer (RFC 6750 §2.1, RFC 9110 §11.6.2).
fn authorization(head: &RequestHead) -> Result<&[u8], Refusal> {
    let mut values = head.headers.values(Known::Authorization);
    let value = values.next().ok_or(Refusal::Missing)?;
    if values.next().is_some() {
        return Err(Refusal::Invalid);
    }
    match value.split_at_checked(SCHEME.len()) {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(value),
        Some(_) | None => Err(Refusal::Missing),
    }
}

/// The wall clock's moment on the engine's clock; `None` when it has passed. The wall clock may be set: it is asked again
/// after a while.
fn until(expires_unix: u64, wall_clock: Duration) -> Option<Instant> {
    let left = Duration::from_secs(expires_unix).checked_sub(wall_clock).filter(|left| !left.is_zero())?;
    Some(now().after(left.min(EXPIRY_LOOK_INTERVAL)))
}

impl Refusal {
    /// What the client is told.
    pub(crate) fn reject(self, head: &RequestHead, app: &PlannedApp) -> Reject {
        let metadata = resource::metadata_url(head, app);
        match self {
            Self::Missing => Reject::sign_in_required(&metadata),
            Self::Invalid => Reject::access_token_invalid(&metadata),
            Self::Expired => Reject::access_token_expired(&metadata),
            Self::NotForApp => Reject::access_token_not_for_app(&metadata),
            Self::StepUp => Reject::policy_step_up(),
        }
    }
}

impl Remembered {
    /// Takes the same time for every other value: clients of a proxy in front may share a connection.
    fn find(&self, value: &[u8], access: u64) -> Option<Arc<ServiceToken>> {
        let shown = self.shown.borrow();
        let shown = shown.as_ref().filter(|shown| shown.access == access)?;
        constant_time::verify_slices_are_equal(&shown.value, value).ok().map(|()| Arc::clone(&shown.token))
    }

    fn keep(&self, value: &[u8], token: &Arc<ServiceToken>, access: u64) {
        let value = Zeroizing::new(value.to_vec());
        *self.shown.borrow_mut() = Some(Shown { value, token: Arc::clone(token), access });
    }

    /// The wall clock, which is asked once a second: one that was set counts from then on.
    pub(crate) fn wall_clock(&self) -> Duration {
        let now = now();
        if let Some((asked, wall)) = self.clocks.get()
            && now.since(asked) < WALL_CLOCK_LOOK_INTERVAL
        {
            return wall + now.since(asked);
        }
        let wall = wall_clock();
        self.clocks.set(Some((now, wall)));
        wall
    }
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remembered(…)")
    }
}

const SCHEME: &[u8] = b"bearer ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::testing::{self, app};
    use postern_io::{BackendKind, Runtime, RuntimeOptions};
    use postern_model::plan::Plan;

    fn head(values: &[&str]) -> RequestHead {
        let mut head = RequestHead::default();
        for value in values {
            head.headers.append(Known::Authorization, value).unwrap();
        }
        head
    }

    fn published(access: u64, change: impl Fn(&mut ServiceToken)) -> Published {
        let mut snapshot = testing::snapshot(1);
        let mut token = testing::service_token(1, None);
        change(&mut token);
        snapshot.service_tokens.insert(token.id, token);
        Published { plan: Arc::new(Plan::build(&snapshot).unwrap()), permits: access, ..testing::published() }
    }

    #[test]
    fn one_header_of_one_form_counts() {
        let published = published(1, |_| {});
        let good = testing::bearer(1);
        let token = good.strip_prefix("Bearer ").unwrap();
        let ask = |values: &[&str]| shown(&head(values), &published, &Remembered::default()).map(|token| token.id.seq);
        for right in [&good, &format!("bearer {token}"), &format!("BEARER {token}")] {
            assert_eq!(ask(&[right]), Ok(1), "{right}");
        }
        for missing in [&[][..], &["Basic dXNlcjpwYXNz"], &[token], &["Bearer"], &[&format!("Bearer\t{token}")]] {
            assert_eq!(ask(missing), Err(Refusal::Missing), "{missing:?}");
        }
        let other_secret = testing::bearer(2).replace("st1-2", "st1-1");
        for invalid in [
            &[&*good, &*good][..],
            &[&good, "Basic dXNlcjpwYXNz"],
            &[&format!("Bearer  {token}")],
            &[&format!("{good},")],
            &[&format!("{good}, {good}")],
            &[&other_secret],
            &[&testing::bearer(2)],
            &["Bearer x"],
        ] {
            assert_eq!(ask(invalid), Err(Refusal::Invalid), "{invalid:?}");
        }
    }

    #[test]
    fn tokens_are_taken_out_whatever_they_are_worth_and_nothing_else_is() {
        let good = testing::bearer(1);
        let token = good.strip_prefix("Bearer ").unwrap();
        for ours in [
            &good,
            &format!("bEARER {token}"),
            &format!("Bearer   {token}"),
            &format!("Bearer\t{token}"),
            &format!("{good}, {good}"),
            &good[..good.len() - 1],
            "Bearer pst_",
        ] {
            let mut head = head(&[ours, "Basic bWU6bWU="]);
            head.headers.append("x-mine", "1").unwrap();
            take_out(&mut head.headers);
            let left: Vec<_> = head.headers.iter().map(|field| field.value().to_vec()).collect();
            assert_eq!(left, [&b"Basic bWU6bWU="[..], b"1"], "{ours}");
        }
        for other in ["Basic bWU6bWU=", "Bearer eyJ.pst_.x", "Bearer xpst_1", "Bearer", "pst_st1-1_x"] {
            let mut head = head(&[other]);
            take_out(&mut head.headers);
            assert_eq!(head.headers.get(Known::Authorization), Some(other.as_bytes()));
        }
        assert!(carried(&head(&[&good])).is_some());
        assert!(carried(&head(&[&good, &good])).is_none() && carried(&head(&["Basic bWU6bWU="])).is_none());
    }

    #[test]
    fn what_was_good_is_remembered_until_something_changes() {
        let remembered = Remembered::default();
        let ask = |published: &Published, seq| shown(&head(&[&testing::bearer(seq)]), published, &remembered);
        assert!(ask(&published(1, |_| {}), 1).is_ok());
        // The same publication is not asked again: a plan without the token shows it.
        let nothing = Published { permits: 1, ..testing::published() };
        assert!(ask(&nothing, 1).is_ok());
        assert_eq!(ask(&nothing, 2), Err(Refusal::Invalid), "another value");
        assert_eq!(ask(&Published { permits: 2, ..testing::published() }, 1), Err(Refusal::Invalid));
        assert_eq!(ask(&published(3, |token| token.enabled = false), 1), Err(Refusal::Invalid));
        let rotated = |token: &mut ServiceToken| token.key = testing::service_secret(9).key();
        assert_eq!(ask(&published(4, rotated), 1), Err(Refusal::Invalid));
        assert!(ask(&published(5, |_| {}), 1).is_ok());
    }

    #[test]
    fn a_token_lets_in_to_its_applications_until_it_ends() {
        let options = RuntimeOptions { backend: BackendKind::Sim, seed: Some(1), ..RuntimeOptions::default() };
        let test = async {
            let id = app("http://x/").id;
            let begun = wall_clock().as_secs();
            let at = |seconds: u64| testing::service_token(1, Some(begun + seconds));
            let remembered = Remembered::default();
            for pause_ms in [0, 999, 2, 9_000] {
                postern_io::sleep(Duration::from_millis(pause_ms)).await;
                assert_eq!(remembered.wall_clock(), wall_clock());
            }
            postern_io::sleep(Duration::from_secs(begun + 10).saturating_sub(wall_clock())).await;
            assert_eq!(admits(&testing::service_token(1, None), id, wall_clock), Ok(None));
            assert_eq!(admits(&at(10), id, wall_clock), Err(Refusal::Expired));
            let until = admits(&at(20), id, wall_clock).unwrap().unwrap();
            assert!((9_000..=10_000).contains(&until.since(now()).as_millis()), "{until:?}");
            let until = admits(&at(1 << 30), id, wall_clock).unwrap().unwrap();
            assert_eq!(until.since(now()), EXPIRY_LOOK_INTERVAL);
            let elsewhere = ServiceToken { apps: Default::default(), ..at(20) };
            assert_eq!(admits(&elsewhere, id, wall_clock), Err(Refusal::NotForApp));
            assert_eq!(
                admits(&ServiceToken { apps: Default::default(), ..at(5) }, id, wall_clock),
                Err(Refusal::Expired)
            );
        };
        Runtime::new(options).unwrap().run(test).unwrap();
    }
}
