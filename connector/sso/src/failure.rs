//! What Kerberos said when it gave no ticket: its code, the code's name, and what an operator can do about it.

use std::fmt;

/// No ticket. For logs and `explain`; users get a plain page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{words}; {}", Prefix(self), self.advice())]
pub struct KerberosFailure {
    /// What kind it is.
    pub kind: FailureKind,
    /// The code as in RFC 4120 §7.5.9, or the library's own beyond 127; none where it is not Kerberos that failed.
    pub code: Option<u16>,
    /// In the library's words.
    pub words: String,
}

/// What an operator has to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The KDC does not let this connector delegate this user to this service.
    DelegationRefused,
    /// The KDC does not know the user.
    UserUnknown,
    /// The user's account is locked, disabled, expired, or not yet good.
    UserBlocked,
    /// The KDC does not know the service.
    ServiceUnknown,
    /// Clocks differ by more than Kerberos allows.
    ClockSkew,
    /// The keytab has no good key for the connector's principal.
    Keytab,
    /// The keytab's file cannot be read.
    KeytabUnreadable,
    /// No KDC of the realm answered.
    KdcUnreachable,
    /// It took longer than a request can wait.
    TooSlow,
    /// Too many requests for tickets wait already.
    Busy,
    /// The application did not prove that it is who the ticket was for.
    PeerUnproven,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// Whether it is about the user alone: others may well get tickets, here and now.
    #[must_use]
    pub const fn is_about_user(self) -> bool {
        match self {
            Self::UserUnknown | Self::UserBlocked => true,
            Self::DelegationRefused
            | Self::ServiceUnknown
            | Self::ClockSkew
            | Self::Keytab
            | Self::KeytabUnreadable
            | Self::KdcUnreachable
            | Self::TooSlow
            | Self::Busy
            | Self::PeerUnproven
            | Self::Other => false,
        }
    }
}

impl KerberosFailure {
    /// What Kerberos itself said. `minor` is the mechanism's status as the library gives it.
    #[must_use]
    pub fn of_status(minor: u32, words: impl Into<String>) -> Self {
        let words = words.into();
        let code = minor.checked_sub(ERROR_TABLE_BASE_KRB5).and_then(|code| u16::try_from(code).ok());
        let Some(code) = code.filter(|code| *code <= CODE_MAX) else {
            let kind = match minor {
                ENOENT | EACCES => FailureKind::KeytabUnreadable,
                NO_MATCHING_PRINCIPAL => FailureKind::Keytab,
                _ => FailureKind::Other, // of whatever else the library uses
            };
            return Self { kind, code: None, words };
        };
        let kind = CODES.iter().find(|known| known.0 == code).map_or(FailureKind::Other, |known| known.2);
        Self { kind, code: Some(code), words }
    }

    /// One that Kerberos has no code for.
    #[must_use]
    pub fn without_code(kind: FailureKind, words: impl Into<String>) -> Self {
        Self { kind, code: None, words: words.into() }
    }

    /// The code's name in RFC 4120 or MIT's library.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        CODES.iter().find(|known| Some(known.0) == self.code).map(|known| known.1)
    }

    /// What to do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        // Codes that say more than their kind.
        match self.code {
            Some(KDC_ERR_POLICY) => {
                return "look at the KDC's log for this time, and whether the user's account is locked: a policy of the KDC refuses it";
            }
            Some(KDC_ERR_PREAUTH_FAILED) => {
                return "make the keytab anew: its key is not the one that the KDC has for the principal";
            }
            Some(_) | None => {}
        }
        match self.kind {
            FailureKind::DelegationRefused => {
                "allow the connector's account to delegate to this SPN with any authentication protocol, and look whether the user is protected from delegation"
            }
            FailureKind::UserUnknown => "look at sso_login and sso_realm, and at the user's names in the directory",
            FailureKind::UserBlocked => "look at the user's account at the KDC",
            FailureKind::ServiceUnknown => "look at sso_spn: the KDC has no account with this SPN",
            FailureKind::ClockSkew => "set the clocks of the connector and the KDC by NTP",
            FailureKind::Keytab => {
                "look at --keytab and --kerberos-principal: `klist -k FILE` shows what keys the keytab has"
            }
            FailureKind::KeytabUnreadable => {
                "look at --keytab: its path, and whether the connector's user may read the file"
            }
            FailureKind::KdcUnreachable => "look at the realm's KDCs in krb5.conf or DNS, and at the network to them",
            FailureKind::TooSlow => "look at how fast the KDCs answer",
            FailureKind::Busy => "try again; if it lasts, add a connector",
            FailureKind::PeerUnproven => {
                "look whether the application has the key of sso_spn, and that nothing stands in its place"
            }
            FailureKind::Other => "look at the KDC's log for this time",
        }
    }
}

/// `KRB5KDC_ERR_BADOPTION (13): `, as far as it is known.
struct Prefix<'a>(&'a KerberosFailure);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.name(), self.0.code) {
            (Some(name), Some(code)) => write!(f, "{name} ({code}): "),
            (None, Some(code)) => write!(f, "Kerberos error {code}: "),
            (_, None) => Ok(()),
        }
    }
}

/// `ERROR_TABLE_BASE_krb5`, which is -1,765,328,384.
const ERROR_TABLE_BASE_KRB5: u32 = 0x96c7_3a00;
/// The table has one byte of codes.
const CODE_MAX: u16 = 255;
const ENOENT: u32 = 2;
const EACCES: u32 = 13;
/// Of GSS-API's own table: a keytab that has no matching principal.
const NO_MATCHING_PRINCIPAL: u32 = 39_756_034;
const KDC_ERR_POLICY: u16 = 12;
const KDC_ERR_PREAUTH_FAILED: u16 = 24;

