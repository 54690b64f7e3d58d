//! Renewal ahead: in the last third of a certificate's life, or when its authority says (RFC 9773). What fails is tried again,
//! less and less often.

use std::time::Duration;

use instant_acme::{CertificateIdentifier, RenewalInfo};
use postern_model::acme::ChallengeKind;
use postern_model::admin::{CertificateView, RenewalView};
use postern_model::config::Certificate;
use postern_model::ids::{CertificateId, TenantId};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, Der};
use x509_parser::extensions::ParsedExtension;

use super::account::Kept;
use super::{Acme, order};
use crate::clock::now_unix;
use crate::control::{Actor, Control};
use crate::pem::facts::Facts;
use crate::pem::leaf_sha256;

/// When a certificate is ordered next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Of the certificate that it is about: another one has a plan of its own.
    sha256: String,
    not_before_unix: u64,
    not_after_unix: u64,
    at_unix: u64,
    /// Not before that, whatever the authority advises.
    rested_unix: u64,
    /// When the authority is asked for a better time.
    ask_unix: u64,
    failures: u32,
    error: Option<String>,
}

/// What was done, for metrics.
pub(crate) struct Figures {
    pub(crate) issued: u64,
    pub(crate) failed: u64,
    /// Certificates whose last order failed.
    pub(crate) failing: u64,
}

/// Renews as long as control runs.
pub(crate) async fn watch(control: &Control) {
    let mut tick = tokio::time::interval(LOOKED_AT);
    loop {
        tick.tick().await;
        sweep(control);
        for id in due(control, now_unix()) {
            renew(control, id).await;
        }
        // One at a time: an authority that does not answer must not keep others waiting.
        if let Some(id) = unasked(control, now_unix()) {
            ask(control, id).await;
        }
    }
}

/// Takes challenges back that nobody waits for: those of orders whose operator went away, or of before control was restarted.
fn sweep(control: &Control) {
    let Ok(_one) = control.acme.one.try_lock() else { return };
    let tenants = control.snapshot().acme_challenges.values().map(|challenge| challenge.tenant).collect::<Vec<_>>();
    for tenant in tenants {
        order::take_back(control, tenant);
    }
}

fn due(control: &Control, now_unix: u64) -> Vec<CertificateId> {
    let snapshot = control.snapshot();
    let mut plans = control.acme.plans.borrow_mut();
    plans.retain(|id, _| snapshot.acme_renewals.contains_key(id));
    let managed = snapshot.acme_renewals.keys().filter_map(|id| snapshot.certificates.get(id));
    let mut due = Vec::new();
    for certificate in managed {
        let plan = plans.entry(certificate.id).or_insert_with(|| Plan::of(certificate));
        // It is another one: an operator had it renewed.
        if plan.not_after_unix != certificate.not_after_unix {
            *plan = Plan::of(certificate);
        }
        if plan.at_unix <= now_unix {
            due.push(certificate.id);
        }
    }
    due
}

async fn renew(control: &Control, id: CertificateId) {
    let Some((hosts, challenge)) = managed(control, id) else { return };
    let made = order::order(control, &Actor::Control, id.tenant, &hosts, challenge, Some(id)).await;
    let hosts = hosts.join(", ");
    match made {
        Ok(_) => {
            control.acme.renewed(control.snapshot().certificates.get(&id), now_unix());
            tracing::info!("certificate {id} for {hosts} was renewed by ACME");
        }
        Err(problem) => {
            let mut plans = control.acme.plans.borrow_mut();
            let Some(plan) = plans.get_mut(&id) else { return };
            plan.failed(problem.detail, now_unix());
            let wait_s = plan.at_unix.saturating_sub(now_unix());
            let error = plan.error.as_deref().unwrap_or_default();
            tracing::warn!("certificate {id} for {hosts} is not renewed, and tried again in {wait_s} s: {error}");
        }
    }
}

