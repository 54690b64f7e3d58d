//! Constrained delegation by MIT's GSS-API: the connector signs in with its keytab, asks for a ticket to itself in the user's
//! name (S4U2Self), and with that for one to the service (S4U2Proxy, MS-SFU). Every call here may block.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext as _};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::Error;
use libgssapi::name::Name;
use libgssapi::oid::{
    GSS_MECH_KRB5, GSS_MECH_SPNEGO, GSS_NT_HOSTBASED_SERVICE, GSS_NT_KRB5_ENTERPRISE_NAME, GSS_NT_KRB5_PRINCIPAL, Oid,
    OidSet,
};
use libgssapi_sys as sys;

use crate::failure::{FailureKind, KerberosFailure};
use crate::tickets::{Authority, Proof, Wanted};

mod account;
mod leave;
mod settings;

pub use account::OwnAccount;
pub use leave::leave;
pub use settings::{NotPrepared, prepare};

/// The connector's own account, as its keytab proves it. Its own ticket lives in memory.
#[derive(Debug)]
pub struct Delegation {
    keytab: CString,
    cache: CString,
    principal: CString,
}

impl Delegation {
    /// Names the key: a keytab file and whose key of it, `HTTP/connector.example.com@EXAMPLE.COM` say.
    ///
    /// # Errors
    /// One of the two cannot be a name.
    pub fn new(keytab: &Path, principal: &str) -> Result<Self, KerberosFailure> {
        static CACHES: AtomicU64 = AtomicU64::new(0);
        let cache = format!("MEMORY:postern-{}", CACHES.fetch_add(1, Ordering::Relaxed));
        Self::with_cache(keytab, principal, cache.into_bytes())
    }

    /// The same, with its own ticket in a file, which is there afterwards.
    fn with_tickets_in(keytab: &Path, principal: &str, tickets: &Path) -> Result<Self, KerberosFailure> {
        Self::with_cache(keytab, principal, [b"FILE:", tickets.as_os_str().as_bytes()].concat())
    }

    fn with_cache(keytab: &Path, principal: &str, cache: Vec<u8>) -> Result<Self, KerberosFailure> {
        let text = |bytes: Vec<u8>| {
            CString::new(bytes)
                .map_err(|_| KerberosFailure::without_code(FailureKind::Keytab, "a name with a NUL byte"))
        };
        Ok(Self {
            keytab: text([b"FILE:", keytab.as_os_str().as_bytes()].concat())?,
            cache: text(cache)?,
            principal: text(principal.into())?,
        })
    }

    /// Signs the connector in, or finds that it is.
    ///
    /// # Errors
    /// The keytab is of no use, or no KDC answers.
    pub fn sign_in(&self) -> Result<(), KerberosFailure> {
        self.own(GSS_MECH_KRB5).map(drop)
    }

    /// A token that proves the connector itself to a service, `HTTP/proxy.example.com` say: the first of its exchange, and the
    /// only one where the service is not asked to prove itself.
    ///
    /// # Errors
    /// The keytab is of no use, or no KDC gives a ticket to the service.
    pub fn prove(&self, service: &str) -> Result<Vec<u8>, KerberosFailure> {
        let token = |mechanism| {
            let own = self.own(mechanism)?;
            first_token(own, service, CtxFlags::empty(), mechanism).map(|(token, _)| token)
        };
        // SPNEGO keeps Kerberos' own codes to itself.
        token(GSS_MECH_SPNEGO).map_err(|opaque| token(GSS_MECH_KRB5).err().unwrap_or(opaque))
    }

    /// The connector's own credential. The library keeps its ticket and renews it from the keytab, which it reads each time:
    /// new keys count at once.
    fn own(&self, mechanism: Oid<'static>) -> Result<Cred, KerberosFailure> {
        let places = [(c"client_keytab", &*self.keytab), (c"ccache", &*self.cache)];
        acquire(&self.principal, CredUsage::Initiate, places, mechanism).map_err(|failure| {
            // Without a key the library only misses the ticket that it would have got by it.
            let key = acquire(&self.principal, CredUsage::Accept, [(c"keytab", &*self.keytab)], GSS_MECH_KRB5);
            own_failure(key.err().unwrap_or(failure))
        })
    }

