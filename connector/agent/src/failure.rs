//! Why a request could not be answered: whose fault it is, and what the relay is told about it.

use std::io;

use postern_http::Malformed;
use postern_io::TlsFailure;
use postern_tunnel::{Cancel, CancelCode, Culprit, SendError};

use crate::proxy::ProxyFailed;

/// The end of a request that has no answer, or not a whole one.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) fault: Fault,
    /// For people; never a path, cookie or address of a client.
    pub(crate) detail: String,
    /// Nothing was done with the request: it may go to another connector.
    pub(crate) unprocessed: bool,
    /// A backend may have seen it, and it may be sent again all the same: nothing of an answer came, and twice is as good as once.
    pub(crate) repeatable: bool,
}

/// Kinds of [`Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    BackendRefused,
    BackendUnreachable,
    BackendTls,
    BackendBroken,
    BackendTimeout,
    ConfigMissing,
    /// This connector cannot sign users on, or was not told whom.
    SsoUnavailable,
    /// This user gets no ticket to the backend.
    SsoRefused,
    /// Nobody gets one.
    SsoFailed,
    /// The backend did not take the ticket, or did not prove that it is who it was for.
    SsoRejected,
    /// The vault has no password of this user.
    SsoCredentialMissing,
    /// The backend did not take it.
    SsoCredentialRefused,
    /// It cannot be used any more: another one can.
    SsoCredentialStale,
    Overloaded,
    ClientBroken,
    Internal,
    /// The relay gave the request up, or the tunnel is gone: nobody is told.
    Cancelled,
}

impl Fault {
    /// All kinds, in their order.
    pub(crate) const ALL: [Self; 17] = [
        Self::BackendRefused,
        Self::BackendUnreachable,
        Self::BackendTls,
        Self::BackendBroken,
        Self::BackendTimeout,
        Self::ConfigMissing,
        Self::SsoUnavailable,
        Self::SsoRefused,
        Self::SsoFailed,
        Self::SsoRejected,
        Self::SsoCredentialMissing,
        Self::SsoCredentialRefused,
        Self::SsoCredentialStale,
        Self::Overloaded,
        Self::ClientBroken,
        Self::Internal,
        Self::Cancelled,
    ];

    /// As metrics call it: the code, or finer where two kinds share one.
    pub(crate) fn kind(self) -> &'static str {
        if self == Self::SsoCredentialStale {
            return "sso-credential-stale";
        }
        if self == Self::ClientBroken { "request-broken" } else { self.code() }
    }

    /// The stable code, as in the catalogue.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::BackendRefused => "backend-refused",
            Self::BackendUnreachable => "backend-unreachable",
            Self::BackendTls => "backend-tls",
            Self::BackendBroken => "backend-broken",
            Self::BackendTimeout => "backend-timeout",
            Self::ConfigMissing => "backend-config-missing",
            Self::SsoUnavailable | Self::SsoCredentialStale => "connector-sso-unavailable",
            Self::SsoRefused => "sso-refused",
            Self::SsoFailed => "connector-sso-failed",
            Self::SsoRejected => "backend-sso-rejected",
            Self::SsoCredentialMissing => "sso-credential-missing",
            Self::SsoCredentialRefused => "sso-credential-refused",
            Self::Overloaded => "overloaded",
            Self::ClientBroken | Self::Cancelled => "request-cancelled",
            Self::Internal => "internal",
        }
    }

    fn cancel(self) -> Cancel {
        let (culprit, code) = match self {
            Self::BackendRefused => (Culprit::Backend, CancelCode::REFUSED),
            Self::BackendUnreachable => (Culprit::Backend, CancelCode::UNREACHABLE),
            Self::BackendTls => (Culprit::Backend, CancelCode::TLS),
            Self::BackendBroken => (Culprit::Backend, CancelCode::BROKEN),
            Self::BackendTimeout => (Culprit::Backend, CancelCode::TIMEOUT),
            Self::ConfigMissing => (Culprit::Connector, CancelCode::APP_UNKNOWN),
            Self::SsoUnavailable => (Culprit::Connector, CancelCode::SSO_UNAVAILABLE),
            // Another connector would get the same answer.
            Self::SsoRefused => (Culprit::Client, CancelCode::SSO_REFUSED),
            Self::SsoFailed => (Culprit::Connector, CancelCode::SSO_FAILED),
            Self::SsoRejected => (Culprit::Backend, CancelCode::SSO_FAILED),
            Self::SsoCredentialMissing => (Culprit::Client, CancelCode::SSO_CREDENTIAL_MISSING),
            Self::SsoCredentialRefused => (Culprit::Client, CancelCode::SSO_CREDENTIAL_REFUSED),
            // The user can do something about it, and no operator of connectors need.
            Self::SsoCredentialStale => (Culprit::Client, CancelCode::SSO_UNAVAILABLE),
            Self::Overloaded => (Culprit::Connector, CancelCode::OVERLOADED),
            Self::ClientBroken => (Culprit::Client, CancelCode::BROKEN),
            Self::Internal => (Culprit::Connector, CancelCode::INTERNAL),
            Self::Cancelled => (Culprit::Client, CancelCode::GONE),
        };
        Cancel::new(culprit, code)
    }
}

