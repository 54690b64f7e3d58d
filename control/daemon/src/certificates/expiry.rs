//! Certificates near their end: what `postern status` says of them, and what the log says, once a day and whenever one has come a
//! step nearer. What was stapled to them is watched, too.

use std::collections::BTreeMap;
use std::time::Duration;

use postern_model::Snapshot;
use postern_model::config::{Certificate, CertificateOrigin};
use postern_model::ids::CertificateId;

use super::DAY_S;
use crate::clock::now_unix;
use crate::control::Control;
use crate::pem::facts::Facts;

/// Logs what is near its end, as long as control runs.
pub(crate) async fn watch(control: &Control) {
    let mut watch = ExpiryWatch::default();
    let mut tick = tokio::time::interval(LOOKED_AT);
    loop {
        tick.tick().await;
        let lines = watch.look(&control.snapshot(), now_unix());
        for line in lines {
            tracing::warn!("{line}");
        }
    }
}

/// What an operator should know about certificates, one line for each.
pub(crate) fn warnings(snapshot: &Snapshot, now_unix: u64) -> Vec<String> {
    let ends = near(snapshot, now_unix).map(|(certificate, _)| line(snapshot, certificate, now_unix));
    let all = || snapshot.certificates.values();
    let stapled = all().filter_map(|certificate| staple_line(certificate, now_unix));
    let revoked = all().filter_map(|certificate| revoked_line(snapshot, certificate));
    ends.chain(revoked).chain(stapled).collect()
}

/// What was logged of which certificate.
#[derive(Debug, Default)]
pub(crate) struct ExpiryWatch {
    said: BTreeMap<CertificateId, Said>,
}

#[derive(Debug)]
struct Said {
    step: usize,
    not_after_unix: u64,
    at_unix: u64,
}

impl ExpiryWatch {
    /// What to log now.
    pub(crate) fn look(&mut self, snapshot: &Snapshot, now_unix: u64) -> Vec<String> {
        let mut before = std::mem::take(&mut self.said);
        let mut lines = Vec::new();
        for (certificate, step) in near(snapshot, now_unix) {
            let not_after_unix = certificate.not_after_unix;
            let kept = before.remove(&certificate.id).filter(|said| {
                said.step == step && said.not_after_unix == not_after_unix && now_unix < said.at_unix + DAY_S
            });
            let said = kept.unwrap_or_else(|| {
                lines.push(line(snapshot, certificate, now_unix));
                Said { step, not_after_unix, at_unix: now_unix }
            });
            self.said.insert(certificate.id, said);
        }
        lines
    }
}

/// Those that are near their end, with how many of the steps they have come.
fn near(snapshot: &Snapshot, now_unix: u64) -> impl Iterator<Item = (&Certificate, usize)> {
    let step = move |certificate: &Certificate| {
        let left_s = certificate.not_after_unix.saturating_sub(now_unix);
        let steps = STEPS_S.iter().filter(|step_s| left_s <= **step_s).count();
        match certificate.origin {
            // Control renews these, too, however long they live: what fails is said by itself before.
            CertificateOrigin::Given if is_renewed(snapshot, certificate) => {
                if is_late(certificate, left_s) {
                    steps.max(1)
                } else {
                    0
                }
            }
            CertificateOrigin::Given => steps,
            // Control renews those long before: one that comes so far shows that it cannot.
            CertificateOrigin::Issued => steps.saturating_sub(ISSUED_STEPS),
        }
    };
    let all = snapshot.certificates.values().map(move |certificate| (certificate, step(certificate)));
    all.filter(|(_, step)| *step > 0)
}

fn is_renewed(snapshot: &Snapshot, certificate: &Certificate) -> bool {
    snapshot.acme_renewals.contains_key(&certificate.id)
}

/// Half of the time that control has to renew it is over.
fn is_late(certificate: &Certificate, left_s: u64) -> bool {
    let life_s = match Facts::of(&certificate.chain_pem).not_before_unix {
        0 => LIFE_S_UNKNOWN,
        not_before_unix => certificate.not_after_unix.saturating_sub(not_before_unix),
    };
    left_s < life_s / 6
}

