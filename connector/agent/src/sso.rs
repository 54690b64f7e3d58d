//! Signing a request's user on to its backend, by what the application's settings say: what goes with the request, and what the
//! backend says to it.

mod basic;
pub(crate) mod form;
mod kerberos;

use std::rc::Rc;
use std::sync::Arc;

use postern_http::{RequestHead, ResponseHead};
use postern_model::settings::AppSettings;
use postern_model::sso::SsoMethod;
use postern_tunnel::OpenMeta;

use crate::failure::{Failed, Fault};
use crate::pool::Pool;
use crate::worker::Worker;
use form::Form;

/// How users are signed on to one backend.
#[derive(Debug)]
pub(crate) enum Method {
    /// With tickets to this service.
    Kerberos(Arc<str>),
    /// With a password of the vault.
    Basic,
    /// With a password of the vault, by the application's own form.
    Form(Arc<Form>),
}

/// Who asks for what, and by whom it is served.
pub(crate) struct Asking<'a> {
    pub(crate) pool: &'a Rc<Pool>,
    pub(crate) worker: &'a Worker,
    pub(crate) meta: &'a OpenMeta,
}

/// A request that carries what signs its user on.
pub(crate) enum SignedOn {
    Kerberos(kerberos::SignedOn),
    Basic(basic::SignedOn),
    Form(form::SignedOn),
}

impl Method {
    /// None where nobody is signed on. `origin`: of the backend.
    pub(crate) fn of(settings: &AppSettings, origin: &str) -> Result<Option<Self>, String> {
        match settings.sso.method {
            // Browsers bring assertions themselves.
            SsoMethod::None | SsoMethod::Saml => Ok(None),
            SsoMethod::Kerberos => Ok(settings.sso.kerberos().map(|spn| Self::Kerberos(spn.as_str().into()))),
            SsoMethod::Basic => Ok(Some(Self::Basic)),
            SsoMethod::Form => Ok(Some(Self::Form(Arc::new(Form::new(settings.sso.form.target()?, origin)?)))),
        }
    }
}

/// Signs on whom the relay names, and takes out whatever credentials the client sent. `fresh`: the backend did not take what was
/// held. None where nobody is signed on to the backend.
pub(crate) async fn sign_on(
    asking: &Asking<'_>,
    head: &mut RequestHead,
    fresh: bool,
) -> Result<Option<SignedOn>, Failed> {
    let (backend, shared) = (&asking.pool.backend, &asking.worker.shared);
    let login = asking.meta.sso_login.as_ref();
    let Some(method) = &backend.sso else { return Ok(None) };
    // Relays refuse it already. Nobody sees it of one that does not.
    if head.method.echoes() {
        return Err(Failed::new(Fault::SsoFailed, "TRACE would show what signs users on"));
    }
    let signed_on = match method {
        Method::Kerberos(service) => {
            SignedOn::Kerberos(kerberos::sign_on(shared.sign_on.as_ref(), service, login, head, fresh).await?)
        }
        Method::Basic => SignedOn::Basic(basic::sign_on(backend, shared.vault.as_deref(), login, head).await?),
        // Boxed: pages and forms are read in it, which would make the task of every request as large.
        Method::Form(form) => SignedOn::Form(Box::pin(form::sign_on(asking, form, head, fresh)).await?),
    };
    Ok(Some(signed_on))
}

impl SignedOn {
    /// Whether a fresh one may do what this one did not.
    pub(crate) fn may_be_stale(&self) -> bool {
        match self {
            Self::Kerberos(signed_on) => signed_on.may_be_stale(),
            Self::Basic(_) => false,
            Self::Form(signed_on) => signed_on.may_be_stale(),
        }
    }

    /// Whether some backends take the whole connection for the user whom they saw on it first.
    pub(crate) fn is_of_connection(&self) -> bool {
        match self {
            Self::Kerberos(_) => true,
            Self::Basic(_) | Self::Form(_) => false,
        }
    }

    /// Looks at what the backend says to it. Users never see a challenge that they could not answer. `may_repeat`: nothing of the
    /// request's content is gone.
    pub(crate) async fn answered(&self, head: &mut ResponseHead, may_repeat: bool) -> Result<(), Failed> {
        match self {
            Self::Kerberos(signed_on) => signed_on.answered(head).await,
            Self::Basic(signed_on) => signed_on.answered(head),
            Self::Form(signed_on) => signed_on.answered(head, may_repeat),
        }
    }
}

/// What a field's value says for `scheme` (RFC 9110 §11.6.1): what follows the scheme's name, perhaps nothing. None when it is of
/// other schemes.
pub(crate) fn challenge<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
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
