//! Signing in by a Kerberos ticket that the browser has already (SPNEGO, RFC 4559): what operators set, and which user a
//! principal stands for. The identity process verifies tickets; whether one counts, and whose it is, is decided by control.

use serde::{Deserialize, Serialize};

use crate::directory::LoginName;
use crate::identity::ClientInfo;
use crate::ids::Name;
use crate::secret::SecretText;
use crate::sso::{ONPREM_UPN, Realm, SAM_ACCOUNT_NAME, SsoLogin};

/// Whose tickets count in a tenant, and where browsers are asked for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KerberosSignIn {
    /// Realms whose users sign in, as their KDCs write them.
    pub realms: Vec<String>,
    /// Named networks: a browser elsewhere is asked for no ticket, and none of its counts.
    pub networks: Vec<Name>,
    /// Which of a user's names is the principal's: by login, `anna@EXAMPLE.COM` is the user `anna@example.com`.
    #[serde(default)]
    pub login: SsoLogin,
}

/// Which user is looked for: exactly one must be found. Letters are small ones, for directories do not tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// By login name.
    Login(LoginName),
    /// By what stands before the `@` of the login name.
    UserPart(String),
    /// By an attribute.
    Attribute(&'static str, String),
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KerberosSignInInvalid(String);

/// A principal that stands for no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalRefused {
    /// A service, a host, an administrator's second name, or none at all.
    #[error("it is no user's principal: users have one name without / and a realm")]
    NotAUser,
    /// Another realm, trusted by the KDC perhaps, but not named here.
    #[error("its realm is not one of those that may sign in")]
    Realm,
}

impl KerberosSignIn {
    /// Whether the settings fit together.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), KerberosSignInInvalid> {
        let invalid = |words: String| Err(KerberosSignInInvalid(words));
        if let Some(bad) = self.realms.iter().find(|realm| realm.parse::<Realm>().is_err()) {
            let bad: String = bad.chars().take(SHOWN_CHARS_MAX).collect();
            return invalid(format!("{bad:?} is no realm: write it as its KDC does, EXAMPLE.COM say"));
        }
        let has_twice = |of: &[&str]| of.iter().enumerate().any(|(nth, one)| of[..nth].contains(one));
        let realms: Vec<&str> = self.realms.iter().map(String::as_str).collect();
        let networks: Vec<&str> = self.networks.iter().map(Name::as_str).collect();
        if realms.is_empty() || realms.len() > KERBEROS_REALMS_MAX || has_twice(&realms) {
            return invalid(format!("name 1 to {KERBEROS_REALMS_MAX} realms, each once"));
        }
        if networks.is_empty() || networks.len() > KERBEROS_NETWORKS_MAX || has_twice(&networks) {
            return invalid(format!(
                "name 1 to {KERBEROS_NETWORKS_MAX} networks, each once: elsewhere nobody is asked"
            ));
        }
        // Without the realm in the name, anna of one realm would be anna of the other.
        if matches!(self.login, SsoLogin::UserPart | SsoLogin::SamAccountName) && realms.len() > 1 {
            return invalid(format!(
                "with {} there is one realm only: a name without its realm would be several people's; use upn or on-prem-upn",
                self.login.as_str()
            ));
        }
        Ok(())
    }

    /// Whom a principal stands for.
    ///
    /// # Errors
    /// Nobody, whoever there is.
    pub fn sought(&self, principal: &str) -> Result<Sought, PrincipalRefused> {
        let odd = |letter: char| matches!(letter, '/' | '\\' | '@') || letter.is_control() || letter.is_whitespace();
        let (name, realm) = principal.rsplit_once('@').ok_or(PrincipalRefused::NotAUser)?;
        if principal.len() > PRINCIPAL_BYTES_MAX || name.is_empty() || name.contains(odd) {
            return Err(PrincipalRefused::NotAUser);
        }
        if !self.realms.iter().any(|known| known == realm) {
            return Err(PrincipalRefused::Realm);
        }
        let name = name.to_ascii_lowercase();
        let upn = || format!("{name}@{}", realm.to_ascii_lowercase());
        Ok(match self.login {
            SsoLogin::Upn => Sought::Login(upn().parse().map_err(|_| PrincipalRefused::NotAUser)?),
            SsoLogin::OnPremUpn => Sought::Attribute(ONPREM_UPN, upn()),
            SsoLogin::UserPart => Sought::UserPart(name),
            SsoLogin::SamAccountName => Sought::Attribute(SAM_ACCOUNT_NAME, name),
        })
    }
}