fn line(snapshot: &Snapshot, certificate: &Certificate, now_unix: u64) -> String {
    let Certificate { id, hosts, not_after_unix, .. } = certificate;
    let hosts = hosts.join(", ");
    let cure = match certificate.origin {
        CertificateOrigin::Given if is_renewed(snapshot, certificate) => {
            format!("it was not renewed by ACME: `postern cert show {id}` says why")
        }
        CertificateOrigin::Given => format!("give its successor with `postern cert replace {id}`"),
        CertificateOrigin::Issued => String::from("control should have renewed it: look at its log"),
    };
    if *not_after_unix <= now_unix {
        return format!("certificate {id} for {hosts} has expired, and browsers refuse it: {cure}");
    }
    let days = (not_after_unix - now_unix) / DAY_S;
    format!("certificate {id} for {hosts} ends in {days} days: {cure}")
}

/// What its authority took back.
fn revoked_line(snapshot: &Snapshot, certificate: &Certificate) -> Option<String> {
    let Certificate { id, hosts, .. } = certificate;
    let _since = certificate.revoked_unix?;
    let hosts = hosts.join(", ");
    // One that is given by hand is renewed no more.
    let next = if is_renewed(snapshot, certificate) { "renew" } else { "replace" };
    Some(format!(
        "certificate {id} for {hosts} is revoked by its authority: replace it with `postern cert {next} {id}`"
    ))
}

/// A response that was not renewed in time. Control asks for the next one after half of its time, where the certificate says whom.
fn staple_line(certificate: &Certificate, now_unix: u64) -> Option<String> {
    let staple = certificate.staple.as_ref()?;
    let left_s = staple.until_unix.saturating_sub(now_unix);
    let id = certificate.id;
    (left_s < staple.until_unix.saturating_sub(staple.from_unix) / 4).then(|| {
        let hours = left_s / 3_600;
        format!(
            "the OCSP response stapled to certificate {id} ends in {hours} hours and was not renewed: give the certificate once more, with the next response (--ocsp)"
        )
    })
}