fn managed(control: &Control, id: CertificateId) -> Option<(Vec<String>, ChallengeKind)> {
    let snapshot = control.snapshot();
    let challenge = snapshot.acme_renewals.get(&id)?.challenge;
    Some((snapshot.certificates.get(&id)?.hosts.clone(), challenge))
}

/// One whose authority may know a better time.
fn unasked(control: &Control, now_unix: u64) -> Option<CertificateId> {
    let plans = control.acme.plans.borrow();
    plans.iter().find(|(_, plan)| plan.ask_unix <= now_unix).map(|(id, _)| *id)
}

async fn ask(control: &Control, id: CertificateId) {
    let chain_pem = control.snapshot().certificates.get(&id).map(|certificate| certificate.chain_pem.clone());
    let identifier = chain_pem.as_deref().and_then(identifier);
    let kept = Kept::load(control, id.tenant).ok().flatten();
    let told = match (identifier, kept) {
        (Some(identifier), Some(kept)) => {
            tokio::time::timeout(ASKING_MAX, renewal_info(kept, identifier)).await.ok().flatten()
        }
        (None, _) | (_, None) => None,
    };
    let mut plans = control.acme.plans.borrow_mut();
    let Some(plan) = plans.get_mut(&id) else { return };
    let again_s = match told {
        Some((info, again)) => {
            let window = info.suggested_window;
            plan.advised(window.start.unix_timestamp(), window.end.unix_timestamp());
            again.as_secs().clamp(ASKED_AGAIN_S_MIN, ASKED_AGAIN_S)
        }
        None => ASKED_AGAIN_S,
    };
    plan.ask_unix = now_unix() + again_s;
}

/// `None`: the authority does not know, or does not say.
async fn renewal_info(kept: Kept, identifier: CertificateIdentifier<'static>) -> Option<(RenewalInfo, Duration)> {
    kept.open().await.ok()?.renewal_info(&identifier).await.ok()
}

/// RFC 9773 §4.1.
fn identifier(chain_pem: &str) -> Option<CertificateIdentifier<'static>> {
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes()).ok()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).ok()?;
    let authority = parsed.iter_extensions().find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(authority) = extension.parsed_extension() else { return None };
        authority.key_identifier.as_ref().map(|key| key.0)
    })?;
    let serial = parsed.tbs_certificate.raw_serial();
    Some(CertificateIdentifier::new(Der::from_slice(authority), Der::from_slice(serial)).into_owned())
}

impl Plan {
    fn of(certificate: &Certificate) -> Self {
        let not_before_unix = Facts::of(&certificate.chain_pem).not_before_unix;
        let not_after_unix = certificate.not_after_unix;
        Self {
            sha256: leaf_sha256(&certificate.chain_pem),
            not_before_unix,
            not_after_unix,
            at_unix: usual(not_before_unix, not_after_unix),
            rested_unix: 0,
            ask_unix: 0,
            failures: 0,
            error: None,
        }
    }

    /// Ten minutes after the first failure, then twice as long each time, up to half a day; sooner where little time is left, and
    /// for certificates that live minutes.
    fn failed(&mut self, error: String, now_unix: u64) {
        let wait_s = RETRY_S.saturating_mul(1 << self.failures.min(10)).min(RETRY_S_MAX);
        let left_s = self.not_after_unix.saturating_sub(now_unix);
        self.at_unix = now_unix + wait_s.min((left_s / 8).max(self.least_s()));
        self.failures += 1;
        self.error = Some(error);
    }

    /// Ten minutes; less for certificates that live hours.
    fn least_s(&self) -> u64 {
        let life_s = self.not_after_unix.saturating_sub(self.not_before_unix);
        (life_s / 100).clamp(RETRY_S_MIN, RETRY_S)
    }

    /// It was ordered just now. An authority whose advice is always in the past would have it ordered without end.
    fn rested(mut self, now_unix: u64) -> Self {
        self.rested_unix = now_unix + self.least_s();
        self.at_unix = self.at_unix.max(self.rested_unix);
        self
    }

