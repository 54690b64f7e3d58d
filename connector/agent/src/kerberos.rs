//! The connector's key for Kerberos, and the threads that get tickets with it.

use std::sync::Arc;
use std::thread;

use postern_service::failure::{Failure, OrFail as _};
use postern_service::secret;
use postern_service::state::StateDir;
use postern_sso::kerberos::{Delegation, OwnAccount, prepare};
use postern_sso::{Account, KerberosFailure, SignOn, Tickets};

use crate::args::KerberosKey;
use crate::proxy::Negotiates;

/// Has the library use what delegation needs. Before any thread is started.
pub(crate) fn set_up(key: &KerberosKey, state: &StateDir) -> Result<(), Failure> {
    std::fs::File::open(&key.keytab)
        .or_fail("file-unreadable", || format!("cannot read the keytab {}", key.keytab.display()))?;
    if let Some(warning) = secret::exposure(&key.keytab) {
        tracing::warn!(path = %key.keytab.display(), "{warning}");
    }
    prepare(&state.file(SETTINGS_FILE)).map_err(|error| Failure::new(error.to_string()))
}

/// Starts the threads. Whether the key is good is found out beside everything else: the connector serves more than what needs it,
/// and a KDC may be down for the moment.
pub(crate) fn start(key: &KerberosKey) -> anyhow::Result<Arc<dyn SignOn>> {
    let delegation = || Delegation::new(&key.keytab, &key.principal);
    let first = delegation()?;
    let principal = key.principal.clone();
    thread::Builder::new().name("sso-first".into()).spawn(move || said(&principal, first.sign_in()))?;
    Ok(Arc::new(Tickets::start(delegation()?)?))
}

/// The same key, to be tried step by step.
pub(crate) fn account(key: &KerberosKey, state: &StateDir) -> Arc<dyn Account> {
    Arc::new(OwnAccount::new(&key.keytab, &key.principal, state.path()))
}

/// The same key, to prove this connector to a proxy.
pub(crate) fn negotiates(key: &KerberosKey) -> Result<Arc<dyn Negotiates>, Failure> {
    let own = Delegation::new(&key.keytab, &key.principal).map_err(|failure| Failure::new(failure.to_string()))?;
    Ok(Arc::new(Own(own)))
}

struct Own(Delegation);

impl Negotiates for Own {
    fn token(&self, service: &str) -> Result<Vec<u8>, String> {
        self.0.prove(service).map_err(|failure| failure.to_string())
    }
}

fn said(principal: &str, signed_in: Result<(), KerberosFailure>) {
    match signed_in {
        Ok(()) => tracing::info!(principal, "Kerberos: the keytab is good"),
        Err(failure) => tracing::error!(principal, "Kerberos: users cannot be signed on: {failure}"),
    }
}

const SETTINGS_FILE: &str = "krb5.conf";
