//! Challenges, renewals and domains.

use super::*;
use crate::acme::ChallengeKind;

pub(super) fn challenge(tenant: u32, seq: u32) -> AcmeChallenge {
    AcmeChallenge {
        tenant: TenantId(tenant),
        host: "a.example.com".into(),
        challenge: ChallengeKind::Http01,
        token: format!("token-{seq}"),
        key_authorization: format!("token-{seq}.thumbprint"),
    }
}

pub(super) fn renewal(tenant: u32, seq: u32) -> AcmeRenewal {
    AcmeRenewal { certificate: CertificateId::new(TenantId(tenant), seq), challenge: ChallengeKind::TlsAlpn01 }
}

pub(super) fn domain(tenant: u32, seq: u32) -> Domain {
    let name = format!("d{seq}.example.com").parse().unwrap();
    Domain { tenant: TenantId(tenant), name, token: seq.to_string(), verified_unix: (seq > 1).then_some(7) }
}

#[test]
fn an_older_reader_may_skip_all_of_it() {
    for change in [
        Change::AcmeChallengePut(challenge(1, 1)),
        Change::AcmeChallengeRemoved { tenant: TenantId(1), token: "token-1".into() },
        Change::AcmeRenewalPut(renewal(1, 1)),
        Change::AcmeRenewalRemoved { certificate: renewal(1, 1).certificate },
        Change::DomainPut(domain(1, 1)),
        Change::DomainRemoved { tenant: TenantId(1), name: domain(1, 1).name },
    ] {
        let delta = next(&Snapshot::default(), change);
        assert_eq!(delta.tenant, Some(TenantId(1)));
        let json = serde_json::to_string(&delta).unwrap();
        assert!(json.contains("\"optional\":true"), "{json}");
        assert_eq!(serde_json::from_str::<Delta>(&json).unwrap(), delta);
    }
}

#[test]
fn a_challenge_that_cannot_be_answered_is_refused() {
    let mut snapshot = Snapshot::default();
    let mut done = |change| {
        let delta = next(&snapshot, change);
        snapshot.apply(&delta).map_err(|error| error.to_string())
    };
    done(Change::TenantPut(tenant(1))).unwrap();
    done(Change::TenantPut(tenant(2))).unwrap();
    let other = AcmeChallenge { key_authorization: "another.thumbprint".into(), ..challenge(1, 1) };
    assert!(done(Change::AcmeChallengePut(other)).unwrap_err().contains("cannot be answered"));
    for host in ["", "*.example.com", "a.example.com:443", "A.example.com", "a".repeat(1_000_000).as_str()] {
        let nowhere = AcmeChallenge { host: host.into(), ..challenge(1, 1) };
        assert!(done(Change::AcmeChallengePut(nowhere)).unwrap_err().contains("no host name"), "{:?}", host.get(..20));
    }
    done(Change::AcmeChallengePut(challenge(1, 1))).unwrap();
    let stolen = done(Change::AcmeChallengePut(challenge(2, 1))).unwrap_err();
    assert!(stolen.contains("another tenant's"), "{stolen}");
    assert!(done(Change::AcmeChallengeRemoved { tenant: TenantId(2), token: "token-1".into() }).is_err());
    let most = u32::try_from(CHALLENGES_MAX).unwrap();
    for seq in 2..=most {
        done(Change::AcmeChallengePut(challenge(1, seq))).unwrap();
    }
    assert!(done(Change::AcmeChallengePut(challenge(1, most + 1))).unwrap_err().contains("too many"));
    done(Change::AcmeChallengePut(challenge(1, most))).unwrap();
    done(Change::TenantRemoved { id: TenantId(1) }).unwrap();
    assert!(snapshot.acme_challenges.is_empty());
}

#[test]
fn a_renewal_ends_with_its_certificate() {
    let mut snapshot = Snapshot::default();
    let mut done = |change| {
        let delta = next(&snapshot, change);
        snapshot.apply(&delta)
    };
    done(Change::TenantPut(tenant(1))).unwrap();
    assert!(done(Change::AcmeRenewalPut(renewal(1, 1))).is_err(), "there is no such certificate");
    done(Change::CertificatePut(certificate(1, 1))).unwrap();
    done(Change::AcmeRenewalPut(renewal(1, 1))).unwrap();
    done(Change::CertificateRemoved { id: renewal(1, 1).certificate }).unwrap();
    assert!(snapshot.acme_renewals.is_empty());
}
