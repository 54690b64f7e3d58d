//! Single sign-on towards an application: whether and how its connectors sign users on, and under which name. Names are made
//! here, by whoever knows the user; connectors take them as they come.

mod form;
mod vault_by;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::Preauth;
use crate::directory::LoginName;
use crate::session::Subject;
use crate::settings::SettingInvalid;

pub use form::{FormSettings, FormSuccess, FormTarget, SSO_FORM};
pub use vault_by::{VAULT_BY, VaultBy};

/// The settings `sso` and `sso_…` of an application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SsoSettings {
    /// `sso`: how users are signed on. Default `none`.
    pub method: SsoMethod,
    /// `sso_spn`: the service that users get tickets to. Kerberos needs it.
    pub spn: Option<ServicePrincipal>,
    /// `sso_login`: which of a user's names the application knows. Default `upn`.
    pub login: SsoLogin,
    /// `sso_realm`: whose KDC knows the users. Default: the realm of `sso_spn`; for a UPN, its own domain.
    pub realm: Option<Realm>,
    /// `sso_form_…`: the form that users sign in by. `sso=form` needs it.
    pub form: FormSettings,
    /// `backend_plaintext`: whether passwords of the vault may go to a backend that is reached without TLS, or whose
    /// certificate is not verified. Default `refuse`.
    pub plaintext: bool,
    /// `vault_by`: who enters the passwords of the vault. Default `operators`.
    pub vault_by: VaultBy,
}

/// How users are signed on to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SsoMethod {
    /// Not at all.
    #[default]
    None,
    /// Kerberos constrained delegation.
    Kerberos,
    /// SAML assertions, which browsers bring it: nothing that relays or connectors do.
    Saml,
    /// A password of the vault, by HTTP Basic.
    Basic,
    /// A password of the vault, by the application's own form.
    Form,
}

/// Which of a user's names is the one that the application knows, or the KDC where users sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SsoLogin {
    /// The login: a user principal name, `anna@example.com`.
    #[default]
    Upn,
    /// The attribute `onprem_upn`: the user principal name in the network of the application.
    OnPremUpn,
    /// What stands before the `@` of the login.
    UserPart,
    /// The attribute `sam_account_name`.
    SamAccountName,
}

/// `HTTP/app.example.com`, perhaps with `@REALM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePrincipal(Box<str>);

/// A Kerberos realm, `EXAMPLE.COM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(Box<str>);

/// A user's name in Kerberos: `anna@EXAMPLE.COM`; or, where it is not of the realm that knows it, an enterprise name (RFC 6806)
/// with that realm, `anna@example.com@CORP.EXAMPLE.COM`. At most [`KERBEROS_NAME_BYTES_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KerberosName(Box<str>);

/// Why a user has no name to be signed on with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoKerberosName {
    /// The attribute is not set.
    #[error("the user {login} has no attribute {attribute}: set it in the directory, or choose another sso_login")]
    AttributeMissing {
        /// Whose.
        login: LoginName,
        /// Which.
        attribute: &'static str,
    },
    /// Nothing says the realm.
    #[error("the name {name:?} is of no realm: set sso_realm, or sso_spn with @REALM")]
    RealmMissing {
        /// Which name.
        name: String,
    },
    /// It holds what a user's name cannot.
    #[error(
        "{name:?} cannot be a user's name in Kerberos: it is empty, too long, or has one of / \\ @ or a control character"
    )]
    Malformed {
        /// Cut to 64 characters.
        name: String,
    },
}

