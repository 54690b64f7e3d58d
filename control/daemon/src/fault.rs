//! Faults that tests ask for. Not in release builds.

use rcgen::CertificateParams;
use time::{Duration, OffsetDateTime};

/// `POSTERN_FAULT_CONNECTOR_CERTIFICATE_S=SECONDS` gives connectors certificates of that lifetime, from now on, so that a test sees
/// them renewed.
pub(crate) fn shorten_if_told(params: &mut CertificateParams) {
    let Ok(seconds) = std::env::var("POSTERN_FAULT_CONNECTOR_CERTIFICATE_S") else { return };
    let Ok(seconds) = seconds.parse() else { return };
    params.not_before = OffsetDateTime::now_utc();
    params.not_after = params.not_before + Duration::seconds(seconds);
}