impl Failed {
    pub(crate) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into(), unprocessed: false, repeatable: false }
    }

    /// States that nothing was done.
    pub(crate) fn unprocessed(mut self) -> Self {
        self.unprocessed = true;
        self
    }

    /// For the relay.
    pub(crate) fn cancel(&self) -> Cancel {
        let cancel = self.fault.cancel().with_detail(&self.detail);
        if self.unprocessed { cancel.unprocessed() } else { cancel }
    }

    /// A connection that could not be made. `ConnectionRefused` is the host's own word, the rest is the network's.
    pub(crate) fn connecting(error: &io::Error) -> Self {
        let fault = if error.kind() == io::ErrorKind::ConnectionRefused {
            Fault::BackendRefused
        } else {
            Fault::BackendUnreachable
        };
        Self::new(fault, error.to_string()).unprocessed()
    }

    /// A proxy that leads to no backend.
    pub(crate) fn through_proxy(failed: &ProxyFailed) -> Self {
        Self::new(Fault::BackendUnreachable, failed.to_string()).unprocessed()
    }

    /// A TLS handshake that failed: whatever ends it then is about TLS.
    pub(crate) fn handshaking(error: &io::Error) -> Self {
        Self::new(Fault::BackendTls, error.to_string()).unprocessed()
    }

    /// A connection that failed in use.
    pub(crate) fn using(error: &io::Error) -> Self {
        let tls = error.get_ref().is_some_and(|inner| inner.is::<TlsFailure>());
        let fault = if tls { Fault::BackendTls } else { Fault::BackendBroken };
        Self::new(fault, error.to_string())
    }

    /// An answer that is not HTTP, or contradicts itself.
    pub(crate) fn malformed_answer(malformed: Malformed) -> Self {
        Self::new(Fault::BackendBroken, format!("{}: {}", malformed.code(), malformed.detail()))
    }

    /// A request that a relay should never have sent on.
    pub(crate) fn malformed_request(malformed: Malformed) -> Self {
        Self::new(Fault::Internal, format!("the relay sent what it should have refused: {}", malformed.code()))
    }

    /// The tunnel did not take something.
    pub(crate) fn sending(error: SendError) -> Self {
        match error {
            SendError::Closed => Self::new(Fault::Cancelled, error.to_string()),
            SendError::HeadTooLong { .. } | SendError::TooManyInformational { .. } => {
                Self::new(Fault::BackendBroken, error.to_string())
            }
            SendError::Ended
            | SendError::HeadMissing
            | SendError::HeadTwice
            | SendError::WrongRole
            | SendError::Upgraded => Self::new(Fault::Internal, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_catalogue() {
        let mut kinds = std::collections::BTreeSet::new();
        for (place, fault) in Fault::ALL.into_iter().enumerate() {
            assert!(kinds.insert(fault.kind()) && fault as usize == place, "{}", fault.kind());
            assert!(postern_model::codes::lookup(fault.code()).is_some(), "{}", fault.code());
        }
    }

    #[test]
    fn the_kernels_words_are_told_apart() {
        let fault = |kind: io::ErrorKind| Failed::connecting(&io::Error::from(kind)).fault;
        assert_eq!(fault(io::ErrorKind::ConnectionRefused), Fault::BackendRefused);
        assert_eq!(fault(io::ErrorKind::TimedOut), Fault::BackendUnreachable);
        assert_eq!(fault(io::ErrorKind::HostUnreachable), Fault::BackendUnreachable);
    }
}