/// A step each: 30, 14, 7 days, a day, and the end.
const STEPS_S: [u64; 5] = [30 * DAY_S, 14 * DAY_S, 7 * DAY_S, DAY_S, 0];
/// So many of them say nothing of a certificate that control renews by itself.
const ISSUED_STEPS: usize = 2;
/// Of a certificate that does not say when it begins.
const LIFE_S_UNKNOWN: u64 = 6 * DAY_S;
/// So late a step is noticed.
const LOOKED_AT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::acme::{AcmeRenewal, ChallengeKind};
    use postern_model::config::Staple;
    use postern_model::ids::TenantId;
    use postern_model::secret::SecretText;

    const NOW: u64 = 1_800_000_000;

    fn certificate(seq: u32, origin: CertificateOrigin, not_after_unix: u64) -> Certificate {
        Certificate {
            id: CertificateId::new(TenantId::DEFAULT, seq),
            hosts: vec!["a.example.com".into()],
            chain_pem: String::new(),
            key_pem: SecretText::new(String::new()),
            not_after_unix,
            origin,
            staple: None,
            revoked_unix: None,
        }
    }

    fn with(certificates: impl IntoIterator<Item = Certificate>) -> Snapshot {
        let certificates = certificates.into_iter().map(|certificate| (certificate.id, certificate)).collect();
        Snapshot { certificates, ..Snapshot::default() }
    }

    #[test]
    fn each_step_is_logged_once_and_again_each_day() {
        let end = NOW + 31 * DAY_S;
        let snapshot = with([certificate(1, CertificateOrigin::Given, end)]);
        let mut watch = ExpiryWatch::default();
        let mut logged = |now: u64| watch.look(&snapshot, now);
        assert_eq!(logged(NOW), [""; 0]);
        let first = logged(end - 30 * DAY_S);
        assert_eq!(
            first,
            ["certificate k1-1 for a.example.com ends in 30 days: give its successor with `postern cert replace k1-1`"]
        );
        assert_eq!(logged(end - 30 * DAY_S + 60), [""; 0], "said");
        assert_eq!(logged(end - 29 * DAY_S).len(), 1, "a day later");
        // Two hours before it was said that 15 days are left.
        assert_eq!(logged(end - 14 * DAY_S - 7_200).len(), 1);
        assert_eq!(logged(end - 14 * DAY_S).len(), 1, "a step nearer");
        assert_eq!(logged(end - 14 * DAY_S + 7_200), [""; 0]);
        for days in [7, 1] {
            assert_eq!(logged(end - days * DAY_S - 3_600).len(), 1);
            assert_eq!(logged(end - days * DAY_S).len(), 1, "{days} days");
        }
        let last = logged(end);
        assert!(last[0].contains("has expired"), "{last:?}");
        assert_eq!(logged(end + 60), [""; 0]);
        assert_eq!(logged(end + DAY_S).len(), 1);
    }

    #[test]
    fn a_staple_that_was_not_renewed_is_said() {
        let mut stapled = certificate(1, CertificateOrigin::Given, NOW + 90 * DAY_S);
        stapled.staple = Some(Staple { response: String::new(), from_unix: NOW, until_unix: NOW + 8 * DAY_S });
        let snapshot = with([stapled]);
        assert_eq!(warnings(&snapshot, NOW + 6 * DAY_S), [""; 0]);
        let said = warnings(&snapshot, NOW + 7 * DAY_S);
        assert!(said[0].contains("stapled to certificate k1-1 ends in 24 hours"), "{said:?}");
    }

    #[test]
    fn a_revoked_certificate_is_to_be_replaced() {
        let mut revoked = certificate(1, CertificateOrigin::Given, NOW + 90 * DAY_S);
        revoked.revoked_unix = Some(NOW - DAY_S);
        let said = warnings(&with([revoked]), NOW);
        let line = "certificate k1-1 for a.example.com is revoked by its authority: replace it with `postern cert replace k1-1`";
        assert_eq!(said, [line]);
    }

    #[test]
    fn a_revoked_certificate_of_acme_is_to_be_ordered_anew() {
        let mut revoked = certificate(1, CertificateOrigin::Given, NOW + 90 * DAY_S);
        revoked.revoked_unix = Some(NOW - DAY_S);
        let renewal = AcmeRenewal { certificate: revoked.id, challenge: ChallengeKind::Http01 };
        let mut snapshot = with([revoked]);
        snapshot.acme_renewals.insert(renewal.certificate, renewal);
        let said = warnings(&snapshot, NOW);
        assert!(said[0].ends_with("replace it with `postern cert renew k1-1`"), "{said:?}");
    }

    #[test]
    fn a_successor_is_said_anew_and_what_is_gone_is_forgotten() {
        let mut watch = ExpiryWatch::default();
        let near = |end: u64| with([certificate(1, CertificateOrigin::Given, end)]);
        assert_eq!(watch.look(&near(NOW + 5 * DAY_S), NOW).len(), 1);
        assert_eq!(watch.look(&near(NOW + 6 * DAY_S), NOW).len(), 1);
        assert_eq!(watch.look(&near(NOW + 90 * DAY_S), NOW), [""; 0]);
        assert!(watch.said.is_empty());
    }

    #[test]
    fn what_is_renewed_by_acme_is_said_when_it_is_late() {
        let mut snapshot = with([certificate(1, CertificateOrigin::Given, NOW + 6 * DAY_S)]);
        let (id, challenge) = (CertificateId::new(TenantId::DEFAULT, 1), ChallengeKind::Http01);
        assert!(warnings(&snapshot, NOW)[0].contains("cert replace"));
        snapshot.acme_renewals.insert(id, AcmeRenewal { certificate: id, challenge });
        assert_eq!(warnings(&snapshot, NOW), [""; 0]);
        let said = warnings(&snapshot, NOW + 5 * DAY_S + 7_200);
        assert!(said[0].contains("was not renewed by ACME: `postern cert show k1-1`"), "{said:?}");
    }

    #[test]
    fn what_control_renews_is_said_only_when_it_does_not() {
        let issued = |days: u64| with([certificate(1, CertificateOrigin::Issued, NOW + days * DAY_S)]);
        assert_eq!(warnings(&issued(20), NOW), [""; 0]);
        let said = warnings(&issued(6), NOW);
        assert!(said[0].contains("control should have renewed it"), "{said:?}");
    }
}