    /// A point of the window that is this certificate's own, so that not all come at once; never too late.
    fn advised(&mut self, start_unix: i64, end_unix: i64) {
        let (Ok(start), Ok(end)) = (u64::try_from(start_unix), u64::try_from(end_unix)) else { return };
        if end < start || self.failures > 0 {
            return;
        }
        let share = self.sha256.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok()).unwrap_or_default();
        let within = (end - start) / u64::from(u16::MAX) * u64::from(share);
        let latest = self.not_after_unix - self.not_after_unix.saturating_sub(self.not_before_unix) / 6;
        self.at_unix = (start + within).min(latest).max(self.rested_unix);
    }
}

/// When a third of its life is left; not at once, whatever its times are.
fn usual(not_before_unix: u64, not_after_unix: u64) -> u64 {
    let third = not_after_unix.saturating_sub(not_before_unix) / 3;
    (not_after_unix - third).max(not_before_unix + RETRY_S_MIN)
}

/// How a certificate of this view is renewed, before anything is known but the certificate.
pub(crate) fn view(challenge: ChallengeKind, not_before_unix: u64, not_after_unix: u64) -> RenewalView {
    RenewalView { challenge, next_unix: usual(not_before_unix, not_after_unix), failures: 0, error: None }
}

impl Acme {
    /// What is known of its renewal beside that.
    pub(crate) fn complete(&self, view: &mut CertificateView) {
        let plans = self.plans.borrow();
        let plan = plans.get(&view.id).filter(|plan| plan.not_after_unix == view.not_after_unix);
        if let (Some(renewal), Some(plan)) = (&mut view.renewal, plan) {
            renewal.next_unix = plan.at_unix;
            renewal.failures = plan.failures;
            renewal.error.clone_from(&plan.error);
        }
    }

    /// What an operator should know, one line for each certificate.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let plans = self.plans.borrow();
        let failing = plans.iter().filter_map(|(id, plan)| Some((id, plan, plan.error.as_ref()?)));
        let line = |(id, plan, error): (&CertificateId, &Plan, &String)| {
            let times = plan.failures;
            format!("certificate {id} is not renewed, {times} times in a row: {error}")
        };
        failing.map(line).collect()
    }

    pub(crate) fn figures(&self) -> Figures {
        let failing = self.plans.borrow().values().filter(|plan| plan.error.is_some()).count();
        Figures { issued: self.issued.get(), failed: self.failed.get(), failing: failing as u64 }
    }

    /// It was renewed: what was planned is done, and what is planned now is of the new one.
    pub(super) fn renewed(&self, certificate: Option<&Certificate>, now_unix: u64) {
        if let Some(certificate) = certificate {
            self.plans.borrow_mut().insert(certificate.id, Plan::of(certificate).rested(now_unix));
        }
    }

    /// With another account they may go well: they are tried at once.
    pub(super) fn forget_failures(&self, tenant: TenantId) {
        self.plans.borrow_mut().retain(|id, plan| id.tenant != tenant || plan.error.is_none());
    }
}

