//! Why there is no way through a proxy, in words for the log, for who asked, and for checks.

use std::io;

use postern_model::proxy::ProxyAddress;

/// A proxy that does not carry a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy {proxy} {trouble}")]
pub(crate) struct ProxyFailed {
    pub(crate) proxy: ProxyAddress,
    pub(crate) trouble: Trouble,
}

/// What is wrong; never what the proxy said in words of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    #[error("cannot be spoken to in TLS: {0}")]
    Tls(String),
    #[error("does not answer in time")]
    Slow,
    #[error("ends the connection without an answer")]
    Ended,
    #[error("answers in something that is not HTTP ({0})")]
    NotHttp(&'static str),
    #[error("answers with more than {} KiB", super::asked::ANSWER_BYTES_MAX >> 10)]
    TooMuch,
    #[error("wants a user name and a password (407)")]
    AsksWho,
    #[error("does not take the user name and the password ({0})")]
    RefusesWho(u16),
    #[error(
        "did not take the user name and the password: they are not tried again for a while, so that the account is not locked"
    )]
    Held,
    #[error("does not take this connector's Kerberos ticket ({0})")]
    RefusesTicket(u16),
    #[error("was not asked, there is no Kerberos ticket to it: {0}")]
    NoTicket(String),
    #[error("refuses CONNECT {target} with {status}")]
    Refuses { target: String, status: u16 },
    #[error("has no connection to {target} ({status})")]
    LeadsNowhere { target: String, status: u16 },
}

impl Trouble {
    /// What an operator can do about it.
    pub(crate) fn cure(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::Slow => {
                "look at the proxy's address, whether it runs, and at firewalls between this host and it"
            }
            Self::Tls(_) => {
                "look whether it is an https:// proxy, whether its certificate has its name, and give its authority with --proxy-ca"
            }
            Self::Ended | Self::NotHttp(_) | Self::TooMuch => {
                "look whether what listens there is an HTTP proxy: at its port, and whether it is spoken to by http:// or https://"
            }
            Self::AsksWho => {
                "name who asks (http://USER@HOST:PORT) and give the password in a file, or let this host through without"
            }
            Self::RefusesWho(_) | Self::Held => {
                "correct the user's name or the file with the password, then restart this program"
            }
            Self::RefusesTicket(_) => {
                "look at the proxy's log: its own key of HTTP/HOST, its rules for this account, the clocks"
            }
            Self::NoTicket(_) => {
                "look at --keytab and --kerberos-principal, at the KDC, and whether it knows the proxy by that name (--proxy-spn)"
            }
            Self::Refuses { .. } => {
                "allow CONNECT to this host and port in the proxy's rules: many allow it to port 443 alone"
            }
            Self::LeadsNowhere { .. } => {
                "look at the proxy's log: it does not resolve the name, or has no connection to it"
            }
        }
    }

    /// At another of its addresses it may be better.
    pub(super) fn is_of_the_address(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Tls(_) | Self::Slow | Self::Ended => true,
            Self::NotHttp(_)
            | Self::TooMuch
            | Self::AsksWho
            | Self::RefusesWho(_)
            | Self::Held
            | Self::RefusesTicket(_)
            | Self::NoTicket(_)
            | Self::Refuses { .. }
            | Self::LeadsNowhere { .. } => false,
        }
    }
}

impl ProxyFailed {
    /// What is wrong with a proxy, if that is what went wrong.
    pub(crate) fn of_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<ProxyFailed> for io::Error {
    fn from(failed: ProxyFailed) -> Self {
        Self::other(failed)
    }
}
