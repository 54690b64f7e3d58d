//! Tickets that browsers show (SPNEGO, RFC 4178): verified by MIT's GSS-API with the key of a keytab. Calls read the keytab and
//! write the replay cache; they ask no KDC.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use libgssapi::context::{SecurityContext as _, ServerCtx};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::oid::{GSS_MECH_KRB5, GSS_MECH_SPNEGO};

use crate::failure::{FailureKind, KerberosFailure};
use crate::kerberos::{acquire, failed};
use crate::limits::ACCEPTED_TOKEN_BYTES_MAX;

/// The key of a service, and where it remembers which tickets it has seen.
#[derive(Debug)]
pub struct Acceptance {
    keytab: CString,
    replays: CString,
    principal: CString,
}

/// Somebody with a good ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Whose it is, as the library writes it: `anna@EXAMPLE.COM`; what is odd in a name has a backslash before it.
    pub principal: String,
    /// What proves to them that this is the service; empty when they did not ask.
    pub answer: Vec<u8>,
}

impl Acceptance {
    /// Names the key: a keytab file, whose key of it (`HTTP/login.example.com@EXAMPLE.COM`), and a file of our own in which
    /// authenticators are remembered as long as they could be good once more.
    ///
    /// # Errors
    /// One of them cannot be a name.
    pub fn new(keytab: &Path, principal: &str, replays: &Path) -> Result<Self, KerberosFailure> {
        let text = |bytes: Vec<u8>| {
            CString::new(bytes)
                .map_err(|_| KerberosFailure::without_code(FailureKind::Keytab, "a name with a NUL byte"))
        };
        Ok(Self {
            keytab: text([b"FILE:", keytab.as_os_str().as_bytes()].concat())?,
            // Named, so that no variable of the environment turns it off.
            replays: text([b"file2:", replays.as_os_str().as_bytes()].concat())?,
            principal: text(principal.into())?,
        })
    }

    /// Whether the keytab has the key.
    ///
    /// # Errors
    /// It has not, or cannot be read.
    pub fn check(&self) -> Result<(), KerberosFailure> {
        self.key(GSS_MECH_KRB5).map(drop)
    }

    /// Verifies what a client sent, which must be all that it has to send: there is no second round.
    ///
    /// # Errors
    /// It is no ticket to this service, or one that does not count any more, or was shown before.
    pub fn accept(&self, token: &[u8]) -> Result<Accepted, KerberosFailure> {
        let refused = |words: &str| KerberosFailure::without_code(FailureKind::PeerUnproven, words);
        if token.is_empty() || token.len() > ACCEPTED_TOKEN_BYTES_MAX {
            return Err(refused("the token is empty or too long"));
        }
        // Read anew each time: new keys count at once. No channel bindings: the TLS that the client speaks ends at a relay.
        let mut context = ServerCtx::new(Some(self.key(GSS_MECH_SPNEGO)?));
        let answer = context.step(token, None).map_err(failed)?;
        // A ticket that may be delegated is of no use here, and is not kept.
        drop(context.take_delegated_cred());
        if !context.is_complete() {
            return Err(refused("the client offers another mechanism first, or wants more than one round"));
        }
        let info = context.info().map_err(failed)?;
        if info.mechanism != GSS_MECH_KRB5 {
            return Err(refused("another mechanism than Kerberos was agreed on"));
        }
        let name = info.source_name.display_name().map_err(failed)?;
        let principal = String::from_utf8(name.to_vec()).map_err(|_| refused("the principal's name is not UTF-8"))?;
        Ok(Accepted { principal, answer: answer.map(|answer| answer.to_vec()).unwrap_or_default() })
    }

    fn key(&self, mechanism: libgssapi::oid::Oid<'static>) -> Result<Cred, KerberosFailure> {
        let places = [(c"keytab", &*self.keytab), (c"rcache", &*self.replays)];
        acquire(&self.principal, CredUsage::Accept, places, mechanism)
    }
}