impl SsoSettings {
    /// Sets one; false when it is none of these.
    ///
    /// # Errors
    /// A value that it cannot have.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, SettingInvalid> {
        match name {
            SSO => self.method = method(value)?,
            SSO_SPN => {
                self.spn = Some(value.parse().map_err(|()| {
                    SettingInvalid::value(
                        SSO_SPN,
                        value,
                        "must be SERVICE/HOST or SERVICE/HOST@REALM, HTTP/app.example.com@EXAMPLE.COM say",
                    )
                })?);
            }
            SSO_LOGIN => self.login = login(value)?,
            SSO_REALM => {
                self.realm = Some(value.parse().map_err(|()| {
                    SettingInvalid::value(SSO_REALM, value, "must be a realm such as EXAMPLE.COM, as its KDC writes it")
                })?);
            }
            BACKEND_PLAINTEXT => self.plaintext = plaintext(value)?,
            VAULT_BY => self.vault_by = VaultBy::read(value)?,
            _ => return self.form.set(name, value),
        }
        Ok(true)
    }

    /// Whether a backend may be shown what it is to be shown. `secret`: by TLS, with a certificate that is verified.
    ///
    /// # Errors
    /// The setting that does not fit.
    pub fn check_backend(&self, secret: bool) -> Result<(), SettingInvalid> {
        if self.is_by_vault() && !secret && !self.plaintext {
            return Err(SettingInvalid::value(
                SSO,
                self.method.as_str(),
                "needs an https:// internal URL whose certificate is verified, as passwords go there; backend_plaintext=allow \
                 where nobody else can read that network",
            ));
        }
        Ok(())
    }

    /// Whether they fit together, and what is asked before a request may pass.
    ///
    /// # Errors
    /// The setting that does not.
    pub fn check(&self, preauth: Preauth) -> Result<(), SettingInvalid> {
        let unfit = |expected| Err(SettingInvalid::value(SSO, self.method.as_str(), expected));
        self.vault_by.check(self.is_by_vault())?;
        match (self.method, preauth) {
            (SsoMethod::None, _) => Ok(()),
            (_, Preauth::Passthrough) => unfit("needs --preauth oidc: with passthrough nobody knows whom to sign on"),
            (SsoMethod::Kerberos, Preauth::Oidc) if self.spn.is_none() => {
                unfit("needs sso_spn, the SPN of the application's account")
            }
            (SsoMethod::Form, Preauth::Oidc) => self.form.target().map(drop).or_else(unfit),
            (SsoMethod::Kerberos | SsoMethod::Saml | SsoMethod::Basic, Preauth::Oidc) => Ok(()),
        }
    }

    /// The service that users are signed on to by Kerberos; none where they are not.
    #[must_use]
    pub fn kerberos(&self) -> Option<&ServicePrincipal> {
        match self.method {
            SsoMethod::None | SsoMethod::Saml | SsoMethod::Basic | SsoMethod::Form => None,
            SsoMethod::Kerberos => self.spn.as_ref(),
        }
    }

    /// Whether users are signed on with passwords of the vault.
    #[must_use]
    pub const fn is_by_vault(&self) -> bool {
        matches!(self.method, SsoMethod::Basic | SsoMethod::Form)
    }

    /// Whether users enter their passwords for it themselves.
    #[must_use]
    pub const fn is_by_users(&self) -> bool {
        self.is_by_vault() && matches!(self.vault_by, VaultBy::Users)
    }

    /// The name that a user is signed on under by Kerberos.
    ///
    /// # Errors
    /// There is none, and why.
    pub fn kerberos_name(&self, subject: &Subject) -> Result<KerberosName, NoKerberosName> {
        let login = subject.login.as_str();
        let attribute = |attribute: &'static str| {
            let value = subject.attributes.iter().find(|(name, _)| name.as_str() == attribute);
            let missing = || NoKerberosName::AttributeMissing { login: subject.login.clone(), attribute };
            value.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty()).ok_or_else(missing)
        };
        match self.login {
            SsoLogin::Upn => self.of_upn(login),
            SsoLogin::OnPremUpn => self.of_upn(attribute(ONPREM_UPN)?),
            SsoLogin::UserPart => self.of_account(login.split_once('@').map_or(login, |(user, _)| user)),
            SsoLogin::SamAccountName => self.of_account(attribute(SAM_ACCOUNT_NAME)?),
        }
    }

    /// A UPN's domain is its realm, unless the users' realm is known to be another: that one's KDC knows it whole.
    fn of_upn(&self, upn: &str) -> Result<KerberosName, NoKerberosName> {
        let Some((user, domain)) = upn.split_once('@') else { return self.of_account(upn) };
        let own = domain.to_ascii_uppercase();
        let own = own.parse::<Realm>().map_err(|()| malformed(upn))?;
        match &self.realm {
            Some(realm) if *realm != own => KerberosName::new(&format!("{}@{domain}", user_part(user)?), realm),
            Some(_) | None => KerberosName::new(user_part(user)?, &own),
        }
    }

    fn of_account(&self, account: &str) -> Result<KerberosName, NoKerberosName> {
        let of_spn = || self.spn.as_ref().and_then(ServicePrincipal::realm);
        let realm = self.realm.clone().or_else(of_spn);
        let missing = || NoKerberosName::RealmMissing { name: account.chars().take(GIVEN_CHARS_MAX).collect() };
        KerberosName::new(user_part(account)?, &realm.ok_or_else(missing)?)
    }
}