/// So late a due certificate is noticed.
const LOOKED_AT: Duration = Duration::from_secs(5);
/// Authorities let an account fail some times in an hour.
const RETRY_S: u64 = 600;
const RETRY_S_MAX: u64 = 12 * 3_600;
/// Certificates that live minutes are of tests, and of authorities of one's own.
const RETRY_S_MIN: u64 = 5;
/// How often an authority is asked for its time, at most and at least.
const ASKED_AGAIN_S_MIN: u64 = 3_600;
const ASKED_AGAIN_S: u64 = 86_400;
const ASKING_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 86_400;
    const NOW: u64 = 1_800_000_000;

    /// Of a certificate that lives 90 days.
    fn plan(sha256: &str) -> Plan {
        let (not_before_unix, not_after_unix) = (NOW, NOW + 90 * DAY_S);
        let at_unix = usual(not_before_unix, not_after_unix);
        let sha256 = sha256.to_owned();
        Plan { sha256, not_before_unix, not_after_unix, at_unix, rested_unix: 0, ask_unix: 0, failures: 0, error: None }
    }

    #[test]
    fn a_third_of_its_life_is_left_when_it_is_renewed() {
        assert_eq!(plan("").at_unix, NOW + 60 * DAY_S);
        assert_eq!(usual(NOW, NOW + 6 * DAY_S), NOW + 4 * DAY_S);
        assert_eq!(usual(NOW, NOW), NOW + RETRY_S_MIN, "not at once, again and again");
    }

    #[test]
    fn failures_are_tried_again_less_and_less_often() {
        let mut plan = plan("");
        let mut now = NOW + 60 * DAY_S;
        let mut waits = Vec::new();
        for _ in 0..12 {
            plan.failed("no".into(), now);
            waits.push(plan.at_unix - now);
            now = plan.at_unix;
        }
        assert_eq!(waits[..4], [600, 1_200, 2_400, 4_800]);
        assert!(waits.iter().all(|wait| *wait <= RETRY_S_MAX) && waits[11] == RETRY_S_MAX, "{waits:?}");
        assert_eq!((plan.failures, plan.error.as_deref()), (12, Some("no")));
        let end = plan.not_after_unix;
        plan.failed("no".into(), end - 80_000);
        assert_eq!(plan.at_unix, end - 70_000, "little time is left");
        plan.failed("no".into(), end + 10);
        assert_eq!(plan.at_unix, end + 10 + RETRY_S, "none is left, and authorities still count");
    }

    #[test]
    fn the_authoritys_window_decides_each_its_own_way() {
        let (start, end) = (NOW + 40 * DAY_S, NOW + 50 * DAY_S);
        let advised = |sha256: &str, start: u64, end: u64| {
            let mut plan = plan(sha256);
            plan.advised(start.try_into().unwrap(), end.try_into().unwrap());
            plan.at_unix
        };
        assert_eq!(advised("0000", start, end), start);
        let middle = advised("8000", start, end);
        assert!(middle > start + 4 * DAY_S && middle < end - 4 * DAY_S);
        assert!(advised("ffff", start, end) > end - DAY_S && advised("ffff", start, end) <= end);
        assert_eq!(advised("0000", NOW - 10, NOW - 5), NOW - 10, "it was revoked: at once");
        assert_eq!(advised("0000", NOW + 100 * DAY_S, NOW + 200 * DAY_S), NOW + 75 * DAY_S, "never too late");
        assert_eq!(advised("0000", end, start), NOW + 60 * DAY_S, "no window at all");
    }

    #[test]
    fn advice_that_is_always_in_the_past_renews_nothing_without_end() {
        let mut renewed = plan("8000").rested(NOW + 10);
        assert_eq!(renewed.at_unix, NOW + 60 * DAY_S, "as usual");
        let past: i64 = (NOW - 10).try_into().unwrap();
        renewed.advised(past - 10, past);
        assert_eq!(renewed.at_unix, NOW + 10 + RETRY_S);
        let acme = Acme::default();
        let chain_pem = crate::acme::tests::ca_pem();
        let id = CertificateId::new(TenantId::DEFAULT, 1);
        let certificate = Certificate {
            id,
            hosts: vec!["a.test".into()],
            chain_pem,
            key_pem: postern_model::secret::SecretText::new(String::new()),
            not_after_unix: NOW + 90 * DAY_S,
            origin: postern_model::config::CertificateOrigin::Given,
            staple: None,
            revoked_unix: None,
        };
        acme.renewed(Some(&certificate), NOW);
        let mut plans = acme.plans.borrow_mut();
        let kept = plans.get_mut(&id).unwrap();
        kept.advised(0, 1);
        assert_eq!((kept.at_unix, kept.failures), (NOW + RETRY_S, 0));
    }

    #[test]
    fn a_certificate_without_an_authoritys_key_has_no_identifier() {
        assert!(identifier(&crate::acme::tests::ca_pem()).is_none());
        assert!(identifier("no PEM").is_none());
    }
}
