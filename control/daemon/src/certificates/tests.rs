//! Which certificate is chosen for something new.

use super::*;

const HOST: &str = "a.example.com";
/// Long after any test.
const END: u64 = 4_000_000_000;

fn certificate(seq: u32, not_after_unix: u64) -> Certificate {
    Certificate {
        id: CertificateId::new(TenantId::DEFAULT, seq),
        hosts: vec![HOST.into()],
        chain_pem: String::new(),
        key_pem: SecretText::new(String::new()),
        not_after_unix,
        origin: CertificateOrigin::Given,
        staple: None,
        revoked_unix: None,
    }
}

fn revoked(seq: u32) -> Certificate {
    Certificate { revoked_unix: Some(1), ..certificate(seq, END + 1) }
}

/// The number of what is chosen from these.
fn chosen(certificates: &[Certificate], current: Option<u32>) -> Option<u32> {
    let certificates = certificates.iter().map(|certificate| (certificate.id, certificate.clone())).collect();
    let snapshot = Snapshot { certificates, ..Snapshot::default() };
    let current = current.map(|seq| CertificateId::new(TenantId::DEFAULT, seq));
    existing(&snapshot, TenantId::DEFAULT, HOST, current).map(|id| id.seq)
}

#[test]
fn a_revoked_certificate_is_not_chosen_for_anything_new() {
    assert_eq!(chosen(&[revoked(1)], None), None, "a new one is issued rather");
    // Before one that ends sooner, and before one of the web CA.
    assert_eq!(chosen(&[revoked(1), certificate(2, END)], None), Some(2));
    let issued = Certificate { origin: CertificateOrigin::Issued, ..certificate(2, END) };
    assert_eq!(chosen(&[revoked(1), issued], None), Some(2));
    assert_eq!(
        chosen(&[revoked(1), certificate(2, END)], Some(1)),
        Some(1),
        "what an application has is its operator's"
    );
}

#[test]
fn a_certificate_that_is_over_is_not_chosen_for_anything_new() {
    assert_eq!(chosen(&[certificate(1, 1)], None), None);
    assert_eq!(chosen(&[certificate(1, END), certificate(2, END + 1)], None), Some(2), "the one that lasts longest");
}