/// With a slash it would be the name of a service, with another `@` of another realm.
fn user_part(text: &str) -> Result<&str, NoKerberosName> {
    let odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | '@');
    if text.is_empty() || text.contains(odd) { Err(malformed(text)) } else { Ok(text) }
}

fn malformed(name: &str) -> NoKerberosName {
    NoKerberosName::Malformed { name: name.chars().take(GIVEN_CHARS_MAX).collect() }
}

impl ServicePrincipal {
    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn realm(&self) -> Option<Realm> {
        self.0.split_once('@').and_then(|(_, realm)| realm.parse().ok())
    }
}

impl FromStr for ServicePrincipal {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, realm) = text.split_once('@').map_or((text, None), |(name, realm)| (name, Some(realm)));
        let (service, host) = name.split_once('/').ok_or(())?;
        let label = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let fits = (1..=32).contains(&service.len())
            && service.bytes().all(label)
            && (1..=253).contains(&host.len())
            && host.bytes().all(|b| label(b) || b == b'.')
            && realm.is_none_or(|realm| realm.parse::<Realm>().is_ok());
        if fits { Ok(Self(text.into())) } else { Err(()) }
    }
}

impl FromStr for Realm {
    type Err = ();

    /// As domains are written; realms of other forms (RFC 4120 §6.1) are not in use.
    fn from_str(text: &str) -> Result<Self, ()> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if text.len() <= REALM_BYTES_MAX && text.split('.').all(label) { Ok(Self(text.into())) } else { Err(()) }
    }
}

impl KerberosName {
    fn new(user: &str, realm: &Realm) -> Result<Self, NoKerberosName> {
        let name = format!("{user}@{}", realm.0);
        if name.len() > KERBEROS_NAME_BYTES_MAX { Err(malformed(&name)) } else { Ok(Self(name.into())) }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KerberosName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ServicePrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SsoMethod {
    /// As the setting says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kerberos => "kerberos",
            Self::Saml => "saml",
            Self::Basic => "basic",
            Self::Form => "form",
        }
    }
}

fn method(value: &str) -> Result<SsoMethod, SettingInvalid> {
    match value {
        "none" => Ok(SsoMethod::None),
        "kerberos" => Ok(SsoMethod::Kerberos),
        "saml" => Ok(SsoMethod::Saml),
        "basic" => Ok(SsoMethod::Basic),
        "form" => Ok(SsoMethod::Form),
        _ => Err(SettingInvalid::value(SSO, value, "must be none, kerberos, saml, basic or form")),
    }
}

fn plaintext(value: &str) -> Result<bool, SettingInvalid> {
    match value {
        "refuse" => Ok(false),
        "allow" => Ok(true),
        _ => Err(SettingInvalid::value(BACKEND_PLAINTEXT, value, "must be refuse or allow")),
    }
}

fn login(value: &str) -> Result<SsoLogin, SettingInvalid> {
    let wrong = || SettingInvalid::value(SSO_LOGIN, value, "must be upn, on-prem-upn, user-part or sam-account-name");
    SsoLogin::ALL.into_iter().find(|login| login.as_str() == value).ok_or_else(wrong)
}

impl SsoLogin {
    const ALL: [Self; 4] = [Self::Upn, Self::OnPremUpn, Self::UserPart, Self::SamAccountName];

    /// As operators write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upn => "upn",
            Self::OnPremUpn => "on-prem-upn",
            Self::UserPart => "user-part",
            Self::SamAccountName => "sam-account-name",
        }
    }
}

/// How users are signed on.
pub const SSO: &str = "sso";
/// The service's name.
pub const SSO_SPN: &str = "sso_spn";
/// Which of a user's names.
pub const SSO_LOGIN: &str = "sso_login";
/// The users' realm.
pub const SSO_REALM: &str = "sso_realm";
/// Whether passwords may be seen on the way to the backend.
pub const BACKEND_PLAINTEXT: &str = "backend_plaintext";

/// A [`KerberosName`]: the tunnel's OPEN has room for no more.
pub const KERBEROS_NAME_BYTES_MAX: usize = 190;

pub(crate) const ONPREM_UPN: &str = "onprem_upn";
pub(crate) const SAM_ACCOUNT_NAME: &str = "sam_account_name";
const REALM_BYTES_MAX: usize = 128;
const GIVEN_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests;