/// What came of the ticket that a browser showed. Answered by a [`crate::identity::Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveTicket {
    /// Which sign-in.
    pub flow: SecretText,
    /// What the library says.
    pub outcome: TicketOutcome,
    /// Who asks.
    pub client: ClientInfo,
}

/// What the identity process found out about a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketOutcome {
    /// It is good, and whose: `anna@EXAMPLE.COM`, as the library writes it.
    Principal(String),
    /// It is not.
    Refused,
}

/// Where control answers [`GiveTicket`].
pub const TICKET_PATH: &str = "/v1/sign-in/ticket";
/// Realms of a tenant.
pub const KERBEROS_REALMS_MAX: usize = 16;
/// Networks in which browsers are asked.
pub const KERBEROS_NETWORKS_MAX: usize = 16;
/// A name of the KDC's and its realm.
const PRINCIPAL_BYTES_MAX: usize = 256;
const SHOWN_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(realms: &[&str], login: SsoLogin) -> KerberosSignIn {
        let realms = realms.iter().map(|realm| (*realm).to_owned()).collect();
        KerberosSignIn { realms, networks: vec!["corp".parse().unwrap()], login }
    }

    #[test]
    fn a_principal_is_looked_for_by_the_name_that_is_chosen() {
        let sought = |login| settings(&["EXAMPLE.COM"], login).sought("Anna@EXAMPLE.COM").unwrap();
        assert_eq!(sought(SsoLogin::Upn), Sought::Login("anna@example.com".parse().unwrap()));
        assert_eq!(sought(SsoLogin::OnPremUpn), Sought::Attribute("onprem_upn", "anna@example.com".into()));
        assert_eq!(sought(SsoLogin::UserPart), Sought::UserPart("anna".into()));
        assert_eq!(sought(SsoLogin::SamAccountName), Sought::Attribute("sam_account_name", "anna".into()));
    }

    #[test]
    fn services_second_names_and_other_realms_are_nobody() {
        let settings = settings(&["EXAMPLE.COM"], SsoLogin::UserPart);
        for service in [
            "HTTP/app.example.com@EXAMPLE.COM",
            "anna/admin@EXAMPLE.COM",
            "host/x\\@EXAMPLE.COM@EXAMPLE.COM",
            "anna\\@corp.example@EXAMPLE.COM",
            "anna@evil@EXAMPLE.COM",
            "WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS",
            "@EXAMPLE.COM",
            "anna berg@EXAMPLE.COM",
            "anna\n@EXAMPLE.COM",
            "anna",
            "",
        ] {
            assert_eq!(settings.sought(service), Err(PrincipalRefused::NotAUser), "{service}");
        }
        let long = format!("{}@EXAMPLE.COM", "a".repeat(PRINCIPAL_BYTES_MAX));
        assert_eq!(settings.sought(&long), Err(PrincipalRefused::NotAUser));
        for realm in ["anna@OTHER.COM", "anna@example.com", "anna@", "anna@SUB.EXAMPLE.COM", "anna@EXAMPLE.COM "] {
            assert_eq!(settings.sought(realm), Err(PrincipalRefused::Realm), "{realm}");
        }
    }

    #[test]
    fn settings_that_would_make_one_of_two_people_are_refused() {
        assert!(settings(&["A.TEST", "B.TEST"], SsoLogin::Upn).check().is_ok());
        assert!(settings(&["A.TEST"], SsoLogin::UserPart).check().is_ok());
        for login in [SsoLogin::UserPart, SsoLogin::SamAccountName] {
            let refused = settings(&["A.TEST", "B.TEST"], login).check().unwrap_err().to_string();
            assert!(refused.contains(login.as_str()), "{refused}");
        }
        for realms in [&[][..], &["A.TEST", "A.TEST"], &["a b"], &["A/B"], &["A.TEST"; 17]] {
            assert!(settings(realms, SsoLogin::Upn).check().is_err(), "{realms:?}");
        }
        let nowhere = KerberosSignIn { networks: Vec::new(), ..settings(&["A.TEST"], SsoLogin::Upn) };
        assert!(nowhere.check().is_err());
    }
}