    /// A credential in the user's name: S4U2Self.
    fn user(&self, user: &str, mechanism: Oid<'static>) -> Result<Cred, KerberosFailure> {
        let own = self.own(mechanism)?;
        let kind = if user.matches('@').count() > 1 { GSS_NT_KRB5_ENTERPRISE_NAME } else { GSS_NT_KRB5_PRINCIPAL };
        let name = Name::new(user.as_bytes(), Some(kind)).map_err(failed)?;
        let mechanisms = OidSet::singleton(mechanism).map_err(failed)?;
        own.impersonate(&name, None, CredUsage::Initiate, Some(&mechanisms)).map_err(failed)
    }

    /// Why the user gets no ticket: without SPNEGO between, which keeps Kerberos' own codes to itself.
    fn diagnose(&self, wanted: &Wanted) -> Option<KerberosFailure> {
        let begun = self.user(&wanted.user, GSS_MECH_KRB5).and_then(|user| begin(user, wanted, GSS_MECH_KRB5));
        begun.err()
    }
}

/// The principal's credential, from places of the library's credential store.
pub(crate) fn acquire<const N: usize>(
    principal: &CString,
    usage: CredUsage,
    places: [(&CStr, &CStr); N],
    mechanism: Oid<'static>,
) -> Result<Cred, KerberosFailure> {
    let name = Imported::principal(principal)?;
    let mut elements =
        places.map(|(key, value)| sys::gss_key_value_element_desc { key: key.as_ptr(), value: value.as_ptr() });
    let store = sys::gss_key_value_set_desc { count: N as sys::OM_uint32, elements: elements.as_mut_ptr() };
    let mut oid =
        sys::gss_OID_desc { length: mechanism.len() as sys::OM_uint32, elements: mechanism.as_ptr().cast_mut().cast() };
    let mut mechanisms = sys::gss_OID_set_desc { count: 1, elements: &raw mut oid };
    let usage = match usage {
        CredUsage::Accept => sys::GSS_C_ACCEPT,
        CredUsage::Initiate => sys::GSS_C_INITIATE,
        CredUsage::Both => sys::GSS_C_BOTH,
    };
    let (mut minor, mut credential) = (0, ptr::null_mut());
    // SAFETY: every pointer is to a value above or to what `places` borrows, which outlive the call, and of which the
    // library keeps nothing: it copies names, keys, values and mechanisms. The outputs are written before it returns.
    let major = unsafe {
        sys::gss_acquire_cred_from(
            &raw mut minor,
            name.0,
            sys::_GSS_C_INDEFINITE,
            &raw mut mechanisms,
            usage as sys::gss_cred_usage_t,
            &raw const store,
            &raw mut credential,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    if major != sys::GSS_S_COMPLETE {
        return Err(failure(major, minor));
    }
    // SAFETY: the call succeeded: the credential is new and nobody else's.
    Ok(unsafe { Cred::from_c(credential) })
}

impl Authority for Delegation {
    type Ticket = Cred;

    fn fetch(&self, wanted: &Wanted) -> Result<(Cred, Duration), KerberosFailure> {
        let fetched = self.user(&wanted.user, GSS_MECH_SPNEGO).and_then(|user| {
            // The ticket to the service comes with the first token, and stays with the user's credential.
            begin(user.clone(), wanted, GSS_MECH_SPNEGO)?;
            let lifetime = user.lifetime().map_err(failed)?;
            Ok((user, lifetime))
        });
        fetched.map_err(|opaque| self.diagnose(wanted).unwrap_or(opaque))
    }

    fn present(&self, ticket: &Cred, wanted: &Wanted) -> Result<(Vec<u8>, Box<dyn Proof>), KerberosFailure> {
        let (token, context) = begin(ticket.clone(), wanted, GSS_MECH_SPNEGO)?;
        Ok((token, Box::new(Exchange(context))))
    }
}

/// An exchange with the service, half way.
struct Exchange(ClientCtx);

impl Proof for Exchange {
    fn check(mut self: Box<Self>, answer: &[u8]) -> Result<(), KerberosFailure> {
        // SPNEGO keeps the reason to itself.
        let unproven = |words| KerberosFailure::without_code(FailureKind::PeerUnproven, words);
        let more = self.0.step(Some(answer), None);
        let more = more.map_err(|_| unproven("the service did not prove that it is who the ticket is for"))?;
        if more.is_some() || !self.0.is_complete() {
            return Err(unproven("the service wants more than one round"));
        }
        Ok(())
    }
}

/// The first token to the service: S4U2Proxy, unless the credential has the ticket already.
fn begin(user: Cred, wanted: &Wanted, mechanism: Oid<'static>) -> Result<(Vec<u8>, ClientCtx), KerberosFailure> {
    first_token(user, &wanted.service, CtxFlags::GSS_C_MUTUAL_FLAG, mechanism)
}

fn first_token(
    credential: Cred,
    spn: &str,
    flags: CtxFlags,
    mechanism: Oid<'static>,
) -> Result<(Vec<u8>, ClientCtx), KerberosFailure> {
    let mut context = ClientCtx::new(Some(credential), service(spn)?, flags, Some(mechanism));
    let token = context.step(None, None).map_err(failed)?;
    let token = token.ok_or_else(|| KerberosFailure::without_code(FailureKind::Other, "the library made no token"))?;
    Ok((token.to_vec(), context))
}

/// With a realm it is a principal; without one krb5.conf says which realm the host is of.
fn service(spn: &str) -> Result<Name, KerberosFailure> {
    if spn.contains('@') {
        return Name::new(spn.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)).map_err(failed);
    }
    Name::new(spn.replacen('/', "@", 1).as_bytes(), Some(GSS_NT_HOSTBASED_SERVICE)).map_err(failed)
}

/// A name of the library's, for the one call that libgssapi has no safe form of.
struct Imported(sys::gss_name_t);

impl Imported {
    fn principal(principal: &CString) -> Result<Self, KerberosFailure> {
        let bytes = principal.as_bytes();
        let mut text = sys::gss_buffer_desc { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() };
        let mut oid = sys::gss_OID_desc {
            length: GSS_NT_KRB5_PRINCIPAL.len() as sys::OM_uint32,
            elements: GSS_NT_KRB5_PRINCIPAL.as_ptr().cast_mut().cast(),
        };
        let (mut minor, mut name) = (0, ptr::null_mut());
        // SAFETY: text and OID outlive the call, which reads and copies them; the name is written before it returns.
        let major = unsafe { sys::gss_import_name(&raw mut minor, &raw mut text, &raw mut oid, &raw mut name) };
        if major == sys::GSS_S_COMPLETE { Ok(Self(name)) } else { Err(own_failure(failure(major, minor))) }
    }
}

impl Drop for Imported {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the name was made by the library for this value alone, and is released once.
        unsafe { sys::gss_release_name(&raw mut minor, &raw mut self.0) };
    }
}

pub(crate) fn failed(error: Error) -> KerberosFailure {
    let words = error.to_string();
    // What stands in brackets are the mechanism's words; those before, of GSS-API, say nothing more.
    let inner = words.trim().split_once(" (").and_then(|(_, inner)| inner.strip_suffix(')'));
    KerberosFailure::of_status(error.minor, inner.unwrap_or(words.trim()))
}

fn failure(major: u32, minor: u32) -> KerberosFailure {
    failed(Error { major: libgssapi::error::MajorFlags::from_bits_retain(major), minor })
}

/// What is said of the connector's own account is not about the user.
fn own_failure(mut failure: KerberosFailure) -> KerberosFailure {
    if failure.kind.is_about_user() || failure.kind == FailureKind::Other {
        failure.kind = FailureKind::Keytab;
    }
    failure
}
