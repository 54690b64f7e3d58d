//! Signing a request's user on to its backend, by what the application's settings say: what goes with the request, and what the
//! backend says to it.

mod basic;
mod kerberos;

use std::sync::Arc;

use postern_http::{RequestHead, ResponseHead};
use postern_model::settings::AppSettings;
use postern_model::sso::SsoMethod;
use postern_tunnel::SsoLogin;

use crate::backend::Backend;
use crate::failure::Failed;
use crate::worker::Shared;

/// How users are signed on to one backend.
#[derive(Debug)]
pub(crate) enum Method {
    /// With tickets to this service.
    Kerberos(Arc<str>),
    /// With a password of the vault.
    Basic,
}

/// A request that carries what signs its user on.
pub(crate) enum SignedOn {
    Kerberos(kerberos::SignedOn),
    Basic(basic::SignedOn),
}

impl Method {
    /// None where nobody is signed on.
    pub(crate) fn of(settings: &AppSettings) -> Result<Option<Self>, String> {
        match settings.sso.method {
            SsoMethod::None => Ok(None),
            SsoMethod::Kerberos => Ok(settings.sso.kerberos().map(|spn| Self::Kerberos(spn.as_str().into()))),
            SsoMethod::Basic => Ok(Some(Self::Basic)),
            SsoMethod::Form => Err("this version cannot sign users on by a form: upgrade".into()),
        }
    }
}

/// Signs on whom the relay names, and takes out whatever credentials the client sent. `fresh`: the backend did not take what was
/// held. None where nobody is signed on to the backend.
pub(crate) async fn sign_on(
    backend: &Backend,
    shared: &Shared,
    login: Option<&SsoLogin>,
    head: &mut RequestHead,
    fresh: bool,
) -> Result<Option<SignedOn>, Failed> {
    let Some(method) = &backend.sso else { return Ok(None) };
    let signed_on = match method {
        Method::Kerberos(service) => {
            SignedOn::Kerberos(kerberos::sign_on(shared.sign_on.as_ref(), service, login, head, fresh).await?)
        }
        Method::Basic => SignedOn::Basic(basic::sign_on(backend, shared.vault.as_deref(), login, head).await?),
    };
    Ok(Some(signed_on))
}

impl SignedOn {
    /// Whether a fresh one may do what this one did not.
    pub(crate) fn may_be_stale(&self) -> bool {
        match self {
            Self::Kerberos(signed_on) => signed_on.may_be_stale(),
            Self::Basic(_) => false,
        }
    }

    /// Whether some backends take the whole connection for the user whom they saw on it first.
    pub(crate) fn is_of_connection(&self) -> bool {
        match self {
            Self::Kerberos(_) => true,
            Self::Basic(_) => false,
        }
    }

    /// Looks at what the backend says to it. Users never see a challenge that they could not answer.
    pub(crate) async fn answered(&self, head: &mut ResponseHead) -> Result<(), Failed> {
        match self {
            Self::Kerberos(signed_on) => signed_on.answered(head).await,
            Self::Basic(signed_on) => signed_on.answered(head),
        }
    }
}

/// What a field's value says for `scheme` (RFC 9110 §11.6.1): what follows the scheme's name, perhaps nothing. None when it is of
/// other schemes.
fn challenge<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).find_map(|challenge| {
        let (name, rest) = challenge.split_at_checked(scheme.len())?;
        let ends = rest.is_empty() || rest.starts_with(b" ");
        (name.eq_ignore_ascii_case(scheme) && ends).then(|| rest.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_found_among_others() {
        for (value, said) in [
            ("Negotiate", Some("")),
            ("negotiate oRQw", Some("oRQw")),
            ("Basic realm=\"x\", Negotiate", Some("")),
            ("NTLM, NEGOTIATE abc=", Some("abc=")),
            ("Basic realm=\"x\"", None),
            ("Negotiated x", None),
            ("", None),
        ] {
            assert_eq!(challenge(value.as_bytes(), b"Negotiate"), said.map(str::as_bytes), "{value}");
        }
        assert_eq!(challenge(b"basic realm=\"a, b\"", b"Basic"), Some(b"realm=\"a".as_slice()));
    }
}