/// Code, name, what it is about.
const CODES: &[(u16, &str, FailureKind)] = &[
    (1, "KRB5KDC_ERR_NAME_EXP", FailureKind::UserBlocked),
    (2, "KRB5KDC_ERR_SERVICE_EXP", FailureKind::ServiceUnknown),
    (6, "KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN", FailureKind::UserUnknown),
    (7, "KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN", FailureKind::ServiceUnknown),
    (9, "KRB5KDC_ERR_NULL_KEY", FailureKind::Keytab),
    (12, "KRB5KDC_ERR_POLICY", FailureKind::DelegationRefused),
    (13, "KRB5KDC_ERR_BADOPTION", FailureKind::DelegationRefused),
    (14, "KRB5KDC_ERR_ETYPE_NOSUPP", FailureKind::Other),
    (16, "KRB5KDC_ERR_PADATA_TYPE_NOSUPP", FailureKind::Other),
    (18, "KRB5KDC_ERR_CLIENT_REVOKED", FailureKind::UserBlocked),
    (19, "KRB5KDC_ERR_SERVICE_REVOKED", FailureKind::ServiceUnknown),
    (21, "KRB5KDC_ERR_CLIENT_NOTYET", FailureKind::UserBlocked),
    (23, "KRB5KDC_ERR_KEY_EXP", FailureKind::UserBlocked),
    (24, "KRB5KDC_ERR_PREAUTH_FAILED", FailureKind::Keytab),
    (25, "KRB5KDC_ERR_PREAUTH_REQUIRED", FailureKind::Keytab),
    (26, "KRB5KDC_ERR_SERVER_NOMATCH", FailureKind::DelegationRefused),
    (29, "KRB5KDC_ERR_SVC_UNAVAILABLE", FailureKind::KdcUnreachable),
    (31, "KRB5KRB_AP_ERR_BAD_INTEGRITY", FailureKind::Keytab),
    (32, "KRB5KRB_AP_ERR_TKT_EXPIRED", FailureKind::ClockSkew),
    (33, "KRB5KRB_AP_ERR_TKT_NYV", FailureKind::ClockSkew),
    (37, "KRB5KRB_AP_ERR_SKEW", FailureKind::ClockSkew),
    (41, "KRB5KRB_AP_ERR_MODIFIED", FailureKind::PeerUnproven),
    (45, "KRB5KRB_AP_ERR_NOKEY", FailureKind::PeerUnproven),
    (46, "KRB5KRB_AP_ERR_MUT_FAIL", FailureKind::PeerUnproven),
    (60, "KRB5KRB_ERR_GENERIC", FailureKind::Other),
    (68, "KRB5KDC_ERR_WRONG_REALM", FailureKind::UserUnknown),
    (148, "KRB5_KDCREP_SKEW", FailureKind::ClockSkew),
    (154, "KRB5_REALM_UNKNOWN", FailureKind::KdcUnreachable),
    (156, "KRB5_KDC_UNREACH", FailureKind::KdcUnreachable),
    (158, "KRB5_MUTUAL_FAILED", FailureKind::PeerUnproven),
    (179, "KRB5_KT_BADNAME", FailureKind::Keytab),
    (181, "KRB5_KT_NOTFOUND", FailureKind::Keytab),
    (184, "KRB5_KT_IOERR", FailureKind::Keytab),
    (195, "KRB5_FCC_NOFILE", FailureKind::Keytab),
    (213, "KRB5_KEYTAB_BADVNO", FailureKind::Keytab),
    (220, "KRB5_REALM_CANT_RESOLVE", FailureKind::KdcUnreachable),
    (221, "KRB5_TKT_NOT_FORWARDABLE", FailureKind::DelegationRefused),
    (235, "KRB5_KT_FORMAT", FailureKind::Keytab),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_names_and_advice() {
        let base = ERROR_TABLE_BASE_KRB5;
        for (minor, kind, text) in [
            (base + 13, FailureKind::DelegationRefused, "KRB5KDC_ERR_BADOPTION (13): words; allow"),
            (base + 6, FailureKind::UserUnknown, "KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN (6): words; look at sso_login"),
            (base + 37, FailureKind::ClockSkew, "KRB5KRB_AP_ERR_SKEW (37): words; set the clocks"),
            (base + 156, FailureKind::KdcUnreachable, "KRB5_KDC_UNREACH (156): words; look at the realm's KDCs"),
            (base + 181, FailureKind::Keytab, "KRB5_KT_NOTFOUND (181): words; look at --keytab"),
            (base + 99, FailureKind::Other, "Kerberos error 99: words; look at the KDC's log"),
            (base + 12, FailureKind::DelegationRefused, "KRB5KDC_ERR_POLICY (12): words; look at the KDC's log"),
            (base + 24, FailureKind::Keytab, "KRB5KDC_ERR_PREAUTH_FAILED (24): words; make the keytab anew"),
            (2, FailureKind::KeytabUnreadable, "words; look at --keytab: its path"),
            (13, FailureKind::KeytabUnreadable, "words; look at --keytab: its path"),
            (39_756_034, FailureKind::Keytab, "words; look at --keytab"),
            (u32::MAX, FailureKind::Other, "words; look at the KDC's log"),
        ] {
            let failure = KerberosFailure::of_status(minor, "words");
            assert_eq!(failure.kind, kind, "{minor}");
            assert!(failure.to_string().starts_with(text), "{failure}");
        }
        assert_eq!(ERROR_TABLE_BASE_KRB5 as i32, -1_765_328_384);
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
