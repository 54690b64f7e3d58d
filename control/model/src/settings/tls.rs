//! The setting that says by which version of TLS an application's users may come. Relays go by it; connectors need nothing of it.

use std::collections::BTreeMap;

use super::{SettingInvalid, unfit};

/// The oldest version of TLS that a host's clients may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMin {
    /// TLS 1.2, unless the relay is set stricter.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Takes out what connectors have no use for.
pub fn take_tls(settings: &mut BTreeMap<String, String>) {
    settings.remove(TLS_MIN);
}

pub(super) fn tls_min(value: &str) -> Result<TlsMin, SettingInvalid> {
    match value {
        "1.2" => Ok(TlsMin::Tls12),
        "1.3" => Ok(TlsMin::Tls13),
        _ => Err(unfit(TLS_MIN, value, "must be 1.2 or 1.3")),
    }
}

pub(super) const TLS_MIN: &str = "tls_min";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::AppSettings;

    #[test]
    fn a_version_is_one_of_two() {
        let parse = |value: &str| AppSettings::parse(&BTreeMap::from([(TLS_MIN.to_owned(), value.to_owned())]));
        assert_eq!(AppSettings::default().tls_min, TlsMin::Tls12);
        assert_eq!(parse("1.2").unwrap().tls_min, TlsMin::Tls12);
        assert_eq!(parse("1.3").unwrap().tls_min, TlsMin::Tls13);
        for wrong in ["", "1.1", "1", "TLSv1.3", "modern"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let mut settings = BTreeMap::from([(TLS_MIN.to_owned(), "1.3".to_owned()), ("mfa".into(), "off".into())]);
        take_tls(&mut settings);
        assert_eq!(settings.keys().collect::<Vec<_>>(), ["mfa"]);
    }
}
